"""The same tiny counts for every format."""

from __future__ import annotations

import numpy as np
import pytest

from submissions import GENES, barcode


@pytest.fixture(scope="session")
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(0.8, (40, len(GENES))).astype(np.int64)


@pytest.fixture(scope="session")
def barcodes(counts: np.ndarray) -> list[str]:
    return [barcode(7 * k + 1) for k in range(counts.shape[0])]
