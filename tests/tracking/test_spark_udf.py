"""The registered model under MLflow's `spark_udf`, on a real Spark."""

import warnings

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import load_bundle
from seqclv.config import DataConfig
from seqclv.data.windows import instant
from seqclv.forecast.forecaster import FORECAST_SCHEMA
from seqclv.scoring import score_log
from seqclv.tracking.registry import register

CUTOFF = "2020-10-01"
DOUBLES = [field.name for field in FORECAST_SCHEMA if field.type == pa.float64()]
RESULT = f"struct<customer_id: string, {', '.join(f'{name}: double' for name in DOUBLES)}>"  # `cutoff` MLflow cannot


def of_local_engine(bundle, log, place):
    log.to_parquet(place / "log.parquet")
    data = DataConfig(transactions=(str(place / "log.parquet"),))
    score_log(load_bundle(bundle), data, instant(CUTOFF), [90.0], place / "forecasts.parquet")
    return pq.read_table(place / "forecasts.parquet").to_pandas()


@pytest.mark.slow
def test_spark_udf_of_the_registered_model_gives_the_forecasts_of_the_local_engine(
    spark, bundles, log, store, tmp_path
):
    from pyspark.sql import functions

    version = register(bundles["network"], "clv", store=store)
    lists = log.groupby("customer_id").agg(timestamps=("timestamp", list), amounts=("amount", list))
    rows = [(one.Index, [t.to_pydatetime() for t in one.timestamps], one.amounts) for one in lists.itertuples()]
    with store.as_global(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        warnings.filterwarnings("ignore", message=".*deprecated", category=DeprecationWarning)
        params = {"cutoff": CUTOFF, "horizons": [90.0]}
        model = f"models:/clv/{version}"
        udf = mlflow.pyfunc.spark_udf(spark, model, result_type=RESULT, env_manager="local", params=params)
        schema = "customer_id string, timestamps array<timestamp_ntz>, amounts array<double>"
        asked = functions.struct("customer_id", "timestamps", "amounts")
        answers = spark.createDataFrame(rows, schema).withColumn("forecast", udf(asked)).collect()
    found = pd.DataFrame([row["forecast"].asDict() for row in answers])
    assert list(found["customer_id"]) == [row["customer_id"] for row in answers]  # row i answers row i
    expected = of_local_engine(bundles["network"], log, tmp_path)
    bought = found.dropna(subset="churn_probability").sort_values("customer_id", ignore_index=True)
    assert len(bought) < len(found) == log["customer_id"].nunique()  # who has not bought yet has no forecast
    assert list(bought["customer_id"]) == list(expected["customer_id"])
    for name in DOUBLES:
        np.testing.assert_allclose(bought[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
