"""`seqclv backtest`: the whole honest experiment from a raw log."""

import argparse
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import (
    add_config_options,
    add_devices_option,
    add_log_options,
    add_output_options,
    add_start_option,
    config_of,
)
from seqclv.comparison import FURTHER_BASELINES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--cutoff", nargs="+", required=True, metavar="DATE", help="train before it, judge after it; several"
    )
    parser.add_argument("--horizon", type=float, required=True, metavar="DAYS", help="length of the held-out window")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory for bundles, forecasts and metrics")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="S", help="repeat with these seeds")
    parser.add_argument("--baseline-forecasts", action="store_true", help="also write forecasts-<model>.parquet")
    parser.add_argument(
        "--further-baselines", nargs="+", default=[], choices=FURTHER_BASELINES, help="compare with these as well"
    )
    parser.add_argument("--keep-scores", action="store_true", help="also write scores.npz: what the metrics come from")
    add_start_option(parser)
    add_devices_option(parser)
    add_log_options(parser, required=False)
    add_config_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the backtest and show the comparison."""
    from seqclv.api import backtest
    from seqclv.comparison import text_table

    pooled = backtest(
        config_of(args),
        args.cutoff,
        args.horizon,
        args.out,
        seeds=args.seeds,
        quiet=args.quiet,
        announce=console.say,
        baseline_forecasts=args.baseline_forecasts,
        further_baselines=tuple(dict.fromkeys(args.further_baselines)),
        keep_scores=args.keep_scores,
    )
    console.show(text_table(pooled))
    console.show(f"\nBundles, forecasts and metrics are in {args.out}")
    return {"out": args.out, **pooled}
