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
    try:
        return _machine_code(function, cache=True)
    except RuntimeError:  # there is no place for a cache
        return _machine_code(function, cache=False)


def _machine_code(function: F, *, cache: bool) -> F:
    made: F = numba.njit(cache=cache, nogil=True, error_model="numpy")(function)  # type: ignore[assignment]
    return made
