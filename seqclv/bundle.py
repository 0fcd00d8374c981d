"""The artifact: a model as a plain directory, without pickles and without customers.

bundle.json          format and package version, config, schema, training cutoff, fingerprint, held-out metrics,
                     sha256 of every other file
weights.safetensors  the networks' weights (kinds 'network' and 'prior')
card.md              a model card for people
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from seqclv.baselines.classical import ClassicalModel
from seqclv.batch import FeatureSchema, NumericFeature
from seqclv.calibration import Calibration
from seqclv.card import model_card
from seqclv.config import Config
from seqclv.errors import InputError
from seqclv.files import whole_directory
from seqclv.model.network import Network
from seqclv.model.weights import joined_weights, weights_of
from seqclv.tiers import Tiers
from seqclv.version import __version__

FORMAT_VERSION = 1
Kind = Literal["network", "pareto_nbd", "bg_nbd", "prior"]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model that can score: networks with their schema, or a classical model with its parameters."""

    kind: Kind
    config: Config
    training_cutoff: int  # microseconds; the model has seen events strictly before it
    horizon_days: float  # the horizon it was trained for in the first place
    fingerprint: str  # of the log it was trained on
    training: Mapping[str, Any] = field(default_factory=dict)  # customers, purchases, first purchase, seconds ...
    metrics: Mapping[str, Any] | None = None  # the held-out comparison, as metrics.json has it
    calibration: Calibration | None = None  # what earlier cutoffs said of its level
    tiers: Tiers | None = None  # boundaries of the value tiers, see seqclv.tiers
    inputs: Mapping[str, Any] | None = None  # what the base looked like in training, see `seqclv.data.profile`
    schema: FeatureSchema | None = None
    networks: tuple[Network, ...] = ()
    classical: ClassicalModel | None = None
    package_version: str = __version__
    git_commit: str | None = None

    @property
    def merge(self) -> str:
        """How lines become transactions, for this model."""
        return self.config.data.merge

    @property
    def calendar(self) -> tuple[NumericFeature, ...]:
        """The calendar's columns that the model has learned; whoever forecasts with it must give them."""
        return () if self.schema is None else self.schema.calendar

    @property
    def version(self) -> str:
        """A short name of the content: two models that forecast alike have the same."""
        digest = hashlib.sha256(_weights(self))
        parts = [self.kind, _without_defaults(self.schema), _as_json(self.classical)]
        digest.update(json.dumps(parts, sort_keys=True).encode())
        return digest.hexdigest()[:12]

    def with_tiers(self, tiers: Tiers) -> Self:
        """The same model with boundaries of value tiers."""
        return replace(self, tiers=tiers)

    def with_metrics(self, metrics: Mapping[str, Any]) -> Self:
        """The same model with its held-out comparison on record."""
        return replace(self, metrics=metrics)


def save_bundle(bundle: Bundle, directory: Path) -> None:
    """Write the bundle; `directory` appears whole or not at all, and an older bundle there is replaced."""
    files = {"card.md": model_card(bundle).encode()}
    if bundle.networks:
        files["weights.safetensors"] = _weights(bundle)
    document = _document(bundle, files)
    with whole_directory(Path(directory)) as staging:
        for name, content in {**files, "bundle.json": document}.items():
            (staging / name).write_bytes(content)


def _weights(bundle: Bundle) -> bytes:
    return save_tensors(joined_weights(bundle.networks))


def _document(bundle: Bundle, files: Mapping[str, bytes]) -> bytes:
    document = {
        "format_version": FORMAT_VERSION,
        "package_version": bundle.package_version,
        "git_commit": bundle.git_commit,
        "kind": bundle.kind,
        "version": bundle.version,
        "training_cutoff": bundle.training_cutoff,
        "horizon_days": bundle.horizon_days,
        "fingerprint": bundle.fingerprint,
        "training": dict(bundle.training),
        "metrics": bundle.metrics,
        "inputs": bundle.inputs,
        "calibration": None if bundle.calibration is None else asdict(bundle.calibration),
        "tiers": None if bundle.tiers is None else asdict(bundle.tiers),
        "networks": len(bundle.networks),
        "config": asdict(bundle.config),
        "schema": _as_json(bundle.schema),
        "classical": _as_json(bundle.classical),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    }
    return json.dumps(document, indent=2, allow_nan=False).encode()


