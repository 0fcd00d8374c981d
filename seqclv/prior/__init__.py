"""The prior: a network pretrained on simulated bases, shipped with the package, that forecasts any log at once.

Its bundle lies in `seqclv/prior/bundle`; `scripts/pretrain.py` makes it. It knows no base until it is shown one:
`shown` reads the base's scales and its context off the histories before a cutoff, and nothing else is fitted.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from seqclv.bundle import Bundle, load_bundle
from seqclv.config import DataConfig
from seqclv.data.context import CONTEXT_CUSTOMERS, sampled, schema_like
from seqclv.data.events import Events, concatenate
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError

NAME = "prior"  # what `--model` and `load` call it
FEW = 100  # customers; smaller bases were not studied, see docs/prior.md
UNTRAINED = "the prior, not trained on this log"  # how the model of a base that `shown` makes has begun
DIRECTORY = Path(__file__).parent / "bundle"


@cache
def shipped() -> Bundle:
    """The prior that this package ships.

    Raises:
        InputError: it is missing or damaged.
    """
    return load_bundle(DIRECTORY)


def for_log(prior: Bundle, data: DataConfig) -> Bundle:
    """The prior, reading the log that `data` describes; lines are merged as it says."""
    return replace(prior, config=replace(prior.config, data=data))


def is_prior(bundle: Bundle) -> bool:
    """Whether a model is the prior, shown a base or not: then it has learned from no log."""
    return bundle.kind == "prior" or bundle.training.get("start") == UNTRAINED


def model_facts(bundle: Bundle) -> dict[str, object]:
    """What a manifest says of the model; the prior has learned from no log, so that there is no end of its training."""
    simulated = is_prior(bundle)
    return {
        "model": {
            "kind": "prior" if simulated else bundle.kind,
            "version": bundle.version,
            "package_version": bundle.package_version,
        },
        "training_cutoff": None if simulated else to_timestamp(bundle.training_cutoff).isoformat(),
    }


def few_customers(shown_bundle: Bundle) -> str | None:
    """A warning where a base is smaller than any on which the prior has been judged; None for other models."""
    customers = int(shown_bundle.training.get("customers", FEW))
    if shown_bundle.training.get("start") != UNTRAINED or customers >= FEW:
        return None
    return (
        f"warning: only {customers} {'customer' if customers == 1 else 'customers'} bought before the cutoff: a base "
        f"of less than {FEW} says little of itself, and the forecasts are mostly what is usual in others"
    )


def shown(prior: Bundle, histories: Iterable[Events], cutoff: int, *, fingerprint: str = "") -> Bundle:
    """The prior as the model of one base.

    Args:
        prior: a bundle of kind 'prior'; any other is returned as it is.
        histories: merged histories of the base before `cutoff` (microseconds), in parts. The figures come from at most
            `CONTEXT_CUSTOMERS` customers, chosen by their ids, so that the parts do not matter.
        cutoff: end of the histories.
        fingerprint: of the log.

    Raises:
        InputError: nobody bought before the cutoff.
    """
    if prior.kind != "prior" or prior.schema is None:
        return prior
    sample: Events | None = None
    customers = 0
    for part in histories:
        customers += part.customers
        sample = sampled(part if sample is None else concatenate([sample, part]), CONTEXT_CUSTOMERS)
    if sample is None or sample.customers == 0:
        raise InputError(
            f"A forecast needs purchases before the cutoff, but nobody bought before {to_timestamp(cutoff)}: take a "
            "later cutoff."
        )
    schema = schema_like(prior.schema, sample.select(np.arange(sample.customers)), cutoff, merge=prior.merge)
    return replace(
        prior,
        kind="network",
        schema=schema,
        training_cutoff=cutoff,
        fingerprint=fingerprint,
        training={"start": UNTRAINED, "customers": customers},
        metrics=None,
    )
