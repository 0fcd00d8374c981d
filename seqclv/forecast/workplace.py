"""The hidden directory where a scoring keeps what it has finished, so that it goes on where it was killed.

    .forecasts.parquet.scoring/     beside the file to write; readable by its owner alone
        lock                        held by the process that scores; the lock dies with its process
        log/                        a raw log, sorted (a prepared store is read where it lies)
        <digest>/                   the finished parts of one scoring, named by all that determines its forecasts

It holds customer ids, forecasts and, of a raw log, transactions. It vanishes when the scoring ends, well or not, unless
finished parts are worth keeping: after a SIGKILL, a power failure or an interrupt. The next scoring to the same place
uses them if they are of the same inputs, else removes them.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seqclv.errors import InputError

SUFFIX = ".scoring"
LOG_DIRECTORY = "log"
FINISHED = "part-*.arrow"  # files worth going on with
_LOCK = "lock"


@dataclass(frozen=True)
class Workplace:
    """A directory that this process holds alone; `workplace` makes one."""

    path: Path

    @property
    def log(self) -> Path:
        """Where a raw log is sorted; removed when the scoring ends."""
        return self.path / LOG_DIRECTORY

    def parts(self, digest: str) -> Path:
        """The directory of the parts of a scoring; those of any other scoring are removed."""
        for other in self._parts():
            if other.name != digest:
                shutil.rmtree(other)
        found = self.path / digest
        found.mkdir(exist_ok=True)
        return found

    def _parts(self) -> list[Path]:
        return [entry for entry in self.path.iterdir() if entry.name not in (_LOCK, LOG_DIRECTORY)]

    def clear(self, *, finished: bool) -> None:
        """Remove the log and, where nothing is left to go on with, everything."""
        shutil.rmtree(self.log, ignore_errors=True)
        if finished or not any(any(entry.glob(FINISHED)) for entry in self._parts()):
            for entry in self._parts():
                shutil.rmtree(entry, ignore_errors=True)
            (self.path / _LOCK).unlink(missing_ok=True)
            try:
                self.path.rmdir()
            except OSError:  # the next scoring has made its lock there already
                pass


@contextmanager
def workplace(path: Path, what: str) -> Iterator[Workplace]:
    """Hold the directory `path` alone, made where it is missing; see the module's description of what remains of it.

    Args:
        path: the hidden directory.
        what: what is scored to, for the message.

    Raises:
        InputError: another process holds it, or one may not write there.
    """
    made = _missing_parents(path)
    lock = _locked(path, what)
    place, finished = Workplace(path), False
    try:
        shutil.rmtree(place.log, ignore_errors=True)  # of a killed scoring
        yield place
        finished = True
    finally:
        place.clear(finished=finished)
        os.close(lock)  # only now: who waits for the name must not find a directory that is about to go
        if not finished:
            _remove_empty(made)


def _missing_parents(path: Path) -> list[Path]:
    """The directories above `path` that do not exist yet, the lowest first."""
    return [parent for parent in path.absolute().parents if not parent.exists()]


def _remove_empty(directories: list[Path]) -> None:
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:  # somebody has put something there
            return


def _locked(path: Path, what: str) -> int:
    """An open file descriptor of the lock, which this process now holds."""
    while True:
        made = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            made = True
            _require_own(path)
            handle = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if made and isinstance(error, FileNotFoundError):  # the last holder has just removed the directory
                continue
            raise InputError(f"Forecasts must go where one may write, but {what} cannot be: {error}.") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise InputError(
                f"One scoring at a time may write {what}, but another one is at it: wait for it or write elsewhere."
            ) from error
        if _still_there(handle, path / _LOCK):
            return handle
        os.close(handle)


def _require_own(path: Path) -> None:
    """In a directory for everybody, another user's directory of this name could be a trap."""
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise InputError(f"Unfinished forecasts must lie in a directory of one's own, but '{path}' is another's.")


def _still_there(handle: int, path: Path) -> bool:
    """Whether the name still leads to the open file: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
