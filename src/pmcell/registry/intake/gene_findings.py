"""What is to be said of the genes of a cohort: whose counts are lost, added up, or no gene's.

The same sentences come from `pmcell check`, with counts of a sample of cells, and from intake,
with all counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmcell.errors import Fault
from pmcell.io.submitted.submission import Submission
from pmcell.registry.cohorts.keys import COHORT_FILE
from pmcell.registry.cohorts.registration import Matrix
from pmcell.registry.intake.genes import Genes
from pmcell.registry.terms.features import FeatureKinds, feature_kinds
from pmcell.registry.terms.gene_columns import ID_COLUMNS, SYMBOL_COLUMNS
from pmcell.registry.terms.genes import CAUSES, SPREADSHEET, map_genes
from pmcell.schema.text import as_text
from pmcell.spelling import plural

HEAVY_RATIO = 10
"""Times the counts of one row that another row of the same name holds, from which it is named."""
HEAVY_SHARE = 0.001
HEAVY_TIMES = 5
"""Share of all counts, and times the share of an average gene, that such a row must hold."""
MIN_COMPARED = 50
MAX_CONTRADICTING = 0.3
"""Genes that two columns name, and the share that may differ: annotations do in some percent."""
SHOWN = 6
KEEP_FEATURES = "matrix.keep_features"


def unused_kinds(submission: Submission, matrix: Matrix) -> FeatureKinds | None:
    """The column of var that tells genes from other features, where the registration uses none."""
    if matrix.keep_features is not None:
        return None
    return feature_kinds(submission.var_of(matrix.counts))


def mixed_features(submission: Submission, matrix: Matrix, genes: Genes) -> Fault | None:
    """The error that antibodies or other features would be counted as the genes of their name."""
    kinds = unused_kinds(submission, matrix)
    if kinds is None:
        return None
    clash = [
        str(name)
        for name, gene_id, row in zip(
            genes.mapping.source, genes.mapping.gene_id, genes.rows, strict=True
        )
        if gene_id is not None and kinds.is_other[row]
    ]
    if not clash:
        return None
    return Fault(
        COHORT_FILE,
        "features that are not genes must be left out",
        f"{len(clash)} that {kinds.column!r} calls something else are named like genes "
        f"({_listed(clash)}; {kinds}), and would be counted as these",
        _keep(kinds),
        column=KEEP_FEATURES,
        reason="mixed_features",
    )


def contradicting_names(submission: Submission, matrix: Matrix, genes: Genes) -> Fault | None:
    """The error that two columns of var name different genes, as where one of them was sorted."""
    var = submission.var_of(matrix.counts)

    def names_in(column: str) -> np.ndarray:
        names = as_text(var.index if column == "index" else var[column])
        found: np.ndarray = np.array(names.tolist(), dtype=object)[genes.rows]
        return found

    own = names_in(matrix.gene_column)
    told = (["index"], *([c for c in names if c in var] for names in (SYMBOL_COLUMNS, ID_COLUMNS)))
    for column in (columns[0] for columns in told if columns):
        if column == matrix.gene_column:
            continue
        names = names_in(column)
        ids = zip(genes.mapping.gene_id, map_genes(names.tolist()).gene_id, strict=True)
        differ = [one != other for one, other in ids if one is not None and other is not None]
        if len(differ) < MIN_COMPARED or sum(differ) <= MAX_CONTRADICTING * len(differ):
            continue
        at = len(names) // 2
        return Fault(
            submission.path.name,
            f"columns {matrix.gene_column!r} and {column!r} of var must name the same genes",
            f"{sum(differ):,} of {len(differ):,} differ; row {genes.rows[at] + 1} holds "
            f"{own[at]!r} and {names[at]!r}",
            "One of them was sorted, or is of another file: find out where it came from which fits "
            "the counts, and write the file without the other.",
            column="var",
            reason="contradicting_names",
        )
    return None


def other_features(
    submission: Submission, matrix: Matrix, genes: Genes, umis: np.ndarray | None
) -> Iterator[Fault]:
    """A warning where features that are no genes, and not named like one, are not left out."""
    kinds = unused_kinds(submission, matrix)
    if kinds is None or mixed_features(submission, matrix, genes) is not None:
        return
    seen = str(kinds)
    if umis is not None and umis.sum():
        seen += f"; the others hold {umis[kinds.is_other].sum() / umis.sum():.0%} of the counts"
    must = "features that are not genes should be left out"
    yield _warning(COHORT_FILE, KEEP_FEATURES, must, seen, _keep(kinds), "other_features")


def heavy_duplicates(
    submission: Submission, genes: Genes, umis: np.ndarray, seen: str = ""
) -> Iterator[Fault]:
    """A warning for rows of one gene of which one holds far more counts than the others.

    So it is when an antibody has the name of its gene and no column tells them apart. `seen`
    says of which cells the counts are.
    """
    total = umis.sum()
    least = max(HEAVY_SHARE, HEAVY_TIMES / max(len(genes.rows), 1)) * total
    rows_of: dict[str, list[int]] = {}
    for at, gene_id in enumerate(genes.mapping.gene_id):
        if gene_id is not None:
            rows_of.setdefault(gene_id, []).append(at)
    heavy = []
    for rows in rows_of.values():
        if len(rows) < 2 or not total:
            continue
        held = umis[genes.rows[rows]]
        largest, second = np.sort(held)[[-1, -2]]
        if largest >= least and largest > HEAVY_RATIO * max(second, 1):
            row = rows[int(np.argmax(held))]
            heavy.append(
                (float(largest / total), int(genes.rows[row]), str(genes.mapping.source[row]))
            )
    if not heavy:
        return
    heavy.sort(reverse=True)
    listed = _listed(
        [f"{name!r} in row {row + 1}: {share:.1%} of the counts" for share, row, name in heavy]
    )
    yield _warning(
        submission.path.name,
        "var",
        f"rows of one gene should hold alike counts; one with {HEAVY_RATIO} times those of the "
        "others may be an antibody of that name",
        f"{len(heavy)} such{seen} ({listed})",
        "If they are antibodies, give var a column that says so ('Gene Expression' or 'Antibody "
        f"Capture') and set {KEEP_FEATURES}.",
        "heavy_duplicate",
    )


def old_names(
    submission: Submission, genes: Genes, umis: np.ndarray | None, seen: str = ""
) -> Iterator[Fault]:
    """A warning that lists the old names that were not taken, and those that were added up."""
    mapping = genes.mapping
    texts = {
        "not added": mapping.cause == "old_name",
        "taken for no gene": mapping.cause == "foreign_name",
        "added together": (mapping.fate == "merged") & (mapping.cause == "older"),
    }
    parts = []
    for verb, chosen in texts.items():
        rows = np.flatnonzero(chosen)
        if rows.size:
            parts.append(f"{verb}: {_weighed(genes, rows, umis)}")
    if not parts:
        return
    yield _warning(
        submission.path.name,
        "var",
        "an old name should stand for its gene alone; beside the current name, or as the name of a "
        "viral gene, it is something else",
        f"{'; '.join(parts)}{seen}",
        "Nothing has to be done. Where one of them matters to you, ask whoever made the file to "
        "write its current symbol or Ensembl id.",
        "old_names",
    )


def spreadsheet_names(
    submission: Submission, genes: Genes, umis: np.ndarray | None
) -> Iterator[Fault]:
    """A warning for names that a spreadsheet turned into dates or numbers."""
    rows = np.flatnonzero(genes.mapping.cause == "spreadsheet")
    if rows.size:
        yield _warning(
            submission.path.name,
            "var",
            "no gene name should be a date or a number",
            f"{plural(rows.size, 'gene is', 'genes are')} lost: {_weighed(genes, rows, umis)}",
            f"{SPREADSHEET[0].upper()}{SPREADSHEET[1:]}.",
            "spreadsheet_names",
        )


def lost_counts(
    submission: Submission,
    matrix: Matrix,
    genes: Genes,
    umis: np.ndarray | None,
    *,
    warn_share: float,
    max_share: float,
) -> Iterator[Fault]:
    """A warning, or above `max_share` an error, for the counts of features without a gene."""
    if umis is None or not umis[genes.rows].sum():
        return
    held = umis[genes.rows]
    lost = genes.is_lost()
    share = float(held[lost].sum() / held.sum())
    if share <= warn_share:
        return
    causes = genes.mapping.cause[lost]
    of_cause = {cause: float(held[lost][causes == cause].sum()) for cause in set(causes)}
    why = ", ".join(
        f"{weight / held.sum():.0%} {CAUSES[cause]}"
        for cause, weight in sorted(of_cause.items(), key=lambda item: -item[1])[:3]
    )
    kinds = unused_kinds(submission, matrix)
    rows = np.flatnonzero(lost)
    heaviest = [str(genes.mapping.source[row]) for row in rows[np.argsort(-held[lost])][:SHOWN]]
    fix = (
        _keep(kinds)
        if kinds is not None
        else f"Leave what is no human gene out where the file came from: adata = adata[:, "
        f"~adata.var_names.isin({heaviest})]; or set matrix.gene_column."
    )
    severity = "error" if share > max_share else "warning"
    limit = max_share if share > max_share else warn_share
    yield Fault(
        submission.path.name,
        f"at most {limit:.0%} of the counts {'may' if severity == 'error' else 'should'} fall on "
        "features without a gene",
        f"{share:.0%} in a sample of cells ({why}); the largest are {_weighed(genes, rows, umis)}",
        fix,
        column="var",
        severity=severity,
        reason="umis_lost",
    )


def _weighed(genes: Genes, rows: np.ndarray, umis: np.ndarray | None) -> str:
    """Names of genes with their counts, the heaviest first."""
    names = genes.mapping.source[rows]
    if umis is None:
        return _listed([str(name) for name in names])
    held = umis[genes.rows]
    order = rows[np.argsort(-held[rows], kind="stable")]
    total = max(float(held.sum()), 1.0)
    listed = [
        f"{genes.mapping.source[row]} ({held[row]:.0f} counts, {held[row] / total:.2%})"
        for row in order[:SHOWN]
    ]
    more = f", … ({rows.size} in all)" if rows.size > SHOWN else ""
    return ", ".join(listed) + more


def _listed(names: list[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _keep(kinds: FeatureKinds) -> str:
    value = f"{{column: {kinds.column}, value: {kinds.gene_value}}}"
    return f"Set {KEEP_FEATURES} in cohort.yaml: {value}."


def _warning(file: str, column: str, must: str, found: str, fix: str, reason: str) -> Fault:
    return Fault(file, must, found, fix, column=column, severity="warning", reason=reason)
