"""`tables/runtime.parquet`: what each job of the run took, from Snakemake's benchmark records.

Records name no computer. The rows follow from what is published, not from
what was measured: a job whose record is not there keeps its row, without
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pmcell.bundle import bundle_folder
from pmcell.io.benchmarks import read_benchmark
from pmcell.publish.atlas import Atlas
from pmcell.publish.facts import Facts
from pmcell.schema import RUNTIME

if TYPE_CHECKING:
    import pandas as pd

OF_RELEASE = ("write_release", "seal_cohorts")
"""Rules that have no record when the release is written: its own, and what follows it."""


def runtime_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """One row for each job behind the release, null where no number was measured."""
    import pandas as pd

    return pd.DataFrame(_jobs(facts), columns=[item.name for item in RUNTIME.fields])


def _jobs(facts: Facts) -> Iterator[dict[str, Any]]:
    cohort_ids = [cohort.cohort_id for cohort in facts.cohorts]
    for rule, (step, is_per_cohort) in _rules().items():
        for cohort_id in cohort_ids if is_per_cohort else [None]:
            job = f"{step}/{cohort_id}" if cohort_id else step
            taken = read_benchmark(facts.results / "benchmarks" / f"{job}.tsv")
            yield {"job": job, "rule": rule, "cohort_id": cohort_id, **taken}


def _rules() -> dict[str, tuple[str, bool]]:
    """Step of each rule, and whether it runs once for each cohort."""
    import yaml

    model = bundle_folder() / "workflow" / "resources.yaml"
    rules = yaml.safe_load(model.read_text(encoding="utf-8"))["rules"]
    return {
        rule: (item["step"], item["scope"] == "cohort")
        for rule, item in rules.items()
        if rule not in OF_RELEASE
    }
