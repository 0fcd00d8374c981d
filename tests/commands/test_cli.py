"""The commands as a user runs them: results, exit statuses, one plain sentence on bad input, nothing half-written."""

import errno
import gzip
import json
import os

import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import COMMANDS, main
from seqclv.scoring import fit_classical

TINY = ["--set", "training.max_steps=8", "model.hidden_size=4", "model.query_size=8", "ensemble=1"]


def run(capsys, *arguments):
    """Exit status, standard output, standard error."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def model(small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert "--json" in out


@pytest.mark.parametrize("word", ["--cutof", "--chanel"])  # the first one is short for --cutoff
def test_an_option_that_a_command_has_not_is_refused_with_the_commands_usage(capsys, word):
    common = ["--model", "prior", "--transactions", "log.parquet", "--cutoff", "2021-10-01", "--out", "f.parquet"]
    status, _, errors = run(capsys, "score", *common, word, "2021-09-01")
    assert status == 2
    assert errors.startswith("usage: seqclv score ")
    assert f"unrecognized arguments: {word} 2021-09-01" in errors


def test_a_log_is_simulated_prepared_and_scored(capsys, model, tmp_path):
    log, store, out = tmp_path / "log.parquet", tmp_path / "store", tmp_path / "forecasts.parquet"
    common = ["--customers", 50, "--start", "2021-01-01", "--days", 300, "--mean-events", 5, "--attributes"]
    assert run(capsys, "simulate", "--out", log, *common)[0] == 0
    status, text, _ = run(capsys, "prepare", "--transactions", log, "--categorical", "category", "--out", store)
    assert status == 0
    assert "customers" in text
    status, text, _ = run(
        capsys,
        "score",
        "--model",
        model,
        "--transactions",
        store,
        "--cutoff",
        "2021-10-01",
        "--horizons",
        30,
        90,
        "--out",
        out,
    )
    assert status == 0
    assert "best customers, 90 days" in text
    assert "learned from events before 2021-07-01 only" in text
    assert pq.read_table(out).to_pandas()["horizon_days"].unique().tolist() == [30, 90]


def test_json_goes_to_standard_output_alone(capsys, model, small_log, tmp_path):
    out = tmp_path / "f.parquet"
    arguments = ["--transactions", small_log, "--cutoff", "2021-10-01", "--out", out, "--json"]
    status, text, errors = run(capsys, "score", "--model", model, *arguments)
    summary = json.loads(text)
    assert status == 0
    assert summary["rows"] == pq.read_metadata(out).num_rows
    assert "reading the log" in errors


def test_quiet_says_nothing_on_standard_error(capsys, model, small_log, tmp_path):
    arguments = ["--transactions", small_log, "--cutoff", "2021-10-01", "--out", tmp_path / "f.parquet", "--quiet"]
    assert run(capsys, "score", "--model", model, *arguments)[2] == ""


def test_whoever_scores_a_raw_log_hears_of_rows_set_aside(capsys, model, small_base, tmp_path):
    frame = small_base.to_pandas()
    frame.loc[:9, "amount"] = None
    frame.to_parquet(tmp_path / "log.parquet")
    words = ["--model", model, "--transactions", tmp_path / "log.parquet", "--cutoff", "2021-07-01"]
    assert main(["score", *map(str, words), "--out", str(tmp_path / "forecasts.parquet")]) == 0
    assert f"10 of {len(frame):,} rows were set aside: 10 with no amount" in capsys.readouterr().err


def test_what_the_system_refuses_is_one_sentence(capsys, monkeypatch, model, small_log, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "forecasts.parquet")

    monkeypatch.setattr("seqclv.scoring.score_in", full)
    words = ["--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--quiet"]
    assert main(["score", *map(str, words), "--out", str(tmp_path / "forecasts.parquet")]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "No space left on device" in told


def test_other_column_names_separators_and_gzip_are_read(capsys, model, small_base, small_log, tmp_path):
    frame = small_base.to_pandas().rename(columns={"customer_id": "Kunde", "timestamp": "Zeit", "amount": "Betrag"})
    half = len(frame) // 2
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        frame[:half].to_csv(file, index=False)
    frame[half:].to_csv(tmp_path / "b.csv", index=False)
    names = ["--customer-id", "Kunde", "--timestamp", "Zeit", "--amount", "Betrag"]
    files = [tmp_path / "a.csv.gz", tmp_path / "b.csv"]
    common = ["--model", model, "--cutoff", "2021-10-01", "--quiet"]
    assert run(capsys, "score", *common, "--transactions", *files, *names, "--out", tmp_path / "1.parquet")[0] == 0
    assert run(capsys, "score", *common, "--transactions", small_log, "--out", tmp_path / "2.parquet")[0] == 0
    one, two = (pq.read_table(tmp_path / f"{i}.parquet").to_pandas() for i in (1, 2))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("name", ["00012", "9007199254740993", "1e5", " x ", "Ünïcode 🙂", "a,b", "null"])
def test_ids_are_text_byte_for_byte(capsys, model, name, tmp_path):
    frame = pd.DataFrame(
        {
            "customer_id": [name, "other"],
            "timestamp": ["2021-05-01", "2021-06-01"],
            "amount": [5, 6],
            "category": ["x", "y"],
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    out = tmp_path / "f.parquet"
    arguments = ["--model", model, "--transactions", tmp_path / "log.csv", "--cutoff", "2021-10-01", "--out", out]
    assert run(capsys, "score", *arguments)[0] == 0
    assert set(pq.read_table(out)["customer_id"].to_pylist()) == {name, "other"}


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "2021-01-05", 5.0)],
        [(f"c{i}", "2021-01-05", 5.0) for i in range(40)],
        [("a", f"2021-{month:02}-05", 5.0) for month in range(1, 12)],
    ],
    ids=["one customer, one purchase", "one-time buyers only", "one customer only"],
)
def test_the_smallest_logs_are_trained_and_scored(capsys, rows, tmp_path):
    log = tmp_path / "log.csv"
    extra = [("b", "2021-12-31", 1.0)]
    pd.DataFrame(rows + extra, columns=["customer_id", "timestamp", "amount"]).to_csv(log, index=False)
    arguments = ["--transactions", log, "--cutoff", "2021-10-01", "--horizon", 90, "--out", tmp_path / "out", "--quiet"]
    status, _, errors = run(capsys, "backtest", *arguments, *TINY)
    assert (status, errors) == (0, "")
    frame = pq.read_table(tmp_path / "out" / "2021-10-01" / "forecasts.parquet").to_pandas()
    assert frame.drop(columns="next_purchase_days_q50").notna().all().all()
    assert len(frame) == len({row[0] for row in rows})


def bad_logs(directory, good):
    """Logs that must be refused, by what is wrong with them."""
    frame = good.to_pandas()
    frame.drop(columns="amount").to_csv(directory / "no amount.csv", index=False)
    frame.assign(timestamp="yesterday").to_csv(directory / "unparsable dates.csv", index=False)
    frame.assign(amount=float("nan")).to_csv(directory / "NaN amounts.csv", index=False)
    frame.assign(amount="inf").to_csv(directory / "infinite amounts.csv", index=False)
    (directory / "empty.csv").write_text("")
    frame[:0].to_csv(directory / "no rows.csv", index=False)
    (directory / "damaged.parquet").write_bytes(b"PAR1 and then nothing")
    return sorted(directory.iterdir())


def assert_refused(status, errors, command):
    assert status == 2, errors
    lines = errors.strip().splitlines()
    sentence = lines[-1]
    assert sentence.startswith(f"seqclv {command}: ")
    assert "Traceback" not in errors
    assert len([line for line in lines if not line.startswith("·")]) == 1, errors


def test_every_bad_log_is_one_plain_sentence_and_leaves_nothing(capsys, model, small_base, tmp_path):
    logs, target = tmp_path / "logs", tmp_path / "target"
    logs.mkdir()
    target.mkdir()
    files = [*bad_logs(logs, small_base), logs / "missing.parquet"]
    assert len(files) == 8
    for log in files:
        for command, arguments in {
            "score": ["--model", model, "--cutoff", "2021-07-01", "--out", target / "f.parquet"],
            "prepare": ["--out", target / "store"],
            "backtest": ["--cutoff", "2021-07-01", "--horizon", 30, "--out", target / "bt"],
            "train": ["--tracking-uri", f"sqlite:///{target}/mlflow.db"],
        }.items():
            status, _, errors = run(capsys, command, "--transactions", log, *arguments)
            assert_refused(status, errors, command)
            assert not list(target.iterdir()), (log.name, command)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cutoff", "1999-01-01"],
        ["--cutoff", "not a date"],
        ["--cutoff", "2021-07-01", "--horizons", "0"],
        ["--cutoff", "2021-07-01", "--horizons", "-5"],
        ["--cutoff", "2021-07-01", "--horizons", "nan"],
    ],
)
def test_a_bad_cutoff_or_horizon_is_refused_and_leaves_nothing(capsys, arguments, model, small_log, tmp_path):
    out = tmp_path / "target" / "f.parquet"
    status, _, errors = run(
        capsys, "score", "--model", model, "--transactions", small_log, "--out", out, "--quiet", *arguments
    )
    assert_refused(status, errors, "score")
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_a_model_that_is_none_is_refused(capsys, small_log, tmp_path):
    (tmp_path / "empty").mkdir()
    uri = f"sqlite:///{tmp_path}/none.db"
    for model in (tmp_path / "absent", tmp_path / "empty", "models:/nobody@champion", "runs:/0/bundle", "models:/"):
        arguments = ["--model", model, "--transactions", small_log, "--cutoff", "2021-07-01", "--tracking-uri", uri]
        status, _, errors = run(capsys, "score", *arguments, "--out", tmp_path / "f.parquet")
        assert_refused(status, errors, "score")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_damaged_model_is_refused(capsys, model, small_log, tmp_path):
    (model / "weights.safetensors").write_bytes(b"damaged")
    arguments = [
        "--model",
        model,
        "--transactions",
        small_log,
        "--cutoff",
        "2021-07-01",
        "--out",
        tmp_path / "f.parquet",
    ]
    status, _, errors = run(capsys, "score", *arguments)
    assert_refused(status, errors, "score")


def test_evaluating_before_the_training_cutoff_is_refused(capsys, model, small_log, tmp_path):
    arguments = ["--model", model, "--transactions", small_log, "--cutoff", "2021-01-01", "--horizon", 30]
    status, _, errors = run(capsys, "evaluate", *arguments, "--out", tmp_path / "out")
    assert_refused(status, errors, "evaluate")
    assert not (tmp_path / "out").exists()


def test_an_evaluation_leaves_metrics_forecasts_and_plots(capsys, model, small_log, tmp_path):
    arguments = [
        "--model",
        model,
        "--transactions",
        small_log,
        "--cutoff",
        "2021-09-01",
        "--horizon",
        60,
        "--json",
        "--quiet",
    ]
    status, out, errors = run(capsys, "evaluate", *arguments, "--out", tmp_path / "out")
    assert status == 0, errors
    assert json.loads(out)["models"]["seqclv"]["churn"]["log_loss"] > 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"metrics.json", "forecasts.parquet", "plots"}
    assert {path.suffix for path in (tmp_path / "out" / "plots").iterdir()} == {".png"}


@pytest.mark.parametrize(
    ("kind", "key", "line"),
    [
        ("pareto_nbd", "pareto_nbd", "Pareto/NBD + Gamma-Gamma, fitted anew"),
        ("prior", "seqclv_prior", "seqclv (prior, untrained)"),
    ],
)
def test_an_evaluation_calls_a_model_by_what_it_is(capsys, kind, key, line, small_log, tmp_path):
    if kind == "prior":
        model = kind
    else:
        model = tmp_path / "model"
        fit_classical(kind, str(small_log), "2021-06-01").save(model)
    arguments = ["--model", model, "--transactions", small_log, "--cutoff", "2021-09-01", "--horizon", 60, "--quiet"]
    status, text, errors = run(capsys, "evaluate", *arguments, "--out", tmp_path / "out")
    assert status == 0, errors
    models = list(json.loads((tmp_path / "out" / "metrics.json").read_text())["models"])
    assert models[0] == key
    assert "seqclv" not in models
    assert models.count("seqclv_prior") == 1
    assert line in text
    assert (tmp_path / "out" / "forecasts.parquet").is_file()


@pytest.mark.parametrize("setting", ["modle.layers=1", "model.layers=none", "model.encoder=lstm", "ensemble=0", "seed"])
def test_a_misspelt_setting_is_refused(capsys, setting, small_log, tmp_path):
    arguments = ["--transactions", small_log, "--cutoff", "2021-07-01", "--horizon", 30, "--out", tmp_path / "o"]
    status, _, errors = run(capsys, "backtest", *arguments, "--set", setting)
    assert_refused(status, errors, "backtest")


def test_a_further_baseline_is_compared_on_request(capsys, small_log, tmp_path):
    arguments = ["--transactions", small_log, "--cutoff", "2021-07-01", "--horizon", 60, "--out", tmp_path / "out"]
    asked = ["--further-baselines", "ziln", "--keep-scores", "--baseline-forecasts", "--quiet"]
    status, text, _ = run(capsys, "backtest", *arguments, *TINY, *asked)
    assert status == 0
    assert "zero-inflated lognormal network" in text
    assert (tmp_path / "out" / "2021-07-01" / "scores.npz").is_file()
    forecasts = pq.read_table(tmp_path / "out" / "2021-07-01" / "forecasts-ziln.parquet")
    assert forecasts["expected_transactions"].null_count == len(forecasts)
    assert forecasts["expected_spend"].null_count == 0
    assert run(capsys, "backtest", *arguments, "--further-baselines", "prophet")[0] == 2
