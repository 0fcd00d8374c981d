"""What new customers bring: by attributes, with honest width, checked on earlier months."""

import json

import numpy as np
import pandas as pd
import pytest

from seqclv.cli import main
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.windows import instant
from seqclv.errors import InputError
from seqclv.value.newcomers import PRIOR_NEWCOMERS, Newcomers, pool, promise
from seqclv.value.prospects import ProspectPlan, check, prospects_log

CUTOFF = "2022-01-01"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A base whose members spend four times as much, and a customers table that also names prospects."""
    directory = tmp_path_factory.mktemp("shop")
    log = simulate(SimulationConfig(customers=4000, seed=7, days=730, mean_events=5)).transactions.to_pandas()
    number = log["customer_id"].str[1:].astype(int)
    log.loc[number % 4 == 0, "amount"] *= 4
    log.to_parquet(directory / "log.parquet")
    people = pd.DataFrame({"customer_id": [f"C{i:04d}" for i in range(1, 4001)], "age": np.arange(4000) % 60 + 20.0})
    people["club"] = np.where(np.arange(1, 4001) % 4 == 0, "member", "guest")
    people["noise"] = np.where(np.arange(4000) % 3 == 0, "x", "y")
    more = {"customer_id": ["P1", "P2", "P3"], "age": [30.0, 70.0, np.nan], "club": ["member", "guest", None]}
    pd.concat([people, pd.DataFrame(more | {"noise": ["x", "y", "z"]})]).to_csv(directory / "people.csv", index=False)
    (directory / "shop.yaml").write_text(
        f"""data:
  transactions: [{directory / "log.parquet"}]
  customers:
    files: {directory / "people.csv"}
    numeric: [age]
    categorical: [club, noise]
