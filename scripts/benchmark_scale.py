#!/usr/bin/env python3
"""Measure `prepare` and `score` on a large simulated base, beside others in the same run, and write docs/scale.md.

    python scripts/benchmark_scale.py                     one million customers and four; half an hour or more
    python scripts/benchmark_scale.py --customers 50000 --page /tmp/scale.md  a trial

Every measured step is a process of its own. What is compared is measured in turns, `--repeats` times each, and the
shortest time counts: only the ratios within one run mean anything.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from measuring import Measured, measure
from scale_page import CUTOFF, HORIZONS, PROFILED, into_readme, page, table

ROOT = Path(__file__).parent.parent

DUCKDB = """
import sys, duckdb
connection = duckdb.connect(config={"threads": 2, "memory_limit": "2GB", "temp_directory": sys.argv[2] + ".spill"})
connection.execute(
    f"COPY (SELECT * FROM read_parquet('{sys.argv[1]}') ORDER BY customer_id, timestamp) TO '{sys.argv[2]}' "
    "(FORMAT parquet)"
)
"""

# The definitions of lifetimes' summary_data_from_transaction_data: lines of a customer's day are one purchase, the
# first of them is no repeat.
PANDAS = """
import sys
import pandas as pd
log = pd.read_parquet(sys.argv[1], columns=["customer_id", "timestamp", "amount"])
log = log[log["timestamp"] < sys.argv[2]]
days = log.groupby(["customer_id", log["timestamp"].dt.floor("D")])["amount"].sum()
days = days[days > 0].reset_index()
customers = days.groupby("customer_id")
first, last, count = customers["timestamp"].min(), customers["timestamp"].max(), customers["timestamp"].count()
repeats = days[customers.cumcount() > 0]
end = pd.Timestamp(sys.argv[2]) - pd.Timedelta(days=1)
table = pd.DataFrame({"frequency": count - 1, "recency": (last - first).dt.days, "T": (end - first).dt.days})
table["monetary_value"] = repeats.groupby("customer_id")["amount"].mean().reindex(table.index).fillna(0)
table.to_parquet(sys.argv[3])
"""

LIFETIMES = """
import sys, warnings
import pandas as pd
warnings.simplefilter("ignore")
from lifetimes import BetaGeoFitter
from lifetimes.utils import summary_data_from_transaction_data
log = pd.read_parquet(sys.argv[1], columns=["customer_id", "timestamp", "amount"])
log = log[log["timestamp"] < sys.argv[2]]
end = pd.Timestamp(sys.argv[2]) - pd.Timedelta(days=1)
table = summary_data_from_transaction_data(
    log, "customer_id", "timestamp", "amount", observation_period_end=end, freq="D"
)
fitter = BetaGeoFitter(penalizer_coef=0.001)
fitter.fit(table["frequency"], table["recency"], table["T"])
for horizon in (30.0, 90.0, 365.0):
    table[str(horizon)] = fitter.conditional_expected_number_of_purchases_up_to_time(
        horizon, table["frequency"], table["recency"], table["T"]
    )
table.to_parquet(sys.argv[3])
"""


@dataclass(frozen=True)
class Bench:
    """Where everything lies and who is told."""

    work: Path
    repeats: int
    say: Callable[[str], None]

    def seqclv(self, *words: object, into: Measured | None = None) -> None:
        """Run one of the program's commands."""
        measure([sys.executable, "-m", "seqclv", *map(str, words), "--quiet"], into or Measured())

    def python(self, code: str, *words: object, into: Measured) -> None:
        """Run a script."""
        measure([sys.executable, "-W", "ignore", "-c", code, *map(str, words)], into)

    def log(self, customers: int) -> Path:
        """A simulated log: 20 events each, skewed activity."""
        path = self.work / f"log-{customers}.parquet"
        if not path.is_file():
            self.say(f"simulating {customers:,} customers")
            self.seqclv("simulate", "--out", path, "--customers", customers)
        return path

    def prepare(self, log: Path, into: Measured) -> Path:
        """A store of the log, built anew."""
        store = log.with_suffix(".store")
        shutil.rmtree(store, ignore_errors=True)
        self.seqclv("prepare", "--transactions", log, "--out", store, into=into)
        return store

    def score(self, model: Path, store: Path, into: Measured, *options: object) -> None:
        """Forecasts of every customer."""
        out = self.work / "forecasts.parquet"
        words = ["--model", model, "--transactions", store, "--cutoff", CUTOFF, "--horizons", *HORIZONS, "--out", out]
        self.seqclv("score", *words, *options, into=into)


def trained_model(bench: Bench, directory: Path, steps: int | None = None) -> Path:
    """Three networks averaged, trained on two thousand customers, but from scratch as on a base of this size."""
    import pyarrow.parquet as pq
    import torch

    from seqclv.bundle import save_bundle
    from seqclv.config import Config, TrainingConfig
    from seqclv.data.store import events_from_frame
    from seqclv.data.windows import history, instant
    from seqclv.training.train import trained_once

    if not directory.is_dir():
        bench.say("training a model on 2,000 customers")
        torch.set_num_threads(1)
        config = replace(Config(), training=TrainingConfig(from_prior=False, max_steps=steps))
        past = history(events_from_frame(pq.read_table(bench.log(2_000)), config.data), instant(CUTOFF), "1d")
        bundle = trained_once(past, instant(CUTOFF), horizon_days=90.0, config=config)
        save_bundle(bundle, directory)
    return directory


