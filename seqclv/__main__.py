"""`python -m seqclv`."""

import sys

from seqclv.cli import main

if __name__ == "__main__":
    sys.exit(main())
