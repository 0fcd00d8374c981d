"""`seqclv feedback-check`: customers whose feedback and forecast disagree, and whether that is systematic."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, config_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--forecasts", required=True, metavar="FILE", help="what `score` or `backtest` wrote")
    parser.add_argument("--score-column", required=True, metavar="COLUMN", help="of the log: higher is better")
    parser.add_argument("--kind", metavar="KIND", help="of the events with feedback, such as review; default: any")
    parser.add_argument("--segment-by", metavar="COLUMN", help="of the forecasts file: test each of its values")
    parser.add_argument("--horizon", type=float, metavar="DAYS", help="default: the longest of the file")
    parser.add_argument("--poor", type=float, metavar="SCORE", help="at most this is poor; default: lowest quarter")
    parser.add_argument("--good", type=float, metavar="SCORE", help="at least this is good; default: highest quarter")
    parser.add_argument("--out", required=True, metavar="FILE", help="feedback.csv, the list to act on")
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Compare, write and show."""
    from seqclv.value.feedback import FeedbackPlan, feedback_check, feedback_text

    names = ("score_column", "kind", "segment_by", "horizon", "poor", "good")
    chosen = {name if name != "horizon" else "horizon_days": getattr(args, name) for name in names}
    plan = FeedbackPlan(forecasts=Path(args.forecasts), **chosen)
    document = feedback_check(plan, config_of(args).data, Path(args.out), announce=console.say)
    console.show(feedback_text(document))
    console.show(f"\nThe list is in {args.out}")
    return document
