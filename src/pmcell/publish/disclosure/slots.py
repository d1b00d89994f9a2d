"""Slots of the published AnnData files that withheld donors shape.

Principal components are a linear map of a cell's counts: whoever has the counts
and the coordinates of enough open cells can solve for the loadings, and these
tell who was among the cells that they were fitted on. Measured on Liu et al.
(doi:10.1016/j.cell.2021.02.018): of the 15 donors of a withheld batch random
halves entered the components; who knows a donor's cells tells members from
others with an AUC of 0.98 (0.5 is chance), who knows only their mean, of 0.91.

So no coordinates leave that are linear in the counts; the two of the map
(UMAP) stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pmcell.errors import Fault
from pmcell.publish.facts import Facts
from pmcell.schema import X_COMPOSITION, X_UMAP

CELLS = frozenset({X_UMAP})
"""Coordinates that cells of open cohorts keep when another cohort is withheld."""
DONORS = frozenset({X_COMPOSITION})
"""Profiles that donors of open cohorts keep then: those of their own cells' labels."""


def slot_faults(facts: Facts, folder: Path) -> Iterator[Fault]:
    """Files of the release in `folder` with coordinates that tell of withheld donors."""
    import h5py

    if not facts.withheld:
        return
    files = [(path, CELLS) for path in sorted((folder / "cells").glob("*.h5ad"))]
    files += [(path, DONORS) for path in folder.glob("donors.h5ad")]
    for path, allowed in files:
        with h5py.File(path, "r", locking=False) as file:
            found = sorted(set(file["obsm"]) - allowed)
        if found:
            yield Fault(
                path.relative_to(folder).as_posix(),
                "must hold no coordinates from which loadings fitted on withheld cells follow",
                f"obsm {', '.join(found)}",
                "Report this: a writer of the release let it through.",
                reason="vector",
            )
