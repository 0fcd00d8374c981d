"""Why a customer is on a list, in plain words from the numbers."""

from collections.abc import Mapping
from typing import Any

from seqclv.value.money import in_currency


def reason(name: str, row: Mapping[str, Any]) -> str:
    """One sentence for a row of a table of values on the list `name`."""
    tail = {"retention": _at_risk, "growth": _growing, "do_not_spend": _leave_alone}[name](row)
    return f"{_rhythm(row)}; {tail}."


def _rhythm(row: Mapping[str, Any]) -> str:
    """Such as: usually buys every 23 days, last bought 61 days ago."""
    last = f"last bought {_days(row['days_since_last'])} ago"
    if row["usual_gap_days"] is None:
        return f"bought once, {_days(row['days_since_last'])} ago"
    if row["historic_transactions"] == 2:  # one gap is no habit
        return f"bought twice, {_days(row['usual_gap_days'])} apart, {last}"
    return f"usually buys every {_days(row['usual_gap_days'])}, {last}"


def _at_risk(row: Mapping[str, Any]) -> str:
    return (
        f"{row['churn_probability']:.0%} chance of no purchase in {_days(row['horizon_days'])}, "
        f"which puts {_money(row['value_at_risk'], row)} at risk"
    )


def _growing(row: Mapping[str, Any]) -> str:
    return (
        f"expected to buy {row['expected_transactions']:.1f} times in {_days(row['horizon_days'])}, "
        f"worth {_money(row['value'], row)}"
    )


def _leave_alone(row: Mapping[str, Any]) -> str:
    if row["stage"] == "lost":
        return f"{row['never_again_probability']:.0%} chance of never buying again, worth {_money(row['value'], row)}"
    return f"worth {_money(row['value'], row)} in {_days(row['horizon_days'])}, no more than a contact costs"


def _days(days: float) -> str:
    number = max(round(days), 0)
    return "1 day" if number == 1 else f"{number:,} days"


def _money(amount: float, row: Mapping[str, Any]) -> str:
    return in_currency(f"{amount:,.2f}", row["currency"])
