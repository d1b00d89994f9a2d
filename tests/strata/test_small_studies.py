"""Any valid study ends with every table: from one donor up, whatever its batches and types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from explain_inputs import explain, write_inputs
from pmcell import schema
from pmcell.io.atomic import read_json
from pmcell.io.h5ad import read_h5ad
from pmcell.io.tables import conform, read_table
from pmcell.schema import Verdict
from pmcell.simulate import simulate_latent
from strata_inputs import profile, strata, write_atlas

TABLES = (
    schema.STRATA,
    schema.ASSIGNMENTS,
    schema.ASSOCIATIONS,
    schema.DRIVERS,
    schema.COMPOSITION_SHIFTS,
    schema.MOVEMENT,
    schema.OUTCOMES,
    schema.SURVIVAL,
)

STUDIES = [
    # donors, visits, types (0: none is known), what a batch is, cells a visit
    (1, 1, 3, "study", 60),
    (1, 2, 1, "visit", 60),
    (2, 1, 3, "donor", 60),
    (2, 2, 0, "study", 60),
    (3, 2, 3, "study", 60),
    (3, 2, 3, "study", 12),
    (3, 2, 1, "visit", 150),
    (3, 2, 3, "sample", 150),
    (3, 1, 3, "study", 5),
    (4, 1, 1, "donor", 150),
    (5, 3, 0, "donor", 60),
    (21, 1, 0, "study", 30),
    (21, 1, 1, "donor", 60),
    (21, 2, 3, "visit", 60),
]


def study(n_donors: int, n_visits: int, n_types: int, batch: str, n_cells: int):
    cells = simulate_latent(
        n_donors=n_donors,
        n_visits=n_visits,
        n_types=max(n_types, 1),
        n_batches=1,
        n_strata=1,
        n_dims=5,
        cells_per_donor=n_cells,
        seed=n_donors,
    )
    obs = cells.obs
    donor, visit = obs["donor_id"].astype(str), obs["visit"].astype(str)
    obs["batch_id"] = {"study": "b", "donor": donor, "visit": visit, "sample": donor + visit}[batch]
    obs["condition"] = np.where(visit == "T0", "before", "after")
    if n_visits == 1:
        obs["condition"] = np.where(pd.factorize(donor)[0] % 2, "case", "control")
    if n_types == 0:
        obs["cell_type"] = "unknown"
    return cells


@pytest.mark.parametrize(("n_donors", "n_visits", "n_types", "batch", "n_cells"), STUDIES)
def test_a_small_study_ends_with_every_table(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    n_donors: int,
    n_visits: int,
    n_types: int,
    batch: str,
    n_cells: int,
) -> None:
    write_atlas(tmp_path, study(n_donors, n_visits, n_types, batch, n_cells))
    assert profile(tmp_path) == 0, capsys.readouterr().err
    assert strata(tmp_path) == 0, capsys.readouterr().err
    for table in TABLES:
        conform(read_table(tmp_path / f"{table.name}.parquet"), table)
    donors = read_h5ad(tmp_path / "donors.h5ad")
    (tmp_path / "genes").mkdir()
    assert explain(write_inputs(tmp_path / "genes", donors)) == 0, capsys.readouterr().err
    told = Verdict.from_json(read_json(tmp_path / "strata.json"))
    assert not told.has_strata
    assert told.why
    assert told.n_donors == n_donors
    assert told.n_donors_used == (0 if n_cells < 10 else n_donors)
    placed = read_table(tmp_path / "assignments.parquet")
    assert len(placed) == n_donors * n_visits
    assert (placed["left_out"] == "").sum() == told.n_donors_used
    moved = read_table(tmp_path / "movement.parquet")
    assert moved["moved"].notna().all()
    said = capsys.readouterr().out
    if n_cells < 10:
        assert f"{n_donors} of {n_donors} donors are left out" in said
        assert f"({n_cells})" in said
        assert "Strata were sought in fewer than half of the donors" in said
    else:
        assert "no donor is left out" in said
