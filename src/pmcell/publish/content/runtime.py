"""`tables/runtime.parquet`: what each job of the run took, from Snakemake's benchmark records.

Records name no computer. The rows follow from what is published, not from
what was measured: a job whose record is not there keeps its row, without
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pmcell.io.benchmarks import read_benchmark
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Facts
from pmcell.schema import RUNTIME
from pmcell.step import benchmark_path
from pmcell.steps import STEPS

if TYPE_CHECKING:
    import pandas as pd


def runtime_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """One row for each job behind the release, null where no number was measured."""
    import pandas as pd

    return pd.DataFrame(_jobs(facts), columns=RUNTIME.columns)


def _jobs(facts: Facts) -> Iterator[dict[str, Any]]:
    cohort_ids = [cohort.cohort_id for cohort in facts.cohorts]
    for step in STEPS:
        # A product has no record yet: the release is being written, and what follows it waits.
        if step.is_product:
            continue
        for cohort_id in cohort_ids if step.per_cohort else [None]:
            taken = read_benchmark(benchmark_path(facts.results, step, cohort_id or ""))
            job = step.job(cohort_id or "")
            yield {"job": job, "rule": step.name, "cohort_id": cohort_id, **taken}
