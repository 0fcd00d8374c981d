"""`seqclv lists`: whom to contact, whom to develop, whom to leave alone."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_output_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--values", required=True, metavar="FILE", help="a table that `seqclv value` wrote")
    parser.add_argument("--contacts", type=int, required=True, metavar="N", help="the budget of each list")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory for the lists and the budget curve")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="default: csv")
    parser.add_argument(
        "--sql",
        metavar="URL",
        help="insert or update the lists in a database, too: postgresql://user@host/name, or env:NAME that holds it",
    )
    parser.add_argument(
        "--out-table", "--table", dest="table", default="lists", metavar="NAME", help="of the database; default: lists"
    )
    parser.add_argument("--horizon", type=float, metavar="DAYS", help="default: the longest of the table")
    parser.add_argument(
        "--control-share", type=float, default=0.0, metavar="SHARE", help="left alone at random; default: 0"
    )
    parser.add_argument("--contact-cost", type=float, default=0.0, metavar="MONEY", help="of one contact; default: 0")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the control group; default: 0")
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Make the lists and write them."""
    from seqclv.value.budget import budget_curve
    from seqclv.value.export import send_lists, write_lists
    from seqclv.value.lists import CAUTION, ListPlan, make_lists

    plan = ListPlan(
        contacts=args.contacts,
        control_share=args.control_share,
        contact_cost=args.contact_cost,
        horizon_days=args.horizon,
        seed=args.seed,
    )
    values = Path(args.values)
    table = make_lists(values, plan)
    rows = write_lists(table, budget_curve(values, args.horizon), plan, Path(args.out), file_format=args.format)
    sent = None if args.sql is None else send_lists(table, args.sql, args.table)
    console.show(f"{'list':<16}{'group':<10}{'customers':>10}{'value':>16}{'at risk':>16}")
    for row in rows:
        console.show(
            f"{row['list']:<16}{row['group'] or 'nobody':<10}{row['customers']:>10,}{row['value']:>16,.2f}"
            f"{row['value_at_risk']:>16,.2f}"
        )
    console.show(f"\n{CAUTION}\nThe lists are in {args.out}{'' if sent is None else f' and in {sent}'}")
    return {"out": args.out, "database": sent, "lists": rows, "caution": CAUTION}
