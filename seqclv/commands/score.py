"""`seqclv score`: forecast every customer of a log."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, add_tracking_options, with_log_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="M",
        help="a bundle directory, an MLflow URI (models:/name@alias), or prior: the network that needs no training",
    )
    parser.add_argument(
        "--cutoff", required=True, metavar="DATE", help="forecasts start here; history is strictly before it"
    )
    parser.add_argument(
        "--horizons", nargs="+", type=float, metavar="DAYS", help="default: those of the model, 30 90 365"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet file to write")
    parser.add_argument("--engine", choices=("local",), default="local", help="default: local")
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Score and write."""
    from seqclv.data.windows import instant
    from seqclv.scoring import open_model, score_log

    cutoff = instant(args.cutoff)
    bundle = open_model(args.model, tracking_uri=args.tracking_uri)
    config = with_log_columns(bundle.config, args)
    horizons = args.horizons or list(config.horizons_days)
    scored = score_log(
        bundle, config.data, cutoff, horizons, Path(args.out), announce=console.say, progress=console.customers
    )
    console.show(scored.summary.render())
    console.show(f"\n{scored.rows:,} forecasts of {scored.customers:,} customers are in {args.out}")
    return {
        "out": args.out,
        "customers": scored.customers,
        "rows": scored.rows,
        "totals": scored.summary.totals(),
        "manifest": scored.manifest,
    }
