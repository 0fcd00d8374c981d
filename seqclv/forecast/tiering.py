"""Set the boundaries of a model's value tiers on the base it was trained on."""

import numpy as np

from seqclv.bundle import Bundle
from seqclv.data.events import Events
from seqclv.data.windows import to_timestamp
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import predict
from seqclv.tiers import HORIZON_DAYS, set_tiers


def with_tiers(bundle: Bundle, history: Events, cutoff: int) -> Bundle:
    """The model with default tiers of the merged histories' expected spend as of the cutoff (microseconds).

    Where nobody is expected to spend anything, there is nothing to divide: the model then has no tiers.
    """
    spend = np.concatenate(
        [predict(bundle, part, cutoff).expected_spend([HORIZON_DAYS])[:, 0] for part in chunked([history])]
    )
    if not np.nansum(spend) > 0:
        return bundle
    return bundle.with_tiers(set_tiers(spend, set_at=to_timestamp(cutoff).isoformat()))
