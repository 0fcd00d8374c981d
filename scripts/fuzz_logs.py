"""Hostile logs: drawn cell by cell, written in many types and formats, some of them damaged on purpose."""

import datetime
import gzip
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_oracle import Expected, Nanoseconds, expect

from seqclv.config import DataConfig

UTC = datetime.UTC
IDS: tuple[str | None, ...] = (
    *(
        "a",
        "a",
        "a",
        "b",
        "b",
        "00012",
        "12",
        "12 ",
        " 12",
        "17850",
        "17850.0",
        "A",
        "é",
        "𝄞",
        "NULL",
        "nan",
        "0",
        "-1",
    ),
    *(
        "1e5",
        str(2**70),
        "-0",
        "a,b",
        'q"q',
        "line\nbreak",
        "tab\tid",
        "\ufeffx",
        "'; DROP TABLE staged; --",
        "{}",
        "%s",
    ),
    *("", "   ", "\t", "\u00a0", "\u202eabc", "e\u0301", "true", "x" * 300, None),
)
STAMPS: tuple[str | None, ...] = (
    *(
        "2024-01-01",
        "2024-01-01",
        "2024-01-02 10:00",
        "2024-01-02 10:00:00",
        "2024/1/3",
        "20240105",
        "2024-01-31T18:30:05",
    ),
    *("2024-01-31 18:30:05.123456789", "0001-01-01", "9999-12-31 23:59:59", "1969-12-31", "2000-02-29", "1900-01-01"),
)
WRONG_STAMPS: tuple[str | None, ...] = (
    *("2024-02-30", "2023-02-29", "31/01/2024", "1706720000", "infinity", "0000-01-01", "10000-01-01", "yesterday"),
    *(
        "2024-13-01",
        "2024-01-01 25:00",
        "2024-01-01 10:61",
        "",
        "  ",
        None,
        "2024-01-01Z",
        "2024-1",
        "２０２４-01-01",
        "-2024-01-01",
    ),
)
ZONED: tuple[str | None, ...] = (
    *("2024-01-01T00:00Z", "2024-01-02 10:00:00+02:00", "2024-01-02 10:00:00 -0330", "2024-01-05 00:00 UTC"),
    *("2024-01-31 18:30:05.5 GMT", "9999-12-31 23:59:59Z", "1969-07-20 20:17:40+00", "0001-01-01 00:00:00Z"),
)
AMOUNTS: tuple[str | None, ...] = (
    *(
        "1",
        "1",
        "2.5",
        "2.5",
        "-2.5",
        "-1",
        "0.1",
        "0.2",
        "-0.3",
        "10",
        "-10",
        "0",
        "-0.0",
        "1e15",
        "-1e15",
        " 3 ",
        "+4",
        ".5",
        "5.",
    ),
    *("1e-320", "00012", "99999999999999.99"),
)
WRONG_AMOUNTS: tuple[str | None, ...] = (
    *(
        "1e308",
        "-1e308",
        "1e400",
        "1e16",
        "1000000000000001",
        "NaN",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "1,5",
        "12 EUR",
        "",
        " ",
    ),
    *("0x10", "1e", "--1", "1_000", "٣", "1.2.3", "$5", "(5)", "null", "true", None),
)
KINDS: tuple[str | None, ...] = ("", "sale", "purchase", "Refund", "RETURN ", "visit", "é mail", "visit ", None, "0")


@dataclass(frozen=True, kw_only=True)
class FuzzCase:
    """A log, how it is to be read, and what must come out; `expected` is None for a damaged one."""

    data: DataConfig
    settings: Mapping[str, Any]  # those of `data` that are not defaults, for the command line
    frame: Any  # a log in memory, else None: the files of `data`
    until: int | None
    cutoff: int
    expected: Expected | None
    float_ids: bool
    told: str

    def plain_id(self, text: str) -> str:
        """An id, or the number that it writes where ids are floating-point numbers: these are written in many ways."""
        try:
            return repr(float(text)) if self.float_ids else text
        except ValueError:
            return text


def make_case(rng: random.Random, place: Path) -> FuzzCase:
    """Draw a log and write it into the directory `place`."""
    settings: dict[str, Any] = {"max_reject_share": rng.choice([1.0, 1.0, 0.5])}
    if rng.random() < 0.4:
        settings["event_type"] = "kind"
    if rng.random() < 0.3:
        settings["cancellation_days"] = float(rng.choice([1, 30, 3650]))
    if rng.random() < 0.3:
        settings |= {"numeric": ["n"], "categorical": ["c"]}
        settings |= {"watch": ["c"]} if rng.random() < 0.5 else {}
    columns = ["customer_id", "timestamp", "amount", "kind", "n", "c"]
    zoned, wild = rng.random() < 0.2, rng.choice([0.0, 0.05, 0.1, 0.4])
    tables = [_draw(rng, columns, zoned != (rng.random() < 0.03), wild) for _ in range(rng.choice([1, 1, 2]))]
    until = rng.choice([None, None, None, 1_704_326_400_000_000])
    write = rng.choice([_frame, _parquet, _parquet, _csv, _csv, _damaged])
    rows, sources, known = write(rng, tables, place)
    frame = sources if write is _frame else None
    until = None if frame is not None else until
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    data = DataConfig(**values, transactions=() if frame is not None else tuple(map(str, sources)))
    expected = None
    if known:
        expected = expect(rows, data.event_type, until=until, max_reject_share=data.max_reject_share)
    return FuzzCase(
        data=data,
        settings=settings,
        frame=frame,
        until=until,
        cutoff=rng.choice([1_704_153_600_000_000, 1_704_240_000_000_000 + 1]),
        expected=expected,
        float_ids=any(isinstance(row["customer_id"], float) for row in rows),
        told=f"{write.__name__} {settings} {str(rows)[:1500]}",
    )


