"""A person's package holds all of them and nobody else; corrections keep what was there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from crypt_keys import Keys, make_keys
from pmcell.citizen import export
from pmcell.citizen.correct import CORRECTIONS, RECORDS, corrections_of, finish
from pmcell.citizen.export import export_person, fhir_bundle
from pmcell.citizen.history import older_releases
from pmcell.citizen.others import other_ids, require_alone, require_own_cells
from pmcell.citizen.person import find_person
from pmcell.citizen.receipts import receipts_of
from pmcell.cli import main
from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.crypt import keys as key_files
from pmcell.io.tables import read_table, write_table
from pmcell.publish.sealed.sealed import extract_all, read_manifest
from pmcell.registry.cohorts.cohort import load_registration
from pmcell.registry.duplicates.find import DOUBTS
from pmcell.schema import DUPLICATES
from pmcell.simulate import simulate
from pmcell.simulate.cohort_folders import write_cohort_folders
from results_folder import make_results

DONOR = "alpha:D1"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def signing(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(key_files.SIGNING_KEY, str(keys.signing))
    monkeypatch.setenv(key_files.ALLOW_TEST_KEYS, "1")


@pytest.fixture(scope="module")
def package(results: Path, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of one donor, decrypted."""
    root = tmp_path_factory.mktemp("package")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(key_files.SIGNING_KEY, str(keys.signing))
        patch.setenv(key_files.ALLOW_TEST_KEYS, "1")
        export_person(results, DONOR, root / "sealed", recipient=keys.public)
        manifest = read_manifest(root / "sealed", key_files.read_signer(keys.signer))
        extract_all(root / "sealed", manifest, keys.private_bytes, root / "plain")
    return root / "plain"


def test_the_package_holds_every_cell_and_row_of_the_person(results: Path, package: Path) -> None:
    person = find_person(results, DONOR)
    cells = ad.read_h5ad(package / "cells.h5ad")
    assert set(cells.obs["donor_id"]) == {DONOR}
    assert cells.n_obs == len(person.rows) > 0
    whole = person.counts.read_rows(np.arange(person.counts.n_cells))
    assert (cells.X.toarray() == whole.toarray()[person.rows]).all()
    for name in ("donors", "samples", "visits"):
        mine = read_table(person.folder / f"{name}.parquet")
        assert (
            len(read_table(package / "tables" / f"{name}.parquet"))
            == (mine["donor_id"] == DONOR).sum()
        )


def test_nobody_else_is_in_any_table(package: Path) -> None:
    for path in (package / "tables").glob("*.parquet"):
        frame = read_table(path)
        for name in ("donor_id", "other_donor_id"):
            if name in frame:
                assert set(frame[name]) <= {DONOR}, path.name


def test_coordinates_are_those_of_the_atlas(results: Path, package: Path) -> None:
    cells = ad.read_h5ad(package / "cells.h5ad")
    atlas = ad.read_h5ad(results / "atlas" / "embedding.h5ad")
    passing = cells.obs_names[cells.obs["passes_qc"].to_numpy(bool)]
    expected = pd.DataFrame(atlas.obsm["X_pca"], index=atlas.obs_names).loc[passing].to_numpy()
    np.testing.assert_array_equal(cells[passing].obsm["X_pca"], expected)
    assert np.isnan(cells[~cells.obs["passes_qc"].to_numpy(bool)].obsm["X_pca"]).all()


