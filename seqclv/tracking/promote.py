"""Carry out a decision of the gate: register what takes part, move the aliases, say why on the versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqclv.errors import InputError
from seqclv.tracking.gate import Decision
from seqclv.tracking.registry import CHALLENGER, CHAMPION, register
from seqclv.tracking.store import Store


@dataclass(frozen=True)
class Promotion:
    """What was registered.

    `versions` has a version for each model that was registered, named as in metrics.json; `champion` is the version
    that became champion, or None where the alias did not move.
    """

    name: str
    versions: Mapping[str, str]
    champion: str | None
    decision: Decision


def carry_out(
    decision: Decision,
    bundles: Mapping[str, Path],
    name: str,
    *,
    store: Store,
    metrics: Mapping[str, Any],
    candidate: str = "seqclv",
    run_id: str | None = None,
) -> Promotion:
    """Register the candidate and, where it won, the classical model; set the aliases champion and challenger.

    The champion's alias moves last: when something fails before, last night's champion still scores tonight.

    Args:
        decision: from `seqclv.tracking.gate.decide`.
        bundles: bundle directories by model name; at least of the candidate and of the one to promote.
        name: the registered model.
        store: from `open_store(create=True)`.
        metrics: the metrics.json document that was decided on.
        candidate: the new model's name in it.
        run_id: the run that made them.
    """
    wanted = dict.fromkeys([candidate, *([] if decision.promote is None else [decision.promote])])
    missing = [model for model in wanted if model not in bundles]
    if missing:
        raise InputError(f"A model is registered from its bundle, but there is none of {', '.join(missing)}.")
    versions = {}
    for model in wanted:
        alias = CHAMPION if model == decision.promote else CHALLENGER
        tags = version_tags(metrics, model, decision)
        versions[model] = register(bundles[model], name, store=store, run_id=run_id, alias=alias, tags=tags)
    champion = None if decision.promote is None else versions[decision.promote]
    return Promotion(name, versions, champion, decision)


def version_tags(metrics: Mapping[str, Any], model: str, decision: Decision) -> dict[str, str]:
    """Tags of a registered version: the reason of the decision, the window and the model's held-out figures."""
    window = {key: str(metrics[key]) for key in ("cutoff", "horizon_days", "customers") if key in metrics}
    sections = metrics["models"][model]
    figures = {
        f"{section}.{metric}": format(value, ".6g")
        for section, values in sections.items()
        for metric, value in (values or {}).items()
        if value is not None
    }
    held_out = {f"held_out.{key}": value for key, value in {**window, **figures}.items()}
    return {"model": model, "reason": " ".join(decision.reasons), **held_out}
