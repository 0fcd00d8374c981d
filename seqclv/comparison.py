"""The comparison of a metrics.json document as a table: Markdown for documents, aligned text for the terminal."""

import math
from collections.abc import Mapping
from typing import Any

MODEL_NAMES = {
    "seqclv": "seqclv",
    "seqclv_prior": "seqclv (prior, untrained)",
    "pareto_nbd": "Pareto/NBD + Gamma-Gamma",
    "bg_nbd": "BG/NBD + Gamma-Gamma",
    "boosting": "boosting on cutoff features",
    "formula": "value x frequency x lifespan",
    "ziln": "zero-inflated lognormal network",
    "weekly_lstm": "weekly-count LSTM",
}
REFITTED = "_refitted"  # what follows the key of a baseline where the model itself is of its kind
FURTHER_BASELINES = ("ziln", "weekly_lstm")  # compared on request only
# Group, heading, section, metric and format of the columns.
COLUMNS = (
    ("churn", "log-loss", "churn", "log_loss", ".4f"),
    ("churn", "AUC", "churn", "auc", ".3f"),
    ("purchases", "CRPS", "transactions", "crps", ".4f"),
    ("purchases", "RMSE", "transactions", "rmse", ".3f"),
    ("purchases", "bias", "transactions", "bias", "+.1%"),
    ("spend", "RMSE", "spend", "rmse", ".2f"),
    ("spend", "bias", "spend", "bias", "+.1%"),
    ("spend", "Gini", "spend", "gini", ".3f"),
)
LEGEND = "Lower is better for log-loss, CRPS and RMSE, higher for AUC and Gini; bias is best at 0 %."


def markdown_table(metrics: Mapping[str, Any]) -> str:
    """The comparison as Markdown; '-' where a method gives no such figure."""
    head = " | ".join(f"{group} {heading}" for group, heading, *_ in COLUMNS)
    rows = [f"| model | {head} |", "|---|" + "---:|" * len(COLUMNS)]
    rows += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in _rows(metrics)]
    return "\n".join([f"{window_text(metrics)}. {LEGEND}", "", *rows])


def text_table(metrics: Mapping[str, Any]) -> str:
    """The comparison for a terminal of 100 columns."""
    width = 9
    label = max(len(name) for name, _ in _rows(metrics)) + 2
    groups: dict[str, int] = {}
    for group, *_ in COLUMNS:
        groups[group] = groups.get(group, 0) + 1
    upper = "".join(f" {group} ".center(width * count - 2, "-").rjust(width * count) for group, count in groups.items())
    lower = "".join(f"{heading:>{width}}" for _, heading, *_ in COLUMNS)
    lines = [f"{window_text(metrics)}:", "", " " * label + upper, " " * label + lower]
    lines += [f"{name:<{label}}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in _rows(metrics)]
    ahead = prior_ahead(metrics)
    return "\n".join([*lines, "", LEGEND, *([] if ahead is None else ["", ahead])])


def prior_ahead(metrics: Mapping[str, Any]) -> str | None:
    """A sentence where the prior forecast better than the network that was trained on the log, else None.

    Better is to be lower in one of churn log-loss and count CRPS, the figures of `seqclv.tracking.gate`, and no higher
    in the other.
    """
    models = metrics["models"]
    if "seqclv" not in models or "seqclv_prior" not in models:
        return None
    (loss, crps), (prior_loss, prior_crps) = (_judged(models[name]) for name in ("seqclv", "seqclv_prior"))
    if not (prior_loss <= loss and prior_crps <= crps and (prior_loss, prior_crps) != (loss, crps)):
        return None
    return (
        "The prior, which learned nothing from this log, forecast better than the network that did: churn log-loss "
        f"{prior_loss:.4f} against {loss:.4f}, count CRPS {prior_crps:.4f} against {crps:.4f}. "
        "--model prior scores with it."
    )


def _judged(sections: Mapping[str, Any]) -> tuple[float, float]:
    """Churn log-loss and count CRPS; NaN where a method gives none."""
    loss, crps = (sections.get("churn") or {}).get("log_loss"), (sections.get("transactions") or {}).get("crps")
    return math.nan if loss is None else float(loss), math.nan if crps is None else float(crps)


def window_text(metrics: Mapping[str, Any]) -> str:
    """Which future was held out."""
    if "cutoff" in metrics:
        return f"{metrics['customers']:,} customers in the {metrics['horizon_days']:g} days from {metrics['cutoff']}"
    return f"All customers of the held-out windows from {', '.join(metrics['cutoffs'])}"


def _rows(metrics: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        (_name(name), [_cell(sections, *column[2:]) for column in COLUMNS])
        for name, sections in metrics["models"].items()
    ]


def _name(key: str) -> str:
    kind = key.removesuffix(REFITTED)
    return MODEL_NAMES.get(kind, kind) + (", fitted anew" if kind != key else "")


def _cell(sections: Mapping[str, Any], section: str, metric: str, form: str) -> str:
    value = (sections.get(section) or {}).get(metric)
    return "-" if value is None else format(value, form)
