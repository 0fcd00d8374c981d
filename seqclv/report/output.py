"""Where a page goes: a self-contained HTML file with its numbers inside, or the numbers alone as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqclv.errors import InputError
from seqclv.files import whole_file

SUFFIXES = (".html", ".json")


def checked_out(out: str | Path) -> Path:
    """The file to write.

    Raises:
        InputError: it is a directory, or is neither HTML nor JSON by its name.
    """
    path = Path(out)
    if path.is_dir():
        raise InputError(f"--out names a file to write, but {path} is a directory: add a file name.")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out names a file that ends in {' or '.join(SUFFIXES)}, but it is '{path}': rename it.")
    return path


def write_document(document: Mapping[str, Any], html: str | None, out: Path) -> None:
    """Write the page, or the document where no page is given; the file appears whole."""
    with whole_file(out) as staging:
        staging.write_text(html if html is not None else json.dumps(document, indent=2, allow_nan=False) + "\n")


def embedded(document: Mapping[str, Any]) -> str:
    """The document as the content of a <script type="application/json">: no tag can begin or end inside it."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
