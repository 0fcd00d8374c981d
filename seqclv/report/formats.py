"""Numbers as people read them: the one place that rounds, for sentences, tables and labels alike.

None is '–' everywhere: a figure that is not known is never invented.
"""

import datetime
import math

UNKNOWN = "–"
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_UNITS = ((1e9, "billion"), (1e6, "million"))


def count(value: float | None) -> str:
    """A number of things: 23,500; below ten with one decimal if it is not whole."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) < 10 and abs(value - round(value)) > 0.05:
        return _signed(f"{value:,.1f}")
    return _signed(f"{value:,.0f}")


def money(value: float | None, currency: str = "") -> str:
    """An amount: three or four digits that count, millions in words, the currency behind it."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    behind = f" {currency}" if currency else ""
    for unit, word in _UNITS:
        if abs(value) >= unit:
            return _signed(f"{value / unit:,.2f} {word}") + behind
    return _signed(f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}") + behind


def amount(value: float | None, most: float | None) -> str:
    """An amount in a column of a table, with the decimals that the largest one of the column needs."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return _signed(f"{value:,.{0 if most is None or abs(most) >= 1000 else 2}f}")


def percent(share: float | None, digits: int | None = None) -> str:
    """A share: 14.6%; whole from ten percent on unless digits are asked for."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    if digits is None:
        digits = 0 if abs(share) >= 0.0995 else 1
    return _signed(f"{100 * share:.{digits}f}%")


def change(share: float | None) -> str:
    """A relative difference with its sign: +1.2%, −14.6%."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    text = f"{100 * share:+,.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else _signed(text)


def off(share: float | None) -> str:
    """How far a forecast was off, in words: '7.1% too low', 'right to 0.1%'."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    if abs(share) < 0.0005:
        return "right to 0.1%"
    return f"{100 * abs(share):,.1f}% too {'high' if share > 0 else 'low'}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A figure with a fixed number of decimals."""
    return UNKNOWN if value is None or not math.isfinite(value) else _signed(f"{value:,.{digits}f}")


def days(value: float | None) -> str:
    """A length of time: '273 days', '1 day'."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    number = f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:,.1f}"
    return f"{number} day" if number == "1" else f"{number} days"


def people(value: float | None) -> str:
    """A number of customers: '1 customer', '23,500 customers'."""
    return f"{count(value)} customer{'' if value == 1 else 's'}"


def date(iso: str | None) -> str:
    """A date without or with a time: '1 October 1997', its words kept on one line by no-break spaces."""
    if iso is None:
        return UNKNOWN
    stamp = datetime.datetime.fromisoformat(iso)
    day = f"{stamp.day}\N{NO-BREAK SPACE}{_MONTHS[stamp.month - 1]}\N{NO-BREAK SPACE}{stamp.year}"
    return day if stamp.time() == datetime.time() else f"{day}, {stamp:%H:%M}"


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
