#!/usr/bin/env python3
"""Backtest the public logs with every baseline and write docs/benchmarks.md from the results.

    python scripts/benchmark.py                                     every public log and a simulated one
    python scripts/benchmark.py --online-retail online_retail.csv   and Online Retail, from UCI's file
    python scripts/benchmark.py --logs cdnow_sample --seeds 0       a part of it
    python scripts/benchmark.py --quick                             a rehearsal on a tiny base, page beside the results

Finished backtests of the same inputs and package version are reused (not so with --fresh), unfinished ones go on where
they stood.
"""

import argparse
import sys

from study_options import ROOT, study_parser

from seqclv.configfile import read_config
from seqclv.errors import InputError
from seqclv.evaluation.benchmark import QUICK_CONFIG, QUICK_STUDY, RECORD, STUDIES, known_logs, run_studies
from seqclv.evaluation.benchmark_page import write_page


def main() -> int:
    """Run what is asked for and write the page."""
    args = _parser().parse_args()
    logs = known_logs(args.online_retail)
    studies = [study for study in STUDIES if study.log in (args.logs or logs)]
    config = read_config(overrides=args.set)
    if args.quick:
        studies, config = [QUICK_STUDY], QUICK_CONFIG
    page = args.page or (args.out if args.quick else ROOT / "docs") / "benchmarks.md"
    for study in studies if args.fresh else ():
        (args.out / study.name / RECORD).unlink(missing_ok=True)
    try:
        done = run_studies(studies, logs, args.out, config=config, seeds=args.seeds, announce=_say, quiet=args.quiet)
        write_page(done, logs, page, resamples=args.resamples)
    except InputError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(page)
    return 0


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    names = list(dict.fromkeys(study.log for study in STUDIES))
    parser = study_parser(__doc__, logs=names, name="benchmark", page="benchmarks.md")
    parser.add_argument("--fresh", action="store_true", help="reuse nothing that is finished")
    return parser


if __name__ == "__main__":
    sys.exit(main())
