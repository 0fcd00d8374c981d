"""From a base to a bundle: fit the model on what lies before a cutoff."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from seqclv.baselines.classical import KINDS, fit_classical
from seqclv.baselines.classical import Kind as ClassicalKind
from seqclv.baselines.rfm import rfm_table
from seqclv.bundle import Bundle, git_commit
from seqclv.config import Config, DataConfig
from seqclv.data.events import PURCHASE, Events
from seqclv.data.profile import input_profile, input_table
from seqclv.data.windows import to_timestamp
from seqclv.forecast.levels import with_levels
from seqclv.forecast.tiering import with_tiers
from seqclv.training.fit import FitResult, Observer
from seqclv.training.ranks import fit_in_processes


def train_bundle(
    history: Events,
    cutoff: int,
    *,
    horizon_days: float,
    config: Config,
    fingerprint: str,
    work: Path,
    quiet: bool = False,
    observer: Observer | None = None,
) -> tuple[Bundle, FitResult]:
    """Train the network on merged histories that end at `cutoff`; see `fit_networks` for the arguments."""
    result = fit_in_processes(
        history, cutoff, horizon_days=horizon_days, config=config, work=work, quiet=quiet, observer=observer
    )
    facts = _facts(history) | {"epochs": [len(curve) for curve in result.curves], "seed": config.seed}
    facts["start"] = result.start
    bundle = Bundle(
        kind="network",
        config=portable(replace(config, model=result.model)),
        training_cutoff=cutoff,
        horizon_days=horizon_days,
        fingerprint=fingerprint,
        training=facts,
        inputs=input_profile(input_table(history, cutoff)),
        schema=result.schema,
        networks=result.averaged,
        git_commit=git_commit(),
    )
    return with_tiers(with_levels(bundle, history, cutoff), history, cutoff), result


def trained_once(history: Events, cutoff: int, *, horizon_days: float, config: Config) -> Bundle:
    """The network for a study: nothing is shown, and nothing stays on disk."""
    with tempfile.TemporaryDirectory(prefix="seqclv-") as work:
        bundle, _ = train_bundle(
            history,
            cutoff,
            horizon_days=horizon_days,
            config=config,
            fingerprint="study",
            work=Path(work),
            quiet=True,
        )
    return bundle


def classical_bundle(
    kind: ClassicalKind, history: Events, cutoff: int, *, horizon_days: float, config: Config, fingerprint: str
) -> Bundle:
    """Fit a classical model, as deployable as the network."""
    bundle = Bundle(
        kind=kind,
        config=portable(config),
        training_cutoff=cutoff,
        horizon_days=horizon_days,
        fingerprint=fingerprint,
        training=_facts(history),
        inputs=input_profile(input_table(history, cutoff)),
        classical=fit_classical(kind, rfm_table(history, cutoff)),
        git_commit=git_commit(),
    )
    return with_tiers(with_levels(bundle, history, cutoff), history, cutoff)


def portable(config: Config) -> Config:
    """The configuration as a bundle carries it: without what the log, the tracking server and the machine are."""
    return replace(
        config,
        data=config.data.without_places(),
        tracking=replace(config.tracking, uri=None),
        devices=1,
        workers="auto",
    )


def _facts(history: Events) -> dict[str, object]:
    bought = history.event_type == PURCHASE
    days = np.bincount(history.owner[bought], minlength=history.customers)
    return {
        "customers": history.customers,
        "purchases": int(bought.sum()),
        "one_time_buyers": int((days == 1).sum()),
        "first_purchase": str(to_timestamp(int(history.timestamp[bought].min())).date()),
    }


def retrained(
    recipe: Bundle,
    history: Events,
    cutoff: int,
    *,
    horizon_days: float,
    data: DataConfig,
    work: Path,
    quiet: bool = False,
) -> Bundle:
    """A model of the same kind and configuration, fitted on other histories of the log that `data` describes."""
    config = replace(recipe.config, data=data)
    if recipe.kind in KINDS:
        return classical_bundle(
            recipe.kind, history, cutoff, horizon_days=horizon_days, config=config, fingerprint=recipe.fingerprint
        )
    bundle, _ = train_bundle(
        history,
        cutoff,
        horizon_days=horizon_days,
        config=config,
        fingerprint=recipe.fingerprint,
        work=work,
        quiet=quiet,
    )
    return bundle
