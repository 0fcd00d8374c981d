"""Runs: what one training leaves in MLflow.

    with tracked_run(store, "my shop", name="train", tags={"fingerprint": ...}) as run:
        run.log_config(config)
        ... fit_networks(..., observer=run.observe)
        run.log_evaluation(metrics)
        run.log_directory(bundle_directory, "bundle")

A block that ends by an error marks the run FAILED, one that is interrupted KILLED. No customer rows are logged.
"""

import getpass
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from seqclv.bundle import git_commit
from seqclv.config import Config
from seqclv.credentials import without_credentials
from seqclv.tracking.store import Store, plain, quietly
from seqclv.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VALUE_LENGTH = 500  # characters of a param
_TAG_LENGTH = 5_000
_BATCH = 100  # params or tags in one call
_METRIC_BATCH = 1_000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run that is being written."""

    store: Store
    run_id: str

    def log_config(self, config: Config) -> None:
        """Every field as a param with a dotted name, and the whole as config.yaml; passwords in URIs are left out."""
        from mlflow.entities import Param

        document = plain_config(config)
        params = [Param(name, _shortened(value)) for name, value in _flat(document)]
        for start in range(0, len(params), _BATCH):
            self.store.client.log_batch(self.run_id, params=params[start : start + _BATCH])
        self.store.client.log_text(self.run_id, yaml.safe_dump(document, sort_keys=False), "config.yaml")

    def log_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; a value of None is left out."""
        from mlflow.entities import RunTag

        known = [RunTag(key, str(value)[:_TAG_LENGTH]) for key, value in tags.items() if value is not None]
        for start in range(0, len(known), _BATCH):
            self.store.client.log_batch(self.run_id, tags=known[start : start + _BATCH])

    def log_dataset(self, sources: Sequence[str], fingerprint: str, *, profile: Mapping[str, Any]) -> None:
        """Lineage: where the log lies, its fingerprint and its size and span; not one of its rows.

        Args:
            sources: files, globs or URIs as the user named them.
            fingerprint: of the log; MLflow shows its first 36 characters.
            profile: plain values such as customers, first and last day.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name="transactions",
            digest=fingerprint[:36],
            source_type="local",
            source=json.dumps({"uri": [without_credentials(source) for source in sources]}),
            profile=json.dumps(dict(profile)),
        )
        self.store.client.log_inputs(
            self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )

    def observe(self, network: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """One point of the training curves; it has the signature of `seqclv.training.fit.Observer`.

        A tracking server that is away for a moment costs a point, not the training.
        """
        from mlflow.exceptions import MlflowException

        values = {f"network_{network + 1}/{name}": value for name, value in metrics.items()}
        try:
            self._log_metrics(values, step=epoch)
        except (MlflowException, OSError) as error:
            _LOG.warning("A point of the training curve was not recorded in MLflow: %s", plain(error))

    def log_evaluation(self, metrics: Mapping[str, Any]) -> None:
        """A metrics.json document: each figure as `<model>.<section>.<metric>`, missing ones left out, and the file."""
        values = {
            f"{model}.{section}.{name}": value
            for model, sections in metrics["models"].items()
            for section, figures in sections.items()
            for name, value in (figures or {}).items()
        }
        self._log_metrics(values, step=0)
        self.store.client.log_text(self.run_id, json.dumps(metrics, indent=2), "metrics.json")

    def log_figure(self, figure: "Figure", name: str) -> None:
        """A plot as `plots/<name>.png`."""
        self.store.client.log_figure(self.run_id, figure, f"plots/{name}.png", save_kwargs={"dpi": 150})

    def log_directory(self, directory: Path, name: str) -> None:
        """All files of a directory under `name`, such as the bundle."""
        with quietly():
            self.store.client.log_artifacts(self.run_id, str(directory), name)

    def _log_metrics(self, values: Mapping[str, float | None], *, step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(name, float(value), now, step)
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        ]
        for start in range(0, len(points), _METRIC_BATCH):
            self.store.client.log_batch(self.run_id, metrics=points[start : start + _METRIC_BATCH])


@contextmanager
def tracked_run(
    store: Store, experiment: str, *, name: str | None = None, tags: Mapping[str, object] | None = None
) -> Iterator[Run]:
    """A run in an experiment, which is created where it is missing.

    Args:
        store: from `open_store(create=True)`.
        experiment: its name.
        name: of the run; MLflow makes one up where it is None.
        tags: beside version and commit, such as fingerprint, kind and span; a value of None is left out.
    """
    source = {"mlflow.source.name": "seqclv", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    created = store.client.create_run(store.experiment_id(experiment), run_name=name, tags=source)
    run = Run(store, created.info.run_id)
    status = "FAILED"
    try:
        run.log_tags({"seqclv": __version__, "mlflow.source.git.commit": git_commit(), **(tags or {})})
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except Exception as error:
        reason = plain(error)
        _unless_away(lambda: run.log_tags({"error": reason}))
        raise
    finally:
        with quietly():
            _unless_away(lambda: store.client.set_terminated(run.run_id, status))


def _unless_away(write: Callable[[], None]) -> None:
    """A tracking server that is away must not hide why a run ended."""
    from mlflow.exceptions import MlflowException

    try:
        write()
    except (MlflowException, OSError) as error:
        _LOG.warning("The end of the run was not recorded in MLflow: %s", plain(error))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return "unknown"


def plain_config(config: Config) -> dict[str, Any]:
    """The config as plain values, without passwords in URIs."""
    document = json.loads(without_credentials(json.dumps(asdict(config))))
    return dict(document)


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shortened(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < _VALUE_LENGTH else text[: _VALUE_LENGTH - 2] + "…"
