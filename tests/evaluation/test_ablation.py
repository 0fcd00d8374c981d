"""The ablation's rows are about the same customers, and its page holds the figures of finished rows alone."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from seqclv.config import Config
from seqclv.configfile import config_from
from seqclv.data.store import open_log
from seqclv.data.windows import before, instant, merged
from seqclv.errors import InputError
from seqclv.evaluation.ablation import METRICS, Ablation, run_ablation
from seqclv.evaluation.ablation_logs import DEFAULT, LOGS, QUICK, complete_journey, online_retail
from seqclv.evaluation.ablation_page import COLUMNS, finished_rows
from seqclv.evaluation.bootstrap import auc_difference, paired_differences
from seqclv.evaluation.metrics import auc

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "ablation.py"
WINDOW = "2020-09-01"
RETAIL = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,A,x,6,2010-12-01 08:26:00,2.0,17850.0,Spain
1,B,x,2,2010-12-01 08:26:00,4.0,17850.0,Spain
C2,A,x,-5,2010-12-01 12:00:00,4.0,17850.0,Spain
3,A,x,1,2010-12-02 08:26:00,2.5,,France
4,A,x,1,2010-12-09 08:26:00,2.5,17850.0,France
"""


def run_script(monkeypatch, out, *arguments):
    spec = importlib.util.spec_from_file_location("ablation_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = ["--quick", "--quiet", "--cutoffs", WINDOW, "--resamples", 50, "--out", out]
    monkeypatch.setattr("sys.argv", ["ablation.py", *map(str, [*options, *arguments])])
    return module.main()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation") / "out"
    with pytest.MonkeyPatch.context() as patch:
        assert run_script(patch, out, "--seeds", 0, 1) == 0
    return out


def document(out, row, seed):
    return json.loads((out / QUICK.name / WINDOW / f"seed-{seed}" / row / METRICS).read_text())


def table_below(page, heading):
    lines = page.split(heading)[1].lstrip("\n").split("\n\n")[0].splitlines()
    return {cells[0]: cells[1:] for cells in ([c.strip(" *") for c in line.strip("|").split("|")] for line in lines)}


def test_the_figures_are_the_means_of_the_seeds(finished):
    found = table_below((finished / "ablation.md").read_text("utf-8"), "Training started from scratch.")
    for row in QUICK.rows:
        documents = [document(finished, row.name, seed) for seed in (0, 1)]
        for (section, metric, _, form, _), cell in zip(COLUMNS, found[row.title], strict=True):
            assert cell == format(np.mean([d["metrics"][section][metric] for d in documents]), form)


def test_every_row_but_the_default_has_paired_differences(finished):
    found = table_below((finished / "ablation.md").read_text("utf-8"), "Beside the default model:")
    default, reviews, _ = finished_rows(QUICK, WINDOW, finished)
    assert [row.title for row in QUICK.rows[1:]] == list(found)[2:]
    losses = [
        np.mean([(p.scores.spend - p.actual.spend) ** 2 for p in row.pieces.values()], axis=0)
        for row in (reviews, default)
    ]
    expected = paired_differences({"l": losses[0]}, {"d": {"l": losses[1]}})["d"]["l"].relative
    assert found["+ reviews"][3].startswith(f"{expected:+.1%} (")


def test_rows_differ_in_what_they_know_and_in_nothing_else(finished):
    documents = [document(finished, row.name, 0) for row in QUICK.rows]
    assert len({json.dumps([d["customers"], d["settings"], d["libraries"]]) for d in documents}) == 1
    default, reviews, both = finished_rows(QUICK, WINDOW, finished)
    for row in (reviews, both):
        assert np.array_equal(row.pieces[0].actual.spend, default.pieces[0].actual.spend)
        assert not np.array_equal(row.pieces[0].scores.churn, default.pieces[0].scores.churn)


def test_finished_rows_are_reused_and_give_the_same_page(finished, monkeypatch, capsys):
    before = (finished / "ablation.md").read_bytes()
    assert run_script(monkeypatch, finished, "--seeds", 0, 1) == 0
    said = capsys.readouterr().err
    assert said.count("done before") == 6 and "training" not in said
    assert (finished / "ablation.md").read_bytes() == before
    assert run_script(monkeypatch, finished, "--page-only") == 0
    assert (finished / "ablation.md").read_bytes() == before


def test_the_page_names_versions_and_settings_but_no_place(finished):
    page = (finished / "ablation.md").read_text("utf-8")
    assert f"torch {document(finished, DEFAULT, 0)['libraries']['torch']}" in page
    assert "`model.hidden_size=4`" in page
    assert str(finished) not in page and "/tmp" not in page
    assert re.search(r"Seeds of the default: 0, 1\.", page)


def test_an_unknown_row_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="rows of these logs are default, reviews, all"):
        run_ablation([QUICK], Ablation(rows=("weather",)), tmp_path, config=Config())
    assert not any(tmp_path.iterdir())


def test_online_retail_needs_its_file(tmp_path):
    with pytest.raises(InputError, match="give --online-retail"):
        run_ablation([LOGS["online_retail"]], Ablation(), tmp_path, config=Config())


def test_an_invoice_tells_its_products_units_and_cancellations(tmp_path):
    (tmp_path / "retail.csv").write_text(RETAIL)
    LOGS["online_retail"].prepare(tmp_path, tmp_path / "retail.csv")
    events = open_log(online_retail(tmp_path, baskets=True, country=True), tmp_path / "work").read()
    days = merged(events, "1d")
    assert days.amount.tolist() == [0.0, 2.5]
    assert days.numeric["products"].tolist() == [2.0, 1.0]
    assert days.numeric["quantity"].tolist() == [8.0, 1.0]
    assert days.numeric["cancelled_share"].tolist() == [0.5, 0.0]
    assert days.static_categorical["country"].values == ("Spain",)
    noon = merged(before(events, instant("2010-12-01T12:00:00")), "1d")
    assert (noon.amount.tolist(), noon.numeric["cancelled_share"].tolist()) == ([20.0], [0.0])


def test_every_log_begins_with_the_default_that_knows_nothing_further(tmp_path):
    for log in (*LOGS.values(), QUICK):
        assert log.rows[0].name == DEFAULT
        data = log.rows[0].data(tmp_path)
        assert data.attributes == ((), ()) and data.customers is None


def test_the_documented_configuration_is_that_of_the_row_with_everything():
    text = (SCRIPT.parent.parent / "docs" / "data.md").read_text("utf-8")
    shown = text.split("## A public log with all of this")[1].split("```yaml\n")[1].split("```")[0]
    everything = complete_journey(baskets=True, events=True, households=True)
    assert config_from(yaml.safe_load(shown)).data == everything


def test_the_difference_of_aucs_is_that_of_the_metric():
    random = np.random.default_rng(1)
    happened = random.random(400) < 0.4
    ours = [np.round(happened + random.normal(size=400), 1) for _ in range(2)]  # with ties
    theirs = [random.normal(size=400) for _ in range(2)]
    difference, low, high = auc_difference(ours, theirs, happened, resamples=200)
    expected = np.mean([auc(o, happened) - auc(t, happened) for o, t in zip(ours, theirs, strict=True)])
    assert difference == pytest.approx(expected)
    assert 0 < low < difference < high
    assert auc_difference(ours, ours, happened, resamples=20) == (0.0, 0.0, 0.0)
