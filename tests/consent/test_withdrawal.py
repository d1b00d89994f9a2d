"""Withdrawals: killed at any moment they go on or have never been; proof and scan must hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ledgers import KEY, OTHER_KEY, entry

from pmcell.cli.person._clean_build import compare, rebuild
from pmcell.cli.run import _study, _workflow
from pmcell.cli.run import run as workflow
from pmcell.consent import withdrawal as module
from pmcell.consent.entries import Policy
from pmcell.consent.ledger import add_entries, begin_ledger, read_ledger
from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.scan import ScanReport, scan
from pmcell.consent.takedown import artefacts, release_facts
from pmcell.consent.withdrawal import (
    STAGES,
    Journal,
    Work,
    as_needles,
    journal_path,
    open_journal,
    receipt_path,
    withdraw,
)
from pmcell.consent.withdrawal_receipt import (
    Known,
    as_text,
    backups_gone_by,
    stays,
    verify_receipt,
)
from pmcell.errors import DataError
from pmcell.io.atomic import write_json, write_text
from pmcell.io.stamps import write_stamps
from pmcell.release.digest import content_sha256

DONOR, SUBJECT = "donor-anna-1", "a" * 64
OLDER = {"version": "0", "content_sha256": "b" * 64, "state": "taken down", "known_from": "x"}
KNOWN = Known("erased", 2, (OLDER,), ("Ghent",), 30)


class Killed(BaseException):
    """Stands for a process that ends here."""


class Study:
    """A study of three results and a release, which `rebuild` makes anew without the donor."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results"
        self.cohort = folder / "config" / "cohorts" / "c1"
        self.cohort.mkdir(parents=True)
        policy = Policy("p", "consent", "2024-01-01T00:00:00+00:00")
        begin_ledger(self.cohort, policy, [entry("give", "2024-01-01", subject=SUBJECT)], key=KEY)
        self.kill_at, self.n_rebuilt, self.is_erased = "", 0, False
        self.make(f"{DONOR} and others")

    def make(self, text: str) -> None:
        write_text(self.results / "cohorts/c1/intake.json", text)
        write_stamps("intake", [self.results / "cohorts/c1/intake.json"], {}, {})
        write_text(self.results / "cohorts/c2/intake.json", "others")
        write_stamps("intake", [self.results / "cohorts/c2/intake.json"], {}, {})
        write_text(self.results / "atlas/pca.json", text)
        inputs = {"cohorts/c1/intake.json": "x", "cohorts/c2/intake.json": "y"}
        write_stamps("pca", [self.results / "atlas/pca.json"], inputs, {})
        write_text(self.results / "release/donors.txt", text)
        write_json(self.results / "release/manifest.json", {"content_sha256": str(hash(text)) * 3})

    def work(self) -> Work:
        return Work(
            self.folder,
            self.results,
            self.cohort,
            self.rebuild,
            self.prove,
            self.search,
            self.erase,
        )

    def rebuild(self) -> None:
        self._maybe_die("rebuild")
        self.n_rebuilt += 1
        acts = [item.act for item in read_ledger(self.cohort, signers=[KEY.public_key()]).entries]
        self.make("others" if "withdraw" in acts else f"{DONOR} and others")
        self._maybe_die("after rebuild")

    def prove(self):
        self._maybe_die("prove")
        return {"said": "equal"}

    def search(self, needles) -> ScanReport:
        self._maybe_die("search")
        return scan([self.results], needles, base=self.folder)

    def erase(self) -> None:
        self._maybe_die("erase")
        self.is_erased = True
        self._maybe_die("after erase")

    def _maybe_die(self, moment: str) -> None:
        if self.kill_at == moment:
            self.kill_at = ""
            raise Killed

    def journal(self) -> Journal:
        found = open_journal(self.folder, SUBJECT)
        if found is None:
            found = Journal(
                journal_path(self.folder, SUBJECT),
                "c1",
                entry("withdraw", "2026-01-01", number=7, subject=SUBJECT).as_dict(),
                needles=as_needles(Needles({DONOR: "donor"})),
                gone=artefacts(self.results, "c1"),
                release=release_facts(self.results),
                known=KNOWN,
            )
            found.reach("noted")
        return found

    def withdraw(self):
        return withdraw(self.journal(), self.work(), key=KEY, day="2026-03-01")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def is_done(study: Study, receipt) -> None:
    assert study.is_erased
    assert receipt["erased"]["n_corrections"] == 2
    assert verify_receipt(receipt, KEY.public_key())
    assert json.loads(receipt_path(study.folder, SUBJECT).read_text()) == receipt
    assert not journal_path(study.folder, SUBJECT).exists()
    acts = [item.act for item in read_ledger(study.cohort, signers=[KEY.public_key()]).entries]
    assert acts == ["give", "withdraw"]
    assert {item["file"] for item in receipt["gone"]} == {
        "cohorts/c1/intake.json",
        "atlas/pca.json",
        "release/donors.txt",
        "release/manifest.json",
    }
    assert len(list((study.folder / "tombstones").glob("*.json"))) == 1
    everything = [path for path in study.folder.rglob("*") if path.is_file()]
    assert not any(DONOR in path.read_text() for path in everything)


