"""How many customers another training of the same model would put into another tier.

A backtest with several seeds has trained the same log several times. A model of several networks holds as many
trainings; it averages them, so that it is itself steadier than they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seqclv.bundle import Bundle
from seqclv.data.events import Events
from seqclv.data.windows import to_timestamp
from seqclv.evaluation.matured import read_forecasts
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import predict
from seqclv.predictive import FloatArray
from seqclv.tiers import HORIZON_DAYS, TOLERANCE
from seqclv.value.stability import tier_changes

MOST_CUSTOMERS = 20_000


def between_networks(bundle: Bundle, past: Events, cutoff: int) -> dict[str, Any] | None:
    """Tier changes between the networks of one model; None where it has no two of them.

    Args:
        bundle: the model.
        past: merged histories before the cutoff; of a large base every n-th customer is asked.
        cutoff: microseconds.
    """
    trained = bundle.networks[: bundle.config.ensemble]  # behind them may stand the untrained prior
    if len(trained) < 2:
        return None
    step = max(1, -(-past.customers // MOST_CUSTOMERS))
    sample = past.select(np.arange(0, past.customers, step, dtype=np.int64))
    spend = {
        i: _expected_spend(replace(bundle, networks=(network,)), sample, cutoff) for i, network in enumerate(trained)
    }
    return _described(spend, "networks", cutoff)


def _expected_spend(bundle: Bundle, past: Events, cutoff: int) -> FloatArray:
    parts = [predict(bundle, part, cutoff).expected_spend([HORIZON_DAYS])[:, 0] for part in chunked([past])]
    return np.concatenate(parts)


def between_seeds(forecasts: Sequence[Path]) -> dict[str, Any] | None:
    """Tier changes between the forecasts files of one cutoff by models of several seeds; None for a single one."""
    if len(forecasts) < 2:
        return None
    read = [read_forecasts(path) for path in forecasts]
    rows = [one.of(one.horizons_days[-1]) for one in read]
    spend = {i: frame["expected_spend"].to_numpy(dtype=np.float64) for i, frame in enumerate(rows)}
    if any(np.isnan(values).any() or len(values) != len(spend[0]) for values in spend.values()):
        return None
    return _described(spend, "seeds", read[0].cutoff)


def _described(spend: Mapping[int, FloatArray], between: str, cutoff: int) -> dict[str, Any]:
    found = tier_changes(spend, to_timestamp(cutoff).isoformat())
    return {
        "between": between,
        "trainings": len(spend),
        "customers": found["customers"],
        "tolerance": TOLERANCE,
        **{way: found[way] for way in ("kept", "inherited", "own")},
    }
