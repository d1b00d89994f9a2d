"""Clinical values and hours reach the tables of intake, by pseudonym where a cohort is not open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names, obs_columns, write_cohort
from pmcell.bundle import bundle_folder
from pmcell.registry.intake.intake import intake_cohort
from pmcell.registry.intake.pseudonyms import KEY_VARIABLE
from pmcell.schema import MEASUREMENTS
from submissions import write_h5ad

ROWS = (
    "donor_id\tvisit\tday\tloinc\tvalue\tunit\tsource\n"
    "d2\t\t3.5\t59261-8\t41\tmmol/mol\tclinic\n"
    "d1\tT1\t30\t4548-4\t7.1\t%\tclinic\n"
    "d1\tT0\t0\t59261-8\t60\tmmol/mol\tclinic\n"
    "d1\tT0\t0\t2345-7\t126\tmg/dL\t\n"
)


def cohort(root: Path, access: str) -> Path:
    folder = write_cohort(root / "config" / "cohorts" / "c1", access=access)
    shutil.copytree(bundle_folder() / "config" / "programmes", root / "config" / "programmes")
    file = folder / "cohort.yaml"
    file.write_text(file.read_text().replace("programme: t2d", "programme: type2_diabetes"))
    write_h5ad(
        folder / "counts.h5ad",
        sp.csr_matrix(cell_counts()),
        barcodes(),
        genes=gene_names(),
        obs=obs_columns(),
    )
    (folder / "measurements.tsv").write_text(ROWS)
    table = folder / "samples.tsv"
    head, *rows = table.read_text().splitlines()
    hours = ("2.5", "", "0")
    rows = [f"{row}\t{hour}" for row, hour in zip(rows, hours, strict=True)]
    table.write_text("\n".join([f"{head}\thours_to_processing", *rows]) + "\n")
    return folder


@pytest.mark.parametrize("access", ["open", "controlled"])
def test_values_come_in_the_programmes_unit_and_by_the_donors_global_id(
    tmp_path, access, monkeypatch
):
    if access == "controlled":
        key = tmp_path / "key"
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        monkeypatch.setenv(KEY_VARIABLE, str(key))
    folder = cohort(tmp_path, access)
    report = intake_cohort(folder, tmp_path / "out")
    assert report["status"] != "quarantined", report["message"]
    assert {"measurements.tsv", "type2_diabetes.yaml"} <= set(report["inputs"])
    table = pd.read_parquet(tmp_path / "out" / "measurements.parquet")
    donors = set(pd.read_parquet(tmp_path / "out" / "donors.parquet")["donor_id"])
    assert list(table) == MEASUREMENTS.columns
    assert set(table["donor_id"]) <= donors
    assert ("c1:d1" in donors) == (access == "open")
    hba1c = table[table["variable"] == "hba1c"]
    assert sorted(hba1c["value"]) == pytest.approx([41, 10.93 * 7.1 - 23.5, 60])
    assert set(hba1c["unit"]) == {"mmol/mol"}
    other = table[table["variable"] == ""].iloc[0]
    assert (other["loinc"], other["value"], other["unit"]) == ("2345-7", 126, "mg/dL")
    assert other["source"] == "unknown"
    late = table[table["day"] == 3.5].iloc[0]
    assert late["visit"] is None
    samples = pd.read_parquet(tmp_path / "out" / "samples.parquet").sort_values("n_cells_submitted")
    assert sorted(samples["hours_to_processing"].dropna()) == [0.0, 2.5]


def test_a_value_beyond_the_plausible_range_quarantines_the_cohort_by_name(tmp_path):
    folder = cohort(tmp_path, "open")
    (folder / "measurements.tsv").write_text(ROWS.replace("\t41\t", "\t410\t"))
    report = intake_cohort(folder, tmp_path / "out")
    assert (report["status"], report["reason"]) == ("quarantined", "range")
    assert (
        "measurements.tsv, row 2, column 'value': hba1c must be from 15 to 200"
        in (report["message"])
    )
    assert len(pd.read_parquet(tmp_path / "out" / "measurements.parquet")) == 0
