#!/usr/bin/env python3
"""Bring the README's table and picture up to date with the latest demo: run after scripts/demo.sh."""

import argparse
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from seqclv.bundle import load_bundle
from seqclv.comparison import markdown_table

ROOT = Path(__file__).parent.parent
PICTURES = ("cumulative-purchases.png", "deciles-spend.png")
BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"


def main() -> int:
    """Rewrite what stands between the markers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    training = ROOT / "demo" / "training"
    if not (training / "metrics.json").is_file():
        parser.error(f"the demo must have run, but '{training}' has no metrics.json: run scripts/demo.sh first.")
    metrics = json.loads((training / "metrics.json").read_text())
    config = load_bundle(training / "bundle").config
    versions = ", ".join(f"{name} {version(name)}" for name in ("seqclv", "torch", "scikit-learn"))
    made = f"Made by `scripts/demo.sh` (seed {config.seed}, {config.ensemble} networks averaged; {versions})."
    readme = ROOT / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    tail = rest.split(END)[1]
    readme.write_text(f"{head}{BEGIN}\n{markdown_table(metrics)}\n\n{made}\n{END}{tail}")
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        shutil.copy(training / "plots" / name, images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
