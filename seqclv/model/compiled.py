"""Machine code for loops that torch's operations on whole tensors are too coarse for."""

import hashlib
import os
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import NullCache

F = TypeVar("F", bound=Callable[..., Any])

_STAMP = "seqclv.sources"  # beside machine code: of which sources it was made
_kept: list[Any] = []  # functions whose machine code is kept in files


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays at its first call, by numba; numbers are divided as numpy divides them.

    The machine code is kept beside the module or, where that cannot be written, in the user's cache, so that later
    processes need not compile. Where neither can be written, every process compiles for itself.
    """
    return _compiled(function, reorder=False)


def summing(function: F) -> F:
    """`compiled`, for sums whose terms may be added up in any order, so that several are worked out at once."""
    return _compiled(function, reorder=True)


def entry(function: F) -> F:
    """A compiled function as code that is not compiled calls it: damaged or unwritable machine code is done without."""

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception:  # what numba makes of a file that is cut off, or of a full disk, is of many kinds
            if not _kept:
                raise
            _keep_nothing()
            return function(*args)

    return cast("F", call)


def _compiled(function: F, *, reorder: bool) -> F:
    try:
        made = _machine_code(function, keep=True, reorder=reorder)
        _forget_other_sources(Path(made.stats.cache_path))
    except (RuntimeError, OSError):  # there is no place for a cache
        return cast("F", _machine_code(function, keep=False, reorder=reorder))
    _kept.append(made)
    return cast("F", made)


def _machine_code(function: Callable[..., Any], *, keep: bool, reorder: bool) -> Any:
    freedom = {"reassoc", "contract", "nsz"} if reorder else False
    return numba.njit(cache=keep, nogil=True, error_model="numpy", fastmath=freedom)(function)


@cache
def _forget_other_sources(directory: Path) -> None:
    """Remove machine code that was made of other sources than this package's.

    numba looks at the time and size of the function's own file alone, but what it calls in other files is compiled in.
    """
    stamp = directory / _STAMP
    if stamp.is_file() and stamp.read_text() == _sources():
        return
    _remove_from(directory)
    fresh = directory / f"{_STAMP}.{os.getpid()}"  # several processes may do this at once
    fresh.write_text(_sources())
    fresh.replace(stamp)


@cache
def _sources() -> str:
    """The sha256 of all files of this package."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def _keep_nothing() -> None:
    """Compile anew and keep it in memory only; a later process may keep it again."""
    for made in _kept:
        try:
            _remove_from(Path(made.stats.cache_path))
        except OSError:  # they stay where they may not be removed
            pass
        made._cache = NullCache()
    _kept.clear()


def _remove_from(directory: Path) -> None:
    for index in directory.glob("*.nbi"):
        index.unlink(missing_ok=True)
