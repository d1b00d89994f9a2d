"""Compiled kernels are cached where that is possible, and work where it is not."""

from __future__ import annotations

import os
import subprocess
import sys

JOB = """
import sys
import numpy as np
from pmcell.core.counts.decode import first_bad_row
print(first_bad_row(np.array([0, 2, 4]), np.array([0, 3, 3, 1], np.int32), 4))
print("numba.np.random.generator_core" in sys.modules, "scipy.linalg" in sys.modules)
"""


def start(**settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **settings}
    environment.pop("NUMBA_CACHE_DIR", None)
    return subprocess.Popen(
        [sys.executable, "-c", JOB],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_jobs_that_fill_one_cache_at_the_same_time_all_run(tmp_path):
    jobs = [start(PMCELL_CACHE_DIR=str(tmp_path)) for _ in range(3)]
    for job in jobs:
        output, error = job.communicate(timeout=300)
        assert output.split()[0] == "1", error
    assert list(tmp_path.rglob("*first_bad_row*.nbc"))
    again = start(PMCELL_CACHE_DIR=str(tmp_path))
    # What numba compiles with stays out of a job whose kernels are there.
    assert again.communicate(timeout=300)[0].split() == ["1", "False", "False"]


def test_a_home_that_cannot_be_written_is_no_obstacle():
    # Not even root can make a folder below /dev/null.
    places = dict.fromkeys(("PMCELL_CACHE_DIR", "XDG_CACHE_HOME", "HOME"), "/dev/null/none")
    output, error = start(**places).communicate(timeout=300)
    assert output.split()[0] == "1", error
