"""From a subject to a file: compute the document, show it as a page, write it whole."""

from pathlib import Path
from typing import Any

from seqclv.report.document import report_document
from seqclv.report.output import checked_out, write_document
from seqclv.report.subject import Subject


def write_report(subject: Subject, out: Path) -> dict[str, Any]:
    """Write the page (.html) or its numbers alone (.json), and return the numbers."""
    from seqclv.report.page import report_html

    path = checked_out(out)
    document = report_document(subject)
    html = report_html(document) if path.suffix.lower() == ".html" else None
    write_document(document, html, path)
    return document
