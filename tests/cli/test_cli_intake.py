"""`pmcell intake` as a person or a rule calls it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import scipy.sparse as sp

from cohorts_on_disk import barcodes, cell_counts, gene_names, obs_columns, write_cohort
from pmcell.cli import main
from pmcell.registry.intake.intake import OUTPUTS
from submissions import write_h5ad


def cohort(tmp_path, x):
    folder = write_cohort(tmp_path / "cohorts" / "c1")
    write_h5ad(folder / "counts.h5ad", x, barcodes(), genes=gene_names(), obs=obs_columns())
    return ["intake", "--cohort-dir", str(folder), "--out-dir", str(tmp_path / "out")]


def test_a_sound_cohort_prints_one_line(tmp_path, capsys):
    assert main(cohort(tmp_path, sp.csr_matrix(cell_counts()))) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("c1: ok, 60 cells, 152 of 154 genes")
    assert printed.err == ""
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {*OUTPUTS.values(), ".stamps"}


def test_a_broken_cohort_ends_well_with_the_reason_on_stderr(tmp_path):
    command = cohort(tmp_path, sp.csr_matrix(np.log1p(cell_counts())))
    done = subprocess.run(
        [sys.executable, "-m", "pmcell", *command, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "\nc1: not_counts: counts.h5ad: raw counts in X must be whole numbers" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["status"] == "quarantined"


def test_mistakes_of_the_caller_exit_with_2(tmp_path, capsys):
    command = cohort(tmp_path, cell_counts())
    assert main([*command[:2], str(tmp_path / "none"), *command[3:]]) == 2
    assert "--cohort-dir must be a folder" in capsys.readouterr().err
    config = tmp_path / "config.yaml"
    config.write_text("intake: {min_cell: 3}\n")
    assert main([*command, "--config", str(config)]) == 2
    assert "line 1, intake.min_cell: must be a key of intake" in capsys.readouterr().err
    config.write_text("intake: {min_cells: many}\n")
    assert main([*command, "--config", str(config)]) == 2
    assert "must be a whole number from 1; found the text 'many'" in capsys.readouterr().err
    assert main([*command, "--memory", "10"]) == 2
    assert "--memory must be 1024 to" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_thresholds_come_from_the_section_of_the_config(tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("intake: {min_cells: 61}\nqc: {other: 1}\n")
    command = cohort(tmp_path, sp.csr_matrix(cell_counts()))
    assert main([*command, "--config", str(config)]) == 0
    assert "at least 61 cells (intake.min_cells); found 60" in capsys.readouterr().err
