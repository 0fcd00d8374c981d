"""Feedback beside forecasts: who is expected to bring much and is unhappy, who is happy and expected to bring little.

A customer's feedback is the mean of the scores given before the cutoff. Who gave none is left out: missing feedback is
not bad feedback.

Shape: N customers with feedback.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from seqclv.config import DataConfig
from seqclv.data.events import FIRST_FURTHER_TYPE, Events
from seqclv.data.store import open_log
from seqclv.data.windows import before, to_timestamp
from seqclv.errors import InputError
from seqclv.evaluation.matured import Forecasts, read_forecasts
from seqclv.files import whole_file

EVERYBODY = "all"
_HIGH, _LOW = 0.75, 0.25  # quantiles of the forecasts and, where no bounds are given, of the scores
_LEVEL = 0.05  # of the test, over all segments together
_FEWEST = 10  # customers on either side of the test

Announce = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FeedbackPlan:
    """What to compare."""

    forecasts: Path
    score_column: str
    kind: str | None = None  # of the events that hold feedback; None: every event with a score
    segment_by: str | None = None  # a column of the forecasts file
    horizon_days: float | None = None  # None: the longest of the file
    poor: float | None = None  # a mean score of at most this is poor; None: the lowest quarter
    good: float | None = None  # one of at least this is good; None: the highest quarter


def feedback_check(
    plan: FeedbackPlan, data: DataConfig, out: Path, *, announce: Announce = lambda _: None
) -> dict[str, Any]:
    """Write the customers to look at into the CSV file `out`, and return counts, bounds and the test by segment.

    Raises:
        InputError: forecasts, log, score, horizon or segment are refused, or nobody gave feedback.
    """
    if out.suffix.lower() != ".csv" or out.is_dir():
        raise InputError(f"--out names a file that ends in .csv, but it is '{out}': name such a file.")
    forecasts = read_forecasts(plan.forecasts)
    rows = _chosen(forecasts, plan)
    if not data.sources and plan.score_column not in data.numeric:
        data = replace(data, numeric=(*data.numeric, plan.score_column))
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        announce("reading the log")
        log = open_log(data, Path(workspace), of_purchases=False)
        scores = _mean_scores(before(log.read(), forecasts.cutoff), plan)
    joined = rows.merge(scores, on="customer_id")
    if joined.empty:
        raise InputError(
            f"A check needs customers with forecast and feedback, but none of those in '{plan.forecasts}' gave a "
            f"'{plan.score_column}' before {to_timestamp(forecasts.cutoff).date()}: check the column and the ids."
        )
    bounds = _bounds(joined, rows, plan)
    listed = _listed(joined, bounds)
    with whole_file(out) as staging:
        listed.to_csv(staging, index=False)
    return {
        "out": str(out),
        "customers": len(rows),
        "with_feedback": len(joined),
        **bounds,
        "listed": {str(reason): int(n) for reason, n in listed["list"].value_counts().sort_index().items()},
        "segments": disagreement(joined, bounds),
    }


def _chosen(forecasts: Forecasts, plan: FeedbackPlan) -> pd.DataFrame:
    """[customer_id, expected_spend, segment] of one horizon."""
    horizon = forecasts.horizons_days[-1] if plan.horizon_days is None else plan.horizon_days
    if horizon not in forecasts.horizons_days:
        found = ", ".join(f"{days:g}" for days in forecasts.horizons_days)
        raise InputError(f"A horizon is one of the file's ({found} days), but {horizon:g} was asked for: take one.")
    rows = forecasts.of(horizon)
    if plan.segment_by is not None and plan.segment_by not in rows:
        raise InputError(
            f"A segment is a column of the forecasts file, but it has no '{plan.segment_by}': check the name."
        )
    segment = EVERYBODY if plan.segment_by is None else rows[plan.segment_by].astype("str")
    return rows[["customer_id", "expected_spend"]].assign(segment=segment)


def _mean_scores(events: Events, plan: FeedbackPlan) -> pd.DataFrame:
    """[customer_id, mean_score, answers] of the customers who gave one."""
    if plan.score_column not in events.numeric:
        raise InputError(f"--score-column names a column of the log, but it has no '{plan.score_column}'.")
    score = np.asarray(events.numeric[plan.score_column])
    given = np.isfinite(score)
    if plan.kind is not None:
        if plan.kind not in events.further_types:
            raise InputError(
                f"--kind names a kind of event, but the log has no '{plan.kind}': name the column with the kinds by "
                "--event-type, and one of its values."
            )
        given &= events.event_type == FIRST_FURTHER_TYPE + events.further_types.index(plan.kind)
    frame = pd.DataFrame({"customer_id": events.customer_id[events.owner[given]], "score": score[given]})
    found = frame.groupby("customer_id")["score"].agg(mean_score="mean", answers="count")
    return found.reset_index()


def _bounds(joined: pd.DataFrame, rows: pd.DataFrame, plan: FeedbackPlan) -> dict[str, float]:
    poor, good = (
        float(joined["mean_score"].quantile(level)) if given is None else given
        for given, level in ((plan.poor, _LOW), (plan.good, _HIGH))
    )
    if poor >= good:
        raise InputError(
            f"Poor feedback lies below good feedback, but poor is at most {poor:g} and good at least {good:g}: give "
            "--poor and --good."
        )
    spend = rows["expected_spend"]
    return {"poor": poor, "good": good, "high": float(spend.quantile(_HIGH)), "low": float(spend.quantile(_LOW))}


def _listed(joined: pd.DataFrame, bounds: dict[str, float]) -> pd.DataFrame:
    """The customers to look at: within a list those first whose forecasts are the highest."""
    score, spend = joined["mean_score"], joined["expected_spend"]
    unhappy = joined[(spend >= bounds["high"]) & (score <= bounds["poor"])].assign(list="high forecast, poor feedback")
    happy = joined[(spend <= bounds["low"]) & (score >= bounds["good"])].assign(list="low forecast, good feedback")
    found = pd.concat([unhappy, happy]).sort_values(
        ["list", "expected_spend", "customer_id"], ascending=[True, False, True]
    )
    first = found["list"].str.startswith("high")
    found["reason"] = [
        f"{'among the highest' if high else 'among the lowest'} quarter of forecasts ({row.expected_spend:,.2f}), but "
        f"a mean score of {row.mean_score:.3g} over {row.answers} answer{'s' * (row.answers != 1)}: "
        f"{'ask what went wrong' if high else 'ask what is missing'}"
        for row, high in zip(found.itertuples(), first, strict=True)
    ]
    return found[["list", "customer_id", "segment", "expected_spend", "mean_score", "answers", "reason"]]


def disagreement(joined: pd.DataFrame, bounds: dict[str, float]) -> list[dict[str, Any]]:
    """By segment: do forecasts rank customers with poor feedback above those with good feedback?

    `probability` is P(a customer with poor feedback has the higher forecast), ties counted half; 0.5 is no relation.
    It is tested against 0.5 by Mann and Whitney (1947), one-sided, and the p-values are corrected for the number of
    segments by Holm (1979). A segment is systematic where the corrected p-value is below 0.05. With fewer than
    10 customers on either side there is no test.
    """
    rows: list[dict[str, Any]] = []
    for segment, part in joined.groupby("segment"):
        poor = part.loc[part["mean_score"] <= bounds["poor"], "expected_spend"].to_numpy()
        good = part.loc[part["mean_score"] >= bounds["good"], "expected_spend"].to_numpy()
        row: dict[str, Any] = {"segment": str(segment), "poor": len(poor), "good": len(good)}
        row |= {"probability": None, "p_value": None, "systematic": False}
        if min(len(poor), len(good)) >= _FEWEST:
            test = stats.mannwhitneyu(poor, good, alternative="greater", method="asymptotic")
            row |= {"probability": float(test.statistic) / (len(poor) * len(good)), "p_value": float(test.pvalue)}
        rows.append(row)
    tested = sorted((row for row in rows if row["p_value"] is not None), key=lambda row: row["p_value"])
    largest = 0.0
    for i, row in enumerate(tested):
        row["p_value"] = largest = max(largest, min(1.0, row["p_value"] * (len(tested) - i)))
        row["systematic"] = largest < _LEVEL
    return rows


def feedback_text(document: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{document['with_feedback']:,} of {document['customers']:,} customers gave feedback"]
    lines += [f"{count:,} with {name}" for name, count in document["listed"].items()]
    for row in document["segments"]:
        if row["systematic"]:
            lines.append(
                f"warning, segment '{row['segment']}': the forecasts rank customers with poor feedback above "
                f"those with good feedback in {row['probability']:.0%} of pairs (p = {row['p_value']:.2g}): the model "
                "may not see what they say; train it with the feedback as events"
            )
    return "\n".join(lines)
