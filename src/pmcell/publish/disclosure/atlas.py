"""The atlas as it may be shown: labels of clusters without numbers of withheld cells."""

from __future__ import annotations

import dataclasses
import re

from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure import slots
from pmcell.publish.facts import Facts

DIGITS = 1
COUNTED = re.compile(r"\d[\d,.]*")


def shown_atlas(facts: Facts, atlas: Atlas) -> Atlas:
    """The atlas, without what withheld cells shape: coordinates, and digits of evidence.

    A label's confidence is often a share of cells: with the published cells
    counted, its last digits tell how many cells were withheld.
    """
    if not facts.withheld:
        return atlas
    annotation = atlas.annotation.copy()
    annotation["cell_type_confidence"] = annotation["cell_type_confidence"].round(DIGITS)
    annotation["label_evidence"] = [
        COUNTED.sub("…", str(text)) for text in annotation["label_evidence"]
    ]
    cells = atlas.cells.copy()
    cells["cell_type_confidence"] = cells["cell_type_confidence"].round(DIGITS)
    coordinates = {name: atlas.coordinates[name] for name in sorted(slots.CELLS)}
    return dataclasses.replace(atlas, cells=cells, annotation=annotation, coordinates=coordinates)
