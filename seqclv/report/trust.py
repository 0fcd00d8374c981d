"""When not to trust the forecasts: sentences from the held-out past and from what the log can support."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqclv.batch import DAYS_PER_YEAR
from seqclv.comparison import MODEL_NAMES
from seqclv.report.formats import days, off, people, percent

_GROUP_MISS = 0.2  # of a group's spend, beyond which it is named if its interval leaves zero out
_TOTAL_MISS = 0.1
_CHURN_MISS = 0.03  # of the mean probability beside the share
_RANGE_LOW, _RANGE_HIGH = 0.85, 0.98  # shares that a nine-in-ten range may hold
_ONE_TIME_SHARE = 0.4
_TOP_PERCENT_SHARE = 0.2
_QUESTIONS = {
    "spend_gini": "ranking customers by spend",
    "spend_rmse": "each customer's amount",
    "churn_auc": "ranking customers by churn",
    "churn_log_loss": "churn probabilities",
}


def warnings(document: Mapping[str, Any]) -> list[str]:
    """What a reader must know before relying on a number, the weightiest first."""
    return [
        *_untested(document),
        *_total(document.get("held_out")),
        *_groups(document.get("held_out")),
        *_churn(document.get("held_out")),
        *_ranges(document.get("held_out")),
        *_beaten(document.get("comparison")),
        *_horizons(document),
        *_history(document),
    ]


def _untested(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("comparison") is None:
        yield (
            "This model has not been compared on a held-out past: nothing here says how good it is. "
            "`seqclv backtest` or `seqclv evaluate` does."
        )


def _total(held: Mapping[str, Any] | None) -> Iterator[str]:
    if held is None or held["spend_bias"] is None:
        return
    miss, between = held["spend_bias"], held["spend_bias_interval"]
    if abs(miss) > _TOTAL_MISS and between is not None and (between[0] > 0 or between[1] < 0):
        yield (
            f"The total: on the held-out past it was {off(miss)}. "
            "Expect a miss of this size again; the order of customers is more reliable than the sum."
        )


def _groups(held: Mapping[str, Any] | None) -> Iterator[str]:
    """The groups whose level was far off, those of one kind and one side in one sentence."""
    words = {
        "purchases so far": "Customers by purchases so far: those with",
        "first purchase": "Customers by first purchase: those of",
    }
    tables = [] if held is None else [held["by_purchases"], held["by_vintage"]]
    for table in filter(None, tables):
        for side in ("high", "low"):
            rows = [row for row in table["rows"] if _far_off(row, side)]
            if not rows:
                continue
            groups = _joined([f"{row['name']} ({percent(abs(row['spend_bias']))})" for row in rows])
            yield (
                f"{words[table['by']]} {groups} were forecast to spend too {'much' if side == 'high' else 'little'}; "
                f"{people(sum(row['customers'] for row in rows))} in all."
            )


def _far_off(row: Mapping[str, Any], side: str) -> bool:
    """Whether a group's total was off by more than the tolerance, and clearly so."""
    miss, between = row["spend_bias"], row["spend_bias_interval"]
    if miss is None or between is None or abs(miss) <= _GROUP_MISS or between[0] <= 0 <= between[1]:
        return False
    return bool((miss > 0) == (side == "high"))


def _churn(held: Mapping[str, Any] | None) -> Iterator[str]:
    if held is None or held["forecast_churn"] is None:
        return
    gap = held["forecast_churn"] - held["actual_churn"]
    if abs(gap) > _CHURN_MISS:
        yield (
            f"Churn probabilities: on the held-out past {percent(held['forecast_churn'])} were expected to buy nothing "
            f"and {percent(held['actual_churn'])} bought nothing. Use them to put customers in order, not as shares."
        )


def _ranges(held: Mapping[str, Any] | None) -> Iterator[str]:
    share = None if held is None else held["coverage_90"]
    if share is not None and not _RANGE_LOW <= share <= _RANGE_HIGH:
        side = "too narrow" if share < _RANGE_LOW else "wider than needed"
        yield f"The ranges of single customers are {side}: they should hold nine in ten and held {percent(share)}."


def _beaten(comparison: Mapping[str, Any] | None) -> Iterator[str]:
    if comparison is None:
        return
    better: dict[str, list[str]] = {}
    for measure, leader in comparison["leaders"].items():
        if leader is not None and leader != comparison["ours"]:
            better.setdefault(leader, []).append(_QUESTIONS[measure])
    for leader, questions in better.items():
        name = MODEL_NAMES.get(leader, leader)
        yield f"{name[0].upper()}{name[1:]} did better at {_joined(questions)} on the held-out past."


def _joined(words: Sequence[str]) -> str:
    return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + f" and {words[-1]}"


def _horizons(document: Mapping[str, Any]) -> Iterator[str]:
    judged = document["about"]["judged_horizon_days"]
    longer = [row["horizon_days"] for row in document["horizons"] if judged and row["horizon_days"] > 1.05 * judged]
    if longer:
        yield (
            f"Horizons beyond {days(judged)} ({', '.join(days(h) for h in longer)}): no held-out past was that long, "
            "so they continue what was tested on a shorter one."
        )
    log = document["about"]["log"]
    if log is not None and log["span_days"] < 2 * DAYS_PER_YEAR:
        yield (
            f"Seasons: the log spans {days(log['span_days'])}. A yearly rhythm is learned from two years and more; "
            "until then a forecast across a holiday season is too low there and too high elsewhere."
        )


def _history(document: Mapping[str, Any]) -> Iterator[str]:
    data, concentration = document["data"], document["concentration"]
    if data is not None and (share := data["one_purchase_day_share"]) is not None and share >= _ONE_TIME_SHARE:
        yield (
            f"Customers with one purchase ({percent(share)} of all): little is known of each, so their forecasts are "
            "close to one another. Rely on them as a group, not one by one."
        )
    if concentration is not None and concentration["top_percent"] >= _TOP_PERCENT_SHARE:
        yield (
            f"Few customers carry much: one in a hundred brings {percent(concentration['top_percent'])}. "
            "Losing or winning one of them moves the total more than the model's error."
        )
