"""Every form of X is read as it is, or refused with what makes it readable."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pmcell as pm
from counts_data import random_counts
from pmcell.errors import DataError, UsageError
from pmcell.pp._adata import raw_counts
from pmcell.pp.qc import QcOptions

NO_DOUBLETS = QcOptions(score_doublets=False)
COUNTS = random_counts(60, 20, 3)


def cells(x=None, **layers):
    obs = pd.DataFrame({"sample_id": "s", "batch_id": "b"}, index=[f"c{at}" for at in range(60)])
    var = pd.DataFrame({"symbol": [f"MT-{at}" for at in range(20)]}, [f"g{at}" for at in range(20)])
    made = ad.AnnData(x, obs=obs, var=var)
    for name, layer in layers.items():
        made.layers[name] = layer
    return made


@pytest.mark.parametrize("kind", ["f2", ">f2", ">f4", ">i4", "i1", "u8", np.longdouble, "?"])
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_every_type_of_number_gives_the_same_counts(kind, layout):
    wanted = COUNTS.toarray() if kind != "?" else (COUNTS.toarray() > 0).astype(int)
    if layout is np.asarray:
        x = wanted.astype(kind)
    else:
        # SciPy makes no matrix of some types; readers of files put one together by its parts.
        x = layout(wanted)
        x.data = x.data.astype(kind)
    holder = type("Cells", (), {"X": x, "isbacked": False, "layers": {}, "raw": None})()
    np.testing.assert_array_equal(raw_counts(holder).toarray(), wanted)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, pd.DataFrame])
def test_arrays_of_scipy_and_frames_are_read(form):
    x = form(COUNTS.toarray()) if form is pd.DataFrame else form(COUNTS)
    holder = type("Cells", (), {"X": x, "isbacked": False, "layers": {}, "raw": None})()
    np.testing.assert_array_equal(raw_counts(holder).toarray(), COUNTS.toarray())


STEPS = (
    lambda adata, **more: pm.pp.qc(adata, options=NO_DOUBLETS, **more),
    lambda adata, **more: pm.pp.highly_variable_genes(adata, n_top=5, **more),
)


@pytest.mark.parametrize("step", STEPS)
def test_counts_in_a_layer_are_named_where_x_is_empty_and_the_name_works(step):
    adata = cells(counts=COUNTS, logged=COUNTS.log1p())
    message = r"X must hold raw counts; it is empty. .*layer=…, one of 'counts', 'logged'"
    with pytest.raises(DataError, match=message):
        step(adata)
    step(adata, layer="counts")
    other = cells(COUNTS)
    step(other)
    pd.testing.assert_frame_equal(adata.obs, other.obs)
    pd.testing.assert_frame_equal(adata.var, other.var)
    with pytest.raises(UsageError, match=r"layer must be one of adata.layers; got 'none'"):
        step(adata, layer="none")


def test_a_layer_serves_all_steps_that_read_counts():
    adata, other = cells(counts=COUNTS), cells(COUNTS)
    for one, more in ((adata, {"layer": "counts"}), (other, {})):
        one.obs["cluster"] = ["a", "b"] * 30
        pm.pp.highly_variable_genes(one, n_top=10, **more)
        pm.tl.pca(one, n_components=3, **more)
        one.uns["found"] = pm.tl.markers(one, **more)
    np.testing.assert_array_equal(adata.obsm["X_pca"], other.obsm["X_pca"])
    pd.testing.assert_frame_equal(adata.uns["found"], other.uns["found"])


def test_a_backed_file_is_refused_with_two_ways_that_work(tmp_path):
    cells(COUNTS).write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with pytest.raises(DataError, match=r"to_memory\(\).*open_counts\(path\)"):
        pm.pp.qc(backed, options=NO_DOUBLETS)
    in_memory = backed.to_memory()
    pm.pp.qc(in_memory, options=NO_DOUBLETS)
    counts = pm.open_counts(tmp_path / "a.h5ad")
    in_blocks = counts.read_cells()
    pm.pp.qc(in_blocks, options=NO_DOUBLETS, counts=counts)
    np.testing.assert_array_equal(in_memory.obs["total_counts"], in_blocks.obs["total_counts"])


def test_values_that_are_no_counts_are_named_with_the_layer_to_name():
    with pytest.raises(DataError, match=r"not whole.*layer=…"):
        raw_counts(cells(COUNTS.astype(float) * 0.5))
    broken = COUNTS.toarray().astype(float)
    broken[0, 0] = np.nan
    with pytest.raises(DataError, match=r"values from 1.0 to .*, and some not finite"):
        raw_counts(cells(broken))
    holder = type("Cells", (), {"X": COUNTS.toarray() * 1j, "isbacked": False, "layers": {}})()
    with pytest.raises(DataError, match="found type complex128"):
        raw_counts(holder)


def test_an_array_of_another_library_is_named():
    class DaskArray:
        pass

    holder = type("Cells", (), {"X": DaskArray(), "isbacked": False, "layers": {}, "raw": None})()
    with pytest.raises(DataError, match=r"found .* DaskArray. .*compute\(\)"):
        raw_counts(holder)


# --- mitochondrial genes -----------------------------------------------------


def forms(symbols, ids):
    numbers = [str(at) for at in range(len(symbols))]
    return {
        "index": pd.DataFrame(index=symbols),
        "dots": pd.DataFrame(index=[name.replace("-", ".") for name in symbols]),
        "small letters": pd.DataFrame(index=[name.replace("MT-", "mt-") for name in symbols]),
        "genome": pd.DataFrame(index=[f"GRCh38_{name}" for name in symbols]),
        "genome of Seurat": pd.DataFrame(index=[f"hg19-{name}" for name in symbols]),
        "compound": pd.DataFrame(index=[f"{s}-{i}.5" for s, i in zip(symbols, ids, strict=True)]),
        "ids": pd.DataFrame(index=ids),
        "versions": pd.DataFrame(index=[f"{gene_id}.3" for gene_id in ids]),
        **{
            column: pd.DataFrame({column: symbols}, index=numbers)
            for column in ("symbol", "gene_symbols", "gene_symbol", "gene_name", "feature_name")
        },
        "factor": pd.DataFrame({"gene_name": pd.Categorical(symbols)}, index=numbers),
        "gene_ids": pd.DataFrame({"gene_ids": ids}, index=numbers),
        "Gene_Name": pd.DataFrame({"Gene_Name": symbols}, index=numbers),
    }


def test_mitochondrial_genes_are_found_by_every_usual_name_and_column():
    made = pm.simulate.simulate(
        n_donors=2, cells_per_sample=40, n_genes=120, real_genes=True, seed=3
    )
    symbols, ids = list(made.var["symbol"].astype(str)), list(made.var_names)
    shares = {}
    for form, var in forms(symbols, ids).items():
        adata = made.copy()
        adata.var = var
        pm.pp.qc(adata, options=NO_DOUBLETS)
        shares[form] = float(adata.obs["share_mitochondrial"].mean())
    assert shares["index"] > 0
    assert shares == dict.fromkeys(shares, shares["index"])


def test_a_warning_says_that_no_gene_is_mitochondrial():
    adata = cells(COUNTS)
    adata.var["symbol"] = [f"G{at}" for at in range(20)]
    with pytest.warns(UserWarning, match="no gene of var is mitochondrial"):
        pm.pp.qc(adata, options=NO_DOUBLETS)
    assert adata.obs["share_mitochondrial"].isna().all()
