"""The held-out past of a model: its forecasts at the end of its training, and what then happened."""

import numpy as np
import pyarrow as pa

from seqclv.baselines.classical import KINDS
from seqclv.bundle import Bundle
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events
from seqclv.data.windows import end_of_log, history, merged, within
from seqclv.evaluation.compare import key_of, tracking_horizons
from seqclv.evaluation.matured import Forecasts, mature
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import forecast_table, predict
from seqclv.predictive import FloatArray
from seqclv.report.subject import HeldOut, Tracking
from seqclv.training.train import classical_bundle

BESIDE = "pareto_nbd"  # the classical model whose track is shown beside


def held_out_of_model(bundle: Bundle, events: Events) -> HeldOut | None:
    """The window after a model's training, of the length it was trained for; None if the log does not hold it all."""
    cutoff, horizon = bundle.training_cutoff, bundle.horizon_days
    if cutoff + round(horizon * MICROSECONDS_PER_DAY) > end_of_log(int(events.timestamp.max())):
        return None
    past = history(events, cutoff, bundle.merge)
    if past.customers == 0:
        return None
    tables = [
        forecast_table(predict(bundle, part, cutoff), part.customer_id, cutoff, [horizon]) for part in chunked([past])
    ]
    forecasts = Forecasts(pa.concat_tables(tables).to_pandas(), cutoff, (horizon,), None)
    return held_out(bundle, forecasts, events)


def held_out(bundle: Bundle, forecasts: Forecasts, events: Events) -> HeldOut:
    """Forecasts of one horizon beside what happened, and the track of purchases over the window."""
    horizon = forecasts.horizons_days[-1]
    past = history(events, forecasts.cutoff, bundle.merge)
    matured = mature(forecasts, horizon, events, bundle.merge)
    return HeldOut(
        cutoff=forecasts.cutoff, matured=matured, tracking=_tracking(bundle, past, events, forecasts.cutoff, horizon)
    )


def _tracking(bundle: Bundle, past: Events, events: Events, cutoff: int, horizon: float) -> Tracking:
    grid = tracking_horizons(horizon)
    contestants = {key_of(bundle): bundle}
    if bundle.kind not in KINDS:
        contestants[BESIDE] = classical_bundle(
            "pareto_nbd", past, cutoff, horizon_days=horizon, config=bundle.config, fingerprint=bundle.fingerprint
        )
    forecasts = {who: _cumulative(one, past, cutoff, grid) for who, one in contestants.items()}
    known = events.select(np.searchsorted(events.customer_id, past.customer_id))
    end = cutoff + round(horizon * MICROSECONDS_PER_DAY)
    future = merged(within(known, cutoff, end), bundle.merge)
    time = np.sort(future.timestamp[future.event_type == PURCHASE])
    marks = cutoff + np.asarray(grid) * MICROSECONDS_PER_DAY
    return Tracking(days=np.asarray(grid), actual=np.searchsorted(time, marks).astype(np.float64), forecasts=forecasts)


def _cumulative(bundle: Bundle, past: Events, cutoff: int, grid: list[float]) -> FloatArray:
    total = np.zeros(len(grid))
    for part in chunked([past]):
        expected = predict(bundle, part, cutoff).expected_transactions(grid)
        if expected is not None:  # every deployable model gives it
            total += expected.sum(axis=0)
    return total
