"""`pm.open_release`: lazy tables and cells, counts that agree with them, clear errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pmcell as pm
from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.publish import write_release
from pmcell.release.parts import ReleaseTable
from pmcell.release.type_names import find_types
from results_folder import make_results


class _Table:
    """A table of a release that lies in memory."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def to_pandas(self, columns: list[str]):
        return self._rows.select(columns).to_pandas()


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
    found = release.expression(["ENSG00000001036"], cell_type=["T cell"], stratum="S1")
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
        ({"cell_type": "T cel"}, "Did you mean 'T cell'"),
        ({"cell_type": ["T cells"]}, "Did you mean 'T cell'"),
        ({"cell_type": []}, "must hold labels"),
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


def test_genes_are_found_by_symbol_and_id(release) -> None:
    table = release.genes()
    only_once = table[~table["symbol"].duplicated(keep=False)].iloc[[4, 1]]
    found = release.genes(only_once["symbol"].iloc[0], only_once["gene_id"].iloc[1])
    assert list(found["gene_id"]) == list(only_once["gene_id"])
    assert list(found.columns) == list(table.columns)
    with pytest.raises(UsageError, match="got NOGENE"):
        release.genes("NOGENE")


def test_cells_of_a_type_are_counted_for_each_donor_with_its_group(release) -> None:
    found = release.composition()
    table = release.tables["composition"].to_pandas()
    assert len(found) == len(table)
    visits = release.tables["visits"].to_pandas().set_index(["donor_id", "visit"])
    places = release.tables["assignments"].to_pandas().set_index(["donor_id", "visit"])
    for row in found.itertuples():
        key = (row.donor_id, row.visit)
        assert row.condition == visits.at[key, "condition"]
        stratum = places.at[key, "stratum"] if key in places.index else None
        assert row.stratum == stratum or stratum is None
    assert found["n_cells"].sum() == table["n_cells"].sum()


@pytest.mark.parametrize("asked", ["T cell", "T cells", "T-cells", "t", "T"])
def test_a_cell_type_is_found_by_words_of_its_names(release, asked: str) -> None:
    assert set(release.composition(asked)["cell_type"]) == {"T cell"}


def test_a_cell_type_is_found_by_synonyms_and_usual_abbreviations() -> None:
    terms = pa.table(
        {
            "term_id": ["CL:0000623", "CL:0000784", "CL:0000909"],
            "label": [
                "natural killer cell",
                "plasmacytoid dendritic cell",
                "CD8-positive, alpha-beta memory T cell",
            ],
            "synonyms": [["large granular lymphocyte"], [], []],
        }
    )
    labels = [*terms["label"].to_pylist(), "cluster 7"]
    for asked, at in (("large lymphocytes", 0), ("pDC", 1), ("CD8 T cells", 2), ("CD8+", 2)):
        assert find_types({"terms": _Table(terms)}, labels, asked) == [labels[at]]
    assert find_types({"terms": _Table(terms)}, labels, "cells") == labels[:3]
    for nothing in ("monocyte", "", "+"):
        with pytest.raises(UsageError, match="words of a cell type"):
            find_types({"terms": _Table(terms)}, labels, nothing)


def test_expression_and_composition_find_types_in_one_way(release) -> None:
    asked = release.expression("ENSG00000001036", cell_type="T cells")
    labels = ["CD4-positive, alpha-beta T cell", "T cell"]
    by_label = release.expression("ENSG00000001036", cell_type=labels)
    one = release.expression("ENSG00000001036", cell_type=["T cell"])
    assert 0 < len(one) < len(asked)
    pd.testing.assert_frame_equal(asked, by_label)
    assert set(release.composition(["T cell"])["cell_type"]) == {"T cell"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("classical monocyte", ["classical monocyte"]),
        ("non-classical monocytes", ["non-classical monocyte"]),
        ("non classical", ["non-classical monocyte"]),
        ("CD4", ["CD4-positive, alpha-beta T cell"]),
        ("CD4- T", ["CD4-negative, CD8-negative T cell"]),
        ("CD16", ["CD14-low, CD16-positive monocyte"]),
        ("CD14-low", ["CD14-low, CD16-positive monocyte"]),
        ("T cell", ["CD4-positive, alpha-beta T cell", "CD4-negative, CD8-negative T cell"]),
    ],
)
def test_what_a_type_is_not_does_not_name_it(asked: str, found: list[str]) -> None:
    labels = [
        "classical monocyte",
        "non-classical monocyte",
        "CD4-positive, alpha-beta T cell",
        "CD4-negative, CD8-negative T cell",
        "CD14-low, CD16-positive monocyte",
    ]
    assert find_types({}, labels, asked) == found


