"""SQL that turns the user's columns into canonical ones; every rule on ids, times and amounts stands here.

The canonical columns of a staged row:

    customer   VARCHAR    byte for byte; NULL where missing
    ts         BIGINT     microseconds since 1970-01-01, as given or UTC
    zoned      BOOLEAN    whether the timestamp named its zone
    further    VARCHAR    name of the further event type; NULL for a transaction line
    amount     DOUBLE     finite; refunds are negative
    n0, n1 ..  DOUBLE     numeric attributes; NULL where missing
    k0, k1 ..  VARCHAR    categorical attributes; NULL where missing
    m0, m1 ..  VARCHAR    what a purchase and its cancellation must share; NULL where missing
    w0, w1 ..  VARCHAR    the feed of the row, in each way that feeds are watched; NULL where missing
    row_hash   UBIGINT    of the whole row as read: tells exact duplicates
    objects    BOOLEAN    whether the row says that its customer must not be profiled; gone once that is honoured
    left_out   VARCHAR    why a filter leaves the row out; NULL where it does not; gone once they are counted
    reason     VARCHAR    why the row is rejected; NULL for a kept row
    raw        VARCHAR[]  the rejected row as text; NULL for a kept row
"""

from collections.abc import Sequence
from difflib import get_close_matches

from seqclv.config import DataConfig
from seqclv.data.database import quoted
from seqclv.data.sources import Relation
from seqclv.errors import InputError

MAX_AMOUNT = 1e15  # beyond it sums of amounts lose their cents
MAX_ATTRIBUTE = 1e100  # beyond it sums of squares of numeric attributes may overflow; such a value is missing
LINE_WORDS = ("", "purchase", "transaction", "sale")
REFUND_WORDS = ("refund", "return")

FILE_FEED = "file"  # how feeds are called where none is named: every file is one
MALFORMED = "malformed line"
UNPARSABLE_AMOUNT = "unparsable amount"
NO_CUSTOMER = "no customer"
UNPARSABLE_TIMESTAMP = "unparsable timestamp"
BLANKS = "E' \\t\\r\\n'"
FIRST_MICROSECOND = -62_135_596_800_000_000  # 0001-01-01
LAST_MICROSECOND = 253_402_300_799_999_999  # 9999-12-31
WHITE = "E' \\t\\r\\n\\f'"  # an id of nothing else is none
# Most ids begin with a sign above the blank: only the others are trimmed to see whether anything is in them.
_FILLED_ID = (
    f"CASE WHEN customer_text >= '!' THEN customer_text WHEN ltrim(customer_text, {WHITE}) <> '' THEN customer_text END"
)
DAY = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
CLOCK = r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
ZONE = r"\s*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
_NEAR = 0.8  # of a name to another, as difflib has it
_THOUSANDS = r"[. \x{A0}\x{202F}]"  # between them, beside a decimal comma; the last two are blanks that do not break
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")
UNZONED = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS")
ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")


def needed_columns(data: DataConfig) -> tuple[str, ...]:
    """The columns of a log that `data` asks for, each once."""
    attributes = (*data.numeric, *data.categorical, *data.match_on, *data.watch)
    named = (data.customer_id, data.timestamp, data.amount, data.event_type, *attributes)
    return tuple(dict.fromkeys(name for name in named if name is not None))


def attribute_columns(data: DataConfig) -> list[str]:
    """The canonical columns n0 .., k0 .., m0 .., w0 .. of `data`, in this order."""
    counts = {"n": data.numeric, "k": data.categorical, "m": data.match_on, "w": data.watch or (FILE_FEED,)}
    return [f"{letter}{i}" for letter, names in counts.items() for i in range(len(names))]


def require_columns(relation: Relation, data: DataConfig, *, amount: bool = True) -> None:
    """Refuse a relation without the columns that `data` names; whether the amount is one of them is told.

    Raises:
        InputError: with the columns found and the option that names a column.
    """
    options = {data.customer_id: "--customer-id", data.timestamp: "--timestamp", data.amount: "--amount"}
    needed = [name for name in needed_columns(data) if amount or name != data.amount]
    missing = [name for name in needed if name not in relation.names]
    if missing:
        remedy = " or ".join(options.get(name, "the data section of the configuration") for name in missing)
        raise InputError(
            f"A log must have the columns {', '.join(needed)}, but {relation.origin} lacks "
            f"{', '.join(name + _alike(name, relation.names) for name in missing)} and has "
            f"{', '.join(relation.names) or 'no columns'}: name the column with {remedy}."
        )


