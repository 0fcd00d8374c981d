"""Is the difference between two methods more than chance? Paired by customer, by bootstrap.

Both methods are judged on the same customers; what is resampled is customers, so that the interval says what another
draw of customers from the same base would have shown. It does not hold the chance of training: see several seeds.

Shape: N customers, K columns of losses, B resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seqclv.data.windows import Outcome
from seqclv.evaluation import metrics
from seqclv.evaluation.scores import Scores
from seqclv.predictive import FloatArray

LOSSES = {
    "churn_log_loss": "churn log-loss",
    "count_crps": "CRPS of purchases",
    "count_squared_error": "squared error of purchases",
    "spend_squared_error": "squared error of spend",
}
_LEVELS = (0.025, 0.975)

Losses = Mapping[str, FloatArray]  # by name of LOSSES, [N]; what a method has no answer for is missing


@dataclass(frozen=True)
class Difference:
    """Mean loss of one method / mean loss of the other - 1, with its 95 % interval; below 0 the one is better."""

    relative: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """'better' or 'worse' where the interval leaves 0 out, else 'open'."""
        return "better" if self.high < 0 else "worse" if self.low > 0 else "open"


def customer_losses(scores: Scores, actual: Outcome) -> dict[str, FloatArray]:
    """[N] each loss of each customer."""
    found = {"count_crps": scores.transaction_crps}
    if scores.churn is not None:
        found["churn_log_loss"] = metrics.log_losses(scores.churn, actual.transactions == 0)
    if scores.transactions is not None:
        found["count_squared_error"] = (scores.transactions - actual.transactions) ** 2
    if scores.spend is not None:
        found["spend_squared_error"] = (scores.spend - actual.spend) ** 2
    return {name: loss for name in LOSSES if (loss := found.get(name)) is not None}


def paired_differences(
    ours: Losses, theirs: Mapping[str, Losses], *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, Difference]]:
    """By opponent and loss that both have, the relative difference of the mean losses."""
    pairs = [(who, name) for who, losses in theirs.items() for name in losses if name in ours]
    pairs = [(who, name) for who, name in pairs if theirs[who][name].sum() > 0]
    result: dict[str, dict[str, Difference]] = {who: {} for who in theirs}
    if not pairs:
        return result
    columns = np.stack([loss for who, name in pairs for loss in (ours[name], theirs[who][name])], axis=1)
    means = resampled_means(columns, resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample may hold no loss at all
        ratios = np.nan_to_num(means[:, ::2] / means[:, 1::2], nan=1.0) - 1
    low, high = np.quantile(ratios, _LEVELS, axis=0)
    total = columns.sum(axis=0)
    for i, (who, name) in enumerate(pairs):
        relative = float(total[2 * i] / total[2 * i + 1] - 1)
        result[who][name] = Difference(relative, float(low[i]), float(high[i]))
    return result


def auc_difference(
    ours: Sequence[FloatArray], theirs: Sequence[FloatArray], happened: np.ndarray, *, resamples: int = 1000
) -> tuple[float, float, float]:
    """How much higher our AUC is, with its 95 % interval over customers; each AUC is the mean over seeds.

    Args:
        ours: by seed, [N] what should be high where the event happens.
        theirs: the same of the other method.
        happened: [N] whether the event did.
        resamples: of the customers; those in which all or none happened say nothing.
    """
    random = np.random.default_rng(0)
    size = len(happened)
    draws = (np.bincount(random.integers(0, size, size), minlength=size) for _ in range(resamples))
    counts = np.stack([np.ones(size), *draws])  # [1 + B, N]; the first row is the customers themselves
    mine, other = (np.mean([_weighted_auc(score, happened, counts) for score in who], axis=0) for who in (ours, theirs))
    difference = mine - other
    low, high = np.nanquantile(difference[1:], _LEVELS)
    return float(difference[0]), float(low), float(high)


def _weighted_auc(score: FloatArray, happened: np.ndarray, counts: FloatArray) -> FloatArray:
    """[B] areas under the ROC curve with each customer as often as `counts` [B, N] says; ties count half."""
    _, group = np.unique(score, return_inverse=True)
    order = np.argsort(group, kind="stable")
    start = np.flatnonzero(np.diff(group[order], prepend=-1))
    weights = counts[:, order]
    positive = np.add.reduceat(weights * happened[order], start, axis=1)
    negative = np.add.reduceat(weights * ~happened[order], start, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((positive * below).sum(axis=1) / pairs)


def resampled_means(columns: FloatArray, resamples: int, seed: int) -> FloatArray:
    """[B, K] means of the columns [N, K] over customers drawn with replacement, the same draws for every column."""
    random = np.random.default_rng(seed)
    size = len(columns)
    means = np.empty((resamples, columns.shape[1]))
    for b in range(resamples):
        times = np.bincount(random.integers(0, size, size), minlength=size)
        means[b] = times @ columns / size
    return means
