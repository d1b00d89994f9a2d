"""Map submitted gene names to one canonical space: Ensembl ids of the pinned annotation.

Nothing is guessed: a name that leads to several genes is `ambiguous`, a name
that leads nowhere is `lost`, and both say why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.registry.gene_table import ANNOTATION, GeneTable, gene_table

FATES = ("kept", "renamed", "merged", "ambiguous", "lost")
NAMESPACES = ("auto", "symbol", "ensembl")

_ENSEMBL = re.compile(r"(ENSG\d{11})(?:\.\d+)?(_PAR_Y)?")
_ENSEMBL_INSIDE = re.compile(r"(?:^|[_|:; ])(ENSG\d{11})(?:\.\d+)?(?=$|[_|:; ])")
_OTHER_ENSEMBL = re.compile(r"ENS([A-Z]{3,4})G\d{11}(\.\d+)?")
_GENOME_PREFIX = re.compile(
    r"(?:GRCh3[78]|hg19|hg38)(?:[-_](?:premrna|2020-A|2024-A|3\.0\.0))?_+(.+)"
)
_MADE_UNIQUE = re.compile(r"(.+)[-.](\d{1,3})")
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)"
_SPREADSHEET = re.compile(
    rf"\d{{1,2}}[-/ ]{_MONTH}(?:[-/ ]\d{{2,4}})?|{_MONTH}[-/ ]\d{{1,4}}"
    r"|\d{4}-\d{2}-\d{2}(?: 00:00:00)?|[34]\d{4}|\d\.\d+E\+\d{2}",
    re.IGNORECASE,
)

Text = NDArray[np.object_]


@dataclass(frozen=True)
class GeneMapping:
    """What became of each submitted gene, in submitted order.

    `gene_id` and `symbol` are None where the gene is ambiguous or lost;
    `fate` is one of `FATES`; `why` is empty where the gene is simply kept.
    All source genes that share one id are `merged`: their counts are to be added.
    """

    source: Text
    gene_id: Text
    symbol: Text
    fate: Text
    why: Text

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
    gene_ids = [gene_id for gene_id, _, _ in found]
    fates = [fate for _, fate, _ in found]
    whys = [why for _, _, why in found]
    _merge(source, gene_ids, fates, whys)
    return GeneMapping(
        source=_text(source),
        gene_id=_text(gene_ids),
        symbol=_text([None if gene_id is None else table.symbols[gene_id] for gene_id in gene_ids]),
        fate=_text(fates),
        why=_text(whys),
    )


def share_known(names: Sequence[str]) -> float:
    """Share of `names` that are human genes of any age: tells genes from barcodes."""
    if not len(names):
        return 0.0
    table = gene_table()
    known = sum(
        _resolve(str(name), None, "auto", table, frozenset())[1] in ("kept", "renamed", "ambiguous")
        for name in names
    )
    return known / len(names)


Found = tuple[str | None, str, str]


def _resolve(
    name: str,
    symbol: str | None,
    namespace: str,
    table: GeneTable,
    present: set[str] | frozenset[str],
) -> Found:
    match = _ENSEMBL.fullmatch(name) if name.startswith("ENSG") else None
    if match:
        return _by_id(match.group(1), symbol, table)
    if namespace != "ensembl" and name in table.names:
        return _by_name(name, table)
    if namespace == "ensembl" or name.startswith("ENS"):
        other = _OTHER_ENSEMBL.fullmatch(name)
        if other:
            species = {"MUS": "a mouse", "RNO": "a rat"}.get(other.group(1), "another species'")
            return None, "lost", f"{species} gene id"
    inside = _ENSEMBL_INSIDE.search(name)
    if inside:
        gene_id, fate, why = _by_id(inside.group(1), symbol, table)
        return gene_id, fate, why
    if namespace == "ensembl":
        return None, "lost", "not an Ensembl gene id; set matrix.gene_namespace to auto or symbol"
    return _by_spelling(name, table, present)


def _by_name(name: str, table: GeneTable) -> Found:
    kind, joined = table.names[name]
    said = {"symbol": "symbol", "approved": "HGNC symbol", "previous": "previous symbol"}.get(
        kind, "alias"
    )
    if "|" in joined:
        gene_ids = sorted(joined.split("|"))
        shown = ", ".join(gene_ids[:4]) + (", …" if len(gene_ids) > 4 else "")
        return None, "ambiguous", f"{said} of {len(gene_ids)} genes: {shown}"
    if kind == "symbol":
        return joined, "kept", ""
    return joined, "renamed", f"{said} of {table.symbols[joined]}"


def _by_id(gene_id: str, symbol: str | None, table: GeneTable) -> Found:
    if gene_id in table.symbols:
        return gene_id, "kept", ""
    if gene_id in table.old_ids:
        current = table.old_ids[gene_id]
        return (
            current,
            "renamed",
            f"retired id; its symbol {table.symbols[current]} now has {current}",
        )
    if symbol and symbol in table.names:
        current_id, fate, _ = _by_name(symbol, table)
        if fate in ("kept", "renamed"):
            return current_id, "renamed", f"id not in {ANNOTATION}; found by its symbol {symbol}"
    return None, "lost", f"id not in {ANNOTATION} (retired, or of another annotation)"


def _by_spelling(name: str, table: GeneTable, present: set[str] | frozenset[str]) -> Found:
    if name in table.shouted:
        current = table.shouted[name]
        gene_id, fate, why = _by_name(current, table)
        return (
            gene_id,
            "renamed" if fate == "kept" else fate,
            why or f"upper-case spelling of {current}",
        )
    if _SPREADSHEET.fullmatch(name):
        return (
            None,
            "lost",
            (
                "a spreadsheet turned the name into a date or number (2-Sep was SEPT2); "
                "export the matrix again without a spreadsheet, or use Ensembl ids"
            ),
        )
    if name.upper().startswith("ERCC-"):
        return None, "lost", "ERCC spike-in, not a gene"
    prefixed = _GENOME_PREFIX.fullmatch(name)
    if prefixed:
        gene_id, fate, why = _resolve(prefixed.group(1), None, "auto", table, present)
        return gene_id, "renamed" if fate == "kept" else fate, why or "genome prefix removed"
    suffixed = _MADE_UNIQUE.fullmatch(name)
    if suffixed and suffixed.group(1) in table.names and suffixed.group(1) in present:
        gene_id, fate, why = _by_name(suffixed.group(1), table)
        return (
            gene_id,
            "renamed" if fate == "kept" else fate,
            why or (f"duplicate of {suffixed.group(1)} that was made unique with a suffix"),
        )
    dashed = name.replace(".", "-")
    if dashed != name and dashed in table.names:
        gene_id, fate, why = _by_name(dashed, table)
        return (
            gene_id,
            "renamed" if fate == "kept" else fate,
            why or f"R wrote '.' for '-' in {dashed}",
        )
    if name.isdigit():
        return None, "lost", "a number (an Entrez id?); give symbols or Ensembl ids"
    return None, "lost", f"not a gene name known to {ANNOTATION} or HGNC"


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
