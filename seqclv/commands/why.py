"""`seqclv why`: which events and attributes moved a forecast."""

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
    parser.add_argument("--cutoff", required=True, metavar="DATE", help="history is strictly before it")
    parser.add_argument("--customer", nargs="+", default=[], metavar="ID", help="explain these; default: the base")
    parser.add_argument("--horizon", type=float, metavar="DAYS", help="default: the one the model was trained for")
    parser.add_argument(
        "--quantity", choices=("spend", "purchases", "churn"), default="spend", help="what is explained; default: spend"
    )
    parser.add_argument("--out", metavar="FILE", help="why.json or why.csv")
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Explain and show."""
    from seqclv.api import why
    from seqclv.scoring import open_model
    from seqclv.value.why import why_text

    bundle = open_model(args.model, tracking_uri=args.tracking_uri)
    document = why(
        bundle,
        with_log_columns(bundle.config, args).data,
        args.cutoff,
        None if args.out is None else Path(args.out),
        announce=console.say,
        customers=tuple(args.customer),
        horizon_days=args.horizon,
        quantity=args.quantity,
    )
    console.show(why_text(document))
    return document
