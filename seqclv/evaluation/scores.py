"""What one method forecast for every customer of a window, and its metrics.json sections."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from seqclv.data.sampling import uniforms
from seqclv.data.windows import Outcome
from seqclv.evaluation import metrics
from seqclv.predictive import FloatArray, Predictive

_DRAWS = 256  # per customer, where a CRPS comes from draws
_PIT_KEY = 90_917  # of the chance in probability integral transforms: another one than that of any other draw
_PMF_CELLS = 50_000_000  # most entries of a table of PMFs: 400 MB


@dataclass(frozen=True)
class Scores:
    """Forecasts of N customers for one horizon, reduced to what metrics need. None where a method has no answer."""

    transactions: FloatArray | None  # [N] expected
    spend: FloatArray | None  # [N] expected
    churn: FloatArray | None  # [N]
    transaction_quantiles: FloatArray | None  # [N, 3]
    spend_quantiles: FloatArray | None  # [N, 3]
    transaction_crps: FloatArray | None = None  # [N]
    spend_crps: FloatArray | None = None  # [N]
    transaction_pit: FloatArray | None = None  # [N] randomized probability integral transform
    spend_pit: FloatArray | None = None  # [N]


def scores(predictive: Predictive, table: pa.Table, actual: Outcome, horizon_days: float, *, seed: int = 0) -> Scores:
    """Evaluate a predictive distribution, whose forecasts for one horizon are in `table`, against what happened.

    Draws are keyed by the seed; the chance in probability integral transforms by the customers' ids alone, so that
    all methods and seeds have the same.
    """
    chance = uniforms(table["customer_id"].to_numpy(), 2, _PIT_KEY)
    draws = predictive.sample(horizon_days, _DRAWS, seed)
    counts, spend = (None, None) if draws is None else draws
    transaction_crps, transaction_pit = _of_counts(predictive, actual.transactions, horizon_days, counts, chance[:, 0])
    spend_crps, spend_pit = _of_draws(spend, actual.spend, chance[:, 1])
    return replace(
        scores_of_table(table),
        transaction_crps=transaction_crps,
        spend_crps=spend_crps,
        transaction_pit=transaction_pit,
        spend_pit=spend_pit,
    )


def scores_of_table(table: pa.Table) -> Scores:
    """What forecasts for one horizon tell by themselves: all but what needs the distribution, CRPS and PIT."""
    return Scores(
        transactions=_present(table, "expected_transactions"),
        spend=_present(table, "expected_spend"),
        churn=_present(table, "churn_probability"),
        transaction_quantiles=_present(table, "transactions_q05", "transactions_q50", "transactions_q95"),
        spend_quantiles=_present(table, "spend_q05", "spend_q50", "spend_q95"),
    )


def _column(table: pa.Table, name: str) -> FloatArray:
    return np.asarray(table[name].to_numpy())


def _present(table: pa.Table, *names: str) -> FloatArray | None:
    """One column as [N], several as [N, Q]; None where the method gave nothing."""
    if table[names[0]].null_count:
        return None
    columns = [_column(table, name) for name in names]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)


def _of_counts(
    predictive: Predictive,
    actual: FloatArray,
    horizon_days: float,
    draws: FloatArray | None,
    chance: FloatArray,
) -> tuple[FloatArray | None, FloatArray | None]:
    """[N] CRPS and PIT from the PMF; from draws where a customer with very many purchases would make all PMFs long."""
    mean = predictive.expected_transactions([horizon_days])
    if mean is None:
        return None, None
    most = max(float(actual.max(initial=0)), float(mean.max(initial=0)))
    maximum = int(most + 10 * np.sqrt(most) + 20)
    if maximum * len(actual) > _PMF_CELLS:
        return _of_draws(draws, actual, chance)
    pmf = predictive.transaction_pmf(horizon_days, maximum)
    if pmf is None:
        return None, None
    return metrics.crps_from_pmf(pmf, actual), metrics.pit_from_pmf(pmf, actual, chance)


def _of_draws(
    draws: FloatArray | None, actual: FloatArray, chance: FloatArray
) -> tuple[FloatArray | None, FloatArray | None]:
    """[N] CRPS and PIT; None without draws, also where the method knows no amounts and draws are not numbers."""
    if draws is None or np.isnan(draws).any():
        return None, None
    return metrics.crps_from_draws(draws, actual), metrics.pit_from_draws(draws, actual, chance)


def join(parts: list[Scores]) -> Scores:
    """The scores of consecutive groups of customers as one."""
    columns: dict[str, Any] = {}
    for name in Scores.__dataclass_fields__:
        values = [getattr(part, name) for part in parts]
        columns[name] = None if any(v is None for v in values) else np.concatenate(values)
    return Scores(**columns)


def sections(result: Scores, actual: Outcome) -> dict[str, Any]:
    """The sections 'transactions', 'spend' and 'churn' of metrics.json."""
    transactions = _amount_section(
        result.transactions, result.transaction_quantiles, result.transaction_crps, actual.transactions
    )
    spend = _amount_section(result.spend, result.spend_quantiles, result.spend_crps, actual.spend)
    q = result.spend_quantiles
    spend["coverage_90"] = None if q is None else metrics.coverage(q[:, 0], q[:, 2], actual.spend)
    pits = ((transactions, result.transaction_pit), (spend, result.spend_pit))
    for section, pit in pits:
        section["pit_ks"] = None if pit is None else metrics.pit_ks(pit)
    return {"transactions": transactions, "spend": spend, "churn": _churn_section(result.churn, actual)}


def _amount_section(
    mean: FloatArray | None, quantiles: FloatArray | None, crps: FloatArray | None, actual: FloatArray
) -> dict[str, Any]:
    return {
        "bias": None if mean is None else metrics.bias(mean, actual),
        "rmse": None if mean is None else metrics.rmse(mean, actual),
        "mae_of_median": None if quantiles is None else metrics.mae(quantiles[:, 1], actual),
        "crps": None if crps is None else float(crps.mean()),
        "gini": None if mean is None else metrics.gini(mean, actual),
        "spearman": None if mean is None else metrics.spearman(mean, actual),
    }


def _churn_section(churn: FloatArray | None, actual: Outcome) -> dict[str, Any]:
    if churn is None:
        return dict.fromkeys(("auc", "brier", "log_loss", "ece"))
    gone = actual.transactions == 0
    return {
        "auc": metrics.auc(churn, gone),
        "brier": metrics.brier(churn, gone),
        "log_loss": metrics.log_loss(churn, gone),
        "ece": metrics.ece(churn, gone),
    }
