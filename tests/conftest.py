"""What holds for every test: one thread, no telemetry, no display, the same examples each time."""

import os

# Before anything imports the libraries that read them; commands started by tests inherit them.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "Agg"

import hypothesis
import pytest

pytest_plugins = ["tests.services"]

hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)  # HYPOTHESIS_PROFILE=explore
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    """Small networks on shared cores run many times slower with more threads."""
    import torch

    torch.set_num_threads(1)


SMALL = {"max_steps": 40, "max_epochs": 4, "batch_events": 1024}  # a training of about a second


@pytest.fixture(scope="session")
def small_base():
    """A simulated log of 300 customers over two years, as a table with refunds and attributes."""
    from seqclv.data.simulate import SimulationConfig, simulate

    return simulate(
        SimulationConfig(customers=300, seed=1, days=730, mean_events=8, refund_share=0.05, attributes=True)
    ).transactions


@pytest.fixture(scope="session")
def small_log(small_base, tmp_path_factory):
    """The same log as a Parquet file."""
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(small_base, path)
    return path


@pytest.fixture(scope="session")
def small_config(small_log):
    """A configuration that trains two tiny networks on the small log in about two seconds."""
    from seqclv.configfile import config_from

    return config_from(
        {
            "data": {"transactions": [str(small_log)], "categorical": ["category"]},
            "model": {"hidden_size": 8, "query_size": 16, "behaviours": 4},
            "training": SMALL,
            "horizons_days": [30, 90],
            "ensemble": 2,
        }
    )


@pytest.fixture(scope="session")
def small_events(small_base, small_config):
    """The raw lines of the small log in memory."""
    from seqclv.data.store import events_from_frame

    return events_from_frame(small_base, small_config.data)


@pytest.fixture(scope="session")
def small_bundle(small_events, small_config, tmp_path_factory):
    """A network trained on the small log before 2021-07-01."""
    from seqclv.data.windows import history, instant
    from seqclv.training.train import train_bundle

    cutoff = instant("2021-07-01")
    bundle, _ = train_bundle(
        history(small_events, cutoff, "1d"),
        cutoff,
        horizon_days=90.0,
        config=small_config,
        fingerprint="small",
        work=tmp_path_factory.mktemp("work"),
        quiet=True,
    )
    return bundle
