"""The data report: what a log holds, what was rejected and why."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events, FloatArray, IntArray
from seqclv.data.inspection import Inspection
from seqclv.data.watch import Jump, Silence, Stray
from seqclv.data.windows import settled

EPOCH = datetime.datetime(1970, 1, 1)
_SHOWN = 5  # findings of a kind
_ID_LENGTH = 40


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """Counts are of rows as read, before lines of one instant are netted."""

    rows_read: int
    rows_kept: int
    rows_rejected: int
    rejected_by_reason: Mapping[str, int]  # most frequent first
    rows_without_customer: int  # among the rejected
    rows_after_end: int  # neither kept nor rejected: at or after the end that was asked for
    customers: int
    first_timestamp: str | None  # ISO, of the kept rows
    last_timestamp: str | None
    span_days: float
    exact_duplicates: int  # kept rows that repeat another one in every column
    negative_lines: int  # transaction lines below zero
    zero_lines: int  # transaction lines of zero
    further_events: Mapping[str, int]  # rows by further event type
    one_purchase_day_share: float | None  # of the customers with a purchase day
    top_percent_spend_share: float | None  # share of spend of the 1 % of customers who spend most
    largest_customer: str
    largest_customer_line_share: float  # of the kept rows
    refund_share: float | None  # negative lines' amount over that of the purchase lines, before any are cancelled
    cancelled_purchases: int  # lines matched to their cancellation
    cancelled_amount: float
    gaps: Sequence[Mapping[str, Any]]  # improbable runs of days without any event: first day, days
    suspicious_ids: Sequence[Mapping[str, Any]]  # customer_id, lines, why
    alike_ids: int  # customers whose id differs from another's in blanks, case or a trailing '.0' only
    alike_examples: Sequence[Sequence[str]]
    warnings: Sequence[str]  # feeds gone silent, levels that jumped, what else needs a look; sentences
    rows_filtered: int = 0  # neither kept nor rejected: left out by a filter
    rows_filtered_unknown: int = 0  # of them, those for which the filter is neither true nor false
    rows_relabelled: int = 0  # kept rows that stand under another customer by the table of identities
    rows_not_profiled: int = 0  # neither kept nor rejected: of customers who must not be profiled
    customers_not_profiled: int = 0
    customers_forgotten: int = 0  # removed from the store later; counts above are of before
    customers_table: Mapping[str, int] = field(default_factory=dict)  # counts of `seqclv.data.static.CustomersTable`

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def render(self) -> str:
        """Plain text for people."""
        lines = [
            ("rows read", f"{self.rows_read:,}"),
            ("rows kept", f"{self.rows_kept:,}"),
            ("rows rejected", f"{self.rows_rejected:,}"),
            *((f"  {reason}", f"{count:,}") for reason, count in self.rejected_by_reason.items()),
            *([("rows after the end asked for", f"{self.rows_after_end:,}")] if self.rows_after_end else []),
            *([("rows left out by a filter", f"{self.rows_filtered:,}")] if self.rows_filtered else []),
            *([("  filter unknown", f"{self.rows_filtered_unknown:,}")] if self.rows_filtered_unknown else []),
            *([("rows of merged identities", f"{self.rows_relabelled:,}")] if self.rows_relabelled else []),
            *([("rows not to be profiled", f"{self.rows_not_profiled:,}")] if self.rows_not_profiled else []),
            *([("  customers", f"{self.customers_not_profiled:,}")] if self.rows_not_profiled else []),
            ("customers", f"{self.customers:,}"),
            *([("  forgotten since", f"{self.customers_forgotten:,}")] if self.customers_forgotten else []),
            ("first event", self.first_timestamp or "-"),
            ("last event", self.last_timestamp or "-"),
            ("span", f"{self.span_days:,.1f} days"),
            ("exact duplicates, kept", f"{self.exact_duplicates:,}"),
            ("negative lines", f"{self.negative_lines:,}"),
            ("zero lines", f"{self.zero_lines:,}"),
            *((f"events '{name}'", f"{count:,}") for name, count in self.further_events.items()),
            ("customers with one purchase day", _percent(self.one_purchase_day_share)),
            ("spend of the top 1 % of customers", _percent(self.top_percent_spend_share)),
            ("lines of the largest customer", _percent(self.largest_customer_line_share)),
            ("amount of negative lines", _percent(self.refund_share)),
            ("cancelled purchases", f"{self.cancelled_purchases:,}"),
            *([("cancelled amount", f"{self.cancelled_amount:,.2f}")] if self.cancelled_purchases else []),
            ("improbable gaps in time", f"{len(self.gaps):,}"),
            *((f"  from {gap['first_day']}", f"{gap['days']:,} days") for gap in self.gaps[:_SHOWN]),
            ("suspicious customer ids", f"{len(self.suspicious_ids):,}"),
            *((f"  {_short(i['customer_id'])}: {i['why']}", f"{i['lines']:,}") for i in self.suspicious_ids[:_SHOWN]),
            ("customers with ids alike", f"{self.alike_ids:,}"),
            *((f"  {', '.join(map(_short, ids))}", "") for ids in self.alike_examples[:_SHOWN]),
            *((f"customers table, {what}", f"{count:,}") for what, count in self.customers_table.items()),
        ]
        width = max(len(label) for label, _ in lines)
        table = [f"{label:<{width}}  {value:>20}".rstrip() for label, value in lines]
        return "\n".join([*table, *(f"Warning: {text}" for text in self.warnings)])


def _short(text: str) -> str:
    """An id for people: quoted, control characters escaped, of bounded length."""
    return repr(text if len(text) <= _ID_LENGTH else text[:_ID_LENGTH] + "...")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def isoformat(microseconds: int) -> str:
    """Microseconds since 1970 as ISO text."""
    return (EPOCH + datetime.timedelta(microseconds=microseconds)).isoformat()


def isodate(day: int) -> str:
    """A day since 1970 as ISO text."""
    return isoformat(day * MICROSECONDS_PER_DAY)[:10]


def findings(inspection: Inspection) -> dict[str, Any]:
    """The fields of a report that an inspection of all lines fills."""
    name, share = inspection.largest_customer
    return {
        "largest_customer": name,
        "largest_customer_line_share": share,
        "refund_share": inspection.refund_share,
        "cancelled_purchases": inspection.cancelled_purchases,
        "cancelled_amount": inspection.cancelled_amount,
        "gaps": [{"first_day": isodate(gap.first), "days": gap.days} for gap in inspection.gaps],
        "suspicious_ids": [
            {"customer_id": name, "lines": lines, "why": why} for name, lines, why in inspection.suspicious_ids
        ],
        "alike_ids": inspection.alike_ids,
        "alike_examples": inspection.alike_examples,
        "warnings": [
            *([_strayed(inspection.stray)] if inspection.stray is not None else []),
            *(_stale(feed, silence) for feed, silence in inspection.stale.items()),
            *(_jumped(feed, jump) for feed, found in inspection.jumps.items() for jump in found),
            *([_unwatched(inspection.unwatched_files)] if inspection.unwatched_files else []),
            *([_decimal(*inspection.decimal_ids)] if inspection.decimal_ids[0] else []),
        ],
    }


def _stale(feed: str, silence: Silence) -> str:
    return (
        f"{feed} has had no event since {isodate(silence.first)}, {silence.days:,} whole days, which its own past "
        f"makes improbable (p = {silence.probability:.1g}): a dead feed makes its customers look churned."
    )


def _jumped(feed: str, jump: Jump) -> str:
    times = f"{jump.factor:,.0f} times" if jump.factor > 1 else f"1/{1 / jump.factor:,.0f} of"
    return (
        f"the amounts of {feed} in the week of {isodate(jump.week)} are about {times} those of the weeks before: "
        "look for cents in place of euros, or another currency."
    )


def _strayed(found: Stray) -> str:
    return (
        f"{found.rows:,} rows lie on {isodate(found.first)} or later, {found.first - found.last:,} days after all "
        f"others: where their years are wrong, leave them out by seqclv prepare --until {isodate(found.last + 1)}."
    )


def _unwatched(files: int) -> str:
    return (
        f"{files:,} files are too many to watch each of them: nobody is told when some of them have gone stale unless "
        "data.watch names a column whose values are feeds."
    )


def _decimal(ids: int, example: str) -> str:
    return (
        f"{ids:,} ids are there with and without a trailing '.0', as {_short(example)} and {_short(example + '.0')}, "
        "and count as two customers each: a part of the log holds ids as decimal numbers, as pandas makes them of a "
        "column with gaps; write them as whole numbers, or merge them by data.identities."
    )


def concentration(blocks: Iterable[Events]) -> tuple[float | None, float | None]:
    """Share of one-purchase-day customers and the top percent's share of spend, over blocks of whole customers.

    A purchase day is a calendar day whose transaction lines sum to more than zero, cancelled ones aside.
    """
    pairs = [_purchase_days(settled(block)) for block in blocks]
    days = np.concatenate([days for days, _ in pairs] or [np.zeros(0, np.int64)])
    spend = np.sort(np.concatenate([spend for _, spend in pairs] or [np.zeros(0)]))[::-1]
    buyers, total = int(np.count_nonzero(days)), float(spend.sum())
    if buyers == 0:
        return None, None
    top = float(spend[: max(1, round(0.01 * buyers))].sum())
    return int(np.count_nonzero(days == 1)) / buyers, top / total


def _purchase_days(events: Events) -> tuple[IntArray, FloatArray]:
    """[C] purchase days and [C] spend on them."""
    line = np.asarray(events.event_type) == PURCHASE
    owner, day = events.owner[line], np.asarray(events.timestamp)[line] // MICROSECONDS_PER_DAY
    if len(owner) == 0:
        return np.zeros(events.customers, np.int64), np.zeros(events.customers)
    start = np.flatnonzero(np.append(True, (owner[1:] != owner[:-1]) | (day[1:] != day[:-1])))
    amount = np.add.reduceat(np.asarray(events.amount)[line], start)
    bought = amount > 1e-9
    buyer = owner[start][bought]
    days = np.bincount(buyer, minlength=events.customers).astype(np.int64)
    return days, np.bincount(buyer, weights=amount[bought], minlength=events.customers).astype(np.float64)
