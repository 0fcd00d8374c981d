"""Where a training starts: from scratch, or from the prior that ships with the package."""

import math
from dataclasses import dataclass, replace

import torch

from seqclv import prior
from seqclv.batch import FeatureSchema
from seqclv.bundle import Bundle
from seqclv.config import Config, ModelConfig, TrainingConfig
from seqclv.data.context import schema_like
from seqclv.data.events import PURCHASE, Events
from seqclv.data.loader import HistoryDataModule
from seqclv.data.schema import derive_schema
from seqclv.model.network import Network
from seqclv.model.transfer import started_from, starting_schema
from seqclv.training.objective import network_loss

PASSES = 12  # over a base
LEAST_STEPS, MOST_STEPS = 600, 4_000


@dataclass(frozen=True)
class Start:
    """How the networks of one model begin, or one of them."""

    schema: FeatureSchema
    model: ModelConfig
    settings: TrainingConfig
    prior: Bundle | None  # None: from scratch
    prior_share: float = 0.0  # how far a tuned network's weights are drawn back to the prior's
    anew: bool = False  # on the scales of the prior, but with weights drawn at random

    @property
    def name(self) -> str:
        """'scratch' or 'prior'."""
        return "scratch" if self.prior is None else "prior"

    def steps(self, batches: int) -> int:
        """Of the optimizer, at most, where a pass over the base has so many batches.

        By default a small base is passed over until LEAST_STEPS are done: with more, forecasts of churn become worse. A
        large one still tells something new after that.
        """
        if self.tunes:
            return self.settings.tuning_steps
        if self.settings.max_steps is not None:
            return self.settings.max_steps
        return min(max(PASSES * batches, LEAST_STEPS), MOST_STEPS)

    @property
    def learning_rate(self) -> float:
        """Of the first step."""
        return self.settings.tuning_rate if self.tunes else self.settings.learning_rate

    @property
    def tunes(self) -> bool:
        """Whether the weights of the prior are trained on."""
        return self.prior is not None and not self.anew

    def of_network(self, index: int, ensemble: int) -> "Start":
        """How one of several networks begins.

        Of those that start from the prior half are tuned, rounded down, but one at least. The others begin anew: their
        errors differ from those of the tuned ones, so that the average is better than either. They are kept even where
        the prior alone has the higher validation likelihood, which a handful of customers tells badly.
        """
        return replace(self, anew=self.prior is not None and index >= max(ensemble // 2, 1))

    def network(self) -> Network:
        """A network to train; the prior's answer where it is tuned, else drawn by torch's random state."""
        return self.untrained() if self.tunes else Network(self.model, self.schema)

    def untrained(self) -> Network:
        """The prior, with inputs that it has not seen at zero.

        Raises:
            ValueError: there is none.
        """
        if self.prior is None or self.prior.schema is None:
            raise ValueError("a training from scratch has no prior")
        return started_from(self.prior.networks[0], self.prior.schema, self.model, self.schema)

    def drawn_back(self, network: Network) -> Network:
        """The trained network with its weights moved towards where they started, by the prior's share.

        Weights that began at the same place may be averaged (Wortsman et al. 2022, 'Robust fine-tuning of zero-shot
        models'). What few purchases teach holds for themselves more than for the time to come.
        """
        if self.tunes and self.prior_share:
            with torch.no_grad():
                began = self.untrained().state_dict()
                for name, value in network.state_dict().items():
                    value.lerp_(began[name].to(value), self.prior_share)
        return network

    def validation_loss(self, loader: HistoryDataModule) -> float:
        """Nats per window of the prior on the held-out customers; infinite where its weights are not trained on."""
        if not self.tunes:
            return math.inf
        network = self.untrained().eval()
        total, weight = 0.0, 0.0
        with torch.no_grad():
            for batch in loader.val_dataloader():
                windows = max(int(batch.future.weight.numel()), 1)
                total += float(network_loss(network, batch)) * windows
                weight += windows
        return total / max(weight, 1.0)


def starting_point(history: Events, cutoff: int, config: Config) -> Start:
    """Where the training that `config` asks for starts, on merged histories that end at `cutoff` (microseconds).

    The prior is one network of one size: where the configuration asks for another than the default, training starts
    from scratch. So it does where the base has more than `prior_purchases` purchases of its own.
    """
    settings = config.training
    derived = derive_schema(
        history,
        cutoff,
        merge=config.data.merge,
        max_history_events=settings.max_history_events,
        sensitive=config.data.sensitive,
    )
    purchases = int((history.event_type == PURCHASE).sum())
    if not starts_from_prior(config) or purchases > settings.prior_purchases:
        return Start(derived, config.model, settings, None)
    source = prior.shipped()
    if source.schema is None:  # a bundle of kind 'prior' always has one
        raise TypeError("a prior without a schema")
    described = schema_like(source.schema, history, cutoff, merge=config.data.merge)
    model = replace(source.config.model, dropout=config.model.dropout)
    schema = starting_schema(source.schema, described, derived)
    share = settings.prior_weight / (settings.prior_weight + purchases)
    return Start(schema, model, settings, source, share)


def starts_from_prior(config: Config) -> bool:
    """Whether a training with this configuration starts from the prior, on a base of few enough purchases."""
    default = ModelConfig()
    return config.training.from_prior and replace(config.model, dropout=default.dropout) == default
