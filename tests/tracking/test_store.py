import os

import mlflow
import pytest

from seqclv.credentials import without_credentials
from seqclv.errors import InputError
from seqclv.tracking.store import open_store, tracking_uri


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_the_argument_comes_before_the_environment_and_that_before_the_default(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert tracking_uri("sqlite:///mine.db") == "sqlite:///mine.db"
    assert tracking_uri() == "http://host:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri() == "sqlite:///mlflow.db"


def test_reading_creates_no_database(nowhere):
    with pytest.raises(InputError, match=r"no file .*mlflow\.db: train or register a model first"):
        open_store()
    assert not any(nowhere.iterdir())


@pytest.mark.parametrize("uri", ["file:./runs", "mlruns", "nonsense://host"])
def test_what_is_no_database_and_no_server_is_refused_at_once(nowhere, uri):
    with pytest.raises(InputError, match="A tracking URI is a database or a server"):
        open_store(uri, create=True)
    assert not any(nowhere.iterdir())


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_that_does_not_last_is_refused(uri):
    with pytest.raises(InputError, match="names no file"):
        open_store(uri, create=True)


def test_a_server_that_does_not_answer_is_told_without_its_password():
    with pytest.raises(InputError, match="must be reachable") as refused:
        open_store("http://ann:secret@127.0.0.1:9")
    assert "secret" not in str(refused.value)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_a_file_that_is_no_database_is_refused(nowhere):
    (nowhere / "mlflow.db").write_text("hello " * 100)
    with pytest.raises(InputError, match="must be reachable"):
        open_store()


def test_a_relative_database_belongs_to_the_directory_one_is_in(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        open_store(create=True).experiment_id(f"of {name}")
    assert [e.name for e in open_store().client.search_experiments()] == ["of other", "Default"]


def test_artifacts_of_a_local_database_lie_beside_it(store, tmp_path):
    created = store.client.get_experiment(store.experiment_id("a shop"))
    assert created.artifact_location == (tmp_path / "mlartifacts").as_uri()
    assert store.experiment_id("a shop") == created.experiment_id


def test_a_deleted_experiment_is_refused_with_the_remedy(store):
    store.client.delete_experiment(store.experiment_id("a shop"))
    with pytest.raises(InputError, match="mlflow experiments restore"):
        store.experiment_id("a shop")


def test_a_caller_keeps_the_tracking_uri_of_his_own(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mine:5000")
    with store.as_global():
        assert mlflow.get_tracking_uri() == store.uri
    assert mlflow.get_tracking_uri() == "http://mine:5000"


def test_credentials_leave_every_uri_of_a_text():
    text = "postgresql://ann:secret@host/db and http://bob@host:5000/x@y"
    assert without_credentials(text) == "postgresql://***@host/db and http://***@host:5000/x@y"
