"""The local engine: stream a store through the scorer, on all cores or a GPU, in bounded memory, resumable.

The base is cut into parts (see `seqclv.forecast.chunks`). Each is forecast by whichever process is free and kept in the
workplace until the last is done, so that a killed scoring goes on where it was; the sink receives them in order. So the
bytes of the result depend neither on the number of processes nor on interruptions.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch

from seqclv import prior
from seqclv.bundle import Bundle, save_bundle
from seqclv.data.covariates import require_calendar
from seqclv.data.store import EventStore
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError
from seqclv.forecast.chunks import Part, plan
from seqclv.forecast.engines.processes import workers as worker_processes
from seqclv.forecast.forecaster import checked_horizons, device_for, on_device
from seqclv.forecast.parts import Job, is_whole, part_file, read_part, remove_unfinished, score_part
from seqclv.forecast.sinks import Sink, sink_of
from seqclv.forecast.summary import Summary
from seqclv.forecast.workplace import Workplace, workplace

WORKER_CUSTOMERS = 32_768  # fewer for each worker are not worth the seconds in which it starts

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a scoring is carried out; none of it changes a forecast, but the device its last bits."""

    workers: int | None = None  # processes at most; None: the cores that this process may use
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    progress: Progress | None = None  # makes a progress bar of so many customers
    announce: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers is the number of processes, at least 1, but it is {self.workers}.")


@dataclass(frozen=True)
class Scored:
    """What a scoring run did."""

    out: str
    customers: int
    rows: int
    manifest: Mapping[str, Any]
    summary: Summary


def score(
    bundle: Bundle,
    store: EventStore,
    cutoff: int,
    horizons_days: Sequence[float],
    out: str | Path,
    *,
    execution: Execution | None = None,
) -> Scored:
    """Write the forecasts of every customer with a purchase before the cutoff (microseconds).

    Args:
        bundle: the model.
        store: the prepared log.
        cutoff: end of history, excluded.
        horizons_days: in any order.
        out: a file or a database's URL, see `seqclv.forecast.sinks`.
        execution: processes, device and progress.

    Raises:
        InputError: a horizon or the output is refused, nobody bought before the cutoff, or another scoring writes to
            the same place.
    """
    sink = sink_of(out)
    sink.check()
    with workplace(sink.workplace, sink.name) as place:
        return score_in(place, bundle, store, (cutoff, horizons_days), sink, execution or Execution())


def score_in(
    place: Workplace,
    bundle: Bundle,
    store: EventStore,
    window: tuple[int, Sequence[float]],
    sink: Sink,
    execution: Execution,
) -> Scored:
    """`score` in a workplace that is already held; `window` is the cutoff and the horizons."""
    cutoff, horizons = window[0], checked_horizons(window[1])
    require_calendar(store.calendar, bundle.calendar)
    parts = plan(store, cutoff, bundle.merge)
    customers = sum(part.customers for part in parts)
    require_customers(customers, cutoff, store.first)
    job = Job.of(bundle, store.fingerprint, cutoff, horizons, device=device_for(bundle, execution.accelerator))
    work = place.parts(job.digest)
    remove_unfinished(work)
    summary = Summary(horizons)
    facts = manifest_facts(bundle, _facts_of_log(store), job, customers)
    bar = execution.progress(customers) if execution.progress else nullcontext(lambda _: None)
    with bar as advance, _finished_parts(bundle, store, job, parts, work, execution) as finished:

        def tables() -> Iterator[pa.Table]:
            for part in finished if sink.streams else list(_told(finished, advance)):
                table = read_part(part_file(work, part))
                summary.add(table)
                if sink.streams:
                    advance(part.customers)
                yield table

        manifest = sink.write(tables(), work, lambda: facts)
    return Scored(sink.name, customers, customers * len(horizons), manifest, summary)


def _facts_of_log(store: EventStore) -> dict[str, Any]:
    report = store.info.report
    counts = {name: report[name] for name in ("rows_read", "rows_rejected")}
    return {"fingerprint": store.fingerprint, "customers": store.customers, **counts, "warnings": report["warnings"]}


def require_customers(customers: int, cutoff: int, first: int) -> None:
    """Refuse a cutoff (microseconds) before which nobody bought; `first` is the log's first event."""
    if customers == 0:
        raise InputError(
            f"A forecast needs purchases before the cutoff, but nobody bought before {to_timestamp(cutoff)} "
            f"(the log begins on {to_timestamp(first)}): take a later cutoff."
        )


def _told(finished: Iterator[Part], advance: Callable[[int], None]) -> Iterator[Part]:
    for part in finished:
        advance(part.customers)
        yield part


@contextmanager
def _finished_parts(
    bundle: Bundle, store: EventStore, job: Job, parts: Sequence[Part], work: Path, execution: Execution
) -> Iterator[Iterator[Part]]:
    """The parts in their order, each when its file is there."""
    left = [part for part in parts if not is_whole(part_file(work, part))]
    if len(left) < len(parts):
        execution.announce(f"going on after {len(parts) - len(left)} of {len(parts)} parts that are finished already")
    customers = sum(part.customers for part in left)
    number = max(1, min(execution.workers or usable_cores(), customers // WORKER_CUSTOMERS))
    if number == 1:
        torch.set_num_threads(1)  # small matrices: a second thread costs more than it brings
        ready = on_device(bundle, job.device)
        yield (_one(ready, store, job, part, work) for part in parts)
        return
    save_bundle(bundle, work / "bundle")
    with (
        ThreadPoolExecutor(number) as threads,
        worker_processes(number, work / "bundle", store.path, job, work) as score_one,
    ):
        try:
            yield threads.map(score_one, parts)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _one(bundle: Bundle, store: EventStore, job: Job, part: Part, work: Path) -> Part:
    score_part(bundle, store, job, part, work)
    return part


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def manifest_facts(bundle: Bundle, log: Mapping[str, Any], job: Job, customers: int) -> dict[str, Any]:
    """What the manifest says of every scoring; the sink may add to it."""
    return {
        **prior.model_facts(bundle),
        "cutoff": to_timestamp(job.cutoff).isoformat(),
        "horizons_days": list(job.horizons_days),
        "log": dict(log),
        "merge": bundle.merge,
        "transaction": f"purchases of one customer merged by {bundle.merge}; counts are counts of merged purchases",
        "customers": customers,
        **({"customers_without_purchase_before_cutoff": log["customers"] - customers} if "customers" in log else {}),
        "rows": customers * len(job.horizons_days),
        "engine": job.engine,
    }
