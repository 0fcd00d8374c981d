"""Pretraining: it learns, it is reproducible, a killed one resumes, and its length can be changed while it runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqclv.bundle import load_bundle, save_bundle
from seqclv.config import ModelConfig
from seqclv.data.pretraining import PretrainingPlan, SimulatedBatches
from seqclv.training import pretrain as pretraining
from seqclv.training.pretrain import PretrainConfig, pretraining_rate, prior_bundle

TINY = PretrainConfig(
    model=ModelConfig(hidden_size=4, query_size=8, behaviours=2, dropout=0.0),
    plan=PretrainingPlan(bases=2, customers=(20, 60), asked=20, steps=8, uses=2, shuffled=4),
    epochs=3,
    judged_from=1,
)


@pytest.fixture(autouse=True)
def few_bases(monkeypatch):
    """Scales and validation from few bases: a test needs no more."""
    monkeypatch.setattr(pretraining, "SCALE_BASES", 12)
    monkeypatch.setattr(pretraining, "VALIDATION_BASES", 6)


def weights(bundle):
    return {name: tensor.numpy() for name, tensor in bundle.networks[0].state_dict().items()}


def assert_same(one, other):
    for name, tensor in weights(one).items():
        np.testing.assert_array_equal(tensor, weights(other)[name], err_msg=name)


class KilledError(Exception):
    """What ends a run in the middle of it."""


def test_a_run_that_was_cut_short_and_resumed_gives_the_same_bytes(tmp_path, monkeypatch):
    whole = prior_bundle(TINY, tmp_path / "whole", command="x")
    with monkeypatch.context() as cut:
        line = pretraining.Journal.on_train_epoch_end

        def die(self, trainer, pl_module):
            line(self, trainer, pl_module)
            if trainer.current_epoch == 1:
                raise KilledError

        cut.setattr(pretraining.Journal, "on_train_epoch_end", die)
        with pytest.raises(KilledError):
            prior_bundle(TINY, tmp_path / "parts", command="x")
    assert (tmp_path / "parts" / "last.ckpt").is_file()
    assert_same(whole, prior_bundle(TINY, tmp_path / "parts", command="x"))
    assert whole.kind == "prior"
    assert whole.schema is not None
    assert whole.schema.context
    save_bundle(whole, tmp_path / "bundle")
    assert_same(load_bundle(tmp_path / "bundle"), whole)


def test_every_batch_of_an_epoch_comes_as_often_as_planned_and_in_the_same_order_again():
    template = pretraining.template_schema(None, 27, 210, 32)
    epoch = SimulatedBatches(TINY.plan, template, 0)
    first, second = ([float(batch.events.anchor.sum()) for batch in epoch] for _ in range(2))
    assert first == second
    assert len(first) == TINY.plan.steps
    assert len(set(first)) == TINY.plan.steps // TINY.plan.uses


def test_the_learning_rate_does_not_depend_on_the_length_until_it_falls():
    for step in range(0, 600, 50):
        assert pretraining_rate(step, 1_000) == pretraining_rate(step, 5_000)
    assert pretraining_rate(999, 1_000) < 0.01
    assert pretraining_rate(0, 1_000) < 0.1


def test_the_weekday_weighs_nothing_before_a_base_switches_it_on(tmp_path):
    network = prior_bundle(replace(TINY, epochs=1), tmp_path, command="x").networks[0]
    assert torch.equal(network.embed.numeric.weight[:, 4:6], torch.zeros(4, 2))