"""
    )
    return directory


def known(first, spend, transactions=None, **attributes):
    days = np.asarray(first, dtype=np.int64) * MICROSECONDS_PER_DAY
    count = np.ones(len(days)) if transactions is None else np.asarray(transactions, dtype=float)
    words = {name: np.array(values, dtype=object) for name, values in attributes.items()}
    return Newcomers(days, count, np.asarray(spend, dtype=float), words)


def test_few_alike_lean_on_those_who_share_one_attribute_less():
    past = known([1, 2, 3, 4], [10, 20, 30, 100], land=["a", "a", "a", "b"], shop=["x", "x", "y", "y"])
    asked = {"land": np.array(["a", "c"], dtype=object), "shop": np.array(["y", "y"], dtype=object)}
    k = PRIOR_NEWCOMERS
    base = np.full(4, 0.25)
    land = (np.array([1, 1, 1, 0]) + k * base) / (3 + k)
    both = (np.array([0, 0, 1, 0]) + k * land) / (1 + k)
    found = promise(past, asked)
    assert found.expected_spend[0] == pytest.approx(both @ past.spend)
    assert found.expected_spend[1] == pytest.approx(base @ past.spend)  # nobody is from c: as everybody
    assert found.alike.tolist() == [1, 0]
    assert found.spend[1].tolist() == [10, 20, 100]


def test_the_pool_is_the_last_year_of_those_seen_for_the_whole_horizon():
    past = known([0, 100, 370, 371, 400], [1, 2, 3, 4, 5])
    assert pool(past, 400 * MICROSECONDS_PER_DAY, 30).spend.tolist() == [2, 3]
    assert pool(past, 400 * MICROSECONDS_PER_DAY, 29).spend.tolist() == [2, 3, 4]


def test_numbers_count_as_the_same_between_quartiles_and_missing_is_a_value_of_its_own():
    ages = np.array([20.0, 30.0, 40.0, 50.0, np.nan])
    past = Newcomers(np.arange(5), np.ones(5), np.array([1.0, 2.0, 3.0, 4.0, 50.0]), {"age": ages})
    found = promise(past, {"age": np.array([21.0, np.nan, 300.0])})
    assert found.alike.tolist() == [1, 1, 1]
    assert found.expected_spend[1] == pytest.approx((50 + PRIOR_NEWCOMERS * 12) / (1 + PRIOR_NEWCOMERS))


def test_prospects_get_rows_and_their_attributes_count(shop, tmp_path, capsys):
    out = tmp_path / "prospects.parquet"
    options = ["--config", shop / "shop.yaml", "--cutoff", CUTOFF, "--horizons", 90, "30", "--out", out]
    assert main(["newcomers", *map(str, options)]) == 0
    text = capsys.readouterr().out
    assert "club=member, noise=x" in text
    assert "3 customers without a purchase are in" in text
    rows = pd.read_parquet(out)
    assert rows["customer_id"].tolist() == ["P1", "P1", "P2", "P2", "P3", "P3"]
    assert rows["horizon_days"].tolist() == [30, 90] * 3
    member, guest, unknown = rows[rows["horizon_days"] == 90]["expected_spend"]
    assert 3 < member / guest < 5
    assert guest < unknown < member
    assert (rows["spend_q05"] <= rows["spend_q50"]).all()
    assert (rows["spend_q50"] < rows["spend_q95"]).all()
    assert (rows["expected_transactions"] >= 1).all()
    manifest = json.loads((tmp_path / "prospects.parquet.manifest.json").read_text())
    assert (manifest["customers"], manifest["rows"]) == (3, 6)
    assert manifest["attributes"] == ["club", "noise", "age"]

    assert main(["forget", "--customer", "P2", "--forecasts", str(out)]) == 0
    assert pd.read_parquet(out)["customer_id"].unique().tolist() == ["P1", "P3"]
    manifest = json.loads((tmp_path / "prospects.parquet.manifest.json").read_text())
    assert (manifest["customers"], manifest["rows"]) == (2, 4)


def test_ranges_hold_nine_in_ten_newcomers_of_later_months_and_their_total_is_met(shop):
    document = prospects_log(config(shop), ProspectPlan(cutoff=instant(CUTOFF), horizons_days=[60], by=("club",)), None)
    (row,) = document["check"]
    assert row["customers"] > 1000
    assert row["spend_coverage_90"] == pytest.approx(0.9, abs=0.03)
    assert row["transactions_coverage_90"] > 0.9
    for quantity in ("spend", "transactions"):
        assert row[quantity]["forecast"] == pytest.approx(row[quantity]["actual"], rel=0.08)


def config(shop):
    from seqclv.configfile import read_config

    return read_config(shop / "shop.yaml").data


def test_what_happens_from_the_cutoff_on_changes_no_forecast(shop, tmp_path):
    from dataclasses import replace

    data, early = config(shop), "2021-07-01"
    log = pd.read_parquet(shop / "log.parquet")
    log[log["timestamp"] < early].to_parquet(tmp_path / "cut.parquet")
    plan = ProspectPlan(cutoff=instant(early), horizons_days=[30])
    whole = prospects_log(data, plan, None)
    cut = prospects_log(replace(data, transactions=(str(tmp_path / "cut.parquet"),)), plan, None)
    assert [whole[name] for name in ("profiles", "check")] == [cut[name] for name in ("profiles", "check")]


def test_the_check_of_a_month_uses_what_was_known_at_its_beginning():
    days = np.repeat(np.arange(0, 200), 5)
    past = known(days, np.where(days < 150, 10.0, 1000.0))
    row = check(past, 200 * MICROSECONDS_PER_DAY, 10)
    assert row["months"] == 5
    assert row["spend"]["forecast"] < row["spend"]["actual"]
    assert check(known([1, 2], [1, 1]), 200 * MICROSECONDS_PER_DAY, 10) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": ("nothing",)}, "--by names attributes of the customers table"),
        ({"cutoff": instant("2019-01-01")}, "nobody bought before"),
        ({"horizons_days": [729]}, "shorter horizons"),
    ],
)
def test_what_cannot_be_forecast_is_said(shop, change, message):
    plan = {"cutoff": instant(CUTOFF), "horizons_days": [30]} | change
    with pytest.raises(InputError, match=message):
        prospects_log(config(shop), ProspectPlan(**plan), None)


def test_rows_without_prospects_and_sensitive_attributes_are_refused(shop, tmp_path):
    from dataclasses import replace

    plain = replace(config(shop), customers=None)
    plan = ProspectPlan(cutoff=instant(CUTOFF), horizons_days=[30])
    with pytest.raises(InputError, match="leave --out away"):
        prospects_log(plain, plan, tmp_path / "out.parquet")
    hidden = replace(config(shop), sensitive=("club",))
    assert prospects_log(hidden, plan, None)["attributes"] == ["noise", "age"]
    with pytest.raises(InputError, match="no sensitive ones"):
        prospects_log(hidden, replace(plan, by=("club",)), None)
