"""The model card: what a manager reads about a model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from seqclv.bundle import Bundle

KIND_NAMES = {
    "network": "seqclv network (a mixture over buying behaviours, read off each customer's events)",
    "pareto_nbd": "Pareto/NBD with Gamma-Gamma amounts (a classical model)",
    "bg_nbd": "BG/NBD with Gamma-Gamma amounts (a classical model)",
}
MODEL_NAMES = {
    "seqclv": "seqclv",
    "pareto_nbd": "Pareto/NBD + Gamma-Gamma",
    "bg_nbd": "BG/NBD + Gamma-Gamma",
    "boosting": "boosting on cutoff features",
    "formula": "value x frequency x lifespan",
}
# Heading, section, metric and format of the comparison's columns.
COLUMNS = (
    ("churn log-loss", "churn", "log_loss", ".4f"),
    ("churn AUC", "churn", "auc", ".3f"),
    ("count CRPS", "transactions", "crps", ".4f"),
    ("count RMSE", "transactions", "rmse", ".3f"),
    ("count bias", "transactions", "bias", "+.1%"),
    ("spend RMSE", "spend", "rmse", ".2f"),
    ("spend bias", "spend", "bias", "+.1%"),
    ("spend Gini", "spend", "gini", ".3f"),
)


def model_card(bundle: "Bundle") -> str:
    """The card as Markdown."""
    cutoff = np.datetime64(bundle.training_cutoff, "us").astype("datetime64[s]")
    lines = [
        "# Model card",
        "",
        f"- **Model**: {KIND_NAMES[bundle.kind]}, version {bundle.version}",
        f"- **Trained on**: events strictly before {str(cutoff).replace('T', ' ')}",
        *(f"- **{name.replace('_', ' ').capitalize()}**: {value}" for name, value in bundle.training.items()),
        f"- **Made by**: seqclv {bundle.package_version}",
        "",
        "It forecasts, for every customer and any horizon, the number of purchases, their amount and the probability "
        "of churn (no purchase within the horizon). All come from one distribution per customer, so they agree.",
        "",
        "## How good it was on a held-out future",
        "",
        *(comparison(bundle.metrics) if bundle.metrics else ["It has not been compared on a held-out future yet."]),
        "",
        "## Limits",
        "",
        "- A count of purchases is a count of purchase days when lines are merged by day (merge: 1d).",
        "- It knows what was in the log: a change of prices, of the range or of the market after the cutoff is not.",
        "- Quantiles describe one customer. Summing them over customers gives no quantile of the total.",
        "- A high value at risk does not say that a contact would keep the customer: that takes an experiment.",
        "",
    ]
    return "\n".join(lines)


def comparison(metrics: Mapping[str, Any]) -> list[str]:
    """The comparison of a metrics.json document as a Markdown table; '-' where a method gives no such figure."""
    if "cutoff" in metrics:
        window = f"{metrics['customers']:,} customers in the {metrics['horizon_days']:g} days from {metrics['cutoff']}"
    else:
        window = f"All customers of the windows from {', '.join(metrics['cutoffs'])}"
    table = [
        f"{window}; lower is better except for AUC and Gini, bias is best at zero.",
        "",
        "| model | " + " | ".join(column[0] for column in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for name, sections in metrics["models"].items():
        cells = [_cell(sections, section, metric, form) for _, section, metric, form in COLUMNS]
        table.append(f"| {MODEL_NAMES.get(name, name)} | " + " | ".join(cells) + " |")
    return table


def _cell(sections: Mapping[str, Any], section: str, metric: str, form: str) -> str:
    value = (sections.get(section) or {}).get(metric)
    return "-" if value is None else format(value, form)
