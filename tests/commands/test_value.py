"""The decision commands as a user runs them: value, bridge, segments, lists."""

import json

import pandas as pd
import pytest

from seqclv.bundle import load_bundle, save_bundle
from seqclv.cli import main
from seqclv.scoring import fit_classical


def run(capsys, *arguments):
    """Exit status, standard output, standard error."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def model(small_base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("model") / "bundle"
    save_bundle(fit_classical("pareto_nbd", small_base, "2021-03-01", horizons=[30, 90]).bundle, directory)
    return directory


@pytest.fixture
def value(capsys, model, small_log, tmp_path):
    def valued(name, *further, cutoff="2021-07-01", model=model):
        out = tmp_path / name
        common = ["--model", model, "--transactions", small_log, "--cutoff", cutoff, "--out", out, "--margin", 0.3]
        return out, run(capsys, "value", *common, "--currency", "EUR", *further)

    return valued


def test_a_log_is_valued_bridged_segmented_and_listed(capsys, value, tmp_path):
    old, _ = value("old.parquet", cutoff="2021-04-01")
    new, (status, text, _) = value(
        "new.parquet",
        *("--acquisition-cost", "web=20", "store=5", "app=10", "--channel-column", "channel"),
        *("--service-cost", 0.5, "--level-spread", 0.04, 0.05),
    )
    assert status == 0
    assert "value in EUR" in text
    assert "for ever" in text
    assert "--set-tiers stores them" in text
    for suffix in ("totals", "manifest"):
        assert (tmp_path / f"new.parquet.{suffix}.json").is_file()
    acquisition = json.loads((tmp_path / "new.parquet.totals.json").read_text())["acquisition"]
    assert {row["channel"] for row in acquisition} == {"app", "store", "web"}

    status, text, _ = run(capsys, "bridge", "--earlier", old, "--later", new, "--out", tmp_path / "bridge.json")
    assert status == 0
    assert "give --rescored" in text
    steps = {s["step"]: round(100 * s["amount"]) for s in json.loads((tmp_path / "bridge.json").read_text())["steps"]}
    closing = steps.pop("closing")
    assert sum(steps.values()) == closing

    (tmp_path / "segments.yaml").write_text("segments:\n  best: value > 20\n")
    further = ["--earlier", old, "--segments", tmp_path / "segments.yaml", "--out", tmp_path / "segments.json"]
    status, text, _ = run(capsys, "segments", "--values", new, *further)
    assert status == 0
    assert "best: yes" in text
    assert "changed their tier (behaviour and model together)" in text
    assert set(json.loads((tmp_path / "segments.json").read_text())) == {"matrix", "segments", "movements"}

    further = ["--control-share", 0.2, "--out", tmp_path / "lists"]
    status, text, _ = run(capsys, "lists", "--values", new, "--contacts", 10, *further)
    assert status == 0
    assert "not persuadability" in text
    assert (pd.read_csv(tmp_path / "lists" / "retention.csv")["group"] == "contact").sum() == 10


def test_tiers_that_are_set_stay(capsys, value, model, small_base, tmp_path):
    own, later = tmp_path / "own", tmp_path / "later"
    save_bundle(load_bundle(model), own)
    save_bundle(fit_classical("bg_nbd", small_base, "2021-06-01").bundle, later)
    _, (status, _, errors) = value("a.parquet", "--set-tiers", "--tiers", "best=0.6", "rest=0.4", model=own)
    assert status == 0
    assert f"stored in {own}" in errors
    stored = load_bundle(own).tiers
    assert stored.names == ("best", "rest")
    path, (_, text, _) = value("b.parquet", model=own, cutoff="2021-09-01")
    assert "--set-tiers stores them" not in text
    assert set(pd.read_parquet(path)["tier"]) <= {"best", "rest"}
    assert load_bundle(own).tiers == stored
    _, (status, _, _) = value("c.parquet", "--tiers-of", own, "--set-tiers", model=later)
    assert status == 0
    assert load_bundle(later).tiers == stored


def test_a_log_with_two_currencies_is_refused_unasked(capsys, model, small_base, tmp_path):
    frame = small_base.to_pandas()
    frame["currency"] = ["EUR", "USD"] * (len(frame) // 2) + ["EUR"] * (len(frame) % 2)
    frame.to_parquet(tmp_path / "log.parquet")
    arguments = ["--model", model, "--transactions", tmp_path / "log.parquet", "--cutoff", "2021-07-01", "--quiet"]
    status, _, errors = run(capsys, "value", *arguments, "--out", tmp_path / "v.parquet")
    assert status == 2
    assert "EUR, USD" in errors


def test_json_goes_to_standard_output_alone(value):
    _, (status, text, _) = value("v.parquet", "--json", "--quiet")
    assert status == 0
    assert {"totals", "customers", "currency"} <= set(json.loads(text))


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (["--margin", 3], "margin is a share"),
        (["--discount-rate", -0.1], "discount rate"),
        (["--acquisition-cost", "web=much"], "at least 0"),
        (["--acquisition-cost", "missing.csv"], "columns channel and cost"),
        (["--channel-column", "nonsense"], "nonsense"),
        (["--margin-column", "nonsense"], "nonsense"),
        (["--level-spread", -1, 0], "--level-spread"),
        (["--tiers", "a=1"], "--set-tiers"),
        (["--set-tiers", "--tiers", "a=x", "b=y"], "NAME=SHARE"),
        (["--horizons", 0], "positive number of days"),
        (["--discount-rate", 0], "--no-residual"),
    ],
)
def test_wrong_input_is_said_in_one_sentence_and_nothing_is_written(value, further, message):
    out, (status, _, errors) = value("v.parquet", "--quiet", *further)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
    assert not out.exists()


def test_what_is_no_table_of_values_is_said(capsys, small_log, tmp_path):
    status, _, errors = run(capsys, "lists", "--values", small_log, "--contacts", 5, "--out", tmp_path / "lists")
    assert (status, (tmp_path / "lists").exists()) == (2, False)
    assert "columns of `seqclv value`" in errors
    status, _, errors = run(capsys, "bridge", "--earlier", small_log, "--later", tmp_path / "none")
    assert status == 2
    assert "cannot be read" in errors


def test_a_value_without_a_currency_says_so_in_words(capsys, model, small_log, tmp_path):
    out = tmp_path / "v.parquet"
    common = ["--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--out", out, "--quiet"]
    status, text, _ = run(capsys, "value", *common)
    assert status == 0
    assert "XXX" not in text
    assert "The log names no currency" in text
    assert "no window can check it" in text  # of all the time after
    assert run(capsys, "lists", "--values", out, "--contacts", 10, "--out", tmp_path / "lists")[0] == 0
    reasons = pd.read_csv(next((tmp_path / "lists").glob("*retention*.csv")))["reason"]
    assert not reasons.str.contains("XXX").any()


def test_segments_show_nothing_before_they_refuse(capsys, value, tmp_path):
    out, _ = value("v.parquet")
    (tmp_path / "segments.yaml").write_text("segments:\n  odd: no_such_column > 1\n")
    status, text, errors = run(capsys, "segments", "--values", out, "--segments", tmp_path / "segments.yaml")
    assert status == 2
    assert "no_such_column" in errors
    assert text == ""
