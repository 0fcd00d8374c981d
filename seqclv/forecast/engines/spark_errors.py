"""What Spark refuses because the input is wrong, in plain words: of all else it keeps its own exception."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from seqclv.credentials import without_credentials
from seqclv.errors import InputError

_OURS = re.compile(r"^seqclv\.errors\.InputError: (.+)$", re.MULTILINE)  # raised by a worker
_FILE = re.compile(r"\[(?:FAILED_READ_FILE|CANNOT_READ_FILE)[^\]]*\] .+")
_TYPES = re.compile(r"Failed to merge incompatible data types (\S+ and \S+)\.")
_DRESSING = re.compile(r"^(?:[\w.$]+(?:Exception|Error): )?(?:\[[\w.]+\] )?| *SQLSTATE: \w+\.?$")


@contextmanager
def in_plain_words(*, opening: bool = False) -> Iterator[None]:
    """Turn Spark's errors about the log into an `InputError`.

    Args:
        opening: whether the log is only being opened: then any error of Java's is about where it lies.

    Raises:
        InputError: the log cannot be read, or a worker raised one.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import AnalysisException, IllegalArgumentException, PythonException

    try:
        yield
    except (AnalysisException, IllegalArgumentException) as error:
        raise _refusal(first_line(error)) from error
    except (Py4JJavaError, PythonException) as error:
        said = _java(error)
        ours, unread = _OURS.search(said), _FILE.search(said)
        if ours:
            raise InputError(ours[1]) from error
        if not unread and not (opening and isinstance(error, Py4JJavaError)):
            raise
        mixed = _TYPES.search(said)
        if mixed:
            raise InputError(
                f"Files behind one address must hold a column as one type for --engine spark, but one is {mixed[1]}: "
                "convert the files, or name those of either type by addresses of their own."
            ) from error
        raise _refusal(unread[0] if unread else said) from error


def first_line(error: Exception) -> str:
    """What an error says first, without its full stop."""
    return _plain(str(error) or type(error).__name__)


def _java(error: Exception) -> str:
    """What Java's exception says; around it Python's says only which call it came from."""
    return str(error).partition("\n: ")[2] or str(error)


def _refusal(said: str) -> InputError:
    said = without_credentials(_plain(said))
    if "NANOS" in said:
        return InputError(
            f"--engine spark reads timestamps of microseconds, but the log has such of nanoseconds ({said}): write "
            "microseconds or use --engine local."
        )
    return InputError(f"A log must be readable by Spark, but: {said}.")


def _plain(text: str) -> str:
    line = text.strip().splitlines()[0]
    return _DRESSING.sub("", line).strip().rstrip(".")
