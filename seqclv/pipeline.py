"""The whole way in one call: read, train, compare, record, decide, register; and the comparison alone.

This is the only module that composes data, training, evaluation and tracking.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqclv import prior
from seqclv.bundle import Bundle, load_bundle, save_bundle
from seqclv.config import Config, DataConfig
from seqclv.data.apart import require_apart
from seqclv.data.covariates import missing_columns
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.honoured import as_prepared
from seqclv.data.mapping import named_places
from seqclv.data.store import EventStore
from seqclv.data.windows import end_of_log, instant, to_timestamp
from seqclv.errors import InputError
from seqclv.evaluation import backtest as backtesting
from seqclv.evaluation.compare import (
    OURS,
    Contestant,
    Result,
    Window,
    compare,
    cutoff_text,
    evaluate_contestant,
    held_out,
    key_of,
    metrics_document,
    predictor,
)
from seqclv.evaluation.figures import evaluation_figures, save_figures
from seqclv.evaluation.scores import sections
from seqclv.forecast.threads import threads_kept
from seqclv.forecast.told import opened
from seqclv.scoring import open_model
from seqclv.training.train import retrained, train_bundle

if TYPE_CHECKING:
    from seqclv.tracking.promote import Promotion
    from seqclv.tracking.runs import Run
    from seqclv.tracking.store import Store

Announce = Callable[[str], None]


def _silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Trained:
    """What a training left behind."""

    metrics: Mapping[str, Any]  # the metrics.json document of the held-out window
    promotion: "Promotion"
    run_id: str
    bundle: Bundle

    @property
    def verdict(self) -> tuple[str, ...]:
        """Who is champion and why, in sentences."""
        return self.promotion.decision.reasons

    @property
    def learned(self) -> str:
        """Until when the registered models have learned, in a sentence."""
        return (
            f"The registered models learned from events before {self.metrics['cutoff']} only: the "
            f"{self.metrics['horizon_days']:g} days from then on judged them, and nothing is fitted again on the whole "
            "log. A shorter --horizon (or a later --cutoff) moves that date on."
        )

    def summary(self) -> dict[str, Any]:
        """Plain values for the machine-readable output."""
        return {
            "run_id": self.run_id,
            "name": self.promotion.name,
            "versions": dict(self.promotion.versions),
            "champion": self.promotion.champion,
            "promoted": self.promotion.decision.promote,
            "reasons": list(self.verdict),
            "training_cutoff": self.metrics["cutoff"],
            "metrics": self.metrics,
        }


@dataclass(frozen=True)
class _Experiment:
    """What the steps of a training share."""

    config: Config
    log: EventStore
    events: Events
    window: Window
    work: Path
    announce: Announce
    quiet: bool


@threads_kept()
def train(
    config: Config, *, out: str | Path | None = None, quiet: bool = False, announce: Announce = _silent
) -> Trained:
    """Train on a log, compare with all baselines on the held-out future, record the run and register the models.

    The model is trained on what lies before `config.cutoff` and judged on the `config.horizon_days` after it; without
    these the last quarter of the log is held out. What is registered is the model that was judged. It becomes
    `champion` only if it passes the gate (see `seqclv.tracking.gate`), else it is `challenger`.

    Args:
        config: the experiment.
        out: directory that also receives bundle, forecasts, metrics and plots.
        quiet: show no progress bars.
        announce: told what is being done.

    Raises:
        InputError: the log, the window or the tracking URI is refused; nothing is recorded then.
    """
    from seqclv.tracking.runs import tracked_run
    from seqclv.tracking.store import open_store

    if out is not None:
        require_apart(out, config.data)
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        log = opened(config.data, Path(workspace), announce)
        config = replace(config, data=as_prepared(config.data, log.info))
        events = backtesting.learned_from(log, config.training.max_customers, announce)
        config = with_window(config, events)
        window = _held_out(config, events)
        experiment = _Experiment(config, log, events, window, Path(workspace), announce, quiet)
        store = open_store(config.tracking.uri, create=True)
        tags = {"fingerprint": log.fingerprint, "kind": "network", "cutoff": config.cutoff}
        with tracked_run(store, config.tracking.experiment, tags=tags) as run:
            return _train_in(run, store, experiment, None if out is None else Path(out))


def _train_in(run: "Run", store: "Store", experiment: _Experiment, out: Path | None) -> Trained:
    from seqclv.tracking.gate import decide
    from seqclv.tracking.promote import carry_out

    config, window = experiment.config, experiment.window
    run.log_config(config)
    run.log_dataset(named_places(config.data), experiment.log.fingerprint, profile=_profile(experiment.log))
    experiment.announce(
        f"training on {window.history.customers:,} customers before {config.cutoff}, "
        f"holding out the {config.horizon_days:g} days after it"
    )
    bundle, fitted = train_bundle(
        window.history,
        window.cutoff,
        horizon_days=window.horizon_days,
        config=config,
        fingerprint=experiment.log.fingerprint,
        work=experiment.work / "training",
        quiet=experiment.quiet,
        observer=run.observe,
    )
    results = compare(window, bundle, fit_seconds=fitted.seconds, seed=config.seed, announce=experiment.announce)
    metrics = metrics_document(window, results)
    bundle = bundle.with_metrics(metrics)
    figures = evaluation_figures(window, results, experiment.events, config.data.merge, fitted.curves)
    directories = _save_bundles(bundle, results, metrics, experiment.work / "bundles")
    experiment.announce("recording the run in MLflow")
    run.log_evaluation(metrics)
    for name, figure in figures.items():
        run.log_figure(figure, name)
    run.log_directory(directories[OURS], "bundle")
    decision = decide(metrics, champion_metrics=_champion_sections(store, experiment))
    promotion = carry_out(
        decision, directories, config.tracking.model_name, store=store, metrics=metrics, run_id=run.run_id
    )
    run.log_tags({"verdict": " ".join(decision.reasons)})
    if out is not None:
        backtesting.write_results(window, bundle, results, out, baseline_forecasts=False)
        save_figures(figures, out)
    return Trained(metrics, promotion, run.run_id, bundle)


def with_window(config: Config, events: Events) -> Config:
    """The configuration with its held-out window filled in: by default the last quarter of the log's days."""
    if len(events) == 0:
        raise InputError("A log needs transactions, but it has none: give another file.")
    end = end_of_log(int(events.timestamp.max()))
    if config.cutoff is not None:
        cutoff = instant(config.cutoff)
        horizon = config.horizon_days or max((end - cutoff) / MICROSECONDS_PER_DAY, 1.0)
    else:
        span = (end - int(events.timestamp.min())) / MICROSECONDS_PER_DAY
        horizon = config.horizon_days or max(span // 4, 1.0)
        cutoff = end - round(horizon * MICROSECONDS_PER_DAY)
    return replace(config, cutoff=cutoff_text(cutoff), horizon_days=horizon)


def _held_out(config: Config, events: Events) -> Window:
    cutoff, horizon = instant(config.cutoff), float(config.horizon_days or 0)
    backtesting.check_window(events, cutoff, horizon, config.data.merge)
    return held_out(events, cutoff, horizon, config.data.merge)


def _profile(log: EventStore) -> dict[str, object]:
    return {
        "customers": log.customers,
        "events": log.info.events,
        "first": str(to_timestamp(log.first)),
        "last": str(to_timestamp(log.last)),
    }


def _save_bundles(
    bundle: Bundle, results: Mapping[str, Result], metrics: Mapping[str, Any], directory: Path
) -> dict[str, Path]:
    """Every deployable contestant as a bundle directory, by name."""
    deployable = {name: result.bundle for name, result in results.items() if result.bundle is not None} | {OURS: bundle}
    for name, one in deployable.items():
        save_bundle(one.with_metrics(metrics), directory / name)
    return {name: directory / name for name in deployable}


def _champion_sections(store: "Store", experiment: _Experiment) -> dict[str, Any] | None:
    """The present champion's figures on this window, or None where there is no champion.

    A champion whose training ended after the window's start knows the answers, and one that needs a calendar which this
    log has not cannot answer: its recipe is trained again on what lies before the window.
    """
    from seqclv.tracking.registry import champion

    present = champion(experiment.config.tracking.model_name, store=store)
    if present is None:
        return None
    bundle, window = load_bundle(present.bundle), experiment.window
    alike = bundle.merge == experiment.config.data.merge
    alike = alike and not missing_columns(window.history.calendar, bundle.calendar)
    if bundle.training_cutoff > window.cutoff or not alike:
        experiment.announce(f"training the recipe of the champion, version {present.version}, before this window")
        bundle = retrained(
            bundle,
            window.history,
            window.cutoff,
            horizon_days=window.horizon_days,
            data=experiment.config.data,
            work=experiment.work / "champion",
            quiet=experiment.quiet,
        )
    experiment.announce(f"comparing with the present champion, version {present.version}")
    result = evaluate_contestant(window, Contestant(predictor(bundle, window.cutoff), 0.0, bundle))
    return sections(result.scores, window.actual)


def evaluate(
    model: Bundle | str | Path,
    data: DataConfig,
    cutoff: object,
    horizon_days: float,
    out: str | Path,
    *,
    baseline_forecasts: bool = False,
    announce: Announce = _silent,
) -> dict[str, Any]:
    """Compare a model with all baselines on [cutoff, cutoff + horizon) and write metrics, forecasts and plots.

    Raises:
        InputError: the log does not cover the window, or the model was trained on events at or after the cutoff.
    """
    bundle = model if isinstance(model, Bundle) else open_model(model)
    key = key_of(bundle)
    if bundle.kind == "prior":
        bundle = prior.for_log(bundle, data)
    start = cutoff if isinstance(cutoff, int) else instant(cutoff)
    if start < bundle.training_cutoff:
        raise InputError(
            f"A model is judged on a future it has not seen, but this one was trained on events up to "
            f"{cutoff_text(bundle.training_cutoff)}, after {cutoff_text(start)}: take a later cutoff or another model."
        )
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        events = opened(data, Path(workspace), announce).read()
        backtesting.check_window(events, start, horizon_days, bundle.merge)
        window = held_out(events, start, horizon_days, bundle.merge)
        bundle = prior.shown(bundle, [window.history], start)
        results = compare(window, bundle, fit_seconds=0.0, key=key, seed=bundle.config.seed, announce=announce)
        figures = evaluation_figures(window, results, events, bundle.merge, key=key)
        backtesting.write_results(window, None, results, Path(out), baseline_forecasts=baseline_forecasts, key=key)
        save_figures(figures, Path(out))
    return metrics_document(window, results)
