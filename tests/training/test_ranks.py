"""Training in several processes: the same steps as in one, also after a kill."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from seqclv.config import Config
from seqclv.data.events import Categorical
from seqclv.data.handover import read_events, write_events
from seqclv.data.loader import EventBoundedSampler
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.training.ranks import Crew, crew_for, fit_in_processes

CUTOFF = instant("2021-07-01")


@pytest.fixture
def config(small_config):
    """Without dropout, whose draws depend on the number of processes."""
    model = replace(small_config.model, dropout=0.0)
    return replace(small_config, model=model, ensemble=1, accelerator="cpu")


def fit(events, config, work, observer=None):
    past = history(events, CUTOFF, "1d")
    return fit_in_processes(past, CUTOFF, horizon_days=90.0, config=config, work=work, quiet=True, observer=observer)


def assert_like(found, expected):
    assert [list(epoch) for epoch in found.curves[0]] == [list(epoch) for epoch in expected.curves[0]]
    for name in ("train_loss", "val_loss"):
        ours, theirs = ([epoch[name] for epoch in result.curves[0]] for result in (found, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, err_msg=name)
    weights = expected.networks[0].state_dict()
    for name, tensor in found.networks[0].state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), weights[name].numpy(), rtol=1e-2, atol=1e-3, err_msg=name)


KILLED = """
import json, os, signal, sys, time
from pathlib import Path
from dataclasses import replace
from seqclv.configfile import config_from
from seqclv.data.handover import read_events
from seqclv.training.ranks import fit_in_processes

def die(network, epoch, metrics):
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)

fit_in_processes(read_events(Path(sys.argv[3])), int(sys.argv[4]), horizon_days=90.0,
                 config=config_from(json.loads(sys.argv[1])), work=Path(sys.argv[2]), quiet=True, observer=die)
"""


@pytest.mark.slow
def test_two_processes_train_as_one_also_when_they_are_killed(small_events, config, tmp_path):
    alone = fit(small_events, config, tmp_path / "alone")
    two, told = replace(config, devices=2), []
    together = fit(small_events, two, tmp_path / "together", observer=lambda *seen: told.append(seen))
    assert_like(together, alone)
    assert [(network, epoch) for network, epoch, _ in told] == [(0, e) for e in range(len(alone.curves[0]))]

    write_events(history(small_events, CUTOFF, "1d"), tmp_path / "events")
    words = [json.dumps(asdict(two)), str(tmp_path / "killed"), str(tmp_path / "events"), str(CUTOFF)]
    command = [sys.executable, "-c", KILLED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=os.environ.copy())
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "killed" / "network-0" / "last.ckpt").is_file()
    assert_like(fit(small_events, two, tmp_path / "killed"), alone)


def test_processes_share_every_batch_between_them():
    length, customers = np.arange(1, 40), np.arange(39)
    kind = {"batch_events": 20, "seed": 3, "epoch": 1}
    whole = EventBoundedSampler(length, customers, **kind).batches
    shares = [EventBoundedSampler(length, customers, **kind, process=(i, 2)).batches for i in range(2)]
    assert any(len(batch) == 1 for batch in whole)
    for batch, one, other in zip(whole, *shares, strict=True):
        assert (one == other == batch) if len(batch) == 1 else sorted([*one, *other]) == sorted(batch)


def test_events_are_handed_over_as_they_are(small_events, tmp_path):
    count = small_events.customers
    events = replace(
        small_events,
        numeric={"x": small_events.amount * 2},
        static_numeric={"age": np.arange(count, dtype=float)},
        static_categorical={"land": Categorical(np.zeros(count, np.int32), ("é",))},
        counterpart=small_events.timestamp + 1,
    )
    write_events(events, tmp_path)
    found = read_events(tmp_path)
    assert list(found.customer_id) == list(events.customer_id)
    for name in ("offset", "timestamp", "amount", "event_type", "counterpart"):
        np.testing.assert_array_equal(getattr(found, name), getattr(events, name))
        assert isinstance(getattr(found, name), np.memmap)
    np.testing.assert_array_equal(found.numeric["x"], events.numeric["x"])
    np.testing.assert_array_equal(found.static_numeric["age"], events.static_numeric["age"])
    for group in ("categorical", "static_categorical"):
        for name, column in getattr(events, group).items():
            np.testing.assert_array_equal(getattr(found, group)[name].codes, column.codes)
            assert getattr(found, group)[name].values == column.values


@pytest.mark.slow
def test_networks_train_at_once_to_the_same_last_bit(small_events, small_config, tmp_path):
    config, told = replace(small_config, ensemble=3, accelerator="cpu", workers=1), []
    alone = fit(small_events, config, tmp_path / "alone")
    at_once = replace(config, workers=2)
    apart = fit(small_events, at_once, tmp_path / "apart", observer=lambda *seen: told.append(seen))
    assert apart.curves == alone.curves
    for one, other in zip(apart.networks, alone.networks, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    expected = [(i, epoch) for i, curve in enumerate(alone.curves) for epoch in range(len(curve))]
    assert sorted((network, epoch) for network, epoch, _ in told) == expected


def test_a_short_training_starts_no_processes(config, monkeypatch):
    monkeypatch.setattr("seqclv.training.ranks.usable_cores", lambda: 8)
    three = replace(config, ensemble=3)
    assert crew_for(three) == Crew(1, together=False)
    assert crew_for(replace(three, training=Config().training)) == Crew(3, together=False)
    assert crew_for(replace(three, training=Config().training, workers=2)) == Crew(2, together=False)
    assert crew_for(replace(three, training=Config().training, devices=2)) == Crew(2, together=True)


def test_more_devices_than_there_are_is_an_error_with_a_remedy(config, monkeypatch):
    assert crew_for(replace(config, devices="auto")).number == 1
    assert crew_for(replace(config, devices=3)) == Crew(3, together=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    on_gpus = replace(config, accelerator="auto")
    assert crew_for(replace(on_gpus, devices="auto")) == Crew(2, together=True)
    with pytest.raises(InputError, match="GPUs of this machine, 2, but devices is 3"):
        crew_for(replace(on_gpus, devices=3))