def test_a_withdrawal_leaves_a_receipt_a_tombstone_and_nobody(study: Study) -> None:
    receipt = study.withdraw()
    is_done(study, receipt)
    assert study.n_rebuilt == 1
    text = as_text(receipt)
    assert text.index("GONE: 4 files") < text.index("STAYS, and why")
    assert "copies that others downloaded" in text
    [stone] = (study.folder / "tombstones").glob("*.json")
    assert json.loads(stone.read_text())["state"] == "taken down"


@pytest.mark.parametrize(
    "moment", ["rebuild", "after rebuild", "prove", "search", "erase", "after erase"]
)
def test_killed_within_a_stage_it_goes_on_from_there(study: Study, moment: str) -> None:
    study.kill_at = moment
    with pytest.raises(Killed):
        study.withdraw()
    assert not receipt_path(study.folder, SUBJECT).exists()
    is_done(study, study.withdraw())
    assert study.n_rebuilt == (2 if moment == "after rebuild" else 1)


@pytest.mark.parametrize("stage", STAGES[:-1])
@pytest.mark.parametrize("before", [True, False])
def test_killed_beside_every_note_of_the_journal_it_goes_on(
    study: Study, stage: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach = Journal.reach

    def die(self, reached):
        if reached == stage and before:
            raise Killed
        reach(self, reached)
        if reached == stage:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "reach", die)
        with pytest.raises(Killed):
            study.withdraw()
    if stage == "noted" and before:
        # As before: nothing was recorded, and the release is there.
        assert len(read_ledger(study.cohort, signers=[KEY.public_key()]).entries) == 1
        assert (study.results / "release" / "donors.txt").exists()
    is_done(study, study.withdraw())


