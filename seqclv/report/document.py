"""The report as numbers: the one place that computes. Pages, charts and sentences only show what stands here."""

from typing import TYPE_CHECKING, Any

from seqclv.card import calendar_effects
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.windows import history, to_timestamp
from seqclv.evaluation.compare import cutoff_text
from seqclv.prior import is_prior
from seqclv.report import actions, customers, fairness, quality, sentences, trust
from seqclv.version import __version__

if TYPE_CHECKING:
    from seqclv.report.subject import Subject

FORMAT_VERSION = 1


def report_document(subject: "Subject") -> dict[str, Any]:
    """Every number and sentence of the report; sections that the inputs cannot give are None or empty."""
    base = None if subject.forecasts is None else customers.base_of(subject)
    ours = quality.our_key(subject)
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "about": _about(subject),
        "money": None if base is None else customers.money_section(base),
        "horizons": customers.horizons_section(subject),
        "concentration": None if base is None else customers.concentration_section(base),
        "distribution": [] if base is None else customers.distribution_section(base),
        "best": [] if base is None else customers.top_rows(base, "worth"),
        "losing": None if base is None else customers.losing_section(base, subject.worth),
        "matrix": None
        if base is None
        else customers.matrix_section(base, None if subject.worth is None else subject.worth.tiers),
        "stability": None if subject.stability is None else dict(subject.stability),
        "cohorts": None if base is None else customers.cohorts_section(base),
        "lists": actions.lists_section(subject),
        "comparison": None if subject.metrics is None else quality.comparison_section(subject.metrics, ours),
        "windows": quality.windows_section(subject.windows, ours),
        "held_out": _held_out(subject),
        "fairness": fairness.fairness_section(subject, base),
        "drivers": [dict(driver) for driver in subject.drivers],
        "data": None if subject.log is None else dict(subject.log.report),
    }
    if subject.bundle is not None and (effects := calendar_effects(subject.bundle)):
        document["calendar"] = effects
    document["monday"] = actions.monday_section(document)
    document["summary"] = sentences.summary(document)
    document["warnings"] = trust.warnings(document)
    return document


def _held_out(subject: "Subject") -> dict[str, Any] | None:
    held = subject.held_out
    if held is None or subject.log is None or subject.bundle is None:
        return None
    return quality.held_out_section(held, history(subject.log.events, held.cutoff, subject.bundle.merge))


def _about(subject: "Subject") -> dict[str, Any]:
    bundle, log, cutoff = subject.bundle, subject.log, subject.cutoff
    table = subject.forecasts if subject.worth is None else subject.worth.table
    first = subject.horizon_days if table is None else float(table["horizon_days"].min())
    simulated = bundle is not None and is_prior(bundle)
    return {
        "kind": subject.kind,
        "cutoff": None if cutoff is None else cutoff_text(cutoff),
        "horizon_days": subject.horizon_days,
        "judged_horizon_days": None if bundle is None else bundle.horizon_days,
        "first_due": None if cutoff is None else _day(cutoff, first),
        **_terms(subject),
        "model": None if bundle is None else {"kind": "prior" if simulated else bundle.kind, "version": bundle.version},
        "training": {} if bundle is None or simulated else dict(bundle.training),
        "training_cutoff": None if bundle is None or simulated else cutoff_text(bundle.training_cutoff),
        "merge": None if bundle is None else bundle.merge,
        "log": None if log is None else {"fingerprint": log.fingerprint, "span_days": float(log.report["span_days"])},
        "made_by": f"seqclv {__version__}",
    }


def _terms(subject: "Subject") -> dict[str, Any]:
    """How spend became value."""
    worth, terms = subject.worth, subject.options.terms
    return {
        "currency": terms.currency or "" if worth is None else worth.currency,
        "margin": None if worth is None else worth.margin,
        "refund_share": None if worth is None else worth.refund_share,
        "discount_rate": terms.discount_rate,
        "level_spread": None if worth is None else worth.level_spread,
    }


def _day(cutoff: int, horizon_days: float) -> str:
    return str(to_timestamp(cutoff + round(horizon_days * MICROSECONDS_PER_DAY)).date())
