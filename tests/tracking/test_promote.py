import pytest

from seqclv.errors import InputError
from seqclv.tracking.gate import decide
from seqclv.tracking.promote import carry_out


def document(seqclv, pareto_nbd):
    figures = {"seqclv": seqclv, "pareto_nbd": pareto_nbd}
    models = {n: {"churn": {"log_loss": a, "auc": None}, "transactions": {"crps": b}} for n, (a, b) in figures.items()}
    return {"cutoff": "2024-01-01", "horizon_days": 90.0, "customers": 120, "models": models}


@pytest.fixture
def by_name(bundles):
    return {"seqclv": bundles["network"], "pareto_nbd": bundles["pareto_nbd"], "bg_nbd": bundles["bg_nbd"]}


def aliases(store):
    found = store.client.get_registered_model("base").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_a_candidate_that_passes_is_registered_alone_as_champion(store, by_name):
    metrics = document((0.40, 0.30), (0.42, 0.31))
    promotion = carry_out(decide(metrics), by_name, "base", store=store, metrics=metrics)
    assert promotion.versions == {"seqclv": "1"}
    assert promotion.champion == "1"
    assert aliases(store) == {"champion": "1"}
    tags = store.client.get_model_version("base", "1").tags
    assert tags["held_out.churn.log_loss"] == "0.4"
    assert tags["held_out.cutoff"] == "2024-01-01"
    assert "held_out.churn.auc" not in tags
    assert tags["reason"].startswith("seqclv is champion now")


def test_a_classical_model_that_wins_is_registered_beside_the_challenger(store, by_name):
    metrics = document((0.43, 0.32), (0.42, 0.31))
    promotion = carry_out(decide(metrics), by_name, "base", store=store, metrics=metrics)
    assert promotion.versions == {"seqclv": "1", "pareto_nbd": "2"}
    assert aliases(store) == {"champion": "2", "challenger": "1"}
    assert store.client.get_model_version("base", "2").tags["kind"] == "pareto_nbd"


def test_a_candidate_that_fails_leaves_the_champion_where_it_is(store, by_name):
    metrics = document((0.40, 0.30), (0.42, 0.31))
    carry_out(decide(metrics), by_name, "base", store=store, metrics=metrics)
    worse = document((0.41, 0.30), (0.42, 0.31))
    decision = decide(worse, champion_metrics=metrics["models"]["seqclv"])
    promotion = carry_out(decision, by_name, "base", store=store, metrics=worse)
    assert promotion.champion is None
    assert aliases(store) == {"champion": "1", "challenger": "2"}


def test_a_missing_bundle_is_told_before_anything_is_registered(store, by_name):
    metrics = document((0.43, 0.32), (0.42, 0.31))
    with pytest.raises(InputError, match="there is none of pareto_nbd"):
        carry_out(decide(metrics), {"seqclv": by_name["seqclv"]}, "base", store=store, metrics=metrics)
    assert store.client.search_registered_models() == []
