"""`report` and `audit` as a user runs them: files, summaries, one plain sentence on bad input, nothing half-written."""

import json

import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import main


def run(capsys, *arguments):
    """Exit status, standard output, standard error."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def model(small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def forecasts(capsys, model, small_log, tmp_path):
    out = tmp_path / "forecasts.parquet"
    common = ["--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--horizons", 30, 90]
    assert run(capsys, "score", *common, "--out", out, "--quiet")[0] == 0
    return out


def test_a_report_is_written_and_its_summary_shown(capsys, model, small_log, tmp_path):
    out = tmp_path / "report.html"
    money = ["--margin", 0.3, "--currency", "GBP", "--contacts", 10]
    status, text, errors = run(capsys, "report", "--model", model, "--transactions", small_log, *money, "--out", out)
    assert status == 0, errors
    assert "GBP" in text
    assert "contact the 10 customers" in text
    assert "as of 31\N{NO-BREAK SPACE}December\N{NO-BREAK SPACE}2021" in out.read_text()  # the log's end


def test_the_summary_of_a_report_is_json_on_request(capsys, model, tmp_path):
    out = tmp_path / "report.json"
    status, text, _ = run(capsys, "report", "--model", model, "--out", out, "--json", "--quiet")
    assert status == 0
    assert json.loads(text)["summary"] == json.loads(out.read_text())["summary"]


def test_an_audit_says_its_verdict_and_writes_either_kind(capsys, forecasts, model, small_log, tmp_path):
    common = ["--forecasts", forecasts, "--transactions", small_log]
    status, text, errors = run(capsys, "audit", *common, "--model", model, "--out", tmp_path / "audit.json")
    assert status == 0, errors
    document = json.loads((tmp_path / "audit.json").read_text())
    assert f"Verdict: {document['verdict']['word']}." in text
    assert document["drift"]["basis"] == "training"
    assert document["merge"] == "1d"
    status, _, errors = run(capsys, "audit", *common, "--out", tmp_path / "audit.html", "--quiet")
    assert (status, errors) == (0, "")
    assert document["verdict"]["word"].capitalize() in (tmp_path / "audit.html").read_text()


def test_the_lists_that_the_command_makes_are_measured(capsys, forecasts, model, small_log, tmp_path):
    values = tmp_path / "values.parquet"
    common = ["--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--quiet"]
    assert run(capsys, "value", *common, "--horizons", 90, "--out", values)[0] == 0
    lists = ["--values", values, "--contacts", 60, "--control-share", 0.3, "--format", "parquet"]
    assert run(capsys, "lists", *lists, "--out", tmp_path / "lists", "--quiet")[0] == 0
    file = next(path for path in sorted((tmp_path / "lists").glob("*.parquet")) if "retention" in path.name)
    arguments = ["--forecasts", forecasts, "--transactions", small_log, "--lists", file]
    status, text, errors = run(capsys, "audit", *arguments, "--out", tmp_path / "audit.json")
    assert status == 0, errors
    assert "The list 'retention'" in text
    (measured,) = json.loads((tmp_path / "audit.json").read_text())["lists"]
    assert measured["contact"] == 60
    assert measured["adjusted"]["low"] < measured["adjusted"]["effect"] < measured["adjusted"]["high"]


def test_a_segment_that_the_log_lacks_is_refused_in_the_words_of_the_option(capsys, forecasts, small_log, tmp_path):
    common = ["--forecasts", forecasts, "--transactions", small_log, "--out", tmp_path / "a.json", "--quiet"]
    status, _, errors = run(capsys, "audit", *common, "--segment-by", "chanel")
    assert status == 2
    assert "A segment" in errors
    assert "'chanel'" in errors
    assert run(capsys, "audit", *common, "--segment-by", "channel")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "--model", "absent", "--out", "r.html"],
        ["report", "--backtest", "absent", "--out", "r.html"],
        ["report", "--model", "model", "--out", "r.txt"],
        ["report", "--model", "model", "--out", "."],
        ["report", "--model", "model", "--transactions", "absent.csv", "--out", "r.html"],
        ["report", "--model", "model", "--margin", "7", "--out", "r.html"],
        ["report", "--model", "model", "--drivers", "absent.json", "--out", "r.html"],
        ["audit", "--forecasts", "absent", "--transactions", "log", "--out", "a.html"],
        ["audit", "--forecasts", "forecasts.parquet", "--transactions", "log", "--out", "a.pdf"],
        ["audit", "--forecasts", "forecasts.parquet", "--transactions", "log", "--lists", "absent", "--out", "a.json"],
        ["audit", "--forecasts", "forecasts.parquet", "--transactions", "log", "--segment-by", "x", "--out", "a.json"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_one_plain_sentence(capsys, arguments, forecasts, model, small_log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    words = [str(small_log) if word == "log" else word for word in arguments]
    status, _, errors = run(capsys, *words, "--quiet")
    assert status == 2, errors
    assert errors.startswith(f"seqclv {arguments[0]}: ")
    assert len(errors.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