def test_the_page_and_the_bundle_are_readable(package: Path) -> None:
    page = (package / "README.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    bundle = pytest.importorskip("fhir.resources.R4B.bundle")
    bundle.Bundle.model_validate(json.loads((package / "fhir.json").read_text()))


def test_markup_in_a_name_stays_text(results: Path) -> None:
    from pmcell.citizen.page import page

    person = find_person(results, DONOR)
    frames = {
        "visits": pd.DataFrame({"visit": ["<script>x</script>"]}),
        "assignments": pd.DataFrame({"visit": ["<img onerror=x>"], "status": ["assigned"]}),
    }
    text = page(person, frames, receipts_of(results, person), [])
    assert "<img" not in text
    assert "&lt;img" in text


@pytest.mark.parametrize(
    "place", ["text", "parquet", "metadata", "list", "obs", "uns", "attribute", "name"]
)
def test_another_person_is_found_wherever_they_hide(
    results: Path, tmp_path: Path, place: str
) -> None:
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

    person = find_person(results, DONOR)
    others = other_ids(results, person)
    stranger = "closed:D2"
    assert stranger in others
    if place == "text":
        (tmp_path / "a.json").write_text(json.dumps({"x": [f"as {stranger}, too"]}))
    elif place == "name":
        (tmp_path / stranger).write_text("")
    elif place in ("parquet", "metadata", "list"):
        values = [[stranger]] if place == "list" else [stranger if place == "parquet" else "x"]
        table = pa.table({"note": values})
        if place == "metadata":
            table = table.replace_schema_metadata({"who": stranger})
        pq.write_table(table, tmp_path / "a.parquet")
    else:
        adata = ad.AnnData(np.ones((1, 1), np.float32), obs=pd.DataFrame({"a": ["x"]}, index=["c"]))
        if place == "obs":
            adata.obs["a"] = stranger
        if place == "uns":
            adata.uns["deep"] = {"er": np.array([stranger], dtype=object)}
        adata.write_h5ad(tmp_path / "a.h5ad")
        if place == "attribute":
            with h5py.File(tmp_path / "a.h5ad", "a") as file:
                file["obs"].attrs["note"] = stranger
    with pytest.raises(FaultsError, match="must be about one person alone") as caught:
        require_alone(tmp_path, others)
    assert stranger not in str(caught.value)


def test_an_id_that_is_part_of_ones_own_is_no_stranger(results: Path, tmp_path: Path) -> None:
    person = find_person(results, DONOR)
    assert person.ids
    (tmp_path / "a.txt").write_text(" ".join(sorted(person.ids)))
    require_alone(tmp_path, other_ids(results, person))


def test_cells_of_another_under_the_persons_names_are_found(results: Path, tmp_path: Path) -> None:
    person, other = find_person(results, DONOR), find_person(results, "alpha:D2")
    adata = ad.AnnData(
        other.counts.read_rows(other.rows).astype(np.float32),
        obs=person.counts.read_obs().iloc[person.rows],
    )
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="must hold the cells of one person"):
        require_own_cells(tmp_path / "cells.h5ad", person)


def test_nothing_is_written_when_somebody_else_is_found(
    results: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "page", lambda *args: "alpha:D2 was here")
    with pytest.raises(FaultsError, match=r"README\.html"):
        export_person(results, DONOR, tmp_path / "out", recipient=keys.public)
    assert not (tmp_path / "out").exists()
    assert not list((results / "cohorts" / "alpha").glob(".export.*"))


