"""The rules on a log as a whole, checked by what Spark's workers count of each batch of its rows."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from seqclv.config import DataConfig
from seqclv.data.counts import Counts, require_one_zone, require_usable
from seqclv.data.privacy import Objections
from seqclv.forecast.engines.spark_errors import in_plain_words
from seqclv.forecast.engines.spark_tasks import SURVEY_COLUMN, survey

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Surveyed:
    """What the rules on a log as a whole are checked with."""

    counts: Counts
    fingerprint: str  # of the rows as read, in any order; another one than a prepared store's
    numeric: tuple[str, ...]  # attributes that the log has
    categorical: tuple[str, ...]
    static_numeric: tuple[str, ...] = ()  # of a customers table, which this engine does not read
    static_categorical: tuple[str, ...] = ()

    @property
    def further_types(self) -> tuple[str, ...]:
        """Event types beside purchases."""
        return tuple(self.counts.further)

    @property
    def report(self) -> dict[str, Any]:
        """The part of a data report that one pass over the rows tells."""
        reasons = self.counts.reasons
        return {
            "rows_read": self.counts.read,
            "rows_rejected": sum(reasons.values()),
            "rejected_by_reason": reasons,
            "warnings": [],
        }


def surveyed(lines: "DataFrame", data: DataConfig) -> Surveyed:
    """Count the rows by the reader's rules and check the log as a whole.

    Raises:
        InputError: as the local reader raises it.
    """
    with in_plain_words():
        rows = lines.mapInArrow(partial(survey, data=data), f"{SURVEY_COLUMN} string").collect()
    found = [json.loads(row[0]) for row in rows]
    counts = _summed([one["counts"] for one in found])
    require_one_zone((sum(one["zones"][0] for one in found), sum(one["zones"][1] for one in found)), [data.timestamp])
    require_usable(counts, data.max_reject_share, [data.customer_id])
    content = sum(one["content"] for one in found) % 2**64
    numeric, categorical = (tuple(n for n in names if n in lines.columns) for names in data.attributes)
    return Surveyed(counts, f"rows:{counts.read}:{content:016x}", numeric, categorical)


def _summed(parts: Sequence[Mapping[str, Any]]) -> Counts:
    total = {
        name: sum(part[name] for part in parts)
        for name in ("read", "kept", "after_end", "negative_lines", "zero_lines", "filtered", "filtered_unknown")
    }
    reasons, further = Counter[str](), Counter[str]()
    for part in parts:
        reasons.update(part["reasons"])
        further.update(part["further"])
    used = [part for part in parts if part["kept"]]
    return Counts(
        **total,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        further=dict(sorted(further.items())),
        first=min((part["first"] for part in used), default=0),
        last=max((part["last"] for part in used), default=0),
        zoned=any(part["zoned"] for part in used),
        objections=Objections(0, sum(part["objections"]["rows"] for part in parts)),
    )
