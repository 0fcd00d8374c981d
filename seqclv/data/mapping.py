"""Several sources of events in one log: what each calls its columns, in one form for all that follows.

A source becomes relations beside a `DataConfig` of the flat form that names their columns; attributes stand in the
order of the whole log's. What a source lacks (an attribute of another source, amounts of reviews) and what it states
for all its rows (every_row_is, the names of types) are added to its relations as columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb

from seqclv.config import DataConfig, SourceConfig, SqlConfig
from seqclv.credentials import without_credentials
from seqclv.data import sql as database
from seqclv.data.columns import as_text, needed_columns, require_columns
from seqclv.data.database import quoted
from seqclv.data.feeds import of_source
from seqclv.data.filters import columns_in, left_out
from seqclv.data.frames import column_names, to_table
from seqclv.data.sources import Relation, relations, table_relation
from seqclv.errors import InputError

if TYPE_CHECKING:
    from seqclv.data.frames import Frame


@dataclass(frozen=True)
class Source:
    """Rows of equal columns, and what these are called."""

    relation: Relation
    columns: DataConfig  # flat; as many numeric and categorical columns as the whole log has attributes
    original: tuple[str, ...]  # names of the columns that the source itself has


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """The sources of a log and the one form that they take."""

    sources: tuple[Source, ...]
    data: DataConfig  # flat; numeric and categorical name the log's attributes

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Names of files in the directories of the log that are no data files, sorted."""
        return tuple(sorted({path.name for one in self.sources for path in one.relation.passed_over}))

    @property
    def originals(self) -> tuple[str, ...]:
        """Columns of all sources, each once, in the order in which they are met."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.original))


def mapped_log(connection: duckdb.DuckDBPyConnection, data: DataConfig) -> Mapped:
    """Open all sources of a log.

    Raises:
        InputError: a source cannot be read, or lacks a column that is named.
    """
    found = []
    for i, source in enumerate(data.sources or (_short_form(data),), start=1):
        columns = _flat(data, source)
        files, databases = _places(data, source)
        opened = relations(connection, files, needed_columns(columns), databases)
        if data.sources:
            opened = [replace(one, feed=of_source(source.name or str(i), one.feed)) for one in opened]
        found += [(source, columns, one) for one in opened]
    if not data.require_columns:  # a model is applied: what its own log had need not be there
        data = replace(data, watch=_shared(data, data.watch, found))
        found = [(source, replace(columns, watch=_flat(data, source).watch), one) for source, columns, one in found]
    return _mapped(connection, data, found)


def mapped_frame(
    connection: duckdb.DuckDBPyConnection, frame: "Frame", data: DataConfig, origin: str = "the table"
) -> Mapped:
    """A log in memory, in the flat form; `origin` names it in messages.

    Raises:
        InputError: it is no table, or lacks a column that is named.
    """
    if data.sources:
        raise InputError("A log in memory is one table, but the configuration names sources: map its columns instead.")
    source = _short_form(data)
    asked = asked_columns(connection, data, column_names(frame))
    relation = table_relation(connection, to_table(frame, asked), origin)
    return _mapped(connection, data, [(source, _flat(data, source), relation)])


def asked_columns(connection: duckdb.DuckDBPyConnection, data: DataConfig, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of a log of the flat form that are looked at; `names` are those it has.

    Raises:
        InputError: a filter is no expression.
    """
    asked = list(needed_columns(data))
    if not data.require_columns:
        asked = [name for name in asked if name in names or name not in _dispensable(data)]
    asked += [name for name in names if name == data.do_not_profile and name not in asked]
    if data.where is not None:
        filtered = {name.casefold() for name in columns_in(connection, data.where)}
        asked += [name for name in names if name.casefold() in filtered and name not in asked]
    return tuple(asked)


def named_places(data: DataConfig) -> list[str]:
    """Files and URLs of a log as the user names them."""
    of_sources = [[source.sql.url] if source.sql is not None else source.files for source in data.sources]
    return [*data.transactions, *(place for places in of_sources for place in places)]


def _short_form(data: DataConfig) -> SourceConfig:
    """The flat form as a source; `files` stands for all of `data.transactions`."""
    return SourceConfig(
        files=data.transactions or ("the table",),
        amount=data.amount,
        types=data.types,
        numeric={name: name for name in data.numeric},
        categorical={name: name for name in data.categorical},
        where=data.where,
    )


def _places(data: DataConfig, source: SourceConfig) -> tuple[list[str], list[SqlConfig]]:
    """Files and databases of a source."""
    if source.sql is not None:
        return [], [source.sql]
    if data.sources:
        urls = [place for place in source.files if database.is_database(place)]
        if urls:
            raise InputError(
                f"A database is named by sql, but files says '{without_credentials(urls[0])}': write sql: {{url: ...}}."
            )
        return list(source.files), []
    urls = [place for place in source.files if database.is_database(place)]
    asked = data.query is not None or data.table is not None
    if urls and not asked:
        shown = without_credentials(urls[0])
        raise InputError(f"A database must be asked for something, but '{shown}' is not: add --table or --query.")
    if asked and not urls:
        raise InputError("--query and --table ask a database, but --transactions names none: give its URL.")
    files = [place for place in source.files if place not in urls]
    return files, [SqlConfig(url=url, query=data.query, table=data.table) for url in urls]


def _flat(data: DataConfig, source: SourceConfig) -> DataConfig:
    """The columns of a source; what it does not say is as in the rest of the data section."""
    return replace(
        data,
        sources=(),
        customer_id=source.customer_id or data.customer_id,
        timestamp=source.timestamp or data.timestamp,
        amount=source.amount or data.amount,
        event_type=None if source.every_row_is is not None else source.event_type or data.event_type,
        timestamp_format=source.timestamp_format or data.timestamp_format,
        decimal=source.decimal or data.decimal,
        numeric=tuple(source.numeric.values()),
        categorical=tuple(source.categorical.values()),
        match_on=tuple(source.categorical.get(name, name) for name in data.match_on),
        watch=tuple(source.categorical.get(name, name) for name in data.watch),
    )