@pytest.mark.parametrize("kind", sorted(DOUBTS))
def test_cells_that_may_be_anothers_are_not_given_out(
    kind: str, results: Path, keys: Keys, tmp_path: Path
) -> None:
    study = tmp_path / "results"
    shutil.copytree(results, study)
    other = "alpha:D2" if kind == "shared_cells" else DONOR
    row = {
        "donor_id": min(DONOR, other), "other_donor_id": other, "kind": kind, "n_found": 7,
        "n_compared": 9, "similarity": None, "what_to_do": "Ask.",
    }  # fmt: skip
    write_table(study / "atlas" / "duplicates.parquet", pd.DataFrame([row]), DUPLICATES)
    call = [
        "export", DONOR, "--results", str(study), "--recipient", str(keys.public),
        "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(call) == 3
    assert not (tmp_path / "out").exists()
    assert main([*call, "--surely-theirs"]) == 0


def test_an_unknown_person_is_not_repeated_in_the_message(results: Path) -> None:
    with pytest.raises(UsageError, match="must be a donor of alpha") as caught:
        find_person(results, "alpha:CANARYPERSON")
    assert "CANARYPERSON" not in str(caught.value)
    with pytest.raises(UsageError, match="alpha, alpha-2, closed"):
        find_person(results, "nowhere:D1")


@pytest.mark.parametrize("donor", ["alpha/../alpha:D1", "../cohorts/alpha:D1", "/:D1", ":D1", "D1"])
def test_a_cohort_is_a_name_and_no_path(results: Path, donor: str) -> None:
    with pytest.raises(UsageError, match=r"cohorts with results in .* are alpha, alpha-2, closed"):
        find_person(results, donor)


def test_receipts_say_what_is_not_known(results: Path) -> None:
    found = receipts_of(results, find_person(results, DONOR))
    assert found.uses == ()
    assert any("No audit trail" in sentence for sentence in found.unknown)


def test_receipts_tell_who_used_the_cohort(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PMCELL_AUDIT_FILE", str(tmp_path / "audit.jsonl"))
    monkeypatch.setenv("PMCELL_ROLE", "analyst")
    assert main(["receipts", DONOR, "--results", str(results)]) == 0
    assert main(["receipts", "closed:D1", "--results", str(results)]) in (0, 2)
    capsys.readouterr()
    assert main(["receipts", DONOR, "--results", str(results), "--json"]) == 0
    (use,) = json.loads(capsys.readouterr().out)["uses"]
    assert (use["role"], use["commands"], use["n_times"]) == ("analyst", ["receipts"], 2)
    assert "D1" not in (tmp_path / "audit.jsonl").read_text()


def test_the_bundle_carries_the_consent(results: Path) -> None:
    person = find_person(results, DONOR)
    frames = {"composition": pd.DataFrame(columns=["donor_id", "visit", "cell_type", "share"])}
    consent = {"entry": [{"resource": {"resourceType": "Consent"}}]}
    kinds = [
        item["resource"]["resourceType"] for item in fhir_bundle(person, frames, consent)["entry"]
    ]
    assert kinds == ["Patient", "Consent"]


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    adata = simulate(n_cohorts=1, n_donors=4, cells_per_sample=10, n_genes=80)
    return write_cohort_folders(adata, tmp_path)[0]


def donors_of(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "donors.tsv", sep="\t", dtype=str, keep_default_na=False)


def test_a_correction_keeps_the_row_as_it_was(cohort: Path, keys: Keys) -> None:
    before = donors_of(cohort)
    name = before["donor_id"][1]
    command = ["correct", str(cohort), name, "--set", "age_group=40-49", "--why", "year of birth"]
    assert main(command) == 0
    after = donors_of(cohort)
    assert after["age_group"][1] == "40-49"
    pd.testing.assert_frame_equal(before.drop(index=1), after.drop(index=1))
    (kept,) = corrections_of(cohort, signers=[key_files.read_signer(keys.signer)])
    assert kept.before["age_group"] == before["age_group"][1]
    assert kept.why == "year of birth"
    assert (cohort / CORRECTIONS).stat().st_mode & 0o077 == 0
    assert main([*command[:3], "--set", "age_group=50-59", "--why", "again"]) == 0
    assert len(corrections_of(cohort, signers=[key_files.read_signer(keys.signer)])) == 2


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--set", "sex_ontology_term_id=PATO:9999999", "--why", "x"], 3, "sex_ontology_term_id"),
        (["--set", "age_grup=1", "--why", "x"], 2, "Did you mean 'age_group'"),
        (["--set", "donor_id=D99", "--why", "x"], 2, "cannot be corrected"),
        (["--set", "age_group=40-49"], 2, "--why must say"),
        (["--set", "age_group", "--why", "x"], 2, "COLUMN=VALUE"),
        (
            ["--sample", "none", "--set", "visit=T1", "--why", "x"],
            2,
            "must have a row of this sample",
        ),
    ],
)
def test_a_wrong_correction_changes_nothing(
    cohort: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, message: str
) -> None:
    before = {path.name: path.read_bytes() for path in cohort.iterdir()}
    name = donors_of(cohort)["donor_id"][0]
    assert main(["correct", str(cohort), name, *options]) == code
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in cohort.iterdir()} == before
    assert sorted(path.name for path in cohort.parent.iterdir()) == [cohort.name]


