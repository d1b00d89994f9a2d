"""A trial leaves a study that nothing can publish by mistake, and a copy that can run."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names
from pmcell.cli import main, module_of
from pmcell.cli.run import _trial, run, try_
from pmcell.cli.run._trial import make_trial
from pmcell.errors import DataError, UsageError
from pmcell.registry.cohorts.cohort import find_faults, load_registration
from pmcell.registry.cohorts.keys import ONLY_A_PERSON
from pmcell.registry.draft.decisions import open_decisions
from pmcell.schema.verdict import Verdict
from pmcell.settings.load import load_settings
from pmcell.settings.release import ReferenceSettings, ReleaseSettings
from steward_files import steward_obs, write_steward_file
from submissions import write_h5ad, write_mtx


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trial(path, folder="t", **given):
    return make_trial([Path(path)], Path(folder), given=given, fmt=None)[0]


def test_the_study_stays_open_and_its_copy_is_sound(study):
    made = trial(write_steward_file(study / "in.h5ad"))
    draft, copy = (study / place / "config/cohorts/in" for place in ("t", "t/trial"))
    still = {one.key for one in open_decisions(draft)}
    assert {"title", "access", "data_use", "sex[1]"} <= still
    assert any(fault.reason == "todo" for fault in find_faults(draft))
    registration = load_registration(copy)
    assert registration.title == "Trial of in.h5ad, not for publication"
    assert registration.donors[0].sex_ontology_term_id == "unknown"
    assert set(made.stand_ins) >= set(ONLY_A_PERSON) - {"programme"}
    assert main(["check", "--cohorts-dir", "t/trial/config/cohorts", "--tables-only"]) == 0


def test_what_only_publishing_needs_is_left_out_of_the_trial_and_not_of_the_study(study):
    trial(write_steward_file(study / "in.h5ad"))
    settings = {
        place: load_settings(study / place / "config/config.yaml").of(ReleaseSettings)
        for place in ("t", "t/trial")
    }
    chosen = {place: (of.validators, of.expression) for place, of in settings.items()}
    assert chosen == {"t": (("light",), "all"), "t/trial": (("none",), "none")}
    for place, is_wanted in (("t", True), ("t/trial", False)):
        found = load_settings(study / place / "config/config.yaml").of(ReferenceSettings)
        assert found.freeze is is_wanted
    titles = [settings[place].title for place in ("t", "t/trial")]
    assert titles == ["", "Trial of in.h5ad, not for publication"]


def test_a_lane_without_metadata_is_one_person_and_says_so(study):
    write_mtx(study / "lane", cell_counts(), barcodes(), packed=True, genes=gene_names())
    made = trial("lane")
    assert "taken as one person" in dict(made.guesses())["donors"]
    donors = load_registration("t/trial/config/cohorts/lane").donors
    assert [donor.donor_id for donor in donors] == ["lane"]


def test_columns_that_are_named_are_taken(study):
    write_steward_file(study / "in.h5ad", who=["x", "y"] * 30, lib=["l1", "l2"] * 30)
    trial("in.h5ad", donor_id="who", sample_id="lib")
    samples = load_registration("t/trial/config/cohorts/in").samples
    assert [(one.sample_id, one.donor_id) for one in samples] == [("l1", "x"), ("l2", "y")]


def write_logs(path):
    logs = sp.csr_matrix(np.log1p(cell_counts() / 3.0))
    return write_h5ad(path, logs, barcodes(), genes=gene_names(), obs=steward_obs())


def test_what_cannot_be_tried_leaves_nothing_behind(study):
    write_logs(study / "logs.h5ad")
    with pytest.raises(DataError, match="there must be raw counts"):
        trial("logs.h5ad")
    write_steward_file(study / "in.h5ad")
    with pytest.raises(UsageError, match="--donor must name a column"):
        trial("in.h5ad", donor_id="nobody")
    mixed = [f"s{k % 3}" for k in range(60)]
    write_steward_file(study / "mixed.h5ad", sample_id=mixed)
    with pytest.raises(UsageError, match="a sample must be of one person"):
        trial("mixed.h5ad")
    assert not (study / "t").exists()


def test_a_folder_that_holds_something_is_left_alone(study):
    (study / "t").mkdir()
    (study / "t/mine").write_text("x")
    write_steward_file(study / "in.h5ad")
    with pytest.raises(UsageError, match="new or empty folder"):
        trial("in.h5ad")
    assert (study / "t/mine").read_text() == "x"


def test_the_verdict_is_one_sentence():
    assert try_._strata_sentence(Verdict("too few donors", "3 have cells")) == (
        "No strata: too few donors. 3 have cells."
    )
    assert try_._strata_sentence(Verdict("strata", "")) == "Strata of donors."


def test_the_command_is_found_and_a_wrong_call_makes_no_folder(study, capsys):
    assert module_of("try") == "pmcell.cli.run.try_"
    assert main(["try", "nothing.h5ad"]) == 2
    assert "FILE must exist" in capsys.readouterr().err
    write_steward_file(study / "in.h5ad")
    assert main(["try", "in.h5ad", "--cores", "0"]) == 2
    assert not (study / "pmcell-try-in").exists()


def test_a_trial_that_was_interrupted_goes_on_with_what_it_made(study, monkeypatch, capsys):
    write_steward_file(study / "in.h5ad")
    runs = []

    def stopped(of, command):
        runs.append(of.folder)
        raise KeyboardInterrupt("SIGTERM")

    monkeypatch.setattr(run, "run_workflow", stopped)
    words = ["try", "in.h5ad", "--out", "t"]
    assert main(words) == 143
    told = capsys.readouterr().out
    draft = study / "t/config/cohorts/in/cohort.yaml"
    draft.write_text(draft.read_text() + "# what a person wrote since\n")
    assert main(words) == 143
    assert capsys.readouterr().out == told
    assert len(runs) == 2
    assert "what a person wrote since" in draft.read_text()
    assert main([*words, "--donor", "donor_id"]) == 2
    write_steward_file(study / "in.h5ad", who=["x", "y"] * 30)
    assert main(words) == 2
    assert "that of a trial of the same files, unchanged" in capsys.readouterr().err


def test_a_folder_that_leads_nowhere_is_looked_through_all_the_same(study):
    (study / "lane").mkdir()
    (study / "lane" / "gone").symlink_to("nowhere")
    assert _trial._asked([study / "lane"], {}, None)["files"]


def test_an_empty_folder_that_was_there_stays_and_the_cause_is_told(study, monkeypatch, capsys):
    (study / "noise.h5ad").write_bytes(b"noise")
    (study / "here").mkdir()
    monkeypatch.chdir(study / "here")
    assert main(["try", "../noise.h5ad", "--out", "."]) == 3
    assert "noise.h5ad: the file must be HDF5" in capsys.readouterr().err
    assert list(Path().resolve().iterdir()) == []

    def refuse(folder, **options):
        raise PermissionError(errno.EACCES, "words of the system", str(folder))

    monkeypatch.setattr("pmcell.cli.init.make_study", refuse)
    assert main(["try", "../noise.h5ad", "--out", "."]) == 1
    assert "permission was denied" in capsys.readouterr().err


def test_a_name_of_several_lines_is_one_in_the_title():
    assert _trial._title([Path("a\nb.h5ad")]) == "Trial of a b.h5ad, not for publication"
