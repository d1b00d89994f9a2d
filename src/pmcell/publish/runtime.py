"""`tables/runtime.parquet`: what each job of the run took, from Snakemake's benchmark records.

Records name no computer. The rows follow from what is published, not from
what was measured: a job whose record is not there keeps its row, without
numbers. Jobs of cohorts without open access have no row, since time and
memory follow from the number of cells; where such a cohort takes part, jobs
across cohorts keep their time, but not the bytes they moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pmcell.io.benchmarks import read_benchmark
from pmcell.publish.facts import Facts
from pmcell.schema import RUNTIME
from pmcell.steps import STEPS, benchmark_path

if TYPE_CHECKING:
    import pandas as pd


def runtime_frame(facts: Facts) -> pd.DataFrame:
    """One row for each job behind the release, null where no number was measured."""
    import pandas as pd

    return pd.DataFrame(_jobs(facts), columns=[item.name for item in RUNTIME.fields])


def _jobs(facts: Facts) -> Iterator[dict[str, Any]]:
    is_mixed = any(not cohort.is_open for cohort in facts.cohorts)
    shown = [cohort.cohort_id for cohort in facts.cohorts if cohort.is_open]
    for step in STEPS:
        # A product has no record yet: the release is being written, and what follows it waits.
        if step.is_product:
            continue
        for cohort_id in shown if step.per_cohort else [None]:
            taken = read_benchmark(benchmark_path(facts.results, step, cohort_id or ""))
            if is_mixed and cohort_id is None:
                taken |= {"disk_read_mb": None, "disk_written_mb": None}
            job = step.job(cohort_id or "")
            yield {"job": job, "rule": step.name, "cohort_id": cohort_id, **taken}
