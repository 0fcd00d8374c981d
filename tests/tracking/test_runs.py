import json

import pytest
import yaml
from mlflow.exceptions import MlflowException

from seqclv.config import Config, DataConfig
from seqclv.evaluation.plots import curves_chart
from seqclv.tracking.runs import Run, tracked_run

METRICS = {
    "cutoff": "2024-01-01",
    "horizon_days": 90.0,
    "models": {
        "seqclv": {"churn": {"auc": 0.75, "ece": None}, "seconds": {"fit": 12.0}},
        "formula": {"churn": None, "spend": {"rmse": float("nan"), "bias": 0.1}},
    },
}
CONFIG = Config(data=DataConfig(transactions=("postgresql://ann:secret@host/shop?table=sales", "x" * 600)))


def test_a_run_holds_config_curves_figures_plots_and_bundle(store, bundles, tmp_path):
    with tracked_run(store, "shop", name="first", tags={"fingerprint": "abc", "kind": None}) as run:
        run.log_config(CONFIG)
        run.log_dataset(["postgresql://ann:secret@host/shop"], "f" * 64, profile={"customers": 120})
        run.observe(0, 1, {"train_loss": 2.0, "val_loss": 2.1})
        run.observe(0, 2, {"train_loss": 1.9, "val_loss": 2.0})
        run.log_evaluation(METRICS)
        run.log_figure(curves_chart([[{"train_loss": 2.0, "val_loss": 2.1}]]), "curves")
        run.log_directory(bundles["network"], "bundle")
    client = store.client
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["training.max_steps"] == "null"  # as many as the base has use for
    assert found.data.params["training.max_epochs"] == str(CONFIG.training.max_epochs)
    assert found.data.params["horizons_days"] == "[30.0, 90.0, 365.0]"
    assert max(map(len, found.data.params.values())) < 500
    assert found.data.tags["fingerprint"] == "abc"
    assert "kind" not in found.data.tags
    assert found.data.metrics == {
        "network_1/train_loss": 1.9,
        "network_1/val_loss": 2.0,
        "seqclv.churn.auc": 0.75,
        "seqclv.seconds.fit": 12.0,
        "formula.spend.bias": 0.1,
    }
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "network_1/val_loss")] == [
        (1, 2.1),
        (2, 2.0),
    ]
    [dataset] = found.inputs.dataset_inputs
    assert dataset.dataset.digest == "f" * 36
    artifacts = tmp_path / "mlartifacts" / run.run_id / "artifacts"
    files = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    kept = {f"bundle/{path.name}" for path in bundles["network"].iterdir()}
    assert files == {"config.yaml", "metrics.json", "plots/curves.png"} | kept
    assert yaml.safe_load((artifacts / "config.yaml").read_text())["training"]["max_steps"] == CONFIG.training.max_steps
    assert json.loads((artifacts / "metrics.json").read_text())["cutoff"] == "2024-01-01"
    everything = [*found.data.params.values(), (artifacts / "config.yaml").read_text(), dataset.dataset.source]
    assert not any("secret" in text for text in everything)


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no good"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "FAILED")]
)
def test_a_run_says_how_it_ended(store, error, status, capsys):
    with pytest.raises(type(error)), tracked_run(store, "shop") as run:
        raise error
    found = store.client.get_run(run.run_id)
    assert capsys.readouterr().out == ""
    assert found.info.status == status
    assert found.data.tags.get("error") == ("no good" if isinstance(error, ValueError) else None)


class Away:
    """A tracking server that does not answer."""

    def log_batch(self, *args, **kwargs):
        raise MlflowException("server https://ann:secret@host is away")


def test_a_server_that_is_away_costs_a_point_of_the_curve_and_not_the_training(store, caplog):
    run = Run(type(store)(store.uri, Away()), "id")
    run.observe(0, 1, {"val_loss": 1.0})
    assert "not recorded" in caplog.text
    assert "secret" not in caplog.text
