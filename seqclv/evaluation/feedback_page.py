"""The page about what feedback is worth, from the document of `seqclv.evaluation.feedback_study` alone."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from seqclv.data.simulate import ANGRY_SCORE
from seqclv.evaluation.feedback_study import POOR

_CLEAR = 2.0  # standard errors


def feedback_page(document: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    setting, kinds = document["setting"], document["kinds"]
    seeds = ", ".join(str(seed) for seed in setting["seeds"])
    networks = "one network" if setting["networks"] == 1 else f"{setting['networks']} networks"
    lines = [
        "# What feedback is worth",
        "",
        f"Made by `python scripts/feedback.py` with {document['versions']}; no figure on this page is typed by hand.",
        "",
        "Reviews, survey scores, complaints and contacts with support are events with a numeric attribute, their score "
        "([how to read them](data.md)). A text-free sentiment value is such an attribute, too. The network reads each "
        "event's score and whether there is one, so that an event without a score is not one with a poor score.",
        "",
        "## The experiment",
        "",
        f"Simulated bases (seeds {seeds}) of {setting['customers']:,} customers with {setting['mean_events']:g} "
        "purchases on average within two years. One spread more of satisfaction divides a customer's dropout hazard by "
        f"exp({setting['satisfaction_effect']:g}). Reviews give a score of 1 to 5: satisfaction with noise. "
        f"A model of {networks} is trained on what lies before {setting['cutoff']}, once without and once with the "
        f"reviews, and both forecast the churn of the same customers over the {setting['horizon_days']:g} days after. "
        "The purchases are the same in all cases, so losses are compared customer by customer. The standard error is "
        "that of the paired difference over customers, or over the bases, which hold the chance of training as well, "
        "where that is larger; a difference is clear beyond two of it.",
        "",
        *_losses(kinds),
        "",
        *(_sentence(row) for row in kinds),
        "",
        "## Missing feedback is not bad feedback",
        "",
        "Customers by what they had said before the cutoff: the share that bought nothing afterwards (with its "
        "standard error), and the mean churn probability by the models without and with the reviews. Answers are "
        f"poor when their mean is {ANGRY_SCORE} or less.",
        "",
        *_groups(kinds),
        "",
        *_silent(kinds),
        "",
    ]
    return "\n".join(lines)


def _losses(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| feedback | customers | churn log-loss without | with | difference | standard error | by base |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in kinds:
        bases = ", ".join(f"{value:+.4f}" for value in row["by_base"])
        lines.append(
            f"| {row['kind']} | {row['customers']:,} | {row['without']:.4f} | {row['with']:.4f} | "
            f"{row['difference']:+.4f} | {_error(row):.4f} | {bases} |"
        )
    return lines


def _error(row: Mapping[str, Any]) -> float:
    """The standard error over customers or over bases, the larger one; a single base tells nothing of the second."""
    bases = row["by_base"]
    between = statistics.stdev(bases) / len(bases) ** 0.5 if len(bases) > 1 else 0.0
    return max(float(row["error"]), between)


def _sentence(row: Mapping[str, Any]) -> str:
    name, share = row["kind"][0].upper() + row["kind"][1:], abs(row["difference"]) / row["without"]
    if row["difference"] < -_CLEAR * _error(row):
        return f"- {name}: better by {share:.1%} of the log-loss, clearly."
    if row["difference"] > _CLEAR * _error(row):
        return f"- {name}: worse by {share:.1%} of the log-loss, clearly."
    return f"- {name}: no clear difference ({row['difference'] / row['without']:+.1%})."


def _groups(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| feedback | customers with | number | bought nothing | forecast without | forecast with |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['kind']} | {group['group']} | {group['customers']:,} | "
        f"{group['gone']:.1%} ± {group['error']:.1%} | {group['without']:.1%} | {group['with']:.1%} |"
        for row in kinds
        for group in row["groups"]
        if group["customers"]
    ]
    return lines


def _silent(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the groups say of the silent and the angry, for the kind in which only the angry answer."""
    found = [row for row in kinds if row["only_angry"]]
    if not found:
        return []
    silent = next(group for group in found[0]["groups"] if group["group"] not in (POOR,) and group["customers"])
    angry = next(group for group in found[0]["groups"] if group["group"] == POOR)
    return [
        f"Where only the angry answer, the forecast of the silent goes from {silent['without']:.1%} to "
        f"{silent['with']:.1%} ({silent['gone']:.1%} happened), that of the angry from {angry['without']:.1%} to "
        f"{angry['with']:.1%} ({angry['gone']:.1%} happened)."
    ]
