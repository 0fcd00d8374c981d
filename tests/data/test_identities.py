import itertools

import numpy as np
import pandas as pd
import pytest

from seqclv.config import DataConfig, IdentitiesConfig
from seqclv.data.store import build_store, events_from_frame
from seqclv.errors import InputError

LOG = pd.DataFrame(
    {"customer_id": ["web-1", "shop-7", "1", "2", "old"], "timestamp": ["2024-01-01"] * 5, "amount": [1, 2, 4, 8, 16]}
)


def merged(tmp_path, pairs, log=LOG, **names):
    lines = "".join(f"{old},{new}\n" for old, new in pairs)
    (tmp_path / "map.csv").write_text("old_id,customer_id\n" + lines)
    data = DataConfig(identities=IdentitiesConfig(files=(str(tmp_path / "map.csv"),), **names))
    events = events_from_frame(log, data)
    return dict(zip(events.customer_id, np.add.reduceat(events.amount, events.offset[:-1]), strict=True))


def test_merged_identities_are_one_customer(tmp_path):
    pairs = [("web-1", "1"), ("shop-7", "1"), ("old", "2"), ("nobody", "3"), ("1", "1"), ("", "x"), ("y", "")]
    assert merged(tmp_path, pairs) == {"1": 7.0, "2": 24.0}


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 100])
def test_chains_of_any_length_lead_to_their_end(tmp_path, length):
    chain = ["old", *(f"id{i}" for i in range(length - 1)), "end"]
    pairs = list(itertools.pairwise(chain))
    assert merged(tmp_path, pairs[::-1])["end"] == 16.0
    log = LOG.assign(customer_id=chain[:1] * 4 + chain[-2:-1])
    assert merged(tmp_path, pairs, log) == {"end": 31.0}


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_a_circle_is_refused_with_the_ids_on_it(tmp_path, size):
    circle = [(f"x{i}", f"x{(i + 1) % size}") for i in range(size)]
    with pytest.raises(InputError, match=r"but x\d.*in a circle") as refused:
        merged(tmp_path, [*circle, ("tail", "x0"), ("tail-2", "tail"), ("web-1", "1")])
    assert "tail" not in str(refused.value)


def test_an_id_that_stands_for_two_customers_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"one customer, but data.identities gives a, b to several"):
        merged(tmp_path, [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "1"), ("c", "1")])


def test_a_table_without_the_columns_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"columns gone and customer_id, but .* lacks gone"):
        merged(tmp_path, [("a", "1")], from_="gone")


def test_rows_of_merged_identities_are_counted(tmp_path):
    LOG.to_csv(tmp_path / "log.csv", index=False)
    pd.DataFrame({"old_id": ["web-1", "old", "else"], "customer_id": ["1", "2", "3"]}).to_parquet(
        tmp_path / "map.parquet"
    )
    identities = IdentitiesConfig(files=(str(tmp_path / "map.parquet"),))
    data = DataConfig(transactions=(str(tmp_path / "log.csv"),), identities=identities)
    store = build_store(data, tmp_path / "store")
    assert (store.info.report["rows_relabelled"], store.customers) == (2, 3)
