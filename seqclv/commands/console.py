"""What a command says: results on standard output, progress and warnings on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm


@dataclass(frozen=True)
class Console:
    """`--quiet` silences all but warnings; `--json` keeps standard output for the machine-readable summary."""

    quiet: bool = False
    json: bool = False
    check: "Callable[[], None]" = lambda: None  # raises where the user has interrupted the work

    def say(self, text: str) -> None:
        """Tell how the work goes; a text that begins with 'warning:' is told even where the rest is silenced."""
        self.check()
        if not self.quiet or text.startswith("warning:"):
            print(f"· {text}", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """Show a result."""
        if self.json:
            if not self.quiet:
                print(text, file=sys.stderr)
        else:
            print(text, flush=True)

    @contextmanager
    def customers(self, total: int) -> "Iterator[Callable[[int], None]]":
        """A progress bar over customers; yields the function that advances it."""
        from tqdm import tqdm

        with tqdm(total=total, desc="scoring", unit=" customers", file=sys.stderr, disable=self.quiet) as bar:
            yield lambda number: self._advance(bar, number)

    def _advance(self, bar: "tqdm[Any]", number: int) -> None:
        self.check()
        bar.update(number)
