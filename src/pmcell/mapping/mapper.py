"""Map samples onto a frozen reference: QC, labels, composition, stratum, and what cannot be said.

What is asked of one person never depends on other people's cells, but for those of the same
batch, by which the batch's shift is told. The reference does not change.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.discriminant import Cells
from pmcell.core.pca.project import projection_weights
from pmcell.errors import DataError, UsageError
from pmcell.mapping.composition import (
    composition_rows,
    contradicted,
    exceeds,
    lacks,
    surprises,
)
from pmcell.mapping.expression import log_expression
from pmcell.mapping.labels import CellLabels
from pmcell.mapping.plausible import check_samples
from pmcell.mapping.reference import MIN_SHARE_OF_MODEL, Reference, label_expression
from pmcell.mapping.residual import left_over
from pmcell.mapping.source_labels import types_of_source
from pmcell.mapping.strata import Profiled, stratum_answers, unless_strange
from pmcell.pp._adata import raw_counts
from pmcell.pp.qc import EXCLUSIONS, QcOptions, qc
from pmcell.registry.duplicates.two_people import PairCounts, gene_sums
from pmcell.registry.terms.declared import DECLARED, check_declared
from pmcell.registry.terms.marker_panel import marker_panel
from pmcell.registry.terms.tissues import tissue_label
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import (
    MAPPED_CELLS,
    MAPPED_COMPOSITION,
    GeneOverlap,
    Labels,
    MappedVisit,
    Quality,
    Residual,
)
from pmcell.schema.text import as_text, text_array
from pmcell.strata._threads import single_thread
from pmcell.tl.aggregate import SOURCE_TERM, source_labels

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_CELLS = 20
"""Cells that must pass QC, in all samples together."""
MAX_UNLIKE = 0.5
"""Share of cells unlike every type from which the samples are of another tissue."""
COLUMNS = ("donor_id", "sample_id", "visit", "batch_id")


MARKS = (
    "total_counts",
    "n_genes_detected",
    "share_mitochondrial",
    "doublet_score",
    "passes_qc",
    "exclusion",
)
"""What QC leaves in obs."""


@dataclass(frozen=True)
class Located:
    """The cells that passed QC, in the order of `Mapping.cells`.

    `scores` and `integrated` (cells, components) are their principal components before and after
    their batch was moved onto the reference; `counted_as` the type under which each counts in the
    profiles of donors, 'unknown' where it is unlike every type; `by_source` whether the label of
    its source says so.
    """

    cell_ids: NDArray[np.object_]
    scores: NDArray[np.float32]
    integrated: NDArray[np.float32]
    counted_as: NDArray[np.object_]
    by_source: NDArray[np.bool_]


@dataclass(frozen=True)
class Mapping:
    """What was found: tables `MAPPED_CELLS` and `MAPPED_COMPOSITION`, visits, gene overlap, and
    where the cells lie."""

    cells: pd.DataFrame
    composition: pd.DataFrame
    visits: tuple[MappedVisit, ...]
    genes: GeneOverlap
    located: Located


@single_thread
def map_cells(
    adata: AnnData, reference: Reference, *, is_marked: bool = False, by_source: bool = False
) -> Mapping:
    """Map cells onto a reference.

    Parameters
    ----------
    adata
        Raw counts in X, genes by Ensembl id. obs: `donor_id`, `sample_id`, `visit` and `batch_id`,
        each where it is there, else all cells are of one; what they declare themselves to be
        (`DECLARED`) is compared with the reference.
    reference
        The frozen reference (`pmcell.release.reference.open_reference`).
    is_marked
        Whether obs holds the marks of QC (`MARKS`), which are then used as they are.
    by_source
        Whether cells count in composition and profiles by the label of their source
        (`source_cell_type_ontology_term_id`), where that is a type (`types_of_source`).

    Returns
    -------
    Mapping
        The same for any order of the cells and any threads of BLAS.

    Raises
    ------
    DataError
        X is not raw counts; too few genes of the reference; too few cells; another tissue or
        species; cells that differ no more than empty droplets do.
    """
    ordered = _ordered(adata, (*MARKS * is_marked, *[SOURCE_TERM] * by_source))
    tissue = str(reference.facts["tissue_ontology_term_id"])
    check_declared(ordered.obs, tissue)
    counts = raw_counts(ordered)
    genes = text_array(ordered.var_names)
    overlap, measured = _overlap(reference, genes)
    notes = [] if is_marked else _mark(ordered, reference)
    passes = ordered.obs["passes_qc"].to_numpy(bool)
    if int(passes.sum()) < MIN_CELLS:
        raise DataError(
            f"at least {MIN_CELLS} cells must pass QC to be mapped; {int(passes.sum())} of "
            f"{passes.size} do. Map whole samples, unfiltered but for empty droplets.",
            reason="too_few_cells",
        )
    is_poor = check_samples(counts[passes], genes, reference.space, tissue_label(tissue))
    x = log_expression(counts[passes], genes, reference.space)
    model = reference.labels
    told = label_expression(x, model, reference.basis, measured, is_poor)
    _like_reference(told, reference)
    obs = ordered.obs.loc[passes, list(COLUMNS)]
    weights = projection_weights(reference.basis, measured)
    scores = x @ weights - reference.basis.means @ weights
    integrated = np.zeros(scores.shape, np.float32)
    for batch in np.unique(as_text(obs["batch_id"])):
        own = (as_text(obs["batch_id"]) == batch).to_numpy()
        integrated[own] = reference.mixture.integrate(scores[own])
    given = types_of_source(source_labels(ordered.obs[passes]), model)
    profiled = Profiled(obs, integrated, told, counts[passes], genes, given)
    answers = stratum_answers(reference, profiled)
    pairs = PairCounts(genes, len(obs))
    pairs.add(slice(None), partial(gene_sums, profiled.counts))
    visits, tables = [], []
    for key in _visits(ordered.obs):
        own = _of_visit(obs, key)
        table = composition_rows(reference, profiled, own, key)
        tables.append(table)
        labels = _count_labels(told, own, reference)
        donor_p, residual = profiled.donor_p(reference, own), _residual(reference, x[own], measured)
        two = pairs.two_people(own)
        against = [two.sentence] if two else []
        found = surprises(reference, table)
        n_own = int(own.sum())
        against += filter(
            None,
            [lacks(reference, table), exceeds(found, n_own), contradicted(labels, n_own)],
        )
        visits.append(
            MappedVisit(
                *key,
                batch_id="+".join(
                    sorted(set(as_text(ordered.obs.loc[_of_visit(ordered.obs, key), "batch_id"])))
                ),
                samples=tuple(
                    sorted(set(as_text(ordered.obs.loc[_of_visit(ordered.obs, key), "sample_id"])))
                ),
                quality=_quality(ordered.obs.loc[_of_visit(ordered.obs, key)]),
                labels=labels,
                surprises=found,
                stratum=unless_strange(
                    answers[key], profiled.labelled(own), donor_p, residual, "; ".join(against)
                ),
                warnings=(*notes, *against),
                donor_p=donor_p,
                residual=residual,
                n_cells_of_another=two.n_fewer if two else None,
            )
        )
    import pandas as pd

    columns = MAPPED_COMPOSITION.columns
    return Mapping(
        _cell_table(ordered, told, reference, integrated, passes),
        pd.concat(tables, ignore_index=True)[columns],
        tuple(visits),
        overlap,
        Located(
            np.asarray(as_text(ordered.obs_names[passes]), object),
            np.asarray(scores, np.float32),
            integrated,
            np.where(profiled.used(), profiled.types(reference).astype(object), UNKNOWN),
            given != "",
        ),
    )


def _ordered(adata: AnnData, others: Sequence[str] = ()) -> AnnData:
    """The cells by person, visit, sample and name, with all columns that are needed."""
    import anndata as ad
    import pandas as pd

    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()][0]
        raise UsageError(
            f"every cell must have a name of its own; {twice!r} is there twice. "
            "Call adata.obs_names_make_unique() or give samples different barcodes."
        )
    obs = pd.DataFrame(index=pd.Index(as_text(adata.obs_names), dtype=object))
    for name in COLUMNS:
        default = "sample" if name in ("sample_id", "donor_id") else UNKNOWN
        values = as_text(adata.obs[name]).to_numpy() if name in adata.obs else default
        obs[name] = values
    for name in set(DECLARED) & set(adata.obs):
        obs[name] = as_text(adata.obs[name]).to_numpy()
    for name in others:
        obs[name] = adata.obs[name].to_numpy()
    order = np.lexsort(
        (
            text_array(obs.index),
            *(text_array(obs[name]) for name in ("sample_id", "visit", "donor_id")),
        )
    )
    var = pd.DataFrame(index=pd.Index(as_text(adata.var_names), dtype=object))
    if "symbol" in adata.var:
        var["symbol"] = as_text(adata.var["symbol"]).to_numpy()
    return ad.AnnData(raw_counts(adata)[order], obs.iloc[order].copy(), var)


def _overlap(
    reference: Reference, genes: NDArray[np.str_]
) -> tuple[GeneOverlap, NDArray[np.bool_]]:
    measured = reference.space.measured(genes)
    share = reference.share_of_model(measured)
    symbols = reference.space.feature_symbols
    markers = {name for row in marker_panel() for name in row.positive}
    missing = sorted(set(symbols[~measured]) & markers)
    if share < MIN_SHARE_OF_MODEL:
        fix = "Map counts of the whole transcriptome."
        if not measured.any():
            some = ", ".join(map(repr, genes[:3].tolist()))
            fix = (
                f"Genes must be Ensembl ids in var_names, found {some}. Where a file has symbols, "
                "`pmcell map FILE` finds their ids."
            )
        raise DataError(
            f"samples must have genes that carry at least {MIN_SHARE_OF_MODEL:.0%} of the "
            f"reference's label model; {int(measured.sum())} of its {measured.size} genes were "
            f"found, which carry {share:.0%}. {fix}",
            reason="too_few_genes",
        )
    overlap = GeneOverlap(
        int(measured.size), int(measured.sum()), round(share, 6), tuple(map(str, missing))
    )
    return overlap, measured


def _mark(adata: AnnData, reference: Reference) -> list[str]:
    """Mark cells with the QC options of the release; what QC warns of."""
    options = QcOptions(**reference.facts["qc"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        qc(adata, sample="sample_id", options=options)
    return ["no mitochondrial gene was measured: its share excluded no cell"] * any(
        "mitochondrial" in str(item.message) for item in caught
    )


def _like_reference(told: CellLabels, reference: Reference) -> None:
    share = float(told.unlike.mean())
    if share > MAX_UNLIKE:
        tissue = str(reference.facts["tissue_ontology_term_id"])
        raise DataError(
            f"at most {MAX_UNLIKE:.0%} of the cells may be unlike every cell type of the "
            f"reference ({tissue_label(tissue)}); {share:.0%} are. The samples are of another "
            "tissue, assay or preparation: map them onto a release that holds such.",
            reason="unlike_reference",
        )


def _visits(obs: pd.DataFrame) -> list[tuple[str, str]]:
    return sorted(set(zip(obs["donor_id"], obs["visit"], strict=True)))


def _of_visit(obs: pd.DataFrame, key: tuple[str, str]) -> NDArray[np.bool_]:
    return np.asarray((obs["donor_id"] == key[0]) & (obs["visit"] == key[1]), bool)


def _quality(obs: pd.DataFrame) -> Quality:
    passed = obs["passes_qc"].to_numpy(bool)
    reasons = as_text(obs["exclusion"], missing="").str.split(";")
    counted = {name: int(sum(name in own for own in reasons)) for name in EXCLUSIONS}
    median = float(np.median(obs["total_counts"][passed])) if passed.any() else float("nan")
    return Quality(len(obs), int(passed.sum()), counted, median)


def _count_labels(told: CellLabels, own: NDArray[np.bool_], reference: Reference) -> Labels:
    level, veto, best = told.level[own], told.veto[own] != "", told.best[own]
    names, n = np.unique(reference.labels.head.types[best[veto]], return_counts=True)
    return Labels(
        int((level == "leaf").sum()),
        int((level == "ancestor").sum()),
        int((level == UNKNOWN).sum()),
        int(told.unlike[own].sum()),
        {str(name): int(count) for name, count in zip(names, n, strict=True)},
    )


def _residual(reference: Reference, x: Cells, measured: NDArray[np.bool_]) -> Residual | None:
    if reference.residual is None or x.shape[0] < MIN_CELLS:
        return None
    value, p, top = reference.residual.judge(left_over(x, reference.basis, measured), measured)
    symbols = reference.space.feature_symbols
    return Residual(round(value, 6), round(p, 6), tuple(str(symbols[at]) for at in top))


def _cell_table(
    adata: AnnData,
    told: CellLabels,
    reference: Reference,
    integrated: NDArray[np.float32],
    passes: NDArray[np.bool_],
) -> pd.DataFrame:
    import pandas as pd

    table = adata.obs.copy()
    table.insert(0, "cell_id", as_text(adata.obs_names))
    terms = reference.labels.terms
    place = np.full((len(table), 2), np.nan)
    place[passes] = reference.mixture.on_map(integrated)

    def spread(values: Any, empty: Any) -> list[Any]:
        out = [empty] * len(table)
        for row, value in zip(np.flatnonzero(passes), values, strict=True):
            out[row] = value
        return out

    table["cell_type"] = spread(told.label, UNKNOWN)
    table["cell_type_ontology_term_id"] = spread(told.term, UNKNOWN)
    table["label_level"] = spread(told.level, "")
    table["cell_type_set"] = spread(
        [sorted({str(terms[kind]) for kind in np.flatnonzero(row)}) for row in told.sets], []
    )
    table["nearest_cell_type"] = spread(reference.labels.head.types[told.best], "")
    table["probability"] = spread(np.round(told.probability, 6), float("nan"))
    table["typical_p"] = spread(np.round(told.typical, 6), float("nan"))
    table["veto"] = spread(told.veto, "")
    table["umap_1"], table["umap_2"] = place[:, 0], place[:, 1]
    out = table[MAPPED_CELLS.columns].reset_index(drop=True)
    return pd.DataFrame(out)
