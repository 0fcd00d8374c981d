"""The context of a base: free of units, blind to the order of customers, from histories alone."""

from dataclasses import replace

import numpy as np
import pytest

from seqclv.data.bases import draw_base
from seqclv.data.context import base_context, sampled, schema_like
from seqclv.data.schema import derive_scales
from seqclv.training.pretrain import template_schema

TEMPLATE = template_schema(None, 27, 0, 64)


@pytest.fixture(scope="module")
def base():
    return draw_base(np.random.default_rng(11), 300)


def context(events, cutoff):
    return np.asarray(schema_like(TEMPLATE, events, cutoff, merge="none").context)


def test_the_figures_are_finite_for_bases_of_every_kind():
    random = np.random.default_rng(1)
    for _ in range(60):
        base = draw_base(random, int(random.integers(1, 60)))
        if base.events.customers:
            assert np.isfinite(context(base.history, base.cutoff)).all()


def test_the_order_of_the_customers_does_not_matter(base):
    past = base.history
    shuffled = past.select(np.random.default_rng(0).permutation(past.customers))
    np.testing.assert_allclose(context(shuffled, base.cutoff), context(past, base.cutoff), rtol=0, atol=1e-9)


def test_another_currency_changes_nothing(base):
    past = base.history
    dearer = replace(past, amount=past.amount * 1_000)
    np.testing.assert_allclose(context(dearer, base.cutoff), context(past, base.cutoff), rtol=0, atol=1e-9)


def test_another_unit_of_time_changes_nothing(base):
    past = base.history
    slower = replace(past, timestamp=past.timestamp * 7)
    np.testing.assert_allclose(context(slower, base.cutoff * 7), context(past, base.cutoff), rtol=0, atol=1e-6)


def test_another_kind_of_base_has_another_context(base):
    other = draw_base(np.random.default_rng(12), 300)
    assert np.abs(context(base.history, base.cutoff) - context(other.history, other.cutoff)).max() > 0.1


def test_a_sample_is_chosen_by_id_alone(base):
    ids = np.asarray([f"customer {i}" for i in range(base.events.customers)], dtype=object)
    past = replace(base.history, customer_id=ids)
    chosen = set(sampled(past, 50).customer_id)
    half = past.select(np.flatnonzero(np.isin(ids, list(chosen)) | (np.arange(len(ids)) % 2 == 0)))
    assert len(chosen) == 50
    assert set(sampled(half, 50).customer_id) == chosen


def test_purchases_after_earlier_cutoffs_are_told_within_the_history(base):
    past = base.history
    scales = derive_scales(past, base.cutoff, merge="none", max_history_events=64)
    whole = base_context(past, base.cutoff, scales)
    early = past.rows(past.timestamp < int(past.timestamp.min() + 0.8 * (base.cutoff - past.timestamp.min())))
    early = early.select(np.flatnonzero(np.bincount(early.owner[early.event_type == 0], minlength=early.customers) > 0))
    assert np.abs(base_context(early, base.cutoff, scales) - whole).max() > 0
