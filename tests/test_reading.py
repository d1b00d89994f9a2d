"""`pm.open_release`: lazy tables and cells, counts that agree with them, clear errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pmcell as pm
from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.publish import write_release
from pmcell.release.parts import ReleaseTable
from results_folder import make_results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = make_results(tmp_path_factory.mktemp("reading"))
    write_release(results, results / "release")
    return results / "release"


@pytest.fixture(scope="module")
def release(folder: Path):
    return pm.open_release(folder)


def test_a_release_says_what_is_in_it(release) -> None:
    text = repr(release)
    for part in ("alpha, alpha-2", "closed (controlled)", "wrong (quarantined)", "5 donors"):
        assert part in text
    assert "research use only" in text


def test_tables_are_read_when_asked_for(release) -> None:
    import pyarrow.compute as pc

    donors = release.tables["donors"]
    assert len(donors) == len(donors.to_pandas()) == 5
    assert donors.to_arrow(["donor_id"]).column_names == ["donor_id"]
    few = donors.to_pandas(filter=pc.field("cohort_id") == "alpha")
    assert set(few["cohort_id"]) == {"alpha"}
    assert donors.describe().loc["n_cells", "unit"] == "cells"
    assert "donors" in release.tables
    assert "donor" not in release.tables
    with pytest.raises(KeyError, match="Did you mean 'donors'"):
        release.tables["donor"]


def test_cells_stay_on_disk_until_they_are_loaded(release) -> None:
    cells = release.cells["alpha"]
    assert cells.isbacked
    assert cells.to_memory().raw.shape[1] == 30
    assert list(release.cells) == ["alpha", "alpha-2"]
    assert release.donors.n_obs == 7
    assert release.strata["decision"] == "strata"


@pytest.mark.parametrize("source", ["expression", "cells"])
def test_expression_is_that_of_the_cells_and_unknown_where_not_measured(
    folder: Path, tmp_path: Path, source: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    if source == "cells":
        shutil.rmtree(copy / "expression")
    release = pm.open_release(copy)
    # The first five genes were not measured in alpha-2; one gene is asked for by both names.
    genes = ["ENSG00000001036", "ENSG00000000003", "GENE36"]
    symbols = release.tables["genes"].to_pandas(["gene_id", "symbol"]).set_index("gene_id")
    genes[2] = str(symbols.loc[genes[0], "symbol"])
    if (symbols["symbol"] == genes[2]).sum() > 1:
        genes[2] = genes[0]
    found = release.expression(genes)
    for cohort in ("alpha", "alpha-2"):
        cells = release.cells[cohort].to_memory()
        own = found.loc[list(cells.obs_names)].to_numpy()
        raw = cells.raw.to_adata()
        assert np.array_equal(own[:, 0], raw[:, genes[0]].X.toarray().ravel())
        assert np.array_equal(own[:, 0], own[:, 2])
        assert np.isnan(own[:, 1]).all() == (cohort == "alpha-2")
    normalised = release.expression(genes[:1], cohorts=["alpha"], normalised=True)
    cells = release.cells["alpha"].to_memory()
    expected = cells[:, genes[0]].X.toarray().ravel()
    np.testing.assert_allclose(
        normalised.loc[list(cells.obs_names), genes[0]], expected, rtol=1e-5, atol=1e-6
    )


def test_expression_of_a_type_and_stratum_has_its_cells_with_zeros(release) -> None:
    found = release.expression(["ENSG00000001036"], cell_type="T cell", stratum="S1")
    cells = release.tables["cells"].to_pandas()
    places = release.tables["assignments"].to_pandas(["donor_id", "visit", "stratum"])
    cells = cells[cells["passes_qc"]].merge(places, on=["donor_id", "visit"])
    chosen = cells[(cells["cell_type"] == "T cell") & (cells["stratum"] == "S1")]
    assert list(found.index) == sorted(chosen["cell_id"])
    assert (found == 0).any(axis=None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"genes": ["NOGENE"]}, "got NOGENE"),
        ({"cell_type": "T cells"}, "Did you mean 'T cell'"),
        ({"stratum": "S9"}, r"published one \(S1, S2\), got 'S9'"),
        ({"cohorts": ["closed"]}, r"published ones \(alpha, alpha-2\), got 'closed'"),
    ],
)
def test_what_the_release_does_not_have_is_named(release, asked: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        release.expression(**{"genes": ["ENSG00000001036"], **asked})


def test_a_symbol_of_several_genes_is_refused(release) -> None:
    table = release.tables["genes"].to_pandas(["symbol"])["symbol"]
    several = table[table.duplicated()].iloc[0]
    with pytest.raises(UsageError, match="Several genes are called"):
        release.expression([several])


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the folder of a release"):
        pm.open_release(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(UsageError, match="needs the folder of a release"):
        pm.open_release(tmp_path)


def test_a_release_of_another_major_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": "9.0.0", "pmcell": "9"}))
    with pytest.raises(DataError, match=r"schema 9\.0\.0\. Use pmcell 9"):
        pm.open_release(tmp_path)


def test_damage_is_found_when_asked_for(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert pm.open_release(copy, verify=True).path == copy
    (copy / "README.md").write_text("x")
    pm.open_release(copy)
    with pytest.raises(FaultsError, match=r"README\.md"):
        pm.open_release(copy, verify=True)


@pytest.mark.parametrize("texts", [["c"], ["a", "zz"], ["b", "f"], ["none"], []])
@pytest.mark.parametrize("has_statistics", [True, False])
def test_rows_with_a_text_are_found_by_row_groups(
    tmp_path: Path, texts: list[str], has_statistics: bool
) -> None:
    rows = pa.table({"gene_id": sorted("aabbbcddef" * 3), "cell_row": range(30)})
    path = tmp_path / "x.parquet"
    pq.write_table(rows, path, row_group_size=4, write_statistics=has_statistics)
    found = [
        (gene, row)
        for batch in ReleaseTable(path).batches_with("gene_id", texts, rows.column_names)
        for gene, row in zip(*(batch.column(at).to_pylist() for at in (0, 1)), strict=True)
    ]
    wanted = [row for row in zip(*rows.to_pydict().values(), strict=True) if row[0] in texts]
    assert [row for row in found if row[0] in texts] == wanted
    assert has_statistics is False or len(found) <= len(wanted) + 6 * len(texts)
