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
from pathlib import Path

from seqclv.configfile import read_config
from seqclv.errors import InputError
from seqclv.evaluation.benchmark import QUICK_CONFIG, QUICK_STUDY, RECORD, STUDIES, known_logs, run_studies
from seqclv.evaluation.benchmark_page import RESAMPLES, write_page

ROOT = Path(__file__).parent.parent


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(dict.fromkeys(study.log for study in STUDIES))
    parser.add_argument("--logs", nargs="+", choices=names, help="default: all that are at hand")
    parser.add_argument("--online-retail", type=Path, metavar="FILE", help="UCI's log as CSV, may be compressed")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="S", help="default: 0 1 2")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help=f"of the bootstrap; default: {RESAMPLES}")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmark", help="default: build/benchmark")
    parser.add_argument("--page", type=Path, metavar="FILE", help="default: docs/benchmarks.md")
    parser.add_argument("--fresh", action="store_true", help="reuse nothing that is finished")
    parser.add_argument("--quick", action="store_true", help="a tiny simulated base and network")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


if __name__ == "__main__":
    sys.exit(main())
