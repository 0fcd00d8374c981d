import pandas as pd
import pyarrow as pa
import pytest

from seqclv.config import DataConfig
from seqclv.data.store import build_store, events_from_frame
from seqclv.errors import InputError

LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "b", "c", "d"],
        "timestamp": pd.to_datetime(["2024-01-01"] * 6),
        "amount": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
        "stock code": ["POST", "85123A", "M", None, "22423", "'x'"],
        "Quantity": [1, 2, 3, 4, 0, 6],
    }
)


def kept(where, log=LOG):
    return float(events_from_frame(log, DataConfig(where=where)).amount.sum())


@pytest.mark.parametrize(
    ("where", "total"),
    [
        ("\"stock code\" not in ('POST', 'M')", 2 + 16 + 32),  # a missing code is neither in the list nor out of it
        ("coalesce(\"stock code\", '') not in ('POST', 'M')", 2 + 8 + 16 + 32),
        ("quantity > 2", 4 + 8 + 32),
        ("QUANTITY between 2 and 3 and amount < 4", 2),
        ('"stock code" like \'8%\' or "Quantity" = 0', 2 + 16),
        ("regexp_matches(\"stock code\", '^[0-9]')", 2 + 16),
        ("case when Quantity > 3 then true else customer_id = 'a' end", 1 + 2 + 8 + 32),
        ("12 // Quantity >= 4", 1 + 2 + 4),  # a division by zero is unknown, not a failure
        ("\"stock code\" = '''x'''", 32),
        ("timestamp >= '2024-01-01' -- a remark", 63),
        ("true", 63),
    ],
)
def test_rows_stay_for_which_the_expression_is_true(where, total):
    assert kept(where) == total


@pytest.mark.parametrize(
    "where",
    [
        "true; drop table staged",
        "true) or (true",
        "true) from staged where (true",
        "true) union select (true",
        "true, false",
        "amount > 1 order by amount",
        "(select true)",
        "exists (select 1 from staged)",
        "amount > (select avg(amount) from staged)",
        "sum(amount) > 1",
        "row_number() over () = 1",
        "random() < 0.5",
        "now() > timestamp",
        "current_date > timestamp",
        "current_setting('threads') = '2'",
        "* = 1",
        "columns(*) > 1",
        "amount > ?",
        "amount > $1",
        "list_filter([1], x -> x > 0) is not null",
        "amount as total",
        "amount >",
        "",
        "nosuch > 1",
        "staged.amount > 1",
        "nosuchfunction(amount)",
        "amount + 1",
        "amount > date '2024-01-01'",
        "'unclosed",
        "true /*",
        "amount >\n1;\nselect 1",
        "nosuch\n> 1",
    ],
)
def test_all_else_is_refused_in_one_sentence(where):
    with pytest.raises(InputError, match="A filter") as refused:
        kept(where)
    assert "\n" not in str(refused.value)


def test_an_ambiguous_name_is_refused_and_an_exact_one_is_not():
    log = pa.Table.from_pandas(LOG, preserve_index=False).append_column("quantity", pa.array([9] * 6))
    assert kept('"quantity" = 9', log) == 63
    assert kept('"Quantity" = 6', log) == 32
    with pytest.raises(InputError, match="names QUANTITY"):
        kept('"QUANTITY" = 6', log)


def test_rows_left_out_are_counted_under_their_own_heading(tmp_path):
    LOG.assign(timestamp=["x", *["2024-01-01"] * 5]).to_csv(tmp_path / "log.csv", index=False)
    where = "\"stock code\" not in ('POST', 'M') and try_cast(Quantity as double) > 0"
    store = build_store(DataConfig(transactions=(str(tmp_path / "log.csv"),), where=where), tmp_path / "store")
    report = store.info.report
    assert (report["rows_read"], report["rows_kept"], report["rows_rejected"]) == (6, 2, 0)
    assert (report["rows_filtered"], report["rows_filtered_unknown"]) == (4, 1)
    from seqclv.data.report import DataReport

    text = DataReport(**report).render()
    assert "rows left out by a filter" in text and "  filter unknown" in text


def test_text_compared_with_a_number_says_how_to_mend_it(tmp_path):
    LOG.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match=r"columns of text.*try_cast\(x as double\)"):
        build_store(DataConfig(transactions=(str(tmp_path / "log.csv"),), where="Quantity > 1"), tmp_path / "store")


def test_a_filter_that_leaves_nothing_says_so():
    with pytest.raises(InputError, match="the filter leaves out all 6"):
        kept("amount < 0")


def test_a_filter_needs_its_columns_even_where_attributes_may_be_missing():
    with pytest.raises(InputError, match="names shop"):
        events_from_frame(LOG, DataConfig(where="shop = 'x'", require_columns=False))
