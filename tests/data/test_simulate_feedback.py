"""A base in which satisfaction drives dropout, and the reviews it writes."""

import numpy as np
import pytest

from seqclv.config import DataConfig
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.errors import InputError

BASE = {"customers": 3000, "seed": 3, "mean_events": 8}


def lines(**options):
    return simulate(SimulationConfig(**BASE, **options)).transactions.to_pandas()


def test_the_satisfied_stay_longer():
    truth = simulate(SimulationConfig(**BASE, satisfaction_effect=1.0)).customers.to_pandas()
    lifetime = np.log((truth["dropout"] - truth["acquired"]).dt.total_seconds())
    assert np.corrcoef(truth["satisfaction"], lifetime)[0, 1] > 0.2
    plain = simulate(SimulationConfig(**BASE)).customers.to_pandas()
    factor = truth["hazard"] / plain["hazard"]
    assert factor.mean() == pytest.approx(1, abs=0.1)


def test_without_the_options_the_base_is_what_it_was():
    names = ["customer_id", "timestamp", "amount"]
    assert lines().columns.tolist() == names
    reviewed = lines(response_rate=0.5)
    bought = reviewed[reviewed["event_type"] == "purchase"]
    assert bought[names].reset_index(drop=True).equals(lines())


def test_scores_follow_satisfaction_and_a_higher_response_rate_only_adds_reviews():
    few, many = (lines(satisfaction_effect=1.0, response_rate=rate) for rate in (0.1, 0.6))
    few, many = (log[log["event_type"] == "review"] for log in (few, many))
    assert 0 < len(few) < len(many)
    keys = ["customer_id", "timestamp", "score"]
    assert len(few.merge(many, on=keys)) == len(few)
    truth = simulate(SimulationConfig(**BASE, satisfaction_effect=1.0)).customers.to_pandas()
    scored = many.merge(truth, on="customer_id")
    assert np.corrcoef(scored["score"], scored["satisfaction"])[0, 1] > 0.7
    assert (scored["timestamp"] < scored["dropout"]).all()
    assert set(many["score"]) == {1, 2, 3, 4, 5}


def test_only_the_angry_answer_where_that_is_asked_for():
    angry, all_ = (lines(satisfaction_effect=1.0, response_rate=0.6, only_angry=only) for only in (True, False))
    angry = angry[angry["event_type"] == "review"]
    assert angry["score"].max() == 2
    assert len(angry) == (all_["score"] <= 2).sum()


def test_the_reviews_are_read_as_events_with_a_score():
    log = simulate(SimulationConfig(**BASE, response_rate=0.3)).transactions
    events = events_from_frame(log, DataConfig(event_type="event_type", numeric=("score",)))
    assert events.further_types == ("review",)
    assert np.isfinite(events.numeric["score"]).sum() == (log["event_type"].to_pandas() == "review").sum()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="response_rate must be in"):
        SimulationConfig(response_rate=1.5)
