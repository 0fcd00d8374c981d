"""The backtest: its files are the contract, it is blind to the future, it resumes, it replaces only its own."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.api import backtest
from seqclv.bundle import load_bundle
from seqclv.errors import InputError

CUTOFFS = ["2021-03-01", "2021-07-01"]
MODELS = ["seqclv", "seqclv_prior", "pareto_nbd", "bg_nbd", "boosting", "formula"]
SECTIONS = {
    "transactions": {"bias", "rmse", "mae_of_median", "crps", "gini", "spearman", "pit_ks"},
    "spend": {"bias", "rmse", "mae_of_median", "crps", "gini", "spearman", "coverage_90", "pit_ks"},
    "churn": {"auc", "brier", "log_loss", "ece"},
    "seconds": {"fit", "predict"},
}
PLOTS = ("cumulative-purchases", "deciles-purchases", "deciles-spend", "churn-reliability", "training-curves")
PLOTS += ("pit-purchases", "pit-spend")


@pytest.fixture(scope="module")
def finished(small_config, tmp_path_factory):
    out = tmp_path_factory.mktemp("backtest") / "out"
    backtest(small_config, CUTOFFS, 90, out, quiet=True, baseline_forecasts=True)
    return out


def files_below(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_every_file_of_the_contract_is_there_and_nothing_else(finished):
    per_cutoff = ["bundle/bundle.json", "bundle/card.md", "bundle/weights.safetensors", "forecasts.parquet"]
    per_cutoff += [f"forecasts-{name}.parquet" for name in MODELS[1:]] + ["metrics.json"]
    per_cutoff += [f"plots/{name}.png" for name in PLOTS]
    expected = [f"{cutoff}/{name}" for cutoff in CUTOFFS for name in per_cutoff]
    assert files_below(finished) == sorted([*expected, "metrics.json"])
    assert [path.name for path in finished.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("file", ["metrics.json", "2021-03-01/metrics.json"])
def test_metrics_have_every_model_section_and_figure(finished, file):
    document = json.loads((finished / file).read_text())
    assert list(document["models"]) == MODELS
    for sections in document["models"].values():
        assert {name: set(figures) for name, figures in sections.items()} == SECTIONS
    formula = document["models"]["formula"]
    assert set(formula["churn"].values()) == {None}
    assert document["models"]["boosting"]["transactions"]["crps"] is None
    assert all(value is not None for value in document["models"]["seqclv"]["spend"].values())


def test_pooled_metrics_count_every_row_alike(finished):
    pooled = json.loads((finished / "metrics.json").read_text())
    parts = [json.loads((finished / cutoff / "metrics.json").read_text()) for cutoff in CUTOFFS]
    assert pooled["cutoffs"] == CUTOFFS
    size = np.array([part["customers"] for part in parts])
    mean_square = [part["models"]["seqclv"]["transactions"]["rmse"] ** 2 for part in parts]
    expected = np.sqrt(np.average(mean_square, weights=size))
    assert pooled["models"]["seqclv"]["transactions"]["rmse"] == pytest.approx(expected)


def test_the_bundle_gives_the_forecasts_that_lie_beside_it(finished, small_base):
    from seqclv.scoring import load

    model = load(finished / "2021-07-01" / "bundle")
    expected = pq.read_table(finished / "2021-07-01" / "forecasts.parquet").to_pandas()
    pd.testing.assert_frame_equal(model.forecast(small_base, "2021-07-01", [90]), expected, check_exact=True)
    assert model.bundle.metrics["models"]["seqclv"]


def test_a_changed_future_changes_no_bit_of_model_or_forecast(small_config, small_base, finished, tmp_path):
    frame = small_base.to_pandas()
    late = frame["timestamp"] >= pd.Timestamp("2021-07-01")
    frame.loc[late, "amount"] = 7.77
    frame.loc[late, "category"] = "of another world"
    new = frame[late].assign(customer_id="0 newcomer")
    pd.concat([frame, new]).to_parquet(tmp_path / "log.parquet")
    config = replace(small_config, data=replace(small_config.data, transactions=(str(tmp_path / "log.parquet"),)))
    backtest(config, ["2021-07-01"], 90, tmp_path / "out", quiet=True)
    name = "2021-07-01/forecasts.parquet"
    assert pq.read_table(tmp_path / "out" / name).equals(pq.read_table(finished / name))
    one, other = (load_bundle(path / "2021-07-01" / "bundle") for path in (finished, tmp_path / "out"))
    assert one.version == other.version


def test_of_a_large_base_a_sample_is_learned_from_and_held_out(small_config, finished, tmp_path):
    everyone = set(pq.read_table(finished / CUTOFFS[0] / "forecasts.parquet")["customer_id"].to_pylist())
    config = replace(small_config, training=replace(small_config.training, max_customers=150, max_steps=5))
    said = []
    backtest(config, CUTOFFS[:1], 90, tmp_path / "out", quiet=True, announce=said.append)
    sample = set(pq.read_table(tmp_path / "out" / CUTOFFS[0] / "forecasts.parquet")["customer_id"].to_pylist())
    assert sample < everyone
    assert 75 < len(sample) <= 200
    assert any("training.max_customers" in text for text in said)


def test_one_cutoff_may_be_given_as_text(small_config, tmp_path):
    with pytest.raises(InputError, match="30 days from 2031-05-01 end after it"):
        backtest(small_config, "2031-05-01", 30, tmp_path / "out", quiet=True)


def test_seeds_repeat_the_experiment_in_directories_of_their_own(small_config, tmp_path):
    backtest(small_config, CUTOFFS[1:], 90, tmp_path / "out", seeds=[3, 4], quiet=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"seed-3", "seed-4", "metrics.json"}
    forecasts = [pq.read_table(tmp_path / "out" / f"seed-{s}/2021-07-01/forecasts.parquet") for s in (3, 4)]
    assert not forecasts[0].equals(forecasts[1])


def test_a_finished_backtest_is_replaced(small_config, finished, tmp_path):
    backtest(small_config, CUTOFFS, 30, tmp_path / "out", quiet=True)
    backtest(small_config, CUTOFFS[1:], 30, tmp_path / "out", quiet=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"2021-07-01", "metrics.json"}


def test_what_lies_beside_an_earlier_result_stays(small_config, tmp_path):
    out = tmp_path / "out"
    (out / "notes").mkdir(parents=True)
    (out / "notes" / "mine.txt").write_text("keep")
    (out / "metrics.json").write_text("an earlier result")
    backtest(small_config, CUTOFFS[1:], 30, out, quiet=True)
    assert (out / "notes" / "mine.txt").read_text() == "keep"
    assert {path.name for path in out.iterdir()} == {"2021-07-01", "metrics.json", "notes"}


KILLED = """
import json, os, signal, sys
from seqclv.configfile import config_from
from seqclv.api import backtest

