"""The curated marker panel that ships with the package, `data/markers.tsv`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from pmcell.registry.terms.ontology import is_under

ANY_TISSUE = "any"


@dataclass(frozen=True)
class CellTypeMarkers:
    """One type: label and Cell Ontology term, where it is used, its markers and their source."""

    cell_type: str
    term_id: str
    tissues: tuple[str, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    source: str


@lru_cache(maxsize=1)
def marker_panel() -> tuple[CellTypeMarkers, ...]:
    """All types of the panel, in the order of the file.

    >>> marker_panel()[0].cell_type
    'T cell'
    """
    text = (resources.files("pmcell.data") / "markers.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(_row(line.split("\t")) for line in lines[1:])


def types_of_tissues(
    panel: Sequence[CellTypeMarkers], tissues: Iterable[str]
) -> tuple[CellTypeMarkers, ...]:
    """The types that may occur in `tissues` (UBERON terms) or in what these are part of.

    Where a tissue is not known, every type of the panel may occur.
    """
    wanted = sorted(set(tissues))
    if not wanted or any(not tissue.startswith("UBERON:") for tissue in wanted):
        return tuple(panel)
    return tuple(
        row
        for row in panel
        if ANY_TISSUE in row.tissues or any(is_under(tissue, row.tissues) for tissue in wanted)
    )


def _row(cells: list[str]) -> CellTypeMarkers:
    label, term_id, tissues, positive, negative, source = cells
    return CellTypeMarkers(
        label,
        term_id,
        tuple(tissues.split()),
        tuple(positive.split()),
        tuple(negative.split()),
        source,
    )
