"""Compare what was forecast with what happened since: the audit document, and one plain verdict.

{"cutoff", "log_last_day", "merge", "model", "champion",
 "horizons": [{"horizon_days", "customers", "transactions", "spend", "churn", "intervals"}],
 "immature": [{"horizon_days", "whole_on"}], "judged_horizon_days",
 "calibration": [...], "segments", "vintages", "drift", "lists", "verdict"}
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqclv.bundle import Bundle
from seqclv.config import DataConfig
from seqclv.data.events import Events, FloatArray
from seqclv.data.profile import INPUTS, input_table
from seqclv.data.store import open_log
from seqclv.data.windows import end_of_log, history, to_timestamp
from seqclv.errors import InputError
from seqclv.evaluation import resampling
from seqclv.evaluation.compare import cutoff_text, key_of
from seqclv.evaluation.drift import drift_between, drift_from_profile
from seqclv.evaluation.experiment import measure_lists, read_lists
from seqclv.evaluation.groups import groups_table, segments, vintages
from seqclv.evaluation.matured import Forecasts, Matured, mature, read_forecasts, split_horizons
from seqclv.evaluation.metrics import ece
from seqclv.evaluation.scores import sections
from seqclv.evaluation.tenths import reliability
from seqclv.evaluation.verdict import judge
from seqclv.prior import is_prior

Announce = Callable[[str], None]
_CHANCE_DRAWS = 100
_SAME_HORIZON = 0.05  # two horizons this close in relative terms are compared


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What to audit: the forecasts, and what may be set beside them."""

    forecasts: Path
    model: Bundle | None = None  # the model that made the forecasts
    lists: Path | None = None
    segment_by: tuple[str, ...] = ()  # columns of the forecasts file or categorical columns of the log


def audit(plan: AuditPlan, data: DataConfig, *, announce: Announce = lambda _: None) -> dict[str, Any]:
    """Audit forecasts against the log that `data` names.

    Raises:
        InputError: forecasts, lists or log are refused, no window has passed, or the log names none of the customers.
    """
    forecasts = read_forecasts(plan.forecasts)
    lists = None if plan.lists is None else read_lists(plan.lists, forecasts.cutoff)
    merge = _merge(plan, forecasts, data)
    asked = [name for name in plan.segment_by if name not in forecasts.frame.columns]
    own = () if data.customers is None else (*data.customers.categorical, *data.customers.numeric)
    asked = [name for name in asked if name not in own and name not in data.numeric]
    required = data.require_columns and not asked  # whether the log has what is asked for `segments` says in its words
    columns = replace(
        data, merge=merge, categorical=tuple(dict.fromkeys((*data.categorical, *asked))), require_columns=required
    )
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        announce("reading the log")
        events = open_log(columns, Path(workspace)).read()
        whole, later = split_horizons(forecasts, events)
        _require_known(forecasts, events)
        past = history(events, forecasts.cutoff, merge)
        announce(f"comparing {len(whole)} horizons with what happened")
        matured = {horizon: mature(forecasts, horizon, events, merge) for horizon in whole}
        judged = _judged_horizon(whole, plan.model)
        drift = _drift(plan.model, past, forecasts.cutoff, events, merge)
        main = matured[judged]
        figures = [_figures(one, _past_spend(one, past)) for one in matured.values()]
        champion = _champion(plan.model)
        comparable = champion if champion and champion["comparable_with"] == judged else None
        verdict = judge(figures[whole.index(judged)], comparable, drift["inputs"], seasonless=_seasonless(plan.model))
        by = [segments(name, main, past) for name in plan.segment_by]
        return {
            "cutoff": cutoff_text(forecasts.cutoff),
            "log_last_day": str(to_timestamp(int(events.timestamp.max())).date()),
            "merge": merge,
            "model": _model(plan.model, forecasts),
            "champion": champion,
            "horizons": figures,
            "immature": later,
            "judged_horizon_days": judged,
            "calibration": _calibration(main),
            "segments": [groups_table(main, group) for group in by],
            "vintages": _vintages(main, past),
            "drift": drift,
            "lists": None if lists is None else measure_lists(lists, main),
            "verdict": verdict.to_dict(),
        }


def _merge(plan: AuditPlan, forecasts: Forecasts, data: DataConfig) -> str:
    """How lines become purchases: as the forecasts did it, where that is known."""
    if plan.model is not None:
        return plan.model.merge
    return str((forecasts.manifest or {}).get("merge", data.merge))


def _require_known(forecasts: Forecasts, events: Events) -> None:
    if not np.isin(forecasts.frame["customer_id"].to_numpy(dtype=object), events.customer_id).any():
        raise InputError(
            "An audit needs the log of the same customers, but it names none of those in the forecasts: check the "
            "files and --customer-id."
        )


def _judged_horizon(whole: list[float], model: Bundle | None) -> float:
    """The horizon of the verdict: the model's own if it has passed, else the longest that has."""
    for horizon in whole:
        if model is not None and _same(horizon, model.horizon_days):
            return horizon
    return whole[-1]


def _same(one: float, other: float) -> bool:
    return abs(one / other - 1) <= _SAME_HORIZON


def _model(model: Bundle | None, forecasts: Forecasts) -> dict[str, Any]:
    """Which model made the forecasts, by the manifest beside them, and whether it is the one that was given."""
    manifest = (forecasts.manifest or {}).get("model", {})
    version = manifest.get("version")
    return {
        "version": version or (None if model is None else model.version),
        "kind": manifest.get("kind") or (None if model is None else model.kind),
        "given_model_made_them": None if model is None or version is None else version == model.version,
    }


