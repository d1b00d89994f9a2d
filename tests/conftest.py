"""What all tests share: readers run in this process, validators only where a test asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hdf5plugin  # noqa: F401  # with it AnnData reads the counts between steps
import pytest

from order import LEFT_OUT, arrange, left_out
from pmcell.io.submitted import sandbox
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


def _read_here(command: list[str], **_: object) -> int:
    """What the child of the sandbox does with its request, without its limits."""
    request, answer = map(Path, command[-2:])
    hooks = sys.excepthook, sys.unraisablehook
    try:
        answer.write_text(sandbox._answer(json.loads(request.read_text(encoding="utf-8"))))
    finally:
        sys.excepthook, sys.unraisablehook = hooks
    return 0


@pytest.fixture(scope="session", autouse=True)
def _readers_in_this_process() -> Iterator[None]:
    """Save the two seconds in which a reader's child loads libraries and names of genes.

    Request, answer and errors stay those of the sandbox. Programs that tests start have the child.
    """
    with pytest.MonkeyPatch.context() as patch:
        here = SimpleNamespace(call=_read_here, DEVNULL=subprocess.DEVNULL)
        patch.setattr(sandbox, "subprocess", here)
        yield


@pytest.fixture(autouse=True)
def _readers_in_a_child(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _readers_in_this_process: None
) -> None:
    """Give the child back to the tests that are marked `child`."""
    if request.node.get_closest_marker("child"):
        monkeypatch.setattr(sandbox, "subprocess", subprocess)


@pytest.hookimpl(tryfirst=True)
def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by their number: packed ones hold a time, and workers must collect the same."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all` also runs what takes long or needs programs that few machines have."""
    parser.addoption(
        "--all", action="store_true", help=f"also tests that are {', '.join(LEFT_OUT)}"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is left out, for with several workers pytest does not."""
    if config.getoption("--all"):
        return None
    return f"left out, unless named or with --all: tests marked {', '.join(LEFT_OUT)}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in order, and mark them before `-m` chooses among them."""
    arrange(items)
    if not config.getoption("--all"):
        waiting = left_out(items, config.args)
        config.hook.pytest_deselected(items=waiting)
        items[:] = [item for item in items if item not in waiting]
