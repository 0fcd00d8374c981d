"""What the sorted lines of a log tell about its feeds and its customer ids; queries on the view `lines`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from seqclv.config import DataConfig
from seqclv.data.cancellations import TABLE
from seqclv.data.database import quoted, run
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, IntArray
from seqclv.data.feeds import Daily, Fed, may_be_fed, named, source_of
from seqclv.data.watch import ALARM, BINS_PER_LOG, Jump, Silence, Stray, gaps, jumps, stale, stray
from seqclv.errors import InputError

Weeks = dict[int, IntArray]  # histograms by Monday

MOST_FEEDS = 1_000
PLACEHOLDERS = (
    *("-1", "unknown", "guest", "test", "null", "none", "nan", "nil", "n/a", "na", "#n/a", "<na>", "-", "--", "?"),
    *("anonymous", "anonym", "undefined", "default", "dummy", "missing", "empty", "(null)", "not available"),
)
WHOLE_LOG = "the log"
_MONDAY = 4  # 1970-01-05
_DAY = MICROSECONDS_PER_DAY
_DAY_OF = f"((ts - ((ts % {_DAY}) + {_DAY}) % {_DAY}) // {_DAY})"
_PLAIN_ID = r"regexp_replace(regexp_replace(lower(customer), '\s', '', 'g'), '\.0$', '')"
_TOP = 50
_TESTED = 3  # the largest customers
_STEEPEST_TAIL = 3.0
_LEAST_SHARE = 0.01
_ENOUGH_LINES = 1_000_000  # tell the levels of a whole log


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Findings; feeds are named as a sentence names them."""

    gaps: list[Silence]
    stray: Stray | None
    stale: Mapping[str, Silence]
    jumps: Mapping[str, list[Jump]]
    largest_customer: tuple[str, float]  # id and share of all lines
    suspicious_ids: list[tuple[str, int, str]]  # id, lines, why
    alike_ids: int  # customers whose ids differ from another's in blanks, case or a trailing '.0' only
    alike_examples: list[list[str]]
    decimal_ids: tuple[int, str]  # ids that are there with and without a trailing '.0', and one of them without
    cancelled_purchases: int
    cancelled_amount: float
    refund_share: float | None  # of the amount of purchase lines, cancellations among both
    unwatched_files: int  # 0 where they are watched


