#!/usr/bin/env python3
"""How many customers change their tier because a model was trained again, and not because they behaved otherwise?

    python scripts/tier_stability.py                                        CDNOW's tenth, five seeds
    python scripts/tier_stability.py --transactions log.parquet --cutoff 2021-07-01 --set ensemble=1

The same log is trained with every seed and valued at the same cutoff. Pairs of models are compared in three ways, see
`seqclv.value.stability`.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from seqclv.config import Config
from seqclv.configfile import read_config
from seqclv.data.events import Events
from seqclv.data.store import open_log
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import predict
from seqclv.predictive import FloatArray
from seqclv.tiers import HORIZON_DAYS
from seqclv.training.train import trained_once
from seqclv.value.stability import tier_changes


def main() -> int:
    """Train with every seed and compare."""
    args = _parser().parse_args()
    try:
        config = read_config(overrides=[f"data.transactions=['{args.transactions}']", *args.set])
        cutoff = instant(args.cutoff)
        with tempfile.TemporaryDirectory() as work:
            past = history(open_log(config.data, Path(work)).read(), cutoff, config.data.merge)
            spend = {seed: _expected_spend(past, cutoff, config, seed, args.horizon) for seed in args.seeds}
    except InputError as error:
        print(f"tier_stability: {error}", file=sys.stderr)
        return 2
    print(json.dumps(tier_changes(spend, args.cutoff), indent=2))
    if args.out is not None:
        np.save(args.out, np.stack(list(spend.values())), allow_pickle=False)
    return 0


def _expected_spend(past: Events, cutoff: int, config: Config, seed: int, horizon_days: float) -> FloatArray:
    bundle = trained_once(past, cutoff, horizon_days=horizon_days, config=replace(config, seed=seed))
    print(f"tier_stability: seed {seed} is trained", file=sys.stderr, flush=True)
    parts = [predict(bundle, part, cutoff).expected_spend([HORIZON_DAYS])[:, 0] for part in chunked([past])]
    return np.concatenate(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", default="dataset:cdnow_sample", metavar="P")
    parser.add_argument("--cutoff", default="1997-10-01", metavar="DATE")
    parser.add_argument("--horizon", type=float, default=273.0, metavar="DAYS", help="of training; default: 273")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], metavar="S")
    parser.add_argument("--out", type=Path, metavar="FILE", help="expected spend [seed, customer], .npy")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    return parser


if __name__ == "__main__":
    sys.exit(main())
