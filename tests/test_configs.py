"""Every YAML in configs/ runs."""

from pathlib import Path

import pytest

from seqclv.cli import main
from seqclv.configfile import read_config

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))
QUICK = ["training.max_steps=4", "training.max_epochs=2", "ensemble=1", "cutoff=null", "horizon_days=null"]


def test_there_are_configs():
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_trains_and_compares(path, small_log, tmp_path):
    arguments = ["--config", str(path), "--set", *QUICK, "--transactions", str(small_log), "--quiet"]
    window = ["--cutoff", "2021-07-01", "--horizon", "60", "--out", str(tmp_path / "out")]
    assert main(["backtest", *arguments, *window]) == 0
    assert (tmp_path / "out" / "metrics.json").is_file()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_nothing_that_the_defaults_say(path):
    import yaml

    def leaves(values, prefix=()):
        for key, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, (*prefix, key))
            else:
                yield (*prefix, key), value

    default = read_config()
    for keys, value in leaves(yaml.safe_load(path.read_text())):
        part = default
        for key in keys:
            part = getattr(part, key)
        same = tuple(value) == part if isinstance(value, list) else value == part
        assert not same or keys == ("horizons_days",), ".".join(keys)
