"""A store comes into its place at once: built in a scratch directory beside it, then exchanged with what was there."""

import ctypes
import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqclv.errors import InputError

_LOCK = "lock"
_ASIDE = "replaced"  # a store on its way from its place to nowhere
_ABANDONED_SECONDS = 60  # a younger one may not have taken its lock yet
_CURRENT_DIRECTORY = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """A temporary directory on the file system of `out`, gone afterwards; those that killed runs left are removed.

    Raises:
        InputError: nothing can be written there.
    """
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    prefix = f".{out.name}.scratch-"
    try:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = (directory / _LOCK).open("wb")
    except OSError as error:
        raise InputError(f"A store must lie where one may write, but '{parent}' is not: {error.strerror}.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in parent.glob(f"{glob.escape(prefix)}*"):
            if other != directory:
                _remove_abandoned(other, out)
        try:
            yield directory
        finally:
            _remove(directory, out)


def _remove_abandoned(directory: Path, out: Path) -> None:
    """Remove a scratch directory whose process is gone: the system has released its lock."""
    try:
        if time.time() - directory.stat().st_mtime < _ABANDONED_SECONDS:
            return
        with (directory / _LOCK).open("ab") as lock:  # a run killed as it began or ended has left none
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(directory, out)
    except OSError:  # another run is at work there, or has just begun or ended
        pass


def _remove(directory: Path, out: Path) -> None:
    """Remove a scratch directory; a store that went aside for one that never came goes back to its place."""
    if (directory / _ASIDE).exists() and not out.exists():
        (directory / _ASIDE).rename(out)
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def one_at_a_time(out: Path) -> Iterator[None]:
    """Nobody else who asks so exchanges a directory beside `out`: what is checked of it still holds when it moves."""
    directory = os.open(out.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def move_into_place(finished: Path, out: Path) -> None:
    """Put the directory `finished` at `out`; what was there is in the scratch directory of `finished` afterwards.

    There never is neither at `out`, but where the system cannot exchange two directories at once: there is a moment
    without one, and whoever fails or is killed in it leaves the old one to the end of `scratch_beside` or to the next.
    """
    if not out.exists():
        finished.rename(out)
    elif not _exchanged(finished, out):
        out.rename(finished.with_name(_ASIDE))
        finished.rename(out)


def _exchanged(one: Path, other: Path) -> bool:
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:  # not Linux
        return False
    paths = (os.fsencode(one), os.fsencode(other))
    return bool(rename(_CURRENT_DIRECTORY, paths[0], _CURRENT_DIRECTORY, paths[1], _EXCHANGE) == 0)
