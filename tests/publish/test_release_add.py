"""Cohorts added to a release: what was published stays as it was, and people are placed on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pmcell as pm
from added_cohort import (
    COHORT,
    QC_OPTIONS,
    add_results,
    make_study,
    old_rows,
    put_reference,
    remake_manifest,
)
from made_reference import new_donors, people, reference
from pmcell.bundle import profile_folder
from pmcell.cli import main
from pmcell.cli._release_add import jobs_command
from pmcell.cli.run import _study
from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.tables import read_table
from pmcell.mapping.mapper import map_cells
from pmcell.publish import verify_release
from pmcell.publish.add import place, write
from pmcell.publish.add.place import place_cohort
from pmcell.publish.add.previous import open_previous, require_new, require_open
from pmcell.publish.add.write import add_cohorts, is_added, next_version
from pmcell.publish.diff import diff_releases
from pmcell.publish.facts import Facts
from pmcell.release.manifest import read_manifest
from pmcell.schema import TABLES, Table
from pmcell.settings.release import ReleaseSettings

OPTIONS = ReleaseSettings(version="2", date="2026-02-28", validators=("none",))


def added(results: Path, *cohorts: str, to: str = "release", out: str = "later") -> Facts:
    previous = open_previous(results / to, results)
    return add_cohorts(
        previous,
        cohorts or [COHORT],
        results=results,
        target=results / out,
        options=OPTIONS,
        qc=QC_OPTIONS,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with a release and the one to which the cohort was added, to read only."""
    results = make_study(tmp_path_factory.mktemp("added"))
    added(results)
    return results


@pytest.fixture
def results(study: Path, tmp_path: Path) -> Path:
    """The same of one's own, without the later release."""
    copy = Path(shutil.copytree(study, tmp_path / "results"))
    shutil.rmtree(copy / "later")
    return copy


def test_the_later_release_verifies_and_names_the_one_it_revises(study: Path) -> None:
    later, before = study / "later", read_manifest(study / "release")
    assert verify_release(later) == []
    assert verify_release(study / "release") == []
    manifest = read_manifest(later)
    assert manifest["revises"] == {
        "version": before["version"],
        "content_sha256": before["content_sha256"],
        "added": [COHORT],
    }
    assert manifest["version"] == "2"
    assert set(manifest["cohorts"]) == {*before["cohorts"], COHORT}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_old_rows_keep_their_content_and_their_order(study: Path, table: Table) -> None:
    before, kept = old_rows(study / "release", study / "later", table)
    if table.name == "donor_groups":
        # Who is there is counted again; no group of earlier donors is lost.
        assert len(kept) == len(before)
        assert (kept["n_donors"] >= before["n_donors"]).all()
        return
    assert repr(kept.to_dict("records")) == repr(before.to_dict("records"))


def test_files_of_cells_counts_and_model_are_the_very_files(study: Path) -> None:
    before, after = (read_manifest(study / name)["files"] for name in ("release", "later"))
    kept = ("cells/", "expression/", "reference/", "donors.h5ad", "strata.json")
    names = [name for name in before if name.startswith(kept)]
    assert len(names) > 10
    for name in names:
        assert after[name] == before[name]
        assert os.path.samefile(study / "release" / name, study / "later" / name)


def test_added_people_have_rows_in_every_table_about_single_people(study: Path) -> None:
    later = study / "later" / "tables"
    donors = {f"{COHORT}:{name}" for name in new_donors()}
    for name in (
        "donors",
        "visits",
        "samples",
        "cells",
        "composition",
        "assignments",
        "placements",
    ):
        rows = read_table(later / f"{name}.parquet", ["donor_id"])["donor_id"]
        assert donors <= set(rows), name
    assert set(read_table(later / "cohorts.parquet")["cohort_id"]) >= {COHORT}
    ledger = read_table(later / "gene_ledger.parquet")
    assert (ledger["cohort_id"] == COHORT).sum() == 400


