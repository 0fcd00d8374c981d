"""The configuration of an experiment: frozen dataclasses, the standard library only.

Every field has a unit in its name or a comment behind it. What the data determines (vocabularies, sizes,
scales) is a `FeatureSchema` (see `seqclv.batch`), not configuration. Reading YAML and `--set key=value`
is the work of `seqclv.configfile`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

MERGE_PERIOD = re.compile(r"\s*(\d+)\s*(h|d)\s*")
FORBID_UNKNOWN_KEYS = {"extra": "forbid"}  # read by the validator in configfile: misspelt keys are refused


def _require_positive(owner: object, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(owner, name)
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be above zero and finite, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class SqlConfig:
    """What to ask a database for. A password belongs into an environment variable."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    url: str  # as SQLAlchemy writes it, 'adbc:NAME:URI' for an ADBC driver, or 'env:VARIABLE' that holds one of these
    query: str | None = None  # either a query ...
    table: str | None = None  # ... or a table, 'orders' or 'sales.orders'

    def __post_init__(self) -> None:
        if (self.query is None) == (self.table is None):
            raise ValueError("a database is asked with either a query or a table")


def _require_place(owner: object, files: Sequence[str], sql: SqlConfig | None) -> None:
    if bool(files) == (sql is not None):
        raise ValueError(f"a {owner} names either files or sql")


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One source of events, where a log has several. What is left out here is as in the rest of `DataConfig`."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    files: tuple[str, ...] = ()  # files, directories, globs
    sql: SqlConfig | None = None  # instead of files
    name: str | None = None  # of the feed that the source is, its number by default; those of one name are one feed
    customer_id: str | None = None  # column names
    timestamp: str | None = None
    amount: str | None = None  # a source without such a column has events without an amount
    event_type: str | None = None  # column with the kind of event
    every_row_is: str | None = None  # the one kind of all events, such as 'review', instead of a column
    types: dict[str, str] = field(default_factory=dict)  # kind of event by what the column event_type says
    timestamp_format: str | None = None
    decimal: Literal[".", ","] | None = None
    numeric: dict[str, str] = field(default_factory=dict)  # column by attribute
    categorical: dict[str, str] = field(default_factory=dict)  # column by attribute
    where: str | None = None  # an SQL expression over the columns: rows where it is not true are left out

    def __post_init__(self) -> None:
        _require_place("source", self.files, self.sql)
        if self.event_type is not None and self.every_row_is is not None:
            raise ValueError("a source names either event_type, a column, or every_row_is, the kind of all its events")


@dataclass(frozen=True, kw_only=True)
class CustomersConfig:
    """A table with one row per customer: what does not change with time, or was known before every cutoff."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    files: tuple[str, ...] = ()
    sql: SqlConfig | None = None
    customer_id: str = "customer_id"  # column name
    numeric: dict[str, str] = field(default_factory=dict)  # column by attribute
    categorical: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_place("customers table", self.files, self.sql)
        if not self.numeric and not self.categorical:
            raise ValueError("a customers table names numeric or categorical attributes")


@dataclass(frozen=True, kw_only=True)
class CalendarConfig:
    """A table with one row per day: what is known ahead, such as campaigns and holidays."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    files: tuple[str, ...] = ()
    sql: SqlConfig | None = None
    date: str = "date"  # column names
    date_format: str | None = None  # strptime format
    columns: tuple[str, ...] = ()  # numeric; a day without a row is zero in all of them

    def __post_init__(self) -> None:
        _require_place("calendar", self.files, self.sql)
        if not self.columns:
            raise ValueError("a calendar names columns")


def _key(name: str) -> str:
    """The YAML key of a field; `from` is no name in Python."""
    return name.removesuffix("_")


