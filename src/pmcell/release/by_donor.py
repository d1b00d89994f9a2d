"""What a release says of its donors, ready to be grouped: cells of each type, counts of genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pmcell.release.expression import find_genes, measured_later
from pmcell.release.type_names import find_types

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.parts import Parts

VISIT_KEY = ["donor_id", "visit"]
TOTALS_KEY = ["sample_id", "cell_type"]


def read_composition(tables: Parts, cell_type: str | Sequence[str] | None) -> pd.DataFrame:
    """See `Release.composition`."""
    rows = tables["composition"].to_pandas()
    if cell_type is not None:
        found = find_types(tables, rows["cell_type"].unique(), cell_type)
        rows = rows[rows["cell_type"].isin(found)]
    return _with_visits(tables, rows)


def read_pseudobulk(tables: Parts, genes: Sequence[str]) -> pd.DataFrame:
    """See `Release.pseudobulk`."""
    import pandas as pd
    import pyarrow.compute as pc

    asked = find_genes(tables, genes).drop_duplicates("gene_id")
    totals = _totals(tables)
    samples = tables["samples"].to_pandas(["sample_id", "cohort_id", *VISIT_KEY])
    every = totals.merge(samples, on="sample_id").merge(asked, how="cross")
    keep = pc.field("gene_id").isin(list(asked["gene_id"]))
    sums = tables["pseudobulk"].to_pandas([*TOTALS_KEY, "gene_id", "counts"], keep)
    rows = every.merge(sums, on=[*TOTALS_KEY, "gene_id"], how="left")
    later = measured_later(tables, asked["gene_id"])
    measured = [
        cohort_id in cohorts or (cohort_id, gene_id) in later
        for cohort_id, gene_id, cohorts in zip(
            rows["cohort_id"], rows["gene_id"], rows["measured_in"], strict=True
        )
    ]
    counts = rows["counts"].fillna(0).where(pd.Series(measured, index=rows.index, dtype=bool))
    rows = rows.assign(counts=counts, counts_per_million=1e6 * counts / rows["total"])
    names = [*TOTALS_KEY, *VISIT_KEY, "gene_id", "symbol", "n_cells", "counts"]
    rows = _with_visits(tables, rows[[*names, "counts_per_million"]])
    return rows.sort_values(["gene_id", *TOTALS_KEY], ignore_index=True)


def _totals(tables: Parts) -> pd.DataFrame:
    """Counts of all genes and cells of each sample and type, summed batch by batch."""
    import pandas as pd
    import pyarrow as pa

    columns = [*TOTALS_KEY, "n_cells", "counts"]
    parts = [
        pa.Table.from_batches([batch])
        .group_by(TOTALS_KEY)
        .aggregate([("n_cells", "max"), ("counts", "sum")])
        .to_pandas()
        for batch in tables["pseudobulk"].dataset.to_batches(columns=columns)
        if batch.num_rows
    ]
    if not parts:
        return pd.DataFrame(columns=[*TOTALS_KEY, "n_cells", "total"])
    sums = pd.concat(parts).groupby(TOTALS_KEY, as_index=False)
    return sums.agg(n_cells=("n_cells_max", "max"), total=("counts_sum", "sum"))


def _with_visits(tables: Parts, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with cohort, condition and stratum of their donor and visit before the rest."""
    visits = tables["visits"].to_pandas(["cohort_id", *VISIT_KEY, "condition"])
    places = tables["assignments"].to_pandas([*VISIT_KEY, "stratum"])
    known = visits.merge(places, on=VISIT_KEY, how="left")
    joined = known.merge(rows, on=VISIT_KEY)
    return joined.sort_values([*VISIT_KEY], kind="stable", ignore_index=True)