def test_cells_carry_the_labels_and_coordinates_that_mapping_gives(study: Path) -> None:
    import anndata as ad
    import scanpy as sc

    cells = ad.read_h5ad(study / "later" / "cells" / f"{COHORT}.h5ad")
    table = read_table(study / "later" / "tables" / "cells.parquet").set_index("cell_id")
    own = table[(table["cohort_id"] == COHORT) & table["passes_qc"]].loc[cells.obs_names]
    assert (own["label_method"] == "reference").all()
    assert own["cluster"].isna().all()
    assert set(cells.obs["cluster"]) == {place.NOT_CLUSTERED}
    assert list(own["cell_type"]) == list(cells.obs["atlas_cell_type"])
    assert cells.obsm["X_pca"].shape == cells.obsm["X_integrated"].shape == (cells.n_obs, 15)
    truth = people(new_donors()).obs_names
    assert {name.removeprefix(f"{COHORT}:") for name in cells.obs_names} < set(truth)
    # Its other method compiles umap, for half a minute.
    sc.pp.neighbors(cells, use_rep="X_integrated", n_neighbors=5, method="gauss")
    sets = read_table(study / "later" / "tables" / "placed_cells.parquet")
    assert set(sets["cell_id"]) == set(cells.obs_names)
    assert sets["cell_type_set"].map(len).max() >= 1


def test_people_stand_where_mapping_their_cells_puts_them(study: Path) -> None:
    from pmcell.io.counts.open import open_counts

    folder = study / "cohorts" / COHORT
    counts = open_counts(folder / "intake.h5ad")
    import anndata as ad

    obs = counts.read_obs()
    qc = read_table(folder / "qc.parquet").set_index("cell_id").loc[obs.index]
    for name in ("passes_qc", "exclusion", "total_counts", "n_genes_detected",
                 "share_mitochondrial", "doublet_score"):  # fmt: skip
        obs[name] = qc[name].to_numpy()
    adata = ad.AnnData(counts.read_rows(np.arange(counts.n_cells)), obs, counts.read_var())
    visits = {
        (visit.donor_id, visit.visit): visit.stratum
        for visit in map_cells(adata, reference(), is_marked=True, by_source=True).visits
    }
    told = read_table(study / "later" / "tables" / "placements.parquet")
    assert len(told) == len(visits) == 3
    assignments = read_table(study / "later" / "tables" / "assignments.parquet")
    assignments = assignments.set_index(["donor_id", "visit"])
    for row in told.itertuples():
        answer = visits[row.donor_id, row.visit]
        assert (row.status, row.stratum, row.ood_p) == (answer.status, answer.stratum, answer.ood_p)
        place_of = assignments.loc[(row.donor_id, row.visit)]
        assert place_of["stratum"] == answer.stratum
        assert place_of["left_out"] == "added to release 1 after its strata were found"
    found = read_table(study / "later" / "tables" / "additions.parquet").iloc[0]
    assert found["n_donors"] == 3
    assert (
        found["n_assigned"] + found["n_ambiguous"] + found["n_novel"] + found["n_not_placed"] == 3
    )


def test_cells_count_by_the_label_of_their_source_in_every_table(study: Path) -> None:
    tables = study / "later" / "tables"
    cells = read_table(tables / "cells.parquet").set_index("cell_id")
    cells = cells[(cells["cohort_id"] == COHORT) & cells["passes_qc"]]
    term = cells["source_cell_type_ontology_term_id"]
    placed = read_table(tables / "placed_cells.parquet").set_index("cell_id").loc[cells.index]
    assert list(placed["counted_by"]) == list(np.where(term != "unknown", "source", "reference"))
    model = reference().labels
    counts_as = dict(zip(model.terms.tolist(), model.profile_types.tolist(), strict=True))
    given = cells[term != "unknown"]
    assert set(given["profile_cell_type"]) == set(counts_as.values())
    assert list(given["profile_cell_type"]) == list(given[term.name].map(counts_as))
    keys = ["donor_id", "visit", "cell_type"]
    composition = read_table(tables / "composition.parquet").set_index(keys)["n_cells"]
    counted = cells.rename(columns={"cell_type": "label", "profile_cell_type": "cell_type"})
    counted = counted.groupby(keys).size()
    assert counted.to_dict() == composition.reindex(counted.index).to_dict()
    sums = read_table(tables / "pseudobulk.parquet", ["sample_id", "cell_type", "n_cells"])
    sums = sums[sums["sample_id"].str.startswith(f"{COHORT}:")].drop_duplicates()
    assert dict(sums.groupby("cell_type")["n_cells"].sum()) == dict(
        cells.groupby("profile_cell_type").size()
    )


def test_marks_of_qc_are_used_as_they_are() -> None:
    cells = people(new_donors()[:1])
    marked = cells.copy()
    marked.obs = marked.obs.assign(
        passes_qc=np.arange(marked.n_obs) % 2 == 0, exclusion="", total_counts=1,
        n_genes_detected=1, share_mitochondrial=np.nan, doublet_score=0.0,
    )  # fmt: skip
    found = map_cells(marked, reference(), is_marked=True)
    assert len(found.located.cell_ids) == int(found.cells["passes_qc"].sum()) == marked.n_obs // 2