def _alike(name: str, names: Sequence[str]) -> str:
    """A question after a column that is mistyped: the columns that differ in blanks and case, or the nearest one."""
    found = [known for known in names if known.strip().casefold() == name.strip().casefold()]
    found = found or get_close_matches(name, names, 1, _NEAR)
    return f" (is it {' or '.join(map(repr, found))}?)" if found else ""


def canonical_select(relation: Relation, data: DataConfig, originals: Sequence[str], objects: str = "false") -> str:
    """The SELECT that stages the rows of `relation`.

    Args:
        relation: the rows as read; it has the needed columns.
        data: which column is which.
        originals: names of the columns kept of a rejected row, over all relations, in order.
        objects: SQL over the relation, see above.

    Raises:
        InputError: a column's type cannot serve its purpose.
    """
    stamp, zoned = as_instant(relation, data.timestamp, data.timestamp_format)
    attributes = [f"{as_number(relation, name, data.decimal)} AS n{i}" for i, name in enumerate(data.numeric)]
    texts = {"k": data.categorical, "m": data.match_on, "w": data.watch}
    attributes += [
        f"{as_text(relation, name)} AS {letter}{i}" for letter, names in texts.items() for i, name in enumerate(names)
    ]
    if not data.watch:
        attributes.append(f"{relation.feed} AS w0")
    parts = [
        f"{as_text(relation, data.customer_id)} AS customer_text",
        f"{stamp} AS stamp",
        f"{zoned} AS zoned",
        f"{_empty(relation, data.timestamp)} AS no_stamp",
        f"{_event_type(relation, data)} AS kind",
        f"{as_number(relation, data.amount, data.decimal)} AS number",
        f"{_empty(relation, data.amount)} AS no_number",
        *attributes,
        f"{objects} AS objects",
        f"{relation.left_out} AS left_out",
        f"hash({', '.join(relation.column(name) for name in sorted(relation.names))}) AS row_hash",
    ]
    names = attribute_columns(data)
    return _judged(f"SELECT *, {', '.join(parts)} FROM {relation.scan}", names, _raw(relation, originals))


def _judged(rows: str, attributes: Sequence[str], raw: str) -> str:
    """Set aside what breaks a rule: the first broken rule is the reason; only then is `raw` worked out."""
    words = ", ".join(quoted(word) for word in LINE_WORDS)
    refunds = ", ".join(quoted(word) for word in REFUND_WORDS)
    finite = " ".join(
        f"CASE WHEN abs({name}) <= {MAX_ATTRIBUTE} THEN {name} END AS {name}," if name[0] == "n" else f"{name},"
        for name in attributes
    )
    typed = f"""
        SELECT *, {_FILLED_ID} AS customer,
            CASE WHEN stamp BETWEEN {FIRST_MICROSECOND} AND {LAST_MICROSECOND} THEN stamp END AS ts,
            lower(trim(kind, {BLANKS})) AS word,
            CASE WHEN word NOT IN ({words}, {refunds}) THEN kind END AS further
        FROM ({rows})"""
    judged = f"""
        SELECT *, CASE
            WHEN left_out IS NOT NULL THEN NULL
            WHEN customer IS NULL THEN '{NO_CUSTOMER}'
            WHEN no_stamp THEN 'no timestamp'
            WHEN ts IS NULL THEN '{UNPARSABLE_TIMESTAMP}'
            WHEN no_number OR isnan(number) THEN CASE WHEN further IS NULL THEN 'no amount' END
            WHEN number IS NULL THEN '{UNPARSABLE_AMOUNT}'
            WHEN isinf(number) THEN 'infinite amount'
            WHEN abs(number) > {MAX_AMOUNT} THEN 'amount out of range'
        END AS reason
        FROM ({typed})"""
    return f"""
        SELECT customer, ts, zoned, further,
            CASE WHEN no_number OR isnan(number) THEN 0.0
                 WHEN word IN ({refunds}) THEN -abs(number) ELSE number END AS amount,
            {finite} row_hash, objects, left_out, reason, CASE WHEN reason IS NOT NULL THEN {raw} END AS raw
        FROM ({judged})"""


def as_text(relation: Relation, name: str) -> str:
    """A column as text, NULL where missing; integers exactly, NaN is missing."""
    column, kind = relation.column(name), relation.type_of(name)
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        raise InputError(f"Column '{name}' must hold plain values, but in {relation.origin} it is of type {kind}.")
    if kind == "VARCHAR":
        return f"nullif({column}, '')"
    if kind in FLOATS:
        return f"CASE WHEN NOT isnan({column}) THEN CAST({column} AS VARCHAR) END"
    return f"nullif(CAST({column} AS VARCHAR), '')"


