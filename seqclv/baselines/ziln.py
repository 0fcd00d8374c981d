"""The zero-inflated lognormal network: one head for who buys and how much, on a fixed horizon.

Spend in the window is 0 with probability 1 - p, else lognormal(mu, sigma); a small network on the features at the
cutoff gives (p, mu, sigma) and is fitted by the likelihood

    log L = log(1 - p)                                        where nothing is spent
    log L = log p + log lognormal(spend; mu, sigma)           else

Source: Wang, Liu and Miao (2019), 'A deep probabilistic model for customer lifetime value prediction'. It learns from
the same examples at past cutoffs as boosting and extends shorter windows to the horizon in the same way; beyond that
p and the mean of spend are moved and sigma is kept, so that the distribution stays of its kind. Counts of purchases
it does not know.

Shape: C customers, R examples, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from torch import Tensor, nn
from torch.nn import functional

from seqclv.baselines.cutoff_features import Examples, cutoff_features, past_examples, trailing_windows
from seqclv.baselines.fixed_horizon import at_most, require_fitted_horizon
from seqclv.baselines.growth import Growth, growth, past_window
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events

FloatArray = npt.NDArray[np.float64]

_CUTOFFS = 6
_MOST_CUSTOMERS = 100_000  # learned from
_FEWEST_BUYERS = 25  # examples with a purchase; below, one distribution is forecast for everybody
_HELD_OUT = 0.2  # share of customers that decides when to stop
_WIDTH = 64
_DROPOUT = 0.1
_BATCH = 512
_EPOCHS = 100  # at most
_PATIENCE = 8  # epochs without a better likelihood of the customers held out
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 1e-4
_FARTHEST = 5.0  # standard deviations; features beyond are drawn in, so that whales lie within what was learned
_SIGMAS = (0.05, 3.0)


@dataclass(frozen=True)
class Scaling:
    """Features as the network reads them: symmetric logarithm, standardized, what is missing as 0 and a mark. [D]."""

    mean: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, features: FloatArray) -> Self:
        """The scaling that examples [R, D] call for."""
        known = np.ma.masked_invalid(_symmetric_log(features))
        spread = known.std(axis=0).filled(0.0)
        return cls(known.mean(axis=0).filled(0.0), np.where(spread > 1e-9, spread, 1.0))

    def __call__(self, features: FloatArray) -> Tensor:
        """[R, D] -> [R, 2 D] float32."""
        z = np.clip((_symmetric_log(features) - self.mean) / self.spread, -_FARTHEST, _FARTHEST)
        missing = np.isnan(z)
        return torch.from_numpy(np.concatenate([np.where(missing, 0.0, z), missing], axis=1).astype(np.float32))


def _symmetric_log(features: FloatArray) -> FloatArray:
    return np.asarray(np.sign(features) * np.log1p(np.abs(features)))


@dataclass(frozen=True)
class Lognormal:
    """P(spend > 0) = exp(log_buys), and spend | spend > 0 ~ lognormal(mu, sigma). Shape: each [R]."""

    log_buys: Tensor
    log_none: Tensor
    mu: Tensor
    sigma: Tensor

    def log_likelihood(self, spend: Tensor) -> Tensor:
        """[R] of the spend in the window, up to the Jacobian of the logarithm, which no parameter changes."""
        bought = spend > 0
        z = (torch.log(torch.where(bought, spend, 1.0)) - self.mu) / self.sigma
        return torch.where(bought, self.log_buys - 0.5 * z**2 - torch.log(self.sigma), self.log_none)


class ZilnNetwork(nn.Module):
    """Two hidden layers and the head; `center` and `spread` are those of the logarithm of positive spend."""

    def __init__(self, inputs: int, share: float, center: float, spread: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Linear(inputs, _WIDTH), nn.ReLU(), nn.Dropout(_DROPOUT)),
            *(nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Dropout(_DROPOUT)),
        )
        self.head = nn.Linear(_WIDTH, 3)
        nn.init.zeros_(self.head.weight)  # training starts at the distribution of the base
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([np.log(share / (1 - share)), 0.0, np.log(np.expm1(1.0))]))
        self.center, self.spread = center, spread

    def forward(self, features: Tensor) -> Lognormal:
        """[R, 2 D] -> the distribution of spend."""
        logit, mu, raw = self.head(self.body(features)).unbind(-1)
        sigma = (self.spread * functional.softplus(raw)).clamp(*_SIGMAS)
        return Lognormal(
            functional.logsigmoid(logit), functional.logsigmoid(-logit), self.center + self.spread * mu, sigma
        )


@dataclass(frozen=True)
class ZilnModel:
    """The fitted network, for exactly one horizon; without a network everybody gets `base`, (p, mu, sigma)."""

    horizon_days: float
    window_days: float  # of the past cutoffs
    trailing_days: tuple[float, ...]
    base: tuple[float, float, float]
    growth: Growth
    scaling: Scaling | None = None
    network: ZilnNetwork | None = None

    def forecast(self, history: Events, cutoff: int) -> "ZilnForecast":
        """Forecast the customers of a merged history as of `cutoff` (microseconds), in its order."""
        if self.network is None or self.scaling is None:
            buys, mu, sigma = (np.full(history.customers, value) for value in self.base)
        else:
            features = cutoff_features(history, cutoff, self.trailing_days)
            buys, mu, sigma = _parameters(self.network, self.scaling(features))
        longer = self.horizon_days / self.window_days
        none = np.clip(1 - buys, 1e-6, 1 - 1e-6)
        churn = none ** (longer**self.growth.churn)
        # The mean of all grows by its own law; what a buyer spends is what makes both hold.
        mu = mu + self.growth.spend * np.log(longer) + np.log(1 - none) - np.log1p(-churn)
        return ZilnForecast(self.horizon_days, churn, mu, sigma)


@dataclass(frozen=True)
class ZilnForecast:
    """Fulfils `seqclv.predictive.Predictive`: spend and churn of one horizon, counts unknown. Columns [C]."""

    horizon_days: float
    churn: FloatArray
    mu: FloatArray  # of the logarithm of a buyer's spend
    sigma: FloatArray

    def __len__(self) -> int:
        return len(self.churn)

    def expected_transactions(self, horizons_days: Sequence[float]) -> None:
        """Unknown: the head knows money only."""

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] p exp(mu + sigma^2 / 2)."""
        self._require_own(horizons_days)
        mean = (1 - self.churn) * np.exp(self.mu + self.sigma**2 / 2)
        return np.repeat(mean[:, None], len(horizons_days), axis=1)

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] P(no purchase in the window) = 1 - p."""
        self._require_own(horizons_days)
        return np.repeat(self.churn[:, None], len(horizons_days), axis=1)

    def alive_probability(self) -> None:
        """Unknown: the head does not tell leaving from pausing."""

    def next_purchase_median(self) -> None:
        """Unknown: the head has no time."""

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> None:
        """Unknown: the head knows money only."""

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[C, H, Q] the smallest y with P(spend <= y) >= level: 0 up to the churn probability."""
        self._require_own(horizons_days)
        mass = (np.asarray(levels, dtype=np.float64) - self.churn[:, None]) / (1 - self.churn[:, None])
        z = ndtri(np.clip(mass, 1e-300, 1.0))
        amount = np.exp(self.mu[:, None] + self.sigma[:, None] * z)
        values = np.where(mass > 0, amount, 0.0)
        return np.repeat(values[:, None, :], len(horizons_days), axis=1)

    def transaction_pmf(self, horizon_days: float, maximum: int) -> None:
        """Unknown: the head knows money only."""

    def sample(self, horizon_days: float, draws: int, seed: int) -> tuple[None, FloatArray]:
        """Draws of spend [C, S]; of counts none."""
        self._require_own([horizon_days])
        random = np.random.default_rng(seed)
        shape = (len(self), draws)
        amount = np.exp(self.mu[:, None] + self.sigma[:, None] * random.standard_normal(shape))
        return None, np.where(random.random(shape) < self.churn[:, None], 0.0, amount)

    def _require_own(self, horizons_days: Sequence[float]) -> None:
        require_fitted_horizon("zero-inflated lognormal head", self.horizon_days, horizons_days)


