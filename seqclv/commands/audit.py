"""`seqclv audit`: compare what was forecast with what happened since."""

import argparse
from pathlib import Path
from typing import Any

from seqclv.commands.console import Console
from seqclv.commands.options import (
    add_log_options,
    add_output_options,
    add_tracking_options,
    config_of,
    with_log_columns,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--forecasts", required=True, metavar="FILE", help="what `score` or `backtest` wrote earlier")
    parser.add_argument(
        "--model", metavar="M", help="the model that made them: its figures at training time stand beside"
    )
    parser.add_argument("--lists", metavar="FILE", help="contact lists with a random control group: their effect")
    parser.add_argument(
        "--segment-by", nargs="+", default=[], metavar="COLUMN", help="of the forecasts or of the log: figures by group"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="audit.json, or audit.html to read")
    add_tracking_options(parser)
    add_log_options(parser, required=True)
    add_output_options(parser)


def run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Audit, write and show the verdict."""
    from seqclv.api import audit
    from seqclv.report.audit_page import audit_text
    from seqclv.report.output import checked_out
    from seqclv.scoring import open_model

    out = checked_out(args.out)
    model = None if args.model is None else open_model(args.model, tracking_uri=args.tracking_uri)
    document = audit(
        args.forecasts,
        (config_of(args) if model is None else with_log_columns(model.config, args)).data,
        out,
        announce=console.say,
        model=model,
        lists=None if args.lists is None else Path(args.lists),
        segment_by=tuple(dict.fromkeys(args.segment_by)),
    )
    console.show(audit_text(document))
    console.show(f"\nThe audit is in {out}")
    return {"out": str(out), **document}
