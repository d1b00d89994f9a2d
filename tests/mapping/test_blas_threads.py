"""What is said of cells does not hang on how many threads BLAS takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pmcell.core.pca.gram import Basis
from pmcell.mapping import head, mapper, transfer

BASIS = Basis(np.zeros(3), np.ones(3), np.eye(3), np.ones(3), 3.0)
X = np.random.default_rng(0).normal(size=(20, 3))


def _fit_head() -> head.LabelHead:
    return head.fit_head(X, np.array(["a", "b"] * 10), np.zeros(20, np.int64), BASIS)


@pytest.mark.parametrize(
    ("module", "inside", "ask"),
    [
        (head, "projection_weights", lambda: _fit_head().judge(X, BASIS, np.ones(3, bool))),
        (head, "find_discriminants", _fit_head),
        (mapper, "_ordered", lambda: mapper.map_cells(None, None)),
        (transfer, "cells_by_tissue", lambda: transfer.transfer_labels(pd.DataFrame(), np.eye(2))),
    ],
)
def test_cells_are_judged_with_one_thread_of_blas(
    monkeypatch: pytest.MonkeyPatch, module: Any, inside: str, ask: Callable[[], object]
) -> None:
    found: list[int] = []

    def look(*_: Any, **__: Any) -> None:
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        found.extend(pool["num_threads"] for pool in pools)
        raise InterruptedError

    monkeypatch.setattr(module, inside, look)
    with threadpool_limits(2), pytest.raises(InterruptedError):
        ask()
    assert found
    assert set(found) == {1}
