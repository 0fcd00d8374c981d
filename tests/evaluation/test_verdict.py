"""Each rule of the verdict by itself: large and clear findings count, others do not."""

import pytest

from seqclv.evaluation.verdict import judge

FINE = {
    "customers": 1000,
    "spend": {"bias": 0.02, "gini": 0.70, "gini_of_past_spend": 0.65, "coverage_90": 0.92},
    "transactions": {"bias": 0.01},
    "churn": {"auc": 0.78, "ece": 0.02, "ece_by_chance": 0.04, "forecast": 0.50, "actual": 0.51},
    "intervals": {
        "spend_bias": (-0.05, 0.09),
        "transactions_bias": (-0.04, 0.06),
        "spend_gini": (0.66, 0.74),
        "gini_over_past_spend": (0.01, 0.09),
        "churn_auc": (0.75, 0.81),
        "churn_gap": (-0.03, 0.01),
        "spend_coverage_90": (0.90, 0.94),
    },
}
TRAINING = {"customers": 1000, "sections": {"spend": {"gini": 0.71}, "churn": {"auc": 0.79}}}
CHANGED = {"purchases": {"psi": 0.4, "meaning": "purchases so far"}}
OLDER = {"days_since_first_purchase": {"psi": 3.0, "meaning": "days since the first purchase"}}


def but(section=None, intervals=None, **values):
    found = {**FINE, "intervals": {**FINE["intervals"], **(intervals or {})}}
    return {**found, section: {**FINE[section], **values}} if section else found


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        (FINE, "keep"),
        (but("spend", {"spend_bias": (0.12, 0.30)}, bias=0.2), "recalibrate"),
        (but("spend", {"spend_bias": (0.05, 0.40)}, bias=0.2), "keep"),  # large, not clear
        (but("spend", {"spend_bias": (0.03, 0.08)}, bias=0.05), "keep"),  # clear, not large
        (but("transactions", {"transactions_bias": (-0.3, -0.2)}, bias=-0.25), "recalibrate"),
        (but("churn", {"churn_gap": (0.04, 0.08)}, forecast=0.57), "recalibrate"),
        (but("churn", ece=0.08), "recalibrate"),
        (but("churn", ece=0.08, ece_by_chance=0.09), "keep"),  # a small base misses as much by chance
        (but("spend", {"spend_coverage_90": (0.60, 0.70)}, coverage_90=0.65), "recalibrate"),
        (but("spend", {"gini_over_past_spend": (-0.09, -0.01)}), "retrain"),
        (but("churn", {"churn_auc": (0.67, 0.71)}, auc=0.69), "retrain"),
        (but("churn", {"churn_auc": (0.60, 0.90)}, auc=0.75), "keep"),  # fallen, not clear
        (but("spend", {"spend_gini": (0.48, 0.52)}, gini=0.50), "retrain"),
    ],
)
def test_large_and_clear_findings_decide(figures, word):
    assert judge(figures, TRAINING, {}).word == word


def test_changed_customers_make_of_a_wrong_level_a_reason_to_retrain():
    off = but("spend", {"spend_bias": (0.12, 0.30)}, bias=0.2)
    assert judge(off, TRAINING, CHANGED).word == "retrain"
    assert judge(off, TRAINING, OLDER).word == "recalibrate"
    kept = judge(FINE, TRAINING, CHANGED)
    assert kept.word == "keep"
    assert "purchases so far" in kept.reasons[-1]


def test_a_model_without_a_season_is_not_blamed_for_the_time_of_year_alone():
    off = but("spend", {"spend_bias": (0.12, 0.30)}, bias=0.2) | {"horizon_days": 90.0}
    for drift in ({}, CHANGED):
        assert any("time of year" in reason for reason in judge(off, TRAINING, drift, seasonless=True).reasons)
        assert not any("time of year" in reason for reason in judge(off, TRAINING, drift).reasons)
    year = off | {"horizon_days": 365.0}
    assert not any("time of year" in reason for reason in judge(year, TRAINING, {}, seasonless=True).reasons)
    assert not any("time of year" in reason for reason in judge(FINE, TRAINING, {}, seasonless=True).reasons)


def test_without_figures_from_training_the_others_decide():
    assert judge(but("churn", {"churn_auc": (0.60, 0.64)}, auc=0.62), None, {}).word == "keep"
    assert judge(but("spend", {"gini_over_past_spend": (-0.09, -0.01)}), None, {}).word == "retrain"


def test_a_small_training_window_widens_the_comparison():
    fallen = but("churn", {"churn_auc": (0.71, 0.77)}, auc=0.74)
    assert judge(fallen, {**TRAINING, "customers": 100_000}, {}).word == "retrain"
    assert judge(fallen, {**TRAINING, "customers": 300}, {}).word == "keep"
