"""The bridge adds up to the cent, whatever the values, and puts every customer into one step."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqclv.errors import InputError
from seqclv.value.bridge import bridge

money = st.floats(-1e9, 1e9)
stage = st.sampled_from(["active", "lost"])
rows = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(money, money, stage), min_size=1)


def write(make_values, path, table, column):
    ids = sorted(table)
    columns = {"value": [table[i][column] for i in ids], "stage": [table[i][2] for i in ids]}
    return make_values(path, customer_id=ids, horizon_days=[90.0] * len(ids), **columns)


def cents(amount):
    return round(100 * amount)


@settings(max_examples=25)
@given(earlier=rows, later=rows, separated=st.booleans())
def test_a_bridge_adds_up_to_the_cent(earlier, later, separated, make_values, tmp_path_factory):
    root = tmp_path_factory.mktemp("bridge")
    old = write(make_values, root / "old.parquet", earlier, 0)
    new = write(make_values, root / "new.parquet", later, 0)
    third = write(make_values, root / "third.parquet", later, 1) if separated else None
    found = bridge(old, new, rescored=third)
    change = 0 if found.model_change is None else found.model_change.cents
    assert found.opening.cents + sum(step.cents for step in found.steps) + change == found.closing.cents
    total = sum(float(np.round(row[0] * 100)) for row in later.values())
    assert found.closing.cents == pytest.approx(total, abs=len(later))  # ties round either way
    assert (found.model_change is not None) == separated


def test_each_customer_is_in_the_step_that_happened_to_them(make_values, tmp_path):
    earlier = {"gone": (10, 0, "active"), "up": (5, 0, "active"), "down": (8, 0, "active"), "lost": (7, 0, "active")}
    later = {"up": (9, 6, "active"), "down": (2, 3, "active"), "lost": (1, 1, "lost"), "new": (4, 5, "new")}
    old = write(make_values, tmp_path / "old.parquet", earlier, 0)
    new = write(make_values, tmp_path / "new.parquet", later, 0)
    third = write(make_values, tmp_path / "third.parquet", later, 1)
    steps = {s.name: (s.cents, s.customers) for s in bridge(old, new).steps}
    assert steps == {
        "new_customers": (400, 1),
        "no_longer_in_log": (-1000, 1),
        "lost": (-600, 1),
        "more": (400, 1),
        "less": (-600, 1),
    }
    found = bridge(old, new, rescored=third)
    steps = {s.name: s.cents for s in found.steps}
    assert steps == {"new_customers": 500, "no_longer_in_log": -1000, "lost": -600, "more": 100, "less": -500}
    assert (found.model_change.cents, found.model_change.customers) == (9_00 - 6_00 + 2_00 - 3_00 + 4_00 - 5_00, 3)
    assert "model change" in found.render()


def test_the_same_valuation_twice_has_no_steps(valued):
    found = bridge(valued["network"].out, valued["network"].out)
    assert [step.cents for step in found.steps] == [0] * 5
    assert found.opening.cents == found.closing.cents > 0


def test_a_change_of_the_model_alone_is_model_change_alone(valued):
    found = bridge(valued["network"].out, valued["pareto_nbd"].out, rescored=valued["network"].out)
    assert [step.cents for step in found.steps] == [0] * 5
    assert found.model_change.cents == found.closing.cents - found.opening.cents != 0


def test_two_currencies_are_refused(make_values, tmp_path):
    old = make_values(tmp_path / "old.parquet", customer_id=["a"], currency=["EUR"])
    new = make_values(tmp_path / "new.parquet", customer_id=["a"], currency=["USD"])
    with pytest.raises(InputError, match=r"one currency.*EUR, USD"):
        bridge(old, new)
    mixed = make_values(tmp_path / "mixed.parquet", customer_id=["a", "b"], currency=["EUR", "USD"])
    with pytest.raises(InputError, match="one currency"):
        bridge(mixed, mixed)


def test_what_is_no_table_of_values_is_refused(make_values, tmp_path, small_log):
    good = make_values(tmp_path / "good.parquet", customer_id=["a"])
    with pytest.raises(InputError, match="lacks cutoff"):
        bridge(small_log, good)
    (tmp_path / "text").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        bridge(good, tmp_path / "text")
    with pytest.raises(InputError, match="choose one of 1"):
        bridge(good, good, horizon_days=77)
    unknown = make_values(tmp_path / "unknown.parquet", customer_id=["a"], value=[np.nan])
    with pytest.raises(InputError, match="1 are unknown"):
        bridge(good, unknown)
    with pytest.raises(InputError, match="choose one"):
        bridge(good, good, measure="1); DROP TABLE values_")


def test_a_third_table_of_other_customers_is_refused(make_values, tmp_path):
    one = make_values(tmp_path / "one.parquet", customer_id=["a"])
    two = make_values(tmp_path / "two.parquet", customer_id=["a", "b"])
    with pytest.raises(InputError, match="1 rows differ"):
        bridge(one, two, rescored=one)


def test_values_are_read_and_not_changed(valued):
    before = pq.read_table(valued["network"].out)
    bridge(valued["network"].out, valued["pareto_nbd"].out)
    assert pq.read_table(valued["network"].out).equals(before)
