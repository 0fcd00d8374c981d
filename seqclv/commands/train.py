"""`seqclv train`: train on a log, compare on the held-out future, log and register."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import (
    add_config_options,
    add_devices_option,
    add_log_options,
    add_output_options,
    add_start_option,
    add_tracking_options,
    config_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--cutoff", metavar="DATE", help="train before it; default: the log's end less the horizon")
    parser.add_argument("--horizon", type=float, metavar="DAYS", help="held-out window; default: a quarter of the log")
    parser.add_argument("--name", metavar="NAME", help="of the registered model; default: seqclv")
    parser.add_argument("--out", metavar="DIR", help="also leave the bundle, metrics, forecasts and plots here")
    add_tracking_options(parser)
    add_start_option(parser)
    add_devices_option(parser)
    add_log_options(parser, required=False)
    add_config_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Train and show the comparison and the verdict."""
    from dataclasses import replace

    from seqclv.comparison import text_table
    from seqclv.pipeline import train

    config = config_of(args)
    if args.name is not None:
        config = replace(config, tracking=replace(config.tracking, model_name=args.name))
    if args.cutoff is not None:
        config = replace(config, cutoff=args.cutoff)
    if args.horizon is not None:
        config = replace(config, horizon_days=args.horizon)
    trained = train(config, out=None if args.out is None else Path(args.out), quiet=args.quiet, announce=console.say)
    console.show(text_table(trained.metrics))
    console.show("")
    for line in (*trained.verdict, trained.learned):
        console.show(line)
    return trained.summary()
