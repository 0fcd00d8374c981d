"""The errors a user can mend. Each message says the rule, what was found and the remedy, in one sentence."""

from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is wrong: the command line prints the message and exits with status 2."""


def offenders(values: Iterable[object], limit: int = 5) -> str:
    """Name at most `limit` offending values for a message, and say how many more there are."""
    found = [str(value) for value in values]
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest} more" if rest > 0 else "")
