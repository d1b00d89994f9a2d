"""What keeps cells from the CELLxGENE schema, and the export in the HCA profile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from hca_fields import VALUES
from pmcell.errors import FaultsError, UsageError
from pmcell.publish.profiles.cellxgene import cellxgene_reasons, sources_reasons, write_reasons
from pmcell.publish.profiles.hca import FIELDS, export_hca
from pmcell.publish.validators import run_validators
from pmcell.publish.validators.environments import is_ready
from pmcell.publish.validators.table import find


def _first(release: Path) -> str:
    return min(path.stem for path in (release / "cells").glob("*.h5ad"))


@pytest.fixture
def copied(open_release: Path, tmp_path: Path) -> tuple[Path, str]:
    """A release of cells alone, to break, and its first cohort."""
    shutil.copytree(open_release / "cells", tmp_path / "cells")
    return tmp_path, _first(open_release)


def test_source_that_knows_everything_has_no_reason(open_release: Path) -> None:
    assert cellxgene_reasons(open_release, _first(open_release)) == []


def test_every_reason_is_told_with_column_value_and_fix(copied: tuple[Path, str]) -> None:
    folder, cohort = copied
    with h5py.File(folder / "cells" / f"{cohort}.h5ad", "r+") as file:
        for column, value in (
            ("disease_ontology_term_id", "unknown"),
            ("tissue_type", "soup"),
            ("sex_ontology_term_id", "male"),
        ):
            terms = file[f"obs/{column}/categories"]
            terms[:] = [value] * len(terms)
    reasons = write_reasons(folder, [cohort])[cohort]
    assert {fault.column for fault in reasons} == {
        "disease_ontology_term_id",
        "tissue_type",
        "sex_ontology_term_id",
    }
    assert all(fault.fix for fault in reasons)
    written = json.loads((folder / "validation" / "cellxgene.json").read_text())
    assert not written["files"][f"cells/{cohort}.h5ad"]["source_allows"]
    assert "must be known" in sources_reasons(folder)[f"cells/{cohort}.h5ad"]


def test_cells_with_equal_counts_are_a_reason(copied: tuple[Path, str]) -> None:
    folder, cohort = copied
    with h5py.File(folder / "cells" / f"{cohort}.h5ad", "r+") as file:
        raw = file["raw/X"]
        indptr = raw["indptr"][:]
        lengths = np.diff(indptr)
        left, right = next(
            pair
            for size in np.unique(lengths)
            if len(pair := np.flatnonzero(lengths == size)[:2]) == 2
        )
        for name in ("indices", "data"):
            raw[name][indptr[right] : indptr[right + 1]] = raw[name][
                indptr[left] : indptr[left + 1]
            ]
    (fault,) = cellxgene_reasons(folder, cohort)
    assert "no two cells" in fault.must


def test_hca_export_has_organism_in_obs_and_no_ethnicity(
    open_release: Path, tmp_path: Path
) -> None:
    target = tmp_path / "hca.h5ad"
    export_hca(open_release, _first(open_release), target, constants=VALUES, study_pi=["Byron, A."])
    cells = anndata.read_h5ad(target)
    assert set(FIELDS) <= set(cells.obs.columns)
    assert "self_reported_ethnicity_ontology_term_id" not in cells.obs
    assert set(cells.obs["organism_ontology_term_id"]) == {"NCBITaxon:9606"}
    assert "organism_ontology_term_id" not in cells.uns
    assert list(cells.uns["study_pi"]) == ["Byron, A."]
    raw = cells.raw.X.toarray()
    expected = np.log1p(raw * (1e4 / raw.sum(axis=1, keepdims=True)))
    np.testing.assert_allclose(cells.X.toarray(), expected, atol=1e-4)


def test_the_hca_validator_accepts_an_export_and_rejects_its_broken_twin(
    open_release: Path, validators_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", validators_folder)
    validator = find("hca-schema-validator")
    if not is_ready(validator):
        pytest.skip(f"pmcell validate --set-up {validator.name}")
    good, broken = (tmp_path / "hca" / f"{name}.h5ad" for name in ("good", "broken"))
    good.parent.mkdir()
    export_hca(open_release, _first(open_release), good, constants=VALUES, study_pi=["Byron, A."])
    shutil.copy2(good, broken)
    with h5py.File(broken, "r+") as file:
        file["X/data"][:] *= 2.0
    (verdict,) = run_validators(tmp_path, [validator])
    assert {check.target: check.status for check in verdict.checks} == {
        "hca/good.h5ad": "pass",
        "hca/broken.h5ad": "fail",
    }


def test_hca_fields_that_are_missing_or_wrong_are_told_at_once(
    open_release: Path, tmp_path: Path
) -> None:
    given = {**VALUES, "reference_genome": "GRCh39"}
    del given["institute"]
    with pytest.raises(FaultsError) as raised:
        export_hca(open_release, _first(open_release), tmp_path / "x.h5ad", constants=given)
    assert {fault.column for fault in raised.value.faults} == {
        "institute",
        "reference_genome",
        None,
    }
    assert not (tmp_path / "x.h5ad").exists()


def test_hca_export_of_an_unknown_cohort_names_the_published_ones(
    open_release: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=_first(open_release)):
        export_hca(open_release, "nobody", tmp_path / "x.h5ad")
