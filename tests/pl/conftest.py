"""Tables of a made-up release, for plots."""

from __future__ import annotations

import pandas as pd
import pytest

from made_release import make_frames


@pytest.fixture(scope="session")
def frames() -> dict[str, pd.DataFrame]:
    """All tables, with published strata."""
    return make_frames(n_cells=1_500, n_donors=24, published=True, seed=3)
