"""An autoregressive LSTM over weekly purchase counts, rolled out by simulation.

Each week of a customer, from the week of the first purchase on, the network reads the number of purchases in it and
the coming week of the year (embeddings), and gives a categorical distribution over the number of purchases in the
coming week. Forecasts are simulated week by week, each path fed with its own draws.

Source: Valendin, Reutterer, Platzer and Kalcher (2022), 'Customer base analysis with recurrent neural networks',
International Journal of Research in Marketing 39(4). It knows no money, so neither does this. Two things are done
better than by simulation alone: P(no purchase) is the exact product of the weekly probabilities along the path without
purchases, and the mean sums each path's weekly means instead of its draws. The season is left out where the history
is shorter than a year: a week of the year that was never seen has no embedding.

Shape: C customers, U different weekly histories, L weeks, K counts 0 ... K - 1 in a week, S simulated paths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from seqclv.baselines.fixed_horizon import at_most, require_fitted_horizon
from seqclv.baselines.weekly_counts import (
    DAYS_PER_WEEK,
    WEEKS_OF_YEAR,
    WeeklyCounts,
    future_weeks_of_year,
    past_weeks_of_year,
    thinning,
    weekly_counts,
)
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.sampling import uniforms

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
State = tuple[Tensor, Tensor]

_MOST_CUSTOMERS = 50_000  # learned from
_MOST_COUNT = 30  # purchases in a week; more count as so many
_WIDTH = 48
_COUNT_WIDTH, _WEEK_WIDTH = 8, 4  # of the embeddings
_BATCH = 32  # histories
_EPOCHS = 40  # at most
_PATIENCE = 8  # epochs without a better likelihood of the customers held out
_HELD_OUT = 0.1  # share of customers that decides when to stop
_LEARNING_RATE = 5e-3
_FEWEST_WEEKS = 200  # to learn from; below, every week is as the average one
_PATHS = 64
_PROBABILITIES = (1e-6, 1 - 1e-6)  # of no purchase: nothing is certain, whatever single precision says
_HISTORIES = 512  # rolled out together


class WeeklyNetwork(nn.Module):
    """Counts so far and the coming weeks of the year -> log-probabilities of the coming counts."""

    def __init__(self, log_frequency: Tensor) -> None:
        super().__init__()
        classes = len(log_frequency)
        self.count = nn.Embedding(classes, _COUNT_WIDTH)
        self.week = nn.Embedding(WEEKS_OF_YEAR + 1, _WEEK_WIDTH, padding_idx=0)  # 0: without a season
        self.lstm = nn.LSTM(_COUNT_WIDTH + _WEEK_WIDTH, _WIDTH, batch_first=True)
        self.head = nn.Linear(_WIDTH, classes)
        nn.init.zeros_(self.head.weight)  # training starts at the average week
        with torch.no_grad():
            self.head.bias.copy_(log_frequency)

    def inputs(self, count: Tensor, week: Tensor) -> Tensor:
        """[U, L] counts and [U, L] coming weeks of the year -> [U, L, E]."""
        return torch.cat([self.count(count), self.week(week)], dim=-1)

    def forward(self, count: Tensor, week: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """[U, L] twice -> [U, L, K] log-probabilities and the state after the last week."""
        output, state = self.lstm(self.inputs(count, week), state)
        return torch.log_softmax(self.head(output), dim=-1), state

    def last(self, count: Tensor, week: Tensor, length: Tensor) -> tuple[Tensor, State]:
        """After the last week of each history: [U, K] log-probabilities of the coming one, and the state."""
        packed = pack_padded_sequence(self.inputs(count, week), length, batch_first=True, enforce_sorted=False)
        _, state = self.lstm(packed)
        return torch.log_softmax(self.head(state[0][-1]), dim=-1), state


@dataclass(frozen=True)
class WeeklyModel:
    """The fitted network, for exactly one horizon."""

    horizon_days: float
    network: WeeklyNetwork
    seasonal: bool
    seed: int

    def forecast(self, history: Events, cutoff: int) -> "WeeklyForecast":
        """Forecast the customers of a merged history as of `cutoff` (microseconds), in its order.

        Draws are keyed by seed and history: customers of the same weekly history have the same forecast, whoever
        else is asked for.
        """
        counts, index = weekly_counts(history, cutoff, self.network.head.out_features - 1).distinct()
        with torch.inference_mode():
            parts = [self._roll_out(counts.select(rows), cutoff) for rows in _groups(len(counts), _HISTORIES)]
        none, expected, total = (np.concatenate(answers)[index] for answers in zip(*parts, strict=True))
        return WeeklyForecast(self.horizon_days, expected, _pmf(none, total))

    def _roll_out(self, histories: WeeklyCounts, cutoff: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """[U] P(no purchase), [U] mean and [U, S] simulated totals."""
        size, weeks = len(histories), int(np.ceil(self.horizon_days / DAYS_PER_WEEK))
        log_p, state = self._begin(histories, cutoff)
        draws = uniforms(histories.keys(), weeks * _PATHS, self.seed, weeks).reshape(size, weeks, _PATHS)
        # The last path is the one without purchases: no chance, no count.
        chance = torch.from_numpy(np.pad(draws, ((0, 0), (0, 0), (0, 1)), constant_values=-1.0)).float()
        total, mean = torch.zeros(2, size, _PATHS + 1, dtype=torch.float64)
        log_none = torch.zeros(size, dtype=torch.float64)
        numbers = torch.arange(log_p.shape[-1], dtype=torch.float32)
        for w in range(weeks):
            p = log_p.exp()
            covered = (self.horizon_days - w * DAYS_PER_WEEK) / DAYS_PER_WEEK
            if covered < 1:  # of the last week the window has a part
                p = p @ torch.from_numpy(thinning(len(numbers), covered))
            count = _drawn(p, chance[:, w].reshape(-1))
            total += count.reshape(total.shape)
            mean += (p @ numbers).reshape(mean.shape)
            log_none += p.reshape(size, _PATHS + 1, -1)[:, -1, 0].double().log()
            if w + 1 < weeks:
                output, state = self.network(count[:, None], self._week(cutoff, w + 1, len(count)), state)
                log_p = output[:, 0]
        none = log_none.exp().clamp(*_PROBABILITIES)
        return none.numpy(), mean[:, :-1].mean(dim=1).numpy(), total[:, :-1].numpy()

    def _begin(self, histories: WeeklyCounts, cutoff: int) -> tuple[Tensor, State]:
        """At the cutoff, for every path of every history: log-probabilities of the first week, and the state."""
        week = _coming_weeks(histories, cutoff) if self.seasonal else np.zeros_like(histories.count)
        log_p, (hidden, cell) = self.network.last(*_tensors(histories.count, week, histories.length))
        paths = _PATHS + 1
        state = (hidden.repeat_interleave(paths, dim=1), cell.repeat_interleave(paths, dim=1))
        return log_p.repeat_interleave(paths, dim=0), state

    def _week(self, cutoff: int, ahead: int, size: int) -> Tensor:
        """[N, 1] the week of the year of the week `ahead` of the first one."""
        week = int(future_weeks_of_year(cutoff, ahead + 1)[ahead]) if self.seasonal else 0
        return torch.full((size, 1), week)


def _drawn(p: Tensor, chance: Tensor) -> Tensor:
    """[N] counts by inversion of [N, K] probabilities; a chance below 0 gives 0."""
    count = (chance[:, None] > p.cumsum(-1)).sum(-1)
    return count.clamp(max=p.shape[-1] - 1)


def _pmf(none: FloatArray, totals: FloatArray) -> FloatArray:
    """[C, M + 1]: P(0) is exact, the rest as the simulated paths with purchases have it; one purchase if none has."""
    size = int(totals.max(initial=1)) + 1
    customers = len(none)
    cell = np.arange(customers)[:, None] * size + totals.astype(np.int64)
    pmf = np.bincount(cell.ravel(), minlength=customers * size).reshape(customers, size).astype(np.float64)
    pmf[:, 0] = 0
    pmf[pmf.sum(axis=1) == 0, 1] = 1
    pmf *= ((1 - none) / pmf.sum(axis=1))[:, None]
    pmf[:, 0] = none
    return pmf


@dataclass(frozen=True)
class WeeklyForecast:
    """Fulfils `seqclv.predictive.Predictive`: counts and churn of one horizon, money unknown.

    Shape: transactions [C]; pmf [C, M + 1].
    """

    horizon_days: float
    transactions: FloatArray
    pmf: FloatArray

    def __len__(self) -> int:
        return len(self.transactions)

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] mean of the simulated paths."""
        self._require_own(horizons_days)
        return np.repeat(self.transactions[:, None], len(horizons_days), axis=1)

    def expected_spend(self, horizons_days: Sequence[float]) -> None:
        """Unknown: the network knows no money."""

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] P(no purchase in the window), exact."""
        self._require_own(horizons_days)
        return np.repeat(self.pmf[:, :1], len(horizons_days), axis=1)

    def alive_probability(self) -> None:
        """Unknown: the network does not tell leaving from pausing."""

    def next_purchase_median(self) -> None:
        """Not given: it would take a roll-out of any length."""

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[C, H, Q] the smallest n with P(N <= n) >= level."""
        self._require_own(horizons_days)
        below = np.cumsum(self.pmf, axis=1)[:, :-1, None] < np.asarray(levels, dtype=np.float64) - 1e-12
        values = below.sum(axis=1).astype(np.float64)
        return np.repeat(values[:, None, :], len(horizons_days), axis=1)

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> None:
        """Unknown: the network knows no money."""

    def transaction_pmf(self, horizon_days: float, maximum: int) -> FloatArray:
        """[C, maximum + 1] P(N = n)."""
        self._require_own([horizon_days])
        missing = max(maximum + 1 - self.pmf.shape[1], 0)
        return np.pad(self.pmf, ((0, 0), (0, missing)))[:, : maximum + 1]

    def sample(self, horizon_days: float, draws: int, seed: int) -> None:
        """Not given: the distribution of counts is, and money is unknown."""

    def _require_own(self, horizons_days: Sequence[float]) -> None:
        require_fitted_horizon("weekly LSTM", self.horizon_days, horizons_days)


