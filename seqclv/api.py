"""The parts of the way, one call each: what the command line does with options is done here with arguments."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqclv.bundle import Bundle, load_bundle
from seqclv.config import Config, DataConfig
from seqclv.data.store import EventStore, append_store, build_store
from seqclv.data.windows import instant
from seqclv.errors import InputError
from seqclv.evaluation import backtest as backtesting
from seqclv.pseudonyms import read_key
from seqclv.scoring import open_model, score_log

if TYPE_CHECKING:
    from seqclv.forecast.engines.local import Scored
    from seqclv.value.run import Plan, Valued

Announce = Callable[[str], None]


def _silent(text: str) -> None:
    """Say nothing."""


def prepare(
    data: DataConfig,
    out: str | Path,
    *,
    until: object = None,
    append: bool = False,
    replace_from: object = None,
    pseudonymize_key: str | None = None,
) -> EventStore:
    """Validate a log and build a store from it, or append it to a store.

    See `build_store` and `append_store` in `seqclv.data.store`; `until` and `replace_from` are dates or times here,
    and `pseudonymize_key` is 'env:NAME' or a file that holds the key.

    Raises:
        InputError: `replace_from` is given without `append`, or the log or the store is refused.
    """
    end = None if until is None else instant(until, what="bound for until")
    start = None if replace_from is None else instant(replace_from, what="bound for replace-from")
    key = None if pseudonymize_key is None else read_key(pseudonymize_key)
    if append:
        return append_store(data, Path(out), until=end, replace_from=start, key=key)
    if start is not None:
        raise InputError("Rows can be replaced in a store only, but replace-from is given without append: give both.")
    return build_store(data, Path(out), until=end, key=key)


def backtest(
    config: Config,
    cutoffs: Sequence[object] | str,
    horizon_days: float,
    out: str | Path,
    *,
    seeds: Sequence[int] = (),
    quiet: bool = False,
    announce: Announce = _silent,
    **further: Any,
) -> dict[str, Any]:
    """Train before each cutoff, score, compare with all baselines; see `seqclv.evaluation.backtest`.

    `cutoffs` may be one date as text; `further` are the other fields of its `BacktestPlan`, such as
    baseline_forecasts=True.
    """
    cutoffs = [cutoffs] if isinstance(cutoffs, str) else cutoffs
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

    `further` are table, engine and the fields of `seqclv.forecast.engines.local.Execution`: workers, accelerator.
    """
    from seqclv.forecast.engines.local import Execution

    bundle = model if isinstance(model, Bundle) else open_model(model)
    place = {name: further.pop(name) for name in ("table", "engine") if name in further}
    execution = Execution(announce=announce, **further)
    return score_log(bundle, data, instant(cutoff), horizons_days, out, execution=execution, **place)


def value_customers(
    model: Bundle | str | Path, data: DataConfig, plan: "Plan", out: str | Path, *, announce: Announce = _silent
) -> "Valued":
    """Turn forecasts into money: what the command `value` does; see `seqclv.value.run` for the plan and the result."""
    from seqclv.value.log import value_log

    bundle = model if isinstance(model, Bundle) else open_model(model)
    return value_log(bundle, data, plan, Path(out), announce=announce)


def make_report(
    out: str | Path,
    *,
    model: Bundle | str | Path | None = None,
    backtest: str | Path | None = None,
    data: DataConfig | None = None,
    cutoff: object = None,
    announce: Announce = _silent,
    **options: Any,
) -> dict[str, Any]:
    """Write a report on a model or a backtest (an HTML page or its numbers as JSON) and return its numbers.

    Args:
        out: a file that ends in .html or .json.
        model: a bundle, its directory or its MLflow URI; or else
        backtest: the directory of a backtest.
        data: the log; without it the report has no customers (model) or no history and no track (backtest).
        cutoff: with a model and a log, where the forecasts begin; by default the log's end.
        announce: told what is being done.
        **options: fields of `seqclv.report.subject.ReportOptions`, such as terms=Terms(margin=0.3).
    """
    from seqclv.report.build import write_report
    from seqclv.report.gather import subject_of_backtest, subject_of_model
    from seqclv.report.subject import ReportOptions

    chosen = ReportOptions(**options)
    if (model is None) == (backtest is None):
        raise InputError("A report is on a model or on a backtest, but both or none are given: name one of the two.")
    if backtest is not None:
        subject = subject_of_backtest(Path(backtest), data, options=chosen, announce=announce)
    else:
        bundle = model if isinstance(model, Bundle) else open_model(str(model))
        at = None if cutoff is None else instant(cutoff)
        subject = subject_of_model(bundle, data, at, options=chosen, announce=announce)
    return write_report(subject, Path(out))


def why(
    model: Bundle | str | Path,
    data: DataConfig,
    cutoff: object,
    out: str | Path | None = None,
    *,
    announce: Announce = _silent,
    **further: Any,
) -> dict[str, Any]:
    """Say which events and attributes moved the forecasts of a network; also written to `out` (.json or .csv).

    `further` are the other fields of `seqclv.value.why.WhyPlan`: customers, horizon_days, quantity.
    """
    from seqclv.value.why import WhyPlan, why_log

    bundle = model if isinstance(model, Bundle) else open_model(model)
    plan = WhyPlan(cutoff=instant(cutoff), **further)
    return why_log(bundle, data, plan, None if out is None else Path(out), announce=announce)


def newcomers(
    data: DataConfig, cutoff: object, out: str | Path | None = None, *, announce: Announce = _silent, **further: Any
) -> dict[str, Any]:
    """Say what new customers bring by their attributes; those who have not bought yet get rows in `out` (.parquet).

    `further` are the other fields of `seqclv.value.prospects.ProspectPlan`: horizons_days, by.
    """
    from seqclv.value.prospects import ProspectPlan, prospects_log

    plan = ProspectPlan(cutoff=instant(cutoff), **further)
    return prospects_log(data, plan, None if out is None else Path(out), announce=announce)


def audit(
    forecasts: str | Path,
    data: DataConfig,
    out: str | Path | None = None,
    *,
    announce: Announce = _silent,
    **further: Any,
) -> dict[str, Any]:
    """Compare a forecasts file with what happened since and return the audit, which is also written to `out`.

    `further` are the other fields of `seqclv.evaluation.audit.AuditPlan`: model, lists, segment_by. `out` ends in
    .html or .json.
    """
    from seqclv.evaluation.audit import AuditPlan
    from seqclv.evaluation.audit import audit as compare
    from seqclv.report.audit_page import write_audit
    from seqclv.report.output import checked_out

    path = None if out is None else checked_out(out)
    document = compare(AuditPlan(forecasts=Path(forecasts), **further), data, announce=announce)
    if path is not None:
        write_audit(document, path)
    return document


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
