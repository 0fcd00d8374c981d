"""The columns that the terms name are read in every form of a log, and missed when they are not there."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.config import CustomersConfig, DataConfig, SourceConfig
from seqclv.errors import InputError
from seqclv.value.acquisition import Costs
from seqclv.value.log import value_log
from seqclv.value.log_columns import CURRENCY, with_terms
from seqclv.value.money import Terms


@pytest.fixture
def log(small_base, tmp_path):
    path = tmp_path / "log.parquet"
    small_base.to_pandas().drop(columns=["category", "channel"]).assign(shop="web", gain=1.0).to_parquet(path)
    return path


def test_currency_is_asked_for_only_where_a_log_may_lack_it():
    assert CURRENCY not in with_terms(DataConfig(), Terms()).categorical
    assert CURRENCY in with_terms(DataConfig(require_columns=False), Terms()).categorical
    named = with_terms(DataConfig(categorical=("shop",)), Terms(channel_column="shop", margin_column="gain"))
    assert (named.categorical, named.numeric) == (("shop",), ("gain",))


def test_several_sources_are_asked_for_the_columns(log, pareto, make_plan, tmp_path):
    data = DataConfig(sources=(SourceConfig(files=(str(log),)),))
    plan = make_plan(terms={"channel_column": "shop", "margin_column": "gain"})
    valued = value_log(pareto, data, plan, tmp_path / "v.parquet")
    frame = pq.read_table(valued.out).to_pandas()
    assert frame["channel"].unique().tolist() == ["web"]
    assert frame["acquisition_cost"].unique().tolist() == [20.0]


def test_a_channel_can_be_an_attribute_of_customers(log, pareto, make_plan, tmp_path):
    ids = sorted(pd.read_parquet(log)["customer_id"].unique())
    known = pd.DataFrame({"customer_id": ids, "origin": ["web" if i % 2 else "store" for i in range(len(ids))]})
    known.to_parquet(tmp_path / "customers.parquet")
    data = DataConfig(
        transactions=(str(log),),
        customers=CustomersConfig(files=(str(tmp_path / "customers.parquet"),), categorical={"origin": "origin"}),
    )
    valued = value_log(pareto, data, make_plan(terms={"channel_column": "origin"}), tmp_path / "v.parquet")
    frame = pq.read_table(valued.out).to_pandas().drop_duplicates("customer_id")
    expected = known.set_index("customer_id")["origin"].reindex(frame["customer_id"])
    assert frame["channel"].tolist() == expected.tolist()


@pytest.mark.parametrize("option", ["margin_column", "channel_column", "currency_column"])
def test_a_column_that_is_named_and_not_there_is_refused(log, pareto, make_plan, tmp_path, option):
    plan = make_plan(terms={"channel_column": None} | {option: "nonsense"})
    with pytest.raises(InputError, match=r"no 'nonsense'"):
        value_log(pareto, DataConfig(transactions=(str(log),)), plan, tmp_path / "v.parquet")


@pytest.mark.parametrize(
    ("costs", "column", "message"),
    [
        (Costs({"wbe": 20.0, "store": 5.0, "app": 1.0}), "channel", "no customer has wbe, while web has no cost"),
        (Costs({"wbe": 20.0}, 5.0), "channel", "no customer has wbe, while app, store, web has no cost"),
        (Costs({"web": 20.0}), None, "give --channel-column"),
    ],
)
def test_costs_of_channels_that_the_log_lacks_are_refused(
    costs, column, message, small_log, pareto, make_plan, tmp_path
):
    data = DataConfig(transactions=(str(small_log),))
    plan = make_plan(terms={"channel_column": column}, costs=costs)
    with pytest.raises(InputError, match=message):
        value_log(pareto, data, plan, tmp_path / "v.parquet")


def test_costs_may_know_channels_that_have_brought_nobody_yet(small_log, pareto, make_plan, tmp_path):
    costs = Costs({"web": 20.0, "store": 5.0, "app": 1.0, "tv": 90.0})
    data = DataConfig(transactions=(str(small_log),))
    valued = value_log(pareto, data, make_plan(costs=costs), tmp_path / "v.parquet")
    assert pq.read_table(valued.out)["acquisition_cost"].null_count == 0
