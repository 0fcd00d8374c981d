"""A network for one base that starts from a network that knows many: inputs that it never saw enter at zero."""

from dataclasses import replace

import torch
from torch import Tensor

from seqclv.batch import FeatureSchema
from seqclv.config import ModelConfig
from seqclv.model.embedding import BUILT_IN_TYPES
from seqclv.model.network import CODE_SIZE, Network


def started_from(source: Network, known: FeatureSchema, config: ModelConfig, schema: FeatureSchema) -> Network:
    """A network for `schema` that answers as `source`, a network for `known`, does.

    The inputs of `known` come first in those of `schema`. Further query features, numeric and categorical columns and
    the season weigh nothing at the start; a further event type is at first an event of unknown type.
    """
    with torch.random.fork_rng(devices=[]):  # the initial weights that are drawn here are replaced at once
        network = Network(config, schema)
    state = network.state_dict()
    features, more = len(known.query_mean), len(schema.query_mean)
    for name, old in source.state_dict().items():
        state[name] = _carried(name, old, state[name], features, more, config)
    for name in state.keys() - source.state_dict().keys():
        state[name] = torch.zeros_like(state[name])  # the embeddings of categories
    network.load_state_dict(state)
    return network


def _carried(name: str, old: Tensor, new: Tensor, features: int, more: int, config: ModelConfig) -> Tensor:
    """The old weights in the new shape, zero where there was none."""
    wide = torch.zeros_like(new)
    if name == "query.0.weight":  # state, query features, code of the base
        before, after = config.hidden_size + features, config.hidden_size + more
        wide[:, :before] = old[:, :before]
        wide[:, after:] = old[:, before:]
        return wide
    if name == "context.maps.weight":
        wide.view(5, more + 1, CODE_SIZE)[:, :features] = old.view(5, features + 1, CODE_SIZE)[:, :-1]
        wide.view(5, more + 1, CODE_SIZE)[:, -1] = old.view(5, features + 1, CODE_SIZE)[:, -1]
        return wide
    if name == "embed.tables.0.weight":
        wide[:BUILT_IN_TYPES] = old
        wide[BUILT_IN_TYPES:] = old[:1]
        return wide
    wide[tuple(slice(0, size) for size in old.shape)] = old
    return wide


def starting_schema(known: FeatureSchema, described: FeatureSchema, derived: FeatureSchema) -> FeatureSchema:
    """The schema of a base for `started_from`.

    Args:
        known: of the network that knows many bases: its features keep their centre and spread.
        described: `known` with the scales and the context of the base.
        derived: of the base alone, with all that its log tells.
    """
    features = len(known.query_mean)
    return replace(
        derived,
        time_scale_days=described.time_scale_days,
        amount_scale=described.amount_scale,
        amount_log_std=described.amount_log_std,
        amount_mean=described.amount_mean,
        purchase_rate=described.purchase_rate,
        trailing_windows_days=described.trailing_windows_days,
        query_mean=known.query_mean + derived.query_mean[features:],
        query_std=known.query_std + derived.query_std[features:],
        context=described.context,
    )
