import os

import pytest

from seqclv.bundle import load_bundle
from seqclv.errors import InputError
from seqclv.tracking.registry import champion, download, is_model_uri, register, set_alias
from seqclv.tracking.runs import tracked_run
from seqclv.tracking.store import open_store


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_bundle_of_any_kind_comes_back_as_it_was(store, bundles, tmp_path):
    for number, (kind, directory) in enumerate(bundles.items(), start=1):
        assert register(directory, "base", store=store, alias=kind) == str(number)
        assert contents(download(f"models:/base@{kind}", store=store)) == contents(directory)
        assert contents(download(f"models:/base/{number}", store=store)) == contents(directory)
    copy = download("models:/base/1", store=store, destination=tmp_path / "copy")
    assert copy == tmp_path / "copy"
    assert load_bundle(copy).kind == "network"


def test_a_version_says_what_it_is_and_links_to_its_run(store, bundles):
    with tracked_run(store, "shop") as run:
        run.log_directory(bundles["bg_nbd"], "bundle")
        version = register(bundles["bg_nbd"], "base", store=store, run_id=run.run_id, tags={"reason": "x" * 9000})
    found = store.client.get_model_version("base", version)
    assert found.run_id == run.run_id
    assert found.tags["kind"] == "bg_nbd"
    assert found.tags["training_cutoff"] == "2020-10-01T00:00:00"
    assert found.tags["bundle_version"] == load_bundle(bundles["bg_nbd"]).version
    assert len(found.tags["reason"]) == 5000
    assert len(store.client.get_run(run.run_id).outputs.model_outputs) == 1
    assert contents(download(f"runs:/{run.run_id}/bundle", store=store)) == contents(bundles["bg_nbd"])


def test_the_champion_is_none_until_there_is_one(store, bundles):
    assert champion("base", store=store) is None
    register(bundles["network"], "base", store=store)
    assert champion("base", store=store) is None
    register(bundles["pareto_nbd"], "base", store=store, alias="champion")
    present = champion("base", store=store)
    assert present.version == "2"
    assert load_bundle(present.bundle).kind == "pareto_nbd"
    set_alias("base", "champion", "1", store=store)
    assert champion("base", store=store).version == "1"


def test_an_unknown_model_alias_version_or_run_is_told_with_what_exists(store, bundles):
    with pytest.raises(InputError, match="no registered model 'base': nothing is registered yet"):
        download("models:/base@champion", store=store)
    register(bundles["network"], "base", store=store, alias="challenger")
    known = r"it has version 1 and alias challenger \(version 1\)"
    for uri, message in {
        "models:/other@champion": "registered are base",
        "models:/base@champion": f"no alias 'champion': {known}",
        "models:/base/7": f"no version 7: {known}",
        "models:/m-" + "0" * 32: "must exist in MLflow",
        "runs:/nothing/bundle": "must exist in MLflow, but: Run with id=nothing not found",
        "models:/base": "reads like models:/name@champion",
    }.items():
        with pytest.raises(InputError, match=message):
            download(uri, store=store)
    with pytest.raises(InputError, match="cannot be set to version 9"):
        set_alias("base", "champion", "9", store=store)


def test_what_is_no_bundle_is_refused_before_mlflow_hears_of_it(store, tmp_path):
    with pytest.raises(InputError, match=r"has none: give the path of a bundle"):
        register(tmp_path, "base", store=store)
    assert store.client.search_registered_models() == []


def test_a_name_that_mlflow_cannot_use_is_refused(store, bundles):
    with pytest.raises(InputError, match="MLflow must accept the model 'a/b'"):
        register(bundles["network"], "a/b", store=store)


def test_a_run_without_a_bundle_is_told_apart_from_a_missing_one(store):
    with tracked_run(store, "shop") as run:
        run.store.client.log_text(run.run_id, "hello", "notes/a.txt")
    with pytest.raises(InputError, match="it was not made by seqclv"):
        download(f"runs:/{run.run_id}/notes", store=store)


def test_without_a_store_the_default_one_is_read(store, bundles, monkeypatch):
    register(bundles["network"], "base", store=store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    assert download("models:/base/1").is_dir()
    assert open_store().uri == os.environ["MLFLOW_TRACKING_URI"]


def test_model_uris_are_told_from_directories():
    assert is_model_uri("models:/base@champion")
    assert is_model_uri("runs:/abc/bundle")
    assert not is_model_uri("models/base")