def test_batches_mapped_apart_give_what_they_give_together(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous = open_previous(study / "release", study)
    cohort = write._cohort(study, COHORT)
    whole = place_cohort(cohort, previous.reference)
    monkeypatch.setattr(place, "CELLS_AT_ONCE", 1)
    apart = place_cohort(cohort, previous.reference)
    assert sorted(map(repr, whole.visits)) == sorted(map(repr, apart.visits))
    assert whole.cells.loc[apart.cells.index].equals(apart.cells)


def test_expression_of_an_added_cohort_is_read_by_its_own_genes(study: Path) -> None:
    release = pm.open_release(study / "later")
    genes = list(read_table(study / "cohorts" / COHORT / "gene_ledger.parquet")["gene_id"][:2])
    found = release.expression(genes, cohorts=[COHORT])
    assert not found.isna().any().any()
    assert found.to_numpy().sum() > 0


def test_what_is_said_of_the_release_names_the_earlier_one(study: Path) -> None:
    later = study / "later"
    digest = read_manifest(study / "release")["content_sha256"]
    readme = (later / "README.md").read_text()
    assert f"3 donors of cohort {COHORT} were placed on release 1, not clustered." in readme
    assert digest in readme
    crate = json.loads((later / "ro-crate-metadata.json").read_text())["@graph"]
    root = next(item for item in crate if item["@id"] == "./")
    earlier = next(item for item in crate if item.get("identifier") == digest)
    assert root["wasRevisionOf"] == {"@id": earlier["@id"]}
    assert earlier["@id"].startswith("ni:///sha-256;")
    assert "prov:wasRevisionOf" in (later / "dcat.ttl").read_text()
    assert "which this one revises" in (later / "CITATION.cff").read_text()
    package = json.loads((later / "datapackage.json").read_text())
    assert {"title": "Release 1"} in package["sources"]


def test_an_earlier_release_with_a_doi_is_named_by_it(results: Path) -> None:
    record = results / "release" / "datacite.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"doi": "10.5281/zenodo.1"}))
    remake_manifest(results / "release")
    added(results)
    found = json.loads((results / "later" / "datacite.json").read_text())["relatedIdentifiers"]
    assert {
        "relatedIdentifier": "10.5281/zenodo.1",
        "relatedIdentifierType": "DOI",
        "relationType": "IsNewVersionOf",
    } in found
    options = OPTIONS.model_copy(update={"doi": "10.5281/zenodo.1"})
    previous = open_previous(results / "release", results)
    with pytest.raises(UsageError, match=r"release\.doi must be that of the new release"):
        add_cohorts(
            previous, [COHORT], results=results, target=results / "other", options=options,
            qc=QC_OPTIONS,
        )  # fmt: skip


def test_equal_additions_have_equal_content_and_a_second_does_nothing(
    study: Path, results: Path
) -> None:
    assert is_added(study / "release", [COHORT], study, study / "later")
    added(results)
    one, other = (read_manifest(place / "later")["content_sha256"] for place in (study, results))
    assert one == other


@pytest.mark.slow
def test_two_cohorts_added_at_once_or_one_after_the_other_have_the_same_rows(
    results: Path,
) -> None:
    first, *_ = new_donors()
    shutil.rmtree(results / "cohorts" / COHORT)
    for name, donor in (("one", first), ("two", new_donors()[1])):
        add_results(results, name, people([donor]))
    added(results, "one", "two", out="both")
    added(results, "one", out="first")
    added(results, "two", to="first", out="second")
    for table in TABLES:
        both, second = (
            read_table(results / name / "tables" / f"{table.name}.parquet")
            for name in ("both", "second")
        )
        # These say which release a row came with.
        if table.name in ("additions", "genes"):
            both, second = both[list(table.key)], second[list(table.key)]
        if table.name == "assignments":
            both, second = both.drop(columns="left_out"), second.drop(columns="left_out")
        assert repr(both.to_dict("records")) == repr(second.to_dict("records")), table.name
    told = read_table(results / "second" / "tables" / "additions.parquet")
    assert list(told["cohort_id"]) == ["one", "two"]


def test_diff_tells_that_nothing_old_moved(study: Path) -> None:
    found = diff_releases(pm.open_release(study / "release"), pm.open_release(study / "later"))
    assert found["cohorts"]["added"] == [COHORT]
    assert found["labels"]["n_moved"] == found["strata"]["n_moved"] == 0
    assert {row["what"] for row in found["lineage"] if row["old"] is not None} == {"same"}
    assert {row["n_new"] for row in found["lineage"] if row["old"] is None} <= {0}


# The command.


@pytest.fixture
def folder(results: Path, tmp_path: Path) -> Path:
    """A study folder around the results, in which the cohort is registered."""
    registered = tmp_path / "config" / "cohorts" / COHORT
    registered.mkdir(parents=True)
    (registered / "cohort.yaml").write_text(f"id: {COHORT}\n")
    text = "release: {version: '1', date: 2026-02-28, validators: none}\n"
    (tmp_path / "config" / "config.yaml").write_text(text)
    return tmp_path


def test_the_command_writes_beside_the_release_once(folder: Path, capsys) -> None:
    release = folder / "results" / "release"
    command = ["release", "add", COHORT, "--release", str(release), "--directory", str(folder),
               "--no-run", "--no-report"]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{COHORT}: 3 donors at 3 visits placed, not clustered:" in said
    later = folder / "results" / "release-2"
    assert verify_release(later) == []
    before = (later / "manifest.json").read_bytes()
    assert main(command) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert (later / "manifest.json").read_bytes() == before
    (later / "tables" / "qc.parquet").write_bytes(b"")
    assert main(command) == 2
    assert "holds a damaged copy" in capsys.readouterr().err


def test_the_command_names_a_cohort_that_is_not_registered(folder: Path, capsys) -> None:
    release = str(folder / "results" / "release")
    command = ["release", "add", "lat", "--release", release, "--directory", str(folder)]
    assert main(command) == 2
    assert "there is no 'lat'" in capsys.readouterr().err
    assert main([*command[:2], COHORT, *command[3:], "--cores", "0"]) == 2
    assert "--cores must be at least 1" in capsys.readouterr().err


def test_only_the_cohorts_own_jobs_run(tmp_path: Path) -> None:
    study = _study.open_study(_made_study(tmp_path), None)
    profile = profile_folder("default", study.folder)
    command = jobs_command(study, ["liu_b3"], cores=1, profile=profile)
    done = subprocess.run(
        [sys.executable, "-m", *command, "--dry-run"], capture_output=True, text=True, check=True
    )
    rules = re.findall(r"^rule (\w+):", done.stdout + done.stderr, re.MULTILINE)
    assert sorted(rules) == ["intake", "qc"]


def _made_study(root: Path) -> Path:
    from pmcell.cli.init import make_study as init

    folder = root / "study"
    init(folder, cohorts=("liu_b1", "liu_b3"))
    (folder / "config" / "config.yaml").write_text("cohorts: [liu_b1]\n")
    return folder


# What is refused, and that nothing is written then.


def test_a_cohort_that_the_release_holds_is_refused(results: Path) -> None:
    for name in ("alpha", "wrong"):
        with pytest.raises(
            UsageError, match=rf"cohort '{name}' must not be in release '1' already"
        ):
            added(results, name)
    with pytest.raises(UsageError, match="each cohort must be named once"):
        require_new(read_manifest(results / "release"), ["late", "late"])
    assert not (results / "later").exists()


@pytest.mark.parametrize("access", ["registered", "controlled"])
def test_a_cohort_without_open_access_is_refused(results: Path, access: str) -> None:
    shutil.rmtree(results / "cohorts" / COHORT)
    add_results(results, COHORT, access=access)
    with pytest.raises(UsageError, match=f"must have open access to be added, it is {access}"):
        added(results)
    with pytest.raises(UsageError, match="must have open access"):
        require_open(COHORT, access)
    assert not (results / "later").exists()


def test_a_cohort_of_another_species_or_tissue_is_refused(results: Path) -> None:
    shutil.rmtree(results / "cohorts" / COHORT)
    add_results(results, COHORT, organism_ontology_term_id="NCBITaxon:10090")
    with pytest.raises(DataError, match=r"must be of the species of release '1', NCBITaxon:9606"):
        added(results)
    shutil.rmtree(results / "cohorts" / COHORT)
    cells = people(new_donors())
    folder = add_results(results, COHORT, cells)
    from pmcell.io.counts.open import open_counts

    counts = open_counts(folder / "intake.h5ad")
    obs = counts.read_obs().assign(tissue_ontology_term_id="UBERON:0002107")
    _rewritten(folder, obs, counts)
    with pytest.raises(DataError, match="'late' cannot be placed: samples must be of the refer"):
        added(results)
    assert not (results / "later").exists()


def test_too_few_shared_genes_are_refused(results: Path) -> None:
    shutil.rmtree(results / "cohorts" / COHORT)
    few = people(new_donors())[:, :40].copy()
    add_results(results, COHORT, few)
    with pytest.raises(DataError, match=r"cannot be placed: .* genes were found") as error:
        added(results)
    assert error.value.reason == "too_few_genes"


def test_people_of_the_release_under_another_name_are_refused(results: Path) -> None:
    shutil.rmtree(results / "cohorts" / COHORT)
    add_results(results, "first")
    added(results, "first", out="first_release")
    again = people(new_donors())
    again.obs["donor_id"] = "someone_" + again.obs["donor_id"].astype(str)
    add_results(results, COHORT, again)
    with pytest.raises(DataError, match="nobody may be added who is in release '2' already; 3"):
        added(results, to="first_release")
    assert not (results / "later").exists()


def test_a_quarantined_cohort_is_refused_with_its_reason(results: Path) -> None:
    path = results / "cohorts" / COHORT / "status.json"
    said = {"status": "quarantined", "reason": "few", "message": "12 cells passed."}
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    with pytest.raises(DataError, match=r"it is quarantined \(few\): 12 cells passed"):
        added(results)


def test_cells_marked_in_another_way_are_refused(results: Path) -> None:
    previous = open_previous(results / "release", results)
    with pytest.raises(UsageError, match=r"section qc has n_mads: 3.0, the release has n_mads"):
        add_cohorts(
            previous, [COHORT], results=results, target=results / "later", options=OPTIONS,
            qc=QC_OPTIONS | {"n_mads": 3.0},
        )  # fmt: skip


def test_a_damaged_release_is_refused(results: Path) -> None:
    path = results / "release" / "cells" / "alpha.h5ad"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(content))
    with pytest.raises(FaultsError, match="must have SHA-256"):
        added(results)