def _dispensable(columns: DataConfig) -> set[str]:
    """Columns that may be missing when a model is applied."""
    return {*columns.numeric, *columns.categorical, *([columns.event_type] if columns.event_type else [])}


def _mapped(
    connection: duckdb.DuckDBPyConnection,
    data: DataConfig,
    found: Sequence[tuple[SourceConfig, DataConfig, Relation]],
) -> Mapped:
    numeric, categorical = data.attributes
    if not data.require_columns:  # an attribute that no source has is left out
        there = [{**source.numeric, **source.categorical} for source, _, _ in found]
        has = {n for names, (_, _, one) in zip(there, found, strict=True) for n, c in names.items() if c in one.names}
        numeric, categorical = (tuple(n for n in names if n in has) for names in (numeric, categorical))
    _require_shared(data, found)
    sources = tuple(
        _adapted(connection, one, source, columns, (numeric, categorical)) for source, columns, one in found
    )
    return Mapped(sources=sources, data=replace(data, sources=(), numeric=numeric, categorical=categorical))


def _require_shared(data: DataConfig, found: Sequence[tuple[SourceConfig, DataConfig, Relation]]) -> None:
    """The columns of match_on and watch: one table has all of them, of several sources one has each."""
    names = (*data.match_on, *data.watch)
    for name in names:
        if name not in _shared(data, names, found):
            lacking = [one.origin for source, _, one in found if source.categorical.get(name, name) not in one.names]
            where = "no source has it" if data.sources else f"{lacking[0]} lacks it"
            raise InputError(f"match_on and watch must name columns of the log, but of '{name}' {where}: name another.")


def _shared(
    data: DataConfig, names: Sequence[str], found: Sequence[tuple[SourceConfig, DataConfig, Relation]]
) -> tuple[str, ...]:
    """Those of the columns of match_on or watch that one table has in all its parts, or one of several sources."""
    enough = any if data.sources else all
    return tuple(n for n in names if enough(source.categorical.get(n, n) in one.names for source, _, one in found))


def _adapted(
    connection: duckdb.DuckDBPyConnection,
    relation: Relation,
    source: SourceConfig,
    columns: DataConfig,
    attributes: tuple[Sequence[str], Sequence[str]],
) -> Source:
    """A relation that has a column for everything, and the names of these columns."""
    original = relation.names
    if not columns.require_columns:
        columns = _without(columns, _dispensable(columns) - set(original))
    without_amount = source.amount is None and columns.amount not in original
    require_columns(relation, replace(columns, match_on=(), watch=()), amount=not without_amount)
    if without_amount:
        relation, name = with_column(relation, "no amount", "CAST(NULL AS DOUBLE)", "DOUBLE")
        columns = replace(columns, amount=name)
    if source.where is not None:
        out = left_out(connection, source.where, relation.scan, relation.names, relation.origin)
        relation = replace(relation, left_out=out)
    relation, kind = _with_kind(relation, source, columns)
    relation, numeric = _with_attributes(relation, source.numeric, attributes[0], "DOUBLE")
    relation, categorical = _with_attributes(relation, source.categorical, attributes[1], "VARCHAR")
    relation, match_on = _with_attributes(relation, {n: n for n in columns.match_on}, columns.match_on, "VARCHAR")
    relation, watch = _with_attributes(relation, {n: n for n in columns.watch}, columns.watch, "VARCHAR")
    columns = replace(columns, event_type=kind, numeric=numeric, categorical=categorical)
    return Source(relation, replace(columns, match_on=match_on, watch=watch), original)


def _without(columns: DataConfig, missing: set[str]) -> DataConfig:
    return replace(
        columns,
        event_type=None if columns.event_type in missing else columns.event_type,
        numeric=tuple(name for name in columns.numeric if name not in missing),
        categorical=tuple(name for name in columns.categorical if name not in missing),
    )


def _with_kind(relation: Relation, source: SourceConfig, columns: DataConfig) -> tuple[Relation, str | None]:
    """The column with the kind of event, in the names that the log uses."""
    if source.every_row_is is not None:
        return with_column(relation, "kind of event", quoted(source.every_row_is), "VARCHAR")
    if columns.event_type is None or not source.types:
        return relation, columns.event_type
    written = as_text(relation, columns.event_type)
    cases = " ".join(f"WHEN {quoted(code)} THEN {quoted(name)}" for code, name in source.types.items())
    return with_column(relation, "kind of event", f"CASE {written} {cases} ELSE {written} END", "VARCHAR")


def _with_attributes(
    relation: Relation, mapping: Mapping[str, str], attributes: Sequence[str], kind: str
) -> tuple[Relation, tuple[str, ...]]:
    """The columns of the log's attributes in their order; one that the source lacks is missing in all its rows."""
    names = []
    for attribute in attributes:
        name = mapping.get(attribute)
        if name is None or name not in relation.names:
            relation, name = with_column(relation, f"no {attribute}", f"CAST(NULL AS {kind})", kind)
        names.append(name)
    return relation, tuple(names)


def with_column(relation: Relation, name: str, value: str, kind: str) -> tuple[Relation, str]:
    """A relation with one more column, and the name it got: the given one, or one that is still free."""
    while name in relation.names:
        name += "_"
    scan = f"(SELECT *, {value} AS c{len(relation.names)} FROM {relation.scan})"
    return replace(relation, scan=scan, names=(*relation.names, name), types=(*relation.types, kind)), name