def test_a_wrong_folder_of_cohorts_is_no_package_without_consent(
    results: Path, keys: Keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Path(shutil.copytree(results, tmp_path / "results"))
    words = ["export", DONOR, "--results", str(study), "--recipient", str(keys.public)]
    wrong = [*words, "--out", str(tmp_path / "out"), "--cohorts-dir", str(tmp_path)]
    assert main(wrong) == 2
    assert "--cohorts-dir must hold the cohort's folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "whether a consent ledger is kept is not known" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\t", " \t "),
        lambda text: "\n".join(f"{line}\t\t" for line in text.splitlines()) + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("age_group", "note\tage_group").replace("\t\n", "\n"),
    ],
    ids=["blanks", "columns beyond", "CRLF", "mark", "short rows"],
)
def test_rows_are_found_as_registration_reads_them(
    cohort: Path, change: Callable[[str], str]
) -> None:
    table = cohort / "donors.tsv"
    name = donors_of(cohort)["donor_id"][1]
    table.write_text(change(table.read_text()), newline="")
    command = ["correct", str(cohort), name, "--set", "sex_ontology_term_id=PATO:0000384"]
    assert main([*command, "--why", "typing error"]) == 0
    found = load_registration(cohort)
    assert found.donor(name).sex_ontology_term_id == "PATO:0000384"


