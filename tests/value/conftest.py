"""Valuations of the small log by a network and by Pareto/NBD."""

import pytest

from seqclv.calibration import LevelSpread
from seqclv.data.store import open_log
from seqclv.data.windows import instant
from seqclv.scoring import fit_classical
from seqclv.value.acquisition import Costs
from seqclv.value.log_columns import with_terms
from seqclv.value.money import Terms
from seqclv.value.run import Plan, value_store

CUTOFF = "2021-07-01"
HORIZONS = (30.0, 90.0, 365.0)


@pytest.fixture(scope="session")
def pareto(small_base):
    return fit_classical("pareto_nbd", small_base, CUTOFF, horizons=HORIZONS).bundle


@pytest.fixture(scope="session")
def make_plan():
    def make(**changes):
        terms = {
            "margin": 0.3,
            "service_cost": 0.5,
            "discount_rate": 0.1,
            "currency": "EUR",
            "channel_column": "channel",
        } | changes.pop("terms", {})
        defaults = {
            "cutoff": instant(CUTOFF),
            "horizons_days": HORIZONS,
            "terms": Terms(**terms),
            "costs": Costs({"web": 20.0, "store": 5.0}, None),
            "spread": LevelSpread(transactions=0.05, spend=0.06),
        }
        return Plan(**defaults | changes)

    return make


@pytest.fixture(scope="session")
def small_store(small_log, small_config, make_plan, tmp_path_factory):
    return open_log(with_terms(small_config.data, make_plan().terms), tmp_path_factory.mktemp("value-store"))


@pytest.fixture(scope="session")
def valued(small_bundle, pareto, small_store, make_plan, tmp_path_factory):
    """The valuations of both models with the same plan."""
    root = tmp_path_factory.mktemp("valued")
    models = {"network": small_bundle, "pareto_nbd": pareto}
    return {name: value_store(m, small_store, make_plan(), root / f"{name}.parquet") for name, m in models.items()}


@pytest.fixture(scope="session")
def make_values():
    """A table of values from a few columns; the others are filled with plain defaults."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from seqclv.value.columns import VALUE_SCHEMA

    def make(path, **columns):
        size = len(columns["customer_id"])
        frame = {}
        for field in VALUE_SCHEMA:
            if field.name in columns:
                frame[field.name] = columns[field.name]
            elif pa.types.is_timestamp(field.type):
                frame[field.name] = pd.to_datetime(["2021-07-01"] * size)
            elif pa.types.is_floating(field.type):
                frame[field.name] = np.ones(size)
            else:
                frame[field.name] = [{"currency": "EUR", "stage": "active", "tier": "gold"}.get(field.name, "x")] * size
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pandas(pd.DataFrame(frame), schema=VALUE_SCHEMA, preserve_index=False), path)
        return path

    return make
