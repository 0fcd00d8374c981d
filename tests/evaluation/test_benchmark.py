"""The benchmark's page holds the figures of its backtests, and finished backtests are not run again."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from seqclv.comparison import FURTHER_BASELINES, MODEL_NAMES
from seqclv.errors import InputError
from seqclv.evaluation.benchmark import RECORD, STUDIES, Study, known_logs, run_studies
from seqclv.evaluation.benchmark_page import COLUMNS, SECTIONS
from seqclv.evaluation.pieces import load_pieces

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "benchmark.py"
CUTOFFS = ("2020-09-01", "2020-11-01")


def run_script(monkeypatch, *arguments):
    spec = importlib.util.spec_from_file_location("benchmark_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("sys.argv", ["benchmark.py", *map(str, arguments)])
    return module.main()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "out"
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["--quick", "--quiet", "--seeds", 0, 1, "--resamples", 50, "--out", out]
        assert run_script(patch, *arguments) == 0
    return out


def documents(out, cutoff):
    return [json.loads((out / f"quick-60d/seed-{s}/{cutoff}/metrics.json").read_text()) for s in (0, 1)]


def tables(text):
    """By heading above it, the rows of each table as lists of cells, without bold."""
    found = {}
    for title, table in re.findall(r"^(.+):\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        rows = [[cell.strip(" *") for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
        found[title] = [row for i, row in enumerate(rows) if i != 1]
    return found


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_the_figures_are_the_means_of_metrics_json(finished, cutoff):
    page = (finished / "benchmarks.md").read_text("utf-8")
    part = page.split(f"### A tiny simulated base, 60 days from {cutoff}")[1].split("###")[0]
    found, seeds = tables(part), documents(finished, cutoff)
    assert list(seeds[0]["models"]) == list(MODEL_NAMES)
    for section, title in SECTIONS.items():
        columns = [column for column in COLUMNS if column[0] == section]
        assert found[title][0] == ["model", *(column[2] for column in columns)]
        for key, row in zip(MODEL_NAMES, found[title][1:], strict=True):
            assert row[0] == MODEL_NAMES[key]
            for (_, metric, _, form, _), cell in zip(columns, row[1:], strict=True):
                values = [document["models"][key][section][metric] for document in seeds]
                assert cell == ("-" if None in values else format(sum(values) / 2, form)), (key, metric)


def test_every_figure_of_metrics_json_is_a_column(finished):
    sections = documents(finished, CUTOFFS[0])[0]["models"]["seqclv"]
    known = {(section, name) for section, figures in sections.items() for name in figures}
    assert known == {column[:2] for column in COLUMNS}


def test_further_baselines_have_null_where_they_have_no_answer(finished):
    models = documents(finished, CUTOFFS[0])[0]["models"]
    assert set(models["ziln"]["transactions"].values()) == {None}
    assert all(value is not None for value in models["ziln"]["spend"].values())
    assert set(models["weekly_lstm"]["spend"].values()) == {None}
    assert all(value is not None for value in models["weekly_lstm"]["transactions"].values())
    assert all(value is not None for name in FURTHER_BASELINES for value in models[name]["churn"].values())


def test_the_kept_scores_give_the_metrics(finished):
    place = finished / "quick-60d" / "seed-1" / CUTOFFS[0]
    pieces, document = load_pieces(place / "scores.npz"), json.loads((place / "metrics.json").read_text())
    piece = pieces["weekly_lstm"]
    error = np.sqrt(np.mean((piece.scores.transactions - piece.actual.transactions) ** 2))
    assert error == pytest.approx(document["models"]["weekly_lstm"]["transactions"]["rmse"])
    assert pieces["ziln"].scores.transactions is None


def test_the_page_names_seeds_versions_settings_and_plots_but_no_place(finished):
    page = (finished / "benchmarks.md").read_text("utf-8")
    record = json.loads((finished / "quick-60d" / RECORD).read_text())
    assert "Seeds 0, 1." in page and f"seqclv {record['seqclv']}" in page
    assert f"torch {record['libraries']['torch']}" in page
    assert "`model.hidden_size=4`" in page
    assert str(finished) not in page and "/tmp" not in page
    images = re.findall(r"\]\((images/[^)]+)\)", page)
    assert len(images) == 2 and all((finished / image).is_file() for image in images)


def test_a_finished_backtest_is_reused_and_gives_the_same_page(finished, monkeypatch, capsys):
    before = (finished / "benchmarks.md").read_bytes()
    arguments = ["--quick", "--quiet", "--seeds", 0, 1, "--resamples", 50, "--out", finished]
    assert run_script(monkeypatch, *arguments) == 0
    said = capsys.readouterr().err
    assert "reusing the finished backtest of the same inputs, made by seqclv" in said
    assert "fitting the baselines" not in said
    assert (finished / "benchmarks.md").read_bytes() == before


def test_an_unknown_log_is_refused(tmp_path, small_config):
    study = Study(log="online_retail", cutoffs=("2011-06-01",), horizon_days=90.0)
    with pytest.raises(InputError, match="A log of the benchmark is one of"):
        run_studies([study], known_logs(), tmp_path, config=small_config, seeds=[0])


def test_every_study_has_a_log():
    assert {study.log for study in STUDIES} <= set(known_logs(Path("retail.csv")))


def test_online_retail_is_read_as_it_comes(tmp_path):
    from seqclv.data.store import open_log

    text = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    text += "1,A,x,6,2010-12-01 08:26:00,2.5,17850.0,UK\n2,A,x,1,2010-12-02 08:26:00,2.5,,UK\n"
    text += "C3,A,x,-1,2010-12-03 09:00:00,2.5,17850.0,UK\n"
    (tmp_path / "retail.csv").write_text(text)
    store = open_log(known_logs(tmp_path / "retail.csv")["online_retail"].source(tmp_path), tmp_path)
    assert store.read().amount.tolist() == [15.0, -2.5]
    assert store.customers == 1


def test_another_file_than_online_retail_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="columns InvoiceDate, CustomerID, Quantity and UnitPrice"):
        known_logs(tmp_path / "other.csv")["online_retail"].source(tmp_path)