def test_a_row_is_not_cut_where_others_see_the_end_of_a_line(
    cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = cohort / "donors.tsv"
    table.write_text(table.read_text().replace("\n", "\tnote\u2028x\n"), encoding="utf-8")
    before = table.read_bytes()
    name = donors_of(cohort)["donor_id"][1]
    main(["correct", str(cohort), name, "--set", "age_group=40-49", "--why", "x"])
    assert len(table.read_bytes().split(b"\n")) == len(before.split(b"\n"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("donor_id\tage_group\n\xe9\t1\n".encode("latin-1"), "is not UTF-8"),
        (b"donor_id\tage_group\tage_group\nd\t1\t2\n", "each column once"),
        (b"", "an empty file"),
        (None, "must be in the cohort's folder"),
    ],
)
def test_a_table_that_cannot_be_read_is_not_corrected(
    cohort: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    table = cohort / "donors.tsv"
    name = donors_of(cohort)["donor_id"][0]
    table.unlink() if content is None else table.write_bytes(content)
    code = main(["correct", str(cohort), name, "--set", "age_group=40-49", "--why", "x"])
    assert code in (2, 3)
    assert said in capsys.readouterr().err
    assert table.exists() == (content is not None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--show"], "COHORT must be a cohort's folder"),
        (["nowhere", "d", "--forget"], "COHORT must be a cohort's folder"),
        (["", "d", "--set", "a=1", "--show"], "--show lists all corrections"),
        (["", "d", "--forget", "--sample", "s"], "changes nothing else"),
        (["", "d", "--set", "a=1", "--set", "a=2", "--why", "x"], "must give a once"),
        (["", "d", "--set", "=1", "--why", "x"], "must look like COLUMN=VALUE"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(
    cohort: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["correct", words[0] or str(cohort), *words[1:]]) == 2
    assert said in capsys.readouterr().err


def test_a_correction_that_was_killed_is_finished(
    cohort: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pmcell.citizen import correct as module

    def killed(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    name = donors_of(cohort)["donor_id"][2]
    command = ["correct", str(cohort), name, "--set", "age_group=40-49", "--why", "x"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", killed)
        assert main(command) == 130
    assert donors_of(cohort)["age_group"][2] != "40-49"
    assert finish(cohort, signers=[key_files.read_signer(keys.signer)])
    assert donors_of(cohort)["age_group"][2] == "40-49"
    assert not finish(cohort, signers=[key_files.read_signer(keys.signer)])


def test_a_person_who_withdrew_can_be_forgotten_and_the_chain_verifies(
    cohort: Path, keys: Keys
) -> None:
    one, other = donors_of(cohort)["donor_id"][:2]
    for name in (one, other):
        change = ["--set", "age_group=40-49", "--why", f"told by {name}"]
        assert main(["correct", str(cohort), name, *change]) == 0
    assert one not in (cohort / CORRECTIONS).read_text()
    assert main(["correct", str(cohort), one, "--forget"]) == 0
    assert f'"{one}"' not in (cohort / RECORDS).read_text()
    made = corrections_of(cohort, signers=[key_files.read_signer(keys.signer)])
    assert [item.why for item in made] == ["forgotten", f"told by {other}"]
    assert main(["correct", str(cohort), "--show"]) == 0


def test_corrections_are_shown_without_the_key_that_signs(
    cohort: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(key_files.SIGNING_KEY)
    assert main(["correct", str(cohort), "--show"]) == 0
    assert "Nothing of this cohort was corrected." in capsys.readouterr().out
    name = donors_of(cohort)["donor_id"][0]
    monkeypatch.setenv(key_files.SIGNING_KEY, str(keys.signing))
    assert main(["correct", str(cohort), name, "--set", "age_group=40-49", "--why", "x"]) == 0
    monkeypatch.delenv(key_files.SIGNING_KEY)
    monkeypatch.setenv(key_files.SIGNER_PUBLIC_KEY, str(keys.signer))
    assert main(["correct", str(cohort), "--show"]) == 0
    assert "age_group: 'unknown' -> '40-49'" in capsys.readouterr().out


def test_corrections_that_were_edited_stop_everything(cohort: Path, keys: Keys) -> None:
    name = donors_of(cohort)["donor_id"][0]
    command = ["correct", str(cohort), name, "--set", "age_group=40-49", "--why", "x"]
    assert main(command) == 0
    again = [*command[:3], "--set", "age_group=60-69", "--why", "y"]
    for path, old, new in (
        (cohort / RECORDS, "40-49", "30-39"),
        (cohort / CORRECTIONS, "donors.tsv", "samples.ts"),
    ):
        text = path.read_text()
        path.write_text(text.replace(old, new))
        assert path.read_text() != text
        assert main(again) == 3
        path.write_text(text)
    assert donors_of(cohort)["age_group"][0] == "40-49"


def test_older_releases_are_told_from_the_register_and_the_tombstones(tmp_path: Path) -> None:
    from pmcell.io.atomic import write_json
    from pmcell.publish.disclosure.register_file import add_release, register_of

    results = tmp_path / "results"
    results.mkdir()
    for version, donors in (("1", {"c:a", "c:b"}), ("2", {"c:b"}), ("3", {"c:a", "c:b"})):
        sets = {"cohort c": frozenset(donors)}
        add_release(register_of(results), sets, version=version, content_sha256=version * 64)
    stones = {"1" * 16: {"cohorts": ["c"]}, "8" * 16: {"cohorts": ["other"]}, "9" * 16: {}}
    for name, more in stones.items():
        said = {"content_sha256": name[0] * 64, "version": name[0], "taken_down_on": "2026-01-01"}
        write_json(tmp_path / "tombstones" / f"{name}.json", {**said, **more})
    write_json(results / "release" / "manifest.json", {"content_sha256": "3" * 64})
    found = {item["version"]: item for item in older_releases(results, "c", "c:a")}
    # 2 is without a, 3 is the one that is there, 8 is of another cohort.
    assert set(found) == {"1", "9"}
    assert found["1"]["state"] == "taken down on 2026-01-01"
    assert "you are behind its sums" in found["1"]["known_from"]
    assert "does not say which cohorts" in found["9"]["known_from"]
    open_cohort = older_releases(results, "other", "other:x")
    assert [item["version"] for item in open_cohort] == ["8", "9"]
    assert "of single people nothing is kept" in open_cohort[0]["known_from"]
    (tmp_path / "tombstones" / "x.json").write_text("[]")
    with pytest.raises(DataError, match="must be a tombstone of a release"):
        older_releases(results, "c", "c:a")


def test_without_a_register_and_tombstones_no_key_is_made(tmp_path: Path) -> None:
    assert older_releases(tmp_path / "results", "c", "c:a") == []
    assert list(tmp_path.iterdir()) == []
