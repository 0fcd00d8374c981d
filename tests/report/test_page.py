"""The page stands alone, is sound HTML, survives hostile names, and can be read by the colour-blind."""

import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.api import make_report
from seqclv.config import DataConfig
from seqclv.errors import InputError
from seqclv.report.palette import CHART_COLOURS, DARK, LIGHT

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, the text outside scripts, and whether every tag is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.wrong = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def model_only(small_backtest, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "model.html"
    return out, make_report(out, model=small_backtest / "2021-07-01" / "bundle")


@pytest.fixture(scope="module")
def backtest_only(small_backtest, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "backtest.html"
    return out, make_report(out, backtest=small_backtest)


ALL = pytest.mark.parametrize("which", ["model_report", "backtest_report", "model_only", "backtest_only"])


@ALL
def test_a_page_stands_alone_and_is_small(which, request):
    text = request.getfixturevalue(which)[0].read_text()
    page = Page(text)
    assert len(text) < 1_000_000
    links = [a[name] for _, a in page.tags for name in ("src", "href", "xlink:href") if a.get(name)]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []


@ALL
def test_a_page_is_sound_html(which, request):
    page = Page(request.getfixturevalue(which)[0].read_text())
    assert page.wrong == []
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    anchors = {attrs["href"][1:] for attrs in page.all("a")}
    assert anchors <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert len(svg["aria-label"]) > 20


@ALL
def test_the_numbers_stand_inside_the_page(which, request):
    out, document = request.getfixturevalue(which)
    text = out.read_text()
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found[1]) == json.loads(json.dumps(document))


def test_numbers_alone_are_written_where_the_name_ends_in_json(small_backtest, model_only, tmp_path):
    make_report(tmp_path / "report.json", model=small_backtest / "2021-07-01" / "bundle")
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(model_only[1]))


def test_what_is_not_known_has_no_section(model_only, backtest_only, backtest_report):
    sections = lambda which: {a["id"] for a in Page(which[0].read_text()).all("section")}  # noqa: E731
    assert sections(model_only) == {"sure", "data", "words"}
    assert sections(backtest_only) == {"monday", "best", "losing", "sure", "data", "words"}
    assert sections(backtest_report) == {
        "monday",
        "best",
        "losing",
        "segments",
        "sure",
        "cohorts",
        "drivers",
        "data",
        "words",
    }
    assert model_only[1]["money"] is None
    assert len(model_only[1]["summary"]) == 3


def test_the_summary_counts_our_own_networks_among_no_simpler_methods(backtest_report):
    sentence = backtest_report[1]["summary"][3]
    assert len(backtest_report[1]["comparison"]["rows"]) == 6
    assert "beside 4 simpler methods and the untrained prior" in sentence


def test_a_stage_of_the_best_customers_stands_beside_the_gap_it_comes_from(model_report):
    best = model_report[0].read_text().split('id="best"')[1].split("</thead>")[0]
    assert best.index("Days since last") < best.index("Usual gap, days") < best.index("Stage")


def test_a_reader_finds_the_four_answers(model_report):
    out, document = model_report
    text = " ".join(" ".join(Page(out.read_text()).text).split())
    for question in (
        "Who are my best customers?",
        "Whom do I lose?",
        "How sure is this?",
        "What should I do on Monday?",
    ):
        assert question in text
    assert len(document["summary"]) == 5
    for name in (document["best"][0], document["losing"]["rows"][0]):
        assert name["customer_id"] in text
    assert "When not to trust it" in text
    assert document["warnings"]


def test_a_network_and_a_log_give_drivers(model_report, backtest_report):
    for out, document in (model_report, backtest_report):
        assert sum(driver["share"] for driver in document["drivers"]) == pytest.approx(1)
        assert '<section id="drivers">' in out.read_text()
        assert f'<th scope="row">{document["drivers"][0]["name"]}</th>' in out.read_text()


def test_drivers_appear_where_they_are_given(small_backtest, tmp_path):
    drivers = ({"name": "days since the last purchase", "share": 0.4, "words": "longer ago: <b>less</b>"},)
    out = tmp_path / "report.html"
    make_report(out, model=small_backtest / "2021-07-01" / "bundle", drivers=drivers)
    assert "What moves the forecasts" in out.read_text()
    assert "&lt;b&gt;less&lt;/b&gt;" in out.read_text()
    with pytest.raises(InputError, match="name, share and words"):
        make_report(out, model=small_backtest / "2021-07-01" / "bundle", drivers=({"name": "x"},))


def test_a_hostile_name_stays_text(small_backtest, small_base, tmp_path):
    evil = '</script><script>alert("x")</script>'
    frame = small_base.to_pandas()
    biggest = frame.groupby("customer_id")["amount"].sum().idxmax()
    frame["customer_id"] = frame["customer_id"].replace(biggest, evil)
    frame.to_parquet(tmp_path / "log.parquet")
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), categorical=("category",))
    out = tmp_path / "report.html"
    document = make_report(out, model=small_backtest / "2021-07-01" / "bundle", data=data, cutoff="2022-01-01")
    text = out.read_text()
    assert evil in [row["customer_id"] for row in document["best"]]
    assert evil not in text
    assert text.count("<script") == 1
    found = re.search(r'id="report-data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found[1])["best"] == json.loads(json.dumps(document["best"]))


def test_a_base_that_buys_nothing_more_has_a_report(small_backtest, small_base, tmp_path):
    frame = small_base.to_pandas()
    frame = frame[frame["timestamp"] < "2021-08-01"]
    end = pd.DataFrame({"customer_id": ["z"], "timestamp": [pd.Timestamp("2021-12-31")], "amount": [1.0]})
    pd.concat([frame[frame["customer_id"].isin(frame["customer_id"].unique()[:3])], end]).to_parquet(
        tmp_path / "log.parquet"
    )
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), categorical=("category",))
    out = tmp_path / "report.html"
    document = make_report(out, model=small_backtest / "2021-07-01" / "bundle", data=data)
    assert document["money"]["customers"] == 4
    assert Page(out.read_text()).wrong == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "both or none"),
        ({"backtest": "absent"}, "holds no finished backtest"),
        ({"model": "absent"}, "bundle.json"),
    ],
)
def test_what_cannot_be_reported_is_refused_and_leaves_nothing(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        make_report(tmp_path / "report.html", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_another_log_than_the_backtests_is_refused(small_backtest, small_base, tmp_path):
    table = small_base.slice(0, len(small_base) // 2)
    pq.write_table(table, tmp_path / "half.parquet")
    data = DataConfig(transactions=(str(tmp_path / "half.parquet"),), categorical=("category",))
    with pytest.raises(InputError, match="the log it was made from"):
        make_report(tmp_path / "report.html", backtest=small_backtest, data=data)


def linear(colour):
    """[3] linear sRGB of a hexadecimal colour."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2's contrast ratio."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_and_line_stands_out_from_the_page(theme):
    for text in ("ink", "grey", "blue", "orange"):
        for ground in ("paper", "panel"):
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)


# Machado, Oliveira and Fernandes (2009): what a reader with full protanopia, deuteranopia or tritanopia sees.
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(linear):
    """CIE L*a*b* of linear sRGB, white D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_of_lines_differ_for_the_colour_blind(kind):
    seen = {name: lab(np.array(BLINDNESS[kind]) @ linear(CHART_COLOURS[name])) for name in ("ink", "blue", "orange")}
    seen["pale"] = lab(np.array(BLINDNESS[kind]) @ linear(CHART_COLOURS["pale"]))
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 20, (one, other)
