"""What all tests share: no validator runs unless a test asks for it; the longest begin first."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hdf5plugin  # noqa: F401  # with it AnnData reads the counts between steps
import pytest

from pmcell.publish.validators.environments import folder


@pytest.fixture(scope="session", autouse=True)
def validators_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Hide the validators that are set up on this machine; the folder in which they lie.

    Releases are written in many tests, and would be judged anew in each.
    """
    real = str(folder())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PMCELL_VALIDATORS_DIR", str(tmp_path_factory.mktemp("no-validators")))
        yield os.environ.get("PMCELL_TEST_VALIDATORS_DIR", real)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests on Slurm, which mostly wait, so that others run beside them."""
    items.sort(key=lambda item: "test_slurm" not in item.nodeid)