def fit_weekly_lstm(history: Events, cutoff: int, horizon_days: float, seed: int = 0) -> WeeklyModel:
    """Fit on merged histories, whose events all lie strictly before `cutoff` (microseconds).

    Weeks end at the cutoff; of long histories the last 200 are read. The network with the best likelihood of a tenth
    of the customers is kept. The same seed gives the same model.
    """
    random = np.random.default_rng(seed)
    history = at_most(history, _MOST_CUSTOMERS, random)
    everybody = weekly_counts(history, cutoff, _MOST_COUNT)
    classes = int(everybody.count.max(initial=1)) + 1
    after_first = everybody.known[:, 1:]
    seen = everybody.count[:, 1:][after_first] if after_first.any() else everybody.count[everybody.known]
    frequency = np.bincount(seen, minlength=classes) + 0.5
    seasonal = (cutoff - int(history.timestamp.min(initial=cutoff))) >= 365 * MICROSECONDS_PER_DAY
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = WeeklyNetwork(torch.from_numpy(np.log(frequency / frequency.sum())).float())
        if after_first.sum() >= _FEWEST_WEEKS:
            _train(network, everybody, cutoff if seasonal else None, random)
    return WeeklyModel(horizon_days, network.eval(), seasonal, seed)


@dataclass(frozen=True)
class _Batch:
    """Weekly histories to learn from. Shape: count and week [U, L]; weight [U, L - 1] customers, 0 where unknown."""

    count: Tensor
    week: Tensor
    weight: Tensor

    def loss(self, network: WeeklyNetwork) -> Tensor:
        """Sum over customers and weeks of minus the log-likelihood of the next count, nats."""
        log_p, _ = network(self.count[:, :-1], self.week[:, :-1])
        picked = log_p.gather(-1, self.count[:, 1:, None])[..., 0]
        return -torch.sum(picked * self.weight)


