"""The numbers on how good the forecasts were on a held-out past, beside simple methods, and when not to trust them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.comparison import MODEL_NAMES
from seqclv.evaluation import metrics, resampling
from seqclv.evaluation.compare import OURS, cutoff_text, key_of
from seqclv.evaluation.groups import Grouping, groups_table, vintages
from seqclv.evaluation.matured import Matured
from seqclv.evaluation.tenths import deciles, reliability
from seqclv.predictive import FloatArray

if TYPE_CHECKING:
    from seqclv.data.events import Events
    from seqclv.report.subject import HeldOut, Subject

# Section, metric, whether more is better, and the question that it answers.
JUDGED: Sequence[tuple[str, str, bool]] = (
    ("spend", "gini", True),
    ("spend", "rmse", False),
    ("churn", "auc", True),
    ("churn", "log_loss", False),
)
_PURCHASE_BANDS = ((1, 1), (2, 3), (4, 9), (10, None))


def comparison_section(document: Mapping[str, Any], ours: str) -> dict[str, Any]:
    """The metrics of every method, and who leads by each figure that `JUDGED` names."""
    models = document["models"]
    rows = [
        {
            "key": key,
            "name": MODEL_NAMES.get(key, key),
            "ours": key == ours,
            "spend_bias": found["spend"]["bias"],
            "transactions_bias": found["transactions"]["bias"],
            **{f"{section}_{metric}": found[section][metric] for section, metric, _ in JUDGED},
            "spend_coverage_90": found["spend"].get("coverage_90"),
        }
        for key, found in models.items()
    ]
    leaders = {f"{section}_{metric}": _leader(models, section, metric, more) for section, metric, more in JUDGED}
    return {
        "ours": ours,
        "cutoffs": document.get("cutoffs") or [document["cutoff"]],
        "rows": rows,
        "leaders": leaders,
        "led": sum(who == ours for who in leaders.values()),
    }


def _leader(models: Mapping[str, Any], section: str, metric: str, more: bool) -> str | None:
    known = {name: found[section][metric] for name, found in models.items() if found[section][metric] is not None}
    if not known:
        return None
    return (max if more else min)(known, key=lambda name: known[name])


def windows_section(windows: Sequence[Mapping[str, Any]], ours: str) -> list[dict[str, Any]]:
    """The model's figures at each cutoff of a backtest."""
    return [
        {
            "cutoff": window["cutoff"],
            "customers": window["customers"],
            "horizon_days": window["horizon_days"],
            "spend_bias": window["models"][ours]["spend"]["bias"],
            "spend_gini": window["models"][ours]["spend"]["gini"],
            "churn_auc": window["models"][ours]["churn"]["auc"],
        }
        for window in windows
        if ours in window["models"]
    ]


def held_out_section(held: "HeldOut", past: "Events") -> dict[str, Any]:
    """Forecast beside what happened in the held-out window: totals, groups, probabilities, ranges and the track."""
    matured = held.matured
    scores, actual = matured.scores, matured.actual
    gone = actual.transactions == 0
    ones = np.ones(len(gone))
    found: dict[str, Any] = {
        "cutoff": cutoff_text(held.cutoff),
        "horizon_days": matured.horizon_days,
        "customers": len(gone),
        "actual_spend": float(actual.spend.sum()),
        "actual_transactions": float(actual.transactions.sum()),
        "actual_churn": float(gone.mean()),
        "forecast_spend": _sum(scores.spend),
        "forecast_transactions": _sum(scores.transactions),
        "forecast_churn": None if scores.churn is None else float(scores.churn.mean()),
        "spend_bias": None if scores.spend is None else metrics.bias(scores.spend, actual.spend),
        "spend_bias_interval": None,
        "coverage_90": None,
        "top_tenth_actual_share": None,
        "deciles": [] if scores.spend is None else deciles(scores.spend, actual.spend),
        "reliability": [] if scores.churn is None else reliability(scores.churn, gone),
        "churn_auc": None if scores.churn is None else metrics.auc(scores.churn, gone),
        "churn_ece": None if scores.churn is None else metrics.ece(scores.churn, gone),
        "by_purchases": groups_table(matured, _purchase_bands(matured, past)),
        "by_vintage": None,
    }
    if (group := vintages(matured, past)) is not None:
        found["by_vintage"] = groups_table(matured, group)
    if scores.spend is not None and actual.spend.sum() > 0:
        draws = resampling.resampled({"bias": resampling.weighted_ratio(scores.spend, actual.spend)}, len(ones))
        found["spend_bias_interval"] = resampling.interval(draws["bias"])
        best = np.argsort(-scores.spend, kind="stable")[: max(1, round(0.1 * len(ones)))]
        found["top_tenth_actual_share"] = float(actual.spend[best].sum() / actual.spend.sum())
    if scores.spend_quantiles is not None:
        q = scores.spend_quantiles
        found["coverage_90"] = metrics.coverage(q[:, 0], q[:, 2], actual.spend)
    track = held.tracking
    found["tracking"] = {
        "days": track.days.tolist(),
        "actual": track.actual.tolist(),
        "forecasts": {name: values.tolist() for name, values in track.forecasts.items()},
    }
    return found


def _sum(values: FloatArray | None) -> float | None:
    return None if values is None else float(values.sum())


def _purchase_bands(matured: Matured, past: "Events") -> Grouping:
    """Groups by the number of purchases before the held-out window."""
    from seqclv.data.events import PURCHASE

    bought = np.diff(past.rows(past.event_type == PURCHASE).offset)
    place = np.searchsorted(past.customer_id, matured.rows["customer_id"].to_numpy(dtype=object))
    number = bought[place]
    lowest = np.asarray([low for low, _ in _PURCHASE_BANDS])
    band = np.searchsorted(lowest, number, side="right") - 1
    present, index = np.unique(band, return_inverse=True)
    return Grouping("purchases so far", tuple(_band_words(*_PURCHASE_BANDS[i]) for i in present), index)


def _band_words(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low} to {high}"


def our_key(subject: "Subject") -> str:
    """The name under which metrics.json has the report's model."""
    return OURS if subject.bundle is None else key_of(subject.bundle)
