"""A copy that is not what its sender states is refused; a plain file is warned of."""

from __future__ import annotations

import hashlib

import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names, obs_columns, write_cohort
from pmcell.registry.intake.check import check_cohort
from pmcell.registry.intake.intake import intake_cohort
from submissions import write_h5ad


@pytest.fixture
def folder(tmp_path):
    folder = write_cohort(tmp_path / "cohorts" / "c1")
    x = sp.csr_matrix(cell_counts())
    write_h5ad(folder / "counts.h5ad", x, barcodes(), genes=gene_names(), obs=obs_columns())
    return folder


def state(folder, digest):
    path = folder / "cohort.yaml"
    path.write_text(path.read_text().replace("counts: X,", f"counts: X, sha256: {digest},"))


def digest_of(folder):
    return hashlib.sha256((folder / "counts.h5ad").read_bytes()).hexdigest()


def reasons(folder):
    return {fault.reason for fault in check_cohort(folder).faults}


def test_a_flipped_bit_of_a_plain_file_is_found_by_the_senders_digest(folder, tmp_path):
    state(folder, digest_of(folder))
    assert not reasons(folder) & {"checksum", "no_checksum"}
    data = bytearray((folder / "counts.h5ad").read_bytes())
    data[-100] ^= 4
    (folder / "counts.h5ad").write_bytes(data)
    assert "checksum" in reasons(folder)
    report = intake_cohort(folder, tmp_path / "out")
    assert (report["status"], report["reason"]) == ("quarantined", "checksum")
    assert digest_of(folder) in report["message"]


def test_a_plain_file_without_a_digest_is_warned_of_at_check_alone(folder, tmp_path):
    (warning,) = [fault for fault in check_cohort(folder).warnings if fault.reason == "no_checksum"]
    assert "sha256sum counts.h5ad" in warning.fix
    assert intake_cohort(folder, tmp_path / "out")["status"] == "ok"
    x = sp.csr_matrix(cell_counts())
    names = {"genes": gene_names(), "obs": obs_columns()}
    write_h5ad(folder / "counts.h5ad", x, barcodes(), compression="gzip", **names)
    assert "no_checksum" not in reasons(folder)


def test_a_digest_of_another_form_is_named(folder):
    state(folder, "abc")
    (fault,) = [one for one in check_cohort(folder).errors if one.column == "matrix.sha256"]
    assert "SHA-256" in fault.fix


def test_a_folder_has_no_digest(folder):
    state(folder, "0" * 64)
    (folder / "counts.h5ad").unlink()
    (folder / "counts.h5ad").mkdir()
    assert "checksum" in reasons(folder)
