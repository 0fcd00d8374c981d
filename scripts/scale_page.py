"""The page about scale, docs/scale.md, from what scripts/benchmark_scale.py has measured."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from measuring import Measured

CUTOFF, HORIZONS = "2021-10-01", (30.0, 90.0, 365.0)
PROFILED = 65_536  # customers at most
PACKAGES = ("seqclv", "torch", "numpy", "pyarrow", "duckdb", "pandas", "lifetimes")
BEGIN, END = "<!-- scale:begin -->", "<!-- scale:end -->"
LABELS = {
    "prepare": "read, check, clean, report, sort, write a store",
    "DuckDB": "read, sort by customer and time, write Parquet",
    "score": "read the store, forecast every customer, write Parquet",
    "pandas": "read the log, build the RFM table, nothing else",
    "lifetimes": "RFM table, BG/NBD fit, expected purchases",
}
AIMS = (("prepare", "DuckDB", 3.0), ("score", "pandas", 2.0))

Steps = Mapping[str, Measured]


def page(customers: int, steps: Steps, larger: Steps, factor: int, spent: Mapping[str, float]) -> str:
    """The text of docs/scale.md.

    Args:
        customers: of the base.
        steps: what was measured on it.
        larger: what was measured on a base `factor` times as large; may be empty.
        factor: see there.
        spent: seconds that scoring some parts in one process takes, by stage.
    """
    parts = ["# Scale", table(customers, steps), _ratios(steps)]
    parts += [f"`score` forecasts {customers / steps['score'].best:,.0f} customers of the base in a second."]
    parts += [] if "lifetimes" in steps else ["lifetimes was not run."]
    parts += [f"## {factor} times as many customers", _growth(customers, steps, larger, factor)] if larger else []
    parts += ["## Where the time of `score` goes", _profile(min(customers, PROFILED), spent)]
    return "\n\n".join(parts) + "\n"


def table(customers: int, steps: Steps) -> str:
    """What was measured, as a paragraph and a table."""
    return "\n".join(
        [
            f"A simulated base of {customers:,} customers with 20 purchases each on average over two years, scored as "
            f"of {CUTOFF} for the horizons of {', '.join(f'{h:g}' for h in HORIZONS)} days with all quantiles, by the "
            "default model of three networks.",
            "",
            "| step | what it does | seconds | memory, MiB |",
            "|---|---|---:|---:|",
            *(f"| {name} | {LABELS[name]} | {m.best:,.1f} | {m.memory:,.0f} |" for name, m in steps.items()),
            "",
            f"Made by `scripts/benchmark_scale.py` on {len(os.sched_getaffinity(0))} cores ({platform.machine()}, "
            f"Python {platform.python_version()}; {_versions()}). Seconds are the shortest of "
            f"{len(steps['score'].seconds)} runs, taken in turns, start of the interpreter included; memory is the "
            "largest sum over a step's processes.",
        ]
    )


def _ratios(steps: Steps) -> str:
    rows = [
        f"| `{ours}` / {theirs} | {steps[ours].best / steps[theirs].best:.2f} | at most {aim:g} |"
        for ours, theirs, aim in AIMS
    ]
    return "\n".join(["| ratio | found | aim |", "|---|---:|---:|", *rows])


def _growth(customers: int, steps: Steps, larger: Steps, factor: int) -> str:
    rows = [
        f"| `{name}` | {steps[name].memory:,.0f} | {m.memory:,.0f} | {m.memory / steps[name].memory - 1:+.0%} | "
        f"{m.best / steps[name].best:.1f} x |"
        for name, m in larger.items()
    ]
    head = f"| command | MiB at {customers:,} | MiB at {customers * factor:,} | memory grows by | time grows by |"
    return "\n".join([head, "|---|---:|---:|---:|---:|", *rows])


def _profile(customers: int, spent: Mapping[str, float]) -> str:
    total = sum(spent.values())
    rows = [f"| {name} | {s / total:.0%} | {s / customers * 1e6:.0f} |" for name, s in spent.items()]
    head = (
        f"One process with one thread, {customers:,} customers:\n\n| stage | share | microseconds for each customer |"
    )
    return "\n".join([head, "|---|---:|---:|", *rows])


def into_readme(readme: str, text: str) -> str:
    """The README with the text between its markers; without markers it stays as it is."""
    if BEGIN not in readme or END not in readme:
        return readme
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
