#!/usr/bin/env python3
"""Measure what richer events are worth and write docs/ablation.md from it.

    python scripts/ablation.py                                          Complete Journey; hours on two cores
    python scripts/ablation.py --online-retail online_retail.csv        and Online Retail, from UCI's file
    python scripts/ablation.py --logs complete_journey --cutoffs 2017-07-01 --rows default baskets --seeds 0
    python scripts/ablation.py --page-only                              the page of all that is finished
    python scripts/ablation.py --quick                                  a rehearsal on a tiny base

Finished rows of the same inputs and package version are reused, unfinished ones go on where they stood.
"""

import argparse
import sys

from study_options import ROOT, study_parser

from seqclv.configfile import read_config
from seqclv.errors import InputError
from seqclv.evaluation.ablation import Ablation, run_ablation
from seqclv.evaluation.ablation_logs import LOGS, QUICK
from seqclv.evaluation.ablation_page import write_ablation_page
from seqclv.evaluation.benchmark import QUICK_CONFIG


def main() -> int:
    """Run what is asked for and write the page of all that is finished."""
    args = _parser().parse_args()
    logs = [LOGS[name] for name in args.logs or LOGS if args.online_retail or name != "online_retail" or args.logs]
    config = read_config(overrides=args.set)
    if args.quick:
        logs, config = [QUICK], QUICK_CONFIG
    page = args.page or (args.out if args.quick else ROOT / "docs") / "ablation.md"
    asked = Ablation(cutoffs=tuple(args.cutoffs), rows=tuple(args.rows), seeds=tuple(args.seeds))
    try:
        if not args.page_only:
            run_ablation(
                logs,
                asked,
                args.out,
                config=config,
                online_retail=args.online_retail,
                announce=_say,
                quiet=args.quiet,
            )
        write_ablation_page([QUICK] if args.quick else list(LOGS.values()), args.out, page, resamples=args.resamples)
    except InputError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 2
    print(page)
    return 0


def _say(text: str) -> None:
    print(f"ablation: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    rows = dict.fromkeys(row.name for log in LOGS.values() for row in log.rows)
    parser = study_parser(__doc__, logs=list(LOGS), name="ablation", page="ablation.md")
    parser.add_argument("--cutoffs", nargs="+", default=[], metavar="DATE", help="default: all")
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help=f"of {', '.join(rows)}; default: all")
    parser.add_argument("--page-only", action="store_true", help="run nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
