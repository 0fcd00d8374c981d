"""Fitting the buy-till-you-die models by maximum likelihood to an RFM table."""

from collections.abc import Callable, Sequence
from dataclasses import astuple

import numpy as np
import numpy.typing as npt

from seqclv.baselines import bg_nbd, pareto_nbd
from seqclv.baselines.bg_nbd import BgNbd
from seqclv.baselines.maximum_likelihood import LogLikelihood, maximize
from seqclv.baselines.pareto_nbd import ParetoNbd, blocks
from seqclv.baselines.rfm import RfmTable

FloatArray = npt.NDArray[np.float64]
Family = Callable[..., tuple[float, FloatArray]]  # (theta, x, t_x, T, count) -> log-likelihood, gradient

_THINNED = 3_000  # distinct rows that are enough to find a start

# In units of the mean age: buyers and droppers of middling spread; after it, sharper and flatter priors.
_PARETO_STARTS = ((1.0, 1.0, 1.0, 1.0), (0.5, 0.3, 0.5, 0.3), (3.0, 0.5, 0.3, 3.0))
_BG_STARTS = ((1.0, 1.0, 1.0, 2.0), (0.3, 0.2, 0.5, 2.0), (3.0, 0.5, 0.2, 3.0))


def fit_pareto_nbd(table: RfmTable) -> ParetoNbd:
    """The maximum-likelihood Pareto/NBD; always finite, see `maximum_likelihood.maximize` for flat likelihoods."""
    unit, rows, count = _sufficient(table)
    r, alpha, s, beta = _estimate(pareto_nbd.log_likelihood, rows, count, _PARETO_STARTS).tolist()
    return ParetoNbd(r, alpha * unit, s, beta * unit)


def fit_bg_nbd(table: RfmTable) -> BgNbd:
    """The maximum-likelihood BG/NBD; always finite, see `maximum_likelihood.maximize` for flat likelihoods."""
    unit, rows, count = _sufficient(table)
    r, alpha, a, b = _estimate(bg_nbd.log_likelihood, rows, count, _BG_STARTS).tolist()
    return BgNbd(r, alpha * unit, a, b)


def _estimate(family: Family, rows: FloatArray, count: FloatArray, starts: Sequence[Sequence[float]]) -> FloatArray:
    """Maximize from all starts; a large base from where a thinned one has its maximum."""

    def objective(rows: FloatArray, count: FloatArray) -> LogLikelihood:
        def summed(theta: FloatArray) -> tuple[float, FloatArray]:
            parts = [family(theta, *rows[block].T, count[block]) for block in blocks(len(rows))]
            return sum(value for value, _ in parts), np.sum([gradient for _, gradient in parts], axis=0)

        return summed

    centre = starts[0]
    if len(rows) > 2 * _THINNED:
        step = len(rows) // _THINNED
        starts = [maximize(objective(rows[::step], count[::step]), centre, starts).tolist()]
    return maximize(objective(rows, count), centre, starts)


def log_likelihood(model: ParetoNbd | BgNbd, table: RfmTable) -> float:
    """The log-likelihood of a table, times in days (another unit of time shifts it by log(unit) per purchase)."""
    rows, count = _distinct(table)
    x, recency, age = rows.T
    theta = np.array(astuple(model))
    if isinstance(model, ParetoNbd):
        return pareto_nbd.log_likelihood(theta, x, recency, age, count)[0]
    return bg_nbd.log_likelihood(theta, x, recency, age, count)[0]


def _sufficient(table: RfmTable) -> tuple[float, FloatArray, FloatArray]:
    """The unit of time, the mean age; the distinct (x, t_x, T) in it [U, 3] and their numbers of customers [U]."""
    rows, count = _distinct(table)
    mean_age = float(table.T.mean()) if len(table) else 0.0
    unit = mean_age if mean_age > 0 else 1.0
    return unit, rows / np.array([1.0, unit, unit]), count


def _distinct(table: RfmTable) -> tuple[FloatArray, FloatArray]:
    rows, count = np.unique(np.column_stack([table.frequency, table.recency, table.T]), axis=0, return_counts=True)
    return rows, count.astype(np.float64)
