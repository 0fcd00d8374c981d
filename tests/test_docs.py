"""The pages keep their word: what they mark is run, and what it prints is what they show.

Conventions, for README.md and docs/*.md. A marker is a line of its own, right above a fence:

    <!-- run -->      above ```python: run, in order, in one namespace per page;
                      above ```bash: its `seqclv` commands are run, in the same directory, on small settings.
    <!-- output -->   above ```text: what the python block before it prints, but for spaces at the ends of lines.

A page runs in a directory that holds what a reader brings: `log.parquet`, as `seqclv simulate --out log.parquet` makes
it (two years from 2020-01-01), and `configs/`. Small settings: this log has 100 customers, as has any that a page
simulates; networks train for a few steps; `dataset:cdnow` is its tenth.

Blocks without a marker are not run, but python must compile, `seqclv` commands must parse, and links must lead
somewhere.
"""

import contextlib
import io
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqclv.cli import build_parser, main

ROOT = Path(__file__).parent.parent
PAGES = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if path.is_file()]
CUSTOMERS = 100
SMALL = ["training.max_steps=8", "model.hidden_size=4", "model.query_size=8", "ensemble=1"]

page_of = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


@dataclass(frozen=True)
class Block:
    marker: str  # 'run', 'output' or ''
    language: str
    line: int  # of the opening fence, from 1
    text: str


def blocks(page):
    lines = page.read_text("utf-8").splitlines()
    found, opened = [], None
    for number, line in enumerate(lines, start=1):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        marker = re.fullmatch(r"<!-- (\w+) -->", lines[opened - 2]) if opened > 1 else None
        text = "\n".join(lines[opened : number - 1])
        found.append(Block(marker[1] if marker else "", lines[opened - 1][3:].strip(), opened, text))
        opened = None
    assert opened is None, f"{page.name}:{opened}: the fence is not closed"
    return found


def commands(block):
    """The words of each `seqclv` command; the name may have a path before it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and Path(words[0]).name == "seqclv":
            yield words[1:]


def on_small_settings(words):
    words = ["dataset:cdnow_sample" if word == "dataset:cdnow" else word for word in words]
    if words[0] == "simulate":
        return [*words, "--customers", str(CUSTOMERS)]  # the last one given holds
    if words[0] not in ("train", "backtest"):
        return words
    if "--set" not in words:
        return [*words, "--set", *SMALL]
    end = words.index("--set") + 1
    while end < len(words) and not words[end].startswith("--"):
        end += 1
    return [*words[:end], *SMALL, *words[end:]]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The directory of a reader with a log of their own."""
    from seqclv.data.simulate import SimulationConfig, simulate, write

    write(simulate(SimulationConfig(customers=CUSTOMERS)), tmp_path / "log.parquet")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def run_python(page, block, namespace):
    code = compile("\n" * block.line + block.text, str(page), "exec")  # a traceback names the line of the page
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return printed.getvalue()


def without_ends(text):
    return [line.rstrip() for line in text.rstrip().splitlines()]


def run_bash(page, block):
    for words in commands(block):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = main(on_small_settings(words))
        assert status == 0, f"{page.name}:{block.line}: seqclv {shlex.join(words)}\n{printed.getvalue()}"


@pytest.mark.slow
@page_of
def test_a_page_does_what_it_says(page, desk):
    namespace, printed = {"__name__": "__main__"}, ""
    for block in blocks(page):
        if block.marker == "run" and block.language == "python":
            printed = run_python(page, block, namespace)
        elif block.marker == "run":
            run_bash(page, block)
        elif block.marker == "output":
            assert without_ends(printed) == without_ends(block.text), f"{page.name}:{block.line}: it prints otherwise"


@page_of
def test_what_a_page_does_not_run_is_at_least_well_formed(page):
    for block in blocks(page):
        if block.language == "python":
            compile("\n" * block.line + block.text, str(page), "exec")
        for words in commands(block) if block.language == "bash" else ():
            try:
                build_parser(words[:1]).parse_args(words)
            except SystemExit as stop:
                assert not stop.code, f"{page.name}:{block.line}: seqclv {shlex.join(words)} is refused"  # noqa: PT017


@page_of
def test_every_marker_stands_above_a_block_it_can_mark(page):
    marked = [block for block in blocks(page) if block.marker]
    assert len(re.findall(r"^<!-- (?:run|output) -->", page.read_text("utf-8"), re.MULTILINE)) == len(marked)
    for block in marked:
        languages = {"run": ("python", "bash"), "output": ("text",)}
        assert block.language in languages.get(block.marker, ()), f"{page.name}:{block.line}"


@page_of
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_small_settings_end_the_settings_that_a_page_gives():
    words = ["train", "--set", "ensemble=4", "--quiet"]
    assert on_small_settings(words) == ["train", "--set", "ensemble=4", *SMALL, "--quiet"]
    assert on_small_settings(["train", "--quiet"]) == ["train", "--quiet", "--set", *SMALL]
