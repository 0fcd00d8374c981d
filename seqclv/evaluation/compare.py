"""Compare a model with every baseline on the same held-out future."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from seqclv import prior
from seqclv.baselines.boosting import fit_boosting
from seqclv.baselines.classical import KINDS
from seqclv.baselines.formula import fit_formula
from seqclv.baselines.rfm import rfm_table
from seqclv.baselines.weekly_lstm import fit_weekly_lstm
from seqclv.baselines.ziln import fit_ziln
from seqclv.bundle import Bundle
from seqclv.comparison import REFITTED
from seqclv.data.events import Events
from seqclv.data.windows import Outcome, history, outcome, to_timestamp
from seqclv.evaluation.pieces import Piece
from seqclv.evaluation.scores import Scores, join, scores, sections
from seqclv.forecast.chunks import CHUNK_CUSTOMERS
from seqclv.forecast.forecaster import forecast_table, predict
from seqclv.predictive import FloatArray, Predictive
from seqclv.training.train import classical_bundle

OURS = "seqclv"
PRIOR = "seqclv_prior"
TRACKING_POINTS = 40
Predictor = Callable[[Events], Predictive]


class Fitted(Protocol):
    """A fitted method that forecasts from histories."""

    def forecast(self, history: Events, cutoff: int) -> Predictive:
        """The forecasts of merged histories as of the cutoff (microseconds)."""
        ...


# Baselines on request, by name: history, cutoff, horizon in days, seed -> fitted.
FURTHER: Mapping[str, Callable[[Events, int, float, int], Fitted]] = {
    "ziln": fit_ziln,
    "weekly_lstm": fit_weekly_lstm,
}


@dataclass(frozen=True)
class Window:
    """A held-out window of a log: the histories before it and what happened in it."""

    history: Events
    actual: Outcome
    cutoff: int  # microseconds
    horizon_days: float


def held_out(events: Events, cutoff: int, horizon_days: float, merge: str) -> Window:
    """Cut a log into histories before the cutoff and the outcome of [cutoff, cutoff + horizon)."""
    past = history(events, cutoff, merge)
    return Window(past, outcome(events, past.customer_id, cutoff, horizon_days, merge), cutoff, horizon_days)


@dataclass(frozen=True)
class Contestant:
    """One fitted method."""

    predict: Predictor
    fit_seconds: float
    bundle: Bundle | None = None  # where the method can be deployed


@dataclass(frozen=True)
class Result:
    """What one method forecast for a window, and how long it took."""

    scores: Scores
    forecasts: pa.Table  # the forecasts contract, for the window's horizon
    seconds: dict[str, float]
    bundle: Bundle | None
    cumulative: FloatArray | None  # [TRACKING_POINTS] expected purchases of all customers by equal parts of the window


def key_of(bundle: Bundle) -> str:
    """The name under which a comparison has a model: a network is ours, any other goes by what it is."""
    return {"network": OURS, "prior": PRIOR}.get(bundle.kind, bundle.kind)


def fit_baselines(window: Window, model: Bundle, *, seed: int, further: Sequence[str] = ()) -> dict[str, Contestant]:
    """Fit every baseline, and those of `FURTHER` that are named, on the histories before the window, nothing else."""
    past, cutoff, horizon = window.history, window.cutoff, window.horizon_days
    contestants: dict[str, Contestant] = {}
    for kind in KINDS:
        started = time.perf_counter()
        fitted = classical_bundle(
            kind, past, cutoff, horizon_days=horizon, config=model.config, fingerprint=model.fingerprint
        )
        contestants[kind] = Contestant(predictor(fitted, cutoff), time.perf_counter() - started, fitted)
    started = time.perf_counter()
    boosted = fit_boosting(past, cutoff, horizon, seed)
    contestants["boosting"] = Contestant(lambda part: boosted.forecast(part, cutoff), time.perf_counter() - started)
    started = time.perf_counter()
    formula = fit_formula(rfm_table(past, cutoff))
    contestants["formula"] = Contestant(
        lambda part: formula.forecast(rfm_table(part, cutoff)), time.perf_counter() - started
    )
    return contestants | {name: _further(name, window, seed) for name in further}


def _prior(window: Window, model: Bundle) -> Contestant:
    """The shipped prior on the log of the model, not trained on it; the model itself is what is deployed."""
    started = time.perf_counter()
    source = prior.for_log(prior.shipped(), model.config.data)
    shown = prior.shown(source, [window.history], window.cutoff, fingerprint=model.fingerprint)
    return Contestant(predictor(shown, window.cutoff), time.perf_counter() - started)


def _further(name: str, window: Window, seed: int) -> Contestant:
    started = time.perf_counter()
    fitted = FURTHER[name](window.history, window.cutoff, window.horizon_days, seed)
    return Contestant(lambda part: fitted.forecast(part, window.cutoff), time.perf_counter() - started)


def predictor(bundle: Bundle, cutoff: int) -> Predictor:
    """The predictions of a bundle as of a cutoff."""
    return lambda part: predict(bundle, part, cutoff)


def compare(
    window: Window,
    model: Bundle,
    *,
    fit_seconds: float,
    key: str = OURS,
    seed: int = 0,
    further: Sequence[str] = (),
    announce: Callable[[str], None] | None = None,
) -> dict[str, Result]:
    """Evaluate a model, which comes first, all baselines and the named further ones on one window.

    `key` is the model's name (see `key_of`). A baseline of the same kind is fitted before the window all the same, and
    is called '<kind>_refitted'; the prior stands there once.
    """
    say = announce or (lambda _: None)
    say("fitting the baselines")
    contestants = {key: Contestant(predictor(model, window.cutoff), fit_seconds, model)}
    contestants |= {} if key == PRIOR else {PRIOR: _prior(window, model)}
    for name, fitted in fit_baselines(window, model, seed=seed, further=further).items():
        contestants[name + REFITTED if name == key else name] = fitted
    results = {}
    for name, contestant in contestants.items():
        say(f"forecasting with {name}")
        results[name] = evaluate_contestant(window, contestant)
    return results


def evaluate_contestant(window: Window, contestant: Contestant) -> Result:
    """Forecast and score in chunks of the size that scoring uses, so that the forecasts are the same to the bit."""
    parts, tables, spent = [], [], 0.0
    grid = tracking_horizons(window.horizon_days)
    cumulative = np.zeros(TRACKING_POINTS) if contestant.bundle is not None else None
    for start in range(0, window.history.customers, CHUNK_CUSTOMERS):
        stop = min(start + CHUNK_CUSTOMERS, window.history.customers)
        part = window.history.select(np.arange(start, stop, dtype=np.int64))
        started = time.perf_counter()
        predictive = contestant.predict(part)
        tables.append(forecast_table(predictive, part.customer_id, window.cutoff, [window.horizon_days]))
        spent += time.perf_counter() - started
        expected = predictive.expected_transactions(grid) if cumulative is not None else None
        if cumulative is not None and expected is not None:
            cumulative += expected.sum(axis=0)
        actual = slice_outcome(window.actual, start, stop)
        parts.append(scores(predictive, tables[-1], actual, window.horizon_days, seed=start))
    seconds = {"fit": round(contestant.fit_seconds, 3), "predict": round(spent, 3)}
    return Result(join(parts), pa.concat_tables(tables), seconds, contestant.bundle, cumulative)


def tracking_horizons(horizon_days: float) -> list[float]:
    """The horizons of `Result.cumulative`: the last one is the window's."""
    return [horizon_days * (i + 1) / TRACKING_POINTS for i in range(TRACKING_POINTS)]


