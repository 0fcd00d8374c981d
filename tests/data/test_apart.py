import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from seqclv.cli import main
from seqclv.config import CustomersConfig, DataConfig
from seqclv.data.apart import require_apart
from seqclv.data.store import build_store
from seqclv.errors import InputError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    frame = pd.DataFrame({"customer_id": ["a", "b"], "timestamp": ["2024-01-01", "2024-02-05"], "amount": [1.0, 2.0]})
    frame.to_csv(tmp_path / "logs/one.csv", index=False)
    return tmp_path / "logs/one.csv"


@pytest.mark.parametrize("out", ["logs/one.csv", "logs/forecasts.csv", "logs/deep/forecasts.csv"])
@pytest.mark.parametrize("source", ["logs", "logs/*.csv", "logs/**/*.csv", "logs/one.csv"])
def test_forecasts_never_lie_where_the_log_is_read(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    harmless = {("logs/one.csv", "logs/forecasts.csv"), ("logs/one.csv", "logs/deep/forecasts.csv")}
    data = DataConfig(transactions=(source,))
    if (source, out) in {*harmless, ("logs/*.csv", "logs/deep/forecasts.csv")}:
        require_apart(out, data)
        return
    with pytest.raises(InputError, match="must lie apart"):
        require_apart(out, data)


def test_links_and_addresses_lead_to_the_same_folder(log: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(log.parent)
    for source in (f"{tmp_path}/link/*.csv", f"{tmp_path}/link/../logs/*.csv", log.as_uri(), log.parent.as_uri()):
        for out in (log, log.parent / "f.csv")[: 1 if source == log.as_uri() else 2]:
            with pytest.raises(InputError, match="must lie apart"):
                require_apart(out, DataConfig(transactions=(source,)))


def test_forecasts_lie_in_no_store_and_in_no_table_beside_the_log(log: Path, tmp_path: Path) -> None:
    build_store(DataConfig(transactions=(str(log),)), tmp_path / "store")
    beside = CustomersConfig(files=(str(tmp_path / "c.csv"),), numeric={"age": "age"})
    for out in (tmp_path / "store/forecasts.parquet", tmp_path / "c.csv"):
        with pytest.raises(InputError, match="must lie apart"):
            require_apart(out, DataConfig(transactions=(str(log),), customers=beside))
    require_apart("postgresql://host/name", DataConfig(transactions=(str(log),)))


def test_the_command_leaves_a_log_alone_that_it_was_told_to_write(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = log.read_bytes()
    for command in ("score", "value"):
        words = [command, "--model", "prior", "--transactions", str(log), "--cutoff", "2024-03-01", "--out", str(log)]
        assert main(words) == 2
        assert "must lie apart" in capsys.readouterr().err
    assert log.read_bytes() == before


def test_a_table_of_the_output_is_named_beside_a_database_alone(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["score", "--model", "prior", "--transactions", str(log), "--cutoff", "2024-03-01", "--out-table", "clv"]
    assert main([*words, "--out", str(tmp_path / "f.csv")]) == 2
    assert "--out-table names a table of a database" in capsys.readouterr().err
    monkeypatch.setenv("CRM", f"sqlite:///{tmp_path / 'crm.db'}")
    assert main([*words, "--out", "env:CRM"]) == 0
    rows = sqlite3.connect(tmp_path / "crm.db").execute("SELECT count(*) FROM clv").fetchall()
    assert rows == [(6,)]
