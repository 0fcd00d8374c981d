"""Everybody has exactly one stage, by rules that a reader can check by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqclv.value.columns import STAGES
from seqclv.value.lifecycle import LifecycleRules, Rhythm, stages

maybe_days = st.one_of(st.just(np.nan), st.floats(0, 1e5))
people = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1e5), st.floats(0, 1e5), maybe_days, maybe_days, maybe_days),
    min_size=1,
    max_size=30,
)


def rhythm(rows, base_gap=30.0):
    columns = [np.array(column, dtype=float) for column in zip(*rows, strict=True)]
    names = ("never_again", "age_days", "days_since_last", "usual_gap_days", "earlier_gap_days", "last_gap_days")
    return Rhythm(**dict(zip(names, columns, strict=True)), base_gap_days=base_gap)


@given(people)
def test_the_stages_are_total_and_exclusive(rows):
    found = stages(rhythm(rows))
    assert len(found) == len(rows)
    assert set(found) <= set(STAGES)


@given(people, st.floats(0, 1))
def test_less_hope_is_never_a_better_stage(rows, more):
    order = ["active", "cooling", "at_risk", "lost"]
    before = stages(rhythm(rows))
    after = stages(rhythm([(max(row[0], more), *row[1:]) for row in rows]))
    for old, new in zip(before, after, strict=True):
        if old in order and new in order:
            assert order.index(new) >= order.index(old)


@pytest.mark.parametrize(
    ("row", "stage"),
    [
        ((0.01, 10, 10, np.nan, np.nan, np.nan), "new"),
        ((0.90, 10, 10, np.nan, np.nan, np.nan), "new"),  # a newcomer is not lost yet
        ((0.60, 400, 300, 20, 20, 20), "lost"),
        ((0.05, 400, 10, 25, 20, 90), "returned"),
        ((0.05, 400, 61, 25, 20, 90), "cooling"),  # that was too long ago
        ((0.40, 400, 20, 20, 20, 20), "at_risk"),
        ((0.05, 400, 80, 20, 20, 20), "at_risk"),  # four usual gaps of silence
        ((0.25, 400, 10, 20, 20, 20), "cooling"),
        ((0.05, 400, 45, 20, 20, 20), "cooling"),
        ((0.05, 400, 30, 20, 20, 20), "active"),
        ((0.05, 400, 65, np.nan, np.nan, np.nan), "cooling"),  # bought once: the base's gap of 30 days
    ],
)
def test_hand_worked_stages(row, stage):
    assert stages(rhythm([row])) == [stage]


def test_the_thresholds_are_the_users():
    row = (0.30, 400, 10, 20, 20, 20)
    assert stages(rhythm([row])) == ["cooling"]
    assert stages(rhythm([row]), LifecycleRules(risk_probability=0.3)) == ["at_risk"]