Cells = dict[str, list[str | None]]


def _draw(rng: random.Random, columns: Sequence[str], zoned: bool, wild: float) -> Cells:
    size = rng.choice([0, 1, 5, 5, 12, 12, 12, 30, 30])
    pools = {
        "customer_id": (("a", "b", "00012"), IDS),
        "timestamp": (ZONED if zoned else STAMPS, WRONG_STAMPS),
        "amount": (AMOUNTS, WRONG_AMOUNTS),
        "kind": (KINDS, KINDS),
        "n": (AMOUNTS, WRONG_AMOUNTS),
        "c": (("u", "v", "w"), IDS),
    }
    cells: Cells = {name: [rng.choice(pools[name][rng.random() < wild]) for _ in range(size)] for name in columns}
    for _ in range(rng.choice([0, 0, 3]) if size else 0):  # exact duplicates
        row = rng.randrange(size)
        for column in cells.values():
            column.append(column[row])
    if size and rng.random() < 0.004:
        cells["customer_id"][0] = "m" * 1_000_000
    return cells


def _rows(tables: Sequence[Mapping[str, Sequence[Any]]]) -> list[dict[str, Any]]:
    return [dict(zip(t, row, strict=True)) for t in tables for row in zip(*t.values(), strict=True)]


Written = tuple[list[dict[str, Any]], Any, bool]  # rows, frame or files, whether the outcome is known


def _csv(rng: random.Random, tables: Sequence[Cells], place: Path) -> Written:
    files, rows = [], []
    for i, table in enumerate(tables):
        files.append(place / f"log{i}.csv")
        files[-1].write_bytes(_csv_text(rng, table).encode())
        # A cell that holds nothing and none are alike in text.
        rows += _rows([{name: [cell or None for cell in column] for name, column in table.items()}])
    if rng.random() < 0.2:
        files = [_zipped(file) for file in files]
    return rows, files, True


def _zipped(file: Path) -> Path:
    packed = file.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    return packed


def _csv_text(rng: random.Random, table: Cells) -> str:
    mark, end = rng.choice([",", ";", "\t", "|"]), rng.choice(["\n", "\r\n"])
    names = list(table)
    rng.shuffle(names)
    lines = [mark.join(names)]
    lines += [
        mark.join(_quoted(cell or "", mark) for cell in row) for row in zip(*(table[n] for n in names), strict=True)
    ]
    return rng.choice(["", "", "\ufeff"]) + end.join(lines) + rng.choice(["", end])


