"""`python -m pmcell` is the `pmcell` command."""

import sys

from pmcell.cli import main

if __name__ == "__main__":
    sys.exit(main())
