"""The part of the benchmark that only simulated logs allow: forecasts against the truth, beside an oracle.

    OUT/<log>-<horizon>d/truth.json     by cutoff, model and measure, the figure of each seed

Shape: C customers, W weeks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seqclv.baselines.classical import KINDS
from seqclv.bundle import Bundle, load_bundle
from seqclv.comparison import MODEL_NAMES
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.simulate import (
    HAZARD_SCALE_SPANS,
    HAZARD_SHAPE,
    RATE_SHAPE,
    Simulation,
    SimulationConfig,
    operational,
    simulate,
)
from seqclv.data.windows import instant, outcome
from seqclv.evaluation.compare import OURS, Window, held_out
from seqclv.evaluation.pieces import load_pieces
from seqclv.evaluation.truth import (
    DAYS_PER_WEEK,
    Oracle,
    Population,
    alive_auc,
    oracle,
    shape_correlation,
    share_on_gone,
)
from seqclv.files import whole_file
from seqclv.forecast.forecaster import predict
from seqclv.predictive import FloatArray
from seqclv.training.train import classical_bundle

FILE = "truth.json"
ORACLE = "oracle"
# Name, heading, format, and what is best.
MEASURES = (
    ("alive_auc", "AUC of alive against gone", ".3f", "high"),
    ("shape_correlation", "correlation of weekly shape", ".3f", "high"),
    ("share_on_gone", "share of forecast on gone customers", ".1%", "low"),
)
TEXT = """Only a simulation knows who had left at the cutoff. *AUC of alive against gone*: how well the probability of
being alive tells them apart. *Correlation of weekly shape*: of the forecast with the actual purchases of the whole base
by week of the window; it takes a forecast for any horizon. *Share of forecast on gone customers*: of the expected
purchases. The *oracle* is the exact posterior of someone who knows the population and the season but not the customer;
no method can be better than it but by chance."""


@dataclass(frozen=True)
class _Facts:
    """What truly happened in a window, and the customers' alive state at its start."""

    window: Window
    alive: np.ndarray  # [C]
    weekly: FloatArray  # [W] purchases
    oracle: Oracle


