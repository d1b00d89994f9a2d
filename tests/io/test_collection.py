"""The collector of cycles looks less often where few objects are in cycles, and as ever after."""

from __future__ import annotations

import gc

import pytest

from pmcell.io.collection import rare_collection


def test_the_collector_looks_rarely_inside_and_as_often_as_before_after() -> None:
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="stopped"), rare_collection():
        assert gc.isenabled()
        assert gc.get_threshold()[0] > 10 * before[0]
        raise ValueError("stopped")
    assert gc.get_threshold() == before
