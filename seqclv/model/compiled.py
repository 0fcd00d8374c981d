"""Machine code for loops that torch's operations on whole tensors are too coarse for."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays at its first call, by numba; numbers are divided as numpy divides them.

    The machine code is kept beside the module or, where that cannot be written, in the user's cache, so that later
    processes need not compile. Where neither can be written, every process compiles for itself.
    """
    return _compiled(function, reorder=False)


def summing(function: F) -> F:
    """`compiled`, for sums whose terms may be added up in any order, so that several are worked out at once."""
    return _compiled(function, reorder=True)


def _compiled(function: F, *, reorder: bool) -> F:
    _forget_stale(function)
    try:
        return _machine_code(function, keep=True, reorder=reorder)
    except RuntimeError:  # there is no place for a cache
        return _machine_code(function, keep=False, reorder=reorder)


def _machine_code(function: F, *, keep: bool, reorder: bool) -> F:
    freedom = {"reassoc", "contract", "nsz"} if reorder else False
    made: F = numba.njit(cache=keep, nogil=True, error_model="numpy", fastmath=freedom)(  # type: ignore[assignment]
        function
    )
    return made


def _forget_stale(function: Callable[..., Any]) -> None:
    """Remove machine code that is older than any file of this package.

    numba looks at the function's own file alone, but what it calls in other files is compiled into it.
    """
    file = Path(function.__code__.co_filename)
    for kept in (file.parent / "__pycache__").glob(f"{file.stem}.{function.__qualname__}-*.nbi"):
        if kept.stat().st_mtime < _newest_source():
            kept.unlink(missing_ok=True)


@cache
def _newest_source() -> float:
    return max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
