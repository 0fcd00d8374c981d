"""The registered model under MLflow's `spark_udf`, on a real Spark."""

import warnings

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from seqclv.bundle import load_bundle
from seqclv.config import DataConfig
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.forecast.forecaster import FORECAST_SCHEMA, forecast_table, predict
from seqclv.tracking.registry import register

CUTOFF = "2020-10-01"


@pytest.mark.slow
def test_spark_udf_of_the_registered_model_gives_the_forecasts(spark, bundles, log, store, monkeypatch):
    from pyspark.sql import functions

    version = register(bundles["network"], "clv", store=store)
    rows = log.groupby("customer_id").agg(timestamps=("timestamp", list), amounts=("amount", list)).reset_index()
    with store.as_global(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        warnings.filterwarnings("ignore", message=".*deprecated", category=DeprecationWarning)
        fields = ", ".join(f"{f.name} {KINDS[str(f.type)]}" for f in FORECAST_SCHEMA)
        udf = mlflow.pyfunc.spark_udf(
            spark,
            f"models:/clv/{version}",
            result_type=fields,
            env_manager="local",
            params={"cutoff": CUTOFF, "horizons": [90.0]},
        )
        frame = spark.createDataFrame(
            [
                (one.customer_id, [t.to_pydatetime() for t in one.timestamps], [float(a) for a in one.amounts])
                for one in rows.itertuples()
            ],
            "customer_id string, timestamps array<timestamp_ntz>, amounts array<double>",
        )
        answers = frame.withColumn("f", udf(functions.struct("customer_id", "timestamps", "amounts"))).collect()
    found = pd.DataFrame([row["f"].asDict() for row in answers])
    assert list(found["customer_id"]) == [row["customer_id"] for row in answers]  # row i answers row i
    past = history(events_from_frame(log, DataConfig()), instant(CUTOFF), "1d")
    predictive = predict(load_bundle(bundles["network"]), past, instant(CUTOFF))
    expected = forecast_table(predictive, past.customer_id, instant(CUTOFF), [90.0]).to_pandas()
    bought = found.dropna(subset="churn_probability").sort_values("customer_id", ignore_index=True)
    assert len(bought) < len(found) == log["customer_id"].nunique()
    for name in FORECAST_SCHEMA.names[2:]:
        np.testing.assert_allclose(
            bought[name].astype(float), expected[name].astype(float), rtol=1e-4, atol=1e-5, err_msg=name
        )
    assert list(bought["customer_id"]) == list(expected["customer_id"])


KINDS = {"string": "string", "timestamp[us]": "timestamp", "double": "double"}
