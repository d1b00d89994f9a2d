"""What a scan looks for of a person besides names: cells, genes that they express, and sums."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from mixed_study import make_study
from pmcell.cli.person._person_cells import cells_of, sum_prints
from pmcell.consent.removal.needles import Needles, donor_needles
from pmcell.consent.removal.scan import scan
from pmcell.schema.text import text_array

DONOR = "closed:D1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("person")).results / "cohorts" / "closed"


@pytest.fixture(scope="module")
def needles(folder: Path) -> Needles:
    cells = cells_of(folder / "intake.h5ad", DONOR)
    mine, theirs = sum_prints(folder / "aggregate.npz", DONOR)
    assert len(cells.names) == 14
    return donor_needles(
        [], (), cells.prints | mine, cells.other_prints | theirs, genes=cells.genes
    )


def sums_of(folder: Path, donors: list[str]) -> np.ndarray:
    counts = ad.read_h5ad(folder / "intake.h5ad")
    of = text_array(counts.obs["donor_id"])
    return np.stack([np.asarray(counts.X[of == donor].sum(axis=0)).ravel() for donor in donors])


def test_sums_of_the_cohort_are_found_where_the_person_is_in_them(folder, needles) -> None:
    assert scan([folder / "aggregate.npz"], needles).hits
    assert scan([folder / "intake.h5ad"], needles).hits
    assert not scan([folder.parent / "alpha" / "aggregate.npz"], needles).hits
    assert not scan([folder.parent / "alpha" / "intake.h5ad"], needles).hits


@pytest.mark.parametrize("how", [np.asarray, np.log1p, lambda sums: sums / 14])
def test_pseudobulk_is_known_under_any_name(folder, needles, tmp_path: Path, how) -> None:
    for number, donors in enumerate(([DONOR, "closed:D2"], ["closed:D2", "closed:D3"])):
        place = tmp_path / f"{number}.json"
        place.write_text(json.dumps(how(sums_of(folder, donors)).tolist()))
        assert bool(scan([place], needles).hits) == (DONOR in donors)
