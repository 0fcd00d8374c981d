"""What feedback is worth, and the page about it."""

import numpy as np
import pytest

from seqclv.config import Config, TrainingConfig
from seqclv.evaluation.feedback_page import feedback_page
from seqclv.evaluation.feedback_study import GOOD, POOR, SILENT, Judged, Setting, compared, study

FULL, ANGRY = "every second purchase is reviewed", "only the angry answer"


def one(probability, gone, group):
    return Judged(np.array(probability), np.array(gone), np.array(group, dtype=object))


def test_the_difference_of_losses_is_paired_by_customer_and_split_by_base_and_answer():
    first = one([0.5, 0.5], [True, False], [SILENT, SILENT])
    better = one([0.8, 0.4], [True, False], [POOR, SILENT])
    second = one([0.5], [True], [SILENT])
    found = compared([(first, better), (second, one([0.25], [True], [GOOD]))])
    losses = np.log([0.5, 0.5, 0.5]) - np.log([0.8, 0.6, 0.25])
    assert found["difference"] == pytest.approx(losses.mean())
    assert found["error"] == pytest.approx(losses.std(ddof=1) / np.sqrt(3))
    assert found["by_base"] == pytest.approx([losses[:2].mean(), losses[2]])
    poor = next(group for group in found["groups"] if group["group"] == POOR)
    assert (poor["customers"], poor["gone"], poor["without"], poor["with"]) == (1, 1.0, 0.5, 0.8)


@pytest.mark.slow
def test_feedback_improves_churn_and_does_no_harm_where_only_the_angry_answer():
    steps = TrainingConfig(max_steps=400, from_prior=False)
    setting = Setting(customers=2500, seeds=(0,), config=Config(ensemble=1, accelerator="cpu", training=steps))
    full, angry = study(setting, [FULL, ANGRY])["kinds"]
    assert full["difference"] < -2 * full["error"]
    assert full["difference"] < -0.005
    assert angry["difference"] < 2 * angry["error"]
    silent, poor, _ = angry["groups"]
    assert silent["customers"] > 1000
    assert abs(silent["with"] - silent["gone"]) < abs(silent["without"] - silent["gone"]) + 2 * silent["error"]
    assert silent["with"] < poor["with"]


def test_the_page_says_better_only_where_the_difference_is_clear():
    group = {"group": SILENT, "customers": 5, "gone": 0.4, "without": 0.5, "with": 0.45, "error": 0.2}
    row = {"customers": 9, "without": 0.4, "with": 0.38, "by_base": [-0.02], "groups": [group, group | {"group": POOR}]}
    kinds = [
        row | {"kind": FULL, "difference": -0.02, "error": 0.005, "only_angry": False},
        row | {"kind": ANGRY, "difference": -0.02, "error": 0.02, "only_angry": True},
    ]
    setting = Setting(seeds=(0,))
    facts = {name: getattr(setting, name) for name in setting.__dataclass_fields__ if name != "config"}
    page = feedback_page({"setting": facts | {"networks": 1}, "kinds": kinds, "versions": "seqclv 1"})
    assert "Every second purchase is reviewed: better by 5.0% of the log-loss, clearly." in page
    assert "Only the angry answer: no clear difference (-5.0%)." in page
    rows = [kinds[0] | {"by_base": [-0.06, 0.02]}, kinds[1]]  # the bases tell of more chance than the customers do
    page = feedback_page({"setting": facts | {"networks": 1}, "kinds": rows, "versions": "seqclv 1"})
    assert "Every second purchase is reviewed: no clear difference (-5.0%)." in page
    assert "the silent goes from 50.0% to 45.0%" in page
