"""The frozen model of a release does not hang on how many threads a library takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pmcell.publish.content import cell_model


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
