"""Charts as inline SVG: text stays text, colours are the page's variables, nothing refers to another file.

Each function takes a section of the report's document, so that a chart shows the numbers that the tables hold. A chart
is drawn small (400 points wide) and readable on a phone. Every line differs from the others in more than its colour.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from seqclv.evaluation.plots import SHORT_NAMES
from seqclv.report import formats
from seqclv.report.palette import CHART_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, LINE, BLUE, ORANGE, PALE = CHART_COLOURS.values()
_WIDTH, _FONT = 400.0, 11.0
_POINTS = 72.0


def distribution_chart(bands: Sequence[Mapping[str, Any]], currency: str) -> "Figure":
    """Share of customers and share of the money by band of worth, as pairs of bars."""
    rows = [band for band in bands if band["customers"]]
    figure, axes = _canvas(height=44 + 31.0 * len(rows), left=92)
    for i, band in enumerate(reversed(rows)):
        shares = ((band["customers_share"], PALE, GREY, 0.2), (band["worth_share"], BLUE, BLUE, -0.2))
        for share, colour, edge, shift in shares:
            axes.barh(i + shift, share, height=0.36, color=colour, edgecolor=edge, linewidth=0.6)
            axes.annotate(
                formats.percent(share), (max(share, 0), i + shift), (4, 0), textcoords="offset points", va="center"
            )
    axes.set_yticks(range(len(rows)), [band_words(band, currency) for band in reversed(rows)])
    most = max((max(b["customers_share"], b["worth_share"]) for b in rows), default=1.0)
    axes.set(xlim=(0, 1.16 * most), ylim=(-0.6, len(rows) - 0.4))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(True)
    axes.grid(visible=False)
    return figure


def band_words(band: Mapping[str, Any], currency: str = "") -> str:
    """'below 5', '5 to 10', '500 or more'."""
    low, high = band["from"], band["below"]
    words = lambda value: _short(value) + (f" {currency}" if currency else "")  # noqa: E731
    if low is None:
        return f"below {words(high)}"
    return f"{words(low)} or more" if high is None else f"{_short(low)} to {words(high)}"


def _short(value: float) -> str:
    for unit, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def concentration_chart(section: Mapping[str, Any]) -> "Figure":
    """Share of the money that the best customers bring, with the point where it reaches 80 %."""
    figure, axes = _canvas(height=250)
    curve = section["curve"]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(curve["customers"], curve["worth"], color=BLUE, linewidth=2.4)
    share = section["share_needed"]
    if share is not None:
        bringing = section["bringing"]
        axes.plot([share, share, 0], [0, bringing, bringing], color=INK, linewidth=1)
        axes.plot(share, bringing, marker="o", color=INK, markersize=6)
        right = share > 0.35
        axes.annotate(
            f"{formats.percent(share)} of customers\nbring {formats.percent(bringing)}",
            (share, bringing),
            (-9 if right else 10, 5 if right else -26),
            textcoords="offset points",
            ha="right" if right else "left",
            color=INK,
        )
    axes.text(0.66, 0.56, "if all were equal", va="top", color=GREY)
    _percent_axes(axes)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("customers, the most valuable first")
    axes.set_ylabel("share of the money")
    return figure


def deciles_chart(rows: Sequence[Mapping[str, float]]) -> "Figure":
    """Mean forecast and mean spend in ten groups of customers, by rising forecast."""
    figure, axes = _canvas(height=250)
    place = list(range(1, len(rows) + 1))
    axes.bar(place, [row["actual"] for row in rows], width=0.72, color=PALE, edgecolor=GREY, linewidth=0.6)
    axes.plot(place, [row["forecast"] for row in rows], color=BLUE, linewidth=1.4, marker="o", markersize=6)
    axes.set_xticks(place)
    axes.set_xlabel("tenths of the customers, by rising forecast")
    axes.set_ylabel("mean spend")
    axes.yaxis.set_major_formatter(lambda value, _: formats.count(value))
    top = max((max(row["actual"], row["forecast"]) for row in rows), default=1.0)
    axes.set_ylim(0, 1.1 * max(top, 1e-9))
    _legend(axes, {"forecast": (BLUE, "o"), "what happened": (PALE, "s")})
    return figure


def reliability_chart(rows: Sequence[Mapping[str, float]]) -> "Figure":
    """Forecast probability of buying nothing beside the share that bought nothing, with its interval."""
    figure, axes = _canvas(height=290)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    low = [row["actual"] - row["low"] for row in rows]
    high = [row["high"] - row["actual"] for row in rows]
    x, y = [row["forecast"] for row in rows], [row["actual"] for row in rows]
    axes.errorbar(
        x, y, yerr=[low, high], color=BLUE, marker="o", linestyle="none", linewidth=1.4, markersize=6, capsize=2.5
    )
    axes.text(0.97, 0.06, "on the dashed line,\nforecast and fact agree", ha="right", color=GREY)
    _percent_axes(axes)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_xlabel("forecast probability to buy nothing")
    axes.set_ylabel("share that bought nothing")
    return figure


def tracking_chart(section: Mapping[str, Any]) -> "Figure":
    """Cumulative purchases in the held-out window: what happened and what was forecast."""
    figure, axes = _canvas(height=250, right=122)
    days = [0.0, *section["days"]]
    actual = [0.0, *section["actual"]]
    axes.plot(days, actual, color=INK, linewidth=2.6)
    ends = [(actual[-1], INK, f"actual {formats.count(actual[-1])}")]
    styles = ((BLUE, (0, (5, 2))), (ORANGE, (0, (1, 1.4))))
    for (name, values), (colour, dashes) in zip(section["forecasts"].items(), styles, strict=False):
        axes.plot(days, [0.0, *values], color=colour, linewidth=2, linestyle=dashes)
        miss = f" {formats.change(values[-1] / actual[-1] - 1)}" if actual[-1] > 0 else ""
        ends.append((values[-1], colour, f"{SHORT_NAMES.get(name, name)}{miss}"))
    top = max(end for end, _, _ in ends)
    axes.set(xlim=(0, days[-1]), ylim=(0, 1.06 * max(top, 1e-9)))
    axes.yaxis.set_major_formatter(lambda value, _: formats.count(value))
    axes.set_xlabel("days since the cutoff")
    axes.set_ylabel("purchases, summed up")
    _end_labels(axes, ends)
    return figure


def budget_chart(curve: Mapping[str, Sequence[float]], contacts: int) -> "Figure":
    """Value at risk reached by number of contacts: the highest first, the latest buyers first, at random."""
    from matplotlib.lines import Line2D

    figure, axes = _canvas(height=250, right=140)  # the names stand beside the lines, which fill the square
    total = curve["value_at_risk"][-1]
    lines: tuple[tuple[str, str, Any, str], ...] = (
        ("value_at_risk", BLUE, "solid", "most at risk first"),
        ("recency", ORANGE, (0, (5, 2)), "latest buyers first"),
        ("random", GREY, (0, (1, 1.6)), "at random"),
    )
    for name, colour, dashes, _ in lines:
        axes.plot(curve["contacts"], [v / total for v in curve[name]], color=colour, linewidth=2, linestyle=dashes)
    if contacts:
        axes.axvline(contacts, color=INK, linewidth=1)
        words = f"{formats.count(contacts)} contacts"
        axes.annotate(words, (contacts, 0.04), (5, 0), textcoords="offset points", color=INK)
    handles = [Line2D([], [], color=colour, linestyle=dashes, linewidth=2) for _, colour, dashes, _ in lines]
    _name(axes, handles, [label for *_, label in lines], loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set(xlim=(0, max(curve["contacts"][-1], 1)), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.xaxis.set_major_formatter(lambda value, _: formats.count(value))
    axes.set_xlabel("contacts")
    axes.set_ylabel("share of the value at risk")
    return figure


def to_svg(figure: "Figure", name: str, alt: str) -> Markup:
    """The figure as SVG to stand inside a page: its own ids, the page's colours and fonts, a text alternative."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seqclv", "font.size": _FONT}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _own_ids(svg, name)
    for variable, colour in CHART_COLOURS.items():
        svg = re.sub(re.escape(colour), f"var(--{variable})", svg, flags=re.IGNORECASE)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    label = str(Markup.escape(alt))
    return Markup(svg.replace("<svg", f'<svg class="chart" role="img" aria-label="{label}"', 1))


