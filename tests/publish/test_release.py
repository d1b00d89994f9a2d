"""The release folder: what is in it, what is not, and that it is the same every time."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.counts.open import open_counts
from pmcell.io.tables import read_table
from pmcell.publish import verify_release, write_release
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content.cells import write_cells
from pmcell.publish.content.stratification import _with_shown_consensus
from pmcell.publish.disclosure.atlas import shown_atlas
from pmcell.publish.disclosure.verdict import large_groups
from pmcell.publish.facts import load_facts, publication_date
from pmcell.publish.folder import whole_folder
from pmcell.schema import TABLES
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReleaseSettings
from results_folder import COHORTS, make_results


def test_a_release_verifies_and_holds_every_table(release: Path) -> None:
    assert verify_release(release) == []
    names = {path.stem for path in (release / "tables").glob("*.parquet")}
    assert names == {table.name for table in TABLES}


def test_published_counts_equal_submitted_counts_cell_by_cell(
    shared_results: Path, release: Path
) -> None:
    import anndata as ad

    for cohort in ("alpha", "alpha-2"):
        submitted = ad.read_h5ad(shared_results / "cohorts" / cohort / "intake.h5ad")
        passes = read_table(shared_results / "cohorts" / cohort / "qc.parquet")["passes_qc"]
        published = ad.read_h5ad(release / "cells" / f"{cohort}.h5ad")
        kept = submitted[passes.to_numpy(bool)]
        assert list(published.obs_names) == list(kept.obs_names)
        assert list(published.raw.var_names) == list(submitted.var_names)
        assert np.array_equal(published.raw.X.toarray(), kept.X.toarray())


def test_normalised_values_are_log1p_of_counts_per_10000(release: Path) -> None:
    import anndata as ad

    cells = ad.read_h5ad(release / "cells" / "alpha.h5ad")
    counts = cells.raw.X.toarray().astype(np.float64)
    expected = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(cells.X.toarray(), expected, rtol=1e-5)


def test_cells_suit_scanpy_and_the_cellxgene_schema(release: Path) -> None:
    import anndata as ad
    import scanpy as sc

    cells = ad.read_h5ad(release / "cells" / "alpha.h5ad")
    sc.pp.calculate_qc_metrics(cells, percent_top=None, inplace=True)
    for matrix in (cells.X, cells.raw.X):
        assert matrix.dtype == np.float32
        assert matrix.indptr.dtype == matrix.indices.dtype == np.int32
    assert cells.obs["is_primary_data"].dtype == bool
    assert not {"cell_type", "organism_ontology_term_id", "assay"} & set(cells.obs)
    assert "feature_is_filtered" in cells.var
    assert "feature_is_filtered" not in cells.raw.var
    assert set(cells.obsm) == {"X_umap"}
    assert cells.uns["organism_ontology_term_id"] == "NCBITaxon:9606"
    given = cells.obs["source_cell_type_ontology_term_id"] != "unknown"
    assert set(cells.obs.loc[given, "cell_type_ontology_term_id"]) == {"CL:0000624"}
    assert set(cells.obs.loc[~given, "cell_type_ontology_term_id"]) == {"CL:0000084", "unknown"}


def test_coordinates_and_clusters_follow_the_cell_not_the_row(
    shared_results: Path, release: Path
) -> None:
    import anndata as ad

    umap = read_table(shared_results / "atlas" / "umap.parquet").set_index("cell_id")
    clusters = read_table(shared_results / "atlas" / "clusters.parquet").set_index("cell_id")[
        "cluster"
    ]
    cells = ad.read_h5ad(release / "cells" / "alpha-2.h5ad")
    assert list(cells.obs["cluster"]) == list(clusters[cells.obs_names])
    expected = umap.loc[cells.obs_names, ["umap_1", "umap_2"]].to_numpy(np.float32)
    np.testing.assert_array_equal(cells.obsm["X_umap"], expected)


def test_tables_join_in_duckdb(release: Path) -> None:
    import duckdb

    tables = release / "tables"
    rows = duckdb.sql(
        f"""SELECT h.cohort_id, count(*) AS n, any_value(h.n_cells) AS told
        FROM '{tables}/cells.parquet' c JOIN '{tables}/samples.parquet' s USING (sample_id)
        JOIN '{tables}/visits.parquet' v ON v.donor_id = s.donor_id AND v.visit = s.visit
        JOIN '{tables}/donors.parquet' d ON d.donor_id = v.donor_id
        JOIN '{tables}/cohorts.parquet' h ON h.cohort_id = d.cohort_id
        JOIN '{tables}/clusters.parquet' k ON k.cluster = c.cluster
        WHERE c.passes_qc GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    assert [row[0] for row in rows] == ["alpha", "alpha-2"]
    assert all(n == told for _, n, told in rows)
    orphans = duckdb.sql(
        f"""SELECT * FROM '{tables}/pseudobulk.parquet'
        ANTI JOIN '{tables}/genes.parquet' USING (gene_id)"""
    ).fetchall()
    assert orphans == []


