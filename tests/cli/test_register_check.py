"""From a submitted file to a checked cohort, as a person does it on the command line."""

from __future__ import annotations

import json
import re

import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names
from pmcell.cli import main
from pmcell.registry.cohorts.cohort import load_registration
from submissions import write_10x_h5, write_h5ad, write_mtx, write_table


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_file(study):
    donors = ["d1", "d2"]
    obs = {
        "sample_id": [f"s{k % 2}" for k in range(60)],
        "donor_id": [donors[k % 2] for k in range(60)],
        "cell_type": ["B cell" for _ in range(60)],
        "tissue": ["blood" for _ in range(60)],
        "disease": ["healthy" for _ in range(60)],
    }
    counts = sp.csr_matrix(cell_counts())
    return write_h5ad(study / "in.h5ad", counts, barcodes(), genes=gene_names(), obs=obs)


def decide(folder):
    """Replace every TODO as a person would."""
    path = folder / "cohort.yaml"
    text = path.read_text()
    for key, value in {
        "title": "A title",
        "  name": "Ada",
        "license": "CC-BY-4.0",
        "region": "NL32",
        "programme": "healthy",
        "access": "open",
        "data_use": "[DUO:0000042]",
        "  assay_ontology_term_id": "EFO:0009922",
        "  tissue_ontology_term_id": "UBERON:0000178",
        "  suspension_type": "cell",
    }.items():
        text = re.sub(rf"(?m)^{key}: \[?TODO.*$", f"{key}: {value}", text)
    path.write_text(text)
    for name in ("donors.tsv", "samples.tsv"):
        table = folder / name
        table.write_text(table.read_text().replace("TODO", "d1"))


@pytest.mark.child
def test_a_registered_file_passes_the_check_once_a_person_has_decided(study, capsys):
    write_file(study)
    assert main(["register", "in.h5ad", "--id", "c1"]) == 0
    said = capsys.readouterr().out
    assert "pmcell check c1" in said
    folder = study / "config/cohorts/c1"
    assert "path: ../../../in.h5ad" in (folder / "cohort.yaml").read_text()

    assert main(["check", "c1"]) == 1
    said = capsys.readouterr().out
    assert "must be decided" in said
    decide(folder)
    assert main(["check"]) == 0
    assert "1 checked: 1 ok" in capsys.readouterr().out
    assert len(load_registration(folder).samples) == 2


def test_the_file_is_neither_copied_nor_changed(study):
    path = write_file(study)
    before = path.read_bytes()
    main(["register", "in.h5ad", "--id", "c1", "--json"])
    assert path.read_bytes() == before
    written = sorted(path.name for path in (study / "config/cohorts/c1").iterdir())
    assert written == ["cohort.yaml", "donors.tsv", "samples.tsv"]


def test_the_check_answers_machines_in_json(study, capsys):
    write_file(study)
    main(["register", "in.h5ad", "--id", "c1", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["n_todo"] > 0
    assert main(["check", "--tables-only", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer[0]["cohort_id"] == "c1"
    assert answer[0]["ok"] is False
    assert {"file", "row", "column", "must", "found", "fix"} <= set(answer[0]["faults"][0])


@pytest.mark.parametrize("kind", ["10x_h5", "10x_mtx", "csv"])
def test_every_format_can_be_registered(study, kind):
    if kind == "10x_h5":
        path = write_10x_h5(study / "in.h5", cell_counts(), barcodes(), genes=gene_names())
    elif kind == "10x_mtx":
        path = write_mtx(study / "in", cell_counts(), barcodes(), packed=True, genes=gene_names())
    else:
        path = write_table(study / "in.tsv", cell_counts().T, gene_names(), barcodes())
    assert main(["register", str(path), "--id", "c1"]) == 0
    text = (study / "config/cohorts/c1/cohort.yaml").read_text()
    assert f"format: {'tsv' if kind == 'csv' else kind}" in text
    assert "sample_id: constant:c1" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.h5ad", "--id", "c1"], "FILE must exist"),
        (["in.h5ad", "--id", "../c1"], "--id must be 1 to 64"),
        (["in.h5ad", "--id", "c1", "--format", "h5da"], "--format must be one of"),
    ],
)
def test_a_wrong_call_writes_nothing(study, capsys, arguments, message):
    write_file(study)
    assert main(["register", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (study / "config").exists()


def test_a_registered_cohort_is_not_overwritten(study, capsys):
    write_file(study)
    (study / "config/cohorts/c1").mkdir(parents=True)
    (study / "config/cohorts/c1/donors.tsv").write_text("mine\n")
    assert main(["register", "in.h5ad", "--id", "c1"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (study / "config/cohorts/c1/donors.tsv").read_text() == "mine\n"


def test_a_damaged_file_is_refused_without_a_draft(study, capsys):
    path = write_file(study)
    path.write_bytes(path.read_bytes()[:2000])
    assert main(["register", "in.h5ad", "--id", "c1"]) == 3
    assert "in.h5ad" in capsys.readouterr().err
    assert not (study / "config").exists()


def test_an_unknown_cohort_is_a_wrong_call_with_the_nearest(study, capsys):
    (study / "config/cohorts/liu_b1").mkdir(parents=True)
    (study / "config/cohorts/liu_b1/cohort.yaml").write_text("id: liu_b1\n")
    assert main(["check", "liu_b2"]) == 2
    assert "Did you mean 'liu_b1'?" in capsys.readouterr().err


def test_without_cohorts_the_check_says_how_to_begin(study, capsys):
    assert main(["check"]) == 2
    assert "pmcell register" in capsys.readouterr().err