def profile(model: Path, store_path: Path, work: Path) -> dict[str, float]:
    """Seconds that scoring some parts takes by stage, in one process with one thread."""
    import pyarrow.parquet as pq
    import torch

    from seqclv.bundle import load_bundle
    from seqclv.data.store import open_store
    from seqclv.data.windows import instant
    from seqclv.forecast.chunks import part_chunks, plan
    from seqclv.forecast.forecaster import LEVELS, forecast_table, predict

    torch.set_num_threads(1)
    bundle, store, cutoff = load_bundle(model), open_store(store_path), instant(CUTOFF)
    spent = dict.fromkeys(("reading", "encoding", "quantiles", "other closed forms", "writing"), 0.0)

    def timed(stage: str, start: float) -> float:
        now = time.perf_counter()
        spent[stage] += now - start
        return now

    scored = 0
    for part in plan(store, cutoff, bundle.merge):
        if scored >= PROFILED:
            break
        scored += part.customers
        clock = time.perf_counter()
        chunks = list(part_chunks(store, part, cutoff, bundle.merge))
        clock = timed("reading", clock)
        for chunk in chunks:
            answers = predict(bundle, chunk, cutoff)
            clock = timed("encoding", clock)
            answers.transaction_quantiles(HORIZONS, LEVELS)  # they are kept for the table
            answers.spend_quantiles(HORIZONS, LEVELS)
            clock = timed("quantiles", clock)
            table = forecast_table(answers, chunk.customer_id, cutoff, HORIZONS)
            clock = timed("other closed forms", clock)
            pq.write_table(table, work / "profile.parquet", compression="zstd")
            clock = timed("writing", clock)
    return spent


def compared(bench: Bench, customers: int, *, lifetimes: bool) -> dict[str, Measured]:
    """The steps of the base, in turns."""
    log, model = bench.log(customers), bench.work / "model"
    steps = {name: Measured() for name in ("prepare", "DuckDB", "score", "pandas")}
    for turn in range(bench.repeats):
        bench.say(f"turn {turn + 1} of {bench.repeats}")
        bench.python(DUCKDB, log, bench.work / "sorted.parquet", into=steps["DuckDB"])
        store = bench.prepare(log, steps["prepare"])
        bench.python(PANDAS, log, CUTOFF, bench.work / "rfm.parquet", into=steps["pandas"])
        bench.score(model, store, steps["score"])
    if lifetimes:
        bench.say("lifetimes")
        steps["lifetimes"] = Measured()
        bench.python(LIFETIMES, log, CUTOFF, bench.work / "lifetimes.parquet", into=steps["lifetimes"])
    return steps


def larger(bench: Bench, customers: int) -> dict[str, Measured]:
    """Both commands once on the larger base, for their memory."""
    steps = {name: Measured() for name in ("prepare", "score")}
    bench.say("the larger base")
    store = bench.prepare(bench.log(customers), steps["prepare"])
    bench.score(bench.work / "model", store, steps["score"])
    return steps


def _has_lifetimes() -> bool:
    try:
        version("lifetimes")
    except PackageNotFoundError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000, help="default: 1000000")
    parser.add_argument("--factor", type=int, default=4, help="of the larger base; 1 leaves it out; default: 4")
    parser.add_argument("--repeats", type=int, default=3, help="default: 3")
    parser.add_argument("--no-lifetimes", action="store_true", help="leave out lifetimes, which takes minutes")
    parser.add_argument("--work", type=Path, help="directory for logs and model, kept; default: one that goes")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "scale.md", help="default: docs/scale.md")
    parser.add_argument("--readme", type=Path, help="also bring the table between the markers of this file")
    parser.add_argument("--steps", type=int, help="of training, for a trial; default: as ever")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="seqclv-scale-") as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(work, args.repeats, lambda text: print(f"benchmark: {text}", file=sys.stderr, flush=True))
        lifetimes = _has_lifetimes() and not args.no_lifetimes
        trained_model(bench, work / "model", args.steps)
        steps = compared(bench, args.customers, lifetimes=lifetimes)
        spent = profile(work / "model", bench.log(args.customers).with_suffix(".store"), work)
        big = larger(bench, args.customers * args.factor) if args.factor > 1 else {}
        args.page.write_text(page(args.customers, steps, big, args.factor, spent))
        if args.readme is not None:
            args.readme.write_text(into_readme(args.readme.read_text(), table(args.customers, steps)))
        raw = {name: {"seconds": m.seconds, "memory": m.memory} for name, m in steps.items()}
        (work / "scale.json").write_text(json.dumps({"steps": raw, "profile": spent}, indent=2))
    print(args.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
