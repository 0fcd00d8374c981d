"""What store.json says of a store (see `seqclv.data.store`)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seqclv.errors import InputError

FORMAT_VERSION = 2
STORE_FILE = "store.json"


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What was done to the rows of a store before they came into it."""

    pseudonym_check: str | None = None
    filters: tuple[str, ...] | None = None
    identities: bool | None = None


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """What store.json says."""

    format_version: int
    customers: int
    events: int
    first: int  # microseconds of the earliest event
    last: int  # microseconds of the latest event
    further_types: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: Mapping[str, tuple[str, ...]]  # vocabulary by attribute
    cancellation_days: float  # `DataConfig`, as are the next two
    match_on: tuple[str, ...]
    watch: tuple[str, ...]
    zoned: bool  # whether the timestamps named their zone
    until: int | None  # microseconds; rows from there on were left out
    fingerprint: str  # sha256 over the content; the same for any order of rows and files
    report: Mapping[str, Any]  # `seqclv.data.report.DataReport`
    static_numeric: tuple[str, ...] = ()
    static_categorical: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # vocabulary by attribute
    calendar: tuple[str, ...] = ()  # columns
    do_not_profile: str | None = None  # the column by which customers were left out
    pseudonym_check: str | None = None  # of the key (`seqclv.pseudonyms`) where ids are pseudonyms
    # The filters of all sources and deliveries, each once, sorted; '' is that of one without; None: an older store.
    filters: tuple[str, ...] | None = None
    identities: bool | None = None  # whether a table of identities was applied

    @property
    def marks(self) -> Marks:
        """What was done to the rows before they came into the store."""
        return Marks(pseudonym_check=self.pseudonym_check, filters=self.filters, identities=self.identities)

    def to_json(self) -> str:
        """The text of store.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def read_info(root: Path) -> StoreInfo:
    """Read the store.json of the store in a directory.

    Raises:
        InputError: it is of an unknown format, or damaged.
    """
    try:
        fields = json.loads((root / STORE_FILE).read_text("utf-8"))
        version = fields["format_version"]
        if version != FORMAT_VERSION:
            raise InputError(
                f"A store must be of format {FORMAT_VERSION}, but '{root}' is of format {version}: prepare it anew."
            )
        for name in ("further_types", "numeric", "match_on", "watch"):
            fields[name] = tuple(fields[name])
        fields["categorical"] = {name: tuple(words) for name, words in fields["categorical"].items()}
        fields["static_numeric"] = tuple(fields.get("static_numeric", ()))
        fields["static_categorical"] = {n: tuple(words) for n, words in fields.get("static_categorical", {}).items()}
        fields["calendar"] = tuple(fields.get("calendar", ()))
        fields["filters"] = None if fields.get("filters") is None else tuple(fields["filters"])
        return StoreInfo(**fields)
    except PermissionError as error:
        raise InputError(f"A store must be readable, but '{error.filename}' is not: ask its owner.") from error
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The store '{root}' is damaged, {STORE_FILE} is not readable: prepare it anew.") from error