def test_pseudobulk_is_the_sum_over_the_cells_of_a_type(release: Path) -> None:
    import anndata as ad
    import pandas as pd

    table = read_table(release / "tables" / "pseudobulk.parquet")
    for cohort in ("alpha", "alpha-2"):
        cells = ad.read_h5ad(release / "cells" / f"{cohort}.h5ad")
        counts = pd.DataFrame(cells.raw.X.toarray(), columns=cells.raw.var_names)
        keys = [
            cells.obs["sample_id"].astype(str).to_numpy(),
            cells.obs["atlas_profile_cell_type"].to_numpy(str),
        ]
        sums = counts.groupby(keys).sum().stack()
        sums = sums[sums > 0].astype("int64")
        own = table[table["sample_id"].str.startswith(f"{cohort}:")]
        told = own.set_index(["sample_id", "cell_type", "gene_id"])["counts"]
        assert told.sort_index().to_dict() == sums.sort_index().to_dict()


def test_donors_are_counted_by_their_passing_cells(release: Path) -> None:
    donors = read_table(release / "tables" / "donors.parquet").set_index("donor_id")
    cells = read_table(release / "tables" / "cells.parquet").query("passes_qc")
    assert donors["n_cells"].to_dict() == cells.groupby("donor_id").size().to_dict()
    assert donors.loc["alpha:D0", "n_visits"] == 2


def test_excluded_cells_keep_their_reason_and_have_no_cluster(release: Path) -> None:
    cells = read_table(release / "tables" / "cells.parquet")
    excluded = cells[~cells["passes_qc"]]
    assert len(excluded) > 0
    assert set(excluded["exclusion"]) == {"low_counts"}
    assert excluded["cluster"].isna().all()
    assert excluded["umap_1"].isna().all()


def test_a_quarantined_cohort_is_listed_with_its_reason_only(release: Path) -> None:
    cohorts = read_table(release / "tables" / "cohorts.parquet").set_index("cohort_id")
    assert cohorts.loc["wrong", "reason"] == "not_counts"
    assert not (release / "cells" / "wrong.h5ad").exists()


def test_nothing_names_a_donor_of_a_cohort_without_open_access(release: Path) -> None:
    assert not (release / "cells" / "closed.h5ad").exists()
    for path in release.rglob("*"):
        if path.is_file():
            assert b"closed:" not in path.read_bytes(), path
    for table in TABLES:
        frame = read_table(release / "tables" / f"{table.name}.parquet")
        for column in frame.select_dtypes(exclude="number"):
            values = frame[column].map(lambda value: str(value).startswith("closed:"))
            assert not values.astype(bool).any(), (table.name, column)


def test_counts_of_too_few_withheld_donors_are_null(release: Path) -> None:
    cohorts = read_table(release / "tables" / "cohorts.parquet").set_index("cohort_id")
    assert cohorts.loc["closed", ["n_cells", "n_donors", "n_samples"]].isna().all()
    ledger = read_table(release / "tables" / "gene_ledger.parquet")
    assert ledger.loc[ledger["cohort_id"] == "closed", "umis"].isna().all()
    clusters = read_table(release / "tables" / "clusters.parquet")
    assert clusters["n_cells"].sum() == cohorts["n_cells"].sum()
    genes = read_table(release / "tables" / "genes.parquet")
    pseudobulk = read_table(release / "tables" / "pseudobulk.parquet")
    assert genes["n_cells_detected"].sum() == pseudobulk["n_cells_detected"].sum()
    for name in ("markers", "associations"):
        assert read_table(release / "tables" / f"{name}.parquet").empty
    assert [path.name for path in (release / "reference").iterdir()] == ["reference.json"]
    strata = read_table(release / "tables" / "strata.parquet")
    assert "withheld" in set(strata["medoid_donor_id"])
    verdict = json.loads((release / "strata.json").read_text())
    assert verdict == {"decision": "strata", "why": "test", "withheld_by_access": ["closed"]}


