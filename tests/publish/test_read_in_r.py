"""What R reads of a release by `read_pmcell.R` is what Python wrote, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest

from pmcell import schema
from pmcell.io.tables import read_table
from r_programs import needs_r, run_r

TABLES = ("donors", "genes", "assignments", "cells")
# What R holds is written down as numbers and texts, without a second opinion of R's on them.
SCRIPT = """
source("read_pmcell.R")
out <- commandArgs(TRUE)[1]
rhdf5::h5createFile(out)
put <- function(name, value) rhdf5::h5write(value, out, name, native = FALSE)
sce <- pmcell_cells("alpha")
seurat <- pmcell_seurat(sce)
for (name in c("counts", "logcounts")) {
  matrix <- SummarizedExperiment::assay(sce, name)
  put(paste0(name, "_x"), matrix@x); put(paste0(name, "_i"), matrix@i)
  put(paste0(name, "_p"), matrix@p)
}
put("genes", rownames(sce)); put("cells", colnames(sce))
for (name in SingleCellExperiment::reducedDimNames(sce)) {
  put(paste0("dim_", name), t(SingleCellExperiment::reducedDim(sce, name)))
  put(paste0("seurat_", name), t(SeuratObject::Embeddings(seurat, name)))
}
labels <- as.data.frame(SummarizedExperiment::colData(sce))
for (name in names(labels)) {
  column <- labels[[name]]
  if (is.factor(column)) put(paste0("levels_", name), levels(column))
  put(paste0("obs_", name), if (is.factor(column)) as.integer(column) - 1L
                            else if (is.logical(column)) as.integer(column) else column)
}
in_seurat <- SeuratObject::GetAssayData(seurat, slot = "counts")
put("seurat_x", in_seurat@x); put("seurat_i", in_seurat@i); put("seurat_p", in_seurat@p)
people <- pmcell_donors()
put("distance", t(people$distances$distance))
for (table in commandArgs(TRUE)[-1]) {
  frame <- pmcell_table(table)
  for (name in names(frame)) if (!is.list(frame[[name]])) {
    column <- frame[[name]]
    put(paste0("missing_", table, "_", name), as.integer(is.na(column)))
    if (is.character(column)) column[is.na(column)] <- "" else column <- as.numeric(column)
    put(paste0("table_", table, "_", name), column)
  }
}
fields <- pmcell_fields("donors")
put("meaning", fields$meaning)
symbol <- pmcell_table("genes")$symbol[1]
put("expressed", sum(pmcell_expression(symbol)$counts))
put("refusal", tryCatch({pmcell_table("nobody"); ""}, error = conditionMessage))
put("no_gene", tryCatch({pmcell_expression("NOGENE"); ""}, error = conditionMessage))
"""


pytestmark = pytest.mark.r


@pytest.fixture(scope="module", autouse=True)
def _needs_r() -> None:
    needs_r()


@pytest.fixture(scope="module")
def found(open_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[h5py.File]:
    """What R found."""
    path = tmp_path_factory.mktemp("r") / "found.h5"
    script = path.with_suffix(".R")
    script.write_text(SCRIPT, encoding="utf-8")
    run_r(f'source("{script}")', open_release, str(path), *TABLES)
    with h5py.File(path) as file:
        yield file


def texts(values: h5py.Dataset) -> list[str]:
    return [item.decode() for item in values[()]]


def test_counts_are_equal_bit_for_bit(found: h5py.File, open_release: Path) -> None:
    cells = ad.read_h5ad(open_release / "cells" / "alpha.h5ad")
    for name, matrix in (("counts", cells.raw.X), ("logcounts", cells.X)):
        assert np.array_equal(found[f"{name}_x"][()], matrix.data.astype(np.float64))
        assert np.array_equal(found[f"{name}_i"][()], matrix.indices)
        assert np.array_equal(found[f"{name}_p"][()], matrix.indptr)
    for part in "xip":
        assert np.array_equal(found[f"seurat_{part}"][()], found[f"counts_{part}"][()])
    assert texts(found["genes"]) == list(cells.var_names)
    assert texts(found["cells"]) == list(cells.obs_names)


def test_reduced_dimensions_are_equal_bit_for_bit(found: h5py.File, open_release: Path) -> None:
    cells = ad.read_h5ad(open_release / "cells" / "alpha.h5ad")
    names = [name.removeprefix("X_") for name in cells.obsm]
    assert sorted(f"dim_{name}" for name in names) == [name for name in found if name[:4] == "dim_"]
    for name in names:
        expected = cells.obsm[f"X_{name}"].astype(np.float64)
        assert np.array_equal(found[f"dim_{name}"][()].reshape(expected.shape), expected)
        assert np.array_equal(found[f"seurat_{name}"][()].reshape(expected.shape), expected)


def test_labels_are_factors_with_the_same_levels(found: h5py.File, open_release: Path) -> None:
    obs = ad.read_h5ad(open_release / "cells" / "alpha.h5ad").obs
    n_factors = 0
    for name in obs:
        values = found[f"obs_{name}"][()]
        if obs[name].dtype.name == "category":
            n_factors += 1
            assert texts(found[f"levels_{name}"]) == list(obs[name].cat.categories)
            assert np.array_equal(values, obs[name].cat.codes)
        else:
            assert np.array_equal(values, obs[name].to_numpy(np.float64), equal_nan=True)
    assert n_factors >= 10


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_the_same_values_and_gaps(
    found: h5py.File, open_release: Path, table: str
) -> None:
    frame = read_table(open_release / "tables" / f"{table}.parquet")
    compared = 0
    kinds = {field.name: field.kind for field in schema.table(table).fields}
    for name in frame:
        if f"table_{table}_{name}" not in found:
            assert kinds[name].startswith("list"), name
            continue
        values = found[f"table_{table}_{name}"]
        missing = found[f"missing_{table}_{name}"][()].astype(bool)
        assert np.array_equal(missing, frame[name].isna()), name
        if values.dtype.kind in "SO":
            assert texts(values) == list(frame[name].astype(object).where(~missing, "")), name
        else:
            expected = frame[name].astype("float64").to_numpy()
            assert np.array_equal(values[()][~missing], expected[~missing]), name
        compared += 1
    assert compared >= 5


def test_expression_of_a_gene_sums_to_that_of_the_cells(
    found: h5py.File, open_release: Path
) -> None:
    genes = read_table(open_release / "tables" / "genes.parquet")
    total = 0.0
    for path in (open_release / "cells").glob("*.h5ad"):
        raw = ad.read_h5ad(path).raw
        if genes["gene_id"].iloc[0] in raw.var_names:
            total += float(raw[:, [genes["gene_id"].iloc[0]]].X.sum())
    assert found["expressed"][()].item() == total > 0


def test_distances_of_donors_are_equal(found: h5py.File, open_release: Path) -> None:
    donors = ad.read_h5ad(open_release / "donors.h5ad")
    assert np.array_equal(
        found["distance"][()].reshape(donors.shape[0], -1),
        donors.obsp["distance"], equal_nan=True,
    )  # fmt: skip


def test_what_is_not_there_is_said_with_what_is(found: h5py.File) -> None:
    assert "Cells that passed QC." in texts(found["meaning"])
    assert re.search(r"nobody\.parquet must be a file .* donors", texts(found["refusal"])[0])
    assert "not there: NOGENE" in texts(found["no_gene"])[0]


def test_every_r_snippet_of_the_release_runs(release: Path) -> None:
    from pmcell.release import ReleaseFolder
    from pmcell.report.site.snippets import snippets

    blocks = re.findall(r"```r\n(.*?)```", (release / "README.md").read_text(), re.DOTALL)
    blocks += [item.code for item in snippets(ReleaseFolder(release)) if item.language == "r"]
    assert len(blocks) == 2
    run_r("\n".join(blocks), release)
