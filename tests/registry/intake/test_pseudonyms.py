"""Keys of donors: drawn once, erased for good, and results that follow from the file alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pmcell.cli import main
from pmcell.consent.subjects import add_keys, read_keys
from pmcell.errors import UsageError
from pmcell.registry.intake.cells import Scope, cell_table
from pmcell.registry.intake.keyring import (
    FORMAT,
    Keyring,
    add_donors,
    erase_donor,
    new_keyring,
    parse_keyring,
    rotate,
    write_keyring,
)
from pmcell.registry.intake.pseudonyms import KEY_VARIABLE, load_key, pseudonym
from pmcell.simulate import simulate
from pmcell.simulate.cohort_folders import write_cohort_folders

CANARY = "CANARYDONOR1"


@pytest.fixture
def ring() -> Keyring:
    return add_donors(new_keyring(), "c1", [CANARY, "d2"])


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys.json"
    monkeypatch.setenv(KEY_VARIABLE, str(path))
    return path


def names_of(ring: Keyring) -> list[str]:
    return [
        pseudonym(ring, "donor", "c1", CANARY),
        pseudonym(ring, "sample", "c1", "s1", donor=CANARY),
        pseudonym(ring, "cell", "c1", "ACGT", donor=CANARY),
    ]


def test_a_key_file_gives_the_same_pseudonyms_each_time(ring: Keyring, key_file: Path) -> None:
    write_keyring(key_file, ring)
    loaded = load_key()
    assert loaded == ring
    assert isinstance(loaded, Keyring)
    assert names_of(loaded) == names_of(ring)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_every_name_of_a_donor_hangs_on_their_key_alone(ring: Keyring) -> None:
    changed = rotate(ring, "c1", [CANARY])
    assert not set(names_of(ring)) & set(names_of(changed))
    assert pseudonym(ring, "donor", "c1", "d2") == pseudonym(changed, "donor", "c1", "d2")


def test_nothing_in_an_erased_file_leads_to_the_donor(ring: Keyring, key_file: Path) -> None:
    names = names_of(ring)
    key = ring.keys[ring.tag("c1", CANARY)]
    erased = erase_donor(ring, "c1", CANARY)
    write_keyring(key_file, erased)
    text = key_file.read_text()
    assert key not in text
    assert CANARY not in text
    assert not any(name in text for name in names)
    with pytest.raises(UsageError, match="after their key was erased"):
        names_of(erased)


def test_an_erased_donor_gets_no_new_key(ring: Keyring) -> None:
    erased = erase_donor(ring, "c1", CANARY)
    added, all_new = add_donors(erased, "c1", [CANARY]), rotate(erased)
    for again in (added, all_new, rotate(erased, "c1", [CANARY])):
        with pytest.raises(UsageError, match="erased"):
            again.key_of("c1", CANARY)


def test_a_donor_without_key_is_an_error_that_names_nobody(ring: Keyring) -> None:
    with pytest.raises(UsageError, match="pmcell pseudonyms add") as caught:
        pseudonym(ring, "donor", "c2", CANARY)
    assert CANARY not in str(caught.value)


def test_a_cell_without_its_donor_has_no_pseudonym(ring: Keyring) -> None:
    with pytest.raises(ValueError, match="needs the donor whose it is"):
        pseudonym(ring, "cell", "c1", "ACGT")


def test_a_study_with_one_key_for_all_keeps_its_pseudonyms(key_file: Path) -> None:
    key_file.write_bytes(b"k" * 32)
    key_file.chmod(0o600)
    assert load_key() == b"k" * 32
    before = pseudonym(b"k" * 32, "cell", "c1", "A")
    assert pseudonym(load_key(), "cell", "c1", "A", donor="d") == before


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"format": "pmcell pseudonym keys 1"}',
        '{"format": "pmcell pseudonym keys 1", "index_key": "zz", "donors": {}}',
        '{"format": "pmcell pseudonym keys 1", "index_key": "00", "donors": {}}',
        json.dumps({"format": FORMAT, "index_key": "00" * 32, "donors": {"a": "1"}}),
        '{"format',
    ],
)
def test_a_damaged_file_is_refused_and_not_used_as_one_key(text: str) -> None:
    with pytest.raises(UsageError, match="it is damaged"):
        parse_keyring(text.encode(), "keys")


def test_cells_and_samples_are_named_by_their_own_donors_key(ring: Keyring) -> None:
    samples = pd.DataFrame(
        {
            name: ["x", "x"]
            for name in (
                "visit", "visit_day", "batch_id", "condition", "assay_ontology_term_id",
                "tissue_ontology_term_id", "tissue_type", "suspension_type",
            )
        },
        index=["s1", "s2"],
    ).assign(donor_id=[CANARY, "d2"])  # fmt: skip
    donors = pd.DataFrame(
        {
            name: ["x", "x"]
            for name in (
                "region", "sex_ontology_term_id", "self_reported_ethnicity_ontology_term_id",
                "development_stage_ontology_term_id", "disease_ontology_term_id", "age_group",
            )
        },
        index=[CANARY, "d2"],
    )  # fmt: skip
    texts = [np.array(item, object) for item in (["A", "B", "C"], ["s2", "s1", "s1"])]
    obs = cell_table(
        *texts,
        samples,
        donors,
        {"programme": "p", "organism_ontology_term_id": "o"},
        Scope("c1", "controlled", ring),
        np.array(["t"] * 3, object),
        {},
    )
    owners = ["d2", CANARY, CANARY]
    assert obs.index.tolist() == [
        "c1:" + pseudonym(ring, "cell", "c1", barcode, donor=owner)
        for barcode, owner in zip("ABC", owners, strict=True)
    ]
    names = ["c1:" + pseudonym(ring, "donor", "c1", name) for name in owners]
    assert obs["donor_id"].tolist() == names


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    adata = simulate(n_cohorts=1, n_donors=4, cells_per_sample=20, n_genes=80)
    return write_cohort_folders(adata, tmp_path_factory.mktemp("study"), access="controlled")[0]


def test_the_command_keeps_the_file(
    cohort: Path, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    donor = (cohort / "donors.tsv").read_text().splitlines()[1].split("\t")[0]
    assert main(["pseudonyms", "new"]) == 0
    assert main(["pseudonyms", "new"]) == 2
    assert main(["pseudonyms", "of", cohort.name, donor]) == 2
    assert main(["pseudonyms", "add", str(cohort)]) == 0
    assert main(["pseudonyms", "of", cohort.name, donor]) == 0
    first = capsys.readouterr().out.splitlines()[-1]
    assert main(["pseudonyms", "add", str(cohort)]) == 0
    assert main(["pseudonyms", "of", cohort.name, donor]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == first
    assert main(["pseudonyms", "rotate"]) == 0
    assert main(["pseudonyms", "of", cohort.name, donor]) == 0
    assert capsys.readouterr().out.splitlines()[-1] != first
    assert main(["pseudonyms", "erase", cohort.name, donor]) == 0
    assert main(["pseudonyms", "of", cohort.name, donor]) == 2
    assert donor not in key_file.read_text()


def test_an_erased_donor_is_found_in_the_consent_ledger_no_more(
    cohort: Path, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    donor, other = "anna", "berta"
    monkeypatch.setenv("PMCELL_DONOR_KEYS_FILE", str(tmp_path / "donors.json"))
    subject = add_keys(cohort.name, [donor, other]).subject(donor)
    assert main(["pseudonyms", "new"]) == 0
    assert main(["pseudonyms", "erase", cohort.name, donor]) == 2  # It has no key in this file.
    assert read_keys(cohort.name).subject(donor) == subject
    write_keyring(key_file, add_donors(load_key(), cohort.name, [donor, other]))
    assert main(["pseudonyms", "erase", cohort.name, donor]) == 0
    left = read_keys(cohort.name)
    assert (left.subject(donor), left.donor(subject)) == ("", "")
    assert left.subject(other)


def test_one_key_for_all_is_left_with_a_private_map(
    cohort: Path, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file.write_bytes(b"k" * 32)
    key_file.chmod(0o600)
    assert main(["pseudonyms", "erase", "c", "d"]) == 2
    assert "pmcell pseudonyms migrate" in capsys.readouterr().err
    new, table = tmp_path / "new.json", tmp_path / "map.tsv"
    command = ["pseudonyms", "migrate", str(cohort), "--out", str(new), "--map", str(table)]
    assert main(command) == 0
    rows = pd.read_csv(table, sep="\t")
    donor = (cohort / "donors.tsv").read_text().splitlines()[1].split("\t")[0]
    before = pseudonym(b"k" * 32, "donor", cohort.name, donor)
    assert rows["before"].iloc[0] == f"{cohort.name}:{before}"
    assert (rows["before"] != rows["after"]).all()
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    assert main(command) == 2
