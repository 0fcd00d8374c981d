"""How many customers change their tier because a model was trained again, and not because they behaved otherwise?"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqclv.predictive import FloatArray
from seqclv.tiers import set_tiers


def tier_changes(expected_spend: Mapping[int, FloatArray], set_at: str) -> dict[str, Any]:
    """Shares of customers whose tier differs between two trainings of one log, over all ordered pairs of seeds.

    Args:
        expected_spend: [C] by seed, of the same customers in the same order; see `seqclv.tiers`.
        set_at: the cutoff, ISO.

    Returns:
        `inherited`: the second model is read with the boundaries that the first one set, as a retrained model that
        takes them over (`seqclv value --tiers-of`); `own`: each model with its own. Mean and worst pair of each.
    """
    tiers = {seed: set_tiers(values, set_at=set_at) for seed, values in expected_spend.items()}
    inherited, own = [], []
    for first, second in itertools.permutations(expected_spend, 2):
        before = tiers[first].assign(expected_spend[first])
        inherited.append(float(np.mean(before != tiers[first].assign(expected_spend[second]))))
        own.append(float(np.mean(before != tiers[second].assign(expected_spend[second]))))
    return {
        "customers": len(next(iter(expected_spend.values()))),
        "seeds": list(expected_spend),
        "total_by_seed": {seed: float(values.sum()) for seed, values in expected_spend.items()},
        "inherited": {"mean": float(np.mean(inherited)), "worst": max(inherited)},
        "own": {"mean": float(np.mean(own)), "worst": max(own)},
    }
