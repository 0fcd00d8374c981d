"""The gate: which model may be champion. Pure logic on the figures of one held-out window.

Two figures count, lower is better: the log-loss of churn and the CRPS of the number of purchases.

The candidate becomes champion only if, on each of the two, it is no worse than every baseline that has the figure and
no worse than the present champion. Equal is no worse. A candidate without a figure that others have does not pass.

A candidate that fails is registered as challenger. The champion is then sought among what can score tonight, the
present champion and the classical models: a classical model takes over if the product of its two figures is below the
present champion's (so a gain of x % in one weighs as much as a loss of x % in the other; who is better on both is
ahead in any case). On a tie the present champion stays. Where there is no champion yet, the best classical model takes
the place. Boosting and the formula give no distribution and cannot be deployed: they bar the candidate, which has to
earn its complexity, but not the classical models, which are what remains when it has not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seqclv.comparison import MODEL_NAMES

DEPLOYABLE = ("pareto_nbd", "bg_nbd")  # baselines that can be saved as bundles
PRESENT_CHAMPION = "the present champion"
_OWN_STARTS = ("seqclv_prior",)  # where the candidate's training began: shown, but no rival
_FIGURES = (("churn", "log_loss", "churn log-loss"), ("transactions", "crps", "count CRPS"))

Sections = Mapping[str, Any]
Figures = tuple[float | None, float | None]


@dataclass(frozen=True)
class Decision:
    """What follows from the figures.

    `promote` names the model that becomes champion, as metrics.json does; None leaves the alias where it is.
    """

    promote: str | None
    alias: Literal["champion", "challenger"]  # of the candidate
    reasons: tuple[str, ...]  # whole sentences


def decide(
    metrics: Mapping[str, Any], *, candidate: str = "seqclv", champion_metrics: Sections | None = None
) -> Decision:
    """Decide who is champion.

    Args:
        metrics: a metrics.json document with the candidate and the baselines.
        candidate: the new model's name in it.
        champion_metrics: the present champion's sections on the same window; None where there is no champion.
    """
    figures = {name: _figures(s) for name, s in metrics["models"].items() if name not in _OWN_STARTS}
    own = figures.pop(candidate)
    name = _name(candidate)
    champion = None if champion_metrics is None else _figures(champion_metrics)
    rivals = figures if champion is None else {**figures, PRESENT_CHAMPION: champion}
    failed = [reason for i in range(len(_FIGURES)) for reason in _worse(name, own, rivals, i)]
    if failed:
        reasons = (f"{name} is registered as challenger.", *failed)
        promote, consequence = _deployed_instead(name, own, figures, champion)
        return Decision(promote, "challenger", (*reasons, consequence))
    return Decision(candidate, "champion", (_passed(name, own, figures, champion),))


def _figures(sections: Sections) -> Figures:
    log_loss, crps = (_number((sections.get(section) or {}).get(metric)) for section, metric, _ in _FIGURES)
    return log_loss, crps


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _name(model: str) -> str:
    return MODEL_NAMES.get(model, model)


def _worse(name: str, own: Figures, rivals: Mapping[str, Figures], i: int) -> list[str]:
    """Why the candidate fails on figure `i`: against the best baseline, against the champion, or for want of it."""
    known = {rival: value for rival, figures in rivals.items() if (value := figures[i]) is not None}
    mine, title = own[i], _FIGURES[i][2]
    if mine is None:
        return [f"{name} gives no {title}, though others do."] if known else []
    baselines = {rival: value for rival, value in known.items() if rival != PRESENT_CHAMPION}
    against = [min(baselines, key=lambda rival: baselines[rival])] if baselines else []
    against += [PRESENT_CHAMPION] if PRESENT_CHAMPION in known else []
    return [
        f"{_name(rival)} has the lower {title}: {_pair(known[rival], mine)} for {name}."
        for rival in against
        if known[rival] < mine
    ]


def _pair(first: float, second: float) -> str:
    """Two numbers with as many digits as tell them apart."""
    for digits in (4, 6, 8):
        if f"{first:.{digits}f}" != f"{second:.{digits}f}":
            return f"{first:.{digits}f} against {second:.{digits}f}"
    return f"{first!r} against {second!r}"


def _passed(name: str, own: Figures, baselines: Mapping[str, Figures], champion: Figures | None) -> str:
    parts = []
    for i, (_, _, title) in enumerate(_FIGURES):
        known = {rival: value for rival, figures in baselines.items() if (value := figures[i]) is not None}
        mine = own[i]
        if mine is not None and known:
            best = min(known, key=lambda rival: known[rival])
            parts.append(f"{title} {mine:.4f}, best baseline {known[best]:.4f} ({_name(best)})")
    shown = "; ".join(parts) or "no baseline gives a figure to compare with"
    beside = "" if champion is None else " and the present champion"
    return f"{name} is champion now: on the held-out window it is no worse than every baseline{beside} ({shown})."


def _deployed_instead(
    name: str, own: Figures, figures: Mapping[str, Figures], champion: Figures | None
) -> tuple[str | None, str]:
    """The classical model that becomes champion, if one does, and the sentence that says so."""
    products = {model: _product(figures[model]) for model in DEPLOYABLE if model in figures}
    scores = {model: product for model, product in products.items() if product is not None}
    best = min(scores, key=lambda model: scores[model], default=None)  # of equals the first one
    if best is None:
        rest = "there is no champion yet" if champion is None else "the present champion stays"
        return None, f"No classical model gives both figures, so {rest}."
    if champion is not None and not _ahead(figures[best], champion):
        return None, f"The present champion stays: {_both(champion)}."
    beaten = ([name] if _ahead(figures[best], own) else []) + ([PRESENT_CHAMPION] if champion is not None else [])
    better = f"forecast this base better than {' and '.join(beaten)}, so it is champion now"
    told = better if beaten else "is champion now, as there was none and scoring needs one"
    before = "" if champion is None else f"; the champion before: {_both(champion)}"
    return best, f"The classical {_name(best)} {told}: {_both(figures[best])}{before}."


def _product(figures: Figures) -> float | None:
    log_loss, crps = figures
    return None if log_loss is None or crps is None else log_loss * crps


def _ahead(challenger: Figures, champion: Figures) -> bool:
    """Whether the product of the figures that both have is below the champion's; without any the champion stays."""
    shared = [(a, b) for a, b in zip(challenger, champion, strict=True) if a is not None and b is not None]
    return bool(shared) and math.prod(a for a, _ in shared) < math.prod(b for _, b in shared)


def _both(figures: Figures) -> str:
    return ", ".join(
        f"{title} {'unknown' if value is None else format(value, '.4f')}"
        for (_, _, title), value in zip(_FIGURES, figures, strict=True)
    )
