"""Lists on disk, CSV or Parquet, one file for each list, with the budget curve beside them; and in a database."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seqclv.files import whole_directory
from seqclv.forecast.database import DatabaseSink, Rows, named_url
from seqclv.value.budget import BudgetCurve, budget_chart
from seqclv.value.columns import LIST_SCHEMA, LISTS
from seqclv.value.lists import CAUTION, ListPlan, summary

FORMATS = ("csv", "parquet")
LIST_ROWS = Rows(what="lists", columns=LIST_SCHEMA, alone=True, options=("--sql", "--table"))


def write_lists(
    table: pa.Table, curve: BudgetCurve, plan: ListPlan, out: Path, *, file_format: str = "csv"
) -> list[dict[str, Any]]:
    """Write the directory `out`, which appears whole or not at all; returns the summary of the lists.

    retention.csv, growth.csv, do_not_spend.csv   the lists (or .parquet)
    budget.csv, budget.svg, budget.png            the budget curve
    lists.json                                    counts, money, the plan, and what value at risk does not say
    """
    rows = summary(table, plan)
    with whole_directory(Path(out)) as staging:
        for name in LISTS:
            _write(table.filter(pc.equal(table["list"], name)), staging / f"{name}.{file_format}")
        pacsv.write_csv(curve.table(), staging / "budget.csv")
        figure = budget_chart(curve, plan.contacts)
        for suffix in ("svg", "png"):
            figure.savefig(staging / f"budget.{suffix}")
        document = {"plan": vars(plan), "currency": curve.currency, "lists": rows, "caution": CAUTION}
        (staging / "lists.json").write_text(json.dumps(document, indent=2) + "\n")
    return rows


def send_lists(table: pa.Table, url: str, name: str) -> str:
    """Insert or update the lists in a database's table by customer, cutoff and horizon, in one transaction.

    Rows of the same cutoff and horizon whose customers are on no list any more go; those of others stay.

    Args:
        table: the lists, rows as in `LIST_SCHEMA`.
        url: of SQLAlchemy, or env:NAME that holds it.
        name: of the table, which is made where it is missing.

    Returns:
        Database and table, without user and password.

    Raises:
        InputError: the database cannot be reached, or the table lacks columns or the key.
    """
    sink = DatabaseSink.of(named_url(url), name, LIST_ROWS)
    sink.check()
    sink.write([table], Path(), dict)
    return sink.name


def _write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".csv":
        pacsv.write_csv(table, path)
    else:
        pq.write_table(table, path)
