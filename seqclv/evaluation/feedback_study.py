"""What feedback is worth to churn: models with and without it on simulated bases where satisfaction drives dropout.

A base is simulated once; what differs is which of its customers' opinions reach the model as reviews with a score. The
purchases, and so the held-out future, are the same, so that losses are compared customer by customer.

Shape: N customers of all bases together.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seqclv.config import Config, DataConfig
from seqclv.data.events import Events, FloatArray
from seqclv.data.simulate import ANGRY_SCORE, SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, outcome
from seqclv.evaluation.metrics import log_losses
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import predict
from seqclv.training.train import trained_once

Announce = Callable[[str], None]
SILENT, POOR, GOOD = "no answer", "poor answers", "good answers"
REVIEWS = DataConfig(event_type="event_type", numeric=("score",))


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Whose opinion is heard."""

    response_rate: float  # of the purchases that are followed by a review
    only_angry: bool = False
    tells: bool = True  # False: satisfaction has no effect on dropout, so that answers say nothing


FEEDBACK = {
    "every second purchase is reviewed": Feedback(response_rate=0.5),
    "one purchase in twenty is reviewed": Feedback(response_rate=0.05),
    "only the angry answer": Feedback(response_rate=0.5, only_angry=True),
    "reviews that have nothing to do with dropout": Feedback(response_rate=0.5, tells=False),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The bases, what is forecast, and how the models are trained."""

    customers: int = 4_000
    mean_events: float = 8.0
    satisfaction_effect: float = 1.5
    cutoff: str = "2021-07-01"
    horizon_days: float = 180.0
    seeds: Sequence[int] = (0, 1, 2, 3)
    config: Config = field(default_factory=lambda: Config(ensemble=1))


@dataclass(frozen=True)
class Judged:
    """Forecasts of churn and what happened. Shape: [N]."""

    probability: FloatArray
    gone: npt.NDArray[np.bool_]
    group: npt.NDArray[np.object_]  # SILENT, POOR or GOOD before the cutoff; SILENT where no feedback is read

    @property
    def losses(self) -> FloatArray:
        """[N] log-loss of churn."""
        return log_losses(self.probability, self.gone)


def study(setting: Setting, kinds: Sequence[str] = tuple(FEEDBACK), announce: Announce = lambda _: None) -> Any:
    """Train on every base without and with each kind of feedback; the figures as a JSON document."""
    rows = []
    without: dict[tuple[int, bool], Judged] = {}
    for kind in kinds:
        pairs = []
        for seed in setting.seeds:
            feedback = FEEDBACK[kind]
            key = (seed, feedback.tells)
            if key not in without:
                announce(f"base {seed}, no feedback")
                without[key] = judged(setting, seed, replace(feedback, response_rate=0.0))
            announce(f"base {seed}, {kind}")
            pairs.append((without[key], judged(setting, seed, feedback)))
        rows.append({"kind": kind, **asdict(FEEDBACK[kind]), **compared(pairs)})
    described = {name: value for name, value in asdict(setting).items() if name != "config"}
    return {"setting": described | {"networks": setting.config.ensemble}, "kinds": rows}


def judged(setting: Setting, seed: int, feedback: Feedback) -> Judged:
    """Train on the past of one base and judge the held-out future of its customers."""
    base = SimulationConfig(
        customers=setting.customers,
        seed=seed,
        mean_events=setting.mean_events,
        satisfaction_effect=setting.satisfaction_effect if feedback.tells else 0.0,
        response_rate=feedback.response_rate,
        only_angry=feedback.only_angry,
    )
    data = REVIEWS if feedback.response_rate > 0 else DataConfig()
    config = replace(setting.config, data=data, seed=seed)
    events = events_from_frame(simulate(base).transactions, data)
    cutoff = instant(setting.cutoff)
    past = history(events, cutoff, data.merge)
    bundle = trained_once(past, cutoff, horizon_days=setting.horizon_days, config=config)
    churn = [predict(bundle, part, cutoff).churn_probability([setting.horizon_days])[:, 0] for part in chunked([past])]
    actual = outcome(events, past.customer_id, cutoff, setting.horizon_days, data.merge)
    return Judged(np.concatenate(churn), actual.transactions == 0, _groups(past))


def _groups(past: Events) -> npt.NDArray[np.object_]:
    score = past.numeric.get("score", np.full(len(past), np.nan))
    given = np.isfinite(score)
    number = np.bincount(past.owner[given], minlength=past.customers)
    mean = np.bincount(past.owner[given], weights=score[given], minlength=past.customers) / np.maximum(number, 1)
    return np.where(number == 0, SILENT, np.where(mean <= ANGRY_SCORE, POOR, GOOD)).astype(object)


def compared(pairs: Sequence[tuple[Judged, Judged]]) -> dict[str, Any]:
    """The losses of pairs (without, with feedback), one of each base: all customers, each base, each group."""
    without, with_ = (np.concatenate([pair[i].losses for pair in pairs]) for i in (0, 1))
    difference = with_ - without
    by_base = [float((b.losses - a.losses).mean()) for a, b in pairs]
    return {
        "customers": len(difference),
        "without": float(without.mean()),
        "with": float(with_.mean()),
        "difference": float(difference.mean()),
        "error": float(difference.std(ddof=1) / np.sqrt(len(difference))),
        "by_base": by_base,
        "groups": [_group(pairs, name) for name in (SILENT, POOR, GOOD)],
    }


def _group(pairs: Sequence[tuple[Judged, Judged]], name: str) -> dict[str, Any]:
    """One group of customers by what they said: how many, how many left, and the forecasts of both models."""
    inside = [b.group == name for _, b in pairs]
    gone = np.concatenate([b.gone[rows] for (_, b), rows in zip(pairs, inside, strict=True)])
    chances = [np.concatenate([p[i].probability[rows] for p, rows in zip(pairs, inside, strict=True)]) for i in (0, 1)]
    if len(gone) == 0:
        return {"group": name, "customers": 0, "gone": None, "without": None, "with": None, "error": None}
    share = float(gone.mean())
    return {
        "group": name,
        "customers": len(gone),
        "gone": share,
        "without": float(chances[0].mean()),
        "with": float(chances[1].mean()),
        "error": float(np.sqrt(share * (1 - share) / len(gone))),
    }
