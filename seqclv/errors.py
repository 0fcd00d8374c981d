"""The errors a user can mend. Each message says the rule, what was found and the remedy, in one sentence."""

from collections.abc import Iterable, Mapping


class InputError(ValueError):
    """The user's input is wrong: the command line prints the message and exits with status 2."""


def offenders(values: Iterable[object], limit: int = 5) -> str:
    """Name at most `limit` offending values for a message, and say how many more there are."""
    found = [str(value) for value in values]
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest} more" if rest > 0 else "")


def counted(reasons: Mapping[str, int]) -> str:
    """How many rows were set aside for which reasons, for a message."""
    return ", ".join(f"{count:,} with {reason}" for reason, count in reasons.items())
