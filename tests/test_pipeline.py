"""Training as a user runs it: the run, the registry, the gate, and tonight's scoring with the champion."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.api import register
from seqclv.cli import main
from seqclv.errors import InputError
from seqclv.pipeline import train
from seqclv.scoring import load

MODELS = ("seqclv", "pareto_nbd", "bg_nbd", "boosting", "formula")


@pytest.fixture(scope="module")
def tracked(small_config, tmp_path_factory):
    """Two trainings of the same model: the second holds out a window that begins before the first one's."""
    directory = tmp_path_factory.mktemp("tracked")
    uri = f"sqlite:///{directory}/mlflow.db"
    config = replace(small_config, tracking=replace(small_config.tracking, uri=uri, model_name="shop"))
    first = train(replace(config, cutoff="2021-07-01", horizon_days=90.0), out=directory / "out", quiet=True)
    said = []
    second = train(replace(config, cutoff="2021-05-01", horizon_days=60.0, seed=1), quiet=True, announce=said.append)
    return directory, uri, first, second, said


def client(uri):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def test_a_run_holds_config_figures_of_every_model_curves_plots_and_the_bundle(tracked):
    _, uri, first, _, _ = tracked
    run = client(uri).get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.encoder"] == "gru"
    assert run.data.tags["fingerprint"]
    for model in MODELS:
        assert f"{model}.transactions.rmse" in run.data.metrics
    assert client(uri).get_metric_history(first.run_id, "network_1/val_loss")
    listed = {item.path for item in client(uri).list_artifacts(first.run_id)}
    assert {"bundle", "plots", "config.yaml", "metrics.json"} <= listed
    plots = {item.path for item in client(uri).list_artifacts(first.run_id, "plots")}
    assert {"plots/deciles-purchases.png", "plots/cumulative-purchases.png"} <= plots


def test_the_first_training_leaves_a_champion(tracked):
    first = tracked[2]
    assert first.promotion.champion is not None
    assert first.verdict


def test_a_training_says_until_when_the_registered_models_learned(tracked):
    _, uri, first, _, _ = tracked
    assert first.summary()["training_cutoff"] == "2021-07-01"
    assert "learned from events before 2021-07-01 only" in first.learned
    assert "the 90 days from then on judged them" in first.learned
    champion = client(uri).get_model_version("shop", first.promotion.champion)
    assert champion.tags["training_cutoff"].startswith("2021-07-01")


def test_a_champion_that_has_seen_the_window_is_trained_again_before_it(tracked):
    said = tracked[4]
    assert any(text.startswith("training the recipe of the champion") for text in said)


def test_the_candidate_is_registered_with_the_reason(tracked):
    _, uri, _, second, _ = tracked
    version = client(uri).get_model_version("shop", second.promotion.versions["seqclv"])
    assert version.tags["reason"] == " ".join(second.verdict)
    alias = "champion" if second.promotion.decision.promote == "seqclv" else "challenger"
    assert alias in version.aliases


def test_the_champion_scores_from_the_registry(tracked, small_log, tmp_path, capsys):
    _, uri, _, _, _ = tracked
    arguments = ["--model", "models:/shop@champion", "--tracking-uri", uri, "--transactions", str(small_log)]
    status = main(["score", *arguments, "--cutoff", "2021-10-01", "--out", str(tmp_path / "f.parquet"), "--quiet"])
    assert status == 0, capsys.readouterr().err
    expected = load("models:/shop@champion", tracking_uri=uri).forecast(str(small_log), "2021-10-01")
    pd.testing.assert_frame_equal(pq.read_table(tmp_path / "f.parquet").to_pandas(), expected, check_exact=True)


PYFUNC = """
import json, sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/shop@champion")
frame = pd.read_parquet(sys.argv[2])
forecasts = model.predict(frame, params={"cutoff": "2021-10-01", "horizons": [30, 90]})
forecasts.to_parquet(sys.argv[3])
assert "lightning" not in sys.modules
"""


def test_mlflow_loads_the_champion_in_a_fresh_process_without_pickles(tracked, small_log, tmp_path):
    _, uri, _, _, _ = tracked
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-c", PYFUNC, uri, str(small_log), str(tmp_path / "f.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    expected = load("models:/shop@champion", tracking_uri=uri).forecast(str(small_log), "2021-10-01", [30, 90])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.parquet"), expected, check_dtype=False)


def test_the_out_directory_holds_bundle_forecasts_metrics_and_plots(tracked):
    directory, _, first, _, _ = tracked
    assert {path.name for path in (directory / "out").iterdir()} == {
        "bundle",
        "forecasts.parquet",
        "metrics.json",
        "plots",
    }
    assert json.loads((directory / "out" / "metrics.json").read_text()) == first.metrics


def test_a_bundle_is_registered_under_an_alias_of_choice(tracked):
    directory, uri, first, _, _ = tracked
    version = register(directory / "out" / "bundle", "shop", alias="trial", tracking_uri=uri)
    assert load("models:/shop@trial", tracking_uri=uri).bundle.version == first.bundle.version
    assert load(f"models:/shop/{version}", tracking_uri=uri).bundle.version == first.bundle.version
    assert load(f"runs:/{first.run_id}/bundle", tracking_uri=uri).bundle.version == first.bundle.version


def test_what_is_no_bundle_is_not_registered_and_makes_no_database(tmp_path):
    with pytest.raises(InputError, match=r"bundle\.json"):
        register(tmp_path, "shop", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_without_a_window_the_last_quarter_is_held_out(small_config, small_events):
    from seqclv.pipeline import with_window

    chosen = with_window(small_config, small_events)
    assert (chosen.cutoff, chosen.horizon_days) == ("2021-07-03", 181)
