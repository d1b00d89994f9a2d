"""The atlas as it may be shown: labels of clusters without numbers of withheld cells."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from pmcell.io.aggregates import open_aggregates
from pmcell.io.clustered import open_clustered
from pmcell.io.tables import read_table
from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure import slots
from pmcell.publish.facts import Facts
from pmcell.settings.atlas import MarkersSettings
from pmcell.settings.load import checked_section

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = "cell_type_confidence"
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
    annotation[CONFIDENCE] = annotation[CONFIDENCE].round(DIGITS)
    annotation["label_evidence"] = [
        COUNTED.sub("…", str(text)) for text in annotation["label_evidence"]
    ]
    cells = atlas.cells.copy()
    cells[CONFIDENCE] = cells[CONFIDENCE].round(DIGITS)
    coordinates = {name: atlas.coordinates[name] for name in sorted(slots.CELLS)}
    return dataclasses.replace(atlas, cells=cells, annotation=annotation, coordinates=coordinates)


def open_markers(facts: Facts) -> pd.DataFrame:
    """Markers of the clusters from the cells of published cohorts alone.

    Means over thousands of genes give away membership at any number of donors
    that a cohort has (Homer et al. 2008, doi:10.1371/journal.pgen.1000167), so no
    threshold on donors would do.
    """
    from pmcell.tl.markers import find_markers

    features = read_table(facts.results / "atlas" / "features.parquet", ["gene_id", "symbol"])
    symbols = dict(zip(features["gene_id"], features["symbol"], strict=True))
    settings = checked_section(MarkersSettings, facts.parameters.get("markers"))
    sums = open_aggregates([cohort.folder / "aggregate.npz" for cohort in facts.published])
    clusters = facts.results / "atlas" / "clusters.parquet"
    return find_markers(
        sums,
        counts=[open_clustered(cohort.folder, clusters) for cohort in facts.published],
        symbols=symbols,
        method=settings.method,
        n_top=settings.top,
    )
