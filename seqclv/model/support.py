"""How many purchases a customer may make: groups of customers for whom like numbers of counts are negligible.

One whale shall not make the whole base pay for its hundreds of possible purchases.

Shape: see the legend in `seqclv.batch`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from seqclv.model.process import PurchaseProcess
from seqclv.model.terms import supports

_GROUP_ELEMENTS = 200_000  # largest intermediate tensor, elements: it should fit into a core's cache


def support_bound(process: PurchaseProcess, horizon: float) -> Tensor:
    """[N] a count that is exceeded with negligible probability (below 1e-9).

    See `seqclv.model.terms.support`; the process is one in float64.
    """
    behaviours = torch.stack([process.weight, process.rate, process.hazard], dim=1)  # [N, 3, K]
    return torch.from_numpy(supports(behaviours.detach().numpy(), float(horizon)))


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