def judge_truth(
    directory: Path,
    simulation: SimulationConfig,
    events: Events,
    *,
    cutoffs: Sequence[str],
    horizon_days: float,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Judge a finished study of a simulated log by its truth and write `truth.json`.

    Args:
        directory: with the study's bundles and kept scores.
        simulation: what the log was simulated from.
        events: the log.
        cutoffs: of the study.
        horizon_days: of the study.
        seeds: of the study.
    """
    base = simulate(simulation)
    document: dict[str, Any] = {}
    for cutoff in cutoffs:
        places = [directory / f"seed-{seed}" / cutoff for seed in seeds]
        bundles = [load_bundle(place / "bundle") for place in places]
        window = held_out(events, instant(cutoff), horizon_days, bundles[0].merge)
        facts = _Facts(
            window,
            _alive(base, window),
            _weekly(events, window, bundles[0].merge),
            _oracle(simulation, base, window),
        )
        document[cutoff] = {ORACLE: _oracle_figures(facts)} | _model_figures(facts, bundles, places)
    with whole_file(directory / FILE) as staging:
        staging.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
    return document


def _weeks(window: Window) -> list[float]:
    """The ends of the window's whole weeks, in days."""
    return [DAYS_PER_WEEK * (i + 1) for i in range(int(window.horizon_days // DAYS_PER_WEEK))]


def _alive(base: Simulation, window: Window) -> np.ndarray:
    left = base.customers["dropout"].to_numpy().astype("datetime64[us]").astype(np.int64)
    return np.asarray(left[_rows(base, window)] >= window.cutoff)


def _rows(base: Simulation, window: Window) -> np.ndarray:
    """[C] rows of the truth, whose ids rise."""
    return np.searchsorted(base.customers["customer_id"].to_numpy(), window.history.customer_id)


def _weekly(events: Events, window: Window, merge: str) -> FloatArray:
    week = round(DAYS_PER_WEEK * MICROSECONDS_PER_DAY)
    starts = [window.cutoff + i * week for i in range(len(_weeks(window)))]
    parts = [outcome(events, window.history.customer_id, start, DAYS_PER_WEEK, merge) for start in starts]
    return np.asarray([part.transactions.sum() for part in parts], dtype=np.float64)


def _oracle(config: SimulationConfig, base: Simulation, window: Window) -> Oracle:
    """The posterior from every simulated purchase before the cutoff, merged or not."""
    start = instant(config.start)
    day = (base.transactions["timestamp"].to_numpy().astype("datetime64[us]").astype(np.int64) - start) / (
        MICROSECONDS_PER_DAY
    )
    cutoff = (window.cutoff - start) / MICROSECONDS_PER_DAY
    owner = np.searchsorted(window.history.customer_id, base.transactions["customer_id"].to_numpy())
    owner = owner[day < cutoff]  # whoever bought before the cutoff is in the window
    day = day[day < cutoff]
    first, last = np.full(window.history.customers, np.inf), np.full(window.history.customers, -np.inf)
    np.minimum.at(first, owner, day)
    np.maximum.at(last, owner, day)
    population = Population(
        r=RATE_SHAPE,
        alpha=RATE_SHAPE / float(base.customers["rate"].to_numpy().mean()),
        s=HAZARD_SHAPE,
        beta=HAZARD_SCALE_SPANS * config.days,
        season=partial(operational, config=config),
    )
    return oracle(population, np.bincount(owner).astype(np.float64) - 1, first, last, cutoff)


def _oracle_figures(facts: _Facts) -> dict[str, list[float | None]]:
    answer, window = facts.oracle, facts.window
    cumulative = np.array([answer.expected_transactions(end).sum() for end in _weeks(window)])
    return _figures(facts, [answer.alive], [cumulative], [answer.expected_transactions(window.horizon_days)])


def _model_figures(facts: _Facts, bundles: Sequence[Bundle], places: Sequence[Path]) -> dict[str, Any]:
    """Of every model: alive and shape where it is a bundle, that is answers any horizon; the share by kept scores."""
    window, weeks = facts.window, _weeks(facts.window)
    kept = [load_pieces(place / "scores.npz") for place in places]
    deployable = {OURS: list(bundles)}
    for kind in KINDS:
        model = bundles[0]
        fitted = classical_bundle(
            kind,
            window.history,
            window.cutoff,
            horizon_days=window.horizon_days,
            config=model.config,
            fingerprint=model.fingerprint,
        )
        deployable[kind] = [fitted]
    figures: dict[str, Any] = {}
    for name in kept[0]:
        answers = [predict(bundle, window.history, window.cutoff) for bundle in deployable.get(name, ())]
        figures[name] = _figures(
            facts,
            [answer.alive_probability() for answer in answers],
            [_total(answer.expected_transactions(weeks)) for answer in answers],
            [pieces[name].scores.transactions for pieces in kept],
        )
    return figures


def _total(expected: FloatArray | None) -> FloatArray | None:
    return None if expected is None else expected.sum(axis=0)


def _figures(
    facts: _Facts,
    alive: Sequence[FloatArray | None],
    cumulative: Sequence[FloatArray | None],
    expected: Sequence[FloatArray | None],
) -> dict[str, list[float | None]]:
    """By measure, a figure for each seed; no figure where a method has no answer."""
    return {
        "alive_auc": [alive_auc(p, facts.alive) for p in alive if p is not None],
        "shape_correlation": [shape_correlation(c, facts.weekly) for c in cumulative if c is not None],
        "share_on_gone": [share_on_gone(e, facts.alive) for e in expected if e is not None],
    }


def truth_rows(figures: Mapping[str, Mapping[str, Sequence[float | None]]]) -> list[list[str]]:
    """The table of one cutoff: a row for each model, means over the seeds, the best but for the oracle in bold."""
    means = {name: {measure: _mean(found[measure]) for measure, *_ in MEASURES} for name, found in figures.items()}
    best = {}
    for measure, _, _, aim in MEASURES:
        known = [found[measure] for name, found in means.items() if name != ORACLE and found[measure] is not None]
        best[measure] = (max if aim == "high" else min)(known, default=None)  # type: ignore[type-var]
    rows = []
    for name, found in means.items():
        cells = [_cell(found[m], form, name != ORACLE and found[m] == best[m]) for m, _, form, _ in MEASURES]
        rows.append([MODEL_NAMES.get(name, name), *cells])
    return rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _cell(value: float | None, form: str, best: bool) -> str:
    if value is None:
        return "-"
    return f"**{value:{form}}**" if best else f"{value:{form}}"
