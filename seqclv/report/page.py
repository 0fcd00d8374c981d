"""The report as one self-contained HTML page: the document's numbers in words, tables and charts."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from seqclv.report import charts, formats
from seqclv.report.output import embedded
from seqclv.report.palette import DARK, LIGHT, variables
from seqclv.report.wording import NUMBERS, SCORES, STAGE_WORDS, WORDS, chart_texts, contents, data_facts, lead, title

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"


def report_html(document: Mapping[str, Any]) -> str:
    """The page of a report's document."""
    about, money = document["about"], document["money"]
    values: dict[str, Any] = {
        "doc": document,
        "title": title(document),
        "lead": lead(document),
        "contents": contents(document),
        "texts": chart_texts(document),
        "charts": _charts(document),
        "facts": data_facts(document),
        "words": WORDS,
        "stages": [(s, STAGE_WORDS[s]) for s in (document["matrix"] or {"stages": []})["stages"]],
        "number_words": NUMBERS,
        "score_words": SCORES,
        "worth": "value" if money and money["ranked_by"] == "value" else "expected spend",
        "unit": f", {about['currency']}" if about["currency"] else "",
        "has_ranges": bool(document["best"]) and document["best"][0].get("spend_q95") is not None,
        "has_history": bool(document["best"]) and "days_since_last" in document["best"][0],
        "has_totals": any(row.get("low") is not None for row in document["horizons"]),
        "range_bar": _range_bars(document),
        "bar": _bar,
        "heat": _heat(document["matrix"]),
        "matrix_sum": _matrix_sum,
        "judged": _judged_cell(document["comparison"]),
        "data": Markup(embedded(document)),  # no tag can begin in it
    }
    return environment().get_template("report.html").render(**values)


def environment() -> "Environment":
    """Jinja with escaping on, the formats as filters, and the style sheet."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    names = ("count", "money", "percent", "change", "date", "decimal", "days", "people")
    found.filters |= {name: getattr(formats, name) for name in names}
    found.filters |= {"code": _code, "stage": stage_name, "amount": formats.amount, "most": _most}
    style = found.from_string((TEMPLATES / "style.css").read_text())
    found.globals["style"] = Markup(style.render(light=Markup(variables(LIGHT)), dark=Markup(variables(DARK))))
    return found


def stage_name(stage: str) -> str:
    """'at_risk' as 'At risk'."""
    return stage.replace("_", " ").capitalize()


def _most(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """The largest size in a column; 0 where nothing is known."""
    return max((abs(row[name]) for row in rows if row.get(name) is not None), default=0.0)


def _bar(value: float, most: float) -> Markup:
    """A bar on the scale of a table's column."""
    share = 100 * max(value, 0.0) / most if most > 0 else 0.0
    return Markup('<span class="range" aria-hidden="true" style="--low:0%;--high:{:.1f}%"><i></i></span>').format(share)


def _code(text: str) -> Markup:
    """Text in which `words in backquotes` are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _charts(document: Mapping[str, Any]) -> dict[str, Markup | None]:
    """The charts that the document has numbers for, by name."""
    held = document["held_out"]
    figures: dict[str, Figure | None] = dict.fromkeys(
        ("distribution", "concentration", "deciles", "reliability", "tracking", "budget")
    )
    if document["money"]:
        figures["distribution"] = charts.distribution_chart(document["distribution"], "")
        figures["concentration"] = charts.concentration_chart(document["concentration"])
    if held:
        figures["tracking"] = charts.tracking_chart(held["tracking"])
        figures["deciles"] = charts.deciles_chart(held["deciles"]) if held["deciles"] else None
        figures["reliability"] = charts.reliability_chart(held["reliability"]) if held["reliability"] else None
    texts = chart_texts(document)
    if "budget" in texts:
        contacts = next((entry["contact"] for entry in document["lists"] if entry["name"] == "retention"), 0)
        figures["budget"] = charts.budget_chart(document["losing"]["curve"], contacts)
    return {
        name: None if figure is None else charts.to_svg(figure, name, texts[f"{name}_alt"])
        for name, figure in figures.items()
    }


def _range_bars(document: Mapping[str, Any]) -> Any:
    """A function that draws one customer's range on the scale of the table."""
    most = max((row.get("spend_q95") or 0 for row in document["best"]), default=0) or 1.0

    def bar(low: float | None, middle: float | None, high: float | None) -> Markup:
        """The bar of a range and its middle."""
        if low is None or middle is None or high is None:
            return Markup(formats.UNKNOWN)
        marks = [f"{100 * min(value / most, 1):.1f}%" for value in (low, high, middle)]
        return Markup(
            '<span class="range" aria-hidden="true" style="--low:{};--high:{};--mid:{}"><i></i><b></b></span>'
        ).format(*marks)

    return bar


def _heat(matrix: Mapping[str, Any] | None) -> Any:
    """A function that gives a cell's share of the fullest cell, 0 to 1."""
    most = max((cell["worth"] for row in matrix["cells"] for cell in row), default=0.0) if matrix else 0.0
    return lambda worth: f"{max(worth, 0) / most:.2f}" if most > 0 else "0"


def _matrix_sum(cell: Mapping[str, Any]) -> Markup:
    return Markup('<td class="sum"><b>{}</b><small>{}<span class="wide"><br>risk {}</span></small></td>').format(
        formats.count(cell["customers"]), formats.money(cell["worth"]), formats.money(cell["value_at_risk"])
    )


def _judged_cell(comparison: Mapping[str, Any] | None) -> Any:
    """A function that shows one figure of one method and marks the best."""

    def cell(row: Mapping[str, Any], name: str, digits: int, width: str) -> Markup:
        """The cell of one figure."""
        best = comparison is not None and comparison["leaders"][name] == row["key"]
        return Markup('<td class="{}">{}</td>').format("best " * best + width, formats.decimal(row[name], digits))

    return cell
