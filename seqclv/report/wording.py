"""The words of the report beside its summary: titles, captions, text alternatives and the meaning of each term."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqclv.comparison import MODEL_NAMES
from seqclv.evaluation.plots import SHORT_NAMES
from seqclv.report.formats import count, date, days, decimal, money, off, people, percent
from seqclv.report.sentences import worst_and_best_group
from seqclv.value.lifecycle import LifecycleRules

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
SCORES = {"retention": "Value at risk", "growth": "Value", "do_not_spend": "Value"}
_RULES = LifecycleRules()
STAGE_WORDS = {
    "new": f"first bought at most {_RULES.new_days:g} days ago",
    "active": "none of the other stages: buys in the usual rhythm",
    "cooling": f"silent for {_RULES.cooling_gaps:g} usual gaps between purchases, or at least "
    f"{percent(_RULES.cooling_probability)} likely never to buy again",
    "at_risk": f"silent for {_RULES.risk_gaps:g} usual gaps, or at least {percent(_RULES.risk_probability)} likely "
    "never to buy again",
    "lost": f"at least {percent(_RULES.lost_probability)} likely never to buy again",
    "returned": f"came back in the last {_RULES.returned_days:g} days from a silence of at least "
    f"{_RULES.returned_gaps:g} usual gaps",
}
WORDS = (
    ("Cutoff", "The instant at which the forecast is made. What lies before it is known, what follows is forecast."),
    ("Horizon", "The days after the cutoff that a forecast speaks of."),
    (
        "Purchase",
        "All that one customer bought on one day, returns of that day taken off. A number of purchases is a number of "
        "days with a purchase, unless the model merges lines otherwise.",
    ),
    ("Expected", "The mean of what may happen. Expected amounts add up over customers; ranges do not."),
    ("Nine in ten", "A range that should hold the fact for nine of ten customers."),
    ("Churn", "No purchase within the horizon."),
    (
        "Value at risk",
        "The probability of churn times what the customer would bring if they did buy. It says what is at stake, not "
        "that a contact would save it.",
    ),
    ("Held-out past", "Days of the log that the model did not see, so that its forecast could be compared with them."),
    ("Miss of the total", "Sum of the forecasts beside the sum of what happened: +10% is a tenth too much."),
    (
        "Ranking by spend",
        "The normalized Gini: how well the forecast puts customers in order of what they then spent; 1 is the perfect "
        "order, 0 is chance.",
    ),
    (
        "Error per customer",
        "The root of the mean squared error of spend. Few customers who spend very much dominate it.",
    ),
    (
        "Churn order",
        "The AUC: how often a customer who bought nothing had a higher churn probability than one who bought.",
    ),
    ("Churn log-loss", "How well the churn probabilities themselves fit; a confident error costs much."),
)


def title(document: Mapping[str, Any]) -> str:
    """The page's title."""
    about = document["about"]
    if about["cutoff"] is None:
        return "Model report"
    return f"Customer report, as of {date(about['cutoff'])}"


def lead(document: Mapping[str, Any]) -> str:
    """One line below the title: what this is about."""
    about = document["about"]
    if about["cutoff"] is None:
        return f"{_model(about, 'A')}."
    words = f"Forecasts of {people(document['money']['customers'])} for the {days(about['horizon_days'])} from then on"
    if about["kind"] == "backtest":
        return words + ", made with what was known at that time and compared with what then happened."
    return words + f", by {_model(about, 'a')}."


def _model(about: Mapping[str, Any], article: str) -> str:
    if about["training_cutoff"] is None:
        return f"{article} network that has learned from simulated customer bases, not from a log (the prior)"
    return f"{article} model trained on what happened before {date(about['training_cutoff'])}"


