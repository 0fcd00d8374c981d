"""Training: both encoders learn, the result is reproducible, a killed training resumes."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqclv.data.windows import history, instant
from seqclv.training.fit import fit_networks
from seqclv.training.start import starting_point

CUTOFF = instant("2021-07-01")


def fit(events, config, work, **changes):
    return fit_networks(
        history(events, CUTOFF, "1d"),
        CUTOFF,
        horizon_days=90.0,
        config=replace(config, ensemble=1, **changes),
        work=work,
        quiet=True,
    )


def weights(result):
    return {name: tensor.numpy() for name, tensor in result.networks[0].state_dict().items()}


def assert_same_weights(one, other):
    for name, tensor in weights(one).items():
        np.testing.assert_array_equal(tensor, weights(other)[name], err_msg=name)


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_every_encoder_learns(encoder, small_events, small_config, tmp_path):
    model = replace(small_config.model, encoder=encoder, heads=2)
    curve = fit(small_events, small_config, tmp_path, model=model).curves[0]
    assert curve[-1]["val_loss"] < curve[0]["val_loss"]


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(small_events, small_config, tmp_path):
    first = fit(small_events, small_config, tmp_path / "a")
    torch.rand(7)  # whatever was drawn before does not matter
    assert_same_weights(first, fit(small_events, small_config, tmp_path / "b"))


def test_another_seed_gives_other_weights(small_events, small_config, tmp_path):
    first, second = (fit(small_events, small_config, tmp_path / str(s), seed=s) for s in (0, 1))
    assert any(not np.array_equal(tensor, weights(second)[name]) for name, tensor in weights(first).items())


def test_an_ensemble_trains_networks_of_different_seeds(small_bundle):
    one, other = (network.state_dict()["head.weight"] for network in small_bundle.networks)
    assert not torch.equal(one, other)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from dataclasses import replace
from seqclv.configfile import config_from
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.training.fit import fit_networks
from seqclv.training.start import starting_point
import json, pyarrow.parquet as pq

def die(network, epoch, metrics):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

config = config_from(json.loads(sys.argv[1]))
events = events_from_frame(pq.read_table(config.data.transactions[0]), config.data)
cutoff = instant("2021-07-01")
fit_networks(history(events, cutoff, "1d"), cutoff, horizon_days=90.0, config=replace(config, ensemble=1),
             work=Path(sys.argv[2]), quiet=True, observer=die)
"""


def test_a_killed_training_resumes_and_ends_as_an_undisturbed_one(small_events, small_config, tmp_path):
    import json
    from dataclasses import asdict

    command = [sys.executable, "-c", KILLED, json.dumps(asdict(small_config)), str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=os.environ.copy())
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "killed" / "network-0" / "last.ckpt").is_file()
    resumed = fit(small_events, small_config, tmp_path / "killed")
    undisturbed = fit(small_events, small_config, tmp_path / "whole")
    assert resumed.curves == undisturbed.curves
    assert_same_weights(resumed, undisturbed)


def test_a_base_of_one_customer_with_one_purchase_trains(small_config, tmp_path):
    import pandas as pd

    from seqclv.data.store import events_from_frame

    frame = pd.DataFrame({"customer_id": ["a"], "timestamp": pd.to_datetime(["2021-03-01"]), "amount": [5.0]})
    events = events_from_frame(frame, replace(small_config.data, transactions=(), categorical=()))
    result = fit(events, small_config, tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in result.networks[0].state_dict().values())


def test_a_large_base_is_learned_from_for_longer_than_a_small_one(small_events, small_config):
    automatic = replace(small_config, training=replace(small_config.training, max_steps=None, from_prior=False))
    start = starting_point(history(small_events, CUTOFF, "1d"), CUTOFF, automatic)
    steps = [start.steps(batches) for batches in (1, 50, 100, 1_000)]
    assert steps == [600, 600, 1_200, 4_000]
    asked = replace(start, settings=replace(start.settings, max_steps=7))
    assert asked.steps(1_000) == 7
