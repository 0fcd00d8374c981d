"""Machine code is kept where it can be, and never answers for sources that have changed since."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from seqclv.model import compiled as compiling
from seqclv.model.compiled import compiled, entry, summing


def test_where_no_cache_can_be_written_functions_are_compiled_without_one(monkeypatch):
    compiled(lambda x: x)(1)  # at the first call numba imports parts of itself that ask for njit too
    asked, real = [], numba.njit

    def njit(*, cache, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    double = compiled(lambda x: 2 * x)
    assert double(3) == 6
    assert asked == [True, False]


def test_sums_come_out_alike_in_any_order():
    def total(values):
        result = 0.0
        for value in values:
            result += value
        return result

    values = 0.1 * np.arange(100)
    assert abs(summing(total)(values) - compiled(total)(values)) < 1e-9


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """What a process says of a package in which `outer` calls `inner` of another file."""
    (tmp_path / "compiled.py").write_text(Path(compiling.__file__).read_text())
    (tmp_path / "inner.py").write_text("from compiled import compiled\n\n@compiled\ndef inner(x):\n    return x + 1\n")
    (tmp_path / "outer.py").write_text(
        "from compiled import compiled, entry\nfrom inner import inner\n\n"
        "@entry\n@compiled\ndef outer(x):\n    return inner(x)\n"
    )
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    def ask(processes=1):
        call = [sys.executable, "-c", "from outer import outer; print(outer(1))"]
        running = [subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        [said] = {process.communicate()[0].strip() for process in running}
        assert not any(process.returncode for process in running)
        return said

    return ask


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("hours", [-24, 24])
def test_machine_code_of_a_changed_source_is_forgotten(answer, tmp_path, monkeypatch, elsewhere, hours):
    if elsewhere:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert answer() == "2"
    [kept] = (tmp_path / "elsewhere" if elsewhere else tmp_path / "__pycache__").rglob("outer.outer-*.nbi")
    before = kept.stat().st_mtime_ns
    assert answer() == "2"
    assert kept.stat().st_mtime_ns == before, "nothing has changed, and yet it was compiled again"
    inner = tmp_path / "inner.py"
    inner.write_text(inner.read_text().replace("x + 1", "x + 10"))
    at = time.time() + 3_600 * hours  # installers may give a file any time
    os.utime(inner, (at, at))
    assert answer(processes=3) == "11"


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"not at all what numba writes"])
def test_damaged_machine_code_is_done_without_and_replaced(answer, tmp_path, suffix, damage):
    assert answer() == "2"
    for path in (tmp_path / "__pycache__").glob(f"*.{suffix}"):
        path.write_bytes(damage)
    assert answer() == "2"
    assert answer() == "2"
    assert not [path for path in (tmp_path / "__pycache__").glob(f"*.{suffix}") if path.read_bytes() == damage]


def test_where_the_disk_is_full_functions_are_compiled_all_the_same(answer, tmp_path, monkeypatch):
    assert answer() == "2"
    for path in (tmp_path / "__pycache__").glob("*.nb?"):
        path.unlink()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    (tmp_path / "sitecustomize.py").write_text(limit)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert answer() == "2"


def test_errors_of_a_compiled_function_are_still_its_own(monkeypatch):
    monkeypatch.setattr(compiling, "_kept", [])

    def reciprocals(values):
        if values[0] == 0:
            raise ValueError("no zero")
        return 1 / values

    function = entry(compiled(reciprocals))
    for _ in range(2):
        with pytest.raises(ValueError, match="no zero"):
            function(np.zeros(1))
    assert function(np.ones(1)) == 1
