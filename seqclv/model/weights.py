"""The weights of several networks as one mapping of tensors, as safetensors files hold them."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from seqclv.model.network import Network


def joined_weights(networks: Sequence[Network]) -> dict[str, Tensor]:
    """Each network's weights, named by its number and their own name, as in '0.head.bias'."""
    named = ((f"{i}.{name}", t) for i, network in enumerate(networks) for name, t in network.state_dict().items())
    return {name: tensor.contiguous() for name, tensor in sorted(named, key=lambda item: item[0])}


def weights_of(joined: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """The weights of one of the networks, by their own names."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): tensor for name, tensor in joined.items() if name.startswith(prefix)}
