"""Who is left out because they object to being profiled, and ids that stand under a pseudonym.

Both hold for a customer as a whole: an objection in any line, or in the customers table, removes all lines, rejected
ones and those that a filter leaves out included. The ids are those after identities were merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from seqclv.config import DataConfig
from seqclv.data.columns import BLANKS, as_text
from seqclv.data.database import quoted, run, without_statistics
from seqclv.data.identities import TABLE as IDENTITY
from seqclv.data.sources import Relation, relations
from seqclv.errors import InputError
from seqclv.pseudonyms import PseudonymKey

TABLE = "unprofiled"  # column: customer; made for every log, empty where nobody objects
FORGOTTEN = "forgotten"  # column: customer; whom `seqclv.data.forgetting` removes, empty else
TELLING_BYTES = 6  # an id this long does not stand in other text by chance
MAY_BE_PROFILED = ("", "0", "0.0", "false", "f", "no", "n")  # anything else is an objection
REJECT_COLUMN = "customer_id"  # all that is kept of a rejected row where ids are pseudonyms


@dataclass(frozen=True)
class Objections:
    """How much was left out."""

    customers: int = 0
    rows: int = 0


def objects(relation: Relation, column: str | None) -> str:
    """SQL that tells whether a row objects; false where its relation has no such column."""
    if column is None or column not in relation.names:
        return "false"
    words = ", ".join(quoted(word) for word in MAY_BE_PROFILED)
    return f"coalesce(lower(trim({as_text(relation, column)}, {BLANKS})) NOT IN ({words}), false)"


def load_objections(
    connection: duckdb.DuckDBPyConnection, data: DataConfig, sources: Sequence[Relation], *, required: bool
) -> None:
    """Make the table `unprofiled` of those who object in the customers table; those of the log join it later.

    Raises:
        InputError: the column is required, and neither the log nor the customers table has it.
    """
    make_tables(connection)
    column, customers = data.do_not_profile, data.customers
    if column is None:
        return
    databases = [] if customers is None or customers.sql is None else [customers.sql]
    tables = []
    if customers is not None:
        tables = relations(connection, customers.files, (customers.customer_id,), databases, "customers table")
    if required and not any(column in one.names for one in (*sources, *tables)):
        raise InputError(
            f"Whoever must not be profiled is named in column '{column}', but neither the log nor a customers table "
            "has it: add it, or change do_not_profile."
        )
    for relation in tables:
        if customers is None or customers.customer_id not in relation.names:
            continue  # refused with the other columns of the table
        cells = f"{as_text(relation, customers.customer_id)} AS customer, {objects(relation, column)} AS objects"
        with without_statistics(connection):
            run(connection, f"CREATE TABLE said AS SELECT {cells} FROM {relation.scan}")
        found = "SELECT customer FROM said WHERE objects"
        if data.identities is not None:
            found = f"SELECT coalesce(new, customer) AS customer FROM ({found}) LEFT JOIN {IDENTITY} ON customer = old"
        run(connection, f"INSERT INTO {TABLE} SELECT pseudonym(customer) FROM ({found}) WHERE customer IS NOT NULL")
        run(connection, "DROP TABLE said")


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of who is left out, still empty."""
    for name in (TABLE, FORGOTTEN):
        run(connection, f"CREATE TABLE {name} (customer VARCHAR)")


def mentions_forgotten(text: str) -> str:
    """SQL that tells whether a text holds the id of somebody who is forgotten; digits beside a digit are another id."""
    first, last = (f"CASE WHEN {end}(customer, 1) BETWEEN '0' AND '9' THEN" for end in ("left", "right"))
    alone = (
        f"coalesce({first} '(^|[^0-9])' END, '') || regexp_escape(customer) || coalesce({last} '($|[^0-9])' END, '')"
    )
    held = f"strlen(customer) >= {TELLING_BYTES} AND contains({text}, customer) AND regexp_matches({text}, {alone})"
    return f"EXISTS (SELECT 1 FROM {FORGOTTEN} WHERE {held} OR {text} = customer)"


def leave_out(connection: duckdb.DuckDBPyConnection) -> Objections:
    """Remove the rows of customers who object from the table `staged`, and count them."""
    own = "SELECT customer FROM staged WHERE objects AND customer IS NOT NULL"
    run(connection, f"CREATE OR REPLACE TABLE {TABLE} AS SELECT customer FROM {TABLE} UNION {own}")
    [(customers, rows)] = run(
        connection, f"SELECT count(DISTINCT customer), count(*) FROM staged SEMI JOIN {TABLE} USING (customer)"
    )
    if rows:
        run(connection, f"DELETE FROM staged WHERE customer IN (SELECT customer FROM {TABLE})")
    run(connection, "ALTER TABLE staged DROP COLUMN objects")
    return Objections(int(customers), int(rows))


def set_key(connection: duckdb.DuckDBPyConnection, data: DataConfig, key: PseudonymKey) -> None:
    """Let the macro `pseudonym` hash with a key, which stays in the memory of the connection.

    Raises:
        InputError: the ids would stay legible in another column that is kept.
    """
    kept = {*data.attributes[0], *data.attributes[1], *data.match_on, *data.watch}
    columns = {data.customer_id}
    for source in data.sources:
        kept |= {*source.numeric.values(), *source.categorical.values()}
        columns |= {source.customer_id} if source.customer_id else set()
    if data.customers is not None:
        kept |= {*data.customers.numeric.values(), *data.customers.categorical.values()}
        columns |= {data.customers.customer_id}
    legible = sorted(columns & kept)
    if legible:
        raise InputError(
            f"Ids under a pseudonym must be legible nowhere, but '{legible[0]}' is kept as it is, too: leave it out of "
            "attributes, match_on and watch."
        )
    inner, outer = (pad.hex() for pad in key.pads)
    run(connection, f"SET VARIABLE pseudonym_inner = from_hex('{inner}')")
    run(connection, f"SET VARIABLE pseudonym_outer = from_hex('{outer}')")
    within = "from_hex(sha256(getvariable('pseudonym_inner') || encode(text)))"
    run(
        connection,
        f"CREATE OR REPLACE TEMP MACRO pseudonym(text) AS sha256(getvariable('pseudonym_outer') || {within})",
    )


def under_pseudonyms(rows: str) -> str:
    """SQL of staged rows whose ids are pseudonyms, and of which nothing else tells the id.

    Of a rejected row the pseudonym alone is kept: a cell may have slipped into any column. The hash of a whole row
    would let anybody test a guess at the id, so it is hashed with the key.
    """
    keyed = "CAST('0x' || left(pseudonym(CAST(row_hash AS VARCHAR)), 16) AS UBIGINT)"
    raw = "CASE WHEN raw IS NOT NULL THEN [pseudonym(customer)] END"
    changed = f"pseudonym(customer) AS customer, {keyed} AS row_hash, {raw} AS raw"
    return f"SELECT legible.* REPLACE ({changed}) FROM ({rows}) AS legible"
