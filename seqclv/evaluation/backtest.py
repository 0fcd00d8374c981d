"""The whole honest experiment from a raw log: for each cutoff train on what came before, score, compare.

    OUT/<cutoff>/bundle/  plots/  forecasts.parquet  metrics.json      and pooled  OUT/metrics.json
    OUT/seed-S/<cutoff>/...                                    where several seeds are asked for
    .../<cutoff>/scores.npz                                    on request: what the metrics are computed from

While it runs, OUT/.work holds checkpoints and the scores so far, so that a killed backtest of the same inputs goes on
where it stood.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from seqclv.bundle import Bundle, save_bundle
from seqclv.comparison import FURTHER_BASELINES
from seqclv.config import Config
from seqclv.data.apart import require_apart
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.honoured import as_prepared
from seqclv.data.sampling import read_sample
from seqclv.data.store import EventStore
from seqclv.data.windows import end_of_log, history, to_timestamp
from seqclv.errors import InputError
from seqclv.evaluation.compare import (
    OURS,
    Result,
    Window,
    compare,
    cutoff_text,
    held_out,
    metrics_document,
    pooled_document,
)
from seqclv.evaluation.figures import evaluation_figures, save_figures
from seqclv.evaluation.pieces import Piece, load_pieces, save_pieces
from seqclv.files import whole_file
from seqclv.forecast.threads import threads_kept
from seqclv.forecast.told import opened
from seqclv.training.train import train_bundle

Announce = Callable[[str], None]

_RESULT = re.compile(r"metrics\.json|\.work|seed-.+|\d{4}-\d{2}-\d{2}(T.+)?")  # the names that a backtest uses


@dataclass(frozen=True, kw_only=True)
class BacktestPlan:
    """What to backtest: cutoffs in microseconds, one horizon, seeds, and what to leave behind."""

    cutoffs: tuple[int, ...]
    horizon_days: float
    seeds: tuple[int, ...] = ()  # empty: one experiment with the config's seed, without a seed directory
    baseline_forecasts: bool = False  # write forecasts-<model>.parquet beside ours
    further_baselines: tuple[str, ...] = ()  # of `seqclv.comparison.FURTHER_BASELINES`
    keep_scores: bool = False  # write scores.npz: forecasts and outcomes of every customer, see `evaluation.pieces`

    def __post_init__(self) -> None:
        unknown = [name for name in self.further_baselines if name not in FURTHER_BASELINES]
        if unknown:
            raise InputError(
                f"A further baseline must be one of {', '.join(FURTHER_BASELINES)}, but '{unknown[0]}' was asked for."
            )


@threads_kept()
def backtest(
    config: Config, plan: BacktestPlan, out: Path, *, quiet: bool = False, announce: Announce | None = None
) -> dict[str, Any]:
    """Run the experiment and return the pooled metrics document, which is also written to `out`.

    An `out` with a finished backtest is replaced, an unfinished one of the same inputs is resumed, any other is
    restarted; a directory that holds something else is refused.

    Raises:
        InputError: the log, a cutoff or the horizon is refused; `out` holds something else.
    """
    say = announce or (lambda _: None)
    out = Path(out)
    _require_ours(out)
    require_apart(out, config.data)
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        store = opened(config.data, Path(workspace), say)
        config = replace(config, data=as_prepared(config.data, store.info))
        return _run_all(config, plan, store, out, quiet, say)


def _run_all(
    config: Config, plan: BacktestPlan, store: EventStore, out: Path, quiet: bool, say: Announce
) -> dict[str, Any]:
    events = learned_from(store, config.training.max_customers, say)
    for cutoff in plan.cutoffs:
        check_window(events, cutoff, plan.horizon_days, config.data.merge)
    work = _workspace(out, inputs_digest(config, plan, store))
    pieces: dict[str, list[Piece]] = {}
    for seed in plan.seeds or (config.seed,):
        parent = out / f"seed-{seed}" if plan.seeds else out
        for cutoff in plan.cutoffs:
            name = cutoff_text(cutoff)
            say(f"cutoff {name}" + (f", seed {seed}" if plan.seeds else ""))
            task = _Task(
                replace(config, seed=seed), cutoff, parent / _directory(name), work / f"{seed}-{_directory(name)}"
            )
            for model, piece in _run(task, plan, events, store, quiet, say).items():
                pieces.setdefault(model, []).append(piece)
    pooled = pooled_document(plan.cutoffs, pieces)
    write_json(pooled, out / "metrics.json")
    shutil.rmtree(work)
    return pooled


def learned_from(store: EventStore, most: int, say: Announce) -> Events:
    """The events of a base, or of about `most` customers of a larger one: what is learned from and held out."""
    events = read_sample(store, most)
    if events.customers < store.customers:
        say(
            f"learning from {events.customers:,} of {store.customers:,} customers, drawn by their ids "
            "(training.max_customers)"
        )
    return events


def check_window(events: Events, cutoff: int, horizon_days: float, merge: str) -> None:
    """Refuse a window that the log does not cover, or before which nobody bought."""
    if not (np.isfinite(horizon_days) and horizon_days > 0):
        raise InputError(f"A horizon is a positive number of days, but it is {horizon_days:g}: give for example 90.")
    if len(events) == 0:
        raise InputError("A log needs transactions, but it has none: give another file.")
    end = end_of_log(int(events.timestamp.max()))
    first, last = to_timestamp(int(events.timestamp.min())).date(), to_timestamp(end - 1).date()
    wanted = cutoff + round(horizon_days * MICROSECONDS_PER_DAY)
    if wanted > end:
        room = (end - cutoff) / MICROSECONDS_PER_DAY
        remedy = f"shorten the horizon to at most {room:g} days" if room > 0 else "take an earlier cutoff"
        raise InputError(
            f"An evaluation needs the whole window in the log, which runs from {first} to {last}, but {horizon_days:g} "
            f"days from {cutoff_text(cutoff)} end after it: {remedy}."
        )
    if history(events, cutoff, merge).customers == 0:
        raise InputError(
            f"A cutoff needs purchases before it, but the log runs from {first} to {last} and nobody bought before "
            f"{cutoff_text(cutoff)}: take a later cutoff."
        )


@dataclass(frozen=True)
class _Task:
    config: Config
    cutoff: int
    out: Path
    work: Path


def _run(
    task: _Task, plan: BacktestPlan, events: Events, store: EventStore, quiet: bool, say: Announce
) -> dict[str, Piece]:
    if (task.work / "scores.npz").is_file():
        say("already done")
        return load_pieces(task.work / "scores.npz")
    config = task.config
    window = held_out(events, task.cutoff, plan.horizon_days, config.data.merge)
    model, fitted = train_bundle(
        window.history,
        task.cutoff,
        horizon_days=plan.horizon_days,
        config=config,
        fingerprint=store.fingerprint,
        work=task.work,
        quiet=quiet,
    )
    results = compare(
        window,
        model,
        fit_seconds=fitted.seconds,
        seed=config.seed,
        further=plan.further_baselines,
        announce=say,
    )
    write_results(window, model, results, task.out, baseline_forecasts=plan.baseline_forecasts)
    save_figures(evaluation_figures(window, results, events, config.data.merge, fitted.curves), task.out)
    pieces = {name: Piece(result.scores, window.actual, result.seconds) for name, result in results.items()}
    if plan.keep_scores:
        save_pieces(pieces, task.out / "scores.npz")
    save_pieces(pieces, task.work / "scores.npz")
    return pieces


def write_results(
    window: Window,
    model: Bundle | None,
    results: Mapping[str, Result],
    out: Path,
    *,
    baseline_forecasts: bool,
    key: str = OURS,
) -> None:
    """Write forecasts and metrics of one window and, where it is given, the bundle of the model, which `key` names."""
    document = metrics_document(window, results)
    if model is not None:
        save_bundle(model.with_metrics(document), out / "bundle")
    for name, result in results.items():
        if name == key or baseline_forecasts:
            file = "forecasts.parquet" if name == key else f"forecasts-{name}.parquet"
            with whole_file(out / file) as staging:
                pq.write_table(result.forecasts, staging)
    write_json(document, out / "metrics.json")


def write_json(document: dict[str, Any], path: Path) -> None:
    """Write a JSON document; the file appears whole."""
    with whole_file(path) as staging:
        staging.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")


def _directory(cutoff: str) -> str:
    return cutoff.replace(":", "")


def _require_ours(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in ("metrics.json", ".work")):
        raise InputError(
            f"--out names a new directory or an earlier backtest, but {out} holds other files: take another."
        )
    if out.is_file():
        raise InputError(f"--out names a directory, but {out} is a file: take another name.")


def inputs_digest(config: Config, plan: BacktestPlan, store: EventStore) -> str:
    """A hash of what determines a backtest's result, but for the program itself."""
    parts = [asdict(replace(config, data=config.data.without_places())), asdict(plan), store.fingerprint]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _workspace(out: Path, inputs: str) -> Path:
    """The directory for what a resumed run needs; the results of other inputs in `out` are removed."""
    work, mark = out / ".work", out / ".work" / "inputs"
    if not (mark.is_file() and mark.read_text() == inputs):
        _remove_results(out)
        work.mkdir(parents=True)
        mark.write_text(inputs)
    return work


def _remove_results(out: Path) -> None:
    """Remove what a backtest writes into its directory, by name, and nothing else that lies there."""
    for entry in out.iterdir() if out.is_dir() else ():
        if not _RESULT.fullmatch(entry.name):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
