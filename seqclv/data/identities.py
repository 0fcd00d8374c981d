"""Merged identities: an old id, or the id of a channel, stands for a customer.

The map is applied to every id of the log and of the customers table. An id may be replaced by one that is replaced in
turn; a circle is refused.
"""

import duckdb

from seqclv.config import IdentitiesConfig
from seqclv.data.columns import as_text
from seqclv.data.database import run, without_statistics
from seqclv.data.sources import relations
from seqclv.errors import InputError, offenders

TABLE = "identity"  # columns: old, new; both VARCHAR, each old once


def load_identities(connection: duckdb.DuckDBPyConnection, identities: IdentitiesConfig) -> None:
    """Read the map into the table `identity`, chains resolved.

    Raises:
        InputError: a file or column is missing, one id stands for two customers, or ids stand for one another.
    """
    selects = []
    databases = [identities.sql] if identities.sql is not None else []
    needed = (identities.from_, identities.to)
    for relation in relations(connection, identities.files, needed, databases, "table of identities"):
        missing = [name for name in needed if name not in relation.names]
        if missing:
            raise InputError(
                f"A table of identities must have the columns {identities.from_} and {identities.to}, but "
                f"{relation.origin} lacks {', '.join(missing)}: name them in data.identities."
            )
        old, new = as_text(relation, identities.from_), as_text(relation, identities.to)
        selects.append(f"SELECT {old} AS old, {new} AS new FROM {relation.scan}")
    with without_statistics(connection):
        run(connection, f"CREATE TABLE rows_of_identities AS {' UNION ALL '.join(selects)}")
    run(
        connection,
        f"CREATE TABLE {TABLE} AS SELECT DISTINCT old, new FROM rows_of_identities "
        "WHERE regexp_matches(old, '\\S') AND regexp_matches(new, '\\S') AND old <> new",
    )
    run(connection, "DROP TABLE rows_of_identities")
    ambiguous = _some(connection, f"SELECT old FROM {TABLE} GROUP BY old HAVING count(*) > 1 ORDER BY old")
    if ambiguous:
        raise InputError(
            f"An id must stand for one customer, but data.identities gives {offenders(ambiguous)} to several: keep one."
        )
    _resolve_chains(connection)


def _some(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [str(row[0]) for row in run(connection, query)]


def _resolve_chains(connection: duckdb.DuckDBPyConnection) -> None:
    """Replace each target by its own target until none has one; every round doubles the steps that were taken."""
    [(size,)] = run(connection, f"SELECT count(*) FROM {TABLE}")
    open_ends = f"SELECT DISTINCT a.new FROM {TABLE} a JOIN {TABLE} b ON a.new = b.old ORDER BY a.new"
    for _ in range(int(size).bit_length() + 1):
        if not _some(connection, f"{open_ends} LIMIT 1"):
            return
        run(
            connection,
            f"CREATE OR REPLACE TABLE {TABLE} AS "
            f"SELECT a.old, coalesce(b.new, a.new) AS new FROM {TABLE} a LEFT JOIN {TABLE} b ON a.new = b.old",
        )
    # More steps than there are ids: whoever is not at an end by now goes round in a circle, and stands on it.
    circle = _some(connection, open_ends)
    if circle:
        raise InputError(
            f"Merged identities must lead to a customer, but {offenders(circle)} stand for one another in a circle: "
            "mend data.identities."
        )


def unmatched(connection: duckdb.DuckDBPyConnection) -> str | None:
    """A warning for a log of which no row names a merged identity; None where there are none."""
    [(size,)] = run(connection, f"SELECT count(*) FROM {TABLE}")
    if not size:
        return None
    return (
        f"none of the {size:,} merged identities of data.identities is in the log: compare them with the log's ids, "
        "and see whether 'from' and 'to' name the right columns."
    )


def relabelled(rows: str) -> str:
    """SQL that gives the rows of a SELECT with a column `customer` their customer, and tells whether it changed."""
    return (
        f"SELECT given.* REPLACE (coalesce({TABLE}.new, customer) AS customer), {TABLE}.new IS NOT NULL AS relabelled "
        f"FROM ({rows}) AS given LEFT JOIN {TABLE} ON customer = {TABLE}.old"
    )