def _train(network: WeeklyNetwork, everybody: WeeklyCounts, cutoff: int | None, random: np.random.Generator) -> None:
    """Fit by Adam, without a season where `cutoff` is None; the best weights stay in the network."""
    held_out = random.random(len(everybody)) < _HELD_OUT
    long = everybody.length > 1
    if not (long & held_out).any() or not (long & ~held_out).any():  # a handful of customers learn and decide alike
        parts = (np.flatnonzero(long),) * 2
    else:
        parts = (np.flatnonzero(long & ~held_out), np.flatnonzero(long & held_out))
    learn, decide = (_batches(everybody.select(rows), cutoff, random) for rows in parts)
    weight = float(sum(batch.weight.sum() for batch in decide))
    # One divisor for all batches: each distinct history counts by its customers, whichever batch it is in.
    typical = float(np.mean([float(batch.weight.sum()) for batch in learn]))
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    best, kept, since = np.inf, network.state_dict(), 0
    for _ in range(_EPOCHS):
        for i in random.permutation(len(learn)):
            optimizer.zero_grad()
            (learn[i].loss(network) / typical).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        with torch.inference_mode():
            reached = sum(float(batch.loss(network)) for batch in decide) / weight
        since = 0 if reached < best else since + 1
        if since == 0:
            best, kept = reached, {name: value.clone() for name, value in network.state_dict().items()}
        if since >= _PATIENCE:
            break
    network.load_state_dict(kept)


def _batches(counts: WeeklyCounts, cutoff: int | None, random: np.random.Generator) -> list[_Batch]:
    """Distinct histories, weighted by their customers, in batches of similar length."""
    distinct, index = counts.distinct()
    customers = np.bincount(index, minlength=len(distinct)).astype(np.float32)
    order = random.permutation(len(distinct))
    order = order[np.argsort(distinct.length[order], kind="stable")]
    batches = []
    for rows in _groups(len(order), _BATCH):
        part, weight = distinct.select(order[rows]), customers[order[rows]]
        week = np.zeros_like(part.count) if cutoff is None else _coming_weeks(part, cutoff)
        batches.append(_Batch(*_tensors(part.count, week, part.known[:, 1:] * weight[:, None])))
    return batches


def _coming_weeks(counts: WeeklyCounts, cutoff: int) -> IntArray:
    """[U, L] the week of the year after each week of each history."""
    weeks_of_year = np.append(future_weeks_of_year(cutoff, 1), past_weeks_of_year(cutoff, counts.count.shape[1]))
    before_cutoff = counts.length[:, None] - 1 - np.arange(counts.count.shape[1])
    return np.where(counts.known, weeks_of_year[np.maximum(before_cutoff, 0)], 0)


def _groups(size: int, most: int) -> Iterator[IntArray]:
    for start in range(0, size, most):
        yield np.arange(start, min(start + most, size), dtype=np.int64)


def _tensors(*arrays: npt.NDArray[np.generic]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
