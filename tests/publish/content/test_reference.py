"""The frozen model of a release, whatever threads a library takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pmcell.io.h5ad import write_h5ad
from pmcell.publish.content import cell_model, reference


def test_a_reference_is_frozen_with_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []

    def look(path: Path) -> None:
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        found.extend(pool["num_threads"] for pool in pools)
        raise InterruptedError

    monkeypatch.setattr(cell_model, "read_bases", look)
    with threadpool_limits(2), pytest.raises(InterruptedError):
        cell_model.fit_cells(Path("results"), [], None)
    assert found
    assert set(found) == {1}


def test_without_sums_of_donors_there_is_no_model_of_cells_either(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "strata" / "donors.h5ad", ad.AnnData(np.ones((3, 2))))
    (tmp_path / reference.LABELS).write_bytes(b"labels")
    facts = SimpleNamespace(results=tmp_path)
    record = reference._freeze_donors(facts, tmp_path)
    assert record == {"cannot_map": "the strata step left no sums of donors' cells"}
    assert not (tmp_path / reference.LABELS).exists()
