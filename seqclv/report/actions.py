"""What to do on Monday: steps with their numbers, and the contact lists they speak of."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from seqclv.report.formats import count, date, money, people, percent

if TYPE_CHECKING:
    from seqclv.report.subject import Subject

_ROWS = 5
LIST_TITLES = {
    "retention": "Keep: the most to lose",
    "growth": "Grow: loyal, with room for more",
    "do_not_spend": "Leave alone: a contact would not pay",
}


def lists_section(subject: "Subject") -> list[dict[str, Any]]:
    """Each contact list: how many to contact and to leave as a control group, what it is about, its first customers."""
    if subject.worth is None:
        return []
    lists, found = subject.worth.lists, []
    for name, title in LIST_TITLES.items():
        rows = lists[lists["list"] == name].sort_values("rank")
        if rows.empty:
            continue
        contacts = rows[rows["group"] != "control"]  # on the do-not-spend list nobody has a group
        found.append(
            {
                "name": name,
                "title": title,
                "customers": len(rows),
                "contact": int((rows["group"] == "contact").sum()),
                "control": int((rows["group"] == "control").sum()),
                "value": float(contacts["value"].sum()),
                "value_at_risk": float(contacts["value_at_risk"].sum()),
                "rows": [_row(row) for row in contacts.head(_ROWS).to_dict("records")],
            }
        )
    return found


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    names = ("rank", "customer_id", "score", "reason", "tier", "stage")
    return {name: row[name] if pd.notna(row[name]) else None for name in names}


def monday_section(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """Steps in the order of their money: what, and why, in words from the document's numbers."""
    if document["money"] is None:
        return []
    by_name = {entry["name"]: entry for entry in document["lists"]}
    steps = [_keep(document, by_name.get("retention")), _care(document)]
    steps += [_grow(document, by_name["growth"])] if "growth" in by_name else []
    steps += [_leave(document, by_name["do_not_spend"])] if "do_not_spend" in by_name else []
    return [step for step in steps if step] + [_measure(document)]


def _keep(document: Mapping[str, Any], entry: Mapping[str, Any] | None) -> dict[str, str]:
    currency = document["about"]["currency"]
    section = document["losing"]
    if entry is not None:
        amount, number = entry["value_at_risk"], entry["contact"]
        control = f", and leave {count(entry['control'])} more alone as a control group" if entry["control"] else ""
    else:
        amount, number, control = section["value_at_risk"] / 2, section["customers_with_half"] or 0, ""
    if not number:
        return {}
    return {
        "short": f"contact the {people(number)} with the most to lose ({money(amount, currency)} at risk){control}",
        "what": f"Contact the {people(number)} with the most to lose{control}.",
        "why": (
            f"{money(amount, currency)} of the {money(section['value_at_risk'], currency)} at risk is theirs. "
            "Being at risk does not mean being persuadable: only the comparison with the control group shows what the "
            "contact brings."
        ),
    }


def _care(document: Mapping[str, Any]) -> dict[str, str]:
    section = document["concentration"]
    if section["customers_needed"] is None:
        return {}
    return {
        "short": "look after your best customers",
        "what": f"Look after the best {people(section['customers_needed'])} before anybody else.",
        "why": f"They bring {percent(section['bringing'])} of the money; the top tenth alone brings "
        f"{percent(section['top_tenth'])}.",
    }


def _grow(document: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    amount = money(entry["value"], document["about"]["currency"])
    return {
        "short": f"offer more to the {people(entry['contact'])} of the growth list",
        "what": f"Offer more to the {people(entry['contact'])} of the growth list.",
        "why": f"They are likely to stay and are worth {amount}; nobody has to be won back.",
    }


def _leave(document: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    amount = money(entry["value"], document["about"]["currency"])
    return {
        "short": f"spend nothing on the {people(entry['customers'])} of the do-not-spend list",
        "what": f"Spend nothing on the {people(entry['customers'])} of the do-not-spend list.",
        "why": f"They are lost already or worth no more than a contact costs: {amount} in all.",
    }


def _measure(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        "short": "keep these forecasts and audit them",
        "what": f"Keep these forecasts, and audit them from {date(document['about']['first_due'])} on.",
        "why": "`seqclv audit` then says what came true, what the contacts brought, and whether to keep the model.",
    }
