#!/usr/bin/env python3
"""Train a model, as `seqclv train` does: the entry point for a scheduler or a GPU machine."""

import sys

from seqclv.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
