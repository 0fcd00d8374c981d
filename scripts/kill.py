#!/usr/bin/env python3
"""Kill `prepare`, `prepare --append` and `score` at random moments: nothing is lost, nothing twice, no byte differs.

    python scripts/kill.py                                      100 kills, a fifth of each kind: some ten minutes
    python scripts/kill.py --kills 9 --customers 500 --workers 1    a short trial, without `score` in several processes

Each run is a process of its own, killed by SIGKILL at a random moment of the time that an undisturbed run takes, more
often near its end, where results move into place. After every kill what lies at the output must be what was there
before or the whole result; after some kills a run is left to end, and its output must be byte for byte that of the
undisturbed run, with nothing hidden left beside it.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

CUTOFF, HORIZONS = "2021-10-01", ("30", "90", "365")
DELIVERED_FROM = "2021-12-01"  # the last month of two years comes as a delivery of its own
MOST_KILLS_IN_A_ROW = 4
LATE_SHARE, LATE = 0.3, (0.85, 1.02)  # of the kills so many fall into this span of a run

Say = Callable[[str], None]


@dataclass(frozen=True)
class Command:
    """A command that is killed, and what it writes."""

    name: str
    words: tuple[str, ...]  # without --out
    out: Path
    before: Path | None = None  # a store that lies at `out` before the first run

    @property
    def place(self) -> str:
        """What --out names."""
        return f"sqlite:///{self.out}" if self.out.suffix == ".db" else str(self.out)

    def begin(self) -> None:
        """Bring the output to what it was before the first run."""
        if self.out.is_dir():
            shutil.rmtree(self.out)
        self.out.unlink(missing_ok=True)
        self._manifest.unlink(missing_ok=True)
        if self.before is not None:
            shutil.copytree(self.before, self.out)

    @property
    def _manifest(self) -> Path:
        return self.out.with_name(f"{self.out.name}.manifest.json")

    def contents(self) -> dict[str, str]:
        """sha256 of every file of the output, or of the rows of a database, by name; empty where there is none."""
        if self.out.suffix == ".db":
            return rows_of(self.out)
        files = [path for path in (self.out, self._manifest, *self.out.rglob("*")) if path.is_file()]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def acceptable(self, old: Mapping[str, str], new: Mapping[str, str]) -> bool:
        """Whether the output is the old or the new one; forecasts lie for a moment without their manifest."""
        return self.contents() in (old, new, {name: digest for name, digest in new.items() if name == self.out.name})

    def told(self, old: Mapping[str, str], new: Mapping[str, str]) -> str:
        """Of which output each file is."""
        found = self.contents()
        kinds = {None: "missing"} | dict.fromkeys(old.values(), "old") | dict.fromkeys(new.values(), "new")
        names = sorted({*old, *new, *found})
        return ", ".join(f"{name} is {kinds.get(found.get(name), 'neither old nor new')}" for name in names)

    def hidden(self) -> list[Path]:
        """What unfinished runs have left beside the output."""
        from seqclv.forecast.sinks import sink_of

        of_a_sink = [sink_of(self.place).workplace] if self.out.suffix else []
        found = {*self.out.parent.glob(f".{self.out.name}*"), *of_a_sink}
        return sorted(path for path in found if path.is_dir())

    def finished_parts(self) -> int:
        """How many parts of a scoring a killed run has left to its successor."""
        return sum(1 for place in self.hidden() for _ in place.glob("*/part-*.arrow"))


@dataclass
class Tally:
    """What was seen."""

    kills: int = 0
    whole: int = 0  # kills after which the new output was there
    resumed: int = 0  # kills after which finished parts were there
    ends: int = 0  # runs that were left to end

    def __str__(self) -> str:
        parts = f", {self.resumed} left finished parts" if self.resumed else ""
        return (
            f"{self.kills} kills ({self.whole} of them after the output was there{parts}), {self.ends} runs to the "
            "end: nothing lost, nothing twice, the same bytes"
        )


def rows_of(database: Path) -> dict[str, str]:
    """sha256 of the forecasts in a database; empty where there are none."""
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database)) as connection:  # which brings back what a killed writer has begun
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'forecasts'").fetchall():
            return {}
        rows = connection.execute("SELECT * FROM forecasts ORDER BY customer_id, cutoff, horizon_days").fetchall()
    return {"forecasts": hashlib.sha256(repr(rows).encode()).hexdigest()} if rows else {}


def started(work: Callable[[], int], log: Path) -> int:
    """Do the work in a process forked off this one, which has loaded the libraries and has no threads; its number."""
    child = os.fork()
    if child:
        return child
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 70
    try:
        status = work()
    finally:
        os._exit(status)


def finished(work: Callable[[], int], log: Path) -> float:
    """Do the work in a process to its end; the seconds it took.

    Raises:
        SystemExit: it failed.
    """
    start = time.monotonic()
    _, status = os.waitpid(started(work, log), 0)
    if status:
        raise SystemExit(f"kill: a run failed: {log.read_text()[-2000:]}")
    return time.monotonic() - start


def killed(work: Callable[[], int], log: Path, seconds: float) -> bool:
    """Start the work and kill it after so many seconds; False where it had ended before."""
    child = started(work, log)
    time.sleep(seconds)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        if status:
            raise SystemExit(f"kill: a run failed by itself: {log.read_text()[-2000:]}")
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def torment(command: Command, kills: int, rng: random.Random, part: int, say: Say) -> Tally:
    """Kill the command so many times, and let it end now and then.

    Raises:
        SystemExit: something is lost, twice, torn or of other bytes.
    """
    log = command.out.with_name("kill.log")

    def work() -> int:
        return seqclv(*command.words, "--out", command.place, part=part)

    command.begin()
    old = command.contents()
    seconds = finished(work, log)
    new, tally = command.contents(), Tally()
    say(f"{command.name}: an undisturbed run takes {seconds:.1f} s")
    while tally.kills < kills:
        command.begin()
        for _ in range(rng.randint(1, min(MOST_KILLS_IN_A_ROW, kills - tally.kills))):
            share = rng.uniform(*LATE) if rng.random() < LATE_SHARE else rng.random()
            if not killed(work, log, share * seconds):
                continue
            tally.kills += 1
            tally.whole += command.contents() == new
            tally.resumed += command.finished_parts() > 0
            if not command.acceptable(old, new):
                told = command.told(old, new)
                raise SystemExit(f"kill: after kill {tally.kills} of {command.name} its output is torn: {told}")
        for place in command.hidden():
            os.utime(place, (0, 0))  # what a killed run has left counts as abandoned after a minute
        finished(work, log)
        tally.ends += 1
        if command.contents() != new:
            told = command.told(old, new)
            raise SystemExit(f"kill: after kill {tally.kills} of {command.name} the output has other bytes: {told}")
        if command.hidden():
            raise SystemExit(f"kill: {command.name} has left {command.hidden()[0]}")
        say(f"{command.name}: {tally.kills} kills")
    return tally


def seqclv(*words: object, part: int = 0) -> int:
    """Run one of the program's commands; with `part` the base is scored in parts of so many customers."""
    from seqclv.cli import main
    from seqclv.forecast import chunks
    from seqclv.forecast.engines import local

    if part:  # so that a small base has several parts, and enough for several processes
        chunks.CHUNK_CUSTOMERS, chunks.PART_CHUNKS, local.WORKER_CUSTOMERS = part, 1, 2 * part
    return main([*map(str, words), "--quiet"])


