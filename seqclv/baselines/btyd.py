"""Fitting the buy-till-you-die models by maximum likelihood to an RFM table."""

from dataclasses import astuple

import numpy as np
import numpy.typing as npt

from seqclv.baselines import bg_nbd, pareto_nbd
from seqclv.baselines.bg_nbd import BgNbd
from seqclv.baselines.maximum_likelihood import maximize
from seqclv.baselines.pareto_nbd import ParetoNbd
from seqclv.baselines.rfm import RfmTable

FloatArray = npt.NDArray[np.float64]

# In units of the mean age: buyers and droppers of middling spread; after it, sharper and flatter priors.
_PARETO_STARTS = ((1.0, 1.0, 1.0, 1.0), (0.5, 0.3, 0.5, 0.3), (3.0, 0.5, 0.3, 3.0))
_BG_STARTS = ((1.0, 1.0, 1.0, 2.0), (0.3, 0.2, 0.5, 2.0), (3.0, 0.5, 0.2, 3.0))


def fit_pareto_nbd(table: RfmTable) -> ParetoNbd:
    """The maximum-likelihood Pareto/NBD; always finite, see `maximum_likelihood.maximize` for flat likelihoods."""
    unit, statistics = _sufficient(table)
    r, alpha, s, beta = maximize(
        lambda theta: pareto_nbd.log_likelihood(theta, *statistics), _PARETO_STARTS[0], _PARETO_STARTS
    ).tolist()
    return ParetoNbd(r, alpha * unit, s, beta * unit)


def fit_bg_nbd(table: RfmTable) -> BgNbd:
    """The maximum-likelihood BG/NBD; always finite, see `maximum_likelihood.maximize` for flat likelihoods."""
    unit, statistics = _sufficient(table)
    r, alpha, a, b = maximize(
        lambda theta: bg_nbd.log_likelihood(theta, *statistics), _BG_STARTS[0], _BG_STARTS
    ).tolist()
    return BgNbd(r, alpha * unit, a, b)


def log_likelihood(model: ParetoNbd | BgNbd, table: RfmTable) -> float:
    """The log-likelihood of a table, times in days (another unit of time shifts it by log(unit) per purchase)."""
    rows, count = _distinct(table)
    x, recency, age = rows.T
    theta = np.array(astuple(model))
    if isinstance(model, ParetoNbd):
        return pareto_nbd.log_likelihood(theta, x, recency, age, count)[0]
    return bg_nbd.log_likelihood(theta, x, recency, age, count)[0]


def _sufficient(table: RfmTable) -> tuple[float, tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
    """The unit of time, the mean age, and the distinct (x, t_x, T) in it with their numbers of customers."""
    rows, count = _distinct(table)
    mean_age = float(table.T.mean()) if len(table) else 0.0
    unit = mean_age if mean_age > 0 else 1.0
    return unit, (rows[:, 0], rows[:, 1] / unit, rows[:, 2] / unit, count)


def _distinct(table: RfmTable) -> tuple[FloatArray, FloatArray]:
    rows, count = np.unique(np.column_stack([table.frequency, table.recency, table.T]), axis=0, return_counts=True)
    return rows, count.astype(np.float64)