def _own_ids(svg: str, name: str) -> str:
    """Drop ids that nothing refers to and begin the others with the chart's name."""
    used = set(re.findall(r"#([\w-]+)", svg)) & set(re.findall(r'id="([\w-]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    for one in used:
        svg = re.sub(rf"#{one}\b", f"#{name}-{one}", svg)
    return svg


def _canvas(*, height: float, left: float = 52, right: float = 20) -> tuple["Figure", "Axes"]:
    """Axes of a fixed width in points, with room for the labels at the left and at the right end of lines."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": _FONT, "font.family": "sans-serif"}):
        figure = Figure(figsize=(_WIDTH / _POINTS, height / _POINTS))
        axes = figure.add_subplot()
    bottom = 40 if height > 240 else 12
    figure.subplots_adjust(left=left / _WIDTH, right=1 - right / _WIDTH, bottom=bottom / height, top=1 - 10 / height)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(GREY)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=_FONT - 1, labelcolor=INK)
    axes.xaxis.label.set(color=GREY, fontsize=_FONT - 0.5)
    axes.yaxis.label.set(color=GREY, fontsize=_FONT - 0.5)
    return figure, axes


def _percent_axes(axes: "Axes") -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_ticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def _legend(axes: "Axes", marks: Mapping[str, tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=c, marker=m, linestyle="", markersize=7, markeredgecolor=GREY if c == PALE else c)
        for c, m in marks.values()
    ]
    _name(axes, handles, list(marks), loc="upper left")


def _name(axes: "Axes", handles: Sequence[Any], labels: Sequence[str], **place: Any) -> None:
    legend = axes.legend(handles, labels, fontsize=_FONT - 1, frameon=False, handlelength=1.6, **place)
    for text in legend.get_texts():
        text.set_color(INK)


def _end_labels(axes: "Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right ends of the lines, pushed apart where they would lie on one another."""
    low, high = axes.get_ylim()
    step = 0.075 * (high - low)
    ordered = sorted(ends, key=lambda end: end[0])
    place = [value for value, _, _ in ordered]
    for _ in range(200):
        moved = False
        for i in range(len(place) - 1):
            overlap = (step - (place[i + 1] - place[i])) / 2
            if overlap > 0.01 * step:
                place[i], place[i + 1], moved = place[i] - overlap, place[i + 1] + overlap, True
        if not moved:
            break
    for y, (_, colour, text) in zip(place, ordered, strict=True):
        axes.annotate(
            text, (1.0, y), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            color=colour, fontsize=_FONT - 1, va="center", annotation_clip=False,
        )  # fmt: skip