def fit_ziln(history: Events, cutoff: int, horizon_days: float, seed: int = 0) -> ZilnModel:
    """Fit on merged histories, whose events all lie strictly before `cutoff` (microseconds).

    The network with the best likelihood of a fifth of the customers is kept. Histories too short or with too few
    purchases for a network get one distribution for everybody. The same seed gives the same model.
    """
    history = at_most(history, _MOST_CUSTOMERS, np.random.default_rng(seed))
    span = (cutoff - int(history.timestamp.min(initial=cutoff))) / MICROSECONDS_PER_DAY
    window = past_window(horizon_days, span)
    examples = past_examples(history, cutoff, window, _CUTOFFS)
    trailing = trailing_windows(span)
    bought = examples.spend > 0
    if bought.sum() < _FEWEST_BUYERS:
        base = _base_of_all(history, span, horizon_days)
        return ZilnModel(horizon_days, horizon_days, trailing, base, Growth(1.0, 1.0, 1.0))
    log_spend = np.log(examples.spend[bought])
    share = (bought.sum() + 0.5) / (len(bought) + 1)
    base = (float(share), float(log_spend.mean()), float(np.clip(log_spend.std(), *_SIGMAS)))
    scaling = Scaling.of(examples.features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ZilnNetwork(2 * examples.features.shape[1], *base)
        _train(network, scaling(examples.features), examples, seed)
    churn = 1 - _parameters(network, scaling(examples.features))[0]
    return ZilnModel(horizon_days, window, trailing, base, growth(examples, churn), scaling, network)


def _base_of_all(history: Events, span: float, horizon_days: float) -> tuple[float, float, float]:
    """(p, mu, sigma) where past windows teach nothing: purchases go on at the rate of the whole base."""
    amounts = history.amount[history.event_type == PURCHASE]
    count = max(len(amounts) / max(history.customers, 1) / max(span, 1.0) * horizon_days, 1e-6)
    buys = float(np.clip(-np.expm1(-count), 1e-6, 1 - 1e-6))
    amount = float(amounts.mean()) if len(amounts) else 1e-6
    sigma = float(np.clip(np.log(amounts).std(), *_SIGMAS)) if len(amounts) else _SIGMAS[0]
    return buys, float(np.log(count * amount / buys) - sigma**2 / 2), sigma


def _train(network: ZilnNetwork, features: Tensor, examples: Examples, seed: int) -> None:
    """Fit by Adam; the weights with the best likelihood of the customers held out stay in the network."""
    random = np.random.default_rng(seed)
    held_out = (random.random(int(examples.customer.max()) + 1) < _HELD_OUT)[examples.customer]
    spend = torch.from_numpy(examples.spend.astype(np.float32))
    learn, decide = np.flatnonzero(~held_out), torch.from_numpy(np.flatnonzero(held_out))
    if len(learn) == 0 or len(decide) == 0:  # a handful of customers: they learn and decide alike
        learn, decide = np.arange(len(examples)), torch.arange(len(examples))
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    best, kept, since = -np.inf, network.state_dict(), 0
    for _ in range(_EPOCHS):
        network.train()
        for rows in np.array_split(random.permutation(learn), max(len(learn) // _BATCH, 1)):
            chosen = torch.from_numpy(rows)
            loss = -network(features[chosen]).log_likelihood(spend[chosen]).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            reached = float(network(features[decide]).log_likelihood(spend[decide]).mean())
        since = 0 if reached > best else since + 1
        if since == 0:
            best, kept = reached, {name: value.clone() for name, value in network.state_dict().items()}
        if since >= _PATIENCE:
            break
    network.load_state_dict(kept)
    network.eval()


def _parameters(network: ZilnNetwork, features: Tensor) -> tuple[FloatArray, FloatArray, FloatArray]:
    """[R] each: p, mu, sigma, float64."""
    with torch.inference_mode():
        found = network(features)
    buys, mu, sigma = (value.double().numpy() for value in (found.log_buys.exp(), found.mu, found.sigma))
    return buys, mu, sigma
