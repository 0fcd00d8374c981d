"""What a log must be read as: the counting rules of `seqclv.data.columns`, in slow and plain Python.

Cells are Python values as Arrow gives them; text is as written. Nothing here is shared with the package.
"""

import datetime
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DAY = 86_400_000_000
BLANKS = " \t\r\n"
EPOCH = datetime.datetime(1970, 1, 1)
PLAIN = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?", re.ASCII
)
ZONE = re.compile(r"\s*(?:(Z|z|UTC|GMT)|([+-])(\d{2}):?(\d{2})?)", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Nanoseconds:
    """A timestamp that Python's own cannot hold."""

    value: int
    zoned: bool


@dataclass
class Expected:
    """What must come out; `refused` means an InputError."""

    refused: bool
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    after_end: int = 0
    lines: dict[str, list[tuple[int, str, float]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def kept(self) -> int:
        """Rows that are neither rejected nor after the end."""
        return sum(map(len, self.lines.values()))


def expect(
    rows: Sequence[Mapping[str, Any]], event_type: str | None, *, until: int | None, max_reject_share: float
) -> Expected:
    """Judge rows with the cells customer_id, timestamp, amount and perhaps the event type."""
    found = Expected(refused=False, rows=len(rows))
    zones = set()
    for row in rows:
        customer, (stamp, zoned) = text(row["customer_id"]), instant(row["timestamp"])
        kind = None if event_type is None else text(row[event_type])
        if stamp is not None:
            zones.add(zoned)
        reason, amount, further = _judged(customer, stamp, row, kind)
        if reason is not None:
            found.reasons[reason] += 1
        elif until is not None and stamp is not None and stamp >= until:
            found.after_end += 1
        else:
            found.lines[str(customer)].append((stamp or 0, further, amount))
    named = found.rows - found.reasons["no customer"]
    bad = sum(found.reasons.values()) - found.reasons["no customer"]
    found.refused = len(zones) > 1 or named == 0 or bad > max_reject_share * named or found.kept == 0
    return found


def _judged(
    customer: str | None, stamp: int | None, row: Mapping[str, Any], kind: str | None
) -> tuple[str | None, float, str]:
    word = (kind or "").strip(BLANKS).lower()
    refund = word in ("refund", "return")
    further = "" if refund or word in ("", "purchase", "transaction", "sale") else str(kind)
    amount = number(row["amount"])
    reason = None
    if customer is None or not customer.strip(" \t\n\f\r"):
        reason = "no customer"
    elif is_empty(row["timestamp"]):
        reason = "no timestamp"
    elif stamp is None:
        reason = "unparsable timestamp"
    elif is_empty(row["amount"]) or (amount is not None and math.isnan(amount)):
        reason, amount = (None, 0.0) if further else ("no amount", 0.0)
    elif amount is None:
        reason = "unparsable amount"
    elif math.isinf(amount):
        reason = "infinite amount"
    elif abs(amount) > 1e15:
        reason = "amount out of range"
    amount = amount or 0.0
    return reason, -abs(amount) if refund else amount, further


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing."""
    return cell is None or (isinstance(cell, str) and cell.strip(BLANKS) == "")


def text(cell: Any) -> str | None:
    """A cell as text; None where missing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, bytes):
        cell = cell.decode()
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return str(cell) or None


def number(cell: Any) -> float | None:
    """A cell as a number; None where it is none."""
    if cell is None:
        return None
    if not isinstance(cell, str):
        return float(cell)
    cell = cell.strip(BLANKS)
    if cell.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(cell)
    return float(cell) if NUMBER.fullmatch(cell) else None


def instant(cell: Any) -> tuple[int | None, bool]:
    """Microseconds since 1970 (UTC where zoned) and whether a zone was named; None where it is no time."""
    if isinstance(cell, Nanoseconds):
        return _ranged(cell.value // 1000), cell.zoned
    if isinstance(cell, datetime.date):
        return (cell - EPOCH.date()).days * DAY, False
    return (None, False) if cell is None or isinstance(cell, float) else _written_instant(str(cell).strip(BLANKS))


def _written_instant(cell: str) -> tuple[int | None, bool]:
    if re.fullmatch(r"\d{8}", cell, re.ASCII):
        cell = f"{cell[:4]}-{cell[4:6]}-{cell[6:]}"
    match = PLAIN.match(cell)
    if match is None:
        return None, False
    zone = ZONE.fullmatch(cell[match.end() :])
    if match.end() < len(cell) and (zone is None or match[4] is None):
        return None, False
    year, month, day, hour, minute, second = (int(match[i] or 0) for i in range(1, 7))
    try:
        stamp = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None, False
    since = stamp - EPOCH
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + int((match[7] or "0").ljust(9, "0")[:6])
    if zone is not None and zone[2]:
        shift = (int(zone[3]) * 60 + int(zone[4] or 0)) * 60_000_000
        micros -= shift if zone[2] == "+" else -shift
    return _ranged(micros), zone is not None


def _ranged(micros: int) -> int | None:
    return micros if -62_135_596_800_000_000 <= micros <= 253_402_300_799_999_999 else None


def net(lines: Sequence[tuple[int, str, float]]) -> list[tuple[int, str, float, float]]:
    """Events of one customer: (time, further type, amount, gross); lines of one instant are one."""
    events = [(t, kind, amount, abs(amount)) for t, kind, amount in lines if kind]
    instants: dict[int, list[float]] = defaultdict(list)
    for t, kind, amount in lines:
        if not kind:
            instants[t].append(amount)
    events += [(t, "", math.fsum(v), math.fsum(map(abs, v))) for t, v in instants.items()]
    return sorted(events)


def purchase_days(lines: Sequence[tuple[int, str, float]], cutoff: int, cancellation_days: float) -> dict[int, float]:
    """Purchase days before the cutoff with their amounts; cancelled purchases and their cancellations left out.

    Days whose net amount is so near to zero that rounding decides are given with NaN.
    """
    past = sorted((t, amount < 0, abs(amount)) for t, kind, amount in lines if not kind and t < cutoff)
    gone: Counter[tuple[int, float]] = Counter()
    open_: dict[float, list[int]] = defaultdict(list)
    for t, back, size in past if cancellation_days else ():
        if not back:
            open_[size].append(t)
        elif open_[size]:
            bought = open_[size].pop()
            if size and 0 < t - bought <= round(cancellation_days * DAY):
                gone.update([(t, -size), (bought, size)])
    days: dict[int, list[float]] = defaultdict(list)
    for t, back, size in past:
        amount = -size if back else size
        if gone[t, amount]:
            gone[t, amount] -= 1
        else:
            days[t // DAY].append(amount)
    found = {}
    for day, amounts in days.items():
        total, gross = math.fsum(amounts), math.fsum(map(abs, amounts))
        if abs(total) <= 1e-8 * gross:
            found[day] = math.nan
        elif total > 0:
            found[day] = total
    return found
