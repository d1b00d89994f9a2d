"""A results folder and the release made from it."""

from __future__ import annotations

import shutil
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


CONFIG = {"release": {"date": "2026-01-31"}, "qc": {"n_mads": 5}}


@pytest.fixture(scope="session")
def release(shared_results: Path) -> Path:
    """A release that tests only read."""
    return _release(shared_results)


@pytest.fixture(scope="session")
def open_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release without a withheld cohort and without strata, to read only."""
    root = tmp_path_factory.mktemp("open")
    return _release(make_results(root, decision="continuum", access={"closed": "open"}))


@pytest.fixture
def target(release: Path, results: Path) -> Path:
    """A release of one's own beside its results."""
    return Path(shutil.copytree(release, results / "release"))


def _release(results: Path) -> Path:
    from pmcell.publish import write_release

    write_release(results, results / "release", config=CONFIG)
    return results / "release"
