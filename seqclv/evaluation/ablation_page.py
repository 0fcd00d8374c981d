"""The ablation's page, made from the directories that `seqclv.evaluation.ablation` leaves, and from nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqclv.data.windows import Outcome
from seqclv.evaluation.ablation import METRICS, SCORES, Task, place_of
from seqclv.evaluation.ablation_logs import DEFAULT, AblationLog, Row
from seqclv.evaluation.benchmark_page import RESAMPLES, difference_cell, made_by, table
from seqclv.evaluation.bootstrap import (
    LOSSES,
    Difference,
    auc_difference,
    customer_losses,
    paired_differences,
)
from seqclv.evaluation.pieces import Piece, load_pieces
from seqclv.files import whole_file
from seqclv.predictive import FloatArray

COMMAND = "python scripts/ablation.py"
# Section, metric, heading, format and whether low or high is best.
COLUMNS = (
    ("churn", "log_loss", "churn log-loss", ".4f", min),
    ("churn", "auc", "churn AUC", ".4f", max),
    ("transactions", "rmse", "purchases RMSE", ".3f", min),
    ("transactions", "crps", "purchases CRPS", ".4f", min),
    ("spend", "rmse", "spend RMSE", ".2f", min),
)


@dataclass(frozen=True)
class Finished:
    """A row of one window over the seeds that are finished: by seed, its document and its piece."""

    row: Row
    documents: Mapping[int, Mapping[str, Any]]
    pieces: Mapping[int, Piece]

    def mean(self, section: str, metric: str) -> float:
        """The metric's mean over the seeds."""
        found = [document["metrics"][section][metric] for document in self.documents.values()]
        return float(np.mean(found))


def write_ablation_page(logs: Sequence[AblationLog], out: Path, page: Path, *, resamples: int = RESAMPLES) -> None:
    """Write the page of all rows that are finished, beside a finished default of the same seed."""
    parts: list[str] = []
    made: dict[str, None] = {}
    changed: dict[str, None] = {}
    for log in logs:
        windows = [(cutoff, finished_rows(log, cutoff, out)) for cutoff in log.cutoffs]
        windows = [(cutoff, rows) for cutoff, rows in windows if rows]
        if windows:
            parts.append(f"## {log.title}\n\n{log.note}")
        for cutoff, rows in windows:
            parts.append(_window(log, cutoff, rows, resamples))
            documents = [document for row in rows for document in row.documents.values()]
            made |= {made_by(document): None for document in documents}
            changed |= {f"`{key}={value}`": None for d in documents for key, value in d["settings"].items()}
    with whole_file(page) as staging:
        staging.write_text("\n\n".join([_head(list(made), list(changed), resamples), *parts]) + "\n", encoding="utf-8")


def finished_rows(log: AblationLog, cutoff: str, out: Path) -> list[Finished]:
    """The finished rows of a window, the default first; none without a finished default."""
    found = []
    for row in log.rows:
        seeds = sorted(int(path.name.removeprefix("seed-")) for path in (out / log.name / cutoff).glob("seed-*"))
        places = {seed: place_of(out, Task(log=log, row=row, cutoff=cutoff, seed=seed)) for seed in seeds}
        places = {seed: place for seed, place in places.items() if (place / METRICS).is_file()}
        documents = {seed: json.loads((place / METRICS).read_text()) for seed, place in places.items()}
        pieces = {seed: load_pieces(place / SCORES)[row.name] for seed, place in places.items()}
        if documents:
            found.append(Finished(row, documents, pieces))
    return found if found and found[0].row.name == DEFAULT else []


def _head(made: Sequence[str], changed: Sequence[str], resamples: int) -> str:
    config = f"the configuration ({', '.join(changed)}, else the defaults)" if changed else "the default configuration"
    return f"""# What richer events are worth

Made by `{COMMAND}`; no figure on this page is typed by hand. {" ".join(made)}

The default model knows who bought when and for how much. Each further row tells it more, on the same customers
and the same days after the cutoff, with {config}. [How a log gets in](data.md) says how such a log is
configured.

- A figure is the mean over the seeds; the best of a column is bold.
- **Differences** are the mean loss of a row / that of the default model - 1, below zero where telling more helps, with
  the 95 % interval of a bootstrap by customer ({resamples:,} resamples, paired, losses averaged over the seeds that
  both have). 'Better' and 'worse' stand where the interval leaves zero out. For AUC it is the plain difference, above
  zero where telling more helps.
- The interval holds the chance of the customers, not that of the training. What another seed does to the same row
  stands under **from seed to seed**, where there are several: a difference within that spread says little.
- Attributes and kinds of events are read by the encoder. The numbers of events of further kinds, over all time and of
  late, are features of the forecast beside it, as are static attributes.
- **Tried and left out**: features of the forecast from the mean of each attribute over past purchases, so far and of
  late, and from the time since the last event of each further kind. On the earlier window of both logs, neither
  logistic and Poisson regression nor boosted trees on the features of the forecast gained from them throughout:
  what they won in one loss on one log they lost in another, and churn was never clearly forecast better."""


