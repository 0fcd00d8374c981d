"""Lists on disk: CSV or Parquet, one file for each list, with the budget curve beside them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seqclv.files import whole_directory
from seqclv.value.budget import BudgetCurve, budget_chart
from seqclv.value.columns import LISTS
from seqclv.value.lists import CAUTION, ListPlan, summary

FORMATS = ("csv", "parquet")


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


def _write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".csv":
        pacsv.write_csv(table, path)
    else:
        pq.write_table(table, path)
