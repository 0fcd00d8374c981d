"""What one pass over the staged rows of a log tells, and the rules on whole logs that they are judged by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from seqclv.data.columns import MALFORMED, NO_CUSTOMER, UNPARSABLE_AMOUNT, UNPARSABLE_TIMESTAMP
from seqclv.data.database import run
from seqclv.data.filters import UNKNOWN
from seqclv.data.privacy import Objections
from seqclv.errors import InputError, counted


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one pass over the staged rows tells."""

    read: int
    kept: int
    after_end: int
    reasons: dict[str, int]
    first: int  # microseconds, of the kept rows
    last: int
    negative_lines: int
    zero_lines: int
    further: dict[str, int]  # kept rows by further event type, names in UTF-8 order
    zoned: bool  # whether the timestamps name their zone
    filtered: int = 0  # rows that a filter left out
    filtered_unknown: int = 0  # of them, those for which it is neither true nor false
    relabelled: int = 0  # rows of a merged identity
    objections: Objections = field(default_factory=Objections)
    empty: tuple[str, ...] = ()  # numeric attributes that have no value in any kept row
    forgotten: int = 0  # customers, see `seqclv.data.forgetting`


def kept(until: int | None) -> str:
    """SQL that tells whether a staged row is kept; `until` is in microseconds."""
    return "reason IS NULL" if until is None else f"reason IS NULL AND ts < {until}"


def count_rows(
    connection: duckdb.DuckDBPyConnection, until: int | None, filtered: Mapping[str, int], numeric: Sequence[str] = ()
) -> Counts:
    """Count the staged rows; `filtered` are those that were left out before, by reason; `numeric` are attributes."""
    chosen = kept(until)
    values = "".join(f", count(n{i}) FILTER ({chosen})" for i in range(len(numeric)))
    [row] = run(
        connection,
        f"""SELECT count(*), count(*) FILTER ({chosen}), count(*) FILTER (reason IS NULL AND NOT ({chosen})),
            min(ts) FILTER ({chosen}), max(ts) FILTER ({chosen}),
            count(*) FILTER ({chosen} AND further IS NULL AND amount < 0),
            count(*) FILTER ({chosen} AND further IS NULL AND amount = 0),
            (SELECT count(*) FROM malformed), coalesce(bool_or(zoned) FILTER (ts IS NOT NULL), false){values}
            FROM staged""",
    )
    reasons = run(
        connection,
        "SELECT reason, count(*) FROM staged WHERE reason IS NOT NULL GROUP BY reason ORDER BY count(*) DESC, reason",
    )
    further = run(
        connection,
        f"SELECT further, count(*) FROM staged WHERE {chosen} AND further IS NOT NULL GROUP BY 1 ORDER BY 1",
    )
    return Counts(
        read=row[0] + row[7] + sum(filtered.values()),
        kept=row[1],
        after_end=row[2],
        reasons=dict(reasons) | ({MALFORMED: row[7]} if row[7] else {}),
        first=row[3] or 0,
        last=row[4] or 0,
        negative_lines=row[5],
        zero_lines=row[6],
        further=dict(further),
        zoned=row[8],
        filtered=sum(filtered.values()),
        filtered_unknown=filtered.get(UNKNOWN, 0),
        empty=tuple(name for name, filled in zip(numeric, row[9:], strict=True) if not filled and row[1]),
    )


def require_usable(
    counts: Counts,
    max_reject_share: float,
    customer_columns: Iterable[str],
    examples: Callable[[str], Sequence[str]] = lambda reason: (),
) -> None:
    """Refuse a log without rows, without customers, or with too many rejected rows.

    Args:
        counts: of its rows.
        max_reject_share: of the rows that name a customer.
        customer_columns: that say who it is.
        examples: gives some cells that could not be read, by the reason for the rejection.

    Raises:
        InputError: one of these.
    """
    if counts.read == 0:
        raise InputError("A log must have rows, but it has only a header.")
    left, reasons = counts.read - counts.filtered - counts.objections.rows, dict(counts.reasons)
    named, bad = left - reasons.pop(NO_CUSTOMER, 0), sum(reasons.values())
    if left == 0:
        why = "objections to profiling leave" if counts.objections.rows else "the filter leaves"
        raise InputError(f"A log must have usable rows, but {why} out all {counts.read:,}: mend it.")
    if named == 0:
        columns = _named(customer_columns)
        raise InputError(f"Rows must name a customer in column {columns}, but none of {left:,} does.")
    if bad > max_reject_share * named:
        raise InputError(
            f"At most {max_reject_share:.0%} of the rows may be rejected, but {bad:,} of {named:,} were "
            f"({counted(reasons)}){_remedy(reasons, examples)}: mend the rows or raise --max-reject-share."
        )
    require_rows(counts)


def require_rows(counts: Counts) -> None:
    """Refuse a log of which no row is left.

    Raises:
        InputError: none is.
    """
    if counts.kept == 0:
        found = counted(counts.reasons) or f"{counts.after_end:,} lie at or after the end asked for"
        left = counts.read - counts.filtered - counts.objections.rows
        raise InputError(f"A log must have usable rows, but of {left:,} none is left: {found}.")


def zones(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """The number of staged rows whose timestamps name a zone, and of those whose timestamps do not."""
    [row] = run(
        connection, "SELECT count(*) FILTER (zoned), count(*) FILTER (NOT zoned) FROM staged WHERE ts IS NOT NULL"
    )
    return int(row[0]), int(row[1])


def require_one_zone(found: tuple[int, int], columns: Iterable[str]) -> None:
    """Refuse timestamps of both kinds; `found` is from `zones`, `columns` are those with timestamps.

    Raises:
        InputError: there are both kinds.
    """
    if found[0] and found[1]:
        raise InputError(
            f"Timestamps must all name a time zone or none of them, but in column {_named(columns)} {found[0]:,} do "
            f"and {found[1]:,} do not: write them all in one way."
        )


def _named(columns: Iterable[str]) -> str:
    return " or ".join(f"'{name}'" for name in dict.fromkeys(columns))


def _remedy(reasons: Mapping[str, int], examples: Callable[[str], Sequence[str]]) -> str:
    """A hint where most rejects cannot be read: nothing else tells a user that a format is missing."""
    for reason in (UNPARSABLE_TIMESTAMP, UNPARSABLE_AMOUNT):
        if reasons.get(reason, 0) * 2 < sum(reasons.values()):
            continue
        found = examples(reason)
        unlike = f", not like {' or '.join(map(repr, found))}" if found else ""
        if reason == UNPARSABLE_TIMESTAMP:
            return (
                f"; timestamps must read like 2024-01-31, 2024-01-31 18:30:00 or 20240131{unlike}, "
                "or be described by --timestamp-format; whole numbers of seconds must be converted first"
            )
        return f"; amounts must read like 1234.56, or with --decimal , like 1.234,56{unlike}"
    return ""