def _window(log: AblationLog, cutoff: str, rows: Sequence[Finished], resamples: int) -> str:
    default = rows[0]
    actual = next(iter(default.pieces.values())).actual
    bought = float(np.mean(actual.transactions > 0))
    seeds = ", ".join(str(seed) for seed in default.documents)
    start = {str(document["start"]) for row in rows for document in row.documents.values()}
    parts = [
        f"### {log.title}, {log.horizon_days:g} days from {cutoff}",
        f"{len(actual.transactions):,} customers, of whom {bought:.1%} bought. Seeds of the default: {seeds}. Training "
        f"started from {' and '.join(sorted(start))}.",
        _figures(rows),
    ]
    if len(rows) > 1:
        parts += ["Beside the default model:", _differences(rows, resamples)]
    if len(default.documents) > 1:
        parts += ["From seed to seed, lowest to highest:", _spread(rows)]
    return "\n\n".join(parts)


def _figures(rows: Sequence[Finished]) -> str:
    cells = []
    for section, metric, _, form, best in COLUMNS:
        values = [row.mean(section, metric) for row in rows]
        target = format(best(values), form)
        cells.append([f"**{target}**" if format(v, form) == target else format(v, form) for v in values])
    lines = [[row.row.title, *column] for row, column in zip(rows, zip(*cells, strict=True), strict=True)]
    return table(["model", *(heading for _, _, heading, *_ in COLUMNS)], lines)


def _spread(rows: Sequence[Finished]) -> str:
    lines = []
    for row in rows:
        cells = [row.row.title]
        for section, metric, _, form, _ in COLUMNS:
            found = [document["metrics"][section][metric] for document in row.documents.values()]
            cells.append(f"{min(found):{form}} to {max(found):{form}}")
        lines.append(cells)
    return table(["model", *(heading for _, _, heading, *_ in COLUMNS)], lines)


def _differences(rows: Sequence[Finished], resamples: int) -> str:
    lines = [
        [row.row.title, *difference_cells(row, rows[0], resamples)]
        for row in rows[1:]
        if row.documents.keys() & rows[0].documents.keys()
    ]
    return table(["model", *LOSSES.values(), "churn AUC"], lines)


def difference_cells(row: Finished, default: Finished, resamples: int) -> list[str]:
    """The paired differences of a row to the default over the seeds that both have: one cell for each loss, and AUC."""
    seeds = sorted(row.pieces.keys() & default.pieces.keys())
    actual = default.pieces[seeds[0]].actual
    for seed in seeds:
        _require_same(row.pieces[seed].actual, actual)
    mine, other = (_mean_losses([who.pieces[seed] for seed in seeds]) for who in (row, default))
    found: Mapping[str, Difference] = paired_differences(mine, {DEFAULT: other}, resamples=resamples)[DEFAULT]
    difference, low, high = auc_difference(
        [_churn(row.pieces[seed]) for seed in seeds],
        [_churn(default.pieces[seed]) for seed in seeds],
        actual.transactions == 0,
        resamples=resamples,
    )
    word = " better" if low > 0 else " **worse**" if high < 0 else ""
    auc = f"{difference:+.4f} ({low:+.4f} to {high:+.4f}){word}"
    return [*(difference_cell(found.get(loss)) for loss in LOSSES), auc]


def _require_same(actual: Outcome, other: Outcome) -> None:
    """Rows are paired by customer: all of them must be about the same ones."""
    if not (
        np.array_equal(actual.transactions, other.transactions) and np.allclose(actual.spend, other.spend, atol=1e-6)
    ):
        raise ValueError("rows of the ablation are about different outcomes")


def _mean_losses(pieces: Sequence[Piece]) -> dict[str, FloatArray]:
    found = [customer_losses(piece.scores, piece.actual) for piece in pieces]
    return {name: np.mean([losses[name] for losses in found], axis=0) for name in found[0]}


def _churn(piece: Piece) -> FloatArray:
    if piece.scores.churn is None:
        raise TypeError("a network gives probabilities of churn")
    return piece.scores.churn
