"""`seqclv report`: one page that people read, from a model or a backtest."""

import argparse
import json
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_log_options, add_output_options, add_tracking_options, with_log_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="M", help="a bundle directory or an MLflow URI (models:/name@alias)")
    source.add_argument("--backtest", metavar="DIR", help="what `seqclv backtest --out DIR` left")
    parser.add_argument(
        "--cutoff", metavar="DATE", help="with --model and a log: forecast from here; default: the log's end"
    )
    parser.add_argument(
        "--horizons", nargs="+", type=float, default=[], metavar="DAYS", help="default: those of the model"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="report.html, or report.json: the numbers alone")
    parser.add_argument("--margin", type=float, default=1.0, metavar="SHARE", help="gross margin; default: 1, revenue")
    parser.add_argument(
        "--discount-rate", type=float, default=0.1, metavar="RATE", help="per year; default: 0.1, ten per cent"
    )
    parser.add_argument(
        "--service-cost", type=float, default=0.0, metavar="MONEY", help="per 30 days while alive; default: 0"
    )
    parser.add_argument("--currency", metavar="CODE", help="such as EUR; default: that of the log")
    parser.add_argument(
        "--contacts", type=int, metavar="N", help="budget of each contact list; default: one customer in twenty"
    )
    parser.add_argument(
        "--control-share", type=float, default=0.1, metavar="SHARE", help="left alone at random; default: 0.1"
    )
    parser.add_argument("--contact-cost", type=float, default=0.0, metavar="MONEY", help="of one contact; default: 0")
    parser.add_argument("--drivers", metavar="FILE", help="JSON list of {name, share, words}: what moves the forecasts")
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Make the report and show its summary."""
    from seqclv.api import make_report
    from seqclv.report.gather import last_bundle
    from seqclv.report.output import checked_out
    from seqclv.scoring import open_model
    from seqclv.value.money import Terms

    out = checked_out(args.out)
    if args.backtest is not None:
        bundle = last_bundle(Path(args.backtest))
    else:
        bundle = open_model(args.model, tracking_uri=args.tracking_uri)
    document = make_report(
        out,
        model=None if args.backtest is not None else bundle,
        backtest=args.backtest,
        data=with_log_columns(bundle.config, args).data if args.transactions or args.config else None,
        cutoff=args.cutoff,
        announce=console.say,
        terms=Terms(
            margin=args.margin,
            discount_rate=args.discount_rate,
            service_cost=args.service_cost,
            currency=args.currency,
        ),
        contacts=args.contacts,
        control_share=args.control_share,
        contact_cost=args.contact_cost,
        horizons_days=tuple(args.horizons),
        drivers=_drivers(args.drivers),
    )
    for sentence in document["summary"]:
        console.show(sentence)
    console.show(f"\nThe report is in {out}")
    return {"out": str(out), **document}


def _drivers(file: str | None) -> tuple[dict[str, Any], ...]:
    """The drivers in a JSON file."""
    from seqclv.errors import InputError

    if file is None:
        return ()
    try:
        found = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"--drivers names a JSON file, but {file} cannot be read as such: check it.") from error
    if not isinstance(found, list):
        raise InputError(f"--drivers names a JSON list of drivers, but {file} holds a {type(found).__name__}.")
    return tuple(found)
