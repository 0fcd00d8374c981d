"""`seqclv newcomers`: what new customers bring, and customers who have not bought yet."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, config_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--cutoff", required=True, metavar="DATE", help="newcomers before it are looked at")
    parser.add_argument(
        "--horizons",
        nargs="+",
        type=float,
        metavar="DAYS",
        default=[30.0, 90.0, 365.0],
        help="counted from the first purchase; default: 30 90 365",
    )
    parser.add_argument(
        "--by", nargs="*", metavar="ATTRIBUTE", help="attributes of customers, the weightiest first; default: all"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="Parquet file with a row for each customer of the table who has no event"
    )
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Forecast and show."""
    from seqclv.api import newcomers

    out = None if args.out is None else Path(args.out)
    document = newcomers(
        config_of(args).data,
        args.cutoff,
        out,
        announce=console.say,
        horizons_days=args.horizons,
        by=None if args.by is None else tuple(args.by),
    )
    console.show(_text(document))
    if out is not None:
        console.show(f"\n{document['prospects']:,} customers without a purchase are in {out}")
    return document


def _text(document: dict[str, Any]) -> str:
    lines = [f"{'new customers':<36}{'days':>6}{'alike':>9}{'purchases':>11}{'spend':>12}{'nine in ten':>24}"]
    for row in document["profiles"]:
        name = ", ".join(f"{key}={value or chr(45)}" for key, value in row["profile"].items()) or "all"
        width = f"{row['spend_q05']:,.2f} - {row['spend_q95']:,.2f}"
        lines.append(
            f"{name[:35]:<36}{row['horizon_days']:>6g}{row['newcomers_alike']:>9,.0f}"
            f"{row['expected_transactions']:>11.2f}{row['expected_spend']:>12,.2f}{width:>24}"
        )
    for row in document["check"]:
        spend, actual = row["spend"]["forecast"], row["spend"]["actual"]
        off = f"{spend / actual - 1:+.1%}" if actual > 0 else "-"
        lines.append(
            f"checked on {row['customers']:,} new customers of {row['months']} earlier months, {row['horizon_days']:g} "
            f"days: spend {off}, {row['spend_coverage_90']:.0%} within the nine-in-ten range"
        )
    return "\n".join(lines)
