"""The audit as a page and as text for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from seqclv.report import charts
from seqclv.report.formats import UNKNOWN, change, count, date, days, decimal, money, percent
from seqclv.report.output import embedded, write_document
from seqclv.report.page import environment
from seqclv.version import __version__

# Name, section, key and format of the figures shown, and the name of their interval.
_FIGURES = (
    ("Spend forecast", "spend", "forecast", money, None),
    ("Spend, actual", "spend", "actual", money, None),
    ("Miss of the total spend", "spend", "bias", change, "spend_bias"),
    ("Miss of the purchases", "transactions", "bias", change, "transactions_bias"),
    ("Ranking by spend (Gini)", "spend", "gini", decimal, "spend_gini"),
    ("The same by past spend alone", "spend", "gini_of_past_spend", decimal, None),
    ("Nine-in-ten ranges hold", "spend", "coverage_90", percent, "spend_coverage_90"),
    ("Churn forecast", "churn", "forecast", percent, None),
    ("Churned", "churn", "actual", percent, None),
    ("Churn order (AUC)", "churn", "auc", decimal, "churn_auc"),
    ("Churn log-loss", "churn", "log_loss", decimal, None),
    ("Churn misses by (ECE)", "churn", "ece", percent, None),
)


def write_audit(document: Mapping[str, Any], out: Path) -> None:
    """Write the page (.html) or the document (.json)."""
    write_document(document, audit_html(document) if out.suffix.lower() == ".html" else None, out)


def audit_html(document: Mapping[str, Any]) -> str:
    """The page of an audit's document."""
    found = environment()
    found.filters |= {"between": _between, "clear": _is_clear, "capfirst": _capfirst, "number": _number}
    rows = document["calibration"]
    chart = None
    if rows:
        alt = "Churn by group, forecast and actual: " + "; ".join(
            f"{percent(row['forecast'])} and {percent(row['actual'])}" for row in rows
        )
        chart = charts.to_svg(charts.reliability_chart(rows), "reliability", alt)
    return found.get_template("audit.html").render(
        doc=document,
        champion=document["champion"],
        rows=list(_rows(document)),
        groups=_group_tables(document),
        chart=chart,
        texts=_texts(document),
        t=document["verdict"]["tolerances"],
        version=__version__,
        data=Markup(embedded(document)),  # no tag can begin in it
    )


def audit_text(document: Mapping[str, Any]) -> str:
    """The verdict and the figures by horizon for a terminal."""
    heads = [days(row["horizon_days"]) for row in document["horizons"]]
    if document["champion"]:
        heads.append("at training")
    rows = [
        (name, [f"{value} ({between})" if between else value for value, between in cells])
        for name, cells in _rows(document)
    ]
    label = max(len(name) for name, _ in rows) + 2
    width = max(len(text) for text in [*heads, *(cell for _, cells in rows for cell in cells)]) + 2
    lines = [" " * label + "".join(f"{head:>{width}}" for head in heads)]
    lines += [f"{name:<{label}}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in rows]
    later = [f"not yet whole: {days(row['horizon_days'])}, whole on {row['whole_on']}" for row in document["immature"]]
    verdict = document["verdict"]
    return "\n".join([*lines, *later, "", f"Verdict: {verdict['word']}.", *verdict["reasons"], *_list_texts(document)])


def _rows(document: Mapping[str, Any]) -> Sequence[tuple[str, list[tuple[str, str]]]]:
    """Figures by horizon and, where it is known, at training: each as its value and its interval."""
    champion = document["champion"]
    rows = []
    for name, section, key, form, between in _FIGURES:
        cells = []
        for figures in document["horizons"]:
            interval = figures["intervals"].get(between) if between else None
            cells.append(_with_interval(figures[section].get(key), interval, form))
        if champion:
            cells.append((form(champion["sections"][section].get(key)), ""))
        rows.append((name, cells))
    return rows


def _with_interval(value: float | None, between: Sequence[float] | None, form: Any) -> tuple[str, str]:
    if value is None or between is None:
        return form(value), ""
    return form(value), f"{form(between[0])} to {form(between[1])}"


def _between(interval: Sequence[float] | None) -> str:
    return UNKNOWN if interval is None else f"{change(interval[0])} to {change(interval[1])}"


def _is_clear(row: Mapping[str, Any]) -> bool:
    between = row["spend_bias_interval"]
    return between is not None and not between[0] <= 0 <= between[1]


def _capfirst(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(value: float) -> str:
    return count(value) if abs(value) >= 100 else decimal(value, 1).removesuffix(".0")


def _group_tables(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = [{**table, "title": f"By {table['by']}"} for table in document["segments"]]
    if document["vintages"] is not None:
        tables.append({**document["vintages"], "title": "By vintage: the month of the first purchase"})
    return tables


def _texts(document: Mapping[str, Any]) -> dict[str, Any]:
    judged = next(row for row in document["horizons"] if row["horizon_days"] == document["judged_horizon_days"])
    spend = judged["spend"]
    then = document["drift"]
    basis = "on which the model was trained" if then["basis"] == "training" else "when the forecasts were made"
    return {
        "levels": f"In {days(judged['horizon_days'])}, {count(judged['customers'])} customers were forecast to spend "
        f"{money(spend['forecast'])} and spent {money(spend['actual'])}; {percent(judged['churn']['forecast'])} were "
        f"forecast to buy nothing, {percent(judged['churn']['actual'])} bought nothing.",
        "drift": f"Customers of {date(then['now'])} beside those of {date(then['then'])}, {basis}.",
        "lists": _list_texts(document),
    }


def _list_texts(document: Mapping[str, Any]) -> list[str]:
    """What each experiment says, in a sentence."""
    sentences = []
    for row in document["lists"] or []:
        if "plain" not in row:
            sentences.append(f"The list '{row['list']}' cannot be measured: contacts and control need two customers.")
            continue
        best, total = row["adjusted"] or row["plain"], row["total"]
        between = f"95% interval {money(best['low'])} to {money(best['high'])}"
        if not row["clear"]:
            words = f"no effect can be told from chance ({between} per customer)"
        else:
            side = "more" if best["effect"] > 0 else "less"
            words = (
                f"a contacted customer spent {money(abs(best['effect']))} {side} than one left alone ({between}), "
                f"{money(total['effect'])} in all"
            )
        sentences.append(f"The list '{row['list']}': {words}.")
    return sentences
