"""Lists keep to the budget, name each customer once, and leave a stable random part alone."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.errors import InputError
from seqclv.value.budget import budget_chart, budget_curve
from seqclv.value.columns import LIST_SCHEMA
from seqclv.value.export import send_lists, write_lists
from seqclv.value.lists import CAUTION, ListPlan, is_control, make_lists
from seqclv.value.reasons import reason


@pytest.fixture(scope="module")
def values(valued):
    return valued["network"].out


def test_the_retention_list_is_the_highest_value_at_risk_of_who_is_not_lost(values):
    lists = make_lists(values, ListPlan(contacts=20)).to_pandas()
    chosen = lists[lists["list"] == "retention"]
    frame = pq.read_table(values).to_pandas().query("horizon_days == 365 and stage != 'lost'")
    best = frame.sort_values(["value_at_risk", "customer_id"], ascending=[False, True]).head(20)
    assert chosen["customer_id"].tolist() == best["customer_id"].tolist()
    assert chosen["score"].tolist() == best["value_at_risk"].tolist()
    assert chosen["rank"].tolist() == list(range(1, 21))


def test_a_customer_is_on_one_list_only(values):
    table = make_lists(values, ListPlan(contacts=30, contact_cost=5.0))
    assert table.schema.equals(LIST_SCHEMA)
    frame = table.to_pandas()
    assert not frame["customer_id"].duplicated().any()
    assert set(frame["list"]) == {"retention", "growth", "do_not_spend"}
    spared = frame[frame["list"] == "do_not_spend"]
    assert ((spared["stage"] == "lost") | (spared["value"] <= 5.0)).all()
    assert spared["group"].isna().all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_budget_is_of_contacts_and_controls_come_on_top(values, share):
    frame = make_lists(values, ListPlan(contacts=25, control_share=share)).to_pandas()
    retention = frame[frame["list"] == "retention"]
    assert (retention["group"] == "contact").sum() == 25
    assert (retention["group"] == "control").any() == (share > 0)


def test_who_is_a_control_depends_on_id_and_seed_alone(values):
    small = make_lists(values, ListPlan(contacts=10, control_share=0.3)).to_pandas()
    large = make_lists(values, ListPlan(contacts=40, control_share=0.3, horizon_days=30.0)).to_pandas()
    both = small.merge(large, on="customer_id")
    both = both[both["group_x"].notna() & both["group_y"].notna()]
    assert len(both) > 10
    assert (both["group_x"] == both["group_y"]).all()
    draws = np.array([[is_control(f"customer {i}", 0.1, seed) for i in range(4000)] for seed in (0, 1)])
    assert abs(draws.mean() - 0.1) < 0.01
    assert 0.005 < (draws[0] & draws[1]).mean() < 0.02  # another seed draws anew
    assert not any(is_control(f"{i}", 0.0, 0) for i in range(100))


def test_reasons_are_plain_words_from_the_numbers():
    row = {
        "usual_gap_days": 23.2,
        "days_since_last": 61.0,
        "churn_probability": 0.41,
        "horizon_days": 90.0,
        "value_at_risk": 1234.5,
        "currency": "EUR",
        "historic_transactions": 4.0,
        "expected_transactions": 2.34,
        "value": 99.0,
        "never_again_probability": 0.8,
        "stage": "lost",
    }
    assert reason("retention", row) == (
        "usually buys every 23 days, last bought 61 days ago; 41% chance of no purchase in 90 days, "
        "which puts 1,234.50 EUR at risk."
    )
    assert reason("growth", row).endswith("expected to buy 2.3 times in 90 days, worth 99.00 EUR.")
    assert "80% chance of never buying again" in reason("do_not_spend", row)
    twice = reason("retention", row | {"historic_transactions": 2.0, "currency": "XXX"})
    assert twice.startswith("bought twice, 23 days apart, last bought 61 days ago;")  # one gap is no habit
    assert twice.endswith("which puts 1,234.50 at risk.")
    once = reason("retention", row | {"usual_gap_days": None, "days_since_last": 1.0})
    assert once.startswith("bought once, 1 day ago;")


def test_the_budget_curve_is_best_first_and_ends_where_all_orders_do(values):
    curve = budget_curve(values)
    frame = pq.read_table(values).to_pandas().query("horizon_days == 365 and stage != 'lost'")
    total = frame["value_at_risk"].sum()
    for reached in (curve.value_at_risk, curve.recency, curve.random):
        assert reached[0] == 0
        assert reached[-1] == pytest.approx(total)
        assert (np.diff(reached) >= 0).all()
    assert (curve.value_at_risk >= np.maximum(curve.recency, curve.random) - 1e-9).all()
    half = len(frame) // 2
    expected = frame["value_at_risk"].nlargest(half).sum()
    assert np.interp(half, curve.contacts, curve.value_at_risk) == pytest.approx(expected, rel=0.02)
    recent = frame.sort_values(["days_since_last", "customer_id"])["value_at_risk"].cumsum()
    place = len(curve.contacts) // 3
    assert curve.recency[place] == pytest.approx(recent.iloc[int(curve.contacts[place]) - 1])


def test_the_chart_says_what_it_shows(values):
    figure = budget_chart(budget_curve(values), 30)
    texts = [text.get_text() for text in figure.texts]
    assert texts[0].startswith("30 contacts reach ")
    assert "it is not what a contact saves" in texts[1]


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_the_directory_holds_lists_curve_and_caution(values, tmp_path, file_format):
    plan = ListPlan(contacts=10, control_share=0.2)
    table = make_lists(values, plan)
    write_lists(table, budget_curve(values), plan, tmp_path / "lists", file_format=file_format)
    read = pd.read_csv if file_format == "csv" else pd.read_parquet
    found = read(tmp_path / "lists" / f"retention.{file_format}")
    assert list(found.columns) == LIST_SCHEMA.names
    assert (found["group"] == "contact").sum() == 10
    document = json.loads((tmp_path / "lists" / "lists.json").read_text())
    assert document["caution"] == CAUTION
    assert "not persuadability" in document["caution"]
    assert {(row["list"], row["group"]) for row in document["lists"]} >= {("retention", "control")}
    for name in ("budget.csv", "budget.svg", "budget.png"):
        assert (tmp_path / "lists" / name).stat().st_size > 100


@pytest.mark.parametrize("bad", [{"contacts": 0}, {"control_share": 1.0}, {"contact_cost": -1.0}])
def test_impossible_plans_are_refused(bad):
    with pytest.raises(InputError, match=r"\d"):
        ListPlan(**{"contacts": 5} | bad)


def in_database(url, table="lists"):
    from sqlalchemy import create_engine

    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    frame = pd.read_sql(f'SELECT * FROM {table} ORDER BY list, "rank"', engine)
    engine.dispose()
    return frame


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_database_holds_the_lists_of_the_latest_plan_and_of_other_cutoffs(values, kind, request, tmp_path):
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else f"sqlite:///{tmp_path / 'crm.db'}"
    large = make_lists(values, ListPlan(contacts=30, control_share=0.3))
    place = send_lists(large, url, "lists")
    assert place.endswith("#lists")
    assert "@" not in place
    found = in_database(url)
    wanted = large.to_pandas().sort_values(["list", "rank"]).reset_index(drop=True)
    assert found["customer_id"].tolist() == wanted["customer_id"].tolist()
    assert found["reason"].tolist() == wanted["reason"].tolist()
    assert found["group"].fillna("").tolist() == wanted["group"].fillna("").tolist()
    np.testing.assert_array_equal(found["score"], wanted["score"])

    later = large.set_column(
        large.column_names.index("cutoff"), "cutoff", pa.array([pd.Timestamp("2031-01-01")] * len(large))
    )
    small = make_lists(values, ListPlan(contacts=5, contact_cost=1.0))
    send_lists(later.cast(LIST_SCHEMA), url, "lists")
    send_lists(small, url, "lists")  # the same cutoff again: who is on no list any more goes
    found = in_database(url)
    at = pd.to_datetime(found["cutoff"])
    assert sorted(found["customer_id"][at.dt.year == 2031]) == sorted(wanted["customer_id"])
    now = found[at.dt.year != 2031]
    assert sorted(zip(now["list"], now["customer_id"], strict=True)) == sorted(
        zip(small["list"].to_pylist(), small["customer_id"].to_pylist(), strict=True)
    )


def test_columns_that_a_crm_adds_stay(values, tmp_path):
    import sqlite3

    url = f"sqlite:///{tmp_path / 'crm.db'}"
    lists = make_lists(values, ListPlan(contacts=5))
    send_lists(lists, url, "lists")
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("ALTER TABLE lists ADD COLUMN called TEXT DEFAULT 'no'")
        connection.execute("UPDATE lists SET called = 'yes' WHERE list = 'retention'")
    connection.close()
    send_lists(lists, url, "lists")
    found = in_database(url)
    assert set(found["called"][found["list"] == "retention"]) == {"yes"}


def test_a_database_or_table_that_cannot_take_lists_is_refused(values, monkeypatch, tmp_path):
    lists = make_lists(values, ListPlan(contacts=5))
    monkeypatch.delenv("NO_SUCH", raising=False)
    for url, name, message in [
        ("env:NO_SUCH", "lists", "NO_SUCH, but it is not set"),
        ("mysql://host/x", "lists", "Lists go to files or to databases"),
        (f"sqlite:///{tmp_path / 'crm.db'}", "drop table", "--table is 'drop table'"),
    ]:
        with pytest.raises(InputError, match=message):
            send_lists(lists, url, name)
