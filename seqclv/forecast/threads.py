"""How many threads torch computes with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads_kept() -> Iterator[None]:
    """Give torch its number of threads back at the end: what runs inside may have taken one, the caller's is another.

    Small matrices are worked at with one thread, since a second one costs more than it brings.
    """
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
