"""Append a delivery to a store: the same store, bit for bit, as one built from all files at once.

The earlier rows come from the store's own archive (`seqclv.data.archive`), not from the raw log. They join the rows of
the delivery before anything is sorted, netted, matched or counted, so late rows fall where they belong.

Corrected rows: a row that was delivered before and comes again is a duplicate, kept and counted as duplicates are. To
deliver days again, name the instant from which the delivery is complete: all earlier rows from it on are forgotten
first, rejected ones with an understood timestamp included. What it has beside these days is not added twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.config import DataConfig
from seqclv.data.archive import LINES_FILE
from seqclv.data.columns import MALFORMED, attribute_columns
from seqclv.data.counts import Counts, kept
from seqclv.data.database import run
from seqclv.data.events import FIRST_FURTHER_TYPE, MICROSECONDS_PER_DAY
from seqclv.data.identities import TABLE as IDENTITY
from seqclv.data.log import REJECT_COLUMNS, Log
from seqclv.data.privacy import TABLE as UNPROFILED
from seqclv.data.privacy import Objections, mentions_forgotten
from seqclv.data.repeats import leave_out_repeats, lines_of, rejects_of
from seqclv.data.report import isoformat
from seqclv.data.store import REJECTS_FILE, EventStore
from seqclv.data.transactions import recounted
from seqclv.errors import InputError
from seqclv.pseudonyms import PseudonymKey

_MERGED = "earlier_identity"  # the map of identities as a store writes ids: columns old, new
_STAGED = ("customer", "ts", "zoned", "further", "amount")


def require_same_rules(data: DataConfig, store: EventStore, key: PseudonymKey | None = None) -> None:
    """Refuse a delivery that would be read by other rules than the store was, or a store whose lines are lost.

    A table of identities or a filter may come later: the first holds for the earlier rows, too.

    Raises:
        InputError: attributes, cancellations, feeds, the column do_not_profile or the key of pseudonyms differ, the
            delivery lacks the store's filter or any table of identities, or a file of the store cannot be read.
    """
    for name in (LINES_FILE, REJECTS_FILE):
        try:
            pq.read_metadata(store.path / name)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"The store '{store.path}' is damaged, {name} is not readable: prepare it anew."
            ) from error
    info, customers = store.info, data.customers
    pairs: dict[str, tuple[object, object]] = {
        "numeric": (data.attributes[0], info.numeric),
        "categorical": (data.attributes[1], tuple(info.categorical)),
        "customers.numeric": (_sorted(customers.numeric if customers else ()), _sorted(info.static_numeric)),
        "customers.categorical": (
            _sorted(customers.categorical if customers else ()),
            _sorted(info.static_categorical),
        ),
        "calendar.columns": (_sorted(data.calendar.columns if data.calendar else ()), _sorted(info.calendar)),
        "cancellation_days": (data.cancellation_days, info.cancellation_days),
        "match_on": (data.match_on, info.match_on),
        "watch": (data.watch, info.watch),
        "do_not_profile": (data.do_not_profile, info.do_not_profile),
        "the check of the key of pseudonyms": (None if key is None else key.check, info.pseudonym_check),
    }
    if info.identities and data.identities is None:
        pairs["the table of identities"] = ("not given", "given")
    if not data.sources and data.where is None and "" not in (info.filters or ("",)):
        pairs["where"] = (None, " or ".join(info.filters or ()))  # of several sources, those come that had news
    other = [
        f"{name} is {_told(ours)}, not {_told(theirs)}" for name, (ours, theirs) in pairs.items() if ours != theirs
    ]
    if other:
        raise InputError(
            f"A delivery must be read as the store '{store.path}' was, but {'; '.join(other)}: name the same, "
            "or prepare the store anew."
        )


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "empty"
    return "none" if value is None else str(value)


def require_rows_to_replace(log: Log, store: EventStore, replace_from: int | None) -> None:
    """Refuse a delivery without a row in whose place rows of the store would be forgotten.

    Raises:
        InputError: that is so.
    """
    if log.counts.read or replace_from is None:
        return
    if held := _rows(log, store, f"WHERE ts >= {replace_from}"):
        raise InputError(
            f"A delivery that replaces rows must have some, but it has none, and the store '{store.path}' holds "
            f"{held:,} rows from {isoformat(replace_from)} on: deliver those days whole, or leave out --replace-from."
        )


def _not_delivered(log: Log, store: EventStore, replace_from: int) -> int:
    """Rows of the store that a delivery forgets though it has none of their days: they lie before its first one."""
    if not log.counts.kept:
        return 0
    query = f"SELECT min(ts) FROM staged WHERE {kept(log.until)} AND ts >= {replace_from}"
    [[first]] = run(log.connection, query)  # late rows lie before
    bound = "" if first is None else f" AND ts < {first - first % MICROSECONDS_PER_DAY}"
    return _rows(log, store, f"WHERE ts >= {replace_from}{bound}")


def _rows(log: Log, store: EventStore, chosen: str) -> int:
    """The number of the store's kept rows that the rest of a query chooses."""
    return int(run(log.connection, f"SELECT count(*) FROM {lines_of(store)} {chosen}")[0][0])


