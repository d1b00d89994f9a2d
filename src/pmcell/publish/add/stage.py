"""Results of the added cohorts alone, laid out as a study's: the writers of a release read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.sums import N_DETECTED
from pmcell.io.counts.aggregates import read_aggregate, write_aggregate
from pmcell.io.counts.open import open_counts
from pmcell.io.tables import join_tables, read_table, write_table
from pmcell.publish.add.place import Placed
from pmcell.publish.add.previous import Previous
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import (
    ADDITIONS,
    ASSIGNMENTS,
    COMPOSITION,
    DUPLICATES,
    GENES,
    PLACED_CELLS,
    PLACEMENTS,
    Table,
)
from pmcell.schema.mapped import (
    AMBIGUOUS,
    ASSIGNED,
    NO_STRATA,
    NOT_PLACED,
    NOVEL,
    TOO_FEW_CELLS,
    MappedVisit,
)
from pmcell.schema.text import as_text
from pmcell.tl.aggregate import aggregate_cells

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.core.counts.aggregate import Aggregate

STATUS = {
    ASSIGNED: "assigned",
    AMBIGUOUS: "ambiguous",
    NOVEL: "novel",
    NOT_PLACED: "not_placed",
    NO_STRATA: "withheld",
    TOO_FEW_CELLS: "too_few_cells",
}
"""Status in table assignments by that of a mapped visit."""


def stage_results(
    facts: Facts,
    previous: Previous,
    placed: Mapping[str, Placed],
    duplicates: pd.DataFrame,
    folder: Path,
) -> Facts:
    """Write the results of the added cohorts of `facts` into `folder`.

    Counts are linked; sums and the tables of people are made of what was placed; `duplicates` are
    rows of that table. Returns the facts of these cohorts alone.
    """
    cohorts = []
    for name, found in sorted(placed.items()):
        (cohort,) = (item for item in facts.cohorts if item.cohort_id == name)
        own = folder / "cohorts" / name
        own.mkdir(parents=True)
        for path in sorted(cohort.folder.iterdir()):
            if path.is_file() and path.name != "aggregate.npz":
                (own / path.name).symlink_to(path.absolute())
        write_aggregate(own / "aggregate.npz", _aggregate(cohort, found))
        cohorts.append(replace(cohort, folder=own))
    benchmarks = facts.results / "benchmarks"
    if benchmarks.is_dir():
        (folder / "benchmarks").symlink_to(benchmarks.absolute())
    visits = {name: found.visits for name, found in placed.items()}
    everyone = [visit for name in sorted(visits) for visit in visits[name]]
    tables = {
        ADDITIONS: [_addition(facts, previous, name, found) for name, found in placed.items()],
        PLACEMENTS: list(map(_placement, everyone)),
        ASSIGNMENTS: [_assignment(previous, visit) for visit in everyone],
    }
    strata = folder / "strata"
    for table, rows in tables.items():
        write_table(strata / f"{table.name}.parquet", _frame(rows, table), table)
    write_table(strata / "composition.parquet", _composition(previous, placed), COMPOSITION)
    write_table(strata / "placed_cells.parquet", _cells(placed), PLACED_CELLS)
    write_table(folder / "atlas" / "duplicates.parquet", duplicates, DUPLICATES)
    _stage_genes(previous, cohorts, folder / "atlas" / "features.parquet")
    # Files of the added cohorts say of the release what those of the others say.
    options = facts.options.model_copy(update={"title": facts.title})
    return replace(facts, results=folder, cohorts=tuple(cohorts), options=options)


def _frame(rows: list[dict[str, Any]], table: Table) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=table.columns)


def _aggregate(cohort: Cohort, placed: Placed) -> Aggregate:
    """Sums by the type under which cells count, which stands for their cluster."""
    counts = open_counts(cohort.folder / "intake.h5ad")
    obs = counts.read_obs()
    cells = as_text(obs[["sample_id", "donor_id", "tissue_ontology_term_id"]]).copy()
    cells["cluster"] = placed.cells["counted_as"].reindex(cells.index)
    return aggregate_cells(counts, counts.gene_ids, cells)


def _addition(facts: Facts, previous: Previous, name: str, placed: Placed) -> dict[str, Any]:
    told = [visit.stratum.status for visit in placed.visits]
    n_known = sum(told.count(status) for status in (ASSIGNED, AMBIGUOUS, NOVEL))
    return {
        "cohort_id": name,
        "release_version": facts.options.version,
        "previous_version": previous.version,
        "previous_sha256": previous.content_sha256,
        "reference_sha256": previous.reference.digest,
        "n_genes_reference": placed.n_genes[0],
        "n_genes_shared": placed.n_genes[1],
        "n_donors": len({visit.donor_id for visit in placed.visits}),
        "n_visits": len(told),
        "n_assigned": told.count(ASSIGNED),
        "n_ambiguous": told.count(AMBIGUOUS),
        "n_novel": told.count(NOVEL),
        "n_not_placed": len(told) - n_known,
    }


def _placement(visit: MappedVisit) -> dict[str, Any]:
    answer = visit.stratum
    probability = (answer.probability or {}).get(answer.nearest or "")
    residual = visit.residual
    return {
        "donor_id": visit.donor_id,
        "visit": visit.visit,
        "status": answer.status,
        "why": answer.why,
        "stratum": answer.stratum,
        "nearest_stratum": answer.nearest,
        "probability": probability,
        "conformal_set": None if answer.conformal_set is None else list(answer.conformal_set),
        "coverage": answer.coverage,
        "calibrated_on": answer.calibrated_on,
        "ood_p": answer.ood_p,
        "margin": answer.margin,
        "composition_p": visit.donor_p,
        "expression_p": None if residual is None else residual.p,
        "n_cells": visit.quality.n_cells,
        "n_cells_labelled": visit.labels.n_leaf + visit.labels.n_ancestor,
        "n_cells_unlike": visit.labels.n_unlike,
    }


def _assignment(previous: Previous, visit: MappedVisit) -> dict[str, Any]:
    answer = visit.stratum
    inside = answer.conformal_set
    return {
        "donor_id": visit.donor_id,
        "visit": visit.visit,
        "stratum": answer.stratum,
        "status": STATUS[answer.status],
        "conformal_set": None if inside is None else ";".join(inside) or "none",
        "ood_p": answer.ood_p,
        "n_cells": visit.quality.n_cells,
        "left_out": f"added to release {previous.version} after its strata were found",
    }


def _composition(previous: Previous, placed: Mapping[str, Placed]) -> pd.DataFrame:
    """Cells of each type of the earlier donors, and of others that occur."""
    import pandas as pd

    known = set(previous.reference.donors.donors.var_names)
    parts = []
    for found in placed.values():
        rows = found.composition[COMPOSITION.columns]
        parts.append(rows[rows["cell_type"].isin(known) | (rows["n_cells"] > 0)])
    return pd.concat(parts, ignore_index=True)


def _cells(placed: Mapping[str, Placed]) -> pd.DataFrame:
    import pandas as pd

    names = PLACED_CELLS.columns
    return pd.concat([found.cells.reset_index()[names] for found in placed.values()])


def _stage_genes(previous: Previous, cohorts: list[Cohort], target: Path) -> None:
    """The genes of the earlier release, and those that only added cohorts measured."""
    known = read_table(previous.table("genes"))
    detected: dict[str, int] = {}
    symbols: dict[str, str] = {}
    measured: dict[str, list[str]] = {}
    for cohort in sorted(cohorts, key=lambda item: item.cohort_id):
        part = read_aggregate(cohort.folder / "aggregate.npz")
        sums = np.asarray(part.sums.matrix(N_DETECTED).sum(axis=0)).ravel()
        symbol = open_counts(cohort.folder / "intake.h5ad").read_var()["symbol"]
        for gene, n in zip(map(str, part.gene_ids), sums, strict=True):
            detected[gene] = detected.get(gene, 0) + int(n)
            symbols.setdefault(gene, str(symbol[gene]))
            measured.setdefault(gene, []).append(cohort.cohort_id)
    other = sorted(set(detected) - set(known["gene_id"]))
    rows = [
        {
            "gene_id": gene,
            "symbol": symbols[gene],
            "measured_in": measured[gene],
            "n_cells_detected": detected[gene],
            "is_highly_variable": False,
            "hvg_rank": None,
            "highly_variable_in": [],
        }
        for gene in other
    ]
    parts = [known, *([_frame(rows, GENES)] if rows else [])]
    write_table(target, join_tables(parts, GENES), GENES)
