"""What contacting a list of customers brought, measured against its random control group.

Spend is what each customer spent in the window. The effect is the mean of the contacted less the mean of the control
group, with Welch's interval (unequal variances). A second estimate uses each customer's forecast as a covariate: what
was expected before anybody was contacted explains a part of the spread, so its interval is narrower, and it stays
unbiased because the groups were drawn at random.

Source: Deng, Xu, Kohavi and Walker (2013), 'Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data' (CUPED).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from seqclv.data.events import FloatArray
from seqclv.data.windows import instant
from seqclv.errors import InputError, offenders
from seqclv.evaluation.compare import cutoff_text
from seqclv.evaluation.matured import Matured

if TYPE_CHECKING:
    import pandas as pd

CONTACT, CONTROL = "contact", "control"
SMALLEST_GROUP = 2  # customers that a variance needs
_NEEDED = ("customer_id", "list", "group")
_LEVEL = 0.95


def read_lists(path: Path, cutoff: int) -> "pd.DataFrame":
    """Read a list file: customer_id, list, group ('contact' or 'control'); Parquet or CSV.

    Rows without a group, such as those of a do-not-spend list, are left out.

    Args:
        path: the file.
        cutoff: of the forecasts beside (microseconds), which lists that say when they were made must share.

    Raises:
        InputError: it cannot be read, lacks a column, is of another cutoff, names another group or a customer twice in
            one list.
    """
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path, dtype="str", keep_default_na=False)
        else:
            frame = pq.read_table(path).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"--lists names a Parquet or CSV file, but '{path}' cannot be read.") from error
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise InputError(
            f"A list file has the columns {', '.join(_NEEDED)}, but '{path}' lacks {', '.join(missing)}: rename or add."
        )
    if "cutoff" in frame.columns:
        _require_cutoff(path, frame["cutoff"], cutoff)
    frame = frame[list(_NEEDED)]
    frame = frame[frame["group"].notna() & (frame["group"] != "")].astype("str")
    wrong = sorted(set(frame["group"]) - {CONTACT, CONTROL})
    if wrong:
        raise InputError(
            f"A group of a list is '{CONTACT}' or '{CONTROL}', but '{path}' has {offenders(wrong)}: rename."
        )
    double = frame[frame.duplicated(["customer_id", "list"])]
    if len(double):
        raise InputError(
            f"A list names a customer once, but '{path}' repeats {offenders(double['customer_id'])}: remove doubles."
        )
    return frame


def _require_cutoff(path: Path, made: "pd.Series[Any]", cutoff: int) -> None:
    """Refuse lists of another time: their window is another one, and the forecasts may know what the contacts did."""
    what = f"cutoff of a list in '{path}'"
    said = [cutoff_ for cutoff_ in made.dropna().unique() if str(cutoff_).strip()]
    other = sorted({str(cutoff_) for cutoff_ in said if instant(cutoff_, what=what) != cutoff})
    if other:
        raise InputError(
            f"Lists are measured over the window of the forecasts, which begins on {cutoff_text(cutoff)}, but '{path}' "
            f"was made for {offenders(other)}: give the forecasts and the lists of one cutoff."
        )


def measure_lists(lists: "pd.DataFrame", matured: Matured) -> list[dict[str, Any]]:
    """The effect of each list on spend in the matured window; see `incremental_spend`."""
    place = {name: i for i, name in enumerate(matured.rows["customer_id"])}
    found = []
    for name, part in lists.groupby("list", sort=True):
        row = part["customer_id"].map(place)
        known = row.notna().to_numpy()
        index = row[known].to_numpy(dtype=np.int64)
        contacted = (part["group"] == CONTACT).to_numpy()[known]
        expected = None if matured.scores.spend is None else matured.scores.spend[index]
        entry: dict[str, Any] = {
            "list": str(name),
            "customers_without_forecast": int((~known).sum()),
            "contact": int(contacted.sum()),
            "control": int((~contacted).sum()),
        }
        if min(entry["contact"], entry["control"]) >= SMALLEST_GROUP:
            entry |= incremental_spend(matured.actual.spend[index], contacted, expected)
        found.append(entry)
    return found


def incremental_spend(spend: FloatArray, contacted: np.ndarray, expected: FloatArray | None) -> dict[str, Any]:
    """The additional spend per contacted customer, plain and with the forecast as covariate.

    Args:
        spend: [N] in the window.
        contacted: [N] whether the customer was contacted; the others are the control group.
        expected: [N] forecast spend, made before anybody was contacted.
    """
    result: dict[str, Any] = {
        "mean_contact": float(spend[contacted].mean()),
        "mean_control": float(spend[~contacted].mean()),
        "plain": _difference(spend, contacted),
        "adjusted": None,
    }
    if expected is not None and np.ptp(expected) > 0:
        centred = expected - expected.mean()
        within = spend - np.where(contacted, spend[contacted].mean(), spend[~contacted].mean())
        slope = float(centred @ within / (centred @ centred))
        adjusted = _difference(spend - slope * centred, contacted)
        width, plain = adjusted["high"] - adjusted["low"], result["plain"]["high"] - result["plain"]["low"]
        result["adjusted"] = adjusted | {"slope": slope, "narrower": 1 - width / plain if plain > 0 else 0.0}
    best = result["adjusted"] or result["plain"]
    result["total"] = {key: best[key] * int(contacted.sum()) for key in ("effect", "low", "high")}
    result["clear"] = bool(best["low"] > 0 or best["high"] < 0)
    return result


def _difference(values: FloatArray, contacted: np.ndarray) -> dict[str, float]:
    """Difference of means with Welch's 95 % interval."""
    one, other = values[contacted], values[~contacted]
    effect = float(one.mean() - other.mean())
    v1, v2 = one.var(ddof=1) / len(one), other.var(ddof=1) / len(other)
    if v1 + v2 == 0:
        return {"effect": effect, "low": effect, "high": effect}
    freedom = (v1 + v2) ** 2 / (v1**2 / (len(one) - 1) + v2**2 / (len(other) - 1))
    margin = float(stats.t.ppf((1 + _LEVEL) / 2, freedom) * np.sqrt(v1 + v2))
    return {"effect": effect, "low": effect - margin, "high": effect + margin}
