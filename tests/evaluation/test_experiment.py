"""The effect of a contact: found where there is one, not invented where there is none, with honest intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqclv.data.windows import instant
from seqclv.errors import InputError
from seqclv.evaluation.experiment import incremental_spend, read_lists


def base(random, size, effect):
    """Spend that a forecast explains in part, and an effect on the contacted."""
    expected = random.gamma(1.0, 40.0, size)
    contacted = random.random(size) < 0.7
    spend = expected * random.gamma(2.0, 0.5, size) + effect * contacted
    return spend, contacted, expected


def test_the_plain_interval_is_welchs():
    spend, contacted, _ = base(np.random.default_rng(0), 300, 5.0)
    found = incremental_spend(spend, contacted, None)
    between = stats.ttest_ind(spend[contacted], spend[~contacted], equal_var=False).confidence_interval(0.95)
    assert found["plain"]["low"] == pytest.approx(between.low)
    assert found["plain"]["high"] == pytest.approx(between.high)
    assert found["adjusted"] is None


def test_intervals_hold_the_effect_and_the_forecast_makes_them_narrower():
    random, held, width = np.random.default_rng(1), {"plain": 0, "adjusted": 0}, []
    for _ in range(300):
        found = incremental_spend(*base(random, 200, 8.0))
        for name in held:
            held[name] += found[name]["low"] <= 8.0 <= found[name]["high"]
        width.append(found["adjusted"]["narrower"])
    assert 270 <= held["plain"] <= 297
    assert 270 <= held["adjusted"] <= 297
    assert np.mean(width) > 0.2


def test_no_effect_is_called_clear_about_as_rarely_as_it_should_be():
    random = np.random.default_rng(2)
    clear = sum(incremental_spend(*base(random, 200, 0.0))["clear"] for _ in range(300))
    assert clear <= 27


def test_the_total_is_the_effect_times_the_contacted():
    spend, contacted, expected = base(np.random.default_rng(3), 100, 5.0)
    found = incremental_spend(spend, contacted, expected)
    assert found["total"]["effect"] == pytest.approx(found["adjusted"]["effect"] * contacted.sum())


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"customer_id": ["a"], "group": ["contact"]}), "lacks list"),
        (pd.DataFrame({"customer_id": ["a"], "list": ["x"], "group": ["kontrolle"]}), "kontrolle"),
        (pd.DataFrame({"customer_id": ["a", "a"], "list": ["x", "x"], "group": ["contact", "control"]}), "repeats a"),
    ],
)
def test_a_list_that_says_nothing_is_refused(frame, message, tmp_path):
    frame.to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(InputError, match=message):
        read_lists(tmp_path / "lists.parquet", instant("2021-07-01"))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_lists_of_another_cutoff_than_the_forecasts_are_refused(suffix, tmp_path):
    path = tmp_path / f"lists.{suffix}"
    frame = pd.DataFrame({"customer_id": ["a", "b"], "list": "x", "group": ["contact", "control"]})
    frame["cutoff"] = pd.Timestamp("2021-06-01")
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    assert len(read_lists(path, instant("2021-06-01"))) == 2
    with pytest.raises(InputError, match=r"begins on 2021-07-01, but .* was made for 2021-06-01.*one cutoff"):
        read_lists(path, instant("2021-07-01"))


def test_ids_of_a_csv_list_stay_text(tmp_path):
    (tmp_path / "lists.csv").write_text("customer_id,list,group\n007,x,contact\nNA,x,control\n")
    assert read_lists(tmp_path / "lists.csv", 0)["customer_id"].tolist() == ["007", "NA"]
