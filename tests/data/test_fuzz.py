"""Hostile logs, a few hundred of those of scripts/fuzz.py: the right result or one plain sentence."""

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        spec = importlib.util.spec_from_file_location("fuzz", SCRIPTS / "fuzz.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(SCRIPTS))


def test_hostile_logs_give_the_right_result_or_one_plain_sentence(fuzz: ModuleType, tmp_path: Path) -> None:
    verdicts = []
    for number in range(80):
        place = tmp_path / str(number)
        place.mkdir()
        verdicts.append(fuzz.run_case(fuzz.make_case(random.Random(f"ci:{number}"), place), place))
    assert [verdict for verdict in verdicts if verdict.startswith("FAILED")] == []
    assert verdicts.count("right") > 25


def test_hostile_logs_leave_the_command_with_status_0_or_2(fuzz: ModuleType, tmp_path: Path) -> None:
    verdicts = [
        fuzz.run_command(fuzz.make_case(random.Random(f"command:{number}"), tmp_path), tmp_path) for number in range(4)
    ]
    assert [verdict for verdict in verdicts if verdict.startswith("FAILED")] == []


def test_the_oracle_tells_a_wrong_number(fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqclv.data import lines

    net_amounts = lines.net_amounts
    monkeypatch.setattr(lines, "net_amounts", lambda *args: net_amounts(*args) * 1.001)
    for number in range(30):
        place = tmp_path / str(number)
        place.mkdir()
        verdict = fuzz.run_case(fuzz.make_case(random.Random(f"ci:{number}"), place), place)
        if "amounts" in verdict or "spend" in verdict:
            return
    pytest.fail("no case of 30 noticed")
