"""Where runs and models are recorded: resolve the tracking URI and open it.

The URI is the argument, else MLFLOW_TRACKING_URI, else `sqlite:///mlflow.db`. Who only reads creates nothing. Artifacts
of a local database lie beside it in `mlartifacts`; a tracking server decides for itself where they lie.

Calls here and in the other modules of `seqclv.tracking` leave MLflow's global state (the active run, the tracking URI)
as they found it: a caller's own MLflow session goes on undisturbed.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqclv.credentials import without_credentials
from seqclv.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI = "sqlite:///mlflow.db"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_REMOTE = ("http", "https", "databricks", "databricks-uc", "uc")
_QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_FIRST_CALL = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


@dataclass(frozen=True)
class Store:
    """An open tracking store: the URI, and the client that reads and writes there."""

    uri: str
    client: "MlflowClient"

    @contextmanager
    def as_global(self) -> Iterator[None]:
        """Make this MLflow's global tracking store for a moment: the one before comes back afterwards."""
        import mlflow

        before = os.environ.get("MLFLOW_TRACKING_URI")  # MLflow keeps it equal to what `set_tracking_uri` was told
        mlflow.set_tracking_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's own way to unset it
            if before is not None:
                os.environ["MLFLOW_TRACKING_URI"] = before

    def experiment_id(self, name: str) -> str:
        """The experiment of that name; it is created where it is missing.

        Raises:
            InputError: the name was used by an experiment that is deleted.
        """
        found = self.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "deleted":
            raise InputError(
                f"Runs need a living experiment, but '{name}' was deleted: restore it with "
                f"'mlflow experiments restore --experiment-id {found.experiment_id}' or choose another name."
            )
        if found is not None:
            return str(found.experiment_id)
        database = _sqlite_file(self.uri)
        beside = None if database is None else (database.parent / "mlartifacts").as_uri()
        return str(self.client.create_experiment(name, artifact_location=beside))


def tracking_uri(uri: str | None = None) -> str:
    """The argument, else MLFLOW_TRACKING_URI, else `sqlite:///mlflow.db` in the working directory."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def open_store(uri: str | None = None, *, create: bool = False) -> Store:
    """Open the tracking store.

    Args:
        uri: see `tracking_uri`.
        create: make a local database where there is none; who only reads leaves it False.

    Raises:
        InputError: there is nothing at the URI, it cannot be reached, or MLflow cannot use it.
    """
    chosen = tracking_uri(uri)
    _check(chosen, create=create)
    chosen = _lasting(chosen)
    _prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _settings(_FIRST_CALL):  # a wrong address should be told at once, not after minutes of retries
            client = MlflowClient(tracking_uri=chosen)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise InputError(
            f"MLflow must be reachable at {without_credentials(chosen)}, but: {plain(error)}; "
            "check --tracking-uri or MLFLOW_TRACKING_URI."
        ) from error
    return Store(chosen, client)


def _check(uri: str, *, create: bool) -> None:
    """Refuse what MLflow would refuse late, after long retries, or by creating something."""
    scheme = re.split(r"[:+]", uri, maxsplit=1)[0] if ":" in uri else ""
    if scheme not in (*_DATABASES, *_REMOTE):
        raise InputError(
            f"A tracking URI is a database or a server (sqlite:///mlflow.db, http://host:5000), but it is "
            f"'{without_credentials(uri)}': change --tracking-uri or MLFLOW_TRACKING_URI."
        )
    database = _sqlite_file(uri)
    if database is None or (database.is_file() and database.stat().st_size > 0):
        return
    if not create:
        raise InputError(
            f"Models are read from an MLflow database, but there is no file {database}: train or register a model "
            "first, or name another place with --tracking-uri or MLFLOW_TRACKING_URI."
        )
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The MLflow database {database} cannot be created: {error.strerror or error}.") from error


def _lasting(uri: str) -> str:
    """The URI with the absolute path of a file: MLflow keeps databases open by URI, whatever directory one is in."""
    database = _sqlite_file(uri)
    if database is None:
        return uri
    head, _, options = uri.partition("?")
    return f"{head.split(':', 1)[0]}:///{database}" + (f"?{options}" if options else "")


def _sqlite_file(uri: str) -> Path | None:
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        name = make_url(uri).database
    except ArgumentError as error:
        raise InputError(f"A database URI reads like sqlite:///mlflow.db, but it is '{uri}'.") from error
    if not name or name == ":memory:":
        raise InputError(f"Runs need a database that lasts, but '{uri}' names no file: use sqlite:///mlflow.db.")
    return Path(name).absolute()


def _prepare_mlflow() -> None:
    """No telemetry (read when MLflow is imported), no chatter about tables and environments."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401  # its import sets the level of its logs

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def quietly() -> AbstractContextManager[None]:
    """For a moment MLflow prints neither links (standard output is for results) nor progress bars."""
    return _settings(_QUIET)


@contextmanager
def _settings(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a moment, where the user has not set them."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def plain(error: Exception) -> str:
    """The first line of an error from MLflow, without credentials."""
    lines = str(getattr(error, "message", None) or error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    return without_credentials(first).rstrip(".")[:240]
