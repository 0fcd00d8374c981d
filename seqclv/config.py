"""The configuration of an experiment: frozen dataclasses, the standard library only.

Every field has a unit in its name or a comment behind it. What the data determines (vocabularies, sizes,
scales) is a `FeatureSchema` (see `seqclv.batch`), not configuration. Reading YAML and `--set key=value`
is the work of `seqclv.configfile`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

FORBID_UNKNOWN_KEYS = {"extra": "forbid"}  # read by the validator in configfile: misspelt keys are refused


def _require_positive(owner: object, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(owner, name)
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be above zero and finite, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the transaction log lies and how its columns are called."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    transactions: tuple[str, ...] = ()  # files, directories, globs or one prepared store
    customer_id: str = "customer_id"  # column names
    timestamp: str = "timestamp"
    amount: str = "amount"
    event_type: str | None = None  # column with the kind of event; without it every row is a transaction line
    timestamp_format: str | None = None  # strptime format; without it the usual formats are recognized
    numeric: tuple[str, ...] = ()  # further numeric columns of an event
    categorical: tuple[str, ...] = ()  # further categorical columns of an event
    merge: str = "1d"  # lines of one customer in one such period are one transaction: 'none', '1d', '6h', '7d'
    max_reject_share: float = 0.5  # of the rows that name a customer; more is an error

    def __post_init__(self) -> None:
        if not 0 <= self.max_reject_share <= 1:
            raise ValueError(f"max_reject_share must lie between 0 and 1, not {self.max_reject_share!r}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The size and kind of the network."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    encoder: Literal["gru", "transformer"] = "gru"
    hidden_size: int = 32  # width of the encoder's state
    layers: int = 1
    heads: int = 4  # of the transformer
    query_size: int = 64  # width of the two-layer network that answers at the cutoff
    behaviours: int = 8  # components of the mixture beside the one that is already gone
    dropout: float = 0.1

    def __post_init__(self) -> None:
        _require_positive(self, ("hidden_size", "layers", "heads", "query_size", "behaviours"))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout!r}")
        if self.encoder == "transformer" and self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size must be a multiple of twice the heads, not {self.hidden_size} with {self.heads}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network is fitted."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    max_steps: int = 600  # optimizer steps; the learning rate falls to zero over them
    max_epochs: int = 200  # of small bases, where an epoch has few steps
    patience: int = 8  # epochs without a better validation likelihood
    learning_rate: float = 4e-3
    from_prior: bool = True  # start from the shipped prior, if `model` is the default; else from scratch
    prior_purchases: int = 20_000  # a base with more purchases has enough of its own and starts from scratch
    tuning_steps: int = 600  # optimizer steps of a training that starts from the prior
    tuning_rate: float = 2e-3  # its learning rate
    weight_decay: float = 0.1  # of weight matrices
    averaging: float = 0.99  # of the weights over steps: share of the old average that a step keeps
    gradient_clip: float = 1.0
    batch_events: int = 1_024  # events in a batch, or those of batch_customers average customers if that is more
    batch_customers: int = 50
    cutoffs_per_customer: int | None = None  # drawn anew each epoch; by default two for five events, 4 to 16
    validation_share: float = 0.1  # of the customers
    max_history_events: int = 512  # the latest events of a customer that the encoder reads

    def __post_init__(self) -> None:
        positive = ("max_steps", "max_epochs", "patience", "learning_rate", "gradient_clip", "batch_events")
        further = ("batch_customers", "max_history_events", "tuning_steps", "tuning_rate", "prior_purchases")
        _require_positive(self, (*positive, *further))
        if self.cutoffs_per_customer is not None:
            _require_positive(self, ("cutoffs_per_customer",))
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging must lie in [0, 1), not {self.averaging!r}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must lie between 0 and 1, not {self.validation_share!r}")


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where runs and models are recorded."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    experiment: str = "seqclv"
    model_name: str = "seqclv"  # the registered model
    uri: str | None = None  # else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db


@dataclass(frozen=True, kw_only=True)
class Config:
    """One experiment: the data, the model, its training, the held-out window and the forecast horizons."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    cutoff: str | None = None  # end of training history; without it the log's end less the held-out horizon
    horizon_days: float | None = None  # held-out window; without it a quarter of the log's span
    horizons_days: tuple[float, ...] = (30.0, 90.0, 365.0)  # of the forecasts
    ensemble: int = 3  # networks averaged inside one model
    seed: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"

    def __post_init__(self) -> None:
        _require_positive(self, ("ensemble",))
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to 4294967295, not {self.seed!r}")
        if self.horizon_days is not None:
            _require_positive(self, ("horizon_days",))
        if not self.horizons_days or not all(0 < h < float("inf") for h in self.horizons_days):
            raise ValueError(f"horizons_days must be positive numbers of days, not {list(self.horizons_days)}")
