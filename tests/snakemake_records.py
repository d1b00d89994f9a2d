"""Records as Snakemake keeps them below `.snakemake`, for a study without running it."""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pmcell.step import files_of
from pmcell.steps import STEPS

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
START = 1_795_393_940.25


def record_job(
    workdir: Path,
    rule: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    start: float = START,
    seconds: float = 2,
    **values: Any,
) -> None:
    """Write the record of each output of a finished job."""
    record = {
        "rule": rule,
        "input": sorted(inputs),
        "log": [f"results/logs/{rule}.log"],
        "shellcmd": f"do {rule} {' '.join(inputs)} > {' '.join(outputs)}",
        "params": [],
        "code": f"do {rule} {{input}} > {{output}}",
        "record_format_version": 6,
        "conda_env": None,
        "container_img_url": None,
        "software_stack_hash": EMPTY_MD5,
        "job_hash": hash(tuple(outputs)),
        "incomplete": False,
        "input_checksums": {},
        "starttime": start,
        "endtime": start + seconds,
    } | values
    for output in outputs:
        place = _place(workdir / ".snakemake" / "metadata", output)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(record))


def mark_running(workdir: Path, output: str, *, start: float) -> None:
    """Leave the marker of a job that is writing `output`."""
    place = _place(workdir / ".snakemake" / "incomplete", output)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("{}")
    os.utime(place, (start, start))


def _place(folder: Path, output: str) -> Path:
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def record_study(results: Path, cohorts: Sequence[str], *, running: bool = True) -> None:
    """Records of the workflow's main steps for the files of `results_folder.make_results`."""
    workdir, at = results.parent, START
    made: list[str] = []
    for cohort in cohorts:
        home = f"results/cohorts/{cohort}"
        source = workdir / "config" / "cohorts" / cohort
        source.mkdir(parents=True, exist_ok=True)
        for name in ("cohort.yaml", "donors.tsv", f"ward 7 {cohort}.h5ad"):
            (source / name).write_text(f"{name} of {cohort}")
        raw = [f"config/cohorts/{cohort}/{path.name}" for path in sorted(source.iterdir())]
        intake = [
            f"{home}/{name}"
            for name in (
                "intake.h5ad",
                "gene_ledger.parquet",
                "donors.parquet",
                "visits.parquet",
                "samples.parquet",
                "measurements.parquet",
                "intake.json",
            )
        ]
        options = [f"'{json.dumps({'min_genes': 5})}'", "'--config config/config.yaml'"]
        record_job(workdir, "intake", raw, intake, start=at, params=options)
        qc = [f"{home}/{name}" for name in ("qc.parquet", "qc_samples.parquet", "status.json")]
        record_job(workdir, "qc", [intake[0], intake[-1]], qc, start=at + 3)
        made += [intake[0], qc[0]]
        at += 10
    atlas = [
        path.relative_to(workdir).as_posix()
        for part in ("atlas", "strata")
        for path in sorted((results / part).iterdir())
    ]
    record_job(workdir, "make_atlas", made, atlas, start=at + 3)
    sums = [f"results/cohorts/{cohort}/aggregate.npz" for cohort in cohorts]
    for cohort, path in zip(cohorts, sums, strict=True):
        if (workdir / path).exists():
            inputs = [f"results/cohorts/{cohort}/intake.h5ad", "results/atlas/clusters.parquet"]
            record_job(workdir, "aggregate", inputs, [path], start=at + 10)
    record_job(workdir, "of_another_run", [], ["results/old.txt"], start=at - 999)
    if running:
        mark_running(workdir, "results/release/manifest.json", start=at + 20)


def record_flow(results: Path, cohorts: Sequence[str], *, by_old_rules: bool = False) -> None:
    """Records of every step of the flow, with the study's clinical values; of rules' old names."""
    workdir = results.parent
    clinical = workdir / "clinical.tsv"
    clinical.write_text("donor_id\tbmi\n")
    for number, step in enumerate(step for step in STEPS if not step.is_product):
        rule = (step.old_rule or step.name) if by_old_rules else step.name
        for cohort in cohorts if step.per_cohort else [""]:
            inputs, outputs = (
                [f"results/{path}" for path in files_of(paths, [cohort] if cohort else cohorts)]
                for paths in (step.inputs, step.outputs)
            )
            inputs += [clinical.name] if step.name == "strata" else []
            record_job(workdir, rule, inputs, outputs, start=START + 10 * number)
    mark_running(workdir, "results/release/manifest.json", start=START + 1000)