def test_with_enough_withheld_donors_statistics_are_published(results: Path) -> None:
    write_release(results, results / "release", config={"release": {"min_donors": 4}})
    tables = results / "release" / "tables"
    cohorts = read_table(tables / "cohorts.parquet").set_index("cohort_id")
    assert cohorts.loc["closed", "n_donors"] == 4
    counted = read_table(tables / "cohort_counts.parquet")
    assert set(counted["cohort_id"]) == {"closed"}
    assert len(read_table(tables / "associations.parquet")) > 0
    verdict = json.loads((results / "release" / "strata.json").read_text())
    assert verdict["existence"] == {"n_donors": 9, "p": 0.01}
    assert verdict["warnings"] == ["alpha:D0"]
    assert verify_release(results / "release") == []


def test_an_open_release_has_the_reference_model(open_release: Path) -> None:
    results = open_release.parent
    reference = open_release / "reference"
    centroids = np.load(reference / "centroids.npz")
    assert centroids["n_cells"].sum() == len(read_table(results / "atlas" / "clusters.parquet"))
    assert (reference / "basis.npz").read_bytes() == (results / "atlas" / "basis.npz").read_bytes()
    assert "was suppressed" not in (open_release / "README.md").read_text()
    assert len(read_table(open_release / "tables" / "donors.parquet")) == 9


def test_no_label_is_published_when_there_are_no_strata(open_release: Path) -> None:
    assignments = read_table(open_release / "tables" / "assignments.parquet")
    hidden = ["stratum", "candidate_stratum", "conformal_set", "ood_p", "margin", "probability"]
    assert assignments[hidden].isna().all(axis=None)
    assert assignments["axis_1"].notna().all()
    assert read_table(open_release / "tables" / "strata.parquet").empty
    for path in [open_release / "donors.h5ad", open_release / "cells" / "alpha.h5ad"]:
        with h5py.File(path) as file:
            assert not [name for name in file["obs"] if "stratum" in name]
    with h5py.File(open_release / "donors.h5ad") as file:
        assert not set(file["obs"]) & set(hidden)
        assert "consensus" not in file["uns/clustering"]
        assert list(file["uns/clustering/ks"][()]) == [2]
    assert "decision was `continuum`" in (open_release / "README.md").read_text()
    assert verify_release(open_release) == []


def test_a_published_stratum_reaches_the_cells(release: Path) -> None:
    import anndata as ad

    cells = ad.read_h5ad(release / "cells" / "alpha.h5ad")
    assert set(cells.obs["stratum"]) == {"S1", "S2"}
    donors = ad.read_h5ad(release / "donors.h5ad")
    assert donors.n_obs == 7
    assert donors.obsp["distance"].shape == (7, 7)
    assert set(donors.obsm) == {"X_composition"}


def test_small_groups_are_not_counted_where_a_cohort_is_withheld() -> None:
    found = {
        "unit": "batch_id",
        "group": ["a", "b"],
        "n_donors": [9, 3],
        "mean": 0.9,
        "why": "c: 2",
    }
    kept = large_groups(found, 5)
    assert (kept["group"], kept["n_donors"]) == (["a"], [9])
    assert "mean" not in kept
    assert kept["why"] == "groups with fewer than 5 donors are not shown"
    assert large_groups({**found, "why": ""}, 3) == {**found, "why": ""}


def test_the_consensus_of_published_strata_has_published_donors_only() -> None:
    matrix = np.arange(9.0).reshape(3, 3)
    uns = {"clustering": {"ks": [2], "consensus": {"2": matrix}}, "channels": {}}
    shown = np.array([True, False, True])
    kept = _with_shown_consensus(SimpleNamespace(has_strata=True), uns, shown)
    assert kept["clustering"]["consensus"]["2"].tolist() == [[0.0, 2.0], [6.0, 8.0]]
    without = _with_shown_consensus(SimpleNamespace(has_strata=False), uns, shown)
    assert without["clustering"] == {"ks": [2]}
    assert "consensus" in uns["clustering"]


