#!/usr/bin/env python3
"""How good are forecasts of new customers? Tables in Markdown, from public logs and a simulated base.

python scripts/newcomers.py
python scripts/newcomers.py --online-retail online_retail.csv --set ensemble=3
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqclv.config import Config
from seqclv.configfile import read_config
from seqclv.data.events import Events
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame, open_log
from seqclv.data.windows import end_of_log, history, instant
from seqclv.errors import InputError
from seqclv.evaluation.benchmark import known_logs
from seqclv.training.train import classical_bundle, train_bundle
from seqclv.value.newcomer_study import judge_no_purchase, judge_one_purchase

# Log: training ends, forecasts begin, days. Who joined between the two has one purchase; nobody joins CDNOW later.
WINDOWS = {
    "cdnow": ("1997-02-15", "1997-04-01", 90.0),
    "complete_journey": ("2017-04-01", "2017-08-01", 90.0),
    "online_retail": ("2011-06-01", "2011-08-01", 90.0),
    "simulated": ("2021-04-01", "2021-06-01", 90.0),
}
HORIZONS = (30.0, 90.0)
SIMULATED = SimulationConfig(customers=6000, seed=5, days=730, mean_events=6)


def main() -> int:
    """Judge and print."""
    args = _parser().parse_args()
    try:
        config = read_config(overrides=args.set)
        once, never = [], []
        with tempfile.TemporaryDirectory(prefix="seqclv-") as work:
            for name, title, events in _logs(args.online_retail, Path(work)):
                print(f"newcomers: {title}", file=sys.stderr, flush=True)
                once += _once(title, events, WINDOWS[name], config, Path(work) / f"{name}-networks")
                end = end_of_log(int(events.timestamp.max()))
                never += [(title, judge_no_purchase(events, end, days, config.data.merge)) for days in HORIZONS]
    except InputError as error:
        print(f"newcomers: {error}", file=sys.stderr)
        return 2
    print("\n".join([*_once_table(once), "", *_never_table(never)]))
    return 0


def _logs(online_retail: Path | None, work: Path) -> Iterator[tuple[str, str, Events]]:
    logs = known_logs(online_retail)
    for name in WINDOWS:
        if name == "simulated":
            yield name, "simulated base", events_from_frame(simulate(SIMULATED).transactions, read_config().data)
        elif name in logs:
            place = work / name
            place.mkdir()
            yield name, logs[name].title, open_log(logs[name].source(place), place / "store").read()


def _once(
    title: str, events: Events, window: tuple[str, str, float], config: Config, work: Path
) -> list[tuple[str, str, float, dict[str, Any] | None]]:
    trained, asked, days = instant(window[0]), instant(window[1]), window[2]
    past = history(events, trained, config.data.merge)
    shared: dict[str, Any] = {"horizon_days": days, "config": config, "fingerprint": title}
    network, _ = train_bundle(past, trained, work=work, quiet=True, **shared)
    models = {"seqclv": network, "Pareto/NBD": classical_bundle("pareto_nbd", past, trained, **shared)}
    return [(title, name, days, judge_one_purchase(model, events, asked, days)) for name, model in models.items()]


def _once_table(rows: list[tuple[str, str, float, dict[str, Any] | None]]) -> list[str]:
    lines = [
        "| log | model | days | customers | purchases | spend | churn: forecast, actual | log-loss | of the share | "
        "purchases within | spend within |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for title, name, days, found in rows:
        if found is not None:
            lines.append(
                f"| {title} | {name} | {days:g} | {found['customers']:,} | {_share(found['transactions_bias'], '+')} | "
                f"{_share(found['spend_bias'], '+')} | {found['churn']:.1%}, {found['gone']:.1%} | "
                f"{found['log_loss']:.3f} | {found['log_loss_of_share']:.3f} | "
                f"{_share(found['transactions_coverage_90'])} | {_share(found['spend_coverage_90'])} |"
            )
    return lines


def _never_table(rows: list[tuple[str, dict[str, Any] | None]]) -> list[str]:
    lines = [
        "| log | days | customers | months | purchases | spend | spend within |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for title, found in rows:
        if found is not None:
            off = [found[name]["forecast"] / found[name]["actual"] - 1 for name in ("transactions", "spend")]
            lines.append(
                f"| {title} | {found['horizon_days']:g} | {found['customers']:,} | {found['months']} | {off[0]:+.1%} | "
                f"{off[1]:+.1%} | {found['spend_coverage_90']:.1%} |"
            )
    return lines


def _share(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.1%}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--online-retail", type=Path, metavar="FILE", help="UCI's log, which no package ships")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    return parser


if __name__ == "__main__":
    sys.exit(main())
