"""The model card: what a manager reads about a model."""

from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.comparison import markdown_table

if TYPE_CHECKING:
    from seqclv.bundle import Bundle

KIND_NAMES = {
    "network": "seqclv network (a mixture over buying behaviours, read off each customer's events)",
    "pareto_nbd": "Pareto/NBD with Gamma-Gamma amounts (a classical model)",
    "bg_nbd": "BG/NBD with Gamma-Gamma amounts (a classical model)",
    "prior": "seqclv prior (a network pretrained on simulated customer bases)",
}


def model_card(bundle: "Bundle") -> str:
    """The card as Markdown."""
    cutoff = np.datetime64(bundle.training_cutoff, "us").astype("datetime64[s]")
    seen = f"events strictly before {str(cutoff).replace('T', ' ')}"
    lines = [
        "# Model card",
        "",
        f"- **Model**: {KIND_NAMES[bundle.kind]}, version {bundle.version}",
        f"- **Trained on**: {'simulated bases, no log' if bundle.kind == 'prior' else seen}",
        *(f"- **{name.replace('_', ' ').capitalize()}**: {value}" for name, value in bundle.training.items()),
        f"- **Made by**: seqclv {bundle.package_version}",
        "",
        "It forecasts, for every customer and any horizon, the number of purchases, their amount and the probability "
        "of churn (no purchase within the horizon). All come from one distribution per customer, so they agree.",
        "",
        "## How good it was on a held-out future",
        "",
        markdown_table(bundle.metrics) if bundle.metrics else "It has not been compared on a held-out future yet.",
        "",
        *_calendar_lines(bundle),
        *_level_lines(bundle),
        "## Limits",
        "",
        "- A count of purchases is a count of purchase days when lines are merged by day (merge: 1d).",
        "- It knows what was in the log: a change of prices, of the range or of the market after the cutoff is not.",
        "- Quantiles describe one customer. Summing them over customers gives no quantile of the total.",
        "- A high value at risk does not say that a contact would keep the customer: that takes an experiment.",
        "",
    ]
    return "\n".join(lines)


def calendar_effects(bundle: "Bundle") -> list[dict[str, Any]]:
    """What each column of the calendar does to the pace of purchases: a factor for each 1 that it is higher.

    One dictionary a column with name, effect (of several networks the geometric mean), the lowest and the highest value
    in the history, and words. Empty without a calendar.
    """
    if bundle.schema is None or not bundle.calendar:
        return []
    learned = np.mean([network.season.log_effects() for network in bundle.networks], axis=0)
    days = np.asarray(bundle.schema.calendar_days)[:, 1:]
    rows = []
    for feature, effect, column in zip(bundle.calendar, learned, days.T, strict=True):
        factor, values = (
            float(np.exp(effect / feature.std)),
            np.unique(np.round(column * feature.std + feature.mean, 9)),
        )
        low, high = float(values[0]), float(values[-1])
        text = f"days with {feature.name} = 1: purchases x {factor:.2f}"
        if len(values) > 2 or (low, high) != (0.0, 1.0):
            text = f"each 1 more of {feature.name} ({low:g} to {high:g} so far): purchases x {factor:.3g}"
        rows.append({"name": feature.name, "effect": factor, "low": low, "high": high, "words": text})
    return rows


def _calendar_lines(bundle: "Bundle") -> list[str]:
    """What the model has learned of the calendar's columns."""
    effects = calendar_effects(bundle)
    if not effects:
        return []
    return [
        "## What the calendar does",
        "",
        *(f"- {row['words']}" for row in effects),
        "",
        "Beside a day on which all else is equal. Days after the calendar's end count as average days.",
        "",
    ]


def _level_lines(bundle: "Bundle") -> list[str]:
    """How far the totals of earlier windows strayed from what the model expects there."""
    if bundle.calibration is None:
        return []
    spread, days = bundle.calibration.spread, bundle.calibration.levels[0].horizon_days
    return [
        "## How far totals may stray",
        "",
        f"At {len(bundle.calibration.levels)} earlier cutoffs the base's totals over {days:g} days strayed from the "
        f"forecast by {spread.transactions:.1%} (purchases) and {spread.spend:.1%} (spend), beyond chance. Ranges of "
        "totals contain this shared error. The model had learned from those windows: an unseen one may stray further.",
        "",
    ]