def made(work: Path, customers: int) -> int:
    """Make a log, cut in two at DELIVERED_FROM, stores of the first and of both, and a model of few training steps.

    The second part holds rows of the first one's days that come late, and rows that are rejected.
    """
    import pandas as pd

    log = work / "log.parquet"
    status = seqclv("simulate", "--out", log, "--customers", customers)
    frame = pd.read_parquet(log)
    frame.loc[::97, "timestamp"] = None  # no timestamp: rejected
    frame.loc[::89, "customer_id"] = None
    late = (frame["timestamp"] >= DELIVERED_FROM) | (frame.index % 50 == 0)
    for name, rows in (("earlier", frame[~late]), ("delivered", frame[late])):
        rows.to_parquet(work / f"{name}.parquet")
    for name in ("earlier", "log"):
        status += seqclv("prepare", "--transactions", work / f"{name}.parquet", "--out", work / f"{name}.store")
    settings = ["training.max_steps=10", "training.from_prior=false", "ensemble=2", "model.hidden_size=8"]
    words = ["--transactions", work / "log.store", "--cutoff", CUTOFF, "--horizon", "60", "--out", work / "backtest"]
    return status + seqclv("backtest", *words, "--set", *settings)


def commands(work: Path, processes: Sequence[int]) -> list[Command]:
    """The commands that are killed."""
    prepare = ("prepare", "--transactions", str(work / "log.parquet"))
    delivery = ("--transactions", str(work / "delivered.parquet"), "--append", "--replace-from", DELIVERED_FROM)
    score = ["score", "--model", str(work / "backtest" / CUTOFF / "bundle"), "--transactions", str(work / "log.store")]
    score += ["--cutoff", CUTOFF, "--horizons", *HORIZONS, "--workers"]
    return [
        Command("prepare", prepare, work / "store"),
        Command("prepare --append", ("prepare", *delivery), work / "appended", before=work / "earlier.store"),
        *(Command(f"score --workers {n}", (*score, str(n)), work / "forecasts.parquet") for n in processes),
        Command("score to SQLite", (*score, str(processes[-1])), work / "forecasts.db"),
    ]


def run(work: Path, *, kills: int, customers: int, workers: int, seed: int, say: Say) -> dict[str, Tally]:
    """Make what is needed, and torment every command."""
    from seqclv import pipeline, scoring  # noqa: F401  # loaded here, so that every moment of a run is one of work

    say("making a log, stores and a model")
    finished(lambda: made(work, customers), work / "made.log")
    rng = random.Random(seed)
    chosen = commands(work, sorted({1, workers}))
    shares = [kills // len(chosen) + (i < kills % len(chosen)) for i in range(len(chosen))]
    part = max(customers // 16, 1)
    return {c.name: torment(c, share, rng, part, say) for c, share in zip(chosen, shares, strict=True)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="default: 100")
    parser.add_argument("--customers", type=int, default=4_000, help="default: 4000")
    parser.add_argument("--workers", type=int, default=2, help="processes of score, which also runs in one; default: 2")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="seqclv-kill-") as work:
        tallies = run(
            Path(work),
            kills=args.kills,
            customers=args.customers,
            workers=args.workers,
            seed=args.seed,
            say=lambda text: print(f"kill: {text}", file=sys.stderr, flush=True),
        )
    for name, tally in tallies.items():
        print(f"{name}: {tally}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
