"""`seqclv bridge`: what changed between two valuations, to the cent."""

import argparse
import json
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import add_output_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--earlier", required=True, metavar="FILE", help="a table that `seqclv value` wrote")
    parser.add_argument("--later", required=True, metavar="FILE", help="a later one")
    parser.add_argument(
        "--rescored", metavar="FILE", help="the later log at the later cutoff, valued with the earlier model"
    )
    parser.add_argument("--horizon", type=float, metavar="DAYS", help="default: the longest that all tables have")
    parser.add_argument(
        "--measure",
        choices=("value", "residual_value", "contribution", "expected_spend"),
        default="value",
        help="default: value",
    )
    parser.add_argument("--out", metavar="FILE", help="JSON file to write")
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Compute and show."""
    from seqclv.files import whole_file
    from seqclv.value.bridge import bridge

    found = bridge(
        Path(args.earlier),
        Path(args.later),
        rescored=None if args.rescored is None else Path(args.rescored),
        horizon_days=args.horizon,
        measure=args.measure,
    )
    document = found.to_dict()
    if args.out is not None:
        with whole_file(Path(args.out)) as staging:
            staging.write_text(json.dumps(document, indent=2) + "\n")
    console.show(found.render())
    return document
