"""The summary in five sentences, the money first, and what to do on Monday: words from the document's numbers."""

from collections.abc import Mapping
from typing import Any

from seqclv.comparison import MODEL_NAMES
from seqclv.evaluation.compare import OURS, PRIOR
from seqclv.report.formats import count, date, days, money, off, people, percent


def summary(document: Mapping[str, Any]) -> list[str]:
    """Five sentences: the money, who brings it, who leaves, how sure that is, what to do. Fewer without customers."""
    sure = _how_sure(document)
    if document["money"] is None:
        return [_model_alone(document), sure, "To see your customers, give the log: --transactions and --cutoff."]
    return [_money(document), _best(document), _losing(document), sure, _monday(document)]


def _model_alone(document: Mapping[str, Any]) -> str:
    training = document["about"]["training"]
    if document["about"]["training_cutoff"] is None:
        return "This is the prior: a network that has learned from simulated customer bases, not from a log."
    return (
        f"This model was trained on {people(training.get('customers'))} with {count(training.get('purchases'))} "
        f"purchases before {date(document['about']['training_cutoff'])}."
    )


def _money(document: Mapping[str, Any]) -> str:
    about, total = document["about"], document["money"]
    currency = about["currency"]
    window = f"the {days(about['horizon_days'])} from {date(about['cutoff'])}"
    between = next(row for row in document["horizons"] if row["horizon_days"] == about["horizon_days"])
    words = f"In {window}, {people(total['customers'])} are expected to spend {money(total['spend'], currency)}"
    if between["low"] is not None:
        words += f" (nine times in ten between {money(between['low'])} and {money(between['high'])})"
    if total["value"] is not None and about["margin"] is not None:
        words += f", worth {money(total['value'], currency)} {_value_terms(about)}"
    held = document["held_out"]
    if about["kind"] == "backtest" and held is not None:
        words += f"; what they then spent was {money(held['actual_spend'], currency)}"
    return words + "."


def _value_terms(about: Mapping[str, Any]) -> str:
    """What lies between spend and value, in words."""
    taken = "before costs" if about["margin"] == 1 else f"at a margin of {percent(about['margin'])}"
    if about["refund_share"]:
        taken += " less returns"
    if about["discount_rate"]:
        taken += f", discounted at {percent(about['discount_rate'], 0)} a year"
    return taken


def _best(document: Mapping[str, Any]) -> str:
    section, rows = document["concentration"], document["best"]
    if section["customers_needed"] is None:
        return "Nobody is expected to buy again."
    first = rows[0]
    return (
        f"The {people(section['customers_needed'])} at the top ({percent(section['share_needed'])} of all) bring "
        f"{percent(section['bringing'])} of it; the best is {first['customer_id']} with "
        f"{money(first['worth'], document['about']['currency'])}."
    )


def _losing(document: Mapping[str, Any]) -> str:
    section, total = document["losing"], document["money"]
    amount = money(section["value_at_risk"], document["about"]["currency"])
    words = (
        f"{people(round(section['expected_to_leave']))} ({percent(total['churn_mean'])}) are expected to buy nothing"
    )
    if section["lost_already"]:
        words += f": {count(section['lost_already'])} look lost already, and with the others {amount} is at risk"
    else:
        words += f", and {amount} is at risk with them"
    if section["customers_with_half"]:
        words += f", half of it with only {people(section['customers_with_half'])}"
    return words + "."


def _how_sure(document: Mapping[str, Any]) -> str:
    comparison, held = document["comparison"], document["held_out"]
    if comparison is None:
        return "How sure this is nobody can say yet: the model has not been compared on a held-out past."
    own = next((row for row in comparison["rows"] if row["ours"]), None)
    miss = None if own is None else own["spend_bias"]
    words = "On a past that the model had not seen"
    if miss is not None:
        words += f", its total was {off(miss)}"
    if held is not None and held["coverage_90"] is not None:
        words += f", {percent(held['coverage_90'])} of the customers fell into their nine-in-ten range"
    number = len([leader for leader in comparison["leaders"].values() if leader is not None])
    words += f" and it was best in {comparison['led']} of {number} measures beside {_others(comparison)}"
    return words + "."


def _others(comparison: Mapping[str, Any]) -> str:
    keys = [row["key"] for row in comparison["rows"] if not row["ours"]]
    simpler = [MODEL_NAMES.get(key, key) for key in keys if key not in (OURS, PRIOR)]
    beside = [words for key, words in ((OURS, "the network"), (PRIOR, "the untrained prior")) if key in keys]
    if simpler:
        beside.insert(0, simpler[0] if len(simpler) == 1 else f"{len(simpler)} simpler methods")
    return " and ".join(beside)


def _monday(document: Mapping[str, Any]) -> str:
    steps = document["monday"]
    return f"On Monday: {steps[0]['short']}." if steps else "There is nothing to do for which this base gives a reason."


def worst_and_best_group(held: Mapping[str, Any]) -> str:
    """What the deciles say: how much the tenth with the highest forecast really brought."""
    return (
        f"The tenth of the customers with the highest forecast brought {percent(held['top_tenth_actual_share'])} of "
        f"what was spent."
    )
