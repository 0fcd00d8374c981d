#!/usr/bin/env python3
"""Pretrain the prior on simulated bases and write it as a bundle.

    python scripts/pretrain.py --out seqclv/prior/bundle --work build/prior

A killed run goes on from the last epoch that it finished when the same command is given again. On a CPU the result
depends on the options alone.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path

from seqclv.bundle import save_bundle
from seqclv.data.pretraining import PretrainingPlan
from seqclv.training.pretrain import PretrainConfig, prior_bundle


def main() -> int:
    """Pretrain and write the bundle."""
    args = _parser().parse_args()
    plan = PretrainingPlan(seed=args.seed, bases=args.bases, steps=args.steps)
    config = PretrainConfig(plan=plan, epochs=args.epochs, accelerator=args.accelerator, workers=args.workers)
    started = time.perf_counter()
    command = shlex.join(["python", "scripts/pretrain.py", *sys.argv[1:]])
    save_bundle(prior_bundle(config, args.work, command=command), args.out)
    print(f"{args.out}, after {time.perf_counter() - started:.0f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    default = PretrainConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the bundle")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="checkpoints")
    parser.add_argument("--epochs", type=int, default=default.epochs, help=f"default: {default.epochs}")
    parser.add_argument("--steps", type=int, default=default.plan.steps, help="of an epoch; default: 500")
    parser.add_argument("--bases", type=int, default=default.plan.bases, help="of a step; default: 8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that simulate ahead; default: none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