@dataclass(frozen=True)
class Replaced:
    """What became of rows by a delivery that replaces others."""

    forgotten: int = 0  # rows of the store of days that the delivery does not hold
    late: int = 0  # the delivery's rows before these days
    replaces: bool = True


def replaced(log: Log, store: EventStore, replace_from: int | None) -> Replaced:
    """Leave out what a delivery repeats (see `seqclv.data.repeats`), and count what it replaces."""
    if replace_from is None:
        return Replaced(replaces=False)
    forgotten = _not_delivered(log, store, replace_from)
    return Replaced(forgotten, leave_out_repeats(log, store, replace_from))


def delivery_warnings(store: EventStore, counts: Counts, found: Replaced, duplicates: int) -> list[str]:
    """Warnings where a delivery has no rows, forgets days that it has not, or where its rows were there.

    `counts` are the delivery's, `duplicates` are those of the store with it.
    """
    if counts.read == 0:
        return ["This delivery has no rows: the store holds what it held."]
    warnings = []
    if found.forgotten:
        warnings.append(
            f"{found.forgotten:,} rows of the store were forgotten whose days this delivery does not hold: its rows "
            "begin days after --replace-from. Was that meant?"
        )
    if found.late:
        warnings.append(
            f"{found.late:,} rows of this delivery lie before --replace-from: each was added unless the store held it "
            "already, the same in every column and from a file of the same types."
        )
    repeats = duplicates - int(store.info.report["exact_duplicates"])
    if repeats > 0.5 * counts.kept and not found.replaces:
        warnings.append(
            f"{repeats:,} of the {counts.kept:,} rows of this delivery repeat rows exactly, most likely of an earlier "
            "one: days that are delivered again need --replace-from."
        )
    return warnings


def with_earlier(log: Log, store: EventStore, *, replace_from: int | None) -> Log:
    """The delivery `log` together with the rows of a store.

    Args:
        log: staged and validated.
        store: what was prepared before, by the same rules.
        replace_from: microseconds; earlier rows from there on are forgotten.

    Raises:
        InputError: timestamps name a zone in one of the two and none in the other, or no row is left.
    """
    columns = pq.read_schema(store.path / REJECTS_FILE).names[len(REJECT_COLUMNS) :]
    own = [name[:-1] if name[:-1] in REJECT_COLUMNS else name for name in columns]
    originals = (*log.originals, *(name for name in own if name not in log.originals))
    names = [*_STAGED, *attribute_columns(log.data), "row_hash", "reason", "raw"]
    if log.data.identities is not None:
        query = f"CREATE TABLE {_MERGED} AS SELECT pseudonym(old) AS old, pseudonym(new) AS new FROM {IDENTITY}"
        run(log.connection, query)
    run(log.connection, "ALTER TABLE staged RENAME TO delivered")
    parts = [
        f"SELECT {', '.join(names)} FROM delivered",
        _kept_rows(log.connection, store, log.data, names, replace_from),
        _rejected_rows(store, names, [f"r{own.index(n)}" if n in own else None for n in originals], replace_from),
    ]
    run(log.connection, f"CREATE VIEW staged AS {' UNION ALL '.join(parts)}")
    run(
        log.connection,
        f"INSERT INTO malformed SELECT line FROM {rejects_of(store)} "
        f"WHERE reason = '{MALFORMED}' AND NOT coalesce({mentions_forgotten('line')}, false)",
    )
    return recounted(log, originals, _left_out_earlier(log, store, replace_from))


