from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqclv.config import DataConfig, SourceConfig
from seqclv.configfile import read_config
from seqclv.data.events import FIRST_FURTHER_TYPE, PURCHASE
from seqclv.data.mapping import named_places
from seqclv.data.store import build_store, events_from_frame
from seqclv.errors import InputError

YAML = """
data:
  customer_id: customer
  sources:
    - files: orders.parquet
      customer_id: CustomerID
      timestamp: InvoiceDate
      amount: Value
      where: "StockCode not in ('POST', 'M')"
      categorical: {shop: Store, device: Device}
    - files: [clicks-1.csv, clicks-2.csv]
      timestamp: at
      timestamp_format: "%d.%m.%Y %H:%M"
      event_type: what
      types: {1: visit, 2: search, B: purchase, R: refund}
      amount: paid
      categorical: {device: agent}
    - files: reviews.csv
      every_row_is: review
      timestamp: written
      numeric: {score: stars}
    - files: answers.csv
      every_row_is: survey
      timestamp: day
      numeric: {score: nps}
      categorical: [channel]
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Five files of one shop that call everything differently."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(
        {
            "CustomerID": [17, 17, 18, 18],
            "InvoiceDate": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-05", "2024-01-06"]),
            "Value": [10.0, 20.0, 30.0, 5.0],
            "StockCode": ["A", "B", "C", "POST"],
            "Store": ["north", "south", "north", "north"],
            "Device": ["phone", None, "web", "web"],
        }
    ).to_parquet("orders.parquet")
    (tmp_path / "clicks-1.csv").write_text(
        "customer;at;what;paid;agent\n17;31.12.2023 08:00;1;;web\n17;02.01.2024 08:00;2;;phone\n"
        "17;03.01.2024 08:00;B;7,0;web\n18;03.01.2024 08:00;B;7;web\n"
    )
    (tmp_path / "clicks-2.csv").write_text(
        "customer,at,what,paid,agent\n18,07.01.2024 09:00,R,2.5,app\n19,08.01.2024 09:00,9,,\n"
    )
    (tmp_path / "reviews.csv").write_text("customer,written,stars\n17,2024-01-03,5\n18,2024-01-09,x\n")
    (tmp_path / "answers.csv").write_text("customer,day,nps,channel\n17,2024-01-04,9,mail\n")
    (tmp_path / "c.yaml").write_text(YAML)
    return read_config(tmp_path / "c.yaml").data


def lines(events):
    """Customer, day, amount, kind and attributes of every event, as a frame."""
    names = {PURCHASE: "line"} | {FIRST_FURTHER_TYPE + i: name for i, name in enumerate(events.further_types)}
    frame = pd.DataFrame(
        {
            "customer": events.customer_id[events.owner],
            "day": pd.to_datetime(events.timestamp, unit="us").strftime("%m-%d"),
            "amount": events.amount,
            "kind": [names[code] for code in events.event_type],
            **events.numeric,
        }
    )
    for name, column in events.categorical.items():
        frame[name] = [column.values[code] if code >= 0 else "" for code in column.codes]
    return frame


def test_several_sources_become_one_log(shop, tmp_path):
    store = build_store(shop, tmp_path / "store")
    assert store.info.numeric == ("score",)
    assert list(store.info.categorical) == ["shop", "device", "channel"]
    found = lines(store.read()).fillna({"score": -1}).to_numpy().tolist()
    assert found == [
        ["17", "12-31", 0.0, "visit", -1, "", "web", ""],
        ["17", "01-01", 10.0, "line", -1, "north", "phone", ""],
        ["17", "01-02", 0.0, "search", -1, "", "phone", ""],
        ["17", "01-03", 0.0, "review", 5, "", "", ""],
        ["17", "01-04", 0.0, "survey", 9, "", "", "mail"],
        ["17", "02-01", 20.0, "line", -1, "south", "", ""],
        ["18", "01-03", 7.0, "line", -1, "", "web", ""],
        ["18", "01-05", 30.0, "line", -1, "north", "web", ""],
        ["18", "01-07", -2.5, "line", -1, "", "app", ""],
        ["18", "01-09", 0.0, "review", -1, "", "", ""],
        ["19", "01-08", 0.0, "9", -1, "", "", ""],
    ]
    report = store.info.report
    assert report["further_events"] == {"9": 1, "review": 2, "search": 1, "survey": 1, "visit": 1}
    assert report["rejected_by_reason"] == {"unparsable amount": 1}
    assert report["rows_filtered"] == 1
    assert report["rows_read"] == report["rows_kept"] + report["rows_rejected"] + report["rows_filtered"]


def test_the_order_of_sources_changes_no_event(shop, tmp_path):
    turned = replace(shop, sources=shop.sources[::-1])
    one, other = build_store(shop, tmp_path / "one").read(), build_store(turned, tmp_path / "other").read()
    assert lines(one)[sorted(lines(one))].equals(lines(other)[sorted(lines(other))])


def test_the_flat_form_is_the_short_form_of_one_source(tmp_path):
    pd.DataFrame(
        {
            "who": ["a", "b"],
            "when": ["2024-01-01", "2024-01-02"],
            "paid": [1, 2],
            "kind": ["V", "P"],
            "shop": ["x", "y"],
        }
    ).to_csv(tmp_path / "log.csv", index=False)
    names = {"customer_id": "who", "timestamp": "when", "amount": "paid", "event_type": "kind", "where": "who <> 'c'"}
    names["types"] = {"V": "visit", "P": "purchase"}
    place = (str(tmp_path / "log.csv"),)
    flat = build_store(DataConfig(transactions=place, categorical=("shop",), **names), tmp_path / "flat")
    source = SourceConfig(files=place, categorical={"shop": "shop"}, **names)
    assert build_store(DataConfig(sources=(source,)), tmp_path / "one").fingerprint == flat.fingerprint
    assert flat.info.further_types == ("visit",)


def test_a_source_without_amounts_has_events_and_its_lines_are_rejected(tmp_path):
    (tmp_path / "log.csv").write_text("customer_id,timestamp,what\na,2024-01-01,visit\na,2024-01-02,purchase\n")
    source = SourceConfig(files=(str(tmp_path / "log.csv"),), event_type="what")
    report = build_store(DataConfig(sources=(source,)), tmp_path / "store").info.report
    assert report["rejected_by_reason"] == {"no amount": 1}
    with pytest.raises(InputError, match="lacks amount"):
        build_store(DataConfig(sources=(replace(source, amount="amount"),)), tmp_path / "store")


def test_every_row_may_be_a_refund_or_a_purchase(tmp_path):
    for name in ("bought", "returned"):
        (tmp_path / f"{name}.csv").write_text("customer_id,timestamp,amount\na,2024-01-01,5\n")
    sources = tuple(
        SourceConfig(files=(str(tmp_path / f"{name}.csv"),), every_row_is=kind)
        for name, kind in [("bought", "Purchase"), ("returned", "refund")]
    )
    store = build_store(DataConfig(sources=sources[:1]), tmp_path / "store")
    assert list(store.read().amount) == [5.0]
    both = build_store(DataConfig(sources=sources), tmp_path / "store")
    assert list(both.read().amount) == [0.0]
    assert both.info.report["exact_duplicates"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"customer_id": "nosuch"}, "lacks nosuch and has customer, written, stars"),
        ({"numeric": {"score": "nosuch"}}, "lacks nosuch"),
        ({"files": ("nosuch.csv",)}, "no file, directory or match for 'nosuch.csv'"),
        (
            {"files": ("postgresql://me:geheim@host/db",)},
            "named by sql, but files says 'postgresql://\\*\\*\\*@host/db'",
        ),
        ({"numeric": {"score": "written"}, "where": "stars > 1"}, "A filter must fit"),
    ],
)
def test_a_source_that_does_not_fit_is_named(shop, tmp_path, change, message):
    sources = (replace(shop.sources[2], **change),)
    with pytest.raises(InputError, match=message):
        build_store(replace(shop, sources=sources), tmp_path / "store")


def test_a_store_is_no_source(shop, tmp_path):
    store = build_store(shop, tmp_path / "store")
    with pytest.raises(InputError, match="prepared store already"):
        build_store(DataConfig(sources=(SourceConfig(files=(str(store.path),)),)), tmp_path / "other")


def test_without_places_a_log_is_one_table_with_the_names_of_the_attributes(shop):
    plain = shop.without_places()
    assert named_places(shop) == ["orders.parquet", "clicks-1.csv", "clicks-2.csv", "reviews.csv", "answers.csv"]
    assert named_places(plain) == []
    frame = pd.DataFrame(
        {
            "customer": ["a", "a"],
            "timestamp": ["2024-01-01", "2024-01-02"],
            "amount": [3, None],
            "event_type": [None, "review"],
            "score": [None, 4],
        }
    )
    events = events_from_frame(frame, replace(plain, require_columns=False))
    assert (events.further_types, list(events.amount)) == (("review",), [3.0, 0.0])
    assert list(events.numeric) == ["score"] and not events.categorical
    with pytest.raises(InputError, match="lacks shop, device, channel"):
        events_from_frame(frame, plain)


def test_what_scoring_lacks_is_missing(tmp_path):
    frame = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [3]})
    asked = DataConfig(event_type="kind", numeric=("score",), categorical=("shop",), require_columns=False)
    events = events_from_frame(frame, asked)
    assert not events.numeric and not events.categorical and not events.further_types
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.assign(shop="x").to_csv(tmp_path / "more.csv", index=False)
    places = (str(tmp_path / "log.csv"), str(tmp_path / "more.csv"))
    both = build_store(replace(asked, transactions=places), tmp_path / "store").read()
    assert list(both.categorical) == ["shop"]
    assert np.array_equal(both.categorical["shop"].codes, [0]) or len(both) == 1
    with pytest.raises(InputError, match="lacks customer"):
        events_from_frame(frame, replace(asked, customer_id="customer"))


def test_the_sources_of_a_log_in_memory_are_refused(shop):
    with pytest.raises(InputError, match="one table, but the configuration names sources"):
        events_from_frame(pd.DataFrame({"customer": ["a"]}), shop)


def test_a_missing_column_is_told_by_the_names_that_the_source_has_with_those_like_it(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("customer_id,timestamp, amount,channel\na,2024-01-01,1,web\n")
    with pytest.raises(InputError, match=r"lacks amount \(is it ' amount'\?\), channell \(is it 'channel'\?\) and has"):
        build_store(DataConfig(transactions=(str(path),), categorical=("channell",)), tmp_path / "store")
    reviews = SourceConfig(files=(str(path),), every_row_is="review", timestamp="written")
    with pytest.raises(InputError) as caught:
        build_store(DataConfig(sources=(reviews,)), tmp_path / "store")
    assert "columns customer_id, written, but" in str(caught.value)
    assert "has customer_id, timestamp,  amount, channel:" in str(caught.value)
