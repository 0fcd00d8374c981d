"""`why` as a user runs it: a table, files that hold the same, one plain sentence on bad input."""

import json

import pandas as pd
import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import main
from seqclv.scoring import fit_classical


@pytest.fixture
def model(small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "model")
    return tmp_path / "model"


def run(capsys, *arguments):
    """Exit status, standard output, standard error."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_table_adds_up_from_average_inputs_to_the_customer(capsys, model, small_base, small_log, tmp_path):
    first, second = sorted(set(small_base["customer_id"][:40].to_pylist()))[:2]  # the log's first lines: long before
    common = ["why", "--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--horizon", 60]
    status, text, errors = run(capsys, *common, "--customer", first, second, "--out", tmp_path / "why.json")
    assert status == 0, errors
    assert f"customer {first}, expected spend in 60 days" in text
    document = json.loads((tmp_path / "why.json").read_text())
    for one in document["customers"]:
        total = one["baseline"] + sum(row["contribution"] for row in one["names"])
        assert total == pytest.approx(one["forecast"], rel=1e-3, abs=1e-2)
        assert one["events"]
    assert run(capsys, *common, "--customer", first, "--out", tmp_path / "why.csv", "--quiet")[0] == 0
    rows = pd.read_csv(tmp_path / "why.csv").set_index("level")
    assert rows.loc["forecast", "value"] == pytest.approx(document["customers"][0]["forecast"], rel=1e-4)
    assert rows.loc["base", "share"].sum() == pytest.approx(1)


def test_without_a_customer_the_base_is_shown(capsys, model, small_log):
    common = ["why", "--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--quiet"]
    status, text, errors = run(capsys, *common, "--quantity", "churn")
    assert status == 0, errors
    assert text.startswith("what moves the churn probability in 90 days")
    assert "recency" in text


def test_bad_input_is_one_plain_sentence(capsys, model, small_base, small_log, tmp_path):
    common = ["why", "--transactions", small_log, "--cutoff", "2021-07-01", "--quiet"]
    fit_classical("bg_nbd", small_base, "2021-07-01").save(tmp_path / "classical")
    refused = {
        "Give a network": ["--model", tmp_path / "classical"],
        "'X' has none": ["--model", model, "--customer", "X"],
        "ends in .csv or .json": ["--model", model, "--out", tmp_path / "why.xls"],
    }
    for sentence, arguments in refused.items():
        status, text, errors = run(capsys, *common, *arguments)
        assert (status, text) == (2, "")
        assert sentence in errors
