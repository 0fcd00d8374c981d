"""A store is used by the rules it was prepared with, or refused."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from seqclv.cli import main
from seqclv.config import CustomersConfig, DataConfig, IdentitiesConfig, SourceConfig
from seqclv.data.honoured import as_prepared, filters_of
from seqclv.data.store import append_store, build_store, open_log, open_store
from seqclv.errors import InputError
from seqclv.scoring import fit_classical

LOG = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "a"],
        "timestamp": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"],
        "amount": [10.0, 20.0, 5.0, -10.0],
        "code": ["x", "POST", "y", "x"],
        "no": [None, None, None, None],
    }
)
FILTER = "code <> 'POST'"


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    LOG.to_csv(tmp_path / "log.csv", index=False)
    return DataConfig(transactions=(str(tmp_path / "log.csv"),))


def identities(tmp_path: Path) -> IdentitiesConfig:
    (tmp_path / "map.csv").write_text("old_id,customer_id\nc,a\n")
    return IdentitiesConfig(files=(str(tmp_path / "map.csv"),))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"where": FILTER}, "with no filter, not with the filter"),
        ({"cancellation_days": 30.0}, "cancellation_days=0, not 30"),
        ({"table": "orders"}, "asked of a database"),
        ({"query": "SELECT 1"}, "asked of a database"),
        ({"identities": IdentitiesConfig(files=("map.csv",))}, "without a table of identities"),
        ({"customers": CustomersConfig(files=("c.csv",), categorical={"country": "land"})}, "lacks customers.country"),
        ({"do_not_profile": "no"}, "without do_not_profile"),
    ],
)
def test_a_store_prepared_without_what_is_asked_for_is_refused(
    data: DataConfig, tmp_path: Path, asked: dict[str, object], said: str
) -> None:
    build_store(data, tmp_path / "store")
    with pytest.raises(InputError, match=said):
        open_log(replace(DataConfig(transactions=(str(tmp_path / "store"),)), **asked), tmp_path)


def test_a_store_prepared_with_all_that_is_asked_for_is_taken(data: DataConfig, tmp_path: Path) -> None:
    rules = replace(data, where=FILTER, cancellation_days=30.0, match_on=("code",), identities=identities(tmp_path))
    build_store(rules, tmp_path / "store")
    store = open_log(replace(rules, transactions=(str(tmp_path / "store"),)), tmp_path)
    assert (store.info.filters, store.info.identities) == ((FILTER,), True)
    with pytest.raises(InputError, match="match_on"):
        open_log(replace(rules, transactions=(str(tmp_path / "store"),), match_on=()), tmp_path)


def test_a_model_of_a_store_reads_raw_logs_by_its_rules_of_cancellations(data: DataConfig, tmp_path: Path) -> None:
    info = build_store(replace(data, cancellation_days=30.0, match_on=("code",)), tmp_path / "store").info
    learned = as_prepared(data, info)
    assert (learned.cancellation_days, learned.match_on, learned.where) == (30.0, ("code",), None)
    info = build_store(replace(data, where=FILTER, do_not_profile="no"), tmp_path / "store").info
    learned = as_prepared(data, info)
    assert (learned.cancellation_days, learned.where, learned.do_not_profile) == (0.0, FILTER, "no")


def test_a_classical_model_of_a_store_keeps_its_rules(data: DataConfig, tmp_path: Path) -> None:
    build_store(replace(data, where=FILTER), tmp_path / "store")
    assert fit_classical("bg_nbd", str(tmp_path / "store")).bundle.config.data.where == FILTER


def test_a_filter_that_comes_later_or_for_one_source_alone_is_not_that_of_the_store(
    data: DataConfig, tmp_path: Path
) -> None:
    build_store(data, tmp_path / "store")
    assert append_store(replace(data, where=FILTER), tmp_path / "store").info.filters == ("", FILTER)
    files = data.transactions
    sources = (SourceConfig(files=files, amount="amount"), SourceConfig(files=files, amount="amount", where=FILTER))
    both = replace(data, transactions=(), sources=sources)
    build_store(both, tmp_path / "two")
    for place in ("store", "two"):
        with pytest.raises(InputError, match="with no filter and the filter"):
            open_log(DataConfig(transactions=(str(tmp_path / place),), where=FILTER), tmp_path)
    assert filters_of(both) == ("", FILTER)


def test_a_delivery_of_which_the_filter_leaves_nothing_changes_nothing(data: DataConfig, tmp_path: Path) -> None:
    rules = replace(data, where=FILTER)
    before = build_store(rules, tmp_path / "store").fingerprint
    LOG[LOG["code"] == "POST"].to_csv(tmp_path / "services.csv", index=False)
    after = append_store(replace(rules, transactions=(str(tmp_path / "services.csv"),)), tmp_path / "store")
    assert after.fingerprint == before


def test_a_delivery_without_the_filter_or_the_identities_of_the_store_is_refused(
    data: DataConfig, tmp_path: Path
) -> None:
    rules = replace(data, where=FILTER, identities=identities(tmp_path))
    build_store(rules, tmp_path / "store")
    with pytest.raises(InputError, match="where is none, not code <> 'POST'"):
        append_store(replace(rules, where=None), tmp_path / "store")
    with pytest.raises(InputError, match="identities is not given, not given"):
        append_store(replace(rules, identities=None), tmp_path / "store")
    assert append_store(rules, tmp_path / "store").info.filters == (FILTER,)


@pytest.mark.parametrize("option", ["--amount", "--timestamp-format", "--query", "--table", "--event-type"])
def test_options_of_a_raw_log_are_refused_beside_a_store(
    data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    build_store(data, tmp_path / "store")
    words = ["score", "--model", "prior", "--transactions", str(tmp_path / "store"), "--cutoff", "2024-02-01"]
    assert main([*words, option, "amount", "--out", str(tmp_path / "f.csv")]) == 2
    assert f"{option} say" in capsys.readouterr().err


def test_a_query_of_the_configuration_is_asked_of_the_database_of_an_option(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        LOG.to_sql("orders", shop, index=False)
    shop.close()
    (tmp_path / "q.yaml").write_text("data:\n  query: SELECT * FROM orders WHERE amount > 5\n")
    words = ["prepare", "--config", str(tmp_path / "q.yaml"), "--transactions", f"sqlite:///{tmp_path}/shop.db"]
    assert main([*words, "--out", str(tmp_path / "asked"), "--quiet", "--json"]) == 0
    assert main([*words, "--table", "orders", "--out", str(tmp_path / "all"), "--quiet", "--json"]) == 0
    rows = [open_store(tmp_path / name).info.report["rows_kept"] for name in ("asked", "all")]
    assert rows == [2, 4]


def test_a_log_named_by_an_option_takes_the_place_of_the_query_of_the_configuration(
    data: DataConfig, tmp_path: Path
) -> None:
    build_store(data, tmp_path / "store")
    (tmp_path / "c.yaml").write_text("data:\n  transactions: [sqlite:///x.db]\n  table: orders\n")
    words = ["score", "--model", "prior", "--config", str(tmp_path / "c.yaml"), "--cutoff", "2024-02-01"]
    assert main([*words, "--transactions", str(tmp_path / "store"), "--out", str(tmp_path / "f.csv"), "--quiet"]) == 0
