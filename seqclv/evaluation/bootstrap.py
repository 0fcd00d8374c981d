"""Is the difference between two methods more than chance? Paired by customer, by bootstrap.

Both methods are judged on the same customers; what is resampled is customers, so that the interval says what another
draw of customers from the same base would have shown. It does not hold the chance of training: see several seeds.

Shape: N customers, K columns of losses, B resamples.
"""

from collections.abc import Mapping
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


def resampled_means(columns: FloatArray, resamples: int, seed: int) -> FloatArray:
    """[B, K] means of the columns [N, K] over customers drawn with replacement, the same draws for every column."""
    random = np.random.default_rng(seed)
    size = len(columns)
    means = np.empty((resamples, columns.shape[1]))
    for b in range(resamples):
        times = np.bincount(random.integers(0, size, size), minlength=size)
        means[b] = times @ columns / size
    return means
