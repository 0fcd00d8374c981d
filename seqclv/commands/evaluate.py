"""`seqclv evaluate`: compare a model with all baselines on a held-out future."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, add_tracking_options, with_log_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--model", required=True, metavar="M", help="a bundle directory or an MLflow URI (models:/name@alias)"
    )
    parser.add_argument("--cutoff", required=True, metavar="DATE", help="begin of the held-out window")
    parser.add_argument("--horizon", type=float, required=True, metavar="DAYS", help="length of the held-out window")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory for metrics, forecasts and plots")
    parser.add_argument("--baseline-forecasts", action="store_true", help="also write forecasts-<model>.parquet")
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Compare and show."""
    from seqclv.comparison import text_table
    from seqclv.data.windows import instant
    from seqclv.pipeline import evaluate
    from seqclv.scoring import open_model

    bundle = open_model(args.model, tracking_uri=args.tracking_uri)
    document = evaluate(
        bundle,
        with_log_columns(bundle.config, args).data,
        instant(args.cutoff),
        args.horizon,
        Path(args.out),
        baseline_forecasts=args.baseline_forecasts,
        announce=console.say,
    )
    console.show(text_table(document))
    console.show(f"\nMetrics, forecasts and plots are in {args.out}")
    return {"out": args.out, **document}
