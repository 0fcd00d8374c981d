import json
import os
import pickletools
import re
import subprocess
import sys

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from seqclv.bundle import load_bundle
from seqclv.config import DataConfig
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast.forecaster import FORECAST_SCHEMA, forecast_table, predict
from seqclv.tracking.pyfunc import ForecastModel, write_model
from seqclv.tracking.registry import register

CUTOFF = "2020-10-01"
PARAMS = {"cutoff": CUTOFF, "horizons": [30, 90]}


@pytest.fixture(scope="module")
def directory(bundles, tmp_path_factory):
    path = tmp_path_factory.mktemp("mlflow") / "model"
    write_model(bundles["network"], path, Model())
    return path


@pytest.fixture(scope="module")
def model(directory):
    return mlflow.pyfunc.load_model(str(directory))


@pytest.fixture(scope="module")
def expected(bundles, log):
    past = history(events_from_frame(log, DataConfig()), instant(CUTOFF), "1d")
    predictive = predict(load_bundle(bundles["network"]), past, instant(CUTOFF))
    return forecast_table(predictive, past.customer_id, instant(CUTOFF), [30, 90]).to_pandas()


def per_customer(log):
    lists = log.groupby("customer_id").agg(timestamps=("timestamp", list), amounts=("amount", list))
    return lists.reset_index()


def test_one_row_per_event_gives_the_forecasts_contract(model, log, expected):
    pd.testing.assert_frame_equal(model.predict(log, params=PARAMS), expected, check_dtype=True)
    assert list(expected.columns) == FORECAST_SCHEMA.names


def test_one_row_per_customer_gives_the_same_numbers_in_the_order_of_the_rows(model, log, expected):
    rows = per_customer(log).iloc[::-1].reset_index(drop=True)
    found = model.predict(rows, params=PARAMS)
    assert list(found["customer_id"]) == [name for name in rows["customer_id"] for _ in range(2)]
    assert list(found["horizon_days"]) == [30.0, 90.0] * len(rows)
    bought = found.dropna(subset="churn_probability").sort_values(["customer_id", "horizon_days"], ignore_index=True)
    pd.testing.assert_frame_equal(bought, expected)
    assert len(found) > len(bought)  # who has not bought before the cutoff has a row without forecasts


def test_events_at_and_after_the_cutoff_change_nothing(model, log, expected):
    before = log[log["timestamp"] < pd.Timestamp(CUTOFF)]
    pd.testing.assert_frame_equal(model.predict(before, params=PARAMS), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(amounts=[[int(a) + 1 for a in cell] for cell in rows["amounts"]]),
        lambda rows: rows.assign(amounts=[np.array(cell) for cell in rows["amounts"]]),
        lambda rows: rows.assign(timestamps=[[str(t) for t in cell] for cell in rows["timestamps"]]),
        lambda rows: rows.assign(timestamps=[np.array(cell, dtype="M8[ns]") for cell in rows["timestamps"]]),
        lambda rows: rows.assign(timestamps=[[t.date() for t in cell] for cell in rows["timestamps"]]),
    ],
    ids=["integers", "arrays", "texts", "numpy instants", "dates"],
)
def test_lists_of_other_types_are_accepted(model, log, change):
    found = model.predict(change(per_customer(log)), params=PARAMS)
    assert found["expected_spend"].notna().sum() > 100


def test_whole_amounts_are_accepted(model, log):
    found = model.predict(log.assign(amount=log["amount"].astype("int64") + 1), params=PARAMS)
    assert found["expected_spend"].gt(0).all()


def test_empty_lists_give_rows_without_forecasts(model):
    rows = pd.DataFrame({"customer_id": ["a", "b"], "timestamps": [[], None], "amounts": [[], None]})
    found = model.predict(rows, params={"cutoff": CUTOFF, "horizons": [30]})
    assert list(found["customer_id"]) == ["a", "b"]
    assert found["churn_probability"].isna().all()
    assert (found["cutoff"] == pd.Timestamp(CUTOFF)).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "needs a cutoff"),
        ({"horizons": [30]}, "needs a cutoff"),
        ({"cutof": CUTOFF, "horizons": [30]}, "needs a cutoff"),
        ({"cutoff": CUTOFF}, "needs horizons"),
        ({"cutoff": CUTOFF, "horizon": [30]}, "needs horizons"),
        ({"cutoff": CUTOFF, "horizons": [0]}, "positive number of days"),
        ({"cutoff": "soon", "horizons": [30]}, "is neither"),
    ],
)
def test_parameters_that_are_missing_or_wrong_are_told_plainly(model, log, params, message):
    with pytest.raises(InputError, match=message):
        model.predict(log, params=params)


