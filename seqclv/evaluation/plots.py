"""Plots for run, report and readers who have a minute: each title says what the plot shows of these data.

Every function takes arrays and returns a matplotlib Figure that no global state knows, so it needs no display and
nobody has to close it. Colours are of Okabe and Ito's palette, which colour-blind readers tell apart.

Shape: N customers, D days.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.card import MODEL_NAMES
from seqclv.predictive import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, LIGHT = "#1b1b1b", "#6b6b6b", "#d9d9d9"
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#56b4e9", "#b58900"
MODEL_COLOURS = {"seqclv": BLUE, "pareto_nbd": ORANGE, "bg_nbd": GREEN, "boosting": PURPLE, "formula": YELLOW}
_GROUPS = 10
_SMALL_MISS = 0.05  # of a total: called 'within 5 %'


def decile_chart(forecast: FloatArray, actual: FloatArray, label: str) -> "Figure":
    """Mean forecast against mean actual value in ten groups of customers, by rising forecast.

    Args:
        forecast: [N] expected value per customer.
        actual: [N] what happened.
        label: the quantity with its unit, such as 'purchases in 273 days' or 'spend in 90 days (USD)'.
    """
    groups = [g for g in np.array_split(np.argsort(forecast, kind="stable"), _GROUPS) if len(g)]
    expected = np.array([forecast[g].mean() for g in groups])
    happened = np.array([actual[g].mean() for g in groups])
    place = np.arange(1, len(groups) + 1)
    figure, axes = _canvas(_decile_title(expected, happened, actual), f"{len(forecast):,} customers, {label}")
    axes.bar(place, happened, width=0.72, color=LIGHT, zorder=2)
    axes.plot(place, expected, color=BLUE, linewidth=1.2, marker="o", markersize=7, zorder=3)
    axes.set_xticks(place)
    axes.set_xlabel("customers in ten groups of equal size, from the lowest forecast to the highest")
    axes.set_ylabel("mean per customer")
    axes.set_ylim(0, 1.12 * max(expected.max(), happened.max(), 1e-9))
    axes.set_xlim(0.4, len(groups) + 0.6)
    share = happened[-1] / max(happened.sum(), 1e-12)
    _legend(axes, {"forecast": BLUE, f"actual (the last group brought {share:.0%} of the total)": LIGHT})
    return figure


def _decile_title(expected: FloatArray, happened: FloatArray, actual: FloatArray) -> str:
    if actual.sum() <= 0:
        return "Nothing was bought in this window"
    miss = expected.sum() / happened.sum() - 1
    total = f"{abs(miss):.0%} too {'high' if miss > 0 else 'low'}"
    rises = int((np.diff(happened) >= 0).sum())
    order = "and ranks the groups rightly" if rises == len(happened) - 1 else "and most groups come in the right order"
    if rises < 0.6 * (len(happened) - 1):
        order = "and does not rank the groups"
    return f"The forecast is {total} in total {order}"


def tracking_chart(
    dates: np.ndarray, actual_cumulative: FloatArray, forecasts: Mapping[str, FloatArray], cutoff: object
) -> "Figure":
    """Cumulative purchases over time: what happened, and what each model forecast from the cutoff on.

    Args:
        dates: [D] days, datetime64, rising.
        actual_cumulative: [D] purchases up to and with each day, by the customers known at the cutoff.
        forecasts: by model name, [D] cumulative forecasts; NaN before the cutoff.
        cutoff: the first instant of the held-out window.
    """
    dates = np.asarray(dates, dtype="datetime64[D]")
    start = np.datetime64(str(np.datetime64(cutoff, "D")))  # type: ignore[call-overload]  # numpy checks the value
    known = int(np.searchsorted(dates, start)) - 1
    base = float(actual_cumulative[known]) if known >= 0 else 0.0
    happened = float(actual_cumulative[-1]) - base
    days = int((dates[-1] - start).astype(int)) + 1
    figure, axes = _canvas(_tracking_title(forecasts, base, happened, days), "cumulative purchases of all customers")
    x: Any = dates.astype("datetime64[us]").astype(object)
    border: Any = start.astype("datetime64[us]").astype(object)
    axes.axvspan(border, x[-1], color="#f3f3f3", zorder=0)
    axes.plot(x, actual_cumulative, color=INK, linewidth=2.4, zorder=3)
    ends = {"actual": (float(actual_cumulative[-1]), INK)}
    for i, (name, values) in enumerate(forecasts.items()):
        colour = MODEL_COLOURS.get(name, (SKY, YELLOW, PURPLE)[i % 3])
        axes.plot(x, values, color=colour, linewidth=1.8, linestyle=(0, (5, 1.6)), zorder=4)
        ends[MODEL_NAMES.get(name, name)] = (float(values[-1]), colour)
    top = max(value for value, _ in ends.values())
    axes.set_ylim(min(0.0, float(np.nanmin(actual_cumulative))), 1.06 * top)
    axes.set_xlim(x[0], x[-1])
    axes.text(border, 1.03 * top, "  held out", color=GREY, fontsize=9, va="center")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _concise_dates(axes)
    _end_labels(axes, x[-1], ends, 1.06 * top)
    figure.subplots_adjust(right=0.77)
    return figure


def _tracking_title(forecasts: Mapping[str, FloatArray], base: float, happened: float, days: int) -> str:
    if not forecasts or happened <= 0:
        return f"{happened:,.0f} purchases in the {days} held-out days"
    name = "seqclv" if "seqclv" in forecasts else next(iter(forecasts))
    miss = (float(forecasts[name][-1]) - base) / happened - 1
    side = "more" if miss > 0 else "fewer"
    return f"{MODEL_NAMES.get(name, name)} forecast {abs(miss):.1%} {side} purchases than the {days} held-out days brought"


def reliability_chart(probability: FloatArray, happened: np.ndarray) -> "Figure":
    """How often customers churned, in ten groups of equal size by forecast probability.

    Args:
        probability: [N] forecast churn probability.
        happened: [N] whether the customer made no purchase.
    """
    groups = [g for g in np.array_split(np.argsort(probability, kind="stable"), _GROUPS) if len(g)]
    expected = np.array([probability[g].mean() for g in groups])
    rate = np.array([happened[g].mean() for g in groups])
    size = np.array([len(g) for g in groups])
    margin = 1.96 * np.sqrt(rate * (1 - rate) / size)
    gap = float(np.sum(size * np.abs(expected - rate)) / size.sum())
    title = f"Churn probabilities are off by {100 * gap:.1f} percentage points on average"
    figure, axes = _canvas(title, f"{len(probability):,} customers in ten groups of equal size", size=(6.4, 6.0))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=1)
    axes.text(0.06, 0.075, "forecast = actual", color=GREY, fontsize=9, rotation=45, rotation_mode="anchor")
    axes.errorbar(expected, rate, yerr=margin, color=BLUE, ecolor=SKY, marker="o", linewidth=1.2, markersize=7, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("forecast probability of no purchase")
    axes.set_ylabel("share that made no purchase, with 95 % interval")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return figure


def curves_chart(curves: Sequence[Sequence[Mapping[str, float]]]) -> "Figure":
    """Training and validation loss by epoch, one pair of lines per network.

    Args:
        curves: per network and epoch `train_loss` and `val_loss`, nats per window (see `training.fit.FitResult`).
    """
    best = [min(range(len(curve)), key=lambda e, c=curve: c[e]["val_loss"]) for curve in curves if curve]  # type: ignore[misc]
    kept = " and ".join(str(epoch + 1) for epoch in best)
    number = "The network was" if len(best) == 1 else f"The {len(best)} networks were"
    title = f"{number} best after epoch {kept}" if best else "No epoch was trained"
    figure, axes = _canvas(title, "loss in nats per window, lower is better; a circle marks the weights that were kept")
    for curve, epoch in zip([c for c in curves if c], best, strict=True):
        x = np.arange(1, len(curve) + 1)
        axes.plot(x, [point["train_loss"] for point in curve], color=LIGHT, linewidth=1.8, zorder=2)
        values = [point["val_loss"] for point in curve]
        axes.plot(x, values, color=BLUE, linewidth=1.8, zorder=3)
        axes.plot(epoch + 1, values[epoch], marker="o", markersize=9, color=BLUE, markerfacecolor="white", zorder=4)
    axes.set_xlabel("epoch")
    axes.set_ylabel("nats per window")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes, {"customers held out for validation": BLUE, "training customers": LIGHT}, place="upper right")
    return figure


def _canvas(title: str, subtitle: str, size: tuple[float, float] = (8.4, 4.9)) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, facecolor="white")
    axes = figure.add_subplot()
    height = size[1]
    figure.subplots_adjust(left=0.1, right=0.97, top=1 - 0.82 / height, bottom=0.62 / height)
    figure.text(0.03, 1 - 0.2 / height, title, fontsize=13, fontweight="bold", color=INK, va="top")
    figure.text(0.03, 1 - 0.47 / height, subtitle, fontsize=9.5, color=GREY, va="top")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=GREY, labelsize=9)
    axes.xaxis.label.set(color=GREY, fontsize=9.5)
    axes.yaxis.label.set(color=GREY, fontsize=9.5)
    return figure, axes


def _legend(axes: "Axes", colours: Mapping[str, str], place: str = "upper left") -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=c, marker="o" if c != LIGHT else "s", linestyle="", markersize=7) for c in colours.values()]
    axes.legend(marks, list(colours), loc=place, frameon=False, fontsize=9.5, labelcolor=INK, handletextpad=0.3)


def _concise_dates(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _end_labels(axes: "Axes", x: Any, ends: Mapping[str, tuple[float, str]], top: float) -> None:
    """Names at the right end of the lines, pushed apart where they would lie on one another."""
    step, last = 0.058 * top, -np.inf
    for name, (value, colour) in sorted(ends.items(), key=lambda item: item[1][0]):
        last = max(value, last + step)
        axes.annotate(
            f"{name}  {value:,.0f}",
            (x, last),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
        )
