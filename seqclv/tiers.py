"""Value tiers: boundaries that are set once and stored with a model, so that 'gold' means the same every night.

A customer's tier follows from the expected spend within `horizon_days`, as the model forecasts it. Boundaries are set
on a base so that the customers of the first tier bring the first share of its expected spend (say 50 %), those of the
second the next, and so on.

Shape: C customers, T tiers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqclv.errors import InputError

FloatArray = npt.NDArray[np.float64]

NAMES = ("platinum", "gold", "silver", "bronze")
SHARES = (0.50, 0.30, 0.15, 0.05)
HORIZON_DAYS = 365.0
TOLERANCE = 0.15  # of a boundary: within it a customer keeps the tier they had


@dataclass(frozen=True, kw_only=True)
class Tiers:
    """Names from the best tier to the last, and the least expected spend of every tier but the last."""

    names: tuple[str, ...]
    shares: tuple[float, ...]  # of the base's expected spend when the boundaries were set
    bounds: tuple[float, ...]  # [T - 1] currency units, falling
    horizon_days: float
    set_at: str  # the cutoff of the scoring that set them, ISO

    def assign(
        self,
        expected_spend: FloatArray,
        previous: npt.NDArray[np.object_] | None = None,
        tolerance: float = TOLERANCE,
    ) -> npt.NDArray[np.object_]:
        """[C] the tier of each customer; None where the expected spend is unknown.

        Args:
            expected_spend: [C] within `horizon_days`.
            previous: [C] the tier that each customer had, None where they had none. They keep it unless the expected
                spend is beyond a boundary by more than the tolerance; then they move no further than they must.
            tolerance: a share of the boundary, at least 0.
        """
        rank = self._rank(expected_spend)
        if previous is not None:
            place = {name: i for i, name in enumerate(self.names)}
            before = np.array([place.get(name, -1) for name in previous], dtype=np.int64)
            best, worst = (self._rank(expected_spend * by) for by in (1 + tolerance, 1 / (1 + tolerance)))
            rank = np.where(before >= 0, np.clip(before, best, worst), rank)
        names = np.array([*self.names, None], dtype=object)
        return np.asarray(names[np.where(np.isnan(expected_spend), len(self.names), rank)])

    def _rank(self, expected_spend: FloatArray) -> npt.NDArray[np.int64]:
        """[C] index of the tier whose boundaries the expected spend lies in."""
        rank = np.zeros(len(expected_spend), dtype=np.int64)
        for bound in self.bounds:
            rank += expected_spend < bound
        return rank


def set_tiers(
    expected_spend: FloatArray,
    *,
    set_at: str,
    names: tuple[str, ...] = NAMES,
    shares: tuple[float, ...] = SHARES,
    horizon_days: float = HORIZON_DAYS,
) -> Tiers:
    """Boundaries at which the base's expected spend [C] falls into the shares.

    Raises:
        InputError: names and shares do not fit, shares do not sum to one, or nobody is expected to spend.
    """
    if len(names) != len(shares) or len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"Tiers need two or more different names and as many shares, but there are {len(names)} names and "
            f"{len(shares)} shares: give one share for each name."
        )
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise InputError(f"The tiers' shares of expected spend must be above 0 and sum to 1, but they are {shares}.")
    known = np.sort(expected_spend[~np.isnan(expected_spend)])[::-1]
    if known.sum() <= 0:
        raise InputError(
            "Tiers need customers with an expected spend above 0, but there are none: take another cutoff."
        )
    before = np.concatenate([[0.0], np.cumsum(known)[:-1]]) / known.sum()  # the share of all who are ahead
    inside = [int(np.searchsorted(before, edge - 1e-12)) for edge in np.cumsum(shares)[:-1]]
    return Tiers(
        names=tuple(names),
        shares=tuple(float(share) for share in shares),
        bounds=tuple(float(known[number - 1]) for number in inside),
        horizon_days=float(horizon_days),
        set_at=set_at,
    )
