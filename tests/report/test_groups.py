"""The report on groups that the model does not see, and on how steady the tiers are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqclv.api import make_report
from seqclv.bundle import load_bundle
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.forecast.forecaster import predict
from seqclv.report.stability import between_networks, between_seeds
from seqclv.tiers import set_tiers
from tests.report.conftest import CUTOFFS


@pytest.fixture(scope="module")
def fair(small_backtest, small_data, tmp_path_factory):
    """A report of a model and a log with a sensitive attribute that the model's columns do not name."""
    out = tmp_path_factory.mktemp("fair") / "report.html"
    data = replace(small_data, sensitive=("channel", "nothing"), require_columns=False)
    model = small_backtest / CUTOFFS[-1] / "bundle"
    document = make_report(out, model=model, data=data, cutoff="2022-01-01", contacts=20)
    return out, document


def test_error_bias_and_list_share_are_shown_for_each_group_of_a_sensitive_attribute(fair, small_base):
    page, document = fair
    (entry,) = document["fairness"]  # 'nothing' is in no log
    assert entry["by"] == "channel"
    log = small_base.to_pandas()
    last = log.sort_values("timestamp", kind="stable").groupby("customer_id")["channel"].last()
    assert [row["name"] for row in entry["tonight"]] == ["app", "store", "web"]
    assert sum(row["customers"] for row in entry["tonight"]) == document["money"]["customers"]
    sizes = last.value_counts()
    assert all(abs(row["customers"] - sizes[row["name"]]) <= 5 for row in entry["tonight"])  # days with two channels
    retention = next(item for item in document["lists"] if item["name"] == "retention")
    on_list = sum(row["customers"] * row["lists"]["retention"] for row in entry["tonight"])
    assert on_list == pytest.approx(retention["contact"] + retention["control"])
    held = document["held_out"]
    assert sum(row["spend_actual"] for row in entry["held_out"]) == pytest.approx(held["actual_spend"])
    assert sum(row["spend_forecast"] for row in entry["held_out"]) == pytest.approx(held["forecast_spend"])
    text = page.read_text()
    assert "Are groups treated alike?" in text
    assert "On list: Do not spend" in text


def test_a_report_without_sensitive_attributes_says_nothing_of_groups(model_report):
    page, document = model_report
    assert document["fairness"] == []
    assert "Are groups treated alike?" not in page.read_text()


def test_the_tiers_of_another_training_are_in_the_report_and_can_be_recomputed(
    model_report, small_backtest, small_base, small_config
):
    page, document = model_report
    found = document["stability"]
    assert (found["between"], found["trainings"], found["customers"]) == ("networks", 2, 300)
    bundle = load_bundle(small_backtest / CUTOFFS[-1] / "bundle")
    past = history(events_from_frame(small_base, small_config.data), instant("2022-01-01"), "1d")
    first, second = (
        predict(replace(bundle, networks=(net,)), past, instant("2022-01-01")).expected_spend([365.0])[:, 0]
        for net in bundle.networks
    )
    moved = []
    for a, b in ((first, second), (second, first)):
        tiers = set_tiers(a, set_at="")
        moved.append(np.mean(tiers.assign(a) != tiers.assign(b)))
    assert found["inherited"] == {"mean": pytest.approx(np.mean(moved)), "worst": pytest.approx(max(moved))}
    assert "Between the 2 networks that the model averages" in page.read_text()


def test_a_backtest_of_several_seeds_gives_the_figure_between_seeds(small_backtest, tmp_path):
    path = small_backtest / CUTOFFS[-1] / "forecasts.parquet"
    assert between_seeds([path]) is None
    frame = pd.read_parquet(path)
    frame.to_parquet(tmp_path / "same.parquet")
    assert between_seeds([path, tmp_path / "same.parquet"])["own"]["worst"] == 0
    frame["expected_spend"] = frame["expected_spend"].to_numpy()[::-1]
    frame.to_parquet(tmp_path / "other.parquet")
    found = between_seeds([path, tmp_path / "same.parquet", tmp_path / "other.parquet"])
    assert found["trainings"] == 3
    assert 0 < found["inherited"]["mean"] < found["inherited"]["worst"]


def test_a_model_of_one_network_has_no_such_figure(small_bundle, small_events):
    past = history(small_events, instant("2021-07-01"), "1d")
    assert between_networks(replace(small_bundle, networks=small_bundle.networks[:1]), past, 0) is None
