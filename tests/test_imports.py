"""The command answers at once: heavy libraries are imported by the work that needs them, not before."""

import re
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "lightning", "mlflow", "pandas", "duckdb", "sklearn")

IMPORT = "import seqclv"

HELP = """
from seqclv.cli import main
try:
    status = main(["--help"])
except SystemExit as stop:
    status = stop.code
assert not status, status
"""

REPORT = f"""
import sys
print("loaded:", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""


def run_in_fresh_interpreter(code):
    """Return what the code prints and how many seconds the interpreter took, start included."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    return done.stdout, seconds


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_nothing_heavy_is_imported(code):
    output, _ = run_in_fresh_interpreter(code + REPORT)
    assert output.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize(("code", "limit"), [(IMPORT, 1.0), (HELP, 1.5)], ids=["import", "help"])
def test_the_start_is_quick(code, limit):
    fastest = min(run_in_fresh_interpreter(code)[1] for _ in range(3))  # the machine may be busy
    assert fastest < limit


def test_help_names_every_command():
    output, _ = run_in_fresh_interpreter(HELP)
    commands = {"simulate", "prepare", "train", "evaluate", "backtest", "register", "score"}
    assert commands <= set(re.findall(r"\w+", output))
