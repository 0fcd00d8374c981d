"""The parts of the way, one call each: what the command line does with options is done here with arguments."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqclv.bundle import Bundle, load_bundle
from seqclv.config import Config, DataConfig
from seqclv.data.store import EventStore, build_store
from seqclv.data.windows import instant
from seqclv.evaluation import backtest as backtesting
from seqclv.scoring import open_model, score_log

if TYPE_CHECKING:
    from seqclv.forecast.engines.local import Scored

Announce = Callable[[str], None]


def _silent(text: str) -> None:
    """Say nothing."""


def prepare(data: DataConfig, out: str | Path, *, until: object = None) -> EventStore:
    """Validate a log and build a store from it; see `seqclv.data.store.build_store`."""
    return build_store(data, Path(out), until=None if until is None else instant(until, what="bound for until"))


def backtest(
    config: Config,
    cutoffs: Sequence[object],
    horizon_days: float,
    out: str | Path,
    *,
    seeds: Sequence[int] = (),
    quiet: bool = False,
    announce: Announce = _silent,
    **further: Any,
) -> dict[str, Any]:
    """Train before each cutoff, score, compare with all baselines; see `seqclv.evaluation.backtest`.

    `further` are the other fields of its `BacktestPlan`, such as baseline_forecasts=True.
    """
    plan = backtesting.BacktestPlan(
        cutoffs=tuple(dict.fromkeys(instant(cutoff) for cutoff in cutoffs)),
        horizon_days=horizon_days,
        seeds=tuple(dict.fromkeys(seeds)),
        **further,
    )
    return backtesting.backtest(config, plan, Path(out), quiet=quiet, announce=announce)


def score(
    model: Bundle | str | Path,
    data: DataConfig,
    cutoff: object,
    horizons_days: Sequence[float],
    out: str | Path,
    *,
    announce: Announce = _silent,
    **further: Any,
) -> "Scored":
    """Forecast every customer of a log with a purchase before the cutoff; see `seqclv.scoring.score_log`.

    `further` are table, engine, and the fields of `seqclv.forecast.engines.local.Execution`: workers, accelerator.
    """
    from seqclv.forecast.engines.local import Execution

    bundle = model if isinstance(model, Bundle) else open_model(model)
    place = {name: further.pop(name) for name in ("table", "engine") if name in further}
    execution = Execution(announce=announce, **further)
    return score_log(bundle, data, instant(cutoff), horizons_days, out, execution=execution, **place)


def register(model: str | Path, name: str, *, alias: str | None = None, tracking_uri: str | None = None) -> str:
    """Register a bundle directory or the bundle of a run as the next version of a model, and return the version."""
    from seqclv.tracking import registry
    from seqclv.tracking.store import open_store

    if registry.is_model_uri(str(model)):
        directory = registry.download(str(model), store=open_store(tracking_uri))
    else:
        directory = Path(model)
        load_bundle(directory)  # refuse what is no bundle before a tracking database is made for it
    return registry.register(directory, name, store=open_store(tracking_uri, create=True), alias=alias)