def as_number(relation: Relation, name: str, decimal: str = ".") -> str:
    """A column as DOUBLE, NULL where missing or unparsable; `decimal` is the mark of decimals in text."""
    column, kind = relation.column(name), relation.type_of(name)
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        text = f"trim(CAST({column} AS VARCHAR), {BLANKS})"
        if decimal == ",":
            text = _with_point(text)
        return f"try_cast(CASE WHEN NOT contains({text}, '_') THEN {text} END AS DOUBLE)"  # DuckDB reads 1_000 as 1000
    if kind in INTEGERS or kind in FLOATS or kind.startswith("DECIMAL") or kind == "BOOLEAN":
        return f"CAST({column} AS DOUBLE)"
    if kind == '"NULL"':
        return "CAST(NULL AS DOUBLE)"
    raise InputError(f"Column '{name}' must hold numbers, but in {relation.origin} it is of type {kind}.")


def _with_point(text: str) -> str:
    """A number with a decimal comma as one with a point; a point that parts no thousands makes it none."""
    parted = f"regexp_full_match({text}, '[+-]?[1-9]\\d{{0,2}}({_THOUSANDS}\\d{{3}})+(,\\d*)?')"
    whole = f"CASE WHEN {parted} THEN regexp_replace({text}, '{_THOUSANDS}', '', 'g') ELSE {text} END"
    return f"CASE WHEN {parted} OR NOT contains({text}, '.') THEN replace({whole}, ',', '.') END"


def _empty(relation: Relation, name: str) -> str:
    """Whether a cell holds nothing."""
    column = relation.column(name)
    if relation.type_of(name) == "VARCHAR":
        return f"coalesce(trim({column}, {BLANKS}), '') = ''"
    return f"{column} IS NULL"


def _event_type(relation: Relation, data: DataConfig) -> str:
    return "CAST(NULL AS VARCHAR)" if data.event_type is None else as_text(relation, data.event_type)


def as_instant(relation: Relation, name: str, pattern: str | None) -> tuple[str, str]:
    """SQL of the microseconds and of whether a zone was named (NULL where unparsable)."""
    column, kind = relation.column(name), relation.type_of(name)
    if kind in ZONED:
        return f"epoch_us(CAST({column} AS TIMESTAMPTZ))", f"CASE WHEN {column} IS NOT NULL THEN true END"
    if kind in UNZONED:
        return f"epoch_us(CAST({column} AS TIMESTAMP))", f"CASE WHEN {column} IS NOT NULL THEN false END"
    if kind == "TIMESTAMP_NS":
        floored = f"(epoch_ns({column}) - ((epoch_ns({column}) % 1000) + 1000) % 1000) // 1000"
        return floored, f"CASE WHEN {column} IS NOT NULL THEN false END"
    if kind in INTEGERS or kind == "VARCHAR" or kind.startswith("ENUM") or kind == '"NULL"':
        return _text_timestamp(f"trim(CAST({column} AS VARCHAR), {BLANKS})", pattern)
    raise InputError(
        f"Column '{name}' must hold dates or timestamps, but in {relation.origin} it is of type {kind}: "
        "convert it, or name another column with --timestamp."
    )


def _text_timestamp(text: str, pattern: str | None) -> tuple[str, str]:
    if pattern is not None:
        parsed = f"CASE WHEN regexp_matches({text}, '\\d') THEN try_strptime({text}, {quoted(pattern)}) END"
        zoned = "%z" in pattern or "%Z" in pattern
        return f"epoch_us({parsed})", f"CASE WHEN {parsed} IS NOT NULL THEN {str(zoned).lower()} END"
    plain = f"regexp_full_match({text}, '{DAY}({CLOCK})?')"
    offset = f"regexp_full_match({text}, '{DAY}{CLOCK}{ZONE}')"
    utc = rf"regexp_replace(regexp_replace({text}, '\s*(Z|z|UTC|GMT)$', '+00:00'), '\s+([+-])', '\1')"
    stamp = f"""CASE WHEN {plain} THEN epoch_us(try_cast({text} AS TIMESTAMP))
        WHEN {offset} THEN epoch_us(try_cast({utc} AS TIMESTAMPTZ))
        WHEN regexp_full_match({text}, '\\d{{8}}') THEN epoch_us(try_strptime({text}, '%Y%m%d')) END"""
    return stamp, f"CASE WHEN {offset} THEN true ELSE false END"


def _raw(relation: Relation, originals: Sequence[str]) -> str:
    """The row as read, as a list of texts in the order of `originals`."""
    fields = [
        f"CAST({relation.column(name)} AS VARCHAR)" if name in relation.names else "NULL::VARCHAR" for name in originals
    ]
    return f"[{', '.join(fields)}]"
