#!/usr/bin/env python3
"""Prepare hostile generated logs: each gives the right result or one plain sentence, never a traceback.

    python scripts/fuzz.py --cases 10000 --seed 0      in this process
    python scripts/fuzz.py --command 100 --seed 0      through the command line
    python scripts/fuzz.py --case 4711 --seed 0        one of them again, with its log kept

Undamaged logs are checked against the plain rules of `fuzz_oracle`: counts, reasons, every event and the purchase days
before a cutoff. Of two files the second is also a delivery to a store of the first, and comes twice. Damaged files must
be refused or leave counts that add up.
"""

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_logs import FuzzCase, make_case
from fuzz_oracle import DAY, Expected, net, purchase_days

from seqclv.data.events import FIRST_FURTHER_TYPE, PURCHASE, Events
from seqclv.data.store import EventStore, append_store, build_store, events_from_frame
from seqclv.data.windows import history, merged
from seqclv.errors import InputError

LONGEST_SENTENCE = 1_000


def main() -> int:
    """Run the cases asked for; 1 if any fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="in this process")
    parser.add_argument("--command", type=int, default=0, metavar="M", help="through the command line")
    parser.add_argument("--case", type=int, metavar="I", help="one case alone")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.cases == args.command == 0 and args.case is None:
        parser.error("something must be run, but nothing is named: give --cases, --command or --case.")
    np.seterr(over="raise", invalid="raise", divide="raise")
    runs = [(i, run_case) for i in range(args.cases)] + [(i, run_command) for i in range(args.command)]
    if args.case is not None:
        runs = [(args.case, run_case)]
    outcomes: Counter[str] = Counter()
    for done, (number, run) in enumerate(runs, 1):
        place = Path(tempfile.mkdtemp(prefix="seqclv-fuzz-"))
        verdict = run(make_case(random.Random(f"{args.seed}:{number}"), place), place)
        outcomes[verdict.split(":")[0]] += 1
        if verdict.startswith("FAILED"):
            print(f"case {number} of seed {args.seed} ({run.__name__}): {verdict}", flush=True)
        if args.case is None:
            shutil.rmtree(place)
        if done % 1_000 == 0:
            print(f"{done:,} cases: {dict(outcomes)}", flush=True)
    print(f"{len(runs):,} cases: {dict(outcomes)}")
    return int(outcomes["FAILED"] > 0)


def run_case(case: FuzzCase, place: Path) -> str:
    """Prepare a log in this process: 'right', 'refused', or 'FAILED: why'."""
    try:
        if case.frame is not None:
            return _judged_events(case, events_from_frame(case.frame, case.data))
        store = build_store(case.data, place / "store", until=case.until)
        wrong = _judged_report(case, store.info.report) or _judged_delivery(case, place, store)
        return wrong or _judged_events(case, store.read())
    except InputError as error:
        return _judged_refusal(case, str(error))
    except Exception:  # noqa: BLE001  # the finding
        return f"FAILED: traceback\n{case.told}\n{traceback.format_exc()[-1500:]}"


def run_command(case: FuzzCase, place: Path) -> str:
    """Prepare a log through `seqclv prepare`."""
    if case.frame is not None:
        return "not for the command"
    options = [f"data.{name}={json.dumps(value)}" for name, value in case.settings.items()]
    command = [sys.executable, "-m", "seqclv", "prepare", "--json", "--quiet", "--out", str(place / "store")]
    command += ["--transactions", *case.data.transactions, "--set", "data.merge=1d", *options]
    command += [] if case.until is None else ["--until", str(np.datetime64(case.until, "us"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        return _judged_refusal(case, done.stderr.strip().removeprefix("seqclv prepare: "))
    if done.returncode:
        return f"FAILED: status {done.returncode}\n{case.told}\n{done.stderr[-1500:]}"
    return _judged_report(case, json.loads(done.stdout)["report"]) or "right"


def _judged_refusal(case: FuzzCase, sentence: str) -> str:
    if "\n" in sentence or not sentence.endswith(".") or len(sentence) > LONGEST_SENTENCE:
        return f"FAILED: not one sentence: {sentence[:1500]!r}\n{case.told}"
    if case.expected is not None and not case.expected.refused:
        return f"FAILED: a good log is refused: {sentence}\n{case.told}"
    return "refused"


def _judged_report(case: FuzzCase, report: Mapping[str, Any]) -> str:
    """What is wrong with a report; '' if nothing is."""
    if report["rows_read"] != report["rows_kept"] + sum(report[name] for name in ("rows_rejected", "rows_after_end")):
        return f"FAILED: counts do not add up: {report}\n{case.told}"
    wanted = case.expected
    if wanted is None:
        return ""
    if wanted.refused:
        return f"FAILED: a bad log is taken: {report}\n{case.told}"
    found = (report["rows_read"], Counter(report["rejected_by_reason"]), report["rows_after_end"])
    if found != (wanted.rows, +wanted.reasons, wanted.after_end):
        return f"FAILED: counted {found}, not {(wanted.rows, +wanted.reasons, wanted.after_end)}\n{case.told}"
    return ""


def _judged_delivery(case: FuzzCase, place: Path, whole: EventStore) -> str:
    """What is wrong with the second file as a delivery to a store of the first, once and again; '' if nothing is."""
    if case.expected is None or len(case.data.transactions) != 2:
        return ""
    first, second = (replace(case.data, transactions=(file,), max_reject_share=1.0) for file in case.data.transactions)
    try:
        build_store(first, place / "grown", until=case.until)
        grown = append_store(second, place / "grown", until=case.until)
        if (grown.fingerprint, grown.info.report["rows_kept"]) != (whole.fingerprint, case.expected.kept):
            return f"FAILED: a delivery gives another store\n{case.told}"
        once, again = (
            append_store(second, place / "grown", until=case.until, replace_from=case.cutoff) for _ in range(2)
        )
    except InputError:  # a file alone may have no usable row
        return ""
    counts = ("rows_kept", "rows_rejected", "exact_duplicates")
    before, after = ([store.fingerprint, *(store.info.report[n] for n in counts)] for store in (once, again))
    if before != after:
        return f"FAILED: a delivery that comes twice gives {after}, not {before}\n{case.told}"
    return ""


def _judged_events(case: FuzzCase, events: Events) -> str:
    wanted = case.expected
    if wanted is None:
        return "damaged, yet read"
    if wanted.refused:
        return f"FAILED: a bad log is taken\n{case.told}"
    ids = {case.plain_id(str(name)): i for i, name in enumerate(events.customer_id)}
    if list(events.customer_id) != sorted(events.customer_id, key=str.encode) or len(ids) != events.customers:
        return f"FAILED: ids out of order or alike: {list(events.customer_id)}\n{case.told}"
    lines = {case.plain_id(name): found for name, found in wanted.lines.items()}
    if set(ids) != set(lines):
        return f"FAILED: customers {sorted(ids)[:9]}, not {sorted(lines)[:9]}\n{case.told}"
    wrong = _wrong_events(case, events, ids) or _wrong_days(case, events, wanted)
    return f"FAILED: {wrong}\n{case.told}" if wrong else "right"


def _wrong_events(case: FuzzCase, events: Events, ids: dict[str, int]) -> str:
    if any(np.isinf(column).any() for column in events.numeric.values()):
        return f"infinite attributes {events.numeric}"
    if case.data.cancellation_days:
        return ""  # what a cut makes of them is compared
    names = {FIRST_FURTHER_TYPE + i: name for i, name in enumerate(events.further_types)}
    assert case.expected is not None
    for name, lines in case.expected.lines.items():
        rows = range(*events.offset[ids[case.plain_id(name)] :][:2])
        found = sorted(
            (int(events.timestamp[i]), names.get(int(events.event_type[i]), ""), events.amount[i]) for i in rows
        )
        wanted = net(lines)
        if [event[:2] for event in found] != [event[:2] for event in wanted]:
            return f"events {found}, not {wanted}"
        for (_, _, amount), (_, _, exact, gross) in zip(found, wanted, strict=True):
            if not math.isclose(amount, exact, rel_tol=1e-9, abs_tol=1e-9 * gross):
                return f"amounts {found}, not {wanted}"
    return ""


def _wrong_days(case: FuzzCase, events: Events, wanted: Expected) -> str:
    for cutoff in (case.cutoff, 10**18):
        past = history(events, cutoff, "1d")
        rows = {case.plain_id(str(name)): range(*past.offset[i:][:2]) for i, name in enumerate(past.customer_id)}
        for name, lines in wanted.lines.items():
            days = purchase_days(lines, cutoff, case.data.cancellation_days)
            bought = [i for i in rows.get(case.plain_id(name), ()) if past.event_type[i] == PURCHASE]
            found = {int(past.timestamp[i]) // DAY: float(past.amount[i]) for i in bought}
            unsure = {day for day, amount in days.items() if math.isnan(amount)}
            if set(found) - unsure != set(days) - unsure:
                return f"purchase days {found}, not {days}, before {cutoff}"
            if any(not math.isclose(found[d], days[d], rel_tol=1e-7) for d in set(found) - unsure):
                return f"spend {found}, not {days}, before {cutoff}"
    if len(merged(events, "none")) > len(events):
        return "more events after merging"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
