#!/usr/bin/env python3
"""Measure what the shipped prior is worth and write docs/prior.md from it.

    python scripts/prior_benchmark.py                                     the logs that packages ship, and simulations
    python scripts/prior_benchmark.py --online-retail online_retail.csv   and Online Retail, from UCI's file

The card of the shipped weights gets the comparison on CDNOW. Measurements of the same prior that are in
build/prior/study-<version>.json are reused.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from seqclv import prior
from seqclv.bundle import save_bundle
from seqclv.data.families import FAMILIES
from seqclv.data.store import open_log
from seqclv.data.windows import instant
from seqclv.evaluation.benchmark import known_logs
from seqclv.evaluation.compare import Window, held_out
from seqclv.evaluation.prior_page import write_prior_page
from seqclv.evaluation.prior_study import (
    Study,
    against_fitted,
    calibration,
    family_windows,
    open_study,
    ranges,
    start_entry,
    time_to_score,
)

ROOT = Path(__file__).parent.parent
WINDOWS = {
    "CDNOW": ("cdnow", "1997-10-01", 273.0),
    "CDNOW, a tenth": ("cdnow_sample", "1997-10-01", 273.0),
    "Complete Journey": ("complete_journey", "2017-10-01", 92.0),
    "Online Retail": ("online_retail", "2011-09-01", 90.0),
}
STARTS = ("CDNOW", "Complete Journey", "Online Retail")


def main() -> int:
    """Measure what is missing and write the page."""
    args = _parser().parse_args()
    shipped = prior.shipped()
    study = open_study(args.out / f"study-{shipped.version}.json", lambda text: print(text, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        windows = _windows(args.online_retail, Path(workspace))
        _measure(study, windows, args)
    save_bundle(shipped.with_metrics(_on_the_card(study)), prior.DIRECTORY)
    print(write_prior_page(study.entries, shipped.training, args.page))
    return 0


def _on_the_card(study: Study) -> dict[str, Any]:
    """What the card shows: the comparison on CDNOW; the page has all of them."""
    title = "CDNOW"
    _, cutoff, horizon = WINDOWS[title]
    found = study.entries[f"log:{title}"]
    models = {"seqclv_prior": found["sections"][0]["prior"], "pareto_nbd": found["sections"][0]["pareto_nbd"]}
    return {"cutoff": cutoff, "horizon_days": horizon, "customers": found["customers"], "models": models}


def _windows(online_retail: Path | None, workspace: Path) -> dict[str, Window]:
    logs = known_logs(online_retail)
    found = {}
    for title, (name, cutoff, horizon) in WINDOWS.items():
        if name in logs:
            place = workspace / name
            place.mkdir()
            events = open_log(logs[name].source(place), place).read()
            found[title] = held_out(events, instant(cutoff), horizon, "1d")
    return found


def _measure(study: Study, windows: dict[str, Window], args: argparse.Namespace) -> None:
    for title, window in windows.items():
        study.add(f"log:{title}", lambda window=window: against_fitted([window]))  # type: ignore[misc]
    for family in FAMILIES:
        study.add(
            f"family:{family}",
            lambda family=family: against_fitted(family_windows(family, args.bases, 1_000)),  # type: ignore[misc]
        )
    study.add("ranges", lambda: ranges(windows, 1_000))
    study.add("calibration", lambda: calibration(args.calibration_bases, 0))
    study.add("time", lambda: time_to_score(10_000))
    for seed in range(args.seeds):
        for title in STARTS:
            for size in args.sizes if title in windows else ():
                key = f"start:{title}:{size}:{seed}"
                study.add(key, lambda w=windows[title], n=size, s=seed: start_entry(w, n, s))  # type: ignore[misc]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--online-retail", type=Path, metavar="FILE", help="UCI's log as CSV, may be compressed")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="subsets of each size; default: 5")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 300, 1_000, 3_000], help="of the subsets")
    parser.add_argument("--bases", type=int, default=5, help="of each simulated family; default: 5")
    parser.add_argument("--calibration-bases", type=int, default=1_600, help="default: 1600")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "prior", help="default: build/prior")
    parser.add_argument("--page", type=Path, default=ROOT / "docs", metavar="DIR", help="default: docs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
