"""The lifecycle stage of a customer: six words, by rules on the forecast and on the customer's own rhythm.

The rules are asked in this order; the first that holds decides, so that everyone has exactly one stage:

    new        the first purchase is at most `new_days` ago
    lost       more likely than not they never buy again: P(no purchase within ten years) >= `lost_probability`
    returned   the last purchase, at most `returned_days` ago, ended a silence of at least `returned_gaps` times the
               usual gap before it
    at_risk    P(no purchase within ten years) >= `risk_probability`, or silent for `risk_gaps` usual gaps
    cooling    P(no purchase within ten years) >= `cooling_probability`, or silent for `cooling_gaps` usual gaps
    active     everybody else

The usual gap is the customer's median gap between purchases; of a one-time buyer it is the base's mean gap.

Shape: each column [N].
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqclv.predictive import FloatArray
from seqclv.value.columns import STAGES

NEVER_DAYS = 3650.0  # 'never again' is no purchase within ten years


@dataclass(frozen=True, kw_only=True)
class LifecycleRules:
    """The thresholds of the rules."""

    new_days: float = 30.0
    lost_probability: float = 0.5
    returned_days: float = 60.0
    returned_gaps: float = 3.0
    risk_probability: float = 0.35
    risk_gaps: float = 4.0
    cooling_probability: float = 0.20
    cooling_gaps: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """What the rules read. `age_days` counts from the first purchase; gaps are NaN where there is none."""

    never_again: FloatArray
    age_days: FloatArray
    days_since_last: FloatArray
    usual_gap_days: FloatArray
    earlier_gap_days: FloatArray
    last_gap_days: FloatArray
    base_gap_days: float


def stages(rhythm: Rhythm, rules: LifecycleRules | None = None) -> npt.NDArray[np.object_]:
    """[N] the stage of each customer, one of `STAGES`."""
    rules = rules or LifecycleRules()
    gap = np.where(np.isnan(rhythm.usual_gap_days), rhythm.base_gap_days, rhythm.usual_gap_days)
    silent = rhythm.days_since_last / np.maximum(gap, 1.0)  # a gap of hours is a day to a rule about days
    long_silence = rhythm.last_gap_days >= rules.returned_gaps * np.maximum(rhythm.earlier_gap_days, 1.0)
    conditions = {
        "new": rhythm.age_days <= rules.new_days,
        "lost": rhythm.never_again >= rules.lost_probability,
        "returned": long_silence & (rhythm.days_since_last <= rules.returned_days),  # NaN compares as false
        "at_risk": (rhythm.never_again >= rules.risk_probability) | (silent >= rules.risk_gaps),
        "cooling": (rhythm.never_again >= rules.cooling_probability) | (silent >= rules.cooling_gaps),
    }
    assert set(conditions) | {"active"} == set(STAGES)
    words = [np.full(len(silent), name, dtype=object) for name in conditions]
    return np.asarray(np.select(list(conditions.values()), words, default=np.array("active", dtype=object)))
