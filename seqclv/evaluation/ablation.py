"""What richer events are worth: the default model with and without attributes, further events and static attributes.

    OUT/<log>/<cutoff>/seed-S/<row>/metrics.json   of one row, with what it was made from and with
    OUT/<log>/<cutoff>/seed-S/<row>/scores.npz     forecasts and outcomes of every customer

Every row is the default configuration on the same customers and window; only what the log tells differs. A finished
row of the same inputs and package version is reused, an unfinished one goes on where it stood.
`seqclv.evaluation.ablation_page` makes the page from these directories alone.
"""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seqclv.config import Config, DataConfig
from seqclv.data.store import EventStore, open_log
from seqclv.data.windows import instant
from seqclv.errors import InputError
from seqclv.evaluation.ablation_logs import AblationLog, Row
from seqclv.evaluation.backtest import check_window, write_json
from seqclv.evaluation.benchmark import LIBRARIES, commit_of_package, settings
from seqclv.evaluation.compare import Contestant, evaluate_contestant, held_out, predictor
from seqclv.evaluation.pieces import Piece, save_pieces
from seqclv.evaluation.scores import sections
from seqclv.training.train import portable, train_bundle
from seqclv.version import __version__

Announce = Callable[[str], None]
METRICS, SCORES = "metrics.json", "scores.npz"


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What to run: everything by name; empty is all that there is."""

    cutoffs: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)

    def cutoffs_of(self, log: AblationLog) -> tuple[str, ...]:
        """The cutoffs of the log that are asked for."""
        return tuple(cutoff for cutoff in log.cutoffs if not self.cutoffs or cutoff in self.cutoffs)

    def rows_of(self, log: AblationLog) -> tuple[Row, ...]:
        """The rows of the log that are asked for."""
        return tuple(row for row in log.rows if not self.rows or row.name in self.rows)


def run_ablation(
    logs: Sequence[AblationLog],
    asked: Ablation,
    out: Path,
    *,
    config: Config,
    online_retail: Path | None = None,
    quiet: bool = False,
    announce: Announce | None = None,
) -> None:
    """Train and judge every row that is asked for and not finished.

    Raises:
        InputError: a cutoff or row is unknown, or a log is refused.
    """
    _require_known(logs, asked)
    say = announce or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        for log in logs:
            place = Path(workspace) / log.name
            place.mkdir()
            log.prepare(place, online_retail)
            for row in asked.rows_of(log):
                say(f"{log.name}: reading the log for '{row.name}'")
                (place / row.name).mkdir()
                store = open_log(row.data(place), place / row.name)
                for seed in asked.seeds:
                    for cutoff in asked.cutoffs_of(log):
                        task = Task(log=log, row=row, cutoff=cutoff, seed=seed)
                        _run(task, store, place_of(out, task), config, quiet, say)


def _require_known(logs: Sequence[AblationLog], asked: Ablation) -> None:
    known = {
        "cutoffs": dict.fromkeys(cutoff for log in logs for cutoff in log.cutoffs),
        "rows": dict.fromkeys(row.name for log in logs for row in log.rows),
    }
    for what, names in known.items():
        unknown = [name for name in getattr(asked, what) if name not in names]
        if unknown:
            raise InputError(f"The {what} of these logs are {', '.join(names)}, but '{unknown[0]}' was asked for.")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row to train and judge on one window."""

    log: AblationLog
    row: Row
    cutoff: str
    seed: int


def place_of(out: Path, task: Task) -> Path:
    """Where the results of a row lie."""
    return out / task.log.name / task.cutoff / f"seed-{task.seed}" / task.row.name


def _run(task: Task, store: EventStore, out: Path, config: Config, quiet: bool, say: Announce) -> None:
    config = replace(config, seed=task.seed, data=DataConfig(transactions=(str(store.path),)))
    inputs = _digest(task, store, config)
    where = f"{task.log.name}, {task.cutoff}, seed {task.seed}, '{task.row.name}'"
    if (out / METRICS).is_file() and json.loads((out / METRICS).read_text())["inputs"] == inputs:
        say(f"{where}: done before")
        return
    (out / METRICS).unlink(missing_ok=True)  # the page never sees metrics of one training and scores of another
    say(f"{where}: training")
    work = out / ".work" / inputs[:16]
    document = _judged(task, store, config, work, out / SCORES, quiet)
    write_json({"inputs": inputs, **document, **_facts(task, config)}, out / METRICS)
    shutil.rmtree(out / ".work")


def _judged(
    task: Task, store: EventStore, config: Config, work: Path, scores_file: Path, quiet: bool
) -> dict[str, Any]:
    """Train the row, write its scores, and return its metrics."""
    events, cutoff, horizon = store.read(), instant(task.cutoff), task.log.horizon_days
    check_window(events, cutoff, horizon, config.data.merge)
    window = held_out(events, cutoff, horizon, config.data.merge)
    bundle, fitted = train_bundle(
        window.history,
        cutoff,
        horizon_days=horizon,
        config=config,
        fingerprint=store.fingerprint,
        work=work,
        quiet=quiet,
    )
    result = evaluate_contestant(window, Contestant(predictor(bundle, cutoff), fitted.seconds, bundle))
    piece = Piece(result.scores, window.actual, result.seconds)
    scores_file.parent.mkdir(parents=True, exist_ok=True)
    save_pieces({task.row.name: piece}, scores_file)
    return {
        "customers": window.history.customers,
        "start": fitted.start,
        "epochs": [len(curve) for curve in fitted.curves],
        "metrics": sections(result.scores, window.actual),
        "seconds": dict(result.seconds),
    }


def _digest(task: Task, store: EventStore, config: Config) -> str:
    parts = [asdict(portable(config)), task.cutoff, task.log.horizon_days]
    text = json.dumps([*parts, store.fingerprint, __version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(task: Task, config: Config) -> dict[str, Any]:
    return {
        "log": task.log.name,
        "cutoff": task.cutoff,
        "horizon_days": task.log.horizon_days,
        "row": task.row.name,
        "seed": task.seed,
        "seqclv": __version__,
        "commit": commit_of_package(),
        "settings": settings(config),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
