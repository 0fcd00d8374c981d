"""`seqclv forget` leaves nothing of a customer in any place, and says so only where it is true."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from seqclv.cli import main
from seqclv.config import DataConfig
from seqclv.data.store import build_store
from seqclv.forgetting.search import occurrences
from tests.data.test_privacy import KEY

NAMES = ["anna-100", "bert-200", "dora-400"]


def table(names: list[str]) -> pa.Table:
    return pa.table({"customer_id": sorted(names * 2), "value": [1.5, 2.5] * len(names)})


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A store, forecasts with a manifest and resume state, values, lists and a database that all name dora-400."""
    log = "customer_id,timestamp,amount\n" + "".join(f"{name},2024-01-0{d},5\n" for name in NAMES for d in (1, 2))
    (tmp_path / "log.csv").write_text(log)
    build_store(DataConfig(transactions=(str(tmp_path / "log.csv"),)), tmp_path / "store")
    pq.write_table(table(NAMES), tmp_path / "f.parquet", compression="zstd")
    digest = hashlib.sha256((tmp_path / "f.parquet").read_bytes()).hexdigest()
    (tmp_path / "f.parquet.manifest.json").write_text(json.dumps({"rows": 6, "customers": 3, "sha256": digest}))
    state = tmp_path / ".f.parquet.scoring" / "abc"
    state.mkdir(parents=True)
    (state / "part-000000.arrow").write_bytes(b"dora-400")
    pacsv.write_csv(table(NAMES), tmp_path / "v.csv")
    (tmp_path / "lists").mkdir()
    pacsv.write_csv(table(NAMES), tmp_path / "lists" / "retention.csv")
    (tmp_path / "lists" / "budget.csv").write_text("contacts,value\n1,2\n")
    (tmp_path / "lists" / "lists.json").write_text('{"lists": []}')
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("CREATE TABLE forecasts (customer_id TEXT, value REAL)")
        connection.executemany("INSERT INTO forecasts VALUES (?, ?)", [(name, 1.0) for name in NAMES])
    connection.close()
    return tmp_path


def places(desk: Path) -> list[str]:
    return [
        *("--store", str(desk / "store"), "--forecasts", str(desk / "f.parquet"), "--values", str(desk / "v.csv")),
        *("--lists", str(desk / "lists"), "--sql", f"sqlite:///{desk / 'crm.db'}", "--table", "forecasts"),
    ]


