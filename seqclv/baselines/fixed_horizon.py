"""What the baselines share that are fitted for one horizon, on at most so many customers."""

from collections.abc import Sequence

import numpy as np

from seqclv.data.events import Events
from seqclv.errors import InputError


def at_most(history: Events, most: int, random: np.random.Generator) -> Events:
    """The histories, or so many of their customers drawn at random, in their order."""
    if history.customers <= most:
        return history
    return history.select(np.sort(random.choice(history.customers, most, replace=False)))


def require_fitted_horizon(method: str, fitted_days: float, asked_days: Sequence[float]) -> None:
    """Refuse another horizon than the fitted one.

    Raises:
        InputError: one of the asked horizons is another.
    """
    other = [h for h in asked_days if h != fitted_days]
    if other:
        raise InputError(
            f"A {method} answers only the horizon it was fitted for, {fitted_days:g} days; asked for {other[0]:g} "
            "days; fit another one for it."
        )