def test_an_unknown_parameter_is_refused(bundles, log):
    with pytest.raises(InputError, match="The parameters are cutoff and horizons, but seed is given"):
        ForecastModel(load_bundle(bundles["network"])).predict(log, {**PARAMS, "seed": 1})


def test_rows_that_cannot_be_used_are_refused_and_not_dropped(model, log):
    with pytest.raises(InputError, match="1 with no amount"):
        model.predict(log.assign(amount=[np.nan, *log["amount"][1:]]), params=PARAMS)
    with pytest.raises(InputError, match="1 of 729 rows have no customer_id"):
        model.predict(log.assign(customer_id=[" ", *log["customer_id"][1:]]), params=PARAMS)
    rows = per_customer(log)
    with pytest.raises(InputError, match="must be of one length, but amounts is not for C001"):
        model.predict(rows.assign(amounts=[[], *rows["amounts"][1:]]), params=PARAMS)
    with pytest.raises(InputError, match="each customer has one row, but C001 has several"):
        model.predict(pd.concat([rows, rows[:1]]), params=PARAMS)
    with pytest.raises(InputError, match="amounts is missing"):
        model.predict(rows.drop(columns="amounts"), params=PARAMS)
    with pytest.raises(InputError, match="one list per customer"):
        model.predict(rows.assign(amounts=1.0), params=PARAMS)
    with pytest.raises(InputError, match="A log must have the columns"):
        model.predict(log.drop(columns="timestamp"), params=PARAMS)
    with pytest.raises(MlflowException, match="customer_id"):
        model.predict(log.drop(columns="customer_id"), params=PARAMS)


def test_a_forecast_before_the_end_of_training_is_warned_about(model, log, caplog):
    model.predict(log, params={"cutoff": "2020-08-01", "horizons": [30]})
    assert "know the future" in caplog.text


def test_the_signature_names_columns_parameters_and_forecasts(model):
    signature = model.metadata.signature
    assert signature.inputs.required_input_names() == ["customer_id"]
    assert signature.inputs.optional_input_names() == ["timestamp", "amount", "timestamps", "amounts"]
    assert [param.name for param in signature.params] == ["cutoff", "horizons"]
    assert signature.outputs.input_names() == FORECAST_SCHEMA.names


def test_the_artifact_holds_no_pickle_no_path_and_nothing_to_infer(directory, bundles):
    files = [path for path in directory.rglob("*") if path.is_file()]
    names = {str(path.relative_to(directory)) for path in files}
    own = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    assert names == own | {f"data/network/{path.name}" for path in bundles["network"].iterdir()}
    for path in files:
        assert not is_pickle(path.read_bytes())
        if path.suffix != ".safetensors":
            assert not re.search(r"(^|[\s\"':])/[\w.-]+/", path.read_text(), re.MULTILINE), path.name
    requirements = (directory / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in requirements} == {"seqclv", "mlflow"}


def is_pickle(content):
    if content.startswith(b"PK"):  # torch's older format: an archive of pickles
        return True
    try:
        # Every pickle since protocol 2 begins with its protocol; without that, text and numbers can look like one.
        return next(pickletools.genops(content))[0].name == "PROTO"
    except (ValueError, StopIteration):
        return False


def test_files_of_the_working_directory_do_not_slip_into_the_artifact(bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "secret"\nversion = "1"\n')
    write_model(bundles["bg_nbd"], tmp_path / "model", Model())
    assert not {"uv.lock", "pyproject.toml"} & {path.name for path in (tmp_path / "model").iterdir()}


FRESH = """
import json, sys
import mlflow.pyfunc
import pandas as pd

log = pd.read_parquet(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/base@champion")
found = model.predict(log, params={"cutoff": "2020-10-01", "horizons": [30, 90]})
loaded = sorted({"lightning", "pytorch_lightning", "sklearn"} & set(sys.modules))
print(json.dumps({"spend": found["expected_spend"].tolist(), "loaded": loaded}))
"""


def test_a_fresh_process_loads_the_champion_without_pickle_and_without_lightning(
    store, bundles, log, expected, tmp_path
):
    register(bundles["network"], "base", store=store, alias="champion")
    log.to_parquet(tmp_path / "log.parquet")
    settings = {"MLFLOW_TRACKING_URI": store.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "log.parquet")],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["spend"] == expected["expected_spend"].tolist()
    assert answer["loaded"] == []


@pytest.mark.parametrize("kind", ["pareto_nbd", "bg_nbd"])
def test_a_classical_model_answers_through_the_same_contract(bundles, log, tmp_path, kind):
    write_model(bundles[kind], tmp_path / "model", Model())
    found = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(log, params=PARAMS)
    assert list(found.columns) == FORECAST_SCHEMA.names
    assert found["expected_transactions"].gt(0).all()
