#!/usr/bin/env python3
"""Measure the peak memory of `seqclv prepare`, and of appending a tenth, on simulated logs of two sizes.

    python scripts/prepare_memory.py                        2 and 8 million rows
    python scripts/prepare_memory.py --rows 200000 800000   a rehearsal

Prints one line per size; fails if a peak is above --most or grows by more than a fifth from the first size to the last.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS_PER_CUSTOMER = 20


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 8_000_000])
    parser.add_argument("--most", type=float, default=1_500, metavar="MB")
    args = parser.parse_args()
    peaks = []
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as place:
            peaks.append(_peaks(Path(place), rows))
        print(f"{rows:>12,} rows: prepare {peaks[-1][0]:,.0f} MB, append a tenth {peaks[-1][1]:,.0f} MB", flush=True)
    flat = all(last <= 1.2 * first for first, last in zip(peaks[0], peaks[-1], strict=True))
    return int(not flat or max(map(max, peaks)) > args.most)


def _peaks(place: Path, rows: int) -> tuple[float, float]:
    for name, seed, share in (("log", 0, 1.0), ("day", 1, 0.1)):
        customers = str(round(rows * share / ROWS_PER_CUSTOMER))
        options = ["--customers", customers, "--mean-events", str(ROWS_PER_CUSTOMER), "--seed", str(seed)]
        _peak(["simulate", "--out", str(place / f"{name}.parquet"), *options])
    store = ["--out", str(place / "store"), "--set", "data.cancellation_days=30"]
    whole = _peak(["prepare", "--transactions", str(place / "log.parquet"), *store])
    return whole, _peak(["prepare", "--transactions", str(place / "day.parquet"), *store, "--append"])


def _peak(arguments: list[str]) -> float:
    """Peak resident memory of a command, MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seqclv", *arguments, "--quiet"], stdout=subprocess.DEVNULL, env=os.environ
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"seqclv {arguments[0]} failed")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main())