def _left_out_earlier(log: Log, store: EventStore, replace_from: int | None) -> Counts:
    """Counts of earlier rows that the store does not hold, as far as they still count.

    Of the rows that it left out at its end, all or, where they are delivered again, none. What a filter left out has no
    date, and rows that were merged into a customer have it no more: these counts stay.
    """
    report, until = store.info.report, store.info.until
    again = replace_from is not None and until is not None and replace_from <= until
    after_end = 0 if again else int(report["rows_after_end"])
    filtered = int(report["rows_filtered"])
    merged = int(report["rows_relabelled"])
    if log.data.identities is not None:  # ids that were customers when the store was prepared
        bound = "" if replace_from is None else f" WHERE ts < {replace_from}"
        merged += _rows(log, store, f"JOIN {_MERGED} ON customer = {_MERGED}.old{bound}")
    bound = "" if replace_from is None else f" AND ts < {replace_from}"
    objecting = int(report["rows_not_profiled"])
    objecting += _rows(log, store, f"WHERE customer IN (SELECT customer FROM {UNPROFILED}){bound}")
    return replace(
        log.counts,
        read=after_end + filtered + objecting,
        after_end=after_end,
        filtered=filtered,
        filtered_unknown=int(report["rows_filtered_unknown"]),
        relabelled=merged,
        forgotten=int(report["customers_forgotten"]),
        objections=Objections(int(report["customers_not_profiled"]), objecting),
    )


def _kept_rows(
    connection: duckdb.DuckDBPyConnection,
    store: EventStore,
    data: DataConfig,
    names: Sequence[str],
    replace_from: int | None,
) -> str:
    """SELECT of the store's kept rows as staged ones; codes become words again."""
    vocabularies = {"further": store.info.further_types}
    vocabularies |= {f"k{i}": store.info.categorical[name] for i, name in enumerate(data.categorical)}
    joins = ""
    for name, words in vocabularies.items():
        table = pa.table({"code": pa.array(range(len(words)), pa.int32()), "value": pa.array(words, pa.string())})
        connection.register("vocabulary", table)
        run(connection, f"CREATE TABLE earlier_{name} AS SELECT * FROM vocabulary")
        connection.unregister("vocabulary")
        code = f"kept.code - {FIRST_FURTHER_TYPE}" if name == "further" else f"kept.{name}"
        joins += f" LEFT JOIN earlier_{name} ON {code} = earlier_{name}.code"
    changed = {name: f"earlier_{name}.value" for name in vocabularies}
    if data.identities is not None:
        joins += f" LEFT JOIN {_MERGED} ON kept.customer = {_MERGED}.old"
        changed["customer"] = f"coalesce({_MERGED}.new, kept.customer)"
    changed |= {"zoned": str(store.info.zoned).lower(), "reason": "NULL", "raw": "NULL"}
    chosen = ", ".join(changed.get(name, f"kept.{name}") for name in names)
    bound = "" if replace_from is None else f" AND ts < {replace_from}"
    mine = f"{changed.get('customer', 'kept.customer')} NOT IN (SELECT customer FROM {UNPROFILED})"
    return f"SELECT {chosen} FROM {lines_of(store)} AS kept{joins} WHERE {mine}{bound}"


def _rejected_rows(
    store: EventStore, names: Sequence[str], fields: Sequence[str | None], replace_from: int | None
) -> str:
    """SELECT of the store's rejected rows as staged ones, but for malformed lines.

    `fields` tells what each original column is called: r0, r1, .. in the order of the file, None where it has none.
    """
    own = len(pq.read_schema(store.path / REJECTS_FILE).names) - len(REJECT_COLUMNS)
    aliases = ", ".join([*REJECT_COLUMNS, *(f"r{i}" for i in range(own))])
    raw = ", ".join(field or "NULL::VARCHAR" for field in fields)
    filled = {"reason": "reason", "raw": f"[{raw}]", "ts": "epoch_us(instant)"}
    chosen = ", ".join(filled.get(name, "NULL") for name in names)
    bound = "" if replace_from is None else f" AND coalesce(epoch_us(instant) < {replace_from}, true)"
    # Which cell is the id is not known for all sources: a row with an objecting customer's id anywhere is left out.
    cells = f"[{', '.join(f'r{i}' for i in range(own))}]"
    if own:
        bound += f" AND NOT list_has_any({cells}, (SELECT coalesce(list(customer), []) FROM {UNPROFILED}))"
        bound += f" AND NOT {mentions_forgotten(f'array_to_string({cells}, chr(10))')}"
    return f"SELECT {chosen} FROM {rejects_of(store)} AS t({aliases}) WHERE reason <> '{MALFORMED}'{bound}"