def contents(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anchors and words of the sections that are there."""
    parts = [
        ("monday", "What to do on Monday", document["monday"]),
        ("best", "Best customers", document["money"]),
        ("losing", "Whom do I lose?", document["money"]),
        ("segments", "Value and stage", document["matrix"]),
        ("sure", "How sure is this?", True),
        ("cohorts", "Cohorts", document["cohorts"]),
        ("fairness", "Are groups treated alike?", document["fairness"]),
        ("drivers", "What moves the forecasts", document["drivers"]),
        ("data", "Data and model", True),
        ("words", "Words", True),
    ]
    return [(anchor, words) for anchor, words, there in parts if there]


def chart_texts(document: Mapping[str, Any]) -> dict[str, str]:
    """Headings of charts, what they show as a text alternative, and the sentence that opens each section."""
    texts: dict[str, str] = {}
    if document["money"]:
        texts |= _customer_texts(document)
    if document["comparison"]:
        texts["sure"] = _sure_text(document)
    if document["held_out"]:
        texts |= _held_out_texts(document["held_out"])
    if document["money"] and document["losing"]["curve"] and document["losing"]["value_at_risk"] > 0:
        contacts = next((entry["contact"] for entry in document["lists"] if entry["name"] == "retention"), 0)
        texts |= _curve_texts(document["losing"]["curve"], contacts)
    if document["cohorts"]:
        texts |= _cohort_texts(document["cohorts"])
    if document["matrix"]:
        texts["matrix"] = _matrix_text(document["matrix"], document["about"]["currency"])
        texts["tiers"] = _tiers_text(document["matrix"])
        if document["stability"]:
            texts["stability"] = _stability_text(document["stability"])
    return texts


def _customer_texts(document: Mapping[str, Any]) -> dict[str, str]:
    section, total = document["concentration"], document["money"]
    currency = document["about"]["currency"]
    bands = [band for band in document["distribution"] if band["customers"]]
    most = max(bands, key=lambda band: band["worth_share"])
    from seqclv.report.charts import band_words

    many = (
        "Nobody is expected to buy"
        if section["share_needed"] is None
        else f"{percent(section['share_needed'])} of the customers bring {percent(section['bringing'])} of the money"
    )
    return {
        "best": f"The mean customer is worth {money(total['worth_mean'], currency)} in this time, the middle one "
        f"{money(total['worth_median'], currency)}{_spread_words(total)}.",
        "losing": _losing_text(document),
        "concentration": many,
        "concentration_alt": f"Curve: {many}. The top 1% brings {percent(section['top_percent'])}, the top 10% "
        f"{percent(section['top_tenth'])}.",
        "distribution": f"{percent(most['worth_share'])} of the money is with customers worth {band_words(most)}",
        "distribution_alt": "Bars: "
        + "; ".join(
            f"{band_words(b)}: {percent(b['customers_share'])} of customers, {percent(b['worth_share'])} of the money"
            for b in bands
        ),
    }


def _spread_words(total: Mapping[str, Any]) -> str:
    if total["worth_mean"] > 1.5 * total["worth_median"]:
        return ": few customers stand far above the rest"
    return ": most customers are not far from the mean"


def _losing_text(document: Mapping[str, Any]) -> str:
    losing, about = document["losing"], document["about"]
    words = (
        f"Over the {days(about['horizon_days'])} the chance to buy nothing is "
        f"{percent(document['money']['churn_mean'])} for the average customer."
    )
    if losing["lost_already"] is not None:
        words += (
            f" {people(losing['lost_already'])} will more likely than not never buy again; the other "
            f"{people(losing['customers'])} can still be lost."
        )
    return words + f" If all of those did buy, {money(losing['value_at_risk'], about['currency'])} more would come in."


def _curve_texts(curve: Mapping[str, Any], contacts: int) -> dict[str, str]:
    total = curve["value_at_risk"][-1]
    share = [
        float(np.interp(contacts, curve["contacts"], curve[name])) / total for name in ("value_at_risk", "recency")
    ]
    words = (
        f"{count(contacts)} contacts reach {percent(share[0])} of what is at risk, "
        f"{percent(share[1])} if the latest buyers come first"
    )
    return {"budget": words, "budget_alt": f"Curves of the value at risk reached by number of contacts: {words}."}


def _sure_text(document: Mapping[str, Any]) -> str:
    comparison = document["comparison"]
    cutoffs = comparison["cutoffs"]
    windows = f"the {'window' if len(cutoffs) == 1 else 'windows'} from {', '.join(date(c) for c in cutoffs)}"
    own = next((row for row in comparison["rows"] if row["ours"]), None)
    words = f"Model and simple methods learned from what came before {windows} and were judged on what followed."
    if own is not None and own["spend_bias"] is not None:
        words += f" The model's total of spend was {off(own['spend_bias'])}."
    return words


def _held_out_texts(held: Mapping[str, Any]) -> dict[str, str]:
    track = held["tracking"]
    ends = {name: values[-1] for name, values in track["forecasts"].items()}
    actual = track["actual"][-1]
    name, end = next(iter(ends.items()))
    shown = SHORT_NAMES.get(name, name)
    texts = {
        "tracking": f"{shown} forecast {count(end)} purchases, {count(actual)} were made",
        "tracking_alt": f"Lines of cumulative purchases: actual {count(actual)}; "
        + "; ".join(f"{MODEL_NAMES.get(who, who)} {count(value)}" for who, value in ends.items()),
    }
    if held["deciles"]:
        texts["deciles"] = worst_and_best_group(held)
        texts["deciles_alt"] = "Mean spend by tenth, forecast and actual: " + "; ".join(
            f"{money(row['forecast'])} and {money(row['actual'])}" for row in held["deciles"]
        )
    if held["reliability"]:
        texts["reliability"] = f"Churn probabilities miss by {decimal(100 * held['churn_ece'], 1)} points on average"
        texts["reliability_alt"] = "Churn by group, forecast and actual: " + "; ".join(
            f"{percent(row['forecast'])} and {percent(row['actual'])}" for row in held["reliability"]
        )
    return texts


def _cohort_texts(rows: list[Mapping[str, Any]]) -> dict[str, str]:
    best = max(rows, key=lambda row: row["worth_mean"])
    most = max(rows, key=lambda row: row["worth"])
    words = f"A customer who came in {best['name']} is worth most, {money(best['worth_mean'])} on average"
    if most is not best:
        words += f"; most money in all is with those of {most['name']}, {money(most['worth'])}"
    return {"cohorts": words + "."}


def _matrix_text(matrix: Mapping[str, Any], currency: str) -> str:
    top = matrix["by_tier"][0]
    words = (
        f"The {matrix['tiers'][0]} tier holds {people(top['customers'])} and {money(top['worth'], currency)}, "
        f"of the {money(matrix['all']['worth'], currency)} in all."
    )
    if "at_risk" in matrix["stages"]:
        cell = matrix["cells"][0][matrix["stages"].index("at_risk")]
        if cell["customers"]:
            words += f" {people(cell['customers'])} of them are at risk: the first to look at."
    return words


def _tiers_text(matrix: Mapping[str, Any]) -> str:
    """How the tiers are bounded."""
    parts = [f"{name} the {percent(share)}" for name, share in zip(matrix["tiers"], matrix["tier_shares"], strict=True)]
    return (
        f"Tiers share the spend expected in {days(matrix['tier_horizon_days'])} as it was on "
        f"{date(matrix['tiers_set_at'])}, from the top: {', '.join(parts)}."
    )


def _stability_text(found: Mapping[str, Any]) -> str:
    """How many customers another training would move, by the model alone."""
    kept, bare = found["kept"], found["inherited"]
    words = (
        f"Trained again with another seed, the model puts {percent(kept['mean'], 1)} of the customers into another "
        f"tier ({percent(kept['worst'], 1)} in the worst pair of {found['trainings']} trainings)"
    )
    if found["between"] == "networks":
        words = (
            f"Between the {found['trainings']} networks that the model averages, {percent(kept['mean'], 1)} of the "
            f"customers change their tier ({percent(kept['worst'], 1)} in the worst pair); the average is steadier"
        )
    return (
        f"{words}. That holds where customers keep their tier within {percent(found['tolerance'])} of a boundary, as "
        f"`--previous` does; without that it is {percent(bare['mean'], 1)}."
    )


def data_facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of the table on data and model."""
    about, data = document["about"], document["data"]
    facts: list[tuple[str, str]] = []
    if data is not None:
        facts += [
            ("Rows read", count(data["rows_read"])),
            ("Rows kept", count(data["rows_kept"])),
            ("Rows rejected", count(data["rows_rejected"])),
            *((f"– {reason}", count(number)) for reason, number in data["rejected_by_reason"].items()),
            ("Customers in the log", count(data["customers"])),
            ("First event", date((data["first_timestamp"] or "")[:10] or None)),
            ("Last event", date((data["last_timestamp"] or "")[:10] or None)),
            ("Exact duplicates, kept", count(data["exact_duplicates"])),
            ("Lines below zero (returns)", count(data["negative_lines"])),
            ("Lines of zero", count(data["zero_lines"])),
            *((f"Events ‘{name}’", count(number)) for name, number in data["further_events"].items()),
            ("Customers with one purchase day", percent(data["one_purchase_day_share"])),
            ("Spend of the top hundredth of customers", percent(data["top_percent_spend_share"])),
        ]
    if about["model"] is not None:
        facts += [
            ("Model", f"{about['model']['kind'].replace('_', ' ')}, version {about['model']['version']}"),
            ("Trained on what came before", date(about["training_cutoff"])),
            ("Customers in training", count(about["training"].get("customers"))),
            ("Purchases in training", count(about["training"].get("purchases"))),
            ("Judged on a window of", days(about["judged_horizon_days"])),
            *((f"Calendar, {row['name']}", row["words"]) for row in document.get("calendar", ())),
        ]
    return facts