def test_a_release_that_was_replaced_is_not_read_on(release, tmp_path) -> None:
    copy = shutil.copytree(release.path, tmp_path / "copy")
    opened = pm.open_release(copy)
    older = copy.rename(tmp_path / "older")
    with pytest.raises(DataError, match="replaced or taken away"):
        _ = opened.tables
    shutil.copytree(older, copy)
    for read in (lambda: opened.tables, lambda: opened.cells, lambda: opened.strata):
        with pytest.raises(DataError, match="Open it again"):
            read()
    assert len(pm.open_release(copy).tables)


def test_pseudobulk_of_a_gene_is_zero_where_measured_and_null_elsewhere(release) -> None:
    # The first five genes were not measured in alpha-2.
    genes = ["ENSG00000001036", "ENSG00000000003"]
    found = release.pseudobulk(genes)
    table = release.tables["pseudobulk"].to_pandas()
    groups = table.groupby(["sample_id", "cell_type"])
    assert len(found) == 2 * len(groups)
    for row in found.itertuples():
        own = groups.get_group((row.sample_id, row.cell_type))
        counts = int(own.loc[own["gene_id"] == row.gene_id, "counts"].sum())
        if row.gene_id == genes[1] and row.cohort_id == "alpha-2":
            assert np.isnan(row.counts)
            assert np.isnan(row.counts_per_million)
        else:
            assert row.counts == counts
            assert row.counts_per_million == pytest.approx(1e6 * counts / own["counts"].sum())
        assert row.n_cells == own["n_cells"].iloc[0]
    assert release.pseudobulk(genes[0])["gene_id"].unique().tolist() == genes[:1]
    assert {"condition", "stratum", "donor_id", "visit"} <= {*found.columns}
    with pytest.raises(UsageError, match="got NOGENE"):
        release.pseudobulk("NOGENE")


def test_a_column_that_is_not_there_is_answered_by_the_nearest(release) -> None:
    donors = release.tables["donors"]
    with pytest.raises(UsageError, match=r"table donors .*got 'donorid'\. Did you mean 'donor_id'"):
        donors.to_pandas(["donorid"])
    with pytest.raises(UsageError, match=r"Did you mean 'disease_ontology_term_id'"):
        donors.to_pandas(["diseases"])
    assert list(donors.to_pandas("donor_id").columns) == ["donor_id"]
    assert len(donors.head(2)) == 2


def test_the_tab_key_offers_tables_and_cohorts(release) -> None:
    assert "donors" in release.tables._ipython_key_completions_()
    assert release.cells._ipython_key_completions_() == ["alpha", "alpha-2"]


def test_an_old_or_other_name_of_a_gene_is_answered_by_its_symbol(release) -> None:
    from pmcell.registry.terms.gene_table import gene_table

    symbols = release.genes().set_index("gene_id")["symbol"]
    name, gene_id = next(
        (name, ids)
        for name, (kind, ids) in gene_table().names.items()
        if ids in symbols.index and kind != "symbol" and name not in set(symbols)
    )
    with pytest.raises(UsageError, match=rf"{name} is {symbols[gene_id]}\."):
        release.genes(name)


def test_the_folder_above_a_release_is_answered_by_the_release(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"Did you mean '.*/release'"):
        pm.open_release(folder.parent)


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