def test_killed_between_tombstone_and_removal_the_release_goes_down(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(Killed):
            study.withdraw()
    is_done(study, study.withdraw())


def test_the_receipt_says_what_is_known_of_backups_copies_and_older_releases(study: Study) -> None:
    receipt = study.withdraw()
    assert receipt["backups_gone_by"] == "2026-03-31"
    assert receipt["older_releases"] == [OLDER]
    assert receipt["copies"]["sealed_for"] == ["Ghent"]
    said = {item["what"]: item["why"] for item in receipt["stays"]}
    assert said["backups"].startswith("until 2026-03-31")
    assert "packages that were encrypted for Ghent" in said
    assert "copies of 1 older releases (0)" in said
    text = as_text(receipt)
    for words in ("erased: nobody can make", "2 erased", "Older release 0", "Downloads: unknown"):
        assert words in text


def test_what_nobody_said_of_backups_is_unknown() -> None:
    assert backups_gone_by(Known(), "2026-03-01") == "unknown"
    [why] = [why for what, why in stays(Known(), "2026-03-01") if what == "backups"]
    assert "on a day that nobody said (`backups_kept_days` is not set)" in why


def test_nothing_is_erased_before_nobody_is_found(study: Study) -> None:
    write_text(study.results / "notes.txt", f"ask {DONOR}")
    with pytest.raises(DataError, match="nothing of the person may be left"):
        study.withdraw()
    assert not study.is_erased


def test_a_donor_who_is_found_gets_no_receipt_until_they_are_gone(study: Study) -> None:
    left = study.results / "notes.txt"
    write_text(left, f"ask {DONOR}")
    with pytest.raises(DataError, match=r"results/notes\.txt: donor in bytes"):
        study.withdraw()
    assert not receipt_path(study.folder, SUBJECT).exists()
    left.unlink()
    is_done(study, study.withdraw())
    assert study.n_rebuilt == 1


def test_a_file_that_cannot_be_searched_stops_the_receipt(study: Study) -> None:
    (study.results / "x.gz").write_bytes(b"\x1f\x8b\x08 broken")
    with pytest.raises(DataError, match="not read"):
        study.withdraw()


def test_a_donor_who_withdrew_that_day_already_is_withdrawn_once(study: Study) -> None:
    first = entry("withdraw", "2026-01-01", number=3, subject=SUBJECT)
    add_entries(study.cohort, [first], key=KEY)
    is_done(study, study.withdraw())


def test_a_changed_receipt_or_another_signer_does_not_verify(study: Study) -> None:
    receipt = study.withdraw()
    assert not verify_receipt(receipt, OTHER_KEY.public_key())
    assert not verify_receipt({**receipt, "stays": []}, KEY.public_key())
    assert not verify_receipt({**receipt, "signature": "x"}, KEY.public_key())


def test_releases_to_which_cohorts_were_added_go_down_too(study: Study) -> None:
    for name, cohort in (("release-2", "c1"), ("release-3", "c2")):
        text = DONOR if cohort == "c1" else "others"
        write_text(study.results / name / "donors.txt", text)
        about = {"content_sha256": name * 8, "version": name, "cohorts": {cohort: {}}}
        write_json(study.results / name / "manifest.json", about)
    receipt = study.withdraw()
    assert not (study.results / "release-2").exists()
    assert (study.results / "release-3" / "donors.txt").exists()
    assert "release-2/donors.txt" in {item["file"] for item in receipt["gone"]}
    stones = [json.loads(path.read_text()) for path in (study.folder / "tombstones").glob("*")]
    assert {stone.get("version") for stone in stones} == {None, "release-2"}
    everything = [path for path in study.folder.rglob("*") if path.is_file()]
    assert not any(DONOR in path.read_text() for path in everything)


def test_the_files_of_other_cohorts_alone_are_not_touched(study: Study) -> None:
    assert set(artefacts(study.results, "c2")) == {
        "cohorts/c2/intake.json",
        "atlas/pca.json",
        "release/donors.txt",
        "release/manifest.json",
    }


def test_results_that_are_not_those_of_a_clean_build_are_named(
    study: Study, tmp_path: Path
) -> None:
    clean = Study(tmp_path / "clean")
    assert compare(study.results, clean.results)["n_results"] == 3
    write_text(clean.results / "atlas/pca.json", "something else")
    with pytest.raises(DataError, match=r"these differ: atlas/pca\.json"):
        compare(study.results, clean.results)


def test_a_release_that_the_gate_refused_is_not_asked_of_a_clean_build(
    study: Study, tmp_path: Path
) -> None:
    clean = Study(tmp_path / "clean")
    (study.results / "release" / "manifest.json").unlink()
    with pytest.raises(DataError, match="these differ: release"):
        compare(study.results, clean.results)
    write_json(study.results / "disclosure.json", {"passed": False})
    assert "the gate refused the release" in compare(study.results, clean.results)["said"]


def test_packed_results_have_a_digest_in_a_process_that_has_read_none_before(
    tmp_path: Path,
) -> None:
    import h5py
    import hdf5plugin

    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file.create_dataset("a", data=np.arange(999), chunks=(99,), **hdf5plugin.Blosc())
    # A withdrawal that goes on begins where the results are compared.
    code = (
        "from pmcell.release.digest import *; import sys; print(content_sha256(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.h5ad")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == content_sha256(tmp_path / "x.h5ad")


def test_a_damaged_journal_is_a_clear_error(study: Study) -> None:
    journal_path(study.folder, SUBJECT).parent.mkdir()
    journal_path(study.folder, SUBJECT).write_text("{")
    with pytest.raises(DataError, match="must be the journal of a withdrawal"):
        study.withdraw()


def test_marks_of_cells_of_an_earlier_version_are_never_searched_in_vain(study: Study) -> None:
    journal = study.journal()
    journal.needles = {**journal.needles, "cells": ["ab" * 12]}
    with pytest.raises(DataError, match="Finish it with that version"):
        withdraw(journal, study.work(), key=KEY, day="2026-03-01")


def test_the_journal_is_its_owners_alone(study: Study) -> None:
    study.journal()
    assert journal_path(study.folder, SUBJECT).stat().st_mode & 0o077 == 0
    assert module.FOLDER == "withdrawals"


@pytest.mark.parametrize(("code", "error"), [(130, KeyboardInterrupt), (1, DataError)])
def test_a_rebuild_that_was_stopped_is_not_taken_for_one_that_the_gate_refused(
    code, error, tmp_path, monkeypatch
):
    monkeypatch.setattr(_study, "decide_consent", lambda study: None)
    monkeypatch.setattr(_workflow, "snakemake_command", lambda study, **options: [])
    monkeypatch.setattr(workflow, "run_and_summarise", lambda *args, **options: code)
    # What an earlier run of a study whose release is down has left.
    write_json(tmp_path / "results" / "disclosure.json", {"passed": False})
    with pytest.raises(error):
        rebuild(SimpleNamespace(folder=tmp_path, results=tmp_path / "results"), 1)