@dataclass(frozen=True, kw_only=True)
class IdentitiesConfig:
    """A table of merged identities: an old id or an id of a channel, and the customer behind it."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS | {"alias_generator": _key, "populate_by_name": True}

    files: tuple[str, ...] = ()
    sql: SqlConfig | None = None
    from_: str = "old_id"  # column names
    to: str = "customer_id"

    def __post_init__(self) -> None:
        _require_place("table of identities", self.files, self.sql)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the transaction log lies and how its columns are called."""

    __pydantic_config__ = FORBID_UNKNOWN_KEYS

    transactions: tuple[str, ...] = ()  # files, directories, globs, one prepared store or the URL of a database
    query: str | None = None  # of a database: either a query ...
    table: str | None = None  # ... or a table
    sources: tuple[SourceConfig, ...] = ()  # instead of transactions, where a log has several kinds of source
    customer_id: str = "customer_id"  # column names
    timestamp: str = "timestamp"
    amount: str = "amount"
    event_type: str | None = None  # column with the kind of event; without it every row is a transaction line
    types: dict[str, str] = field(default_factory=dict)  # kind of event by what the column event_type says
    timestamp_format: str | None = None  # strptime format; without it the usual formats are recognized
    decimal: Literal[".", ","] = "."  # of numbers written as text, in the tables beside the log, too
    numeric: tuple[str, ...] = ()  # further numeric columns of an event
    categorical: tuple[str, ...] = ()  # further categorical columns of an event
    where: str | None = None  # an SQL expression over the columns: rows where it is not true are left out
    customers: CustomersConfig | None = None
    calendar: CalendarConfig | None = None
    identities: IdentitiesConfig | None = None
    do_not_profile: str | None = None  # column of the log or the customers table: who is true there is left out
    sensitive: tuple[str, ...] = ()  # attributes that the model does not see: only audits do
    merge: str = "1d"  # lines of one customer in one such period are one transaction: 'none', '1d', '6h', '7d'
    max_reject_share: float = 0.5  # of the rows that name a customer; more is an error
    require_columns: bool = True  # False: an event type or attribute that a log lacks is missing, as when scoring
    cancellation_days: float = 0.0  # a negative line cancels an equal purchase at most so many days before; 0: none
    match_on: tuple[str, ...] = ()  # columns that a purchase and its cancellation must share beside the customer
    watch: tuple[str, ...] = ()  # columns whose values are feeds that may go stale; else each source and file is one

    def __post_init__(self) -> None:
        period = MERGE_PERIOD.fullmatch(self.merge)
        if self.merge != "none" and (period is None or int(period[1]) == 0):
            raise ValueError(f"merge must be 'none' or hours or days such as '6h' or '1d', not {self.merge!r}")
        if not 0 <= self.max_reject_share <= 1:
            raise ValueError(f"max_reject_share must lie between 0 and 1, not {self.max_reject_share!r}")
        if not 0 <= self.cancellation_days <= 36_525:
            raise ValueError(f"cancellation_days must lie between 0 and 36525, not {self.cancellation_days!r}")
        if self.match_on and not self.cancellation_days:
            raise ValueError("match_on needs cancellation_days, the most days between a purchase and its cancellation")
        if self.query is not None and self.table is not None:
            raise ValueError("a database is asked with either a query or a table")
        if self.transactions and self.sources:
            raise ValueError("a log is named either by transactions or by sources")
        if self.sources and (self.query or self.table or self.where or self.types or self.numeric or self.categorical):
            raise ValueError("with sources, query, table, where, types, numeric and categorical belong to each source")
        both = sorted(set.intersection(*map(set, self.attributes)))
        if self.sources and both:
            raise ValueError(f"an attribute is either numeric or categorical, not both: {both[0]}")

    @property
    def named(self) -> bool:
        """Whether a log is named at all."""
        return bool(self.transactions or self.sources)

    @property
    def attributes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the numeric and of the categorical attributes over all sources, each once."""
        numeric = [*self.numeric, *(name for source in self.sources for name in source.numeric)]
        categorical = [*self.categorical, *(name for source in self.sources for name in source.categorical)]
        return tuple(dict.fromkeys(numeric)), tuple(dict.fromkeys(categorical))

    def without_places(self) -> Self:
        """How columns are called, but not where anything lies: what a model carries along, without sensitive ones.

        Of a log with several sources that is one table with a column `event_type` and a column per attribute.
        """
        numeric, categorical = (tuple(n for n in names if n not in self.sensitive) for names in self.attributes)
        named = replace(self, transactions=(), query=None, table=None, customers=None, calendar=None, identities=None)
        if not self.sources:
            return replace(named, numeric=numeric, categorical=categorical)
        return replace(
            named,
            sources=(),
            event_type=self.event_type or "event_type",
            numeric=numeric,
            categorical=categorical,
        )


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

    # Optimizer steps; the learning rate falls to zero over them. Null: twelve passes, 600 at least and 4,000 at most.
    max_steps: int | None = None
    max_epochs: int = 200  # passes at most, also where few batches make them fewer steps than that
    patience: int = 8  # epochs without a better validation likelihood
    learning_rate: float = 4e-3
    from_prior: bool = True  # start from the shipped prior, if `model` is the default; else from scratch
    prior_purchases: int = 30_000  # a base with more purchases has enough of its own and starts from scratch
    prior_weight: int = 1_000  # purchases that the prior's weights count as, beside the base's own
    tuning_steps: int = 600  # optimizer steps of a training that starts from the prior
    tuning_rate: float = 2e-3  # its learning rate
    weight_decay: float = 0.1  # of weight matrices
    averaging: float = 0.99  # of the weights over steps: share of the old average that a step keeps
    gradient_clip: float = 1.0
    batch_events: int = 1_024  # events in a batch, or those of batch_customers average customers if that is more
    batch_customers: int = 50
    cutoffs_per_customer: int | None = None  # drawn anew each epoch; by default two for five events, 4 to 16
    validation_share: float = 0.1  # of the customers
    max_customers: int = 500_000  # of a larger base so many, drawn by their ids, are learned from and held out
    max_history_events: int = 512  # the latest events of a customer that the encoder reads

    def __post_init__(self) -> None:
        if self.max_steps is not None:
            _require_positive(self, ("max_steps",))
        positive = ("max_epochs", "patience", "learning_rate", "gradient_clip", "batch_events")
        further = ("batch_customers", "max_customers", "max_history_events", "tuning_steps", "tuning_rate")
        _require_positive(self, (*positive, *further, "prior_purchases"))
        if self.prior_weight < 0:
            raise ValueError(f"prior_weight must be zero or more, not {self.prior_weight!r}")
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
    ensemble: int = 3  # trained networks averaged inside one model
    seed: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int | Literal["auto"] = 1  # GPUs, or processes on the CPU, that train one network together; auto: all GPUs
    workers: int | Literal["auto"] = "auto"  # processes on the CPU that each train networks alone; auto: for each core

    def __post_init__(self) -> None:
        _require_positive(self, ("ensemble",))
        _require_positive(self, [name for name in ("devices", "workers") if getattr(self, name) != "auto"])
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to 4294967295, not {self.seed!r}")
        if self.horizon_days is not None:
            _require_positive(self, ("horizon_days",))
        if not self.horizons_days or not all(0 < h < float("inf") for h in self.horizons_days):
            raise ValueError(f"horizons_days must be positive numbers of days, not {list(self.horizons_days)}")
