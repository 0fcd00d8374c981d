"""What a command writes lies apart from what it reads: forecasts must never take the place of a log."""

import glob
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from seqclv.config import DataConfig
from seqclv.data.mapping import named_places
from seqclv.data.sql import is_database
from seqclv.data.store import is_store
from seqclv.errors import InputError


def require_apart(out: str | Path, data: DataConfig) -> None:
    """Refuse an output file that would replace a file of the log, lie in a folder of it, or in a store.

    Raises:
        InputError: that is so.
    """
    if isinstance(out, str) and is_database(out):
        return
    place = Path(out).resolve()
    tables = (data.customers, data.calendar, data.identities)
    read = [*named_places(data), *(file for table in tables if table is not None for file in table.files)]
    inside = [parent for parent in place.parents if is_store(parent)]
    files = [url2pathname(urlsplit(source).path) if source.startswith("file:") else source for source in read]
    inside += [Path(source) for source in files if not is_database(source) and _holds(source, place)]
    if inside:
        raise InputError(
            f"--out must lie apart from what is read, but '{out}' is or lies in '{inside[0]}': name another place."
        )


def _holds(source: str, place: Path) -> bool:
    """Whether a source of the log is the file `place`, or would find it in its folder the next time."""
    pattern = str(_resolved(Path(source)))
    if place.match(pattern) or place.match(pattern.replace("**/", "")):  # it will be found the next time
        return True
    found = [Path(source), *map(Path, glob.glob(source, recursive=True))]
    return any(place == one.resolve() or (one.is_dir() and one.resolve() in place.parents) for one in found)


def _resolved(pattern: Path) -> Path:
    """A pattern whose directories before the first wildcard are resolved."""
    plain = next(parent for parent in (pattern, *pattern.parents) if not glob.has_magic(str(parent)))
    return plain.resolve() / pattern.relative_to(plain)
