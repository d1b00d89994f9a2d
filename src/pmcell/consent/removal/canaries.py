"""Canaries: a made-up person, planted before each scan in every place that a scan knows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from pmcell.consent.removal.canaries_bytes import BYTES
from pmcell.consent.removal.canaries_cells import CELLS
from pmcell.consent.removal.canaries_genes import SOME_GENES
from pmcell.consent.removal.canaries_parts import PARTS
from pmcell.consent.removal.canaries_tables import TABLES
from pmcell.consent.removal.canary import COUNTS, GENES, NAME, Plant
from pmcell.consent.removal.gene_sets import GeneSets
from pmcell.consent.removal.needles import donor_needles, print_of
from pmcell.consent.removal.scan import scan
from pmcell.errors import DataError

PLANTS: dict[str, Plant] = {**BYTES, **PARTS, **TABLES, **CELLS, **SOME_GENES}
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
    expressed = np.flatnonzero(COUNTS)
    n_expressed = expressed.size
    missed = []
    with tempfile.TemporaryDirectory(prefix="pmcell-canaries-", dir=folder) as place:
        for number, (name, plant) in enumerate(PLANTS.items()):
            home = Path(place, str(number))
            home.mkdir()
            plant(home)
            is_cell = name in CELLS or name in SOME_GENES
            own = [] if is_cell else [(NAME, "donor")]
            cells, genes = ([mark], None) if name in CELLS else ([], None)
            if name in SOME_GENES:
                genes = GeneSets(GENES, np.array([0, n_expressed]), expressed)
            needles = donor_needles(own, (), cells, (), genes)
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