def test_nothing_of_a_customer_is_left_anywhere(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", "--customer", "dora-400", *places(desk), "--json"]) == 0
    (desk / "log.csv").unlink()
    files = [path for path in desk.rglob("*") if path.is_file()]
    assert [path for path in files if occurrences(path, ["dora-400"])] == []
    assert [path for path in files if occurrences(path, ["bert-200"])]  # the search finds what is there
    assert not (desk / ".f.parquet.scoring").exists()
    assert pq.read_table(desk / "f.parquet") == table(NAMES[:2])
    assert pacsv.read_csv(desk / "v.csv") == table(NAMES[:2])
    manifest = json.loads((desk / "f.parquet.manifest.json").read_text())
    assert (manifest["rows"], manifest["customers"], manifest["customers_forgotten"]) == (4, 2, 1)
    assert manifest["sha256"] == hashlib.sha256((desk / "f.parquet").read_bytes()).hexdigest()
    done = {(one["kind"], one["removed"]) for one in json.loads(capsys.readouterr().out)["places"]}
    assert done == {
        *(("store", 1), ("table", 2), ("manifest", 0), ("resume state", 1), ("list files beside", 0), ("database", 1)),
    }


def test_what_is_left_makes_the_command_fail(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "lists" / "notes.txt").write_text("call dora-400 on Monday")
    assert main(["forget", "--customer", "dora-400", "--lists", str(desk / "lists")]) == 2
    assert "still found in" in capsys.readouterr().err


def test_a_pseudonymized_store_takes_the_raw_id_and_the_key(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_store(DataConfig(transactions=(str(desk / "log.csv"),)), desk / "hidden", key=KEY)
    words = ["forget", "--customer", "dora-400", "--store", str(store.path)]
    assert main(words) == 2
    assert "give --pseudonymize-key" in capsys.readouterr().err
    monkeypatch.setenv("THE_KEY", KEY.secret.decode())
    assert main([*words, "--pseudonymize-key", "env:THE_KEY"]) == 0
    assert not any(occurrences(path, [KEY.pseudonym("dora-400")]) for path in store.path.iterdir())


def test_ids_of_a_file_are_forgotten_and_a_wrong_place_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk / "ids.txt").write_text("dora-400\n\nanna-100\n")
    assert main(["forget", "--customers-file", str(desk / "ids.txt"), "--store", str(desk / "store")]) == 0
    for words in (["--store", str(desk)], ["--forecasts", str(desk / "no")], ["--lists", str(desk / "store")], []):
        assert main(["forget", "--customer", "x", *words]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_short_id_is_searched_as_a_whole_cell(tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer_id": ["12", "345"], "reason": ["bought 17 times"] * 2}), tmp_path / "t.parquet")
    assert occurrences(tmp_path / "t.parquet", ["12", "17"]) == ["12"]


def padded(names: list[str], path: Path) -> Path:
    """A store of customers whose ids are side by side in its files."""
    rows = "".join(f"{name},2024-01-0{day},5\n" for name in names for day in (1, 2))
    (path / "padded.csv").write_text("customer_id,timestamp,amount\n" + rows)
    return build_store(DataConfig(transactions=(str(path / "padded.csv"),)), path / "padded").path


def test_the_end_of_one_id_and_the_begin_of_the_next_are_nobody(tmp_path: Path) -> None:
    store = padded([f"{i:06d}" for i in (*range(30), *range(995, 1015))], tmp_path)
    for name in ("001000", "000100", "010000"):  # the first one is there, the others are read off its neighbours
        assert main(["forget", "--customer", name, "--store", str(store)]) == 0
    assert b"001000" in (store / "customers.arrow").read_bytes()
    assert occurrences(store / "customers.arrow", ["000011", "001000"]) == ["000011"]


def test_digits_of_a_longer_number_are_no_id(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("customer_id,value\n000007,0.0010001\n200100043,5\n")
    assert occurrences(tmp_path / "v.csv", ["001000", "000007"]) == ["000007"]
    cells = pa.table({"customer_id": ["1001000", "000007"], "reason": ["after 1001000", "knows 001001"]})
    pq.write_table(cells, tmp_path / "f.parquet")
    assert occurrences(tmp_path / "f.parquet", ["001000", "000007", "001001"]) == ["000007", "001001"]
    (tmp_path / "notes.txt").write_text("asked by 001000.")
    assert occurrences(tmp_path / "notes.txt", ["001000"]) == ["001000"]


@pytest.mark.parametrize(
    ("gone", "others"), [("customer-1", ["customer-10", "customer-2"]), ("100001", ["5100001", "77"])]
)
def test_whoever_is_named_like_the_forgotten_keeps_all_rows(gone: str, others: list[str], tmp_path: Path) -> None:
    rows = "".join(f"{name},2024-01-01,5\n" for name in (gone, *others)) + f"{others[0]},bad,5\n{gone},bad,5\n"
    (tmp_path / "log.csv").write_text("customer_id,timestamp,amount\n" + rows + f"{others[0]},7\n{gone},7\n")
    data = DataConfig(transactions=(str(tmp_path / "log.csv"),), max_reject_share=1.0)
    store = build_store(data, tmp_path / "store").path
    assert main(["forget", "--customer", gone, "--store", str(store)]) == 0
    left = pq.read_table(store / "rejects.parquet").to_pylist()
    assert sorted(filter(None, (row["customer_id"] or row["line"] for row in left))) == [others[0], f"{others[0]},7"]


def test_an_id_beside_the_cells_of_a_packed_file_is_found(tmp_path: Path) -> None:
    names = pa.table({"customer_id": [f"{i:06d}" for i in range(30)]})
    noted = names.replace_schema_metadata({"note": "asked for by 001000"})
    with pa.ipc.new_file(str(tmp_path / "ids.arrow"), noted.schema) as file:
        file.write_table(noted)
    pq.write_table(noted, tmp_path / "ids.parquet")
    assert occurrences(tmp_path / "ids.arrow", ["001000", "000100"]) == ["001000"]
    assert occurrences(tmp_path / "ids.parquet", ["001000", "000100"]) == ["001000"]


def test_a_customer_is_forgotten_in_postgres_and_by_every_file_beside(
    desk: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import psycopg

    with psycopg.connect(postgres_url) as connection:
        for name in ("forecasts", "lists"):
            connection.execute(f"CREATE TABLE {name} (customer_id text, value double precision)")
            for customer in NAMES:
                connection.execute(f"INSERT INTO {name} VALUES (%s, 1.5)", (customer,))  # type: ignore[arg-type]
    monkeypatch.setenv("CRM", postgres_url)
    words = [*places(desk)[:-4], "--sql", "env:CRM", "--table", "forecasts", "lists"]
    assert main(["forget", "--customer", "dora-400", *words, "--json"]) == 0
    output = capsys.readouterr()
    databases = [one for one in json.loads(output.out)["places"] if one["kind"] == "database"]
    assert [(one["removed"], one["left"]) for one in databases] == [(1, []), (1, [])]
    assert "geheim" not in output.out + output.err
    with psycopg.connect(postgres_url) as connection:
        for name in ("forecasts", "lists"):
            rows = connection.execute(f"SELECT customer_id FROM {name} ORDER BY 1").fetchall()
            assert [row[0] for row in rows] == NAMES[:2]
    (desk / "log.csv").unlink()
    (desk / "crm.db").unlink()  # not named here
    assert [path for path in desk.rglob("*") if path.is_file() and occurrences(path, ["dora-400"])] == []
