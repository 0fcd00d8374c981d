#!/usr/bin/env python3
"""Score a customer base, as `seqclv score` does: the entry point for a scheduler."""

import sys

from seqclv.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