def test_a_release_of_another_schema_is_refused(results: Path) -> None:
    remake_manifest(results / "release", schema_version="1.0.0")
    with pytest.raises(DataError, match=r"has schema 1\.0\.0\. Make a whole release"):
        added(results)


def test_a_release_of_another_study_is_refused(results: Path) -> None:
    other = results / "cohorts" / "alpha" / "qc.parquet"
    shutil.copyfile(results / "cohorts" / "alpha-2" / "qc.parquet", other)
    with pytest.raises(DataError, match="of its cohort 'alpha' qc of it is another in"):
        added(results)
    shutil.rmtree(results / "cohorts" / "alpha")
    with pytest.raises(DataError, match=r"of its cohort 'alpha' there is no .*intake\.json"):
        added(results)


def test_a_release_that_nobody_can_be_placed_on_says_why(results: Path) -> None:
    note = results / "release" / "reference" / "reference.json"
    value = json.loads(note.read_text()) | {"cannot_map": "the release has several tissues"}
    note.unlink()
    note.write_text(json.dumps(value))
    remake_manifest(results / "release")
    with pytest.raises(UsageError, match="nothing can be mapped onto it: the release has several"):
        added(results)
    put_reference(results / "release", reference())
    assert open_previous(results / "release", results).version == "1"


def test_a_folder_with_something_else_is_never_replaced(results: Path) -> None:
    later = results / "later"
    later.mkdir()
    (later / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"--out must be a new folder; .* holds something else"):
        is_added(results / "release", [COHORT], results, later)
    with pytest.raises(UsageError, match="holds something else"):
        is_added(results / "release", [COHORT], results, results / "release")


def test_a_killed_addition_leaves_no_release(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "complete_release", killed)
    before = sorted(path.name for path in results.iterdir())
    with pytest.raises(KeyboardInterrupt):
        added(results)
    assert sorted(path.name for path in results.iterdir()) == before
    assert verify_release(results / "release") == []


def test_the_next_version_raises_the_last_number() -> None:
    assert [next_version(text) for text in ("1", "2026.09", "v1.9")] == ["2", "2026.10", "v1.10"]


def _rewritten(folder: Path, obs, counts) -> None:  # type: ignore[no-untyped-def]
    from pmcell.io.counts.canonical import CanonicalWriter

    matrix, var = counts.read_rows(np.arange(counts.n_cells)), counts.read_var()
    (folder / "intake.h5ad").unlink()
    with CanonicalWriter(folder / "intake.h5ad", obs, var) as writer:
        writer.append(matrix)
