"""The local engine: any number of processes, any number of deaths, the same bytes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import save_bundle
from seqclv.config import DataConfig
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import build_store, events_from_frame
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast import chunks
from seqclv.forecast.engines import local
from seqclv.forecast.engines.local import Execution, score
from seqclv.forecast.forecaster import device_for
from seqclv.forecast.sinks import manifest_path
from seqclv.forecast.workplace import workplace

CUTOFF = "2021-07-01"


@pytest.fixture
def store(small_log, small_config, tmp_path):
    return build_store(small_config.data, tmp_path / "store")


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 32 customers, so that the small log has several."""
    monkeypatch.setattr(chunks, "CHUNK_CUSTOMERS", 16)
    monkeypatch.setattr(chunks, "PART_CHUNKS", 2)


def forecasts(bundle, store, out, **execution):
    score(bundle, store, instant(CUTOFF), [30, 90], out, execution=Execution(**execution))
    return out.read_bytes()


def hidden(directory):
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]


def test_parts_hold_each_customer_with_a_purchase_once(store, small_parts, monkeypatch):
    past = history(store.read(), instant(CUTOFF), "1d")
    for block in (7, 64, 10_000):
        monkeypatch.setattr(chunks, "_BLOCK_CUSTOMERS", block)
        parts = chunks.plan(store, instant(CUTOFF), "1d")
        found = [list(chunks.part_chunks(store, part, instant(CUTOFF), "1d")) for part in parts]
        assert [sum(chunk.customers for chunk in part) for part in found] == [part.customers for part in parts]
        assert {chunk.customers for part in found for chunk in part[:-1]} == {16}
        names = [name for part in found for chunk in part for name in chunk.customer_id]
        assert names == list(past.customer_id)


def test_who_buys_is_told_without_merging_most_lines(random_events):
    for merge in ("none", "1d", "7d"):
        for cutoff in np.linspace(random_events.timestamp.min(), random_events.timestamp.max() + 1, 7).astype(int):
            kept = history(random_events, int(cutoff), merge).customer_id
            found = random_events.customer_id[chunks.buyers(random_events, int(cutoff), merge)]
            assert list(found) == list(kept)


@pytest.fixture
def random_events():
    """Half of the lines are negative: most customers must be netted to know."""
    base = simulate(SimulationConfig(customers=200, mean_events=3, refund_share=0.9, seed=2)).transactions.to_pandas()
    rng = np.random.default_rng(0)
    base["amount"] *= rng.choice([1, -1, 0], len(base))
    return events_from_frame(base, DataConfig())


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_processes(small_bundle, store, tmp_path, monkeypatch):
    alone = forecasts(small_bundle, store, tmp_path / "one.parquet", workers=1)
    monkeypatch.setattr(local, "WORKER_CUSTOMERS", 10)
    for workers in (2, 3):
        assert forecasts(small_bundle, store, tmp_path / f"{workers}.parquet", workers=workers) == alone
    assert not hidden(tmp_path)


def test_a_small_base_starts_no_processes(small_bundle, store, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "worker_processes", None)  # to call it would fail
    forecasts(small_bundle, store, tmp_path / "f.parquet", workers=8)


class StopError(Exception):
    """An end in the middle of the work."""


def stopping_after(number):
    """A progress bar that ends the scoring when so many parts are finished."""

    @contextmanager
    def progress(total):
        done = iter(range(number))

        def advance(customers):
            if next(done, None) is None:
                raise StopError

        yield advance

    return progress


def test_an_interrupted_scoring_goes_on_after_its_finished_parts(small_bundle, store, tmp_path, small_parts):
    whole = forecasts(small_bundle, store, tmp_path / "whole.parquet")
    out, said = tmp_path / "f.parquet", []
    with pytest.raises(StopError):
        forecasts(small_bundle, store, out, progress=stopping_after(3))
    assert not out.exists() and hidden(tmp_path) == [".f.parquet.scoring"]
    [kept] = [entry for entry in (tmp_path / ".f.parquet.scoring").iterdir() if entry.is_dir()]
    (kept / "part-000001.arrow").write_bytes(b"torn by a power failure")
    (kept / "part-000002.arrow.new-1").write_bytes(b"half written")
    stamp = (kept / "part-000000.arrow").stat().st_mtime_ns
    seen = []

    def remember(text):
        said.append(text)
        seen.append((kept / "part-000000.arrow").stat().st_mtime_ns)

    assert forecasts(small_bundle, store, out, announce=remember) == whole
    assert "going on after 3 of" in said[0] and seen == [stamp]
    assert not hidden(tmp_path)


