"""What the prior is worth: against fitted models on real and simulated bases, and as a start on small ones.

Every part is one entry of a JSON document, so that a study that was stopped goes on where it stood.
`seqclv.evaluation.prior_page` makes the page from that document alone.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqclv import prior
from seqclv.baselines.boosting import fit_boosting
from seqclv.bundle import Bundle
from seqclv.config import Config
from seqclv.data.bases import Base, draw_base
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE
from seqclv.data.families import FAMILIES, draw_family
from seqclv.data.sampling import uniforms
from seqclv.data.statistics import simulated_statistics, statistics
from seqclv.data.windows import Outcome
from seqclv.evaluation.compare import Contestant, Window, evaluate_contestant, predictor
from seqclv.evaluation.metrics import pit_from_pmf
from seqclv.evaluation.scores import Scores, sections
from seqclv.predictive import FloatArray
from seqclv.training.train import classical_bundle, trained_once

LOSSES = ("churn log-loss", "CRPS of purchases", "CRPS of spend")
START_MODELS = ("seqclv_prior", "from_prior", "from_scratch", "pareto_nbd", "boosting")
FAMILY_HORIZON = 0.5  # spans
_JUDGED = 2_000  # customers that the models of subsets are judged on
_PIT_BINS = 10
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """The document so far and where it lies."""

    path: Path
    entries: dict[str, Any]
    announce: Announce

    def add(self, key: str, make: Callable[[], Any]) -> None:
        """Make an entry unless it is there, and write the document."""
        if key in self.entries:
            return
        self.announce(key)
        self.entries[key] = make()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.entries, indent=1))
        partial.replace(self.path)


def open_study(path: Path, announce: Announce) -> Study:
    """The study in a JSON file; empty where there is none."""
    return Study(path, json.loads(path.read_text()) if path.is_file() else {}, announce)


def losses(result: Scores, actual: Outcome) -> FloatArray:
    """[3, N] losses of each customer; see `LOSSES`."""
    if result.churn is None or result.transaction_crps is None or result.spend_crps is None:
        raise ValueError("the losses of a method that gives no distribution")
    churn = np.clip(result.churn, 1e-9, 1 - 1e-9)
    log_loss = -np.where(actual.transactions == 0, np.log(churn), np.log1p(-churn))
    return np.stack([log_loss, result.transaction_crps, result.spend_crps])


def shown_prior(window: Window) -> Bundle:
    """The prior as the model of the window's histories."""
    return prior.shown(prior.shipped(), [window.history], window.cutoff)


def against_fitted(windows: Sequence[Window]) -> dict[str, Any]:
    """The prior against Pareto/NBD with Gamma-Gamma fitted to each window: losses relative to the fitted model's mean.

    Returns:
        For each of `LOSSES` the mean difference, its paired standard error over customers, and both means.
    """
    ours, theirs, found = [], [], []
    for window in windows:
        fitted = _fitted(window)
        scale = losses(fitted, window.actual).mean(axis=1, keepdims=True)
        theirs.append(losses(fitted, window.actual) / scale)
        mine = _scored(window, shown_prior(window))
        ours.append(losses(mine, window.actual) / scale)
        found.append({"prior": sections(mine, window.actual), "pareto_nbd": sections(fitted, window.actual)})
    difference = np.concatenate(ours, axis=1) - np.concatenate(theirs, axis=1)
    error = difference.std(axis=1, ddof=1) / np.sqrt(difference.shape[1])
    return {
        "customers": difference.shape[1],
        "bases": len(windows),
        "difference": difference.mean(axis=1).tolist(),
        "error": error.tolist(),
        "sections": found,
    }


def _scored(window: Window, bundle: Bundle) -> Scores:
    return evaluate_contestant(window, Contestant(predictor(bundle, window.cutoff), 0.0)).scores


def _fitted(window: Window) -> Scores:
    bundle = classical_bundle(
        "pareto_nbd", window.history, window.cutoff, horizon_days=window.horizon_days, config=Config(), fingerprint=""
    )
    return _scored(window, bundle)


def family_windows(family: str, bases: int, customers: int) -> list[Window]:
    """Bases of a held-out family, each with the window that follows its history."""
    found = []
    for index in range(bases):
        random = np.random.default_rng([4_711, list(FAMILIES).index(family), index])
        base = draw_family(family, random, customers)
        found.append(simulated_window(base, FAMILY_HORIZON))
    return found


def simulated_window(base: Base, horizon_spans: float) -> Window:
    """The history of a simulated base and the outcome of a whole number of days after it."""
    past = base.history
    span = (base.cutoff - int(past.timestamp.min())) / MICROSECONDS_PER_DAY
    horizon = max(float(np.floor(horizon_spans * span)), 1.0)
    events = base.events
    end = base.cutoff + round(horizon * MICROSECONDS_PER_DAY)
    inside = (events.event_type == PURCHASE) & (events.timestamp >= base.cutoff) & (events.timestamp < end)
    owner, size = events.owner[inside], events.customers
    number = np.bincount(owner, minlength=size).astype(np.float64)
    spend = np.bincount(owner, weights=events.amount[inside], minlength=size).astype(np.float64)
    return Window(past, Outcome(number, spend, np.zeros(size)), base.cutoff, horizon)


