"""Registered models: put bundles into MLflow's registry, point aliases at them, get them back."""

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqclv.bundle import load_bundle
from seqclv.errors import InputError, offenders
from seqclv.files import whole_directory
from seqclv.tracking.store import Store, open_store, plain, quietly

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
MODEL_EXPERIMENT = "seqclv"  # of models that are registered outside a run
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model; the model has no such alias
_TAG_LENGTH = 5_000
_MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))")
_LOGGED_MODEL = re.compile(r"models:/(?P<id>m-[0-9a-f]{32})")
_RUN_URI = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class Registered:
    """A registered version and a copy of its bundle on this machine."""

    version: str
    bundle: Path


def is_model_uri(text: str) -> bool:
    """Whether the text names a model in MLflow, not a directory."""
    return text.startswith(("models:/", "runs:/"))


def register(
    bundle_directory: Path,
    name: str,
    *,
    store: Store,
    run_id: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Register a bundle of any kind as the next version of a model.

    Args:
        bundle_directory: from `seqclv.bundle.save_bundle`.
        name: the registered model; it is created where it is missing.
        store: from `open_store(create=True)`.
        run_id: the run that made it.
        alias: points at the new version afterwards, such as 'champion'.
        tags: of the version, beside its kind, fingerprint, training cutoff and content version.

    Returns:
        The version, '1', '2' and so on.

    Raises:
        InputError: the directory holds no sound bundle, or MLflow refuses the name or the alias.
    """
    from mlflow.exceptions import MlflowException

    bundle = load_bundle(bundle_directory)
    if bundle.kind == "prior":
        raise InputError(
            "A registered model belongs to one log, but this is the prior, which is for all: train on the log, which "
            "starts from the prior, and register that."
        )
    described = {
        "kind": bundle.kind,
        "fingerprint": bundle.fingerprint,
        "training_cutoff": _date(bundle.training_cutoff),
        "bundle_version": bundle.version,
        "seqclv": bundle.package_version,
        **(tags or {}),
    }
    try:
        _create_registered_model(store, name)
        version = _create_version(Path(bundle_directory), name, store, run_id, described)
        if alias is not None:
            store.client.set_registered_model_alias(name, alias, version)
    except MlflowException as error:
        raise InputError(f"MLflow must accept the model '{name}', but: {plain(error)}.") from error
    return version


def _date(microseconds: int) -> str:
    import numpy as np

    return str(np.datetime64(microseconds, "us").astype("datetime64[s]"))


def _create_registered_model(store: Store, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise


def _create_version(bundle: Path, name: str, store: Store, run_id: str | None, tags: Mapping[str, str]) -> str:
    """Store the model directory as a logged model of MLflow, and register that."""
    from mlflow.models import Model

    from seqclv.tracking.pyfunc import write_model

    client = store.client
    experiment = store.experiment_id(MODEL_EXPERIMENT) if run_id is None else client.get_run(run_id).info.experiment_id
    tags = {key: str(value)[:_TAG_LENGTH] for key, value in tags.items()}
    logged = client.create_logged_model(experiment, tags["kind"], source_run_id=run_id, tags=dict(tags))
    try:
        with tempfile.TemporaryDirectory() as work:
            directory = Path(work) / "model"
            write_model(bundle, directory, Model(run_id=run_id, model_id=logged.model_id))
            with quietly():
                client.log_model_artifacts(logged.model_id, str(directory))
    except BaseException:
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    _link_to_run(store, run_id, logged.model_id)
    source = f"models:/{logged.model_id}"
    with store.as_global():  # where MLflow looks the logged model up, whatever the client's own URI
        created = client.create_model_version(name, source, run_id=run_id, tags=dict(tags), model_id=logged.model_id)
    linked = json.dumps([{"name": name, "version": created.version}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": linked})
    return str(created.version)


def _link_to_run(store: Store, run_id: str | None, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    if run_id is not None:
        store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def set_alias(name: str, alias: str, version: str, *, store: Store) -> None:
    """Point an alias at a version; it leaves the version it pointed at before."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.set_registered_model_alias(name, alias, version)
    except MlflowException as error:
        raise InputError(
            f"The alias '{alias}' of '{name}' cannot be set to version {version}: {plain(error)}."
        ) from error


def champion(name: str, *, store: Store, destination: Path | None = None) -> Registered | None:
    """The version that has the alias champion, or None where there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        found = store.client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code not in _ABSENT:  # a failing server is no reason to take the place of a champion
            raise InputError(f"The champion of '{name}' cannot be read: {plain(error)}.") from error
        return None
    uri = f"models:/{name}/{found.version}"
    return Registered(str(found.version), download(uri, store=store, destination=destination))


def download(model_uri: str, *, store: Store | None = None, destination: Path | None = None) -> Path:
    """The bundle directory behind `models:/name@alias`, `models:/name/3`, `models:/m-...` or `runs:/id/path`.

    Args:
        model_uri: as MLflow writes it.
        store: an open store; without it the default one is opened for reading.
        destination: directory that receives the bundle; without it a temporary one that goes when Python ends.

    Raises:
        InputError: there is no such model, version, alias or run, or it holds no bundle.
    """
    store = store or open_store()
    source = _source(model_uri, store)
    bundle = _bundle_in(_fetch(source, model_uri, store), model_uri)
    if destination is None:
        return bundle
    with whole_directory(destination) as staging:
        shutil.copytree(bundle, staging, dirs_exist_ok=True)
    return destination


def _source(model_uri: str, store: Store) -> str:
    """Check that the model exists, with plain words, and give the URI of its artifacts."""
    if _LOGGED_MODEL.fullmatch(model_uri) or _RUN_URI.fullmatch(model_uri):
        return model_uri
    match = _MODEL_URI.fullmatch(model_uri)
    if match is None:
        raise InputError(
            f"A model in MLflow reads like models:/name@champion, models:/name/3 or runs:/id/bundle, not '{model_uri}'."
        )
    found = _version(match["name"], match["alias"], match["version"], store)
    return str(store.client.get_model_version_download_uri(found.name, found.version))


def _version(name: str, alias: str | None, version: str | None, store: Store) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    client = store.client
    try:
        registered = client.get_registered_model(name)
    except MlflowException as error:
        names = [model.name for model in client.search_registered_models(max_results=100)]
        known = f"registered are {offenders(names)}" if names else "nothing is registered yet"
        raise InputError(f"There is no registered model '{name}': {known}.") from error
    try:
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, str(version))
    except MlflowException as error:
        wanted = f"alias '{alias}'" if alias is not None else f"version {version}"
        raise InputError(f"The model '{name}' has no {wanted}: {_known(name, registered.aliases, store)}.") from error


def _known(name: str, aliases: Mapping[str, str], store: Store) -> str:
    found = store.client.search_model_versions(f"name = '{name}'", max_results=100)
    versions = sorted((str(v.version) for v in found), key=lambda v: int(v) if v.isdigit() else 0, reverse=True)
    named = [f"{alias} (version {version})" for alias, version in sorted(aliases.items())]
    return f"it has version {offenders(versions) or 'none'} and " + (
        f"alias {offenders(named)}" if named else "no alias"
    )


def _fetch(source: str, model_uri: str, store: Store) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    work = tempfile.mkdtemp(prefix="seqclv-model-")
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    try:
        with store.as_global(), quietly():  # the global store is where MLflow looks up a logged model's id
            return Path(download_artifacts(artifact_uri=source, dst_path=work, tracking_uri=store.uri))
    except (MlflowException, OSError) as error:
        raise InputError(f"The model {model_uri} must exist in MLflow, but: {plain(error)}.") from error


def _bundle_in(directory: Path, model_uri: str) -> Path:
    """The bundle in a downloaded directory: itself, or the data of an MLflow model."""
    found = sorted(directory.rglob("bundle.json")) if directory.is_dir() else []
    if not found:
        raise InputError(f"A seqclv model holds a bundle.json, but {model_uri} has none: it was not made by seqclv.")
    return found[0].parent
