"""A tracking store that is there at once, and bundles of every kind from a small simulated base."""

import shutil

import pytest
import torch

from seqclv.baselines.classical import fit_classical
from seqclv.baselines.rfm import rfm_table
from seqclv.bundle import Bundle, save_bundle
from seqclv.config import Config, ModelConfig
from seqclv.data.schema import derive_schema
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.model.network import Network
from seqclv.tracking.store import open_store

CUTOFF = "2020-10-01"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """MLflow needs seconds to create its tables: once is enough."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    open_store(f"sqlite:///{path}", create=True)
    return path


@pytest.fixture
def store(empty_database, tmp_path, monkeypatch):
    """An empty store in a working directory of its own, where nothing else may appear."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    yield open_store(f"sqlite:///{tmp_path}/mlflow.db")
    assert not any((tmp_path / "work").iterdir()), "something wrote to the working directory"


@pytest.fixture(scope="session")
def log():
    """120 simulated customers over 400 days."""
    return simulate(SimulationConfig(customers=120, days=400, mean_events=6)).transactions.to_pandas()


@pytest.fixture(scope="session")
def bundles(log, tmp_path_factory):
    """Directories by kind: a network that was never trained, and the classical models."""
    config = Config(model=ModelConfig(hidden_size=8, query_size=8, behaviours=3))
    cutoff = instant(CUTOFF)
    past = history(events_from_frame(log, config.data), cutoff, "1d")
    schema = derive_schema(past, cutoff, merge="1d", max_history_events=64)
    torch.manual_seed(0)
    network = Network(config.model, schema).eval()
    shared = {"config": config, "training_cutoff": cutoff, "horizon_days": 90.0, "fingerprint": "f" * 64}
    root = tmp_path_factory.mktemp("bundles")
    save_bundle(Bundle(kind="network", schema=schema, networks=(network,), **shared), root / "network")
    for kind in ("pareto_nbd", "bg_nbd"):
        model = fit_classical(kind, rfm_table(past, cutoff))
        save_bundle(Bundle(kind=kind, classical=model, **shared), root / kind)
    return {kind: root / kind for kind in ("network", "pareto_nbd", "bg_nbd")}
