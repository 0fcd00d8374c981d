"""Keep, recalibrate or retrain: one plain word about a model from an audit, by rules that allow for chance.

A finding counts when it is both large (beyond a tolerance) and clear (its 95 % interval, by bootstrap over customers,
leaves the tolerated value out).

    retrain      the ranking has fallen since training, or a ranking by past spend alone does clearly better, or the
                 level or the probabilities are off while the customers have changed strongly
    recalibrate  the level of spend or purchases, the churn probabilities or the width of the ranges are off
    keep         otherwise

Drift of the inputs alone is a reason to look, not to act: a model may forecast changed customers well. The age of
customers is no such reason: time alone moves it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from seqclv.evaluation.drift import STRONG

LEVEL_TOLERANCE = 0.10  # of the sum of forecasts beside the sum of what happened
CHURN_TOLERANCE = 0.03  # of the mean churn probability beside the share that churned
ECE_TOLERANCE = 0.05  # mean gap between churn probabilities and shares
COVERAGE_FLOOR = 0.80  # of ranges that should hold nine in ten
AUC_FALL = 0.02
GINI_FALL = 0.05
_Z = 1.96
_YEAR = 365  # days; a window that is shorter holds some months and not others
_SEASON = (
    "The model knows no yearly season, so the time of year alone may be the cause: compare with the same months of the "
    "year before. Another training mends that only on a log of two years or more."
)
_AGE = "days_since_first_purchase"


@dataclass(frozen=True)
class Verdict:
    """The word and why, in sentences."""

    word: str  # 'keep', 'recalibrate' or 'retrain'
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the tolerances that the rules used."""
        rules = {
            "level": LEVEL_TOLERANCE,
            "churn_gap": CHURN_TOLERANCE,
            "ece": ECE_TOLERANCE,
            "coverage_floor": COVERAGE_FLOOR,
            "auc_fall": AUC_FALL,
            "gini_fall": GINI_FALL,
            "psi": STRONG,
        }
        return {**asdict(self), "reasons": list(self.reasons), "tolerances": rules}


def judge(
    figures: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
    drift: Mapping[str, Mapping[str, Any]],
    *,
    seasonless: bool = False,
) -> Verdict:
    """The verdict on one matured horizon.

    Args:
        figures: of the horizon, as `seqclv.evaluation.audit` makes them.
        champion: the model's held-out figures at training time for a horizon of the same length, else None.
        drift: by input, as `seqclv.evaluation.drift` makes it.
        seasonless: the model is known to know no yearly season.
    """
    ranking = [*_fallen(figures, champion), *_beaten(figures)]
    level = [*_level(figures), *_churn(figures)]
    off = [*level, *_width(figures)]
    moved = [str(found["meaning"]) for name, found in drift.items() if found["psi"] >= STRONG and name != _AGE]
    look = _moved_words(moved)
    if level and seasonless and figures["horizon_days"] < _YEAR:
        look = (*look, _SEASON)
    if ranking:
        return Verdict("retrain", (*ranking, *off, *look))
    if off and moved:
        return Verdict("retrain", (*off, *look, "What is off was learned from customers unlike those of tonight."))
    if off:
        return Verdict("recalibrate", (*off, *look, "The ranking of customers still holds."))
    return Verdict("keep", ("Level, ranking and probabilities are within their tolerances.", *look))


def _fallen(figures: Mapping[str, Any], champion: Mapping[str, Any] | None) -> list[str]:
    if champion is None:
        return []
    pairs = (
        ("churn", "auc", AUC_FALL, "AUC of churn"),
        ("spend", "gini", GINI_FALL, "Gini of spend"),
    )
    reasons = []
    for section, metric, tolerance, words in pairs:
        then, now = champion["sections"][section][metric], figures[section][metric]
        between = figures["intervals"].get(f"{section}_{metric}")
        if then is None or now is None or between is None:
            continue
        error = (between[1] - between[0]) / (2 * _Z)
        both = error * np.sqrt(1 + figures["customers"] / max(champion["customers"], 1))
        if then - now > tolerance and then - now > _Z * both:
            reasons.append(f"The ranking has fallen: the {words} is {now:.3f}, it was {then:.3f} at training time.")
    return reasons


def _beaten(figures: Mapping[str, Any]) -> list[str]:
    between = figures["intervals"].get("gini_over_past_spend")
    if between is None or between[1] >= 0:
        return []
    reference, now = figures["spend"]["gini_of_past_spend"], figures["spend"]["gini"]
    return [f"Past spend alone ranks customers better: its Gini is {reference:.3f}, the forecast's {now:.3f}."]


def _level(figures: Mapping[str, Any]) -> list[str]:
    reasons = []
    for section, words in (("spend", "spend"), ("transactions", "purchases")):
        between = figures["intervals"].get(f"{section}_bias")
        if between is not None and (between[0] > LEVEL_TOLERANCE or between[1] < -LEVEL_TOLERANCE):
            miss = figures[section]["bias"]
            reasons.append(f"The level of {words} is off: {abs(miss):.1%} too {'much' if miss > 0 else 'little'}.")
    return reasons


def _churn(figures: Mapping[str, Any]) -> list[str]:
    churn, between = figures["churn"], figures["intervals"].get("churn_gap")
    if between is not None and (between[0] > CHURN_TOLERANCE or between[1] < -CHURN_TOLERANCE):
        return [f"Churn was forecast for {churn['forecast']:.1%} of the customers, {churn['actual']:.1%} churned."]
    if churn["ece"] is not None and churn["ece"] > max(ECE_TOLERANCE, churn["ece_by_chance"]):
        return [f"Churn probabilities miss the shares by {100 * churn['ece']:.1f} points on average."]
    return []


def _width(figures: Mapping[str, Any]) -> list[str]:
    between = figures["intervals"].get("spend_coverage_90")
    if between is None or between[1] >= COVERAGE_FLOOR:
        return []
    return [f"Ranges that should hold nine in ten customers hold {figures['spend']['coverage_90']:.0%}."]


def _moved_words(moved: list[str]) -> tuple[str, ...]:
    if not moved:
        return ()
    return (f"The customers have changed strongly since (stability index of {STRONG} or more): {', '.join(moved)}.",)
