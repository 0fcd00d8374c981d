"""The logs of the ablation, and what each row of it tells the model beside who bought when for how much."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seqclv.config import CustomersConfig, DataConfig, SourceConfig
from seqclv.data.simulate import SimulationConfig, simulate, write
from seqclv.errors import InputError

DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the model is told: a log, given the directory of the tables that `AblationLog.prepare` wrote."""

    name: str
    title: str
    data: Callable[[Path], DataConfig]


@dataclass(frozen=True, kw_only=True)
class AblationLog:
    """A log, its held-out windows and its rows; the first one is the default model, which knows nothing further."""

    name: str
    title: str
    note: str
    cutoffs: tuple[str, ...]
    horizon_days: float
    rows: tuple[Row, ...]
    prepare: Callable[[Path, Path | None], None] = lambda place, file: None  # given the file of Online Retail


_HOUSEHOLD = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
_CAMPAIGNS = SourceConfig(
    files=("dataset:complete_journey_campaigns",),
    event_type="campaign_type",
    types={f"Type {letter}": f"campaign_{letter.lower()}" for letter in "ABC"},
    numeric={"days": "days"},
)
_REDEMPTIONS = SourceConfig(files=("dataset:complete_journey_redemptions",), every_row_is="coupon_redemption")


def _survey(*attributes: str) -> CustomersConfig:
    return CustomersConfig(
        files=("dataset:complete_journey_households",), categorical={name: name for name in attributes}
    )


def complete_journey(
    *, baskets: bool = False, events: bool = False, surveyed: bool = False, households: bool = False
) -> DataConfig:
    """Complete Journey with more or less of what is known."""
    attributes = ("products", "quantity", "discount_share", "main_share")
    purchases = SourceConfig(files=("dataset:complete_journey",))
    if baskets:
        purchases = SourceConfig(
            files=("dataset:complete_journey_baskets",),
            numeric={name: name for name in attributes},
            categorical={"store_id": "store_id", "main_department": "main_department"},
        )
    sources = (purchases, _CAMPAIGNS, _REDEMPTIONS) if events else (purchases,)
    customers = _survey(*_HOUSEHOLD) if households else _survey("surveyed") if surveyed else None
    return DataConfig(sources=sources, customers=customers)


def _complete_journey_row(name: str, title: str, **told: bool) -> Row:
    return Row(name=name, title=title, data=lambda _: complete_journey(**told))


def online_retail(tables: Path, *, baskets: bool = False, country: bool = False) -> DataConfig:
    """Online Retail with more or less of what is known, from the tables of `_prepare_online_retail`."""
    data = DataConfig(transactions=(str(tables / "baskets.parquet"),))
    if baskets:
        data = replace(data, numeric=("products", "quantity", "cancelled_share"))
    if country:
        customers = CustomersConfig(files=(str(tables / "countries.parquet"),), categorical={"country": "country"})
        data = replace(data, customers=customers)
    return data


def _online_retail_row(name: str, title: str, **told: bool) -> Row:
    return Row(name=name, title=title, data=lambda tables: online_retail(tables, **told))


def _prepare_online_retail(place: Path, file: Path | None) -> None:
    """Write one row for each invoice, and the country of each customer's first invoice.

    Cancelled lines count in the share of their invoice's gross amount only. A later invoice of a day carries what it
    changes in the day's share, see `seqclv.data.datasets.dataset`.
    """
    if file is None:
        raise InputError("The ablation on Online Retail needs UCI's file: give --online-retail.")
    lines = _online_retail_lines(file)
    lines["amount"] = lines["Quantity"] * lines["UnitPrice"]
    lines["gross"] = lines["amount"].abs()
    lines["cancelled"] = lines["gross"].where(lines["amount"] < 0, 0.0)
    lines["units"] = lines["Quantity"].clip(lower=0)
    lines["sold"] = lines["StockCode"].where(lines["Quantity"] > 0)
    grouped = lines.groupby(["CustomerID", "InvoiceDate", "InvoiceNo"])
    invoices = grouped[["amount", "gross", "cancelled", "units"]].sum().join(grouped["sold"].nunique()).reset_index()
    whole_day = [invoices["CustomerID"], invoices["InvoiceDate"].dt.floor("D")]
    so_far = invoices[["cancelled", "gross"]].groupby(whole_day, sort=False).cumsum()
    share = (so_far["cancelled"] / so_far["gross"]).where(so_far["gross"] > 0, 0.0)
    baskets = {
        "customer_id": pa.array(invoices["CustomerID"], pa.string()),
        "timestamp": pa.array(invoices["InvoiceDate"].to_numpy(), pa.timestamp("us")),
        "amount": pa.array(invoices["amount"].to_numpy(), pa.float64()),
        "products": pa.array(invoices["sold"].to_numpy(), pa.float64()),
        "quantity": pa.array(invoices["units"].to_numpy(), pa.float64()),
        "cancelled_share": pa.array(share.groupby(whole_day, sort=False).diff().fillna(share).to_numpy(), pa.float64()),
    }
    pq.write_table(pa.table(baskets), place / "baskets.parquet")
    first = lines.sort_values(["InvoiceDate", "InvoiceNo"], kind="stable").drop_duplicates("CustomerID")
    countries = {"customer_id": first["CustomerID"], "country": first["Country"]}
    pq.write_table(
        pa.table({name: pa.array(column, pa.string()) for name, column in countries.items()}),
        place / "countries.parquet",
    )