def start_entry(window: Window, size: int, seed: int) -> dict[str, Any]:
    """Models of a random subset of the window's customers, judged on a fixed sample of all of them.

    Returns:
        For each of `START_MODELS` its metrics sections on the sample.
    """
    chosen = _chosen(window, size, seed)
    few = Window(window.history.select(chosen), _outcome(window, chosen), window.cutoff, window.horizon_days)
    sample = _chosen(window, _JUDGED, 0)
    judged = Window(window.history.select(sample), _outcome(window, sample), window.cutoff, window.horizon_days)
    models: dict[str, Any] = {"seqclv_prior": shown_prior(few)}
    models["from_prior"] = _trained(few, seed, True)
    started = models["from_prior"].training["start"] == "prior"
    models["from_scratch"] = _trained(few, seed, False) if started else models["from_prior"]
    models["pareto_nbd"] = classical_bundle(
        "pareto_nbd", few.history, few.cutoff, horizon_days=few.horizon_days, config=Config(), fingerprint=""
    )
    found = {name: sections(_scored(judged, bundle), judged.actual) for name, bundle in models.items()}
    boosted = fit_boosting(few.history, few.cutoff, few.horizon_days, seed)
    contestant = Contestant(lambda part: boosted.forecast(part, few.cutoff), 0.0)
    found["boosting"] = sections(evaluate_contestant(judged, contestant).scores, judged.actual)
    return {name: found[name] for name in START_MODELS}


def _chosen(window: Window, size: int, seed: int) -> np.ndarray:
    order = np.argsort(uniforms(window.history.customer_id, 1, 77, seed)[:, 0], kind="stable")
    return np.sort(order[:size]).astype(np.int64)


def _outcome(window: Window, rows: np.ndarray) -> Outcome:
    actual = window.actual
    return Outcome(actual.transactions[rows], actual.spend[rows], actual.refunds[rows])


def _trained(window: Window, seed: int, from_prior: bool) -> Bundle:
    config = Config(seed=seed)
    config = replace(config, training=replace(config.training, from_prior=from_prior))
    return trained_once(window.history, window.cutoff, horizon_days=window.horizon_days, config=config)


def calibration(bases: int, seed: int) -> dict[str, Any]:
    """The prior on bases that the generator draws: reliability of churn and the histogram of count PITs.

    The PIT of a count is randomized between P(N < n) and P(N <= n) (Czado, Gneiting and Held 2009).
    """
    random = np.random.default_rng([seed, 123])
    churn, gone, pit = [], [], []
    for _ in range(bases):
        base = draw_base(random, int(random.integers(100, 800)))
        if base.events.customers == 0:
            continue
        window = simulated_window(base, float(np.exp(random.uniform(np.log(0.05), np.log(1.0)))))
        predictive = predictor(shown_prior(window), window.cutoff)(window.history)
        probability = predictive.churn_probability([window.horizon_days])
        maximum = int(min(window.actual.transactions.max() + 50, 1_500))
        pmf = predictive.transaction_pmf(window.horizon_days, maximum)
        if probability is None or pmf is None:
            raise ValueError("the prior gives probabilities of churn and of counts")
        churn.append(probability[:, 0])
        gone.append(window.actual.transactions == 0)
        counted = np.minimum(window.actual.transactions, maximum)
        pit.append(pit_from_pmf(pmf, counted, random.random(len(counted))))
    probability, left = np.concatenate(churn), np.concatenate(gone).astype(np.float64)
    order = np.array_split(np.argsort(probability, kind="stable"), 10)
    shares = np.histogram(np.concatenate(pit), bins=_PIT_BINS, range=(0, 1))[0] / len(probability)
    return {
        "customers": len(probability),
        "bases": len(churn),
        "forecast": [float(probability[rows].mean()) for rows in order],
        "actual": [float(left[rows].mean()) for rows in order],
        "pit": shares.tolist(),
    }


def ranges(windows: Mapping[str, Window], bases: int) -> dict[str, Any]:
    """Statistics of logs, and the quantiles of simulated bases that they lie at."""
    drawn = simulated_statistics(bases, seed=1)
    logs = {}
    for name, window in windows.items():
        values = statistics(window.history, window.cutoff)
        logs[name] = {
            "values": values.tolist(),
            "quantiles": ((drawn < values).mean(axis=0) / 2 + (drawn <= values).mean(axis=0) / 2).tolist(),
        }
    levels = np.quantile(drawn, (0.0, 0.05, 0.5, 0.95, 1.0), axis=0)
    return {"bases": bases, "drawn": levels.T.tolist(), "logs": logs}


def time_to_score(customers: int) -> dict[str, Any]:
    """Seconds that `seqclv score --model prior` takes for a simulated log, start-up included."""
    from seqclv.data.simulate import SimulationConfig, simulate, write

    with tempfile.TemporaryDirectory(prefix="seqclv-") as directory:
        log, out = Path(directory) / "log.parquet", Path(directory) / "forecasts.parquet"
        write(simulate(SimulationConfig(customers=customers, seed=3, mean_events=8)), log)
        command = [sys.executable, "-m", "seqclv", "score", "--model", "prior", "--transactions", str(log)]
        command += ["--cutoff", "2021-07-01", "--horizons", "30", "90", "365", "--out", str(out), "--quiet"]
        wall, used = time.perf_counter(), _children_seconds()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {
            "customers": customers,
            "wall": time.perf_counter() - wall,
            "processor": _children_seconds() - used,
        }


def _children_seconds() -> float:
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
