"""Gradient-boosted trees on features at past cutoffs: the opponent a data scientist would build first.

Three models of one horizon, a regression of the count, one of the spend and a classification of churn, learn from
several past cutoffs of the same customers; nothing ties them together, so they may contradict each other.

The windows of the past cutoffs end at or before the cutoff. Where the history is shorter than three horizons, they
are a third of it long, and forecasts are extended to the horizon by power laws in time: see `seqclv.baselines.growth`.

Shape: C customers, R examples, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from seqclv.baselines.cutoff_features import Examples, cutoff_features, past_examples, trailing_windows
from seqclv.baselines.fixed_horizon import at_most, require_fitted_horizon
from seqclv.baselines.growth import Growth, growth, past_window
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events

FloatArray = npt.NDArray[np.float64]
Predictor = Callable[[FloatArray], FloatArray]  # [R, D] -> [R]

_CUTOFFS = 6
_ITERATIONS = 150  # at most
_EVERY = 25  # numbers of iterations tried
_MOST_CUSTOMERS = 100_000  # learned from
_FEWEST_EXAMPLES = 50  # below, constants are forecast
_CHOICE_EXAMPLES = 40_000  # at most, for the choice of loss and iterations
_HELD_OUT = 0.25  # share of customers that decides it
_TREE = {"learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 50, "l2_regularization": 1.0}


@dataclass(frozen=True)
class BoostingModel:
    """The three fitted models, for exactly one horizon."""

    horizon_days: float
    window_days: float  # of the past cutoffs
    trailing_days: tuple[float, ...]
    count: Predictor
    spend: Predictor
    churn: Predictor
    growth: Growth

    def forecast(self, history: Events, cutoff: int) -> "BoostingForecast":
        """Forecast the customers of a merged history as of `cutoff` (microseconds), in its order."""
        features = cutoff_features(history, cutoff, self.trailing_days)
        longer = self.horizon_days / self.window_days
        return BoostingForecast(
            self.horizon_days,
            np.maximum(self.count(features), 0) * longer**self.growth.count,
            np.maximum(self.spend(features), 0) * longer**self.growth.spend,
            np.clip(self.churn(features), 1e-6, 1 - 1e-6) ** (longer**self.growth.churn),
        )


@dataclass(frozen=True)
class BoostingForecast:
    """Fulfils `seqclv.predictive.Predictive`: means and churn of one horizon, no distribution. Columns [C]."""

    horizon_days: float
    transactions: FloatArray
    spend: FloatArray
    churn: FloatArray

    def __len__(self) -> int:
        return len(self.transactions)

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] forecast number of purchases."""
        return self._repeat(self.transactions, horizons_days)

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] forecast amount of the purchases."""
        return self._repeat(self.spend, horizons_days)

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] P(no purchase in the window)."""
        return self._repeat(self.churn, horizons_days)

    def alive_probability(self) -> None:
        """Unknown: the trees do not tell leaving from pausing."""

    def next_purchase_median(self) -> None:
        """Not given: None."""
        return

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> None:
        """Unknown: means only."""

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> None:
        """Unknown: means only."""

    def transaction_pmf(self, horizon_days: float, maximum: int) -> None:
        """Unknown: means only."""

    def sample(self, horizon_days: float, draws: int, seed: int) -> None:
        """Unknown: means only."""

    def _repeat(self, values: FloatArray, horizons_days: Sequence[float]) -> FloatArray:
        require_fitted_horizon("boosted model", self.horizon_days, horizons_days)
        return np.repeat(values[:, None], len(horizons_days), axis=1)


def fit_boosting(history: Events, cutoff: int, horizon_days: float, seed: int = 0) -> BoostingModel:
    """Fit on merged histories, whose events all lie strictly before `cutoff` (microseconds).

    The loss (Poisson or squared) and the number of trees are those with the least squared error (log-loss for
    churn) for a quarter of the customers at the past cutoffs; then all customers are learned from, or 100,000 drawn
    at random from a larger base. Histories too short or small for trees get the base's averages.
    """
    history = at_most(history, _MOST_CUSTOMERS, np.random.default_rng(seed))
    span = (cutoff - int(history.timestamp.min(initial=cutoff))) / MICROSECONDS_PER_DAY
    window = past_window(horizon_days, span)
    examples = past_examples(history, cutoff, window, _CUTOFFS)
    trailing = trailing_windows(span)
    if len(examples) == 0:
        return _averages(history, horizon_days, span, trailing)
    learn, decide = _split(examples, history.customers, seed)
    count, spend = (_regressor(examples, learn, decide, name, seed) for name in ("count", "spend"))
    churn = _classifier(examples, learn, decide, seed)
    return BoostingModel(
        horizon_days, window, trailing, count, spend, churn, growth(examples, churn(examples.features))
    )


