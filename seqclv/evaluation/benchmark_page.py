"""The benchmark's page, made from the directories that `seqclv.evaluation.benchmark` leaves, and from nothing else."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqclv.comparison import MODEL_NAMES
from seqclv.data.windows import Outcome
from seqclv.evaluation.benchmark import RECORD, Log
from seqclv.evaluation.benchmark_truth import FILE as TRUTH
from seqclv.evaluation.benchmark_truth import MEASURES, TEXT, truth_rows
from seqclv.evaluation.bootstrap import LOSSES, Difference, Losses, customer_losses, paired_differences
from seqclv.evaluation.compare import OURS
from seqclv.evaluation.forest import forest_chart
from seqclv.evaluation.pieces import load_pieces
from seqclv.files import whole_file

COMMAND = "python scripts/benchmark.py"
RESAMPLES = 1000
# Section, metric, heading, format, and what is best: 'low', 'high', or the value to be near to.
COLUMNS: tuple[tuple[str, str, str, str, str | float], ...] = (
    ("churn", "log_loss", "log-loss", ".4f", "low"),
    ("churn", "brier", "Brier", ".4f", "low"),
    ("churn", "auc", "AUC", ".3f", "high"),
    ("churn", "ece", "ECE", ".3f", "low"),
    ("transactions", "crps", "CRPS", ".4f", "low"),
    ("transactions", "rmse", "RMSE", ".3f", "low"),
    ("transactions", "mae_of_median", "MAE of median", ".3f", "low"),
    ("transactions", "bias", "bias", "+.1%", 0.0),
    ("transactions", "gini", "Gini", ".3f", "high"),
    ("transactions", "spearman", "Spearman", ".3f", "high"),
    ("transactions", "pit_ks", "PIT-KS", ".3f", "low"),
    ("spend", "crps", "CRPS", ".2f", "low"),
    ("spend", "rmse", "RMSE", ".2f", "low"),
    ("spend", "mae_of_median", "MAE of median", ".2f", "low"),
    ("spend", "bias", "bias", "+.1%", 0.0),
    ("spend", "gini", "Gini", ".3f", "high"),
    ("spend", "spearman", "Spearman", ".3f", "high"),
    ("spend", "coverage_90", "90 % interval covers", ".1%", 0.9),
    ("spend", "pit_ks", "PIT-KS", ".3f", "low"),
    ("seconds", "fit", "fit", ".1f", "none"),
    ("seconds", "predict", "predict", ".1f", "none"),
)
SECTIONS = {"churn": "Churn", "transactions": "Purchases", "spend": "Spend", "seconds": "Seconds"}
_SPREAD = (("churn", "log_loss"), ("transactions", "rmse"), ("transactions", "bias"), ("spend", "rmse"))


@dataclass(frozen=True)
class Judged:
    """One held-out window of a finished study."""

    cutoff: str
    horizon_days: float
    documents: tuple[Mapping[str, Any], ...]  # metrics.json, one for each seed
    actual: Outcome
    differences: Mapping[str, Mapping[str, Difference]]  # by opponent and loss

    def figures(self, model: str, section: str, metric: str) -> list[float | None]:
        """The figure of each seed."""
        return [document["models"][model][section][metric] for document in self.documents]

    def mean(self, model: str, section: str, metric: str) -> float | None:
        """The figure's mean over the seeds; None where a method has no answer."""
        found = [figure for figure in self.figures(model, section, metric) if figure is not None]
        return sum(found) / len(found) if len(found) == len(self.documents) else None

    @property
    def models(self) -> list[str]:
        """The names of the models, ours first."""
        return list(self.documents[0]["models"])


def write_page(directories: Sequence[Path], logs: Mapping[str, Log], page: Path, *, resamples: int = RESAMPLES) -> None:
    """Write the page and, in `images` beside it, its plots."""
    records = [json.loads((directory / RECORD).read_text()) for directory in directories]
    studies = [
        (record, [judge(directory, record, cutoff, resamples) for cutoff in record["cutoffs"]])
        for directory, record in zip(directories, records, strict=True)
    ]
    parts = [_head(records, resamples), _summary(studies, logs)]
    titled = ""
    for directory, (record, windows) in zip(directories, studies, strict=True):
        if record["log"] != titled:
            titled = record["log"]
            parts.append(f"## {logs[titled].title}\n\n{logs[titled].note}")
        parts += [_window(window, record, logs[titled], page.parent / "images") for window in windows]
        if (directory / TRUTH).is_file():
            parts.append(_truth(json.loads((directory / TRUTH).read_text()), record, logs[titled]))
    with whole_file(page) as staging:
        staging.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def judge(directory: Path, record: Mapping[str, Any], cutoff: str, resamples: int) -> Judged:
    """Read one window of a finished study; losses are averaged over the seeds, then compared."""
    places = [directory / f"seed-{seed}" / cutoff for seed in record["seeds"]]
    documents = tuple(json.loads((place / "metrics.json").read_text()) for place in places)
    seeds: list[dict[str, Losses]] = []
    for place in places:
        pieces = load_pieces(place / "scores.npz")
        actual = pieces[OURS].actual
        seeds.append({model: customer_losses(piece.scores, actual) for model, piece in pieces.items()})
    losses = {
        model: {name: np.mean([seed[model][name] for seed in seeds], axis=0) for name in seeds[0][model]}
        for model in seeds[0]
    }
    ours = losses.pop(OURS)
    differences = paired_differences(ours, losses, resamples=resamples)
    return Judged(cutoff, record["horizon_days"], documents, actual, differences)


