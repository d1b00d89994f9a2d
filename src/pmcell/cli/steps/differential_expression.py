"""Say what strata, and groups of donors such as conditions, differ in: genes and gene sets.

Each cell type's counts are added up per donor and compared, adjusted for batch. Donors who have
several of the conditions are compared with themselves; so are their visits where these alone
differ, as before and after a treatment. A result is `descriptive` until donors who had no part in
finding it confirm it.
Without published strata only the other contrasts are tested.

Example:
  pmcell differential_expression --donors results/strata/donors.h5ad --cohort a results/cohorts/a \\
    --cohort b results/cohorts/b --cell-types results/atlas/cell_types.parquet \\
    --features results/atlas/features.parquet --out-dir results/strata
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pmcell.cli._job.atlas import cohort_sums, read_symbols
from pmcell.cli._settings import step_settings
from pmcell.settings.donors import DifferentialExpressionSettings


def run(args: argparse.Namespace) -> int:
    """Write expression_contrasts, differential_expression, pathways and gene_drivers."""
    import pandas as pd

    from pmcell import schema, strata
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import write_table
    from pmcell.strata.explanation.contrasts import contrasts_of

    settings = step_settings(args, DifferentialExpressionSettings)
    options = settings.model_dump(include={"covariates", "alpha", "confirm", "seed"})
    sets = _gene_sets(args.gene_sets_file or settings.gene_sets)
    donors = read_h5ad(args.donors)
    counts = _pseudobulk(args, donors)
    symbols = read_symbols(args.features)
    genes, compared, activities = [], [], []
    for contrast in settings.contrasts or contrasts_of(donors):
        of_genes, facts = strata.differential_expression(
            donors, pseudobulk=counts, symbols=symbols, contrast=contrast, **options
        )
        genes.append(of_genes)
        compared.append(facts)
        if sets:
            activities.append(
                strata.pathways(
                    donors,
                    pseudobulk=counts,
                    gene_sets=sets,
                    symbols=symbols,
                    contrast=contrast,
                    **options,
                )
            )
    drivers = strata.gene_drivers(
        donors, pseudobulk=counts, symbols=symbols, top=settings.top_drivers, seed=settings.seed
    )
    facts = pd.concat(compared)
    for table, frames in (
        (schema.EXPRESSION_CONTRASTS, compared),
        (schema.DIFFERENTIAL_EXPRESSION, genes),
        (schema.PATHWAYS, activities),
        (schema.GENE_DRIVERS, [drivers]),
    ):
        write_table(args.out_dir / f"{table.name}.parquet", _joined(frames, table.columns), table)
    for line in _sentences(facts, len(sets)):
        print(line)
    return 0


def _joined(frames: list[Any], columns: list[str]) -> Any:
    """The rows of all frames, which are let go of: tables of genes are large."""
    import pandas as pd

    filled = [frame for frame in frames if len(frame)]
    frames.clear()
    if len(filled) == 1:
        return filled.pop()
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def _gene_sets(path: Path | str | None) -> dict[str, dict[str, float]]:
    from pmcell.io.gmt import read_gene_sets

    return read_gene_sets(Path(path)).weights if path else {}


def _pseudobulk(args: argparse.Namespace, donors: Any) -> Any:
    from pmcell import strata
    from pmcell.io.tables import read_table
    from pmcell.tl.cell_types import type_of_cells

    aggregates, visits = cohort_sums(args.cohort)
    return strata.pseudobulk(
        donors,
        aggregates=aggregates,
        visits=visits,
        cell_types=type_of_cells(read_table(args.cell_types)),
    )


def _sentences(facts: Any, n_sets: int) -> list[str]:
    out = []
    for name, own in facts.groupby("contrast", sort=False):
        tested = own[own["why_not"] == ""]
        if tested.empty:
            out.append(f"{name}: not tested: {own['why_not'].iloc[0]}")
            continue
        out.append(
            f"{name}: {tested['cell_type'].nunique()} of {own['cell_type'].nunique()} cell types "
            f"tested; {int(tested['n_significant'].sum())} of {int(tested['n_genes'].sum())} genes "
            f"differ, {int(tested['n_confirmed'].sum())} confirmed in held-out donors"
        )
        out += [f"{name}: {line}" for line in _designs(tested)]
    if n_sets:
        out.append(f"{n_sets} gene sets")
    return out


def _designs(tested: Any) -> list[str]:
    """Each design that was recognised, and in how many cell types."""
    formula = tested["design"].str.split("; ").str[0]
    out = []
    for design, own in tested.groupby(formula, sort=True):
        pairs, lost = int(own["n_donors_paired"].max()), int(own["n_donors_left_out"].max())
        said = f"{design} in {own['cell_type'].nunique()} cell types"
        said += f", up to {pairs} donors compared with themselves" if pairs else ""
        said += f", up to {lost} left out" if lost else ""
        out.append(said)
    return out
