"""The page about the prior and its plot, from the document of `seqclv.evaluation.prior_study` alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.config import TrainingConfig
from seqclv.data.statistics import STATISTICS
from seqclv.evaluation.plots import BLUE, GREY, INK, ORANGE, PURPLE, SKY
from seqclv.evaluation.prior_study import LOSSES, START_MODELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Entries = Mapping[str, Any]
NAMES = {
    "seqclv_prior": "seqclv (prior, untrained)",
    "from_prior": "seqclv, from the prior",
    "from_scratch": "seqclv, from scratch",
    "pareto_nbd": "Pareto/NBD + Gamma-Gamma",
    "boosting": "boosting",
}
_COLOURS = dict(zip(START_MODELS, (SKY, BLUE, PURPLE, ORANGE, GREY), strict=True))
_CURVES = (("churn", "log_loss", "churn log-loss"), ("transactions", "crps", "CRPS of purchases"))


def prior_page(entries: Entries, card: Mapping[str, Any], plot: str) -> str:
    """The page as Markdown; parts that are not in the document are left out."""
    lines = [
        "# The prior",
        "",
        "Made by `python scripts/prior_benchmark.py`; no figure on this page is typed by hand.",
        "",
        "The prior is a network that ships with seqclv. It was trained on simulated customer bases of very many kinds "
        "and reads off a log what kind of base it is: from at most 2,000 customers, their histories before the cutoff "
        "alone. So it forecasts any log at once, without training:",
        "",
        "    seqclv score --model prior --transactions log.parquet --cutoff 2024-07-01 --out forecasts.parquet",
        "",
        '    seqclv.load("prior").forecast(log, "2024-07-01", [30, 90, 365])',
        "",
        "`train` and `backtest` start from it (`--from-scratch` turns that off): half of the networks, rounded down "
        "but one at least, are tuned from its weights, the others begin anew on its scales, since they err in other "
        "ways. A small base tells little about the time to come. So the weights of a tuned network are drawn back "
        f"towards the prior's, which count as {TrainingConfig().prior_weight:,} purchases beside the base's own "
        "(`training.prior_weight`), and where training does not improve the likelihood of the customers held out for "
        "validation it stays the prior. A model is the average of all of these and of the untrained prior. "
        "It is one network of one size: a configuration with another `model` than the default starts from scratch. "
        "So does a base of more than "
        f"{TrainingConfig().prior_purchases:,} purchases (`training.prior_purchases`): it has enough of its own. The "
        "prior knows no calendar: a yearly season or a weekday pattern of a log is learned in training only.",
        "",
        "## How it was made",
        "",
        *(f"- {name.replace('_', ' ').capitalize()}: {value}" for name, value in card.items()),
        "",
    ]
    lines += _against(entries) + _curves(entries, plot) + _ranges(entries) + _calibration(entries) + _time(entries)
    return "\n".join(lines)


def _against(entries: Entries) -> list[str]:
    keys = [key for key in entries if key.startswith(("log:", "family:"))]
    if not keys:
        return []
    lines = [
        "## Untrained, against a fitted model",
        "",
        "The prior, which has not been trained on a log, against Pareto/NBD with Gamma-Gamma amounts fitted to that "
        "log: the difference of the mean loss relative to the fitted model's, below zero where the prior is better, "
        "with its paired standard error over customers. Clearly better or worse is a difference of more than two "
        "standard errors. The families are simulated, by other laws than those that the prior was trained on: it knows "
        "pauses, rhythms and the first three families in kind, lognormal gaps, power laws and seasonal gifts not.",
        "",
        "| base | customers | " + " | ".join(LOSSES) + " |",
        "|---|---:|" + "---:|" * len(LOSSES),
    ]
    for key in keys:
        found = entries[key]
        cells = [_difference(d, e) for d, e in zip(found["difference"], found["error"], strict=True)]
        lines.append(f"| {key.split(':', 1)[1]} | {found['customers']:,} | " + " | ".join(cells) + " |")
    return [*lines, "", *_verdict(entries, keys), ""]


def _difference(difference: float, error: float) -> str:
    word = "better" if difference < -2 * error else "worse" if difference > 2 * error else ""
    return f"{difference:+.1%} (± {error:.1%}) {word}".strip()


def _verdict(entries: Entries, keys: Sequence[str]) -> list[str]:
    """Counts over the two losses that the prior is asked for: churn and purchases."""
    pairs = [(entries[key]["difference"][i], entries[key]["error"][i]) for key in keys for i in range(2)]
    better = sum(d < -2 * e for d, e in pairs)
    worse = sum(d > 2 * e for d, e in pairs)
    no_worse = sum(d <= 0 for d, _ in pairs)
    return [
        f"Over churn log-loss and CRPS of purchases, {len(pairs)} comparisons: the prior is clearly better in "
        f"{better}, clearly worse in {worse}; its mean loss is no higher in {no_worse}."
    ]


def _curves(entries: Entries, plot: str) -> list[str]:
    grouped = start_groups(entries)
    if not grouped:
        return []
    seeds = sorted({len(runs) for sizes in grouped.values() for runs in sizes.values()})
    lines = [
        "## As a start of training",
        "",
        "Models of random subsets of a log's customers, judged on the same 2,000 customers of the whole log. Means "
        f"over the subsets drawn, {' or '.join(str(n) for n in seeds)} of each size. Both trainings average three "
        "networks. The one from the prior is what `train` does by default: it averages the prior too, and above "
        f"{TrainingConfig().prior_purchases:,} purchases it starts from scratch as well.",
        "",
        f"![Accuracy against the number of customers]({plot})",
        "",
    ]
    for section, metric, title in _CURVES:
        lines += [f"{title[0].upper()}{title[1:]}:", ""]
        lines += ["| log | customers | " + " | ".join(NAMES[name] for name in START_MODELS) + " |"]
        lines += ["|---|---:|" + "---:|" * len(START_MODELS)]
        for log, sizes in grouped.items():
            for size, runs in sizes.items():
                values = [_mean(runs, name, section, metric) for name in START_MODELS]
                known = [value for value in values if value is not None]
                cells = [_best(value, min(known)) for value in values]
                lines.append(f"| {log} | {size:,} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def _best(value: float | None, best: float) -> str:
    if value is None:
        return "-"
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def start_groups(entries: Entries) -> dict[str, dict[int, list[Any]]]:
    """The entries of subsets by log and size."""
    grouped: dict[str, dict[int, list[Any]]] = {}
    for key, found in entries.items():
        if key.startswith("start:"):
            _, log, size, _ = key.split(":")
            grouped.setdefault(log, {}).setdefault(int(size), []).append(found)
    return {log: dict(sorted(sizes.items())) for log, sizes in grouped.items()}


def _mean(runs: Sequence[Any], model: str, section: str, metric: str) -> float | None:
    values = [run[model][section][metric] for run in runs]
    return None if any(value is None for value in values) else float(np.mean(values))


def _ranges(entries: Entries) -> list[str]:
    if "ranges" not in entries:
        return []
    found = entries["ranges"]
    logs = found["logs"]
    lines = [
        "## Real logs among the simulated bases",
        "",
        f"Lowest, median and highest value of {found['bases']:,} simulated bases, and the value of each log with the "
        "share of the simulated bases below it.",
        "",
        "| statistic | simulated | " + " | ".join(logs) + " |",
        "|---|---:|" + "---:|" * len(logs),
    ]
    for i, name in enumerate(STATISTICS):
        low, _, middle, _, high = found["drawn"][i]
        cells = [f"{log['values'][i]:.3g} ({log['quantiles'][i]:.0%})" for log in logs.values()]
        lines.append(f"| {name} | {low:.3g}, {middle:.3g}, {high:.3g} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _calibration(entries: Entries) -> list[str]:
    if "calibration" not in entries:
        return []
    found = entries["calibration"]
    forecast, actual, pit = (np.asarray(found[name]) for name in ("forecast", "actual", "pit"))
    return [
        "## Calibration on simulated bases",
        "",
        f"{found['customers']:,} customers of {found['bases']} bases that were not trained on, each base with a "
        "horizon of its own. Churn in tenths of the forecast probability:",
        "",
        "| | " + " | ".join(str(i + 1) for i in range(len(forecast))) + " |",
        "|---|" + "---:|" * len(forecast),
        "| forecast | " + " | ".join(f"{v:.3f}" for v in forecast) + " |",
        "| actual | " + " | ".join(f"{v:.3f}" for v in actual) + " |",
        "",
        f"The mean gap is {np.abs(forecast - actual).mean():.4f}, the largest {np.abs(forecast - actual).max():.4f}. "
        "Shares of the probability integral transforms of counts in ten equal parts, each .100 if the forecasts are "
        "calibrated: " + ", ".join(f"{v:.3f}" for v in pit) + ".",
        "",
    ]


def _time(entries: Entries) -> list[str]:
    if "time" not in entries:
        return []
    found = entries["time"]
    return [
        "## Time",
        "",
        f"`seqclv score --model prior` with three horizons for {found['customers']:,} customers took "
        f"{found['processor']:.1f} s of processor time and {found['wall']:.1f} s by the clock on the machine of the "
        "run, start-up and reading the log included.",
        "",
    ]


def curves_figure(entries: Entries) -> "Figure":
    """Accuracy against the number of customers: one row for each figure, one column for each log."""
    from matplotlib.figure import Figure

    grouped = start_groups(entries)
    figure = Figure(figsize=(3.6 * len(grouped) + 0.6, 6.2), dpi=110, facecolor="white")
    panels = figure.subplots(len(_CURVES), len(grouped), squeeze=False, sharex="col")
    for column, (log, sizes) in enumerate(grouped.items()):
        for row, (section, metric, title) in enumerate(_CURVES):
            axes = panels[row][column]
            for name in START_MODELS:
                _line(axes, sizes, name, section, metric)
            axes.set_title(log if row == 0 else "", fontsize=10, color=INK, loc="left")
            axes.set_ylabel(title if column == 0 else "", fontsize=9, color=INK)
    panels[-1][0].set_xlabel("customers that a model was made from", fontsize=9, color=GREY)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=5, frameon=False, fontsize=8.5)
    figure.subplots_adjust(left=0.08, right=0.985, top=0.88, bottom=0.09, wspace=0.24, hspace=0.12)
    return figure


def _line(axes: "Axes", sizes: Mapping[int, Sequence[Any]], name: str, section: str, metric: str) -> None:
    points = [(size, _mean(runs, name, section, metric)) for size, runs in sizes.items()]
    known = [(size, value) for size, value in points if value is not None]
    if known:
        axes.plot(*zip(*known, strict=True), marker="o", markersize=4, color=_COLOURS[name], label=NAMES[name])
    axes.set_xscale("log")
    axes.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, colors=GREY, labelsize=8.5)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)


def write_prior_page(entries: Entries, card: Mapping[str, Any], directory: Path) -> Path:
    """Write prior.md and its plot into the directory."""
    plot = "images/prior.png"
    if start_groups(entries):
        (directory / "images").mkdir(parents=True, exist_ok=True)
        curves_figure(entries).savefig(directory / plot)
    page = directory / "prior.md"
    page.write_text(prior_page(entries, card, plot))
    return page
