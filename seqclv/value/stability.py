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
        Mean and worst pair of three ways. `kept`: the second model takes over the boundaries that the first one set and
        the customers' tiers within the tolerance (`seqclv value --tiers-of --previous`); `inherited`: the boundaries
        alone; `own`: each model sets its own.
    """
    tiers = {seed: set_tiers(values, set_at=set_at) for seed, values in expected_spend.items()}
    shares: dict[str, list[float]] = {"kept": [], "inherited": [], "own": []}
    for first, second in itertools.permutations(expected_spend, 2):
        before = tiers[first].assign(expected_spend[first])
        after = {
            "kept": tiers[first].assign(expected_spend[second], before),
            "inherited": tiers[first].assign(expected_spend[second]),
            "own": tiers[second].assign(expected_spend[second]),
        }
        for way, names in after.items():
            shares[way].append(float(np.mean(before != names)))
    return {
        "customers": len(next(iter(expected_spend.values()))),
        "seeds": list(expected_spend),
        "total_by_seed": {seed: float(values.sum()) for seed, values in expected_spend.items()},
        **{way: {"mean": float(np.mean(values)), "worst": max(values)} for way, values in shares.items()},
    }