def announce(text):
    if text == "cutoff 2021-07-01":
        os.kill(os.getpid(), signal.SIGKILL)

config = config_from(json.loads(sys.argv[1]))
backtest(config, ["2021-03-01", "2021-07-01"], 90, sys.argv[2], quiet=True, announce=announce)
"""


def test_a_killed_backtest_resumes_with_what_it_had(small_config, finished, tmp_path):
    from dataclasses import asdict

    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, json.dumps(asdict(small_config)), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "metrics.json").exists()
    said = []
    backtest(small_config, CUTOFFS, 90, out, quiet=True, announce=said.append)
    assert said.count("already done") == 1
    for name in ("2021-03-01", "2021-07-01"):
        one, other = (pq.read_table(path / name / "forecasts.parquet") for path in (out, finished))
        assert one.equals(other)
    assert not (out / ".work").exists()
    pooled, expected = (json.loads((path / "metrics.json").read_text()) for path in (out, finished))
    for model in MODELS:
        for section in ("transactions", "spend", "churn"):
            assert pooled["models"][model][section] == expected["models"][model][section]


def test_a_directory_with_other_files_is_refused_and_left_alone(small_config, tmp_path):
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(InputError, match="holds other files"):
        backtest(small_config, CUTOFFS, 90, tmp_path, quiet=True)
    assert files_below(tmp_path) == ["precious.txt"]


@pytest.mark.parametrize(
    ("cutoff", "horizon", "message"),
    [
        ("2021-12-01", 90, "shorten the horizon to at most"),
        ("2031-01-01", 90, "take an earlier cutoff"),
        ("2001-01-01", 90, "take a later cutoff"),
        ("2021-03-01", 0, "positive number of days"),
        ("2021-03-01", float("nan"), "positive number of days"),
        ("soon", 90, "a date or a time"),
    ],
)
def test_a_window_outside_the_log_is_refused_before_anything_is_touched(
    cutoff, horizon, message, small_config, tmp_path
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "metrics.json").write_text("an earlier result")
    with pytest.raises(InputError, match=message):
        backtest(small_config, [cutoff], horizon, out, quiet=True)
    assert files_below(tmp_path) == ["out/metrics.json"]