def _head(records: Sequence[Mapping[str, Any]], resamples: int) -> str:
    made = dict.fromkeys(made_by(record) for record in records)
    seeds = dict.fromkeys(", ".join(map(str, record["seeds"])) for record in records)
    return f"""# Benchmarks

Made by `{COMMAND}` from backtests; no figure on this page is typed by hand.
{" ".join(made)} Seeds {" and ".join(seeds)}.

Every model is fitted on what lies before a cutoff and judged on the days after it, on the same customers: all with a
purchase before the cutoff. {_configuration(records)} A figure is the mean over the seeds; the best of a column is
bold. A dash says that a method has no answer: nothing is invented for it.

- **Bias** is the sum of forecasts / the sum of actual values - 1. **CRPS** judges the whole distribution, **RMSE** the
  mean, **MAE of median** the median. **Gini** (normalized) and **Spearman** judge the ranking. **ECE** is the mean gap
  between forecast and actual share of churn. Churn is a window without a purchase. **PIT-KS** is the largest gap
  between the distribution of the (randomized) probability integral transforms and the uniform one that a calibrated
  forecast gives.
- **Differences** are the mean loss of seqclv / that of the other method - 1, below zero where seqclv is better, with
  the 95 % interval of a bootstrap by customer ({resamples:,} resamples, paired, losses averaged over the seeds first).
  'Better' and 'worse' stand where the interval leaves zero out. The interval holds the chance of the customers, not
  that of the training: the spread over the seeds stands beside it.
- **Seconds** were taken on the machine of the run, on all logs with one thread for each network.

The models beside seqclv:

- *seqclv (prior, untrained)*: the network pretrained on simulated bases that ships with the package, not fitted to the
  log.
- *Pareto/NBD* and *BG/NBD*, with *Gamma-Gamma* for the amounts: the classical models, by maximum likelihood.
- *Boosting on cutoff features*: gradient-boosted trees for count, spend and churn, fitted at several past cutoffs.
- *Value x frequency x lifespan*: the formula of marketing textbooks.
- *Zero-inflated lognormal network*: a head for who buys and how much on a fixed horizon, on the features and past
  cutoffs of boosting (Wang, Liu and Miao 2019). It knows no counts.
- *Weekly-count LSTM*: simulated forward week by week, 64 paths for each customer (Valendin et al. 2022). It knows no
  money. Its batch size and patience were chosen on the windows from July of CDNOW's tenth and Complete Journey, so
  that its figures there are, if anything, flattered."""


def _configuration(records: Sequence[Mapping[str, Any]]) -> str:
    changed = {f"{key}={value}": None for record in records for key, value in record["settings"].items()}
    if not changed:
        return "seqclv runs with its default configuration on every log."
    return f"seqclv runs with other settings than its defaults: {', '.join(f'`{text}`' for text in changed)}."


def made_by(record: Mapping[str, Any]) -> str:
    """The versions that made a finished study."""
    commit = f" (commit {record['commit']})" if record["commit"] else ""
    libraries = ", ".join(f"{name} {number}" for name, number in record["libraries"].items())
    return f"seqclv {record['seqclv']}{commit}, Python {record['python']}, {libraries}."


def _summary(studies: Sequence[tuple[Mapping[str, Any], Sequence[Judged]]], logs: Mapping[str, Log]) -> str:
    rows = [
        [f"{logs[record['log']].title}, {window.cutoff}, {window.horizon_days:g} days"]
        + [_verdicts(window, loss) for loss in LOSSES]
        for record, windows in studies
        for window in windows
    ]
    text = "Against how many of the other methods seqclv is clearly better, and which are clearly better than it."
    return f"## In short\n\n{text}\n\n{table(['window', *LOSSES.values()], rows)}"


