"""How many purchases a customer may make: groups of customers for whom like numbers of counts are negligible.

One whale shall not make the whole base pay for its hundreds of possible purchases.

Shape: see the legend in `seqclv.batch`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from seqclv.model.process import PurchaseProcess

_GROUP_ELEMENTS = 200_000  # largest intermediate tensor, elements: it should fit into a core's cache
_LOG_BEYOND = -24.0  # log of the probability that more purchases happen than the support counts
_TINY = 1e-300


def support_bound(process: PurchaseProcess, horizon: float) -> Tensor:
    """[N] a count that is exceeded with negligible probability (below 1e-9).

    The smaller of two bounds of a behaviour: that of the Poisson distribution without dropout, and that of the
    geometric distribution without horizon, whose tail is (lambda / s)^n; behaviours without weight do not count.
    """
    mean = process.log_rate.exp() * horizon
    poisson = mean + 7 * mean.sqrt() + 12
    log_buy = -torch.log1p((process.log_hazard - process.log_rate).exp())
    geometric = _LOG_BEYOND / log_buy.clamp_max(-_TINY) + 2
    bound = torch.where(process.log_weight[..., 1:] > _LOG_BEYOND, torch.minimum(poisson, geometric), 0.0)
    return bound.amax(-1).ceil().long()


def by_support(process: PurchaseProcess, horizon: float) -> Iterator[tuple[Tensor, int]]:
    """Yield (customers, largest count) groups: like supports, bounded memory."""
    bound = support_bound(process, horizon)
    group = (2 * torch.log2(bound.double() + 1)).ceil().long()
    width = process.log_rate.shape[-1]
    for g in torch.unique(group).tolist():
        rows = torch.nonzero(group == g).squeeze(-1)
        maximum = int(bound[rows].max())
        step = max(1, _GROUP_ELEMENTS // (width * (maximum + 1)))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], maximum
