"""The data of the map: places, colours by name, and one file a gene, loaded when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell import pl
from pmcell.pl.style import in_order
from pmcell.report.site import pack
from pmcell.report.site.expression import Gene, read_expression

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release import ReleaseFolder
    from pmcell.release.report_tables import Release
    from pmcell.report.site.sample import Cells

MAP = "data/map.js"
COLOURINGS = (
    ("cell_type", "Cell type"),
    ("cluster", "Cluster"),
    ("stratum", "Stratum"),
    ("condition", "Condition"),
    ("disease", "Disease"),
    ("cohort_id", "Cohort"),
)


def map_files(
    folder: ReleaseFolder, release: Release, cells: Cells, genes: list[Gene]
) -> tuple[list[Gene], dict[str, str]]:
    """The genes that can be drawn, and the scripts of the map by name.

    Without a cell of an open cohort there is no map: no gene and no script.
    """
    drawn = cells.drawn
    if drawn.empty:
        return [], {}
    values = read_expression(folder, drawn, [gene.gene_id for gene in genes])
    genes = genes if values is not None else []
    found: dict[str, str] = {}
    listed: list[dict[str, Any]] = []
    for number, gene in enumerate(genes):
        assert values is not None
        text, top = pack.levels(values[number])
        found[gene_file(gene)] = pack.script(f"gene-{gene.gene_id}", text)
        listed.append({"id": gene.gene_id, "symbol": gene.symbol, "top": top})
    found[MAP] = pack.script(
        "map",
        {
            "n": len(drawn),
            **pack.places(drawn["umap_1"].to_numpy(), drawn["umap_2"].to_numpy()),
            "fields": [_colouring(key, title, cells) for key, title in COLOURINGS if key in drawn],
            "genes": listed,
            "ramp": _ramp(),
        },
    )
    return genes, found


def gene_file(gene: Gene) -> str:
    """Where the levels of a gene are."""
    return f"data/genes/{gene.gene_id}.js"


def _colouring(key: str, title: str, cells: Cells) -> dict[str, Any]:
    """Names with their colours, cells of all and of the drawn ones, and a code for each point."""
    every: pd.Series[Any] = cells.all[key]
    sizes = every.value_counts()
    names = in_order(str(name) for name in sizes.index[sizes > 0])
    colours = pl.palette(names)
    if key == "cell_type":
        names = sorted(names, key=lambda name: (-int(sizes[name]), name))
    return {
        "key": key,
        "title": title,
        "names": names,
        "colours": [colours[name] for name in names],
        "counts": [int(sizes[name]) for name in names],
        **pack.codes(cells.drawn[key], names),
    }


def _ramp() -> list[str]:
    """Colours of the levels 0 to 14: viridis from its dark end, zero apart in grey."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    steps = colormaps["viridis_r"](np.linspace(0.08, 1.0, pack.TOP_LEVEL))
    return ["#d4d9de", *[to_hex(step) for step in steps]]
