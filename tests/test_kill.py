"""A small dose of scripts/kill.py."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "kill.py"


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_and_change_no_byte(tmp_path):
    words = ["--kills", "12", "--customers", "400", "--workers", "1"]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" kills ")[0] for line in done.stdout.splitlines()]
    assert lines == ["prepare: 3", "prepare --append: 3", "score --workers 1: 3", "score to SQLite: 3"]
