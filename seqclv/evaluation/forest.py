"""A forest plot: by how much one method's losses differ from those of each other method, with intervals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seqclv.comparison import MODEL_NAMES
from seqclv.evaluation.bootstrap import LOSSES, Difference
from seqclv.evaluation.plots import BLUE, GREY, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"better": BLUE, "worse": ORANGE, "open": GREY}


def forest_chart(differences: Mapping[str, Mapping[str, Difference]], subtitle: str) -> "Figure":
    """One panel for each loss, one row for each opponent; left of zero seqclv is better.

    Args:
        differences: by opponent and loss.
        subtitle: which customers and window.
    """
    from matplotlib.figure import Figure

    height = 1.9 + 0.32 * len(differences)
    figure = Figure(figsize=(10.4, height), dpi=110, facecolor="white")
    panels = figure.subplots(1, len(LOSSES), sharey=True)
    figure.subplots_adjust(left=0.21, right=0.98, top=1 - 1.15 / height, bottom=0.55 / height, wspace=0.12)
    figure.text(0.015, 1 - 0.18 / height, _title(differences), fontsize=13, fontweight="bold", color=INK, va="top")
    figure.text(0.015, 1 - 0.46 / height, subtitle, fontsize=9.5, color=GREY, va="top")
    for axes, (loss, label) in zip(panels, LOSSES.items(), strict=True):
        _panel(axes, {who: found.get(loss) for who, found in differences.items()}, label)
    panels[0].set_yticks(range(len(differences)), [MODEL_NAMES.get(who, who) for who in differences], color=INK)
    panels[0].set_ylim(len(differences) - 0.5, -0.5)
    return figure


def _title(differences: Mapping[str, Mapping[str, Difference]]) -> str:
    verdicts = [difference.verdict for found in differences.values() for difference in found.values()]
    return (
        f"seqclv is clearly better in {verdicts.count('better')} of {len(verdicts)} comparisons, "
        f"clearly worse in {verdicts.count('worse')}"
    )


def _panel(axes: "Axes", rows: Mapping[str, Difference | None], label: str) -> None:
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    for place, difference in enumerate(rows.values()):
        if difference is None:
            axes.text(0.5, place, "no answer", transform=axes.get_yaxis_transform(), ha="center", va="center")
            axes.texts[-1].set(color=GREY, fontsize=8.5)
            continue
        colour = _COLOURS[difference.verdict]
        axes.plot([difference.low, difference.high], [place, place], color=colour, linewidth=2, zorder=2)
        axes.plot(difference.relative, place, marker="o", markersize=5.5, color=colour, zorder=3)
    axes.set_title(label, fontsize=9.5, color=INK, loc="left")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}".replace("-", "−") if value else "0")
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(length=0, colors=GREY, labelsize=9)
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
