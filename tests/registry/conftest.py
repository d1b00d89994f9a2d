"""What the tests of registration share."""

from __future__ import annotations

import importlib
import json

import pytest

from pmcell.io import sandbox


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the reader here: the same code, without the seconds that a child takes to start."""

    def run(target, arguments, **limits):
        module, _, function = target.partition(":")
        answer = getattr(importlib.import_module(module), function)(**arguments)
        return json.loads(json.dumps(answer))

    monkeypatch.setattr(sandbox, "run", run)
