"""Pseudonyms, objections to profiling and sensitive attributes hold from the log to the model."""

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.config import CustomersConfig, DataConfig, IdentitiesConfig
from seqclv.data.schema import MINIMUM_VALUE_COUNT, derive_schema
from seqclv.data.store import EventStore, append_store, build_store, events_from_frame, open_log
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.pseudonyms import PseudonymKey, read_key

KEY = PseudonymKey(b"0123456789abcdef-secret")
CUTOFF = instant("2024-02-01")


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Ids that name a person, in good, bad, nameless and malformed rows, a customers table and merged identities."""
    log = written(
        tmp_path / "log.csv",
        "customer_id,timestamp,amount,email,no\n"
        "anna-100,2024-01-01,5,anna-100@x,\nanna-100,2024-01-01,5,anna-100@x,\nbert-200,2024-01-02,7,b,yes\n"
        "bert-200,2024-01-03,7,b,\nanna-100,never,5,x,\n2024-01-04,carl-300,6,x,\n,2024-01-04,6,carl-300,\n"
        "carl-300,2024-01-04,6,x,,anna-100\nold-anna,2024-01-05,6,x,0\nbert-200,never,6,x,\n"
        "dora-400,2024-01-06,8,x,no\n",
    )
    people = written(tmp_path / "people.csv", "customer_id,age,no\nanna-100,30,\nemil-500,40,\nfred-600,50,TRUE\n")
    merged = written(tmp_path / "merged.csv", "old_id,customer_id\nold-anna,anna-100\n")
    return DataConfig(
        transactions=(log,),
        customers=CustomersConfig(files=(people,), numeric={"age": "age"}),
        identities=IdentitiesConfig(files=(merged,)),
    )


def all_bytes(store: EventStore) -> bytes:
    """Every byte of every file, and every cell of Parquet files, whose pages are packed."""
    found = b""
    for path in sorted(store.path.rglob("*")):
        found += path.name.encode() + path.read_bytes()
        if path.suffix == ".parquet":
            found += repr(pq.read_table(path).to_pydict()).encode() + repr(pq.read_metadata(path).metadata).encode()
            metadata = pq.read_metadata(path)
            found += b"".join(
                repr(metadata.row_group(i).column(j).statistics).encode()
                for i in range(metadata.num_row_groups)
                for j in range(metadata.num_columns)
            )
    return found


PEOPLE = ("anna-100", "bert-200", "carl-300", "old-anna", "dora-400", "emil-500", "fred-600")


def test_no_raw_id_and_no_key_is_left_in_any_file_of_a_pseudonymized_store(data: DataConfig, tmp_path: Path) -> None:
    plain, hidden = build_store(data, tmp_path / "plain"), build_store(data, tmp_path / "hidden", key=KEY)
    assert [name for name in PEOPLE if name.encode() not in all_bytes(plain)] == ["old-anna"]  # it was merged
    content = all_bytes(hidden)
    assert [name for name in PEOPLE if name.encode() in content] == []
    assert KEY.secret not in content
    assert repr(KEY.secret)[2:-1] not in repr(KEY)
    assert sum(hidden.info.report["rejected_by_reason"].values()) == 5
    assert hidden.info.report["rejected_by_reason"] == plain.info.report["rejected_by_reason"]


def test_a_pseudonym_is_the_hmac_of_the_id(data: DataConfig, tmp_path: Path) -> None:
    plain, hidden = build_store(data, tmp_path / "plain"), build_store(data, tmp_path / "hidden", key=KEY)
    expected = sorted(hmac.new(KEY.secret, i.encode(), hashlib.sha256).hexdigest() for i in plain.ids.to_pylist())
    assert hidden.ids.to_pylist() == expected
    assert KEY.pseudonym("anna-100") in expected
    long = PseudonymKey(b"k" * 100)  # longer than a block: hashed first
    assert build_store(data, tmp_path / "long", key=long).ids.to_pylist() == sorted(
        long.pseudonym(i) for i in plain.ids.to_pylist()
    )
    [emil, *_] = hidden.prospects["customer_id"].to_pylist()
    assert emil in (KEY.pseudonym("emil-500"), KEY.pseudonym("fred-600"))
    rejected = pq.read_table(hidden.path / "rejects.parquet")["customer_id"].to_pylist()
    assert rejected.count(KEY.pseudonym("anna-100")) == 1


def test_exact_duplicates_are_still_told_under_pseudonyms(data: DataConfig, tmp_path: Path) -> None:
    hidden = build_store(data, tmp_path / "hidden", key=KEY)
    assert hidden.info.report["exact_duplicates"] == 1
    hashes = pq.read_table(hidden.path / "lines.parquet")["row_hash"].to_pylist()
    plain = pq.read_table(build_store(data, tmp_path / "plain").path / "lines.parquet")["row_hash"].to_pylist()
    assert not set(hashes) & set(plain)  # else a guess at the id could be tested


def test_the_same_key_gives_the_same_ids_on_append_and_another_one_is_refused(data: DataConfig, tmp_path: Path) -> None:
    store = build_store(data, tmp_path / "store", key=KEY)
    text = "customer_id,timestamp,amount,email,no\nanna-100,2024-02-01,5,x,\ngina-700,2024-02-01,5,x,\n"
    more = replace(data, transactions=(written(tmp_path / "more.csv", text),))
    for wrong in (None, PseudonymKey(b"another key of 16 bytes")):
        with pytest.raises(InputError, match="key of pseudonyms"):
            append_store(more, store.path, key=wrong)
    together = append_store(more, store.path, key=KEY)
    whole = replace(data, transactions=(*data.transactions, *more.transactions))
    at_once = build_store(whole, tmp_path / "whole", key=KEY)
    assert together.fingerprint == at_once.fingerprint
    assert together.info == at_once.info
    assert not [name for name in (*PEOPLE, "gina-700") if name.encode() in all_bytes(together)]


def test_an_id_that_is_kept_as_an_attribute_is_refused(data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="legible nowhere, but 'customer_id'"):
        build_store(replace(data, categorical=("customer_id",)), tmp_path / "store", key=KEY)


def test_a_key_is_read_from_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", " 0123456789abcdef-secret\n")
    assert read_key("env:THE_KEY") == KEY
    assert read_key(written(tmp_path / "key", "0123456789abcdef-secret\n")) == KEY
    for place in ("env:NOT_THERE", str(tmp_path / "nothing")):
        with pytest.raises(InputError, match=r"key of pseudonyms"):
            read_key(place)
    with pytest.raises(InputError, match="at least 16 bytes"):
        read_key(written(tmp_path / "short", "short"))


def test_who_objects_in_any_line_or_in_the_customers_table_is_left_out_entirely(
    data: DataConfig, tmp_path: Path
) -> None:
    plain = build_store(data, tmp_path / "plain")
    kept = build_store(replace(data, do_not_profile="no"), tmp_path / "kept")
    assert set(plain.ids.to_pylist()) - set(kept.ids.to_pylist()) == {"bert-200"}
    assert kept.prospects["customer_id"].to_pylist() == ["emil-500"]
    content = all_bytes(kept)
    assert b"bert-200" not in content
    assert b"fred-600" not in content
    report = kept.info.report
    assert (report["customers_not_profiled"], report["rows_not_profiled"]) == (1, 3)
    assert report["rows_read"] == report["rows_kept"] + report["rows_rejected"] + 3
    assert report["rows_read"] == plain.info.report["rows_read"]


def test_an_objection_holds_under_pseudonyms_too(data: DataConfig, tmp_path: Path) -> None:
    hidden = build_store(replace(data, do_not_profile="no"), tmp_path / "hidden", key=KEY)
    assert KEY.pseudonym("bert-200").encode() not in all_bytes(hidden)
    assert hidden.prospects["customer_id"].to_pylist() == [KEY.pseudonym("emil-500")]


def test_an_objection_in_a_later_delivery_removes_what_was_there(data: DataConfig, tmp_path: Path) -> None:
    data = replace(data, do_not_profile="no")
    store = build_store(data, tmp_path / "store")
    text = "customer_id,timestamp,amount,email,no\nanna-100,2024-02-01,5,x,1\ngina-700,2024-02-01,5,x,\n"
    more = replace(data, transactions=(written(tmp_path / "more.csv", text),))
    together = append_store(more, store.path)
    whole = replace(data, transactions=(*data.transactions, *more.transactions))
    assert (
        together.ids.to_pylist() == build_store(whole, tmp_path / "whole").ids.to_pylist() == ["dora-400", "gina-700"]
    )
    assert b"anna-100" not in all_bytes(together)


def test_objections_hold_where_a_log_is_read_directly(data: DataConfig, tmp_path: Path) -> None:
    store = open_log(replace(data, do_not_profile="no"), tmp_path)
    assert "bert-200" not in store.ids.to_pylist()
    frame = pd.DataFrame({"customer_id": ["a", "b"], "timestamp": ["2024-01-01"] * 2, "amount": [1.0, 2.0]})
    columns = DataConfig(do_not_profile="no")
    assert list(events_from_frame(frame.assign(no=[True, False]), columns).customer_id) == ["b"]
    with pytest.raises(InputError, match="neither the log nor a customers table has it"):
        events_from_frame(frame, columns)
    with pytest.raises(InputError, match="objections to profiling leave out all 2"):
        events_from_frame(frame.assign(no="x"), columns)


def test_a_store_that_left_nobody_out_is_refused_where_objections_count(data: DataConfig, tmp_path: Path) -> None:
    store = build_store(data, tmp_path / "store")
    with pytest.raises(InputError, match="prepare it anew"):
        open_log(DataConfig(transactions=(str(store.path),), do_not_profile="no"), tmp_path)


def people(tmp_path: Path, ages: list[str]) -> DataConfig:
    size = len(ages)
    log = pa.table(
        {
            "customer_id": [f"c{i:03d}" for i in range(size)],
            "timestamp": ["2024-01-01"] * size,
            "amount": [10.0] * size,
            "gender": ["f", "m"] * (size // 2),
        }
    )
    pq.write_table(log, tmp_path / "log.parquet")
    pq.write_table(pa.table({"customer_id": log["customer_id"], "age_group": ages}), tmp_path / "people.parquet")
    return DataConfig(
        transactions=(str(tmp_path / "log.parquet"),),
        categorical=("gender",),
        customers=CustomersConfig(files=(str(tmp_path / "people.parquet"),), categorical={"age_group": "age_group"}),
    )


def test_sensitive_attributes_are_in_the_store_and_not_in_the_schema(tmp_path: Path) -> None:
    store = build_store(people(tmp_path, ["old", "young"] * 20), tmp_path / "store")
    past = history(store.read(), CUTOFF, "1d")
    seen = derive_schema(past, CUTOFF, merge="1d", max_history_events=9)
    assert [f.name for f in (*seen.categorical, *seen.static_categorical)] == ["gender", "age_group"]
    blind = derive_schema(past, CUTOFF, merge="1d", max_history_events=9, sensitive=("gender", "age_group"))
    assert not (blind.categorical or blind.static_categorical)
    assert set(store.info.categorical) | set(store.info.static_categorical) == {"gender", "age_group"}
    with pytest.raises(InputError, match="gendre is not"):
        derive_schema(past, CUTOFF, merge="1d", max_history_events=9, sensitive=("gendre",))


def test_a_value_that_few_customers_have_is_in_no_vocabulary(tmp_path: Path) -> None:
    ages = ["rare"] * (MINIMUM_VALUE_COUNT - 1) + ["enough"] * MINIMUM_VALUE_COUNT + ["many"] * 21
    past = history(build_store(people(tmp_path, ages), tmp_path / "store").read(), CUTOFF, "1d")
    schema = derive_schema(past, CUTOFF, merge="1d", max_history_events=9)
    assert [f.vocabulary for f in schema.static_categorical] == [("enough", "many")]


def test_a_model_carries_the_names_of_sensitive_attributes_but_does_not_ask_for_them() -> None:
    carried = DataConfig(categorical=("gender", "channel"), sensitive=("gender",)).without_places()
    assert carried.categorical == ("channel",)
    assert carried.sensitive == ("gender",)
