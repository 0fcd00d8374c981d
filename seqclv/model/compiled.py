"""Machine code for loops that torch's operations on whole tensors are too coarse for."""

from collections.abc import Callable
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
    try:
        return _machine_code(function, cache=True, reorder=reorder)
    except RuntimeError:  # there is no place for a cache
        return _machine_code(function, cache=False, reorder=reorder)


def _machine_code(function: F, *, cache: bool, reorder: bool) -> F:
    freedom = {"reassoc", "contract", "nsz"} if reorder else False
    made: F = numba.njit(cache=cache, nogil=True, error_model="numpy", fastmath=freedom)(  # type: ignore[assignment]
        function
    )
    return made
