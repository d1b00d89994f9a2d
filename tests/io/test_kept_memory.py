"""Memory of arrays that are gone is used again."""

from __future__ import annotations

import platform
import resource

import numpy as np
import pytest

from pmcell.io.system import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the option is glibc's")
def test_arrays_take_the_memory_of_those_that_are_gone() -> None:
    def new_pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            arrays = [np.ones(1 << 18) for _ in range(8)]
            del arrays
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert keep_freed_memory()
    new_pages()
    one_round = 8 * (8 << 18) / resource.getpagesize()
    assert new_pages() < one_round / 2
