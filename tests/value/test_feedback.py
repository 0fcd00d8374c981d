"""Feedback beside forecasts: who is listed, who is not, and when the disagreement is called systematic."""

import json

import numpy as np
import pandas as pd
import pytest

from seqclv.cli import main
from seqclv.value.feedback import disagreement

CUTOFF = pd.Timestamp("2021-07-01")


def write(folder, spend, score, segment=None):
    """A forecasts file and a log in which each customer has a purchase and, where the score is known, a review."""
    ids = [f"C{i:03d}" for i in range(len(spend))]
    columns = {"customer_id": ids, "cutoff": CUTOFF, "horizon_days": 90.0, "expected_transactions": 1.0}
    columns |= {"expected_spend": spend, "churn_probability": 0.5}
    pd.DataFrame(columns if segment is None else columns | {"shop": segment}).to_parquet(folder / "f.parquet")
    day = lambda text: pd.Timestamp(text)  # noqa: E731
    rows = [(name, day("2021-01-01"), 10.0, "purchase", np.nan) for name in ids]
    rows += [(n, day("2021-02-01"), 0.0, "review", s) for n, s in zip(ids, score, strict=True) if not np.isnan(s)]
    rows += [(name, day("2021-08-01"), 0.0, "review", 1.0) for name in ids]  # after the cutoff
    names = ["customer_id", "timestamp", "amount", "kind", "score"]
    pd.DataFrame(rows, columns=names).to_parquet(folder / "log.parquet")


def check(capsys, folder, *further):
    files = ["--forecasts", folder / "f.parquet", "--transactions", folder / "log.parquet", "--event-type", "kind"]
    common = ["feedback-check", *files, "--score-column", "score", "--out", folder / "feedback.csv", "--json"]
    status = main([str(word) for word in [*common, "--quiet", *further]])
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if status == 0 else captured.err


def test_the_unhappy_best_and_the_happy_last_are_listed_and_nobody_without_feedback(capsys, tmp_path):
    spend = [100.0, 90, 80, 50, 40, 30, 3, 2, 1, 0.5]
    score = [1.0, 5, np.nan, 3, 3, 3, 3, 5, 1, np.nan]
    write(tmp_path, spend, score)
    status, document = check(capsys, tmp_path, "--kind", "review", "--poor", 2, "--good", 4)
    assert status == 0, document
    rows = pd.read_csv(tmp_path / "feedback.csv")
    assert rows[["list", "customer_id"]].to_numpy().tolist() == [
        ["high forecast, poor feedback", "C000"],
        ["low forecast, good feedback", "C007"],
    ]
    assert "mean score of 1 over 1 answer: ask what went wrong" in rows["reason"][0]
    assert (document["customers"], document["with_feedback"]) == (10, 8)


def test_forecasts_that_rank_the_unhappy_first_are_called_systematic_where_they_do(capsys, tmp_path):
    random = np.random.default_rng(0)
    score = random.integers(1, 6, 400).astype(float)
    segment = np.where(np.arange(400) < 200, "blind", "fair")
    spend = random.gamma(2.0, 20.0, 400) * np.where(segment == "blind", 6 - score, 1.0)
    write(tmp_path, spend, score, segment)
    _, document = check(capsys, tmp_path, "--segment-by", "shop")
    found = {row["segment"]: row for row in document["segments"]}
    assert found["blind"]["systematic"]
    assert found["blind"]["probability"] > 0.7
    assert not found["fair"]["systematic"]


def test_chance_is_called_systematic_no_more_often_than_the_level_says():
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        columns = {"mean_score": random.integers(1, 6, 120), "expected_spend": random.gamma(1.0, 1.0, 120)}
        joined = pd.DataFrame(columns | {"segment": random.choice(["a", "b", "c"], 120)})
        alarms += any(row["systematic"] for row in disagreement(joined, {"poor": 2.0, "good": 4.0}))
    assert alarms / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(
    ("further", "sentence"),
    [
        (["--kind", "survey"], "no 'survey'"),
        (["--horizon", 30], "one of the file's (90 days)"),
        (["--segment-by", "shop"], "no 'shop'"),
        (["--poor", 4, "--good", 2], "give --poor and --good"),
    ],
)
def test_bad_input_is_one_plain_sentence(capsys, tmp_path, further, sentence):
    write(tmp_path, [1.0, 2.0, 3.0], [1.0, 3.0, 5.0])
    status, errors = check(capsys, tmp_path, *further)
    assert status == 2
    assert sentence in errors
