"""Where a file cannot grow, as on a full disk, a command says so in one sentence and leaves nothing."""

import subprocess
import sys

import pytest

_LIMITED = """
import resource, signal, sys
from seqclv.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


def limited(most_bytes, *arguments):
    command = [sys.executable, "-c", _LIMITED, str(most_bytes), *map(str, arguments), "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("most_bytes", [1_000, 20_000])
def test_prepare_says_that_a_store_does_not_fit(small_log, tmp_path, most_bytes):
    done = limited(most_bytes, "prepare", "--transactions", small_log, "--out", tmp_path / "store")
    assert done.returncode == 1
    assert done.stderr.startswith("seqclv prepare: the system refuses: ") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "most_bytes"), [("forecasts.parquet", 2_000), ("sqlite:///f.db", 2_000), ("sqlite:///f.db", 40_000)]
)
def test_score_says_that_forecasts_do_not_fit(small_log, tmp_path, monkeypatch, out, most_bytes):
    store = tmp_path / "store"
    assert limited(10**9, "prepare", "--transactions", small_log, "--out", store).returncode == 0
    monkeypatch.chdir(tmp_path)
    words = ["--model", "prior", "--transactions", store, "--cutoff", "2021-07-01", "--out", out]
    done = limited(most_bytes, "score", *words)
    assert done.returncode in (1, 2)
    assert "File too large" in done.stderr or "disk I/O error" in done.stderr
    assert done.stderr.startswith("seqclv score: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [store]
