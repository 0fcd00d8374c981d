"""Error, bias and list share by groups of the attributes that the model does not see.

`held_out` of an attribute is the table of `seqclv.evaluation.groups` over the held-out future; `tonight` says of each
group how many customers it has, what they are forecast, and what share of them is on each contact list.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.data.windows import history
from seqclv.evaluation.groups import Grouping, attribute_groups, groups_table

if TYPE_CHECKING:
    import pandas as pd

    from seqclv.report.subject import Subject


def fairness_section(subject: "Subject", base: "pd.DataFrame | None") -> list[dict[str, Any]]:
    """One entry for each sensitive attribute of the log."""
    log, bundle, cutoff = subject.log, subject.bundle, subject.cutoff
    if log is None or bundle is None or cutoff is None or base is None or not subject.sensitive:
        return []
    past = history(log.events, cutoff, bundle.merge)
    ids = base["customer_id"].to_numpy(dtype=object)
    found = []
    for name in subject.sensitive:
        held = subject.held_out
        judged = None
        if held is not None:
            before = history(log.events, held.cutoff, bundle.merge)
            of = attribute_groups(name, held.matured.rows["customer_id"].to_numpy(dtype=object), before)
            judged = groups_table(held.matured, of)["rows"]
        tonight = attribute_groups(name, ids, past)
        rows = [_group(subject, base, tonight, i) for i in range(len(tonight.names))]
        found.append({"by": name, "held_out": judged, "tonight": rows})
    return found


def _group(subject: "Subject", base: "pd.DataFrame", groups: Grouping, i: int) -> dict[str, Any]:
    rows = base[groups.index == i]
    return {
        "name": groups.names[i],
        "customers": len(rows),
        "worth_mean": float(rows["worth"].mean()),
        "churn_mean": float(rows["churn_probability"].mean()),
        "lists": None if subject.worth is None else _on_lists(subject.worth.lists, rows),
    }


def _on_lists(lists: "pd.DataFrame", rows: "pd.DataFrame") -> dict[str, float]:
    """The share of the group on each list, its control group included."""
    ids = rows["customer_id"].to_numpy(dtype=object)
    names = lists["list"].unique()
    return {name: float(np.isin(ids, lists.loc[lists["list"] == name, "customer_id"]).mean()) for name in names}
