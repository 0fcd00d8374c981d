"""A store is there whole at every moment, whatever kills the process that replaces it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqclv.config import DataConfig
from seqclv.data import placing
from seqclv.data.placing import move_into_place, scratch_beside
from seqclv.data.simulate import SimulationConfig, simulate, write
from seqclv.data.store import build_store, open_store

CODE = """
import sys
from seqclv.config import DataConfig
from seqclv.data.store import append_store, build_store
print("ready", flush=True)
while True:
    build_store(DataConfig(transactions=(sys.argv[1],)), sys.argv[3])
    append_store(DataConfig(transactions=(sys.argv[2],)), sys.argv[3])
"""


def test_killed_at_any_moment_the_store_is_the_one_before_or_the_one_after(tmp_path: Path) -> None:
    for seed, name in enumerate(("old", "new")):
        write(simulate(SimulationConfig(customers=60, mean_events=5, seed=seed)), tmp_path / f"{name}.parquet")
    places = [str(tmp_path / name) for name in ("old.parquet", "new.parquet", "work/store")]
    (tmp_path / "work").mkdir()
    both = build_store(DataConfig(transactions=tuple(places[:2])), tmp_path / "both").fingerprint
    one = build_store(DataConfig(transactions=(places[0],)), places[2]).fingerprint
    rng, seen = random.Random(0), set()
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", CODE, *places], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.05, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = open_store(places[2])
        seen.add(store.fingerprint)
        assert len(store.read()) == store.info.events
    assert seen <= {one, both}


def test_what_killed_runs_left_is_removed_and_running_ones_are_left_alone(tmp_path: Path) -> None:
    old = time.time() - 3_600
    with scratch_beside(tmp_path / "store") as running:
        os.utime(running, (old, old))
        abandoned = tmp_path / ".store.scratch-abandoned"
        abandoned.mkdir()
        (abandoned / "lock").touch()
        (abandoned / "spill").touch()
        os.utime(abandoned, (old, old))
        unlocked = tmp_path / ".store.scratch-unlocked"  # of a run that was killed as it began
        unlocked.mkdir()
        os.utime(unlocked, (old, old))
        with scratch_beside(tmp_path / "store") as other:
            assert sorted(tmp_path.iterdir()) == sorted([running, other])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("exchange", [True, False])
def test_directories_change_places_also_where_the_system_cannot_exchange_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(placing, "_exchanged", lambda one, other: False)
    for name in ("scratch/store", "out"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "which").write_text(name)
    move_into_place(tmp_path / "scratch/store", tmp_path / "out")
    assert (tmp_path / "out/which").read_text() == "scratch/store"
    [left] = [path.read_text() for path in (tmp_path / "scratch").rglob("which")]
    assert left == "out"


def test_a_store_that_went_aside_for_one_that_never_came_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "_exchanged", lambda one, other: False)
    out = tmp_path / "store"
    out.mkdir()
    (out / "which").write_text("old")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if target == out and self.name == "finished":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)

    def replace() -> None:
        with scratch_beside(out) as scratch:
            (scratch / "finished").mkdir()
            move_into_place(scratch / "finished", out)

    with pytest.raises(KeyboardInterrupt):
        replace()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert (out / "which").read_text() == "old"


def test_a_store_that_a_killed_run_left_aside_is_brought_back_by_the_next(tmp_path: Path) -> None:
    abandoned = tmp_path / ".store.scratch-abandoned"
    (abandoned / "replaced").mkdir(parents=True)
    (abandoned / "replaced" / "which").write_text("old")
    os.utime(abandoned, (0, 0))
    with scratch_beside(tmp_path / "store"):
        assert (tmp_path / "store" / "which").read_text() == "old"
        assert not abandoned.exists()