def slice_outcome(actual: Outcome, start: int, stop: int) -> Outcome:
    """The outcome of consecutive customers."""
    return Outcome(actual.transactions[start:stop], actual.spend[start:stop], actual.refunds[start:stop])


def metrics_document(window: Window, results: Mapping[str, Result]) -> dict[str, Any]:
    """The metrics.json of one window."""
    return {
        "cutoff": cutoff_text(window.cutoff),
        "horizon_days": window.horizon_days,
        "customers": window.history.customers,
        "models": {
            name: {**sections(result.scores, window.actual), "seconds": result.seconds}
            for name, result in results.items()
        },
    }


def pooled_document(cutoffs: Sequence[int], pieces: Mapping[str, Sequence[Piece]]) -> dict[str, Any]:
    """The pooled metrics.json: every customer x cutoff row counts alike; seconds are sums."""
    models = {}
    for name, rows in pieces.items():
        actual = join_outcomes([row.actual for row in rows])
        seconds = {key: round(sum(row.seconds[key] for row in rows), 3) for key in ("fit", "predict")}
        models[name] = {**sections(join([row.scores for row in rows]), actual), "seconds": seconds}
    return {"cutoffs": [cutoff_text(cutoff) for cutoff in cutoffs], "models": models}


def join_outcomes(parts: Sequence[Outcome]) -> Outcome:
    """The outcomes of several windows, one after the other."""
    fields = ("transactions", "spend", "refunds")
    return Outcome(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def cutoff_text(cutoff: int) -> str:
    """A cutoff as a date, or as a time where it is not midnight."""
    stamp = to_timestamp(cutoff)
    return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat()
