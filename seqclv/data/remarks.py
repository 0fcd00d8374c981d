"""What the counts of a data report give reason to doubt; the feeds are watched elsewhere (`seqclv.data.watch`)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqclv.data.places import DATA_SUFFIXES
from seqclv.errors import offenders

_SHOWN = 5  # kinds of event
_UNREADABLE = 0.5  # of the rows of a customers table


def remarks(report: Mapping[str, Any]) -> Iterator[str]:
    """Warnings, as sentences, from the fields of a report (`seqclv.data.report.DataReport`)."""
    nothing_bought = no_purchase(report)
    if nothing_bought is not None:
        yield f"this log has no purchase, a transaction line above zero; {nothing_bought}."


def without_value(attribute: str) -> str:
    """A warning for a numeric attribute that no row has."""
    return (
        f"the numeric attribute '{attribute}' is missing in all rows: its cells must read like 1234.56, or with "
        "--decimal , like 1.234,56; texts are named under categorical."
    )


def passed_over(names: Sequence[str]) -> str | None:
    """A warning of files in the directories of a log that were not read; None where there are none."""
    if not names:
        return None
    return (
        f"{len(names):,} files in the directories of the log were not read, for their names end in none of "
        f"{', '.join(DATA_SUFFIXES)}: {offenders(names)}; rename or unpack those that hold rows."
    )


def without_customer(counts: Mapping[str, int], customers: int) -> Iterator[str]:
    """Warnings for a customers table that says nothing; `counts` are of `seqclv.data.tables`."""
    if counts.get("unreadable numbers", 0) >= _UNREADABLE * counts.get("rows", 0) > 0:
        yield (
            f"the customers table has {counts['unreadable numbers']:,} numbers in {counts['rows']:,} rows that cannot "
            "be read and are missing: its cells must read like 1234.56, or with data.decimal ',' like 1.234,56."
        )
    if counts.get("rows") and counts["customers of the log without a row"] == customers:
        yield (
            f"the customers table has {counts['rows']:,} rows, but none of a customer of the log: compare its ids with "
            "the log's, and see whether data.customers.customer_id names the right column."
        )


def no_purchase(report: Mapping[str, Any]) -> str | None:
    """What the rows of a log without any purchase are, with the remedy; None where there is a purchase."""
    events = report["further_events"]
    below, zero = report["negative_lines"], report["zero_lines"]
    others = sum(events.values())
    if report["rows_kept"] > below + zero + others:
        return None
    found = [f"events '{name}' ({count:,})" for name, count in sorted(events.items(), key=lambda item: -item[1])]
    if len(found) > _SHOWN:
        found = [*found[:_SHOWN], f"{len(found) - _SHOWN} more kinds"]
    found += [f"lines below zero ({below:,})"] if below else []
    found += [f"lines of zero ({zero:,})"] if zero else []
    kinds = "say in data.types which kinds are a purchase, such as {SALE: purchase}, or do not name event_type"
    amounts = "name the column of what was paid with --amount, positive for a purchase"
    remedy = kinds if others else amounts
    return f"its {report['rows_kept']:,} rows are {', '.join(found)}: {remedy}"
