"""Sources and files as feeds: which of them may still be fed, and how a sentence names them.

Without watched columns the feed of a row is the file, or the table of a database or a lake, that it comes from; of an
entry of `sources` its name or number stands before it. Each such entry is a feed as a whole, and each of its files is
one. Files follow one another: a file is finished where the middle row of another file of its source is of a later day
than its last. The middle, because late rows fall into the days of the file before.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqclv.data.database import quoted
from seqclv.data.events import IntArray
from seqclv.data.watch import Silence

MARK = "\x1f"  # between a source and its file


@dataclass(frozen=True)
class Daily:
    """The days (since 1970-01-01, rising) on which a feed has rows, and how many."""

    days: IntArray
    rows: IntArray

    @property
    def middle(self) -> int:
        """The day of the middle row."""
        return int(self.days[np.searchsorted(np.cumsum(self.rows), self.rows.sum() / 2)])


def of_source(source: str, place: str) -> str:
    """SQL of the feed of a source's rows; `place` is that of their file or table."""
    return f"{quoted(source + MARK)} || {place}"


def source_of(feed: str) -> str:
    """SQL of the source of a feed as a feed without a file; NULL where it has none."""
    mark = quoted(MARK)
    return f"CASE WHEN contains({feed}, {mark}) THEN split_part({feed}, {mark}, 1) || {mark} END"


def named(feed: str) -> str:
    """A file or table as a sentence names it."""
    source, mark, place = feed.rpartition(MARK)
    shown = place if place.endswith("'") else f"file '{place}'"  # of a table the place is a phrase
    return f"{shown} of source '{source}'" if mark else shown


@dataclass(frozen=True)
class Fed:
    """The feeds that may be fed still."""

    days: dict[str, IntArray]  # by name
    source: dict[str, str]  # name of the source by name of the file

    def silent(self, found: Mapping[str, Silence]) -> dict[str, Silence]:
        """Silent feeds without the files of silent sources: these are silent for that reason."""
        return {name: silence for name, silence in found.items() if self.source.get(name) not in found}


def may_be_fed(feeds: Mapping[str, Daily]) -> Fed:
    """All sources, where there are several, and the files that are not finished."""
    groups: dict[str | None, dict[str, Daily]] = defaultdict(dict)
    for feed, daily in feeds.items():
        before, mark, _ = feed.rpartition(MARK)
        groups[before if mark else None][feed] = daily
    fed = Fed({}, {})
    for source, files in groups.items():
        name: str | None = None
        if source is not None and len(groups) > 1:
            name = _source_named(source, files)
            fed.days[name] = np.unique(np.concatenate([daily.days for daily in files.values()]))
        if name is None or len(files) > 1:
            latest = max(daily.middle for daily in files.values())
            going_on = {named(feed): daily.days for feed, daily in files.items() if daily.days[-1] >= latest}
            fed.days.update(going_on)
            fed.source.update({} if name is None else dict.fromkeys(going_on, name))
    return fed


def _source_named(source: str, files: Mapping[str, Daily]) -> str:
    """A source as a sentence names it, with the file or table that it was fed by last."""
    _, _, place = max((int(daily.days[-1]), feed) for feed, daily in files.items())[1].rpartition(MARK)
    return f"source '{source}' ({named(place)})" if place else f"source '{source}'"
