#!/usr/bin/env python3
"""Measure what feedback is worth to churn forecasts, on simulated bases, and write docs/feedback.md.

python scripts/feedback.py
python scripts/feedback.py --seeds 0 --set training.max_steps=100 --out build/feedback.md
"""

import argparse
import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from seqclv.configfile import read_config
from seqclv.errors import InputError
from seqclv.evaluation.feedback_page import feedback_page
from seqclv.evaluation.feedback_study import Setting, study
from seqclv.version import __version__

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Run the study and write the page."""
    args = _parser().parse_args()
    if args.page_of is not None:
        args.out.write_text(feedback_page(json.loads(args.page_of.read_text())))
        return 0
    try:
        config = replace(read_config(overrides=args.set), ensemble=args.ensemble, accelerator="cpu")
    except InputError as error:
        print(f"feedback: {error}", file=sys.stderr)
        return 2
    setting = Setting(customers=args.customers, seeds=tuple(args.seeds), config=config)
    document = study(setting, announce=lambda text: print(f"feedback: {text}", file=sys.stderr, flush=True))
    document["versions"] = f"seqclv {__version__} and torch {version('torch')}"
    args.out.write_text(feedback_page(document))
    if args.json is not None:
        args.json.write_text(json.dumps(document, indent=1) + "\n")
    print(args.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=4000, metavar="N", help="of each base")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3], metavar="S", help="one base each")
    parser.add_argument("--ensemble", type=int, default=1, metavar="N", help="networks in a model")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "feedback.md", metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures")
    parser.add_argument("--page-of", type=Path, metavar="FILE", help="write the page of figures that --json wrote")
    return parser


if __name__ == "__main__":
    sys.exit(main())
