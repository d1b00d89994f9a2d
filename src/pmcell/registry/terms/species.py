"""Tell the species from the form of gene names, without a table of other species."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pmcell.registry.terms.gene_spelling import (
    OTHER_GENOME,
    ensembl_id_inside,
    plain_spelling,
    without_genome,
)
from pmcell.registry.terms.gene_table import gene_table

HUMAN = "NCBITaxon:9606"
MOUSE = "NCBITaxon:10090"
RAT = "NCBITaxon:10116"
SPECIES_NAMES = {HUMAN: "Homo sapiens", MOUSE: "Mus musculus", RAT: "Rattus norvegicus"}
"""Of the taxa told apart here; the taxonomy as a whole takes seconds and gigabytes to load."""

_HUMAN_WORDS = re.compile(
    r"(?:homo sapiens|human|h sapiens|hsapiens|humain|mensch|humano|umano|hg\d\d|grch\d\d"
    r"|t2t chm13|(?:ncbitaxon )?9606)(?: .*)?"
)
_OTHER_WORDS = re.compile(
    r"(?:ncbitaxon )?(?!9606\b)\d{4,7}|(?:mus musculus|mouse|murine|mice|maus|souris|mm\d\d?"
    r"|grcm\d\d"
    r"|rattus norvegicus|rat|rn\d|macaca \w+|macaque|monkey|pan troglodytes|chimpanzee|sus scrofa"
    r"|pig|danio rerio|zebrafish|gallus gallus|chicken|bos taurus|cow|oryctolagus cuniculus|rabbit"
    r"|drosophila \w+|canis \w+|dog|sars cov 2|plasmodium \w+)(?: .*)?"
)
SPECIES_COLUMNS = frozenset({"organism", "organismontologytermid", "species", "taxon", "taxid"})
"""Names of columns that tell the species of each cell, letters only."""

_PREFIXES = {"ENSG": HUMAN, "ENSMUSG": MOUSE, "ENSRNOG": RAT}
_ENSEMBL = re.compile(r"(ENS[A-Z]*G)\d{11}")
# Nomenclature of mouse genes: a capital and small letters (Xkr4), mt-Nd1, Gm26206, 4933401J01Rik.
_RODENT = re.compile(r"[A-Z][a-z0-9]*[a-z][a-z0-9]*(?:-[a-z0-9]+)*|mt-[A-Z][a-z0-9]+|[0-9A-Z]+Rik")


@dataclass(frozen=True)
class SpeciesCall:
    """The likely species: its NCBI taxon or 'unknown', and the evidence in one line."""

    taxon: str
    share: float
    evidence: str


def is_other_species(label: str) -> bool:
    """Whether a label of a cell's species names another one than the human.

    >>> [is_other_species(x) for x in ("Mus musculus", "NCBITaxon:10090", "Homo sapiens", "mixed")]
    [True, True, False, False]
    """
    words = " ".join(re.findall(r"[a-z0-9]+", label.lower()))
    return bool(_OTHER_WORDS.fullmatch(words)) and not _HUMAN_WORDS.fullmatch(words)


def is_species_column(name: str) -> bool:
    """Whether a column of this name tells the species of each cell."""
    return re.sub(r"[^a-z]", "", name.lower()) in SPECIES_COLUMNS


def detect_species(names: Sequence[str]) -> SpeciesCall:
    """Call the species of gene names by Ensembl prefix, else by the form of the symbols.

    A call needs more than half of the names that tell anything. Mouse and rat
    symbols look alike: the call is mouse.

    >>> detect_species(["Cd3e", "Ms4a1", "mt-Nd1"]).taxon
    'NCBITaxon:10090'
    """
    table = gene_table()
    votes = {HUMAN: 0, MOUSE: 0, RAT: 0, "unknown": 0}
    by_id = 0
    for name in names:
        text = plain_spelling(str(name))
        if OTHER_GENOME.match(text):
            votes["unknown"] += 1
            continue
        text = ensembl_id_inside(text) or without_genome(text) or text
        match = _ENSEMBL.match(text)
        if match:
            votes[_PREFIXES.get(match.group(1), "unknown")] += 1
            by_id += 1
        elif text in table.names or text in table.shouted:
            votes[HUMAN] += 1
        elif _RODENT.fullmatch(text):
            votes[MOUSE] += 1
    told = sum(votes.values())
    if not told:
        return SpeciesCall(
            "unknown", 0.0, f"none of {len(names)} names is a gene name of a known form"
        )
    taxon = max(votes, key=lambda key: votes[key])
    share = votes[taxon] / told
    how = "Ensembl prefix" if by_id > told / 2 else "form of the symbols"
    evidence = f"{votes[taxon]} of {told} gene names by {how}"
    return SpeciesCall(taxon if share > 0.5 else "unknown", share, evidence)
