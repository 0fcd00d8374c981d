"""A small dose of scripts/benchmark_scale.py."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.mark.slow
def test_the_benchmark_measures_every_step_and_writes_its_page(tmp_path):
    (tmp_path / "README.md").write_text("before\n<!-- scale:begin -->\nold\n<!-- scale:end -->\nafter\n")
    words = ["--customers", "200", "--factor", "2", "--repeats", "1", "--steps", "3", "--no-lifetimes"]
    words += ["--work", tmp_path / "work", "--page", tmp_path / "scale.md", "--readme", tmp_path / "README.md"]
    command = [sys.executable, SCRIPTS / "benchmark_scale.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    raw = json.loads((tmp_path / "work" / "scale.json").read_text())
    assert list(raw["steps"]) == ["prepare", "DuckDB", "score", "pandas"]
    assert all(len(one["seconds"]) == 1 and one["memory"] > 10 for one in raw["steps"].values())
    assert sum(raw["profile"].values()) > 0
    page = (tmp_path / "scale.md").read_text()
    assert "| `prepare` / DuckDB |" in page
    assert "## 2 times as many customers" in page
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("before\n<!-- scale:begin -->\nA simulated base of 200 customers")
    assert readme.endswith("\n<!-- scale:end -->\nafter\n")
    assert "old" not in readme


def test_a_readme_without_the_markers_stays_as_it_is(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("scale_page", SCRIPTS / "scale_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.into_readme("plain", "table") == "plain"
