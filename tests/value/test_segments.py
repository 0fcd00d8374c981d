"""Tiers by stages, movements and the user's own expressions: everybody is counted once, nothing else is reached."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.errors import InputError
from seqclv.value.segments import (
    check_expression,
    label,
    matrix,
    moved_share,
    movements,
    read_segments,
    segment_table,
)


def test_the_matrix_counts_everybody_and_all_money_once(valued):
    rows = matrix(valued["network"].out)
    frame = pq.read_table(valued["network"].out).to_pandas().query("horizon_days == 365")
    assert sum(row["customers"] for row in rows) == len(frame)
    assert sum(row["value"] for row in rows) == pytest.approx(frame["value"].sum())
    tiers = list(dict.fromkeys(row["tier"] for row in rows))
    assert tiers == [name for name in ("platinum", "gold", "silver", "bronze") if name in tiers]


def test_movements_split_into_behaviour_and_model(make_values, tmp_path):
    def write(name, tiers):
        return make_values(tmp_path / name, customer_id=list("abc"), tier=tiers, value=[3.0, 2.0, 1.0])

    old = write("old.parquet", ["gold", "gold", "silver"])
    third = write("third.parquet", ["gold", "silver", "silver"])
    new = write("new.parquet", ["gold", "silver", "gold"])
    rows = movements(old, new, rescored=third)
    assert moved_share(rows, "behaviour") == pytest.approx(1 / 3)
    assert moved_share(rows, "model") == pytest.approx(1 / 3)
    assert {"cause": "model", "from": "silver", "to": "gold", "customers": 1, "value": 1.0, "horizon_days": 1.0} in rows
    assert moved_share(movements(old, new), "both") == pytest.approx(2 / 3)


def test_newcomers_and_leavers_move_from_and_to_nothing(make_values, tmp_path):
    old = make_values(tmp_path / "old.parquet", customer_id=["a", "b"], stage=["active", "lost"])
    new = make_values(tmp_path / "new.parquet", customer_id=["b", "c"], stage=["returned", "new"])
    found = {(row["from"], row["to"]): row["customers"] for row in movements(old, new, column="stage")}
    assert found == {(None, "new"): 1, ("active", None): 1, ("lost", "returned"): 1}
    assert moved_share(movements(old, new, column="stage"), "both") == 1.0


def test_conditions_and_labels_are_evaluated_row_by_row(valued):
    table = pq.read_table(valued["network"].out)
    frame = table.to_pandas()
    found = label(table, "value > 20 AND stage <> 'lost'")
    expected = np.where((frame["value"] > 20) & (frame["stage"] != "lost"), "yes", "no")
    assert found.tolist() == expected.tolist()
    words = label(table, "CASE WHEN channel = 'web' THEN 'online' ELSE 'other' END -- a note")
    assert set(words) == {"online", "other"}
    assert label(table, "usual_gap_days > 1")[frame["usual_gap_days"].isna().to_numpy()].tolist().count(None) > 0


def test_own_segments_add_up_to_the_base(valued):
    frame = pq.read_table(valued["network"].out).to_pandas().query("horizon_days == 90")
    rows = segment_table(valued["network"].out, {"best": "value > 20", "channel": "channel"}, 90.0).to_pandas()
    for _, part in rows.groupby("segment"):
        assert part["customers"].sum() == len(frame)
        assert part["value"].sum() == pytest.approx(frame["value"].sum())


@pytest.mark.parametrize(
    "expression",
    [
        "value > ",
        "no_such_column = 1",
        "1) AS a, (2",
        "1) FROM values_; DROP VIEW values_; SELECT (1",
        "(SELECT content FROM read_text('/etc/passwd'))",
        "sum(value)",
        "unnest([1, 2])",
        "",
    ],
)
def test_what_is_not_one_expression_over_the_columns_is_refused(expression, make_values, tmp_path):
    table = pq.read_table(make_values(tmp_path / "v.parquet", customer_id=["a", "b", "c"]))
    with pytest.raises(InputError, match="one"):
        label(table, expression)
    if expression not in ("sum(value)", "unnest([1, 2])"):
        with pytest.raises(InputError, match="one"):
            check_expression(expression)


def test_segments_are_read_from_yaml(tmp_path):
    path = tmp_path / "segments.yaml"
    path.write_text("segments:\n  best: value > 500\n  region: channel\n")
    assert read_segments(path) == {"best": "value > 500", "region": "channel"}
    for text in ("best: value", "segments: 3", "segments: {a: 3}", "[", ""):
        path.write_text(text)
        with pytest.raises(InputError, match="key segments"):
            read_segments(path)


def test_stages_and_tiers_are_the_columns_words(valued):
    frame = pq.read_table(valued["pareto_nbd"].out).to_pandas()
    again = pd.DataFrame(matrix(valued["pareto_nbd"].out, 30.0))
    assert set(again["stage"]) == set(frame["stage"])
    with pytest.raises(InputError, match="tiers or stages"):
        movements(valued["network"].out, valued["network"].out, column="channel")
