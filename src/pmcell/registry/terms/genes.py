"""Map submitted gene names to one canonical space: Ensembl ids of the pinned annotation.

Nothing is guessed: a name that leads to several genes is `ambiguous`, a name
that leads nowhere is `lost`, and both say why. An old name (alias, previous
symbol, retired id) whose gene the file also holds under a newer name is
`ambiguous` too: it stands for something else there, such as an antibody or a
virus, and its counts are never added. How a name is spelt is the matter of
`pmcell.registry.terms.gene_spelling`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.registry.terms.gene_spelling import (
    OTHER_GENOME,
    as_number,
    dashed_spellings,
    ensembl_id_inside,
    ensembl_id_of,
    is_spreadsheet_date,
    is_transcript,
    original_of_duplicate,
    other_species_of_id,
    plain_spelling,
    whole_of_part,
    without_genome,
)
from pmcell.registry.terms.gene_table import ANNOTATION, FOREIGN_NAMES, GeneTable, gene_table

FATES = ("kept", "renamed", "merged", "ambiguous", "lost")
NAMESPACES = ("auto", "symbol", "ensembl")
CAUSES = {
    "old_name": "old names of genes that the file also holds under a newer name",
    "foreign_name": "names of viruses or transgenes that are also old names of human genes",
    "several_genes": "names of several genes",
    "part": "unspliced or ambiguous counts of genes that stand beside them",
    "older": "old names of a gene, read as the current one",
    "spelling": "another spelling of a current name",
    "duplicate": "duplicates made unique by a suffix",
    "spreadsheet": "names that a spreadsheet turned into dates or numbers",
    "spike_in": "spike-ins",
    "not_assigned": "reads that a program gave to no gene",
    "number": "numbers, such as Entrez ids",
    "capitals": "symbols without their capitals",
    "transcript": "transcripts, not genes",
    "other_species": "genes of another species",
    "unknown": "names that are not known",
}

CURRENT, APPROVED, PREVIOUS, ALIAS = range(4)
"""Ranks of a name, newest first; of several names of one gene only the newest are counted."""
_RANKS = {"symbol": CURRENT, "approved": APPROVED, "previous": PREVIOUS, "alias": ALIAS}
_WORDS = ("symbol", "HGNC symbol", "previous symbol", "alias")

SPREADSHEET = (
    "a spreadsheet turned the name into a date or number (2-Sep was SEPT2); "
    "export the matrix again without a spreadsheet, or use Ensembl ids"
)
_NOT_ASSIGNED = re.compile(
    r"__(?:no_feature|ambiguous|too_low_aqual|not_aligned|alignment_not_unique)"
    r"|N_(?:unmapped|multimapping|noFeature|ambiguous)",
    re.IGNORECASE,
)
"""Rows below the genes of HTSeq-count, and above those of STAR."""
ENTREZ = "a number (an Entrez id?); give symbols or Ensembl ids"

Text = NDArray[np.object_]


@dataclass(frozen=True)
class GeneMapping:
    """What became of each submitted gene, in submitted order.

    `gene_id` and `symbol` are None where the gene is ambiguous or lost;
    `fate` is one of `FATES`; `why` is empty where the gene is simply kept.
    All source genes that share one id are `merged`: their counts are to be added.
    `cause` is a word for `why` where the name was not simply kept: one of `CAUSES`.
    """

    source: Text
    gene_id: Text
    symbol: Text
    fate: Text
    why: Text
    cause: Text

    def counts(self) -> dict[str, int]:
        """Count the source genes of each fate."""
        found = Counter(self.fate)
        return {fate: found.get(fate, 0) for fate in FATES}

    @property
    def share_mapped(self) -> float:
        """Share of source genes with a canonical id; 0 for no genes."""
        if not len(self.source):
            return 0.0
        return float(np.mean([gene_id is not None for gene_id in self.gene_id]))


def map_genes(
    source_ids: Sequence[str], *, namespace: str = "auto", symbols: Sequence[str] | None = None
) -> GeneMapping:
    """Map submitted names to current Ensembl ids and symbols.

    `namespace` is `symbol`, `ensembl`, or `auto` (told for each name by its
    form). `symbols`, of the same length, are asked only where an Ensembl id is
    not in the annotation any more.

    >>> mapping = map_genes(["ENSG00000132465.4", "MARCH1", "2-Sep"])
    >>> list(mapping.symbol), list(mapping.fate)
    (['JCHAIN', 'MARCHF1', None], ['kept', 'renamed', 'lost'])
    """
    if namespace not in NAMESPACES:
        raise UsageError(f"namespace must be one of {', '.join(NAMESPACES)}, got {namespace!r}")
    source = [str(name) for name in source_ids]
    if symbols is not None and len(symbols) != len(source):
        raise UsageError(
            f"symbols must have one entry a gene: {len(source)} genes, {len(symbols)} symbols"
        )
    table = gene_table()
    present = set(source)
    found = [
        _resolve(name, None if symbols is None else str(symbols[row]), namespace, table, present)
        for row, name in enumerate(source)
    ]
    found = _newest_names(source, found)
    gene_ids = [item.gene_id for item in found]
    fates = [item.fate for item in found]
    whys = [item.why for item in found]
    _merge(source, gene_ids, fates, whys)
    return GeneMapping(
        source=_text(source),
        gene_id=_text(gene_ids),
        symbol=_text([None if gene_id is None else table.symbols[gene_id] for gene_id in gene_ids]),
        fate=_text(fates),
        why=_text(whys),
        cause=_text([item.cause for item in found]),
    )


def share_known(names: Sequence[str]) -> float:
    """Share of `names` that are human genes of any age: tells genes from barcodes."""
    if not len(names):
        return 0.0
    table = gene_table()
    known = sum(
        _resolve(str(name), None, "auto", table, frozenset()).fate != "lost" for name in names
    )
    return known / len(names)


class _Found(NamedTuple):
    """Where one name leads; `rank` says how old the name is."""

    gene_id: str | None
    fate: str
    why: str
    cause: str = ""
    rank: int = CURRENT


def _lost(why: str, cause: str = "unknown") -> _Found:
    return _Found(None, "lost", why, cause)


def _ambiguous(why: str, cause: str = "several_genes") -> _Found:
    return _Found(None, "ambiguous", why, cause)


def _resolve(
    name: str,
    symbol: str | None,
    namespace: str,
    table: GeneTable,
    present: set[str] | frozenset[str],
) -> _Found:
    gene_id = ensembl_id_of(name)
    if gene_id:
        return _by_id(gene_id, symbol, table)
    if namespace != "ensembl" and name in table.names:
        return _by_name(name, table)
    whole = whole_of_part(name, present)
    if whole:
        return _ambiguous(f"a part of the counts of {whole}, which stands beside it", "part")
    if namespace == "ensembl" or name.startswith("ENS"):
        species = other_species_of_id(name)
        if species:
            return _lost(f"{species} gene id", "other_species")
    inside = ensembl_id_inside(name)
    if inside:
        return _by_id(inside, symbol, table)
    bare = plain_spelling(name)
    if bare not in ("", name):
        found = _resolve(bare, symbol, namespace, table, present)
        return _respelt(found, "quotes, spaces or other signs removed")
    if is_transcript(name):
        return _lost("a transcript, not a gene", "transcript")
    if namespace == "ensembl":
        return _lost("not an Ensembl gene id; set matrix.gene_namespace to auto or symbol")
    return _by_spelling(name, table, present)


def _by_name(name: str, table: GeneTable) -> _Found:
    kind, joined = table.names[name]
    rank = _RANKS[kind]
    if rank != CURRENT and name in FOREIGN_NAMES:
        why = f"{_WORDS[rank]} of a human gene, and the name of {FOREIGN_NAMES[name]}"
        return _ambiguous(f"{why}; write the current symbol or the Ensembl id", "foreign_name")
    if "|" in joined:
        gene_ids = sorted(joined.split("|"))
        shown = ", ".join(gene_ids[:4]) + (", …" if len(gene_ids) > 4 else "")
        return _ambiguous(f"{_WORDS[rank]} of {len(gene_ids)} genes: {shown}")
    if rank == CURRENT:
        return _Found(joined, "kept", "")
    return _Found(joined, "renamed", f"{_WORDS[rank]} of {table.symbols[joined]}", "older", rank)


def _by_id(gene_id: str, symbol: str | None, table: GeneTable) -> _Found:
    if gene_id in table.symbols:
        return _Found(gene_id, "kept", "")
    if gene_id in table.old_ids:
        current = table.old_ids[gene_id]
        why = f"retired id; its symbol {table.symbols[current]} now has {current}"
        return _Found(current, "renamed", why, "older", PREVIOUS)
    if symbol and symbol in table.names:
        by_symbol = _by_name(symbol, table)
        if by_symbol.gene_id is not None:
            why = f"id not in {ANNOTATION}; found by its symbol {symbol}"
            rank = max(by_symbol.rank, PREVIOUS)
            return _Found(by_symbol.gene_id, "renamed", why, "older", rank)
    return _lost(f"id not in {ANNOTATION} (retired, or of another annotation)")


def _by_spelling(name: str, table: GeneTable, present: set[str] | frozenset[str]) -> _Found:
    """Where a name that no table holds as it is written leads when its spelling is undone."""
    if name in table.shouted:
        current = table.shouted[name]
        return _respelt(_by_name(current, table), f"upper-case spelling of {current}")
    if name.upper().startswith("ERCC-"):
        return _lost("ERCC spike-in, not a gene", "spike_in")
    if _NOT_ASSIGNED.fullmatch(name):
        return _lost("reads that a program gave to no gene", "not_assigned")
    prefixed = without_genome(name)
    if prefixed:
        return _respelt(_resolve(prefixed, None, "auto", table, present), "genome prefix removed")
    if OTHER_GENOME.match(name):
        return _lost("a gene of another genome than the human one", "other_species")
    # TRBV6.1 is TRBV6-1, also beside TRBV6; HBB.1 beside HBB is a duplicate.
    spellings = [item for item in dashed_spellings(name) if item in table.names]
    newest = [item for item in spellings if table.names[item][0] == "symbol"]
    original = "" if newest else original_of_duplicate(name, present)
    if original:
        found = _resolve(original, None, "auto", table, present)
        if found.fate != "lost":
            why = f"duplicate of {original} that was made unique with a suffix"
            return _respelt(found, why, "duplicate")
    if spellings:
        return _by_dashes(newest or spellings, table)
    if is_spreadsheet_date(original or name):
        return _lost(SPREADSHEET, "spreadsheet")
    if as_number(name):
        return _lost(ENTREZ, "number")
    if name.upper() in table.names:
        return _lost(f"human symbols have capitals: {name.upper()}", "capitals")
    return _lost(f"not a gene name known to {ANNOTATION} or HGNC")


def _by_dashes(spellings: list[str], table: GeneTable) -> _Found:
    if len({table.names[item][1] for item in spellings}) > 1:
        return _ambiguous(f"R wrote '.' in one of {', '.join(spellings)}")
    return _respelt(_by_name(spellings[0], table), f"R wrote '.' for '-' in {spellings[0]}")


def _respelt(found: _Found, why: str, cause: str = "spelling") -> _Found:
    """What a name leads to once its spelling is undone: no longer simply kept."""
    fate = "renamed" if found.fate == "kept" else found.fate
    return found._replace(fate=fate, why=found.why or why, cause=found.cause or cause)


def _newest_names(source: list[str], found: list[_Found]) -> list[_Found]:
    """Make ambiguous each name of a gene that has a newer name in the same file."""
    newest: dict[str, tuple[int, str]] = {}
    for name, item in zip(source, found, strict=True):
        if item.gene_id is not None:
            best = newest.get(item.gene_id)
            if best is None or item.rank < best[0]:
                newest[item.gene_id] = (item.rank, name)
    kept = []
    for item in found:
        if item.gene_id is not None and item.rank > newest[item.gene_id][0]:
            beside = newest[item.gene_id][1]
            why = f"{item.why}; the file also holds {beside}, so this is something else there"
            item = _ambiguous(f"{why}: not added", "old_name")
        kept.append(item)
    return kept


def _merge(
    source: list[str], gene_ids: list[str | None], fates: list[str], whys: list[str]
) -> None:
    """Mark all source genes that share an id as merged; say with which others."""
    rows: dict[str, list[int]] = {}
    for row, gene_id in enumerate(gene_ids):
        if gene_id is not None:
            rows.setdefault(gene_id, []).append(row)
    for members in rows.values():
        if len(members) == 1:
            continue
        for row in members:
            others = [source[other] for other in members if other != row]
            shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
            reason = f"; {whys[row]}" if whys[row] else ""
            fates[row] = "merged"
            whys[row] = f"counts are added to those of {shown}{reason}"


def _text(values: Sequence[str | None]) -> Text:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
