"""The options that scripts share which run backtests of several logs and write a page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seqclv.evaluation.benchmark_page import RESAMPLES

ROOT = Path(__file__).parent.parent


def study_parser(description: str | None, *, logs: Sequence[str], name: str, page: str) -> argparse.ArgumentParser:
    """A parser with what every such script takes; `name` is its directory below build."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", nargs="+", choices=logs, help="default: all that are at hand")
    parser.add_argument("--online-retail", type=Path, metavar="FILE", help="UCI's log as CSV, may be compressed")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="S", help="default: 0 1 2")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help=f"of the bootstrap; default: {RESAMPLES}")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / name, help=f"default: build/{name}")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"default: docs/{page}")
    parser.add_argument("--quick", action="store_true", help="a tiny simulated base and network")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser
