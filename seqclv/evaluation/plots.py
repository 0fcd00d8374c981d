"""Plots for run, report and readers who have a minute: each title says what the plot shows of these data.

Every function takes arrays and returns a matplotlib Figure that no global state knows, so it needs no display and
nobody has to close it. Colours are of Okabe and Ito's palette, which colour-blind readers tell apart.

Shape: N customers, D days.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.evaluation.metrics import pit_ks
from seqclv.predictive import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, SILVER, LIGHT = "#1b1b1b", "#6b6b6b", "#b0b0b0", "#d9d9d9"
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#56b4e9", "#b58900"
MODEL_COLOURS = {"seqclv": BLUE, "pareto_nbd": ORANGE, "bg_nbd": GREEN, "boosting": PURPLE, "formula": YELLOW}
# Where the key of metrics.json is not a name yet.
SHORT_NAMES = {"seqclv_prior": "Prior", "pareto_nbd": "Pareto/NBD", "bg_nbd": "BG/NBD"}
_GROUPS = 10
_PIT_BINS = 20


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
    axes.set_ylim(0, 1.14 * max(expected.max(), happened.max(), 1e-9))
    axes.set_xlim(0.4, len(groups) + 0.6)
    if happened.sum() > 0:
        top, share = max(expected[-1], happened[-1]), happened[-1] / happened.sum()
        axes.annotate(
            f"{share:.0%} of the actual total",
            (place[-1] + 0.36, top),
            (0, 9),
            textcoords="offset points",
            ha="right",
            color=GREY,
            fontsize=9,
        )
    _legend(axes, {"forecast": (BLUE, "o"), "actual": (LIGHT, "s")})
    return figure


def _decile_title(expected: FloatArray, happened: FloatArray, actual: FloatArray) -> str:
    if actual.sum() <= 0:
        return "Nothing was bought in this window"
    miss = expected.sum() / happened.sum() - 1
    total = (
        "meets the total" if abs(miss) < 0.005 else f"is {abs(miss):.0%} {'above' if miss > 0 else 'below'} the total"
    )
    right = int((np.diff(happened) >= 0).sum())
    steps = len(happened) - 1
    if right == steps:
        return f"The forecast {total} and puts the groups in the right order"
    return f"The forecast {total}; {right} of {steps} steps between groups go the right way"


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
    start = np.datetime64(str(cutoff), "D")
    first = int(np.searchsorted(dates, start))
    base = float(actual_cumulative[first - 1]) if first else 0.0
    shown = max(0, first - (len(dates) - first) // 2)  # of the past half as much as of the window
    happened = float(actual_cumulative[-1]) - base
    title = _tracking_title(forecasts, base, happened, len(dates) - first)
    figure, axes = _canvas(
        title, f"cumulative purchases of all customers; the held-out window from {start} on is shaded"
    )
    x: Any = dates[shown:].astype("datetime64[us]").astype(object)
    axes.axvspan(x[first - shown], x[-1], color="#f2f2f2", zorder=0)
    axes.plot(x, actual_cumulative[shown:], color=INK, linewidth=2.6, zorder=3)
    ends = [(float(actual_cumulative[-1]), INK, f"actual {happened:+,.0f}")]
    for name, values in forecasts.items():
        colour = MODEL_COLOURS.get(name, SKY)
        axes.plot(x, values[shown:], color=colour, linewidth=1.6, zorder=4)
        end = float(values[-1])
        miss = f" {(end - base) / happened - 1:+.1%}".replace("-", "−") if happened > 0 else ""
        ends.append((end, colour, f"{SHORT_NAMES.get(name, name)}{miss}"))
    low = float(actual_cumulative[shown])
    axes.set_ylim(low, low + 1.06 * max(max(end for end, _, _ in ends) - low, 1e-9))
    axes.set_xlim(x[0], x[-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _concise_dates(axes)
    figure.subplots_adjust(right=0.8)
    _end_labels(axes, ends)
    return figure


def _tracking_title(forecasts: Mapping[str, FloatArray], base: float, happened: float, days: int) -> str:
    if not forecasts or happened <= 0:
        return f"{happened:,.0f} purchases in the {days} held-out days"
    name = "seqclv" if "seqclv" in forecasts else next(iter(forecasts))
    miss = (float(forecasts[name][-1]) - base) / happened - 1
    side = "more" if miss > 0 else "fewer"
    return f"{SHORT_NAMES.get(name, name)} forecast {abs(miss):.1%} {side} purchases than the {days} held-out days had"


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
    title = f"Churn probabilities miss by {100 * gap:.1f} points on average"
    figure, axes = _canvas(title, f"{len(probability):,} customers in ten groups of equal size", size=(6.4, 6.0))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=1)
    axes.text(0.04, 0.055, "forecast = actual", color=GREY, fontsize=9, rotation=45, rotation_mode="anchor")
    axes.errorbar(expected, rate, yerr=margin, color=BLUE, marker="o", linewidth=1.2, markersize=6, zorder=3)
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("forecast probability of no purchase")
    axes.set_ylabel("share that made no purchase, with 95 % interval")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return figure


def pit_chart(pit: FloatArray, label: str) -> "Figure":
    """Where in its forecast distribution each customer's actual value fell; flat where the forecast is calibrated.

    Args:
        pit: [N] probability integral transforms.
        label: the quantity with its unit, such as 'purchases in 273 days'.
    """
    number = len(pit)
    count, border = np.histogram(pit, bins=_PIT_BINS, range=(0.0, 1.0))
    density, middle = count * _PIT_BINS / number, (border[1:] + border[:-1]) / 2
    margin = 1.96 * np.sqrt((_PIT_BINS - 1) / number)  # of a bin's density if the forecast is the truth
    subtitle = f"{number:,} customers, {label}: place of the actual value in its forecast distribution"
    figure, axes = _canvas(_pit_title(pit), subtitle)
    axes.bar(middle, density, width=0.9 / _PIT_BINS, color=BLUE, zorder=2)
    axes.axhspan(max(1 - margin, 0), 1 + margin, color=SILVER, alpha=0.45, linewidth=0, zorder=3)
    axes.axhline(1, color=INK, linewidth=1, zorder=4)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.3 * max(float(density.max()), 1 + margin))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("share of the forecast distribution below the actual value")
    axes.set_ylabel("customers, relative to an even spread")
    _legend(axes, {"actual": (BLUE, "s"), "calibrated, with 95 % interval": (SILVER, "s")})
    return figure


def _pit_title(pit: FloatArray) -> str:
    """What a histogram of PITs says: too high or low, then too narrow or wide; chance is told from a finding."""
    distance, number = pit_ks(pit), len(pit)
    shift, spread = float(pit.mean()) - 0.5, float(np.mean(np.abs(pit - 0.5))) - 0.25
    if distance * np.sqrt(number) < 1.36:  # the 95 % point of Kolmogorov's distribution
        finding = "The forecast distributions are calibrated as far as can be told"
    elif abs(shift) >= abs(spread):
        finding = f"Actual values lie too {'high' if shift > 0 else 'low'} in their forecast distributions"
    else:
        finding = f"The forecast distributions are too {'narrow' if spread > 0 else 'wide'}"
    return f"{finding} (PIT-KS {distance:.3f})"


def curves_chart(curves: Sequence[Sequence[Mapping[str, float]]]) -> "Figure":
    """Training and validation loss by epoch, one pair of lines per network.

    Args:
        curves: per network and epoch `train_loss` and `val_loss`, nats per window (see `training.fit.FitResult`).
    """
    from matplotlib.ticker import MaxNLocator

    best = [min(range(len(curve)), key=lambda e, c=curve: c[e]["val_loss"]) for curve in curves if curve]  # type: ignore[misc]
    *most, last = [str(epoch + 1) for epoch in best] or ["0"]
    kept = f"{', '.join(most)} and {last}" if most else last
    number = (
        "The network was best after epoch" if len(best) == 1 else f"The {len(best)} networks were best after epochs"
    )
    title = f"{number} {kept}" if best else "No epoch was trained"
    figure, axes = _canvas(title, "loss in nats per window, lower is better; a circle marks the weights that were kept")
    for curve, epoch in zip([c for c in curves if c], best, strict=True):
        x = np.arange(1, len(curve) + 1)
        axes.plot(x, [point["train_loss"] for point in curve], color=SILVER, linewidth=1.8, zorder=2)
        values = [point["val_loss"] for point in curve]
        axes.plot(x, values, color=BLUE, linewidth=1.8, zorder=3)
        axes.plot(epoch + 1, values[epoch], marker="o", markersize=9, color=BLUE, markerfacecolor="white", zorder=4)
    axes.set_xlim(left=0.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("nats per window")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend(axes, {"validation customers": (BLUE, "o"), "training customers": (SILVER, "_")}, right=True)
    return figure


def _canvas(title: str, subtitle: str, size: tuple[float, float] = (8.4, 4.9)) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, facecolor="white")
    axes = figure.add_subplot()
    height = size[1]
    figure.subplots_adjust(left=0.1, right=0.97, top=1 - 0.82 / height, bottom=0.62 / height)
    head = figure.text(0.03, 1 - 0.2 / height, title, fontsize=13, fontweight="bold", color=INK, va="top")
    room = 0.93 * size[0] * figure.dpi / head.get_window_extent().width
    head.set_fontsize(13 * min(room, 1.0))
    figure.text(0.03, 1 - 0.47 / height, subtitle, fontsize=9.5, color=GREY, va="top")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=GREY, labelsize=9)
    axes.xaxis.label.set(color=GREY, fontsize=9.5)
    axes.yaxis.label.set(color=GREY, fontsize=9.5)
    return figure, axes


def _legend(axes: "Axes", marks: Mapping[str, tuple[str, str]], *, right: bool = False) -> None:
    """Names with their colour and marker, in an upper corner."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=c, marker=m, linestyle="", markersize=7, markeredgewidth=2) for c, m in marks.values()
    ]
    legend = axes.legend(handles, list(marks), loc="upper right" if right else "upper left", fontsize=9.5)
    legend.set(zorder=5)
    legend.get_frame().set(facecolor="white", edgecolor="none", alpha=1)


def _concise_dates(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _end_labels(axes: "Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Texts at the right end of the lines, spread around their middle where they would lie on one another."""
    low, high = axes.get_ylim()
    step = 0.062 * (high - low)
    ordered = sorted(ends)
    place = np.array([value for value, _, _ in ordered])
    for _ in range(200):  # neighbours that are too close push each other apart by halves
        overlap = np.maximum(step - np.diff(place), 0) / 2
        if overlap.max(initial=0) < 0.01 * step:
            break
        place[:-1] -= overlap
        place[1:] += overlap
    leader = {"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
    for y, (value, colour, text) in zip(place, ordered, strict=True):
        axes.annotate(
            text,
            (1.0, value),
            (1.035, y),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            color=colour,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
            arrowprops={**leader, "color": colour},
        )