def _verdicts(window: Judged, loss: str) -> str:
    found = {who: named[loss].verdict for who, named in window.differences.items() if loss in named}
    text = f"better than {sum(verdict == 'better' for verdict in found.values())} of {len(found)}"
    worse = [MODEL_NAMES[who] for who, verdict in found.items() if verdict == "worse"]
    return f"{text}; **worse than {', '.join(worse)}**" if worse else text


def _window(window: Judged, record: Mapping[str, Any], log: Log, images: Path) -> str:
    name = f"benchmark-{record['log']}-{window.horizon_days:g}d-{window.cutoff}.png"
    customers = len(window.actual.transactions)
    days = f"{window.horizon_days:g} days from {window.cutoff}"
    images.mkdir(parents=True, exist_ok=True)
    figure = forest_chart(
        window.differences,
        f"{log.title}: {customers:,} customers, {days}; left of zero seqclv is better, with 95 % intervals",
    )
    figure.savefig(images / name, metadata={"Software": None})
    bought = float(np.mean(window.actual.transactions > 0))
    facts = (
        f"{customers:,} customers, of whom {bought:.1%} bought, {window.actual.transactions.sum():,.0f} times for "
        f"{window.actual.spend.sum():,.2f}."
    )
    parts = [f"### {log.title}, {days}", facts]
    parts += [f"{title}:\n\n{_section(window, section)}" for section, title in SECTIONS.items()]
    parts.append(f"seqclv against each other method, difference of the mean loss:\n\n{_differences(window)}")
    parts.append(f"![seqclv against each other method]({images.name}/{name})")
    if len(window.documents) > 1:
        parts.append(f"From the lowest to the highest seed, where seeds matter:\n\n{_spread(window)}")
    return "\n\n".join(parts)


def _truth(document: Mapping[str, Any], record: Mapping[str, Any], log: Log) -> str:
    """The section of a simulated log that holds the forecasts against the truth."""
    parts = [f"### {log.title}, {record['horizon_days']:g} days: forecasts against the truth", TEXT]
    head = ["model", *(heading for _, heading, *_ in MEASURES)]
    parts += [f"From {cutoff}:\n\n{table(head, truth_rows(found))}" for cutoff, found in document.items()]
    return "\n\n".join(parts)


def _section(window: Judged, section: str) -> str:
    columns = [column for column in COLUMNS if column[0] == section]
    values = {
        (model, metric): window.mean(model, section, metric) for model in window.models for _, metric, *_ in columns
    }
    best = {metric: _best([values[model, metric] for model in window.models], aim) for _, metric, _, _, aim in columns}
    rows = []
    for model in window.models:
        cells = [_cell(values[model, metric], form, best[metric]) for _, metric, _, form, _ in columns]
        rows.append([MODEL_NAMES[model], *cells])
    return table(["model", *(heading for _, _, heading, _, _ in columns)], rows)


def _best(values: Sequence[float | None], aim: str | float) -> float | None:
    known = [value for value in values if value is not None]
    if aim == "none" or not known:
        return None
    keys: dict[str, Callable[[float], float]] = {"low": lambda v: v, "high": lambda v: -v}
    return min(known, key=keys[aim] if isinstance(aim, str) else lambda v: abs(v - aim))


def _cell(value: float | None, form: str, best: float | None) -> str:
    if value is None:
        return "-"
    text = format(value, form)
    return f"**{text}**" if best is not None and text == format(best, form) else text


def _differences(window: Judged) -> str:
    rows = []
    for who, found in window.differences.items():
        rows.append([MODEL_NAMES[who], *(difference_cell(found.get(loss)) for loss in LOSSES)])
    return table(["other method", *LOSSES.values()], rows)


def difference_cell(difference: Difference | None) -> str:
    """A difference with its interval and verdict."""
    if difference is None:
        return "-"
    verdict = {"better": " better", "worse": " **worse**", "open": ""}[difference.verdict]
    return f"{difference.relative:+.1%} ({difference.low:+.1%} to {difference.high:+.1%}){verdict}"


def _spread(window: Judged) -> str:
    columns = [column for column in COLUMNS if column[:2] in _SPREAD]
    rows = []
    for model in window.models:
        found = [window.figures(model, section, metric) for section, metric, *_ in columns]
        if all(len(set(figures)) == 1 for figures in found):
            continue
        cells = [_range(figures, form) for figures, (_, _, _, form, _) in zip(found, columns, strict=True)]
        rows.append([MODEL_NAMES[model], *cells])
    headings = [f"{SECTIONS[section].lower()} {heading}" for section, _, heading, _, _ in columns]
    return table(["model", *headings], rows)


def _range(figures: Sequence[float | None], form: str) -> str:
    known = [figure for figure in figures if figure is not None]
    return f"{min(known):{form}} to {max(known):{form}}" if len(known) == len(figures) else "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned to the left, the others to the right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
