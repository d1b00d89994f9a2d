"""A results folder and the release made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from results_folder import make_results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder of one's own."""
    return make_results(tmp_path)


@pytest.fixture(scope="session")
def shared_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder that tests only read."""
    return make_results(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def release(shared_results: Path) -> Path:
    """A release that tests only read."""
    from pmcell.publish import write_release

    target = shared_results / "release"
    write_release(shared_results, target, config={"release": {"date": "2026-01-31"}})
    return target