@pytest.mark.parametrize("change", ["model", "log", "cutoff", "horizons"])
def test_a_leftover_of_other_inputs_is_started_over(change, small_bundle, small_base, store, tmp_path, small_parts):
    out, cutoff, horizons = tmp_path / "f.parquet", instant(CUTOFF), [30.0, 90.0]
    with pytest.raises(StopError):
        forecasts(small_bundle, store, out, progress=stopping_after(3))
    if change == "model":
        small_bundle = replace(small_bundle, networks=small_bundle.networks[:1])
    elif change == "log":
        pq.write_table(small_base.slice(5), tmp_path / "log.parquet")
        data = replace(small_bundle.config.data, transactions=(str(tmp_path / "log.parquet"),))
        store = build_store(data, tmp_path / "other")
    elif change == "cutoff":
        cutoff = instant("2021-08-01")
    else:
        horizons = [30.0]
    said = []
    score(small_bundle, store, cutoff, horizons, out, execution=Execution(announce=said.append))
    assert not said
    score(small_bundle, store, cutoff, horizons, tmp_path / "fresh.parquet")
    assert out.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_the_manifest_describes_the_file_beside_it(small_bundle, store, tmp_path):
    out = tmp_path / "f.parquet"
    content = forecasts(small_bundle, store, out)
    manifest = json.loads(manifest_path(out).read_text())
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["rows"] == pq.read_metadata(out).num_rows
    assert (out.stat().st_mode & 0o777) == 0o644


def test_a_second_scoring_to_the_same_place_is_refused(small_bundle, store, tmp_path):
    out = tmp_path / "f.parquet"
    with (
        workplace(tmp_path / ".f.parquet.scoring", "f.parquet"),
        pytest.raises(InputError, match="One scoring at a time"),
    ):
        forecasts(small_bundle, store, out)
    assert not hidden(tmp_path)
    forecasts(small_bundle, store, out)


def test_a_lock_dies_with_its_process(small_bundle, store, tmp_path):
    place = tmp_path / ".f.parquet.scoring"
    code = f"""
import time
from pathlib import Path
from seqclv.forecast.workplace import workplace
with workplace(Path({str(place)!r}), "f"):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="One scoring at a time"):
            forecasts(small_bundle, store, tmp_path / "f.parquet")
        holder.kill()
    forecasts(small_bundle, store, tmp_path / "f.parquet")
    assert not hidden(tmp_path)


def test_unfinished_forecasts_are_for_the_owner_alone(tmp_path):
    with workplace(tmp_path / ".x.scoring", "x") as place:
        assert (place.path.stat().st_mode & 0o077) == 0


def test_a_trap_in_place_of_the_hidden_directory_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".x.scoring").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="directory of one's own"), workplace(tmp_path / ".x.scoring", "x"):
        pass


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_its_finished_parts_are_kept(small_bundle, store, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "WORKER_CUSTOMERS", 10)
    victims = []
    real = local.worker_processes

    @contextmanager
    def murderous(*arguments):
        with real(*arguments) as ask:
            victims.extend(children())
            os.kill(victims[0], signal.SIGKILL)
            yield ask

    monkeypatch.setattr(local, "worker_processes", murderous)
    with pytest.raises(RuntimeError, match="scoring process has ended"):
        forecasts(small_bundle, store, tmp_path / "f.parquet", workers=2)
    assert len(victims) == 2 and not set(victims) & set(children())


def test_processes_that_find_another_store_than_the_scoring_began_with_are_told_apart(
    small_bundle, store, small_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(local, "WORKER_CUSTOMERS", 10)
    build_store(small_config.data, store.path, until=instant("2021-06-01"))  # as a nightly delivery replaces it
    with pytest.raises(InputError, match="replaced meanwhile: start again"):
        forecasts(small_bundle, store, tmp_path / "f.parquet", workers=2)
    assert list(tmp_path.iterdir()) == [store.path]


def children():
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(small_bundle, store, tmp_path):
    save_bundle(small_bundle, tmp_path / "bundle")
    code = f"""
from pathlib import Path
from seqclv.bundle import load_bundle
from seqclv.data.store import open_store
from seqclv.forecast.engines.processes import workers
from seqclv.forecast.parts import Job
import time
b = load_bundle(Path({str(tmp_path / "bundle")!r}))
with workers(2, Path({str(tmp_path / "bundle")!r}), Path({str(store.path)!r}),
             Job.of(b, "f", 0, [1.0], device="cpu"), Path({str(tmp_path)!r})):
    pids = open(f"/proc/self/task/{{__import__('os').getpid()}}/children").read()
    print(pids, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    end = time.monotonic() + 30
    while any(running(pid) for pid in pids):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.1)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_gpu_that_is_not_there_is_said(small_bundle, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for(small_bundle, "auto") == device_for(small_bundle, "cpu") == "cpu"
    with pytest.raises(InputError, match="needs a GPU"):
        device_for(small_bundle, "gpu")


def test_a_gpu_gives_the_same_numbers(small_bundle, store, tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    forecasts(small_bundle, store, tmp_path / "cpu.parquet", accelerator="cpu")
    forecasts(small_bundle, store, tmp_path / "gpu.parquet", accelerator="gpu")
    cpu, gpu = (pq.read_table(tmp_path / f"{name}.parquet").to_pandas() for name in ("cpu", "gpu"))
    import pandas as pd

    pd.testing.assert_frame_equal(cpu, gpu, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_is_at_least_one(workers):
    with pytest.raises(InputError, match="--workers is the number"):
        Execution(workers=workers)
