"""How good are forecasts of new customers: those with one purchase by a model, those with none by earlier newcomers.

The customers with one purchase made it after the model was trained and before the forecasts begin, so that the model
has not seen them. Coverage of counts is that of the randomized probability integral transform, since a range of whole
numbers holds more than it promises (Czado, Gneiting and Held 2009).

Shape: N customers.
"""

from typing import Any

import numpy as np

from seqclv.bundle import Bundle
from seqclv.data.events import PURCHASE, Events, FloatArray
from seqclv.data.sampling import uniforms
from seqclv.data.windows import history, outcome
from seqclv.evaluation.metrics import bias, coverage, log_loss, pit_from_pmf
from seqclv.forecast.forecaster import LEVELS, predict
from seqclv.value.newcomers import newcomers
from seqclv.value.prospects import check

_PIT_KEY = 9_001


def bought_once(events: Events, joined: int, cutoff: int, merge: str) -> Events:
    """Merged histories of the customers whose one purchase before the cutoff lies in [joined, cutoff)."""
    past = history(events, cutoff, merge)
    bought = past.event_type == PURCHASE
    once = np.bincount(past.owner[bought], minlength=past.customers) == 1
    late = np.zeros(past.customers, dtype=bool)
    late[past.owner[bought & (past.timestamp >= joined)]] = True
    return past.select(np.flatnonzero(once & late))


def judge_one_purchase(bundle: Bundle, events: Events, cutoff: int, horizon_days: float) -> dict[str, Any] | None:
    """Forecasts of the customers who bought once, after the model's training; None where there is nobody.

    Returns:
        customers; bias of purchases and spend; log-loss of churn, beside that of the share that left (which nobody
        knew); coverage of nine-in-ten ranges of purchases and spend.
    """
    past = bought_once(events, bundle.training_cutoff, cutoff, bundle.merge)
    if past.customers == 0:
        return None
    forecast = predict(bundle, past, cutoff)
    actual = outcome(events, past.customer_id, cutoff, horizon_days, bundle.merge)
    gone = actual.transactions == 0
    churn = forecast.churn_probability([horizon_days])[:, 0]
    ranges = forecast.spend_quantiles([horizon_days], LEVELS)
    within = None if ranges is None else coverage(ranges[:, 0, 0], ranges[:, 0, -1], actual.spend)
    return {
        "customers": past.customers,
        "transactions_bias": bias(forecast.expected_transactions([horizon_days])[:, 0], actual.transactions),
        "spend_bias": bias(forecast.expected_spend([horizon_days])[:, 0], actual.spend),
        "churn": float(churn.mean()),
        "gone": float(gone.mean()),
        "log_loss": log_loss(churn, gone),
        "log_loss_of_share": log_loss(np.full(len(gone), gone.mean()), gone),
        "transactions_coverage_90": _coverage(
            past, forecast.transaction_pmf(horizon_days, _most(actual.transactions)), actual.transactions
        ),
        "spend_coverage_90": within,
    }


def _most(transactions: FloatArray) -> int:
    return int(transactions.max(initial=0)) + 1


def _coverage(past: Events, pmf: FloatArray, actual: FloatArray) -> float:
    """Share of the randomized transforms in [0.05, 0.95]."""
    place = pit_from_pmf(pmf, actual, uniforms(past.customer_id, 1, _PIT_KEY)[:, 0])
    return float(((place >= LEVELS[0]) & (place <= LEVELS[-1])).mean())


def judge_no_purchase(events: Events, cutoff: int, horizon_days: float, merge: str) -> dict[str, Any] | None:
    """Newcomers of the months before the cutoff, forecast without any history; see `seqclv.value.prospects.check`."""
    known = newcomers(history(events, cutoff, merge), horizon_days, ())
    return check(known, cutoff, horizon_days)