def test_gaps_say_what_was_not_supplied(release: Path) -> None:
    gaps = read_table(release / "tables" / "gaps.parquet")
    found = set(zip(gaps["cohort_id"], gaps["table"], gaps["column"], strict=True))
    assert ("alpha", "donors", "age_group") in found
    assert ("alpha", "donors", "sex_ontology_term_id") not in found
    assert gaps["why_it_matters"].str.len().min() > 10


def test_two_runs_differ_in_the_day_of_publication_only(
    shared_results: Path, release: Path, tmp_path: Path
) -> None:
    config = {"release": {"date": "2026-02-01"}, "qc": {"n_mads": 5}}
    later = tmp_path / "later"
    write_release(shared_results, later, config=config)
    names = {path.relative_to(release) for path in release.rglob("*") if path.is_file()}
    assert names == {path.relative_to(later) for path in later.rglob("*") if path.is_file()}
    changed = {
        str(name) for name in names if (release / name).read_bytes() != (later / name).read_bytes()
    }
    assert changed == {
        *("manifest.json", "ro-crate-metadata.json", "CITATION.cff", "datacite.json"),
        *("croissant.json", "datapackage.json", "dcat.ttl"),
    }
    one, two = (json.loads((folder / "manifest.json").read_text()) for folder in (release, later))
    assert one["content_sha256"] == two["content_sha256"]


def test_source_date_epoch_gives_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert publication_date(ReleaseSettings()) == ("1970-01-02", True)
    assert publication_date(ReleaseSettings(date="2026-01-31")) == ("2026-01-31", True)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="seconds since 1970"):
        publication_date(ReleaseSettings())


def test_an_interrupted_run_leaves_the_old_release(results: Path, target: Path) -> None:
    before = (target / "manifest.json").read_bytes()

    def interrupt(part: str) -> None:
        if part == "tables":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_release(results, target, progress=interrupt)
    assert (target / "manifest.json").read_bytes() == before
    assert verify_release(target) == []
    assert sorted(path.name for path in results.iterdir()) == [
        "atlas",
        "cohorts",
        "release",
        "strata",
    ]


