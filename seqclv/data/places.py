"""Places of files: which data files paths, directories and globs stand for, and what is none."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seqclv.credentials import without_credentials
from seqclv.data.lake import inside_delta, is_delta
from seqclv.errors import InputError

DATA_SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
_HEAD = 4  # bytes
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or another ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\xfd7zX": "packed by xz",
    b"Obj\x01": "Avro",
    b"SQLi": "a database of SQLite, which is named by sqlite:///PATH",
}
_SUFFIXES = {
    ".json": "JSON",
    ".jsonl": "JSON",
    ".ndjson": "JSON",
    ".orc": "ORC",
    ".feather": "Feather",
    ".bz2": "bzip2",
}


@dataclass(frozen=True)
class Found:
    """What places stand for."""

    files: list[Path]  # data files and Delta tables
    passed_over: list[Path]  # other files in directories that were searched


def find_files(patterns: Iterable[str], what: str = "log") -> Found:
    """The data files that paths, directories (searched below) and globs stand for, sorted, each once.

    A Delta table is one entry, its directory: which of its files count is said in its log.

    Args:
        patterns: as the user writes them.
        what: they are the parts of, for messages.

    Raises:
        InputError: a pattern stands for no file, or for a file within a Delta table.
    """
    found: dict[Path, Path] = {}
    passed_over: set[Path] = set()
    for pattern in patterns:
        files = []
        for start in _starts(pattern, what):
            for file in _walk(start) if start.is_dir() else [start]:
                if file == start or file.name.lower().endswith(DATA_SUFFIXES) or is_delta(file):
                    files.append(file)
                else:
                    passed_over.add(file)
        inside = next((table for file in files if (table := inside_delta(file)) is not None), None)
        if inside is not None:
            raise InputError(
                f"A Delta table must be read as a whole, but '{pattern}' is a part of it: name '{inside}'."
            )
        if not files:
            raise InputError(
                f"A directory of a {what} must hold data files ({', '.join(DATA_SUFFIXES)}), but '{pattern}' has none."
            )
        found.update({file.resolve(): file for file in files})
    return Found(sorted(found.values()), sorted(passed_over))


def _starts(pattern: str, what: str) -> list[Path]:
    """The files and directories that a pattern stands for."""
    shown = without_credentials(pattern)
    if "://" in pattern:
        raise InputError(
            f"A {what} must lie in files of this machine, named by their paths, or in a database, but '{shown}' is "
            "neither: copy or mount it (only score --engine spark reads such places)."
        )
    path = Path(pattern)
    starts = [path] if path.exists() else [Path(match) for match in glob.glob(pattern, recursive=True)]
    if not starts:
        raise InputError(f"A {what} must exist, but there is no file, directory or match for '{shown}'.")
    return starts


def _walk(directory: Path) -> Iterator[Path]:
    """Files below `directory`; hidden ones, markers such as _SUCCESS and prepared stores are passed over in silence."""
    if (directory / "store.json").exists():
        return
    if is_delta(directory):
        yield directory
        return
    for path in sorted(directory.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def head(file: Path, what: str = "log") -> bytes:
    """The first four bytes of a file, which tell Parquet and gzip from text.

    Raises:
        InputError: it cannot be read, or is in another format.
    """
    try:
        with file.open("rb") as stream:
            first = stream.read(_HEAD)
    except OSError as error:
        raise InputError(f"A {what} must be readable, but '{file}' is not: {error.strerror}.") from error
    kind = _MAGIC.get(first) or _SUFFIXES.get(Path(file.name.lower().removesuffix(".gz")).suffix)
    if kind is None and first.startswith((b'{"', b"[{")):
        kind = "JSON"
    if kind is not None:
        raise InputError(
            f"A {what} must be in Parquet or CSV files, plain or gzipped, but '{file}' is {kind}: convert it."
        )
    return first
