"""`python -m pmcell` is the `pmcell` command."""

import sys

from pmcell.cli import main

sys.exit(main())
