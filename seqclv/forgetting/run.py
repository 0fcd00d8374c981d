"""Forget customers wherever they are named, and prove that nothing of them is left."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqclv.data.forgetting import forget_customers
from seqclv.data.store import open_store
from seqclv.errors import InputError
from seqclv.forecast.database import DatabaseSink, named_url
from seqclv.forecast.sinks import manifest_path
from seqclv.forgetting.outputs import forget_in_file, list_files, remove_resume_state, resume_state
from seqclv.forgetting.search import occurrences
from seqclv.pseudonyms import PseudonymKey

Announce = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where customers are to be forgotten."""

    store: Path | None = None
    tables: tuple[Path, ...] = ()  # forecasts and values, Parquet or CSV
    lists: tuple[Path, ...] = ()  # directories of `seqclv lists`
    resume_states: tuple[Path, ...] = ()  # beside those next to the tables
    database: str | None = None  # an SQLAlchemy URL, or env:NAME that holds it
    database_tables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.store or self.tables or self.lists or self.resume_states or self.database):
            raise InputError("Customers are forgotten somewhere, but no place is named: give --store or another one.")
        if (self.database is None) != (not self.database_tables):
            raise InputError("A database is named by --sql and --table together, but one of them is missing.")


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was done in one place."""

    place: str
    kind: str  # 'store', 'table', 'manifest', 'resume state' or 'database'
    removed: int  # customers of a store, rows of a table; 1 for a whole resume state
    searched: int  # files, or tables of a database
    left: tuple[str, ...]  # ids that are still found there


def forget(
    ids: Sequence[str], places: Places, *, key: PseudonymKey | None = None, announce: Announce = lambda _: None
) -> list[Forgotten]:
    """Remove customers from all places, each in one step, and then search every file that was touched.

    Running it again after an interruption finishes the work.

    Args:
        ids: as the log has them.
        places: where.
        key: of pseudonyms: the ids and their pseudonyms are removed, so that a place may hold either.
        announce: told what is being done.

    Raises:
        InputError: a place is missing or refused, or the key is not that of the store.
    """
    if not ids:
        raise InputError("Somebody is to be forgotten, but nobody is named: give --customer or --customers-file.")
    wanted = list(dict.fromkeys([*ids, *(key.pseudonym(i) for i in ids if key is not None)]))
    tables = [*places.tables, *(path for directory in places.lists for path in list_files(directory))]
    done = []
    if places.store is not None:
        announce(f"rebuilding {places.store}")
        done.append(_in_store(places.store, wanted, key))
    for path in tables:
        announce(f"rewriting {path}")
        removed = forget_in_file(path, wanted)
        done.append(_searched(str(path), "table", removed, [path], wanted))
        if (beside := manifest_path(path)).is_file():
            done.append(_searched(str(beside), "manifest", 0, [beside], wanted))
    for directory in dict.fromkeys([*places.resume_states, *map(resume_state, tables)]):
        if remove_resume_state(directory) or directory in places.resume_states:
            left = list(directory.rglob("*")) if directory.exists() else []
            done.append(_searched(str(directory), "resume state", 1, left, wanted))
    for directory in places.lists:
        others = [path for path in sorted(directory.rglob("*")) if path.is_file() and path not in tables]
        done.append(_searched(str(directory), "list files beside", 0, others, wanted))
    return done + list(_in_database(places, wanted))


def _in_store(path: Path, ids: Sequence[str], key: PseudonymKey | None) -> Forgotten:
    store = open_store(path)
    check = store.info.pseudonym_check
    if check is not None and (key is None or key.check != check):
        raise InputError(
            f"The ids of '{path}' are pseudonyms, and its key tells which: give --pseudonymize-key, the one it was "
            "prepared with."
        )
    removed = forget_customers(store, ids)
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    return _searched(str(path), "store", removed, files, ids)


def _searched(place: str, kind: str, removed: int, files: Sequence[Path], ids: Sequence[str]) -> Forgotten:
    left = sorted({found for file in files if file.is_file() for found in occurrences(file, ids)})
    return Forgotten(place=place, kind=kind, removed=removed, searched=len(files), left=tuple(left))


def _in_database(places: Places, ids: Sequence[str]) -> Iterator[Forgotten]:
    if places.database is None:
        return
    url = named_url(places.database)
    for table in places.database_tables:
        sink = DatabaseSink.of(url, table)
        removed, left = sink.forget(ids)
        yield Forgotten(place=sink.name, kind="database", removed=removed, searched=1, left=left)
        if remove_resume_state(sink.workplace):
            yield Forgotten(place=str(sink.workplace), kind="resume state", removed=1, searched=0, left=())


def read_ids(path: Path) -> list[str]:
    """Ids of a text file, one on each line; empty lines do not count.

    Raises:
        InputError: it cannot be read.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--customers-file has one id on each line, but '{path}' cannot be read.") from error
    return [line for line in lines if line.strip()]
