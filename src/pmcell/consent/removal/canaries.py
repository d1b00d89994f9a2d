"""Canaries: a made-up person, planted before each scan in every place that a scan knows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pmcell.consent.removal.canaries_bytes import BYTES
from pmcell.consent.removal.canaries_cells import CELLS
from pmcell.consent.removal.canaries_tables import TABLES
from pmcell.consent.removal.canary import COUNTS, NAME, Plant
from pmcell.consent.removal.needles import donor_needles, print_of
from pmcell.consent.removal.scan import scan
from pmcell.errors import DataError

PLANTS: dict[str, Plant] = {**BYTES, **TABLES, **CELLS}
"""How each canary is planted, by the place that it stands for."""


def self_test(folder: Path | None = None) -> int:
    """Plant every canary below a temporary folder and scan it; the number that were found.

    Raises
    ------
    DataError
        When one of them was missed: no scan then says anything.
    """
    mark = print_of(COUNTS)
    assert mark is not None
    missed = []
    with tempfile.TemporaryDirectory(prefix="pmcell-canaries-", dir=folder) as place:
        for number, (name, plant) in enumerate(PLANTS.items()):
            home = Path(place, str(number))
            home.mkdir()
            plant(home)
            is_cell = name in CELLS
            own, cells = ([], [mark]) if is_cell else ([(NAME, "donor")], [])
            needles = donor_needles(own, (), cells, ())
            report = scan([home], needles, base=home)
            if not report.hits:
                missed.append(name)
    if missed:
        raise DataError(
            f"a removal scan must find every canary; it missed {', '.join(missed)}. Report this: "
            "until it is mended no scan of this installation proves anything.",
            reason="scan_self_test",
        )
    return len(PLANTS)
