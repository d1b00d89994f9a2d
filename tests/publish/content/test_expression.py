"""Counts as tables: equal to the cells' matrices, sorted by gene, skipped where not asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pmcell.core.counts.kept import kept_rows
from pmcell.errors import UsageError
from pmcell.io.counts.open import open_counts
from pmcell.io.tables import read_table, write_chunks, write_table
from pmcell.publish.content.expression import BAND_VALUES, expression_writer
from pmcell.publish.facts import Cohort, Facts, load_facts
from pmcell.schema import CELLS, EXPRESSION, TABLES
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReleaseSettings


def as_matrix(table: pd.DataFrame, cells: ad.AnnData) -> np.ndarray:
    matrix = np.zeros(cells.raw.shape, np.int64)
    genes = pd.Index(cells.raw.var_names).get_indexer(table["gene_id"])
    matrix[table["cell_row"], genes] = table["counts"]
    return matrix


def write_expression(
    facts: Facts, cohort: Cohort, target: Path, *, band_values: int = BAND_VALUES
) -> None:
    """One cohort's counts, without the file of its cells."""
    counts = open_counts(cohort.folder / "intake.h5ad")
    keep = read_table(cohort.folder / "qc.parquet", ["passes_qc"])["passes_qc"].to_numpy(bool)
    with expression_writer(facts, cohort, counts, target, band_values=band_values) as add:
        for block in counts.iter_blocks():
            add(kept_rows(block, keep[block.rows]))


@pytest.mark.parametrize("band_values", [1, 40, 10**6])
def test_bands_of_any_size_give_the_counts_of_the_cells(
    shared_results: Path, release: Path, tmp_path: Path, band_values: int
) -> None:
    facts = load_facts(shared_results)
    for cohort in facts.published:
        target = tmp_path / f"{cohort.cohort_id}.parquet"
        write_expression(facts, cohort, target, band_values=band_values)
        table = read_table(target)
        cells = ad.read_h5ad(release / "cells" / target.with_suffix(".h5ad").name)
        assert np.array_equal(as_matrix(table, cells), cells.raw.X.toarray())
        keys = table[["gene_id", "cell_row"]]
        assert keys.equals(keys.sort_values(["gene_id", "cell_row"]).reset_index(drop=True))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".parquet", ".parquet"]


def test_only_highly_variable_genes_when_asked_for(open_release: Path, tmp_path: Path) -> None:
    facts = load_facts(open_release.parent)
    facts = replace(facts, options=ReleaseSettings(expression="highly_variable"))
    write_expression(facts, facts.published[0], tmp_path / "x.parquet")
    features = read_table(facts.results / "atlas" / "features.parquet")
    variable = set(features.loc[features["is_highly_variable"], "gene_id"])
    assert len(set(features["gene_id"]) - variable) > 0
    assert set(read_table(tmp_path / "x.parquet")["gene_id"]) == variable
    said = pq.read_schema(tmp_path / "x.parquet").metadata
    assert said[b"pmcell:genes"] == b"highly_variable"


def test_the_choice_of_genes_by_withheld_cells_is_not_shown(
    shared_results: Path, tmp_path: Path
) -> None:
    facts = load_facts(shared_results)
    facts = replace(facts, options=ReleaseSettings(expression="highly_variable"))
    with pytest.raises(UsageError, match="'all' or 'none' where a cohort is withheld"):
        write_expression(facts, facts.published[0], tmp_path / "x.parquet")


def test_an_unknown_choice_of_genes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expression.*highly_variable"):
        checked_section(ReleaseSettings, {"expression": "some"})


def test_cell_row_is_the_place_in_the_cell_file(release: Path) -> None:
    table = read_table(release / "tables" / "cells.parquet")
    for cohort, part in table[table["passes_qc"]].groupby("cohort_id"):
        cells = ad.read_h5ad(release / "cells" / f"{cohort}.h5ad")
        assert list(cells.obs_names[part["cell_row"].astype(int)]) == list(part["cell_id"])
    assert table.loc[~table["passes_qc"], "cell_row"].isna().all()