def _quoted(cell: str, mark: str) -> str:
    if any(sign in cell for sign in (mark, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _parquet(rng: random.Random, tables: Sequence[Cells], place: Path) -> Written:
    files, rows, known = [], [], True
    for i, table in enumerate(tables):
        arrow, plain = _typed(rng, table)
        files.append(place / f"log{i}.parquet")
        pq.write_table(arrow, files[-1], row_group_size=rng.choice([3, 1000]))
        rows += _rows([_values(arrow)])
        known &= plain
    return rows, files, known


def _frame(rng: random.Random, tables: Sequence[Cells], place: Path) -> Written:
    arrow, plain = _typed(rng, tables[0])
    rows = _rows([_values(arrow)])
    if rng.random() < 0.5:
        return rows, arrow, plain
    strings = pa.table({name: pa.array(column, pa.string()) for name, column in tables[0].items()})
    return _rows([strings.to_pydict()]), strings.to_pandas(), True


def _typed(rng: random.Random, table: Cells) -> tuple[pa.Table, bool]:
    """The cells in drawn types, and whether all of those are ones that must be read."""
    plain = True
    columns = {}
    for name, cells in table.items():
        makers = {"customer_id": ID_TYPES, "timestamp": STAMP_TYPES, "amount": AMOUNT_TYPES}.get(name, TEXT_TYPES)
        maker, sound = rng.choice([*makers, *((TEXT_TYPES[0],) * 3)])
        columns[name] = maker(cells)
        plain &= sound
    return pa.table(columns), plain


def _values(table: pa.Table) -> dict[str, list[Any]]:
    found = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
            zoned, numbers = column.type.tz is not None, column.cast(pa.int64()).to_pylist()
            found[name] = [None if n is None else Nanoseconds(n * scale, zoned) for n in numbers]
        else:
            found[name] = column.to_pylist()
    return found


def _as(kind: pa.DataType, change: Callable[[str], Any]) -> Callable[[Sequence[str | None]], pa.Array]:
    """Cells in a type; what does not fit is missing."""

    def make(cells: Sequence[str | None]) -> pa.Array:
        found = []
        for cell in cells:
            try:
                value = None if cell is None else change(cell)
                pa.array([value], kind)
            except (ValueError, ArithmeticError, TypeError, pa.ArrowException):
                value = None
            found.append(value)
        return pa.array(found, kind)

    return make


def _whole(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        return len(cell) - sum(map(ord, cell[:1]))


def _moment(cell: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(cell).replace(tzinfo=None)


def _aware(cell: str) -> datetime.datetime:
    return _moment(cell).replace(tzinfo=UTC)


TEXT_TYPES: list[tuple[Callable[[Sequence[str | None]], pa.Array], bool]] = [
    (_as(pa.string(), str), True),
    (_as(pa.large_string(), str), True),
    (lambda cells: pa.array(cells, pa.string()).dictionary_encode(), True),
]
ID_TYPES = [
    *((_as(kind, _whole), True) for kind in (pa.int64(), pa.uint64(), pa.int8(), pa.decimal128(38, 0))),
    (_as(pa.float64(), lambda cell: float(_whole(cell)) / 3), True),
    (_as(pa.bool_(), lambda cell: cell > "a"), True),
    (_as(pa.date32(), lambda cell: datetime.date(2024, 1, len(cell))), True),
    (lambda cells: pa.array([None] * len(cells), pa.null()), True),
    (lambda cells: pa.array([[cell] for cell in cells], pa.list_(pa.string())), False),
    (lambda cells: pa.array([{"id": cell} for cell in cells], pa.struct([("id", pa.string())])), False),
    (_as(pa.time32("s"), len), False),
]
STAMP_TYPES = [
    *((_as(pa.timestamp(unit), _moment), True) for unit in ("s", "ms", "us", "ns")),
    *((_as(pa.timestamp(unit, zone), _aware), True) for unit in ("s", "us", "ns") for zone in ("UTC", "Asia/Tokyo")),
    (_as(pa.date32(), lambda cell: _moment(cell).date()), True),
    (_as(pa.int64(), int), True),
    (_as(pa.int32(), int), True),
    (lambda cells: pa.array([None] * len(cells), pa.null()), True),
    (_as(pa.float64(), float), False),
    (_as(pa.time64("us"), lambda cell: _moment(cell).time()), False),
    (_as(pa.duration("us"), len), False),
    (lambda cells: pa.array([[cell] for cell in cells], pa.list_(pa.string())), False),
]
AMOUNT_TYPES = [
    *((_as(kind, float), True) for kind in (pa.float64(), pa.float64(), pa.float32())),
    *((_as(kind, lambda cell: int(float(cell))), True) for kind in (pa.int64(), pa.uint8(), pa.uint64())),
    *((_as(kind, Decimal), True) for kind in (pa.decimal128(10, 2), pa.decimal128(38, 10))),
    (_as(pa.bool_(), lambda cell: cell == "1"), True),
    (lambda cells: pa.array([None] * len(cells), pa.null()), True),
    (_as(pa.float16(), lambda cell: np.float16(min(abs(float(cell)), 1e4))), False),
    (_as(pa.decimal256(60, 4), Decimal), False),
    (lambda cells: pa.array([{"v": cell} for cell in cells], pa.struct([("v", pa.string())])), False),
]


def _damaged(rng: random.Random, tables: Sequence[Cells], place: Path) -> Written:
    """A file that is broken, or of no sound form."""
    if rng.random() < 0.4:
        rows, files, _ = _parquet(rng, tables, place)
        damaged = bytearray(files[0].read_bytes())
        for _ in range(rng.choice([0, 1, 20])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        files[0].write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged)), 0, 3])])
        return rows, files, False
    text = _csv_text(rng, tables[0])
    wounds: list[Callable[[str], str]] = [
        lambda t: t.replace("\n", "\r", 2),
        lambda t: t.replace("a", "\0", 3),
        lambda t: t + '"',
        lambda t: t.replace("amount", "customer_id", 1),
        lambda t: t.replace("timestamp", "Timestamp", 1),
        lambda t: t[: rng.randrange(len(t) + 1)],
        lambda t: t + "\n" + ";" * rng.randrange(9) + ",,,,\n\n\nx",
        lambda t: t.replace("\n", "\n\n"),
        lambda t: t.replace("2024", '"2024', 1),
        lambda t: "",
        lambda t: "\n" + t,
    ]
    content = rng.choice(wounds)(text).encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1"]), "replace")
    if rng.random() < 0.2:
        content = gzip.compress(content)[: rng.choice([10_000_000, 30, 5])]
    elif rng.random() < 0.2:
        content = content.replace(b"a", b"\xff\xfe", 1)
    file = place / rng.choice(["log.csv", "log.txt", "log.parquet"])
    file.write_bytes(content)
    return _rows(tables), [file], False
