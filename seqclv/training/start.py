"""Where a training starts: from scratch, or from the prior that ships with the package."""

import math
from dataclasses import dataclass, replace

import torch

from seqclv import prior
from seqclv.batch import FeatureSchema
from seqclv.bundle import Bundle
from seqclv.config import Config, ModelConfig
from seqclv.data.context import schema_like
from seqclv.data.events import PURCHASE, Events
from seqclv.data.loader import HistoryDataModule
from seqclv.data.schema import derive_schema
from seqclv.model.network import Network
from seqclv.model.transfer import started_from, starting_schema
from seqclv.training.objective import network_loss


@dataclass(frozen=True)
class Start:
    """How the networks of one model begin."""

    schema: FeatureSchema
    model: ModelConfig
    steps: int
    learning_rate: float
    prior: Bundle | None  # None: from scratch
    prior_share: float = 0.0  # how far a trained network's weights are drawn back to where they started

    @property
    def name(self) -> str:
        """'scratch' or 'prior'."""
        return "scratch" if self.prior is None else "prior"

    def network(self) -> Network:
        """A network to train; the prior's answer where there is one, else drawn by torch's random state."""
        if self.prior is None or self.prior.schema is None:
            return Network(self.model, self.schema)
        return started_from(self.prior.networks[0], self.prior.schema, self.model, self.schema)

    def drawn_back(self, network: Network) -> Network:
        """The trained network with its weights moved towards where they started, by the prior's share.

        Weights that began at the same place may be averaged (Wortsman et al. 2022, 'Robust fine-tuning of zero-shot
        models'). What few purchases teach holds for themselves more than for the time to come.
        """
        if self.prior_share:
            with torch.no_grad():
                began = self.network().state_dict()
                for name, value in network.state_dict().items():
                    value.lerp_(began[name].to(value), self.prior_share)
        return network

    def validation_loss(self, network: Network, loader: HistoryDataModule) -> float:
        """Nats per window of the start on the held-out customers; infinite where training starts from scratch."""
        if self.prior is None:
            return math.inf
        total, weight = 0.0, 0.0
        with torch.no_grad():
            for batch in loader.val_dataloader():
                windows = max(int(batch.future.weight.numel()), 1)
                total += float(network_loss(network.eval(), batch)) * windows
                weight += windows
        network.train()
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
        return Start(derived, config.model, settings.max_steps, settings.learning_rate, None)
    source = prior.shipped()
    if source.schema is None:  # a bundle of kind 'prior' always has one
        raise TypeError("a prior without a schema")
    described = schema_like(source.schema, history, cutoff, merge=config.data.merge)
    model = replace(source.config.model, dropout=config.model.dropout)
    schema = starting_schema(source.schema, described, derived)
    share = settings.prior_weight / (settings.prior_weight + purchases)
    return Start(schema, model, settings.tuning_steps, settings.tuning_rate, source, share)


def starts_from_prior(config: Config) -> bool:
    """Whether a training with this configuration starts from the prior, on a base of few enough purchases."""
    default = ModelConfig()
    return config.training.from_prior and replace(config.model, dropout=default.dropout) == default
