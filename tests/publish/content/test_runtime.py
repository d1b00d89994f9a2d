"""The runtime table: which jobs it names, what it tells, and that it is no part of the content."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pmcell.io.atomic import read_json
from pmcell.io.tables import read_table
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content.runtime import runtime_frame
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import redact
from pmcell.publish.facts import load_facts
from pmcell.release.digest import content_sha256
from pmcell.schema import RUNTIME
from pmcell.steps import STEPS

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def runtime_rows(results: Path) -> pd.DataFrame:
    """The table as a release holds it."""
    facts = load_facts(results)
    return redact(RUNTIME, runtime_frame(facts, load_atlas(results)), Policy(facts))


def record(results: Path, job: str, numbers: str) -> None:
    path = results / "benchmarks" / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + numbers + "\n")


def test_records_become_rows_with_seconds_and_megabytes(results: Path) -> None:
    cohorts = [item.cohort_id for item in load_facts(results).cohorts if item.is_open]
    record(results, f"qc/{cohorts[0]}", "5.5\t0:00:05\t452.8\t1\t1\t1\t11.6\t0.15\t83.5\t4.9")
    rows = runtime_rows(results).set_index("job")
    row = rows.loc[f"qc/{cohorts[0]}"]
    assert (row["rule"], row["cohort_id"]) == ("qc", cohorts[0])
    assert (row["wall_seconds"], row["cpu_seconds"], row["peak_memory_mb"]) == (5.5, 4.9, 452.8)
    assert (row["disk_read_mb"], row["disk_written_mb"]) == (11.6, 0.15)
    assert rows.loc[["umap"], "wall_seconds"].isna().all()
    assert set(rows["rule"]) == {step.name for step in STEPS if not step.is_product}


def test_a_job_that_ran_under_the_old_name_of_its_step_keeps_its_record(results: Path) -> None:
    numbers = "\t0:00:05\t452.8\t1\t1\t1\t11.6\t0.15\t83.5\t4.9"
    for job, seconds in (("gram/alpha", 5), ("basis", 6), ("gram/alpha-2", 7)):
        record(results, job, f"{seconds}{numbers}")
    # The step ran again since.
    record(results, "covariance/alpha-2", f"8{numbers}")
    rows = runtime_frame(load_facts(results), load_atlas(results)).set_index("job")["wall_seconds"]
    jobs = ["covariance/alpha", "pca", "covariance/alpha-2"]
    assert rows[jobs].tolist() == [5, 6, 8]
    assert not {"gram/alpha", "basis"} & set(rows.index)


@pytest.mark.parametrize(
    "numbers", ["0.01\t0:00:00\t0\t0\t0\t0\t0\t0\t0\t0", "1\t-\tNA" + "\tNA" * 7]
)
def test_what_was_too_short_to_be_measured_is_null(results: Path, numbers: str) -> None:
    record(results, "umap", numbers)
    row = runtime_rows(results).set_index("job").loc["umap"]
    assert row["wall_seconds"] == float(numbers.split("\t")[0])
    assert row.isna()[["cpu_seconds", "peak_memory_mb", "disk_read_mb"]].all()


def test_cohorts_without_open_access_tell_neither_time_nor_bytes(results: Path) -> None:
    closed = [item.cohort_id for item in load_facts(results).cohorts if not item.is_open]
    assert closed
    for job in ("umap", *(f"qc/{name}" for name in closed)):
        record(results, job, "5.5\t0:00:05\t452.8\t1\t1\t1\t11.6\t0.15\t83.5\t4.9")
    rows = runtime_rows(results).set_index("job")
    assert not set(closed) & set(rows["cohort_id"])
    assert rows.loc["umap", "wall_seconds"] == 5.5
    assert rows.loc["umap", ["disk_read_mb", "disk_written_mb"]].isna().all()


def test_other_times_give_the_same_content_but_other_bytes(results: Path) -> None:
    from pmcell.publish import write_release

    found = []
    for numbers in ("5.5", "7.5"):
        record(results, "umap", f"{numbers}\t0:00:05\t452.8\t1\t1\t1\t1\t1\t1\t4.9")
        target = results / f"release{numbers}"
        write_release(results, target, config={"release": {"date": "2026-01-31"}})
        table = read_table(target / "tables" / "runtime.parquet").set_index("job")
        assert table.loc["umap", "wall_seconds"] == float(numbers)
        found.append(read_json(target / "manifest.json"))
    one, two = (item["files"]["tables/runtime.parquet"] for item in found)
    assert one["sha256"] != two["sha256"]
    assert one["content_sha256"] == two["content_sha256"]
    assert found[0]["content_sha256"] == found[1]["content_sha256"]


def test_another_job_is_another_content(release: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = release / "tables" / "runtime.parquet"
    data = pq.read_table(path)
    jobs = pa.array([*data["job"].to_pylist()[:-1], "other"])
    pq.write_table(data.set_column(0, data.schema.field(0), jobs), tmp_path / "runtime.parquet")
    assert content_sha256(tmp_path / "runtime.parquet") != content_sha256(path)