def _as_json(value: FeatureSchema | ClassicalModel | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return asdict(value) if isinstance(value, FeatureSchema) else value.to_dict()


def _without_defaults(schema: FeatureSchema | None) -> dict[str, Any] | None:
    """The schema as JSON, without fields at their default: a field added later does not rename older models."""
    if schema is None:
        return None
    default = {f.name for f in fields(schema) if f.default is not MISSING and getattr(schema, f.name) == f.default}
    return {name: value for name, value in asdict(schema).items() if name not in default}


def load_bundle(directory: Path) -> Bundle:
    """Read a bundle and check every file against its hash.

    Raises:
        InputError: no bundle is there, its format is unknown, or a file is damaged.
    """
    directory = Path(directory)
    document = _read_document(directory)
    files = {name: _checked(directory, name, digest) for name, digest in document["files"].items()}
    try:
        schema = document["schema"] and TypeAdapter(FeatureSchema).validate_python(document["schema"])
        config = TypeAdapter(Config).validate_python(document["config"])
        classical = document["classical"] and ClassicalModel.from_dict(document["classical"])
        networks = _networks(files, config, schema, document["networks"]) if schema else ()
        return Bundle(
            kind=document["kind"],
            config=config,
            training_cutoff=document["training_cutoff"],
            horizon_days=document["horizon_days"],
            fingerprint=document["fingerprint"],
            training=document["training"],
            metrics=document["metrics"],
            calibration=TypeAdapter(Calibration | None).validate_python(document.get("calibration")),
            tiers=TypeAdapter(Tiers | None).validate_python(document.get("tiers")),
            inputs=document.get("inputs"),
            schema=schema or None,
            networks=networks,
            classical=classical or None,
            package_version=document["package_version"],
            git_commit=document["git_commit"],
        )
    except (KeyError, TypeError, ValidationError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"The model in {directory} is damaged ({_first_line(error)}): register or train it again."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_document(directory: Path) -> dict[str, Any]:
    path = directory / "bundle.json"
    if not path.is_file():
        raise InputError(
            f"A model is a directory with a bundle.json, but {directory} has none: give the path of a bundle."
        )
    try:
        document = json.loads(path.read_bytes())
        version = document["format_version"]
        files = document["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged and cannot be read: copy or train the model again.") from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"This seqclv ({__version__}) reads model format {FORMAT_VERSION}, but {directory} has format {version}: "
            "use the version of seqclv that wrote it."
        )
    if not isinstance(files, dict):
        raise InputError(f"{path} is damaged: it names no files. Copy or train the model again.")
    return dict(document)


def _checked(directory: Path, name: str, digest: str) -> bytes:
    path = directory / name
    if Path(name).name != name or not path.is_file():
        raise InputError(f"The model in {directory} is incomplete: {name} is missing. Copy or train it again.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"The model in {directory} is damaged: {name} differs from its hash. Copy or train it again.")
    return content


def _networks(files: Mapping[str, bytes], config: Config, schema: FeatureSchema, number: int) -> tuple[Network, ...]:
    tensors = load_tensors(files["weights.safetensors"])
    networks = []
    for i in range(number):
        with torch.random.fork_rng(devices=[]):  # the initial weights that are drawn here are replaced at once
            network = Network(config.model, schema)
        state = weights_of(tensors, i)
        state.setdefault("trend", torch.zeros_like(network.trend))  # networks from before it follow no trend
        network.load_state_dict(state)
        networks.append(network.eval())
    return tuple(networks)


def git_commit() -> str | None:
    """The commit of the repository that this code runs from, or None where it is an installed copy."""
    root = Path(__file__).parent.parent
    if not (root / "pyproject.toml").is_file():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
