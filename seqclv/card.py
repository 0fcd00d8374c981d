"""The model card: what a manager reads about a model."""

from typing import TYPE_CHECKING

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
