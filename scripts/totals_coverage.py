#!/usr/bin/env python3
"""How often do 90 % intervals of totals contain what happened? Rolling cutoffs on public logs and simulated bases.

python scripts/totals_coverage.py                                 Pareto/NBD on CDNOW's tenth and six simulated bases
python scripts/totals_coverage.py --kind network --simulations 0 --set training.max_steps=300
python scripts/totals_coverage.py --out coverage.json
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqclv.bundle import Bundle
from seqclv.config import Config
from seqclv.configfile import read_config
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame, open_log
from seqclv.data.windows import end_of_log
from seqclv.errors import InputError
from seqclv.training.train import trained_once
from seqclv.value.coverage import Fit, Judged, classical_fit, judge, rolling_totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def main() -> int:
    """Run what is asked for and print one line per log and quantity."""
    args = _parser().parse_args()
    config = read_config(overrides=args.set)
    rows, pooled = [], []
    try:
        for name, events in _logs(args, config):
            cutoffs = _cutoffs(events, args)
            totals = rolling_totals(events, cutoffs, args.horizon, _fit(args, config), merge=config.data.merge)
            judged = judge(totals, warm_up=args.warm_up)
            pooled += judged
            rows += _report(name, judged)
    except InputError as error:
        print(f"totals_coverage: {error}", file=sys.stderr)
        return 2
    rows += _report("all", pooled)
    if args.out is not None:
        details = [asdict(one) | {"covered": one.covered} for one in pooled]
        args.out.write_text(json.dumps({"summary": rows, "details": details}, indent=2) + "\n")
    return 0


def _logs(args: argparse.Namespace, config: Config) -> "Iterator[tuple[str, Events]]":
    for source in args.logs:
        data = read_config(overrides=[f"data.transactions=['{source}']"]).data
        with tempfile.TemporaryDirectory() as work:
            events = open_log(data, Path(work)).read()
            yield source, events.select(np.arange(events.customers, dtype=np.int64))
    for seed in range(args.simulations):
        base = simulate(
            SimulationConfig(
                customers=args.customers, seed=seed, days=1095, mean_events=8, yearly_season=0.3 * (seed % 2)
            )
        )
        yield (
            f"simulated, seed {seed}" + (", seasonal" if seed % 2 else ""),
            events_from_frame(base.transactions, config.data),
        )


def _cutoffs(events: Events, args: argparse.Namespace) -> list[int]:
    """Cutoffs every `--step` days over the part of the log that leaves a third before the first."""
    first, end = int(events.timestamp.min()), end_of_log(int(events.timestamp.max()))
    day = MICROSECONDS_PER_DAY
    start = (first + (end - first) // 3) // day * day
    return list(range(start, end - round(args.horizon * day) + 1, round(args.step * day)))


def _fit(args: argparse.Namespace, config: Config) -> Fit:
    if args.kind != "network":
        return classical_fit(args.kind, args.horizon)

    def fit(past: Events, cutoff: int) -> Bundle:
        return trained_once(past, cutoff, horizon_days=args.horizon, config=config)

    return fit


def _report(name: str, judged: "Sequence[Judged]") -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for quantity in ("transactions", "spend"):
        part = [one for one in judged if one.total.quantity == quantity]
        if not part:
            continue
        row: dict[str, object] = {
            "log": name,
            "quantity": quantity,
            "cutoffs": len(part),
            "covered": float(np.mean([one.covered for one in part])),
            "covered_without_shared_error": float(np.mean([one.covered_by_own for one in part])),
            "median_spread": float(np.median([one.spread for one in part])),
        }
        rows.append(row)
        print(
            f"{name:<32}{quantity:<14}{row['cutoffs']:>4} cutoffs   covered {row['covered']:.0%}   "
            f"without the shared error {row['covered_without_shared_error']:.0%}   "
            f"median spread {row['median_spread']:.1%}",
            flush=True,
        )
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", nargs="*", default=["dataset:cdnow_sample"], metavar="P", help="files or datasets")
    parser.add_argument("--simulations", type=int, default=6, metavar="N", help="simulated bases; default: 6")
    parser.add_argument("--customers", type=int, default=2000, metavar="N", help="of a simulated base; default: 2000")
    parser.add_argument("--horizon", type=float, default=28.0, metavar="DAYS", help="default: 28")
    parser.add_argument("--step", type=float, default=14.0, metavar="DAYS", help="between cutoffs; default: 14")
    parser.add_argument("--warm-up", type=int, default=6, metavar="N", help="earlier ended windows; default: 6")
    parser.add_argument("--kind", choices=("pareto_nbd", "bg_nbd", "network"), default="pareto_nbd")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file with every interval")
    return parser


if __name__ == "__main__":
    sys.exit(main())