def test_a_question_of_type_stratum_and_genes_is_answered_by_sql(release: Path) -> None:
    import duckdb

    import pmcell as pm

    genes = ["ENSG00000000938", "ENSG00000001036"]
    rows = duckdb.sql(
        f"""WITH counts AS (
          SELECT * FROM '{release}/expression/*.parquet' WHERE gene_id IN {tuple(genes)})
        SELECT c.cell_id, g.gene_id, coalesce(e.counts, 0) AS counts
        FROM '{release}/tables/cells.parquet' c
        JOIN '{release}/tables/assignments.parquet' a USING (donor_id, visit)
        JOIN '{release}/tables/genes.parquet' g ON g.gene_id IN {tuple(genes)}
        LEFT JOIN counts e ON (e.cohort_id, e.cell_row, e.gene_id)
          = (c.cohort_id, c.cell_row, g.gene_id)
        WHERE c.cell_type = 'T cell' AND a.stratum = 'S2'"""
    ).df()
    expected = pm.open_release(release).expression(genes, cell_type="T cell", stratum="S2")
    found = rows.pivot(index="cell_id", columns="gene_id", values="counts")[genes]
    assert len(found) > 0
    assert found.astype(int).equals(expected.rename_axis(columns="gene_id"))


def test_tables_say_what_they_are(release: Path) -> None:
    for table in (*TABLES, EXPRESSION):
        files = (
            [release / "tables" / f"{table.name}.parquet"]
            if table in TABLES
            else sorted((release / "expression").iterdir())
        )
        for path in files:
            schema = pq.read_schema(path)
            said = {key.decode(): value.decode() for key, value in schema.metadata.items()}
            assert json.loads(said["pmcell:primary_key"]) == list(table.key)
            assert all(key["references"] for key in json.loads(said["pmcell:foreign_keys"]))
            assert said["dct:license"] == "https://spdx.org/licenses/CC-BY-4.0"
            assert said["prov:wasGeneratedBy"].startswith("pmcell ")
            assert {"dct:conformsTo", "schema_version", "ontology_releases"} <= set(said)
            assert all(field.metadata[b"pmcell:prose"] for field in schema)
            order = [schema.get_field_index(name) for name in table.row_order]
            metadata = pq.read_metadata(path)
            for group in range(metadata.num_row_groups):
                declared = metadata.row_group(group).sorting_columns
                assert [column.column_index for column in declared] == order


def test_a_flipped_bit_in_a_page_is_noticed_by_a_reader(tmp_path: Path, release: Path) -> None:
    source = release / "tables" / "cells.parquet"
    column = pq.read_metadata(source).row_group(0).column(0)
    content = bytearray(source.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(OSError, match=r"."):
        pq.read_table(tmp_path / "x.parquet", page_checksum_verification=True)


def test_cells_of_one_type_are_in_few_row_groups(release: Path, tmp_path: Path) -> None:
    cells = read_table(release / "tables" / "cells.parquet")
    table = replace(CELLS, row_group_size=5)
    write_table(tmp_path / "x.parquet", cells, table)
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    place = CELLS.columns.index("cell_type")
    bounds = [
        metadata.row_group(group).column(place).statistics
        for group in range(metadata.num_row_groups)
    ]
    touched = [item for item in bounds if item.has_min_max and item.min <= "unknown" <= item.max]
    n_cells = (cells["cell_type"] == "unknown").sum()
    # Per cohort at most one group more than the cells fill, and one that they share.
    assert len(touched) <= n_cells // 5 + 2 * cells["cohort_id"].nunique()
    parts = [part for _, part in cells.groupby("cohort_id")]
    assert write_chunks(tmp_path / "y.parquet", parts, table) == len(cells)
    assert read_table(tmp_path / "y.parquet").equals(read_table(tmp_path / "x.parquet"))