def _averages(history: Events, horizon_days: float, span: float, trailing: tuple[float, ...]) -> BoostingModel:
    """Without any past cutoff: purchases go on at the rate of the whole base."""
    amounts = history.amount[history.event_type == PURCHASE]
    amount = float(amounts.mean()) if len(amounts) else 0.0
    count = len(amounts) / max(history.customers, 1) / max(span, 1.0) * horizon_days
    return BoostingModel(
        horizon_days,
        horizon_days,
        trailing,
        _constant(count),
        _constant(count * amount),
        _constant(np.exp(-count)),
        Growth(1.0, 1.0, 1.0),
    )


def _split(examples: Examples, customers: int, seed: int) -> tuple[Examples, Examples]:
    """Examples to learn from and to decide by, no customer in both, at most `_CHOICE_EXAMPLES` together."""
    generator = np.random.default_rng(seed)
    held_out = generator.random(customers) < _HELD_OUT
    rows = np.arange(len(examples))
    if len(rows) > _CHOICE_EXAMPLES:
        rows = np.sort(generator.choice(rows, _CHOICE_EXAMPLES, replace=False))
    mask = held_out[examples.customer[rows]]
    return examples.select(rows[~mask]), examples.select(rows[mask])


def _regressor(examples: Examples, learn: Examples, decide: Examples, name: str, seed: int) -> Predictor:
    target: FloatArray = getattr(examples, name)
    if min(len(learn), len(decide)) < _FEWEST_EXAMPLES or not getattr(learn, name).any():
        return _constant(float(target.mean()))
    best, seen = (np.inf, "poisson", _EVERY), _seen(learn.features)
    for loss in ("poisson", "squared_error"):
        model = HistGradientBoostingRegressor(loss=loss, max_iter=_ITERATIONS, **_settings(seed))
        model.fit(learn.features[:, seen], getattr(learn, name))
        for i, forecast in enumerate(model.staged_predict(decide.features[:, seen]), start=1):
            error = float(np.mean((forecast - getattr(decide, name)) ** 2))
            if i % _EVERY == 0 and error < best[0]:
                best = (error, loss, i)
    model = HistGradientBoostingRegressor(loss=best[1], max_iter=best[2], **_settings(seed))
    every = _seen(examples.features)
    model.fit(examples.features[:, every], target)
    return lambda features: np.asarray(model.predict(features[:, every]), dtype=np.float64)


def _classifier(examples: Examples, learn: Examples, decide: Examples, seed: int) -> Predictor:
    target = examples.count == 0
    share = (target.sum() + 0.5) / (len(target) + 1)
    small = min(len(learn), len(decide)) < _FEWEST_EXAMPLES
    if small or len(np.unique(learn.count == 0)) == 1:
        return _constant(float(share))
    best, seen = (np.inf, _EVERY), _seen(learn.features)
    model = HistGradientBoostingClassifier(max_iter=_ITERATIONS, **_settings(seed))
    model.fit(learn.features[:, seen], learn.count == 0)
    for i, forecast in enumerate(model.staged_predict_proba(decide.features[:, seen]), start=1):
        none = np.clip(forecast[:, 1], 1e-9, 1 - 1e-9)
        error = -float(np.mean(np.log(np.where(decide.count == 0, none, 1 - none))))
        if i % _EVERY == 0 and error < best[0]:
            best = (error, i)
    model = HistGradientBoostingClassifier(max_iter=best[1], **_settings(seed))
    every = _seen(examples.features)
    model.fit(examples.features[:, every], target)
    return lambda features: np.asarray(model.predict_proba(features[:, every])[:, 1], dtype=np.float64)


def _seen(features: FloatArray) -> npt.NDArray[np.bool_]:
    """[D] the features that any example has: no tree is grown on one that all lack, such as gaps at an early cutoff."""
    return np.asarray(~np.isnan(features).all(axis=0))


def _settings(seed: int) -> dict[str, Any]:
    return {**_TREE, "early_stopping": False, "random_state": seed}


def _constant(value: float) -> Predictor:
    return lambda features: np.full(len(features), value)
