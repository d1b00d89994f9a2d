"""Choose the genes of a submission, map them to canonical ids, and judge the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pmcell.errors import DataError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.registration import Matrix
from pmcell.registry.intake.cells import texts_of
from pmcell.registry.terms.features import other_features_alone
from pmcell.registry.terms.gene_columns import SYMBOL_COLUMNS
from pmcell.registry.terms.genes import SPREADSHEET, GeneMapping, map_genes, share_known
from pmcell.registry.terms.species import HUMAN, MOUSE, RAT, detect_species

SAMPLED_NAMES = 2000
NOT_HUMAN = "Submit human data, or the genes of the human genome only."
MORE_GENES = (
    "Submit all genes that were counted; where these are all, lower intake.min_genes in "
    "config/config.yaml."
)
HOW_TO_NAME = {
    "": "Set matrix.gene_column and matrix.gene_namespace in cohort.yaml to where the gene names "
    "are and what they are.",
    "capitals": "The symbols lack their capitals: adata.var_names = adata.var_names.str.upper() "
    "where the file came from, and write it again.",
    "number": "The names are numbers (Entrez ids?): write symbols or Ensembl ids into a column of "
    "var where the file came from, and name it in matrix.gene_column.",
    "other_species": NOT_HUMAN,
    "spreadsheet": f"{SPREADSHEET[0].upper()}{SPREADSHEET[1:]}.",
    "transcript": "The names are transcripts: add those of each gene up where they were counted "
    "(tximport; alevin-fry or kb count with the list of transcripts and genes).",
}
"""What a steward can do about names that lead to no gene, by the cause of most of them."""
NO_GENES = ("spike_in", "not_assigned")
"""Causes for which a name leads to no gene, and should not."""
SPECIES = {HUMAN: "human", MOUSE: "mouse", RAT: "rat"}


@dataclass(frozen=True)
class Genes:
    """Genes of a submission: their positions in the file, and what each one was mapped to."""

    rows: np.ndarray
    mapping: GeneMapping
    n_features: int

    def targets(self) -> list[str | None]:
        """Canonical id of every feature of the file, None for those that are lost or no genes."""
        targets: list[str | None] = [None] * self.n_features
        for row, gene_id in zip(self.rows, self.mapping.gene_id, strict=True):
            targets[row] = gene_id
        return targets

    def is_lost(self) -> np.ndarray:
        """Of each gene whether its counts are lost: those of what is known to be none are not."""
        has_none = np.array([gene_id is None for gene_id in self.mapping.gene_id], dtype=bool)
        return has_none & ~np.isin(self.mapping.cause, list(NO_GENES))

    def symbols(self) -> dict[str, str]:
        """Symbol of every canonical id."""
        pairs = zip(self.mapping.gene_id, self.mapping.symbol, strict=True)
        return {gene_id: symbol for gene_id, symbol in pairs if gene_id is not None}


def choose_genes(submission: Submission, matrix: Matrix, *, min_genes: int) -> Genes:
    """Map the genes of the registered matrix; `DataError` if they are not enough human genes.

    Reasons: column_missing, no_genes, transposed, wrong_species, too_few_genes.
    """
    file = submission.path.name
    var = submission.var_of(matrix.counts)
    rows = np.arange(len(var))
    if matrix.keep_features is not None:
        column, wanted = matrix.keep_features
        values = texts_of(var, column, key="matrix.keep_features.column", file=file)
        rows = np.flatnonzero(values == wanted)
        if not rows.size:
            listed = ", ".join(map(repr, sorted(set(values))[:8]))
            raise DataError(
                f"{file}: matrix.keep_features.value must be a value of {column!r}; found "
                f"{wanted!r}, "
                f"the values are {listed}. Correct it in cohort.yaml.",
                reason="no_genes",
            )
    others = other_features_alone(var.iloc[rows])
    if others:
        raise DataError(
            f"{file}: the features must be genes; found {others} alone. Get the file with the gene "
            "expression of these cells; where these are genes, correct or remove the column.",
            reason="no_genes",
        )
    names = texts_of(var, matrix.gene_column, key="matrix.gene_column", file=file)[rows]
    if not rows.size:
        raise DataError(f"{file}: the matrix must have genes; it has none.", reason="no_genes")
    symbols = next((var[column] for column in SYMBOL_COLUMNS if column in var.columns), None)
    mapping = map_genes(
        list(names),
        namespace=matrix.gene_namespace,
        symbols=None if symbols is None else [str(symbol) for symbol in symbols.iloc[rows]],
    )
    _require_whole_counts(file, mapping)
    n_genes = len({gene_id for gene_id in mapping.gene_id if gene_id is not None})
    if mapping.share_mapped < 0.5:
        _judge_names(submission, names)
    if n_genes < min_genes:
        examples = [
            name for name, gene in zip(names, mapping.gene_id, strict=True) if gene is None
        ][:3]
        fix = MORE_GENES if mapping.share_mapped > 0.5 else how_to_name(list(names))
        raise DataError(
            f"{file}: at least {min_genes} genes must have a canonical id (intake.min_genes); "
            f"{n_genes} of {len(names)} have. {_examples(examples)}{fix}",
            reason="too_few_genes",
        )
    return Genes(rows, mapping, len(var))


def _require_whole_counts(file: str, mapping: GeneMapping) -> None:
    parts = mapping.source[mapping.cause == "part"]
    if parts.size:
        raise DataError(
            f"{file}: the row of a gene must hold all of its counts; {parts.size:,} of "
            f"{len(mapping.source):,} names are parts of genes beside them ({parts[0]!r}), "
            "unspliced (-U, -I) or ambiguous (-A). Add them up where the file came from: "
            "pyroe.load_fry(FOLDER, output_format='scRNA') for alevin-fry's cells, 'snRNA' for "
            "its nuclei.",
            reason="split_counts",
        )


def how_to_name(names: Sequence[str]) -> str:
    """What a steward can do about names that lead to no human gene, by what most of them are."""
    some = list(names[:SAMPLED_NAMES])
    if detect_species(some).taxon not in (HUMAN, "unknown"):
        return NOT_HUMAN
    mapping = map_genes(some)
    causes = Counter(
        cause for cause, fate in zip(mapping.cause, mapping.fate, strict=True) if fate == "lost"
    )
    most = causes.most_common(1)[0][0] if causes else ""
    return HOW_TO_NAME.get(most, HOW_TO_NAME[""])


def _judge_names(submission: Submission, names: np.ndarray) -> None:
    call = detect_species(list(names))
    if call.taxon not in (HUMAN, "unknown"):
        raise DataError(
            f"{submission.path.name}: genes must be human ({HUMAN}); these look like "
            f"{SPECIES.get(call.taxon, call.taxon)} ({call.evidence}, such as {names[0]!r}). "
            f"{NOT_HUMAN}",
            reason="wrong_species",
        )
    barcodes = list(submission.obs.index[:SAMPLED_NAMES])
    if share_known(barcodes) > max(0.3, 2 * share_known(list(names[:SAMPLED_NAMES]))):
        raise DataError(
            f"{submission.path.name}: rows must be cells and columns genes; the rows are named "
            "like "
            f"genes (such as {barcodes[0]!r}). The matrix is transposed: write adata.T, or set "
            "matrix.orientation for a text table.",
            reason="transposed",
        )


def _examples(names: list[str]) -> str:
    return f"Not found, for example: {', '.join(map(repr, names))}. " if names else ""
