import subprocess
import sys

import pytest

from seqclv.tracking.gate import decide


def sections(log_loss, crps):
    return {"churn": {"log_loss": log_loss, "auc": 0.7}, "transactions": {"crps": crps}, "seconds": {"fit": 1.0}}


def document(**models):
    return {"cutoff": "2024-01-01", "horizon_days": 90.0, "models": {n: sections(*f) for n, f in models.items()}}


def promoted(champion=None, **models):
    decision = decide(document(**models), champion_metrics=None if champion is None else sections(*champion))
    assert decision.alias == ("champion" if decision.promote == "seqclv" else "challenger")
    assert all(reason.endswith(".") for reason in decision.reasons)
    return decision.promote


def test_a_candidate_that_beats_every_baseline_is_champion():
    assert promoted(seqclv=(0.40, 0.30), pareto_nbd=(0.42, 0.31), boosting=(0.41, None)) == "seqclv"


def test_a_tie_with_baseline_and_champion_is_no_worse():
    assert promoted(seqclv=(0.40, 0.30), pareto_nbd=(0.40, 0.30), champion=(0.40, 0.30)) == "seqclv"


@pytest.mark.parametrize("figures", [(0.41, 0.30), (0.40, 0.31)])
def test_a_candidate_worse_than_the_champion_on_one_figure_is_challenger(figures):
    assert promoted(seqclv=figures, pareto_nbd=(0.5, 0.5), champion=(0.40, 0.30)) is None


def test_a_better_candidate_takes_over_from_the_champion():
    assert promoted(seqclv=(0.39, 0.29), pareto_nbd=(0.5, 0.5), champion=(0.40, 0.30)) == "seqclv"


def test_a_baseline_without_a_figure_is_skipped_there():
    assert promoted(seqclv=(0.40, 0.30), boosting=(0.41, None), formula=(None, None)) == "seqclv"


def test_a_classical_model_that_is_better_on_both_figures_is_champion():
    decision = decide(document(seqclv=(0.42, 0.31), pareto_nbd=(0.40, 0.30), bg_nbd=(0.41, 0.32)))
    assert decision.promote == "pareto_nbd"
    assert decision.alias == "challenger"
    assert decision.reasons[-1] == (
        "The classical Pareto/NBD + Gamma-Gamma forecast this base better than seqclv, so it is champion now: "
        "churn log-loss 0.4000, count CRPS 0.3000."
    )


def test_reasons_name_the_better_model_and_both_numbers():
    decision = decide(document(seqclv=(0.42, 0.30), pareto_nbd=(0.40, 0.31)))
    assert (
        "Pareto/NBD + Gamma-Gamma has the lower churn log-loss: 0.4000 against 0.4200 for seqclv." in decision.reasons
    )


def test_numbers_are_told_with_the_digits_that_tell_them_apart():
    decision = decide(document(seqclv=(0.400004, 0.30), pareto_nbd=(0.400001, 0.31)))
    assert any("0.400001 against 0.400004" in reason for reason in decision.reasons)


def test_where_the_classical_models_split_the_smaller_product_wins():
    assert promoted(seqclv=(0.5, 0.5), pareto_nbd=(0.40, 0.33), bg_nbd=(0.42, 0.30)) == "bg_nbd"


def test_classical_models_that_are_equal_go_by_their_order():
    assert promoted(seqclv=(0.5, 0.5), bg_nbd=(0.4, 0.3), pareto_nbd=(0.4, 0.3)) == "pareto_nbd"


def test_a_candidate_that_is_better_on_one_figure_only_does_not_pass():
    assert promoted(seqclv=(0.30, 0.31), pareto_nbd=(0.40, 0.30), champion=(0.35, 0.30)) is None


def test_a_classical_model_takes_over_from_a_champion_that_is_worse():
    assert promoted(seqclv=(0.42, 0.31), pareto_nbd=(0.40, 0.30), champion=(0.41, 0.31)) == "pareto_nbd"


def test_the_present_champion_stays_where_the_classical_model_is_no_better():
    assert promoted(seqclv=(0.42, 0.31), pareto_nbd=(0.40, 0.30), champion=(0.40, 0.30)) is None


def test_boosting_bars_the_candidate_but_not_the_classical_model():
    models = {"seqclv": (0.40, 0.30), "pareto_nbd": (0.42, 0.31), "boosting": (0.39, None)}
    assert promoted(**models) == "pareto_nbd"  # there is no champion, and scoring needs one
    assert promoted(**models, champion=(0.41, 0.305)) is None
    assert promoted(**models, champion=(0.43, 0.32)) == "pareto_nbd"


def test_without_a_classical_model_nobody_becomes_champion_in_place_of_a_failed_candidate():
    assert promoted(seqclv=(0.40, 0.30), boosting=(0.39, None)) is None


@pytest.mark.parametrize("missing", [(None, 0.3), (0.4, None), (float("nan"), 0.3)])
def test_a_candidate_without_a_figure_that_others_have_does_not_pass(missing):
    assert promoted(seqclv=missing, pareto_nbd=(0.5, 0.5)) == "pareto_nbd"


def test_a_classical_model_without_a_figure_cannot_become_champion():
    assert promoted(seqclv=(0.42, 0.31), pareto_nbd=(0.40, None)) is None


def test_a_champion_without_figures_does_not_stand_in_the_way_but_is_not_replaced_by_a_classical_model():
    assert promoted(seqclv=(0.40, 0.30), pareto_nbd=(0.42, 0.31), champion=(None, None)) == "seqclv"
    assert promoted(seqclv=(0.43, 0.32), pareto_nbd=(0.42, 0.31), champion=(None, None)) is None


def test_sections_that_are_missing_altogether_count_as_missing_figures():
    metrics = {"models": {"seqclv": sections(0.4, 0.3), "formula": {"churn": None}}}
    assert decide(metrics).promote == "seqclv"


def test_a_first_model_alone_is_champion():
    assert promoted(seqclv=(0.4, 0.3)) == "seqclv"


def test_another_candidate_can_be_judged():
    decision = decide(document(bg_nbd=(0.4, 0.3), pareto_nbd=(0.5, 0.5)), candidate="bg_nbd")
    assert decision.promote == "bg_nbd"


def test_the_gate_does_not_load_mlflow():
    code = "import sys, seqclv.tracking.gate; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