def _seasonless(model: Bundle | None) -> bool:
    return (
        model is not None and bool(model.networks) and not any(network.season.harmonics for network in model.networks)
    )


def _champion(model: Bundle | None) -> dict[str, Any] | None:
    """The model's own figures on the future that was held out when it was trained; the prior's are of other logs."""
    if model is None or model.metrics is None or is_prior(model):
        return None
    key = key_of(model)
    return {
        "cutoff": model.metrics["cutoff"],
        "customers": model.metrics["customers"],
        "comparable_with": model.metrics["horizon_days"],
        "sections": {name: model.metrics["models"][key][name] for name in ("transactions", "spend", "churn")},
    }


def _past_spend(matured: Matured, past: Events) -> FloatArray | None:
    """[N] what each customer has spent before the cutoff; None if the log does not hold that past."""
    place = np.searchsorted(past.customer_id, ids := matured.rows["customer_id"].to_numpy(dtype=object))
    inside = place < past.customers
    if not inside.all() or not (past.customer_id[place] == ids).all():
        return None
    spend = np.bincount(past.owner, weights=np.maximum(past.amount, 0), minlength=past.customers)
    return np.asarray(spend[place])


def _figures(matured: Matured, past_spend: FloatArray | None) -> dict[str, Any]:
    """The metrics of one horizon with their intervals."""
    scores, actual = matured.scores, matured.actual
    found = sections(scores, actual)
    for section, mean, happened in (
        ("transactions", scores.transactions, actual.transactions),
        ("spend", scores.spend, actual.spend),
    ):
        found[section] |= {"forecast": None if mean is None else float(mean.sum()), "actual": float(happened.sum())}
        found[section].pop("crps")
    gone = actual.transactions == 0
    churn = scores.churn
    found["churn"] |= {
        "forecast": None if churn is None else float(churn.mean()),
        "actual": float(gone.mean()),
        "ece_by_chance": None if churn is None else _ece_by_chance(churn),
    }
    statistics = _statistics(matured, past_spend)
    draws = resampling.resampled(statistics, len(gone))
    intervals = {name: resampling.interval(values) for name, values in draws.items()}
    if past_spend is not None and scores.spend is not None:
        found["spend"]["gini_of_past_spend"] = statistics["gini_of_past_spend"](np.ones(len(gone)))
        found["spend"]["gini_of_past_spend"] = _or_none(found["spend"]["gini_of_past_spend"])
        intervals["gini_over_past_spend"] = resampling.interval(draws["spend_gini"] - draws["gini_of_past_spend"])
    return {"horizon_days": matured.horizon_days, "customers": len(gone), **found, "intervals": intervals}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _statistics(matured: Matured, past_spend: FloatArray | None) -> dict[str, resampling.Statistic]:
    """What is resampled; what the forecasts do not give is missing."""
    scores, actual = matured.scores, matured.actual
    gone = actual.transactions == 0
    found: dict[str, resampling.Statistic] = {}
    if scores.transactions is not None:
        found["transactions_bias"] = resampling.weighted_ratio(scores.transactions, actual.transactions)
    if scores.spend is not None:
        found["spend_bias"] = resampling.weighted_ratio(scores.spend, actual.spend)
        found["spend_gini"] = resampling.weighted_gini(scores.spend, actual.spend)
        if past_spend is not None:
            found["gini_of_past_spend"] = resampling.weighted_gini(past_spend, actual.spend)
    if scores.churn is not None:
        found["churn_auc"] = resampling.weighted_auc(scores.churn, gone)
        found["churn_gap"] = resampling.weighted_mean(scores.churn - gone)
    if scores.spend_quantiles is not None:
        q = scores.spend_quantiles
        inside = (actual.spend >= q[:, 0]) & (actual.spend <= q[:, 2])
        found["spend_coverage_90"] = resampling.weighted_mean(inside.astype(np.float64))
    return found


def _ece_by_chance(churn: FloatArray) -> float:
    """The calibration error that perfectly calibrated probabilities stay below in 95 of 100 draws."""
    random = np.random.default_rng(0)
    draws = [ece(churn, random.random(len(churn)) < churn) for _ in range(_CHANCE_DRAWS)]
    return float(np.quantile(draws, 0.95))


def _calibration(matured: Matured) -> list[dict[str, float]]:
    """Ten groups of equal size by churn probability: what was forecast, what happened."""
    churn = matured.scores.churn
    if churn is None:
        return []
    return reliability(churn, matured.actual.transactions == 0)


def _vintages(matured: Matured, past: Events) -> dict[str, Any] | None:
    group = vintages(matured, past)
    return None if group is None else groups_table(matured, group)


def _drift(model: Bundle | None, past: Events, cutoff: int, events: Events, merge: str) -> dict[str, Any]:
    """How far tonight's customers are from those of training, or from those of the cutoff where that is not known."""
    end = end_of_log(int(events.timestamp.max()))
    now = input_table(history(events, end, merge), end)
    profile: Mapping[str, Any] | None = None if model is None else model.inputs
    if profile is not None and model is not None:
        basis, then = "training", model.training_cutoff
        inputs = drift_from_profile(profile, now)
    else:
        basis, then = "cutoff", cutoff
        inputs = drift_between(input_table(past, cutoff), now) if past.customers else {}
    words = {name: found | {"meaning": INPUTS[name]} for name, found in inputs.items()}
    return {"basis": basis, "then": cutoff_text(then), "now": cutoff_text(end), "inputs": words}