def test_a_failed_rename_leaves_the_old_release(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (target / "manifest.json").read_bytes()
    rename = os.rename

    def fail_once(source: Path, destination: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError("no space left")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(OSError, match="no space left"), whole_folder(target) as folder:
        (folder / "manifest.json").write_text("new")
    assert (target / "manifest.json").read_bytes() == before
    assert [path.name for path in target.parent.iterdir() if path.name.startswith(".")] == []


def test_a_release_left_aside_by_a_killed_run_is_put_back(target: Path) -> None:
    target.rename(target.with_name(".release.old"))
    with pytest.raises(RuntimeError, match="no space"), whole_folder(target):
        raise RuntimeError("no space")
    assert (target / "manifest.json").exists()
    assert not target.with_name(".release.old").exists()


@pytest.mark.parametrize(
    "held",
    [
        {"manifest.json": '{"name": "an extension", "version": "1"}', "code.js": "x"},
        {"tables/figures.csv": "x", "paper.tex": "x"},
        {"ro-crate-metadata.json": "{}", "data.csv": "x"},
        {"tables/notes.parquet": "x"},
    ],
)
def test_a_folder_of_somebody_elses_is_never_replaced(tmp_path: Path, held: dict[str, str]) -> None:
    for name, text in held.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(text)
    with pytest.raises(UsageError, match="holds other files"), whole_folder(tmp_path / "out"):
        pass
    assert {name: (tmp_path / "out" / name).read_text() for name in held} == held


def test_a_release_whose_manifest_is_damaged_is_written_anew(target: Path) -> None:
    (target / "tables").mkdir(exist_ok=True)
    (target / "tables" / "donors.parquet").write_text("x")
    (target / "manifest.json").write_text("{")
    with whole_folder(target) as folder:
        (folder / "manifest.json").write_text("new")
    assert (target / "manifest.json").read_text() == "new"


def test_a_new_release_replaces_the_old_one_whole(target: Path) -> None:
    (target / "stray.txt").write_text("x")
    with whole_folder(target) as folder:
        (folder / "manifest.json").write_text("new")
    assert [path.name for path in target.iterdir()] == ["manifest.json"]
    assert not target.with_name(".release.old").exists()


def test_the_report_reads_a_release_and_is_listed(results: Path) -> None:
    def write_page(folder: Path) -> None:
        assert json.loads((folder / "manifest.json").read_text())["cohorts"]["alpha"]["published"]
        (folder / "report.html").write_text("<p>report</p>")

    write_release(results, results / "release", report=write_page)
    manifest = json.loads((results / "release" / "manifest.json").read_text())
    assert "report.html" in manifest["files"]
    assert verify_release(results / "release") == []


def test_the_crate_describes_every_file_with_its_digest(release: Path) -> None:
    graph = json.loads((release / "ro-crate-metadata.json").read_text())["@graph"]
    by_id = {item["@id"]: item for item in graph}
    files = json.loads((release / "manifest.json").read_text())["files"]
    for name, entry in files.items():
        if not name.startswith(("ro-crate-metadata.json", "validation/", "site/")):
            assert by_id[name]["sha256"] == entry["sha256"]
            assert by_id[name]["encodingFormat"] != "application/octet-stream"
    root = by_id["./"]
    assert root["datePublished"] == "2026-01-31"
    assert root["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    assert {item["@id"] for item in root["isBasedOn"]} == {
        "https://doi.org/10.1000/alpha",
        "https://doi.org/10.1000/alpha-2",
    }
    referred = re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(graph))
    assert {name for name in referred if name not in by_id} == set()


def test_every_snippet_of_the_readme_runs(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb
    import matplotlib

    matplotlib.use("agg")
    monkeypatch.chdir(release)
    text = (release / "README.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, {})
    for query in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
        assert len(duckdb.sql(query).fetchall()) > 0
    assert verify_release(release) == []


def test_missing_steps_are_named_all_at_once(results: Path) -> None:
    (results / "atlas" / "umap.parquet").unlink()
    (results / "cohorts" / "alpha" / "qc.parquet").unlink()
    with pytest.raises(FaultsError, match=r"2 faults(.|\n)*alpha/qc\.parquet(.|\n)*umap\.parquet"):
        write_release(results, results / "release")
    assert not (results / "release").exists()


def test_cells_that_the_atlas_lacks_are_refused(results: Path) -> None:
    import pyarrow.parquet as pq

    path = results / "cohorts" / "alpha" / "qc.parquet"
    table = pq.read_table(path).to_pandas()
    table["passes_qc"] = True
    table.to_parquet(path)
    with pytest.raises(DataError, match=r"atlas must hold the \d+ cells of cohort 'alpha'"):
        write_release(results, results / "release")


def test_a_release_without_an_open_cohort_is_refused(tmp_path: Path) -> None:
    results = make_results(tmp_path, access=dict.fromkeys(COHORTS, "registered"))
    with pytest.raises(DataError, match="at least one accepted cohort with open access"):
        write_release(results, results / "release")


def test_an_accepted_cohort_cannot_be_left_out_of_its_atlas(results: Path) -> None:
    with pytest.raises(UsageError, match="alpha-2, closed is missing"):
        write_release(results, results / "release", cohort_ids=["alpha"])
    with pytest.raises(UsageError, match="beta is not there"):
        write_release(results, results / "release", cohort_ids=["alpha", "beta"])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"min_donor": 5}, "Did you mean 'min_donors'"),
        ({"min_donors": 2}, "a whole number from 3"),
        ({"date": "31.1.2026"}, "a day like 2026-01-31"),
    ],
)
def test_a_wrong_release_section_is_refused(section: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked_section(ReleaseSettings, section)


def test_a_folder_that_is_no_release_is_not_replaced(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("meow")
    with pytest.raises(UsageError, match="new or empty folder or an earlier release"):
        write_release(results, other)
    assert (other / "cat.jpg").exists()


def test_blocks_do_not_change_the_file(
    shared_results: Path, release: Path, monkeypatch, tmp_path
) -> None:
    import pmcell.io.counts.open as counts

    source = shared_results / "cohorts" / "alpha" / "intake.h5ad"
    assert len(list(open_counts(source).iter_blocks())) == 1
    monkeypatch.setattr(counts.CountsFile.__init__, "__defaults__", (60,))
    assert len(list(open_counts(source).iter_blocks())) > 5
    facts = load_facts(shared_results)
    atlas = shown_atlas(facts, load_atlas(shared_results))
    write_cells(facts, atlas, facts.published[0], tmp_path / "alpha.h5ad")
    assert (tmp_path / "alpha.h5ad").read_bytes() == (release / "cells" / "alpha.h5ad").read_bytes()
