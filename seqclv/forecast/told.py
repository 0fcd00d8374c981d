"""What whoever scores must be told of a log, in sentences, before its forecasts are trusted."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from seqclv.bundle import Bundle
from seqclv.config import DataConfig
from seqclv.data.store import EventStore, open_log
from seqclv.errors import counted, offenders


class Described(Protocol):
    """What is known of a log: a store's `StoreInfo`, `Events` in memory, or what Spark counted."""

    @property
    def numeric(self) -> Iterable[str]:
        """Numeric attributes."""

    @property
    def categorical(self) -> Iterable[str]:
        """Categorical attributes."""

    @property
    def static_numeric(self) -> Iterable[str]:
        """Numeric attributes of customers."""

    @property
    def static_categorical(self) -> Iterable[str]:
        """Categorical attributes of customers."""

    @property
    def further_types(self) -> Iterable[str]:
        """Event types beside purchases."""


def opened(data: DataConfig, workspace: Path, announce: Callable[[str], None]) -> EventStore:
    """Open the log that `data` names (see `seqclv.data.store.open_log`), and tell what it gives reason to doubt."""
    announce("reading the log")
    store = open_log(data, workspace)
    for sentence in told_of_log(store.info.report):
        announce(sentence)
    return store


def told_of_log(report: Mapping[str, Any]) -> list[str]:
    """What whoever scores must know of the log: rows that were set aside, feeds gone silent, levels that jumped."""
    rejected, read = report["rows_rejected"], report["rows_read"]
    reasons = counted(report["rejected_by_reason"])
    told = [f"{rejected:,} of {read:,} rows were set aside: {reasons}"] if rejected else []
    return told + [f"warning: {text}" for text in report["warnings"]]


def unknown(bundle: Bundle, log: Described) -> str | None:
    """A warning that names what the model was trained with and the log has not; it counts as missing."""
    schema = bundle.schema
    if schema is None:
        return None
    known = {*log.numeric, *log.categorical, *log.static_numeric, *log.static_categorical}
    names = [feature.name for feature in (*schema.numeric, *schema.static_numeric)]
    names += [feature.name for feature in (*schema.categorical, *schema.static_categorical)]
    missing = [f"attribute '{name}'" for name in names if name not in known]
    if not set(schema.event_types) & set(log.further_types):
        missing += [f"events '{name}'" for name in schema.event_types]
    if not missing:
        return None
    return f"warning: the model was trained with what this log has not, and it counts as missing: {offenders(missing)}"