def inspect(connection: duckdb.DuckDBPyConnection, data: DataConfig, last: int, until: int | None) -> Inspection:
    """Look at all lines.

    Args:
        connection: the database with the view `lines`.
        data: which feeds are watched.
        last: microseconds of the latest line.
        until: microseconds up to which the log was asked for; without it the log ends with its last line, and only
            its feeds can be stale.

    Raises:
        InputError: a watched column has too many values to be a feed.
    """
    customers = "SELECT customer, count(*) AS lines FROM lines GROUP BY customer"
    run(connection, f"CREATE TEMP TABLE people AS SELECT customer, {_PLAIN_ID} AS plain, lines FROM ({customers})")
    whole = _daily(connection, quoted(WHOLE_LOG))[WHOLE_LOG]
    strayed = stray(whole.days, whole.rows)
    end = until // _DAY if until is not None else last // _DAY if strayed is None else strayed.last
    [[lines]] = run(connection, "SELECT count(*) FROM lines")
    levels = _levels(connection, quoted(WHOLE_LOG), every=lines // _ENOUGH_LINES + 1)
    watched = _columns(connection, data.watch) if data.watch else _places(connection)
    active = ({WHOLE_LOG: whole.days} if until is not None else {}) | watched.fed.days
    alike, examples, decimal_ids = _alike(connection)
    largest, suspicious = _suspicious(connection)
    pairs, amount = _cancelled(connection) if data.cancellation_days else (0, 0.0)
    return Inspection(
        gaps=gaps(whole.days),
        stray=strayed,
        stale=watched.fed.silent(stale(active, end)),
        jumps=_without_echo(jumps(levels | watched.levels)),
        largest_customer=largest,
        suspicious_ids=suspicious,
        alike_ids=alike,
        alike_examples=examples,
        decimal_ids=decimal_ids,
        cancelled_purchases=pairs,
        cancelled_amount=amount,
        refund_share=_refund_share(connection),
        unwatched_files=watched.unwatched,
    )


@dataclass(frozen=True)
class _Watched:
    """The feeds beside the whole log."""

    fed: Fed
    levels: dict[str, Weeks]
    unwatched: int = 0  # files, where there are too many to watch


def _columns(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> _Watched:
    """The values of watched columns."""
    days: dict[str, IntArray] = {}
    levels: dict[str, Weeks] = {}
    for i, name in enumerate(names):
        feeds = _count(connection, f"w{i}")
        if feeds > MOST_FEEDS:
            raise InputError(
                f"A watched column must name feeds, at most {MOST_FEEDS:,} of them, but '{name}' has {feeds:,} values: "
                "watch another one."
            )
        if feeds > 1:  # a single one is the log itself
            days |= {f"{name} '{feed}'": daily.days for feed, daily in _daily(connection, f"w{i}").items()}
            levels |= {f"{name} '{feed}'": weeks for feed, weeks in _levels(connection, f"w{i}").items()}
    return _Watched(Fed(days, {}), levels)


def _places(connection: duckdb.DuckDBPyConnection) -> _Watched:
    """Files and sources; of too many files the sources alone."""
    feeds = _count(connection, "w0")
    if feeds > MOST_FEEDS:
        return _Watched(may_be_fed(_daily(connection, source_of("w0"))), {}, unwatched=feeds)
    if feeds < 2:
        return _Watched(Fed({}, {}), {})
    levels = {named(feed): weeks for feed, weeks in _levels(connection, "w0").items()}
    return _Watched(may_be_fed(_daily(connection, "w0")), levels)


def _count(connection: duckdb.DuckDBPyConnection, feed: str) -> int:
    return int(run(connection, f"SELECT count(DISTINCT {feed}) FROM lines")[0][0])


def _daily(connection: duckdb.DuckDBPyConnection, feed: str) -> dict[str, Daily]:
    """The days with an event by feed."""
    found = defaultdict(list)
    query = f"SELECT {feed} AS feed, {_DAY_OF} AS day, count(*) FROM lines GROUP BY 1, 2 HAVING feed IS NOT NULL"
    for name, day, rows in run(connection, f"{query} ORDER BY 1, 2"):
        found[str(name)].append((day, rows))
    return {name: Daily(*np.array(rows, dtype=np.int64).T) for name, rows in found.items()}


def _levels(connection: duckdb.DuckDBPyConnection, feed: str, every: int = 1) -> dict[str, Weeks]:
    """Histograms of log amounts by feed and week; see `seqclv.data.watch.jumps`.

    The largest line stands for a customer's day: the lines of one order resemble each other. Of the customers one in
    `every` is looked at.
    """
    some = f" AND hash(customer) % {every} = 0" if every > 1 else ""
    rows = run(
        connection,
        f"""SELECT feed, day - ((day - {_MONDAY}) % 7 + 7) % 7 AS week,
                floor(ln(largest) * {BINS_PER_LOG})::INTEGER AS bin, count(*)
            FROM (SELECT {feed} AS feed, {_DAY_OF} AS day, max(amount) AS largest FROM lines
                WHERE code = {PURCHASE} AND amount > 0 AND {feed} IS NOT NULL{some} GROUP BY feed, hash(customer), day)
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
    )
    found: dict[str, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for name, monday, bin_, count in rows:
        found[str(name)][monday].append((bin_, count))
    return {name: {monday: np.array(b) for monday, b in weeks.items()} for name, weeks in found.items()}


def _without_echo(found: dict[str, list[Jump]]) -> dict[str, list[Jump]]:
    """The jump of a feed may move the whole log; then the feed alone is named."""
    feeds = {jump.week for name, list_ in found.items() if name != WHOLE_LOG for jump in list_}
    rest = [jump for jump in found.get(WHOLE_LOG, []) if jump.week not in feeds]
    others = {name: list_ for name, list_ in found.items() if name != WHOLE_LOG}
    return ({WHOLE_LOG: rest} if rest else {}) | others


def _alike(connection: duckdb.DuckDBPyConnection) -> tuple[int, list[list[str]], tuple[int, str]]:
    """How many ids are like another one, some of them, and `Inspection.decimal_ids`."""
    groups = """SELECT plain, count(*) AS ids, bool_or(customer = plain) AND bool_or(customer = plain || '.0') AS twice
        FROM people GROUP BY plain HAVING count(*) > 1"""
    [[customers, decimal, first]] = run(
        connection,
        f"""SELECT coalesce(sum(ids), 0)::BIGINT, count(*) FILTER (twice), coalesce(min(plain) FILTER (twice), '')
            FROM ({groups})""",
    )
    some = [row[0] for row in run(connection, f"SELECT plain FROM ({groups}) ORDER BY plain LIMIT 3")]
    query = "SELECT customer FROM people WHERE plain = ? ORDER BY customer LIMIT 3"
    examples = [[row[0] for row in connection.execute(query, [plain]).fetchall()] for plain in some]
    return customers, examples, (decimal, first)


def _suspicious(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, float], list[tuple[str, int, str]]]:
    """The largest customer with its share of lines, and the ids that can hardly be one person."""
    top = run(connection, f"SELECT customer, lines FROM people ORDER BY lines DESC, customer LIMIT {_TOP}")
    [[total]] = run(connection, "SELECT sum(lines)::BIGINT FROM people")
    words = ", ".join(quoted(word) for word in PLACEHOLDERS)
    query = f"""SELECT customer, lines FROM people WHERE plain IN ({words})
        OR regexp_full_match(plain, '-?0+|9{{5,}}|-9+') ORDER BY lines DESC, customer LIMIT 100"""
    suspicious = [(str(name), int(lines), "looks like a placeholder") for name, lines in run(connection, query)]
    known = {name for name, _, _ in suspicious}
    sizes = np.array([row[1] for row in top], dtype=np.float64)
    for name, lines in top[: _too_large(sizes, total)]:
        if name not in known:
            suspicious.append((str(name), int(lines), "holds an improbable share of all lines"))
    return (str(top[0][0]), float(top[0][1] / total)), suspicious


def _too_large(sizes: np.ndarray, total: int) -> int:
    """How many of the largest customers are improbable beside the next ones.

    Under a Pareto tail of index a, (x_i / x_{i+1})^i exceeds r with probability r^-a, x_i the i-th largest. The index
    is Hill's estimate from the customers behind those tested, and never steeper than 3: counts of tame logs are small.
    """
    if len(sizes) < 2 * _TESTED:
        return 0
    mean = float(np.log(sizes[_TESTED:-1] / sizes[-1]).mean())
    index = min(_STEEPEST_TAIL, 1 / mean) if mean > 0 else _STEEPEST_TAIL
    for i in range(_TESTED, 0, -1):
        probability = (sizes[i] / sizes[i - 1]) ** (i * index)
        if probability < ALARM / _TESTED and sizes[i - 1] / total >= _LEAST_SHARE:
            return i
    return 0


def _refund_share(connection: duckdb.DuckDBPyConnection) -> float | None:
    """Sums are of decimals, which do not depend on the order of lines."""
    [[bought, back]] = run(
        connection,
        f"""SELECT sum(amount::DECIMAL(38, 6)) FILTER (amount > 0), sum(-amount::DECIMAL(38, 6)) FILTER (amount < 0)
            FROM lines WHERE code = {PURCHASE}""",
    )
    return float(back or 0) / float(bought) if bought else None


def _cancelled(connection: duckdb.DuckDBPyConnection) -> tuple[int, float]:
    """Number and amount of the purchases matched to a cancellation."""
    [[pairs, amount]] = run(
        connection,
        f"""SELECT count(*), coalesce(sum(amount::DECIMAL(38, 6)), 0)::DOUBLE
            FROM {TABLE} JOIN lines ON {TABLE}.row = lines.row WHERE amount > 0""",
    )
    return int(pairs), float(amount)
