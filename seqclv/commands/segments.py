"""`seqclv segments`: tiers by stages, movements between valuations, segments of one's own."""

import argparse
import json
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_output_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--values", required=True, metavar="FILE", help="a table that `seqclv value` wrote")
    parser.add_argument("--earlier", metavar="FILE", help="an earlier one: show who moved between tiers and stages")
    parser.add_argument(
        "--rescored",
        metavar="FILE",
        help="the same log and cutoff as --values, valued with the earlier model: tells movements of customers "
        "from those of the model",
    )
    parser.add_argument("--segments", metavar="FILE", help="YAML file with expressions under the key segments")
    parser.add_argument("--horizon", type=float, metavar="DAYS", help="default: the longest of the table")
    parser.add_argument("--out", metavar="FILE", help="JSON file to write")
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Compute and show."""
    from seqclv.errors import InputError
    from seqclv.files import whole_file
    from seqclv.value.segments import check_expression, matrix, read_segments, segment_table

    if args.rescored is not None and args.earlier is None:
        raise InputError("--rescored tells apart movements since an earlier valuation: give --earlier too.")
    values = Path(args.values)
    own = read_segments(Path(args.segments)) if args.segments else {}
    for expression in own.values():
        check_expression(expression)
    document: dict[str, Any] = {"matrix": matrix(values, args.horizon), "segments": [], "movements": {}}
    if own:
        document["segments"] = segment_table(values, own, args.horizon).to_pylist()
    moved: list[str] = []
    if args.earlier is not None:
        document["movements"], moved = _movements(args)
    console.show(_matrix_text(document["matrix"]))
    for row in document["segments"]:
        console.show(f"{row['segment']}: {row['label']}  {row['customers']:,} customers, value {row['value']:,.2f}")
    for line in moved:
        console.show(line)
    if args.out is not None:
        with whole_file(Path(args.out)) as staging:
            staging.write_text(json.dumps(document, indent=2) + "\n")
    return document


def _matrix_text(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'tier':<14}{'stage':<10}{'customers':>12}{'value':>18}{'at risk':>18}"]
    lines += [
        f"{row['tier'] or '-':<14}{row['stage']:<10}{row['customers']:>12,}{row['value'] or 0:>18,.2f}"
        f"{row['value_at_risk'] or 0:>18,.2f}"
        for row in rows
    ]
    return "\n".join(lines)


def _movements(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Who moved, for the document and in sentences."""
    from seqclv.value.segments import moved_share, movements

    result: dict[str, Any] = {}
    lines = []
    rescored = None if args.rescored is None else Path(args.rescored)
    for column in ("tier", "stage"):
        rows = movements(
            Path(args.earlier), Path(args.values), rescored=rescored, column=column, horizon_days=args.horizon
        )
        shares = {cause: moved_share(rows, cause) for cause in dict.fromkeys(row["cause"] for row in rows)}
        result[column] = {"rows": rows, "moved_share": shares}
        for cause, share in shares.items():
            why = "behaviour and model together" if cause == "both" else cause
            lines.append(f"{share:.1%} of the customers in both valuations changed their {column} ({why})")
    return result, lines
