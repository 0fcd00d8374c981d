"""In a real browser: no errors, nothing missing, nothing wider than a phone, and paper that can be printed."""

import shutil
import subprocess

import numpy as np
import pytest
from matplotlib import image

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed on this machine"),
]

COMPLAINTS = ("CONSOLE", "Uncaught", "SyntaxError", "ERR_")
MEASURE = """<!DOCTYPE html><html><body><p id="result">not loaded</p><script>
const frame = document.createElement("iframe");
frame.style.width = "390px"; frame.style.height = "844px";
frame.onload = () => {
  const page = frame.contentDocument;
  const wide = [...page.querySelectorAll("body *")].filter(e => !e.closest(".scroll") && !e.closest("svg")
    && !e.classList.contains("visually-hidden") && e.getBoundingClientRect().right > 391);
  document.getElementById("result").textContent =
    `width ${page.documentElement.scrollWidth}; beyond ${wide.length}; ` +
    `sections ${page.querySelectorAll("section").length}`;
};
frame.srcdoc = %s;
document.body.append(frame);
</script></body></html>"""


def browse(directory, page, *options):
    """Run the browser on a page and return what it prints and complains about."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    profile = f"--user-data-dir={directory / 'profile'}"
    done = subprocess.run(
        [*command, profile, *options, page.as_uri()], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if any(word in line for word in COMPLAINTS)]


@pytest.fixture(scope="module")
def audit_page(small_backtest, small_data, tmp_path_factory):
    from seqclv.evaluation.audit import AuditPlan, audit
    from seqclv.report.audit_page import write_audit

    out = tmp_path_factory.mktemp("audit") / "audit.html"
    plan = AuditPlan(forecasts=small_backtest / "2021-07-01" / "forecasts.parquet", segment_by=("category",))
    document = audit(plan, small_data)
    write_audit(document, out)
    return out, document


@pytest.mark.parametrize("which", ["model_report", "audit_page"])
def test_a_page_renders_without_errors_and_is_not_blank(which, request, tmp_path):
    page, _ = request.getfixturevalue(which)
    shot = tmp_path / "shot.png"
    _, complaints = browse(tmp_path, page, "--window-size=1200,1600", f"--screenshot={shot}")
    assert complaints == []
    pixels = image.imread(shot)[..., :3]
    assert pixels.shape[:2] == (1600, 1200)
    dark = (pixels.mean(axis=-1) < 0.5).mean()
    assert 0.005 < dark < 0.5
    for third in np.array_split(pixels, 3):
        assert third.std() > 0.02  # no part of the first screens is empty


def test_every_section_and_chart_is_in_the_browsers_document(model_report, tmp_path):
    page, _ = model_report
    dom, complaints = browse(tmp_path, page, "--dump-dom")
    assert complaints == []
    for part in ("monday", "best", "losing", "segments", "sure", "cohorts", "data", "words"):
        assert f'<section id="{part}">' in dom
    assert dom.count("<svg") == 6


@pytest.mark.parametrize("which", ["model_report", "audit_page"])
def test_nothing_is_wider_than_a_phone(which, request, tmp_path):
    import json

    page, _ = request.getfixturevalue(which)
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(MEASURE % json.dumps(page.read_text()).replace("</", "<\\/"))
    dom, _ = browse(tmp_path, wrapper, "--virtual-time-budget=3000", "--dump-dom")
    assert "width 390; beyond 0; sections" in dom, dom[:300]


def test_it_prints_on_paper(model_report, tmp_path):
    page, _ = model_report
    browse(tmp_path, page, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 4 <= content.count(b"/Type /Page\n") + content.count(b"/Type/Page/") <= 14