def _online_retail_lines(file: Path) -> pd.DataFrame:
    """The lines that name a customer."""
    texts = ("InvoiceNo", "StockCode", "CustomerID", "Country")
    types = {"InvoiceDate": pa.timestamp("us"), "Quantity": pa.float64(), "UnitPrice": pa.float64()}
    types |= dict.fromkeys(texts, pa.string())
    options = pacsv.ConvertOptions(include_columns=list(types), column_types=types, strings_can_be_null=True)
    try:
        lines: pd.DataFrame = pacsv.read_csv(file, convert_options=options).to_pandas()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(
            f"Online Retail is a CSV file with the columns {', '.join(types)}, but the file given cannot be read so: "
            f"{error}."
        ) from error
    return lines.dropna(subset=["CustomerID"])


def _prepare_quick(place: Path, file: Path | None) -> None:
    config = SimulationConfig(customers=120, days=400, mean_events=8, response_rate=0.5, attributes=True)
    write(simulate(config), place / "log.parquet")


def _quick_row(name: str, title: str, *, reviews: bool, categories: bool) -> Row:
    def data(tables: Path) -> DataConfig:
        return DataConfig(
            transactions=(str(tables / "log.parquet"),),
            event_type="event_type",
            numeric=("score",) if reviews else (),
            categorical=("category",) if categories else (),
            where=None if reviews else "event_type = 'purchase'",
        )

    return Row(name=name, title=title, data=data)


LOGS = {
    log.name: log
    for log in (
        AblationLog(
            name="complete_journey",
            title="Complete Journey",
            note="A grocer's 2,469 households during 2017, in dollars. Its authors call it simulated, made for "
            "teaching. Baskets tell how many different products and units they hold, the share of discounts, the main "
            "department and its share, and the store. Campaigns are events on the first day of the campaign, one kind "
            "for each of its three types, coupons on the day on which they are redeemed. Of 801 households a survey "
            "tells age, income, home, marital status and household. Who was asked, and when, is not known: if the "
            "survey was held among those who stayed, then being in it tells the future. A row of its own shows what "
            "that alone is worth; only what the survey adds to it is what demographics are worth.",
            cutoffs=("2017-07-01", "2017-10-01"),
            horizon_days=92.0,
            rows=(
                _complete_journey_row(DEFAULT, "the default model"),
                _complete_journey_row("baskets", "+ attributes of baskets", baskets=True),
                _complete_journey_row("events", "+ campaigns and coupons", events=True),
                _complete_journey_row("surveyed", "+ whether a survey tells of the household", surveyed=True),
                _complete_journey_row("households", "+ what the survey tells", households=True),
                _complete_journey_row("all", "+ all of these", baskets=True, events=True, households=True),
            ),
        ),
        AblationLog(
            name="online_retail",
            title="Online Retail",
            note="A British wholesaler of gifts, December 2010 to December 2011, in pounds (UCI). Rows without a "
            "customer are left out. Invoices tell how many different products and units they hold and the share of "
            "cancellations; the country is that of a customer's first invoice.",
            cutoffs=("2011-06-01", "2011-09-01"),
            horizon_days=90.0,
            rows=(
                _online_retail_row(DEFAULT, "the default model"),
                _online_retail_row("baskets", "+ attributes of invoices", baskets=True),
                _online_retail_row("country", "+ country", country=True),
                _online_retail_row("all", "+ all of these", baskets=True, country=True),
            ),
            prepare=_prepare_online_retail,
        ),
    )
}
QUICK = AblationLog(
    name="quick",
    title="A tiny simulated base",
    note="A rehearsal of the ablation: nobody learns anything from its figures.",
    cutoffs=("2020-09-01", "2020-11-01"),
    horizon_days=60.0,
    rows=(
        _quick_row(DEFAULT, "the default model", reviews=False, categories=False),
        _quick_row("reviews", "+ reviews", reviews=True, categories=False),
        _quick_row("all", "+ reviews and categories", reviews=True, categories=True),
    ),
    prepare=_prepare_quick,
)
