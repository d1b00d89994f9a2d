"""What the workflow itself costs at 1, 100 and 1,000 cohorts: time, memory, jobs, files.

    python tests/benchmarks/workflow/dag.py [--cohorts 1 100 1000] [--keep FOLDER]

For each number of cohorts a simulated study is written and planned (`snakemake --dry-run`), with
each cohort a job of its own and with the groups of the Slurm profile. Files of a cohort are counted
in a finished run of the smallest study, which also gives the time that Snakemake adds to a job.
Beside each plan stands that of the bare workflow: the same jobs and files, but no parameter,
resource, environment or function. It is what Snakemake takes by itself.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pmcell.bundle import bundle_folder, snakefile

ROOT = Path(__file__).resolve().parents[3]
SLURM = bundle_folder() / "workflow" / "profiles" / "slurm" / "config.yaml"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--keep", type=Path, help="folder for the studies, kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        parent = args.keep or Path(temporary)
        print("cohorts    jobs  Slurm jobs  plan (CPU s)  bare (CPU s)  memory (MB)")
        for n in args.cohorts:
            print("{:>7}  {:>6}  {:>10}  {:>12.1f}  {:>12.1f}  {:>11.0f}".format(*plan(parent, n)))
        files, n_jobs, wall, work = run_small(parent)
        print(f"\n{files:.0f} files a cohort, records and stamps included, beside those of the run")
        print(
            f"{(wall - work) / n_jobs:.2f} s that Snakemake adds to a job ({n_jobs} jobs, 1 core)"
        )
    return 0


def plan(parent: Path, n_cohorts: int) -> tuple[int, int, int, float, float, float]:
    """Cohorts, jobs, Slurm jobs of the profile's groups, seconds of two plans, peak memory."""
    study = parent / f"cohorts-{n_cohorts}"
    if not study.is_dir():
        simulate(study, n_cohorts, donors=n_cohorts, cells=5, genes=120)
    ours, said = dry_run(study, snakefile())
    bare, _ = dry_run(study, bare_workflow(study))
    counts = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}
    n_jobs = counts.pop("total") - counts.pop("all")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return n_cohorts, n_jobs, slurm_jobs(counts), ours, bare, peak


def bare_workflow(study: Path) -> Path:
    """The rules with their inputs and outputs only, every function replaced by what it gives."""
    names = sorted(path.name for path in (study / "config" / "cohorts").iterdir())
    folder = "config/cohorts/{cohort}"
    submitted = [f"{folder}/{name}" for name in ("cohort.yaml", "donors.tsv", "samples.tsv")]
    constants = {
        "registration_files": repr(submitted),
        "matrix_files": repr(f"{folder}/counts.h5ad"),
        "sealed_packages": "[]",
        "clinical_table": "[]",
        "gene_sets": "[]",
    }
    rules = "".join(
        (snakefile().parent / "rules" / f"{name}.smk").read_text(encoding="utf-8")
        for name in ("register", "cohort", "atlas", "strata", "publish")
    )
    rules = re.sub(
        r"^    (params|resources|threads|conda|log|benchmark|shell):.*\n(?:(?:        .*)?\n)*",
        "\n",
        rules,
        flags=re.MULTILINE,
    )
    rules = re.sub(
        r"^(    output:\n(?:        .*\n)+)",
        r"\1    shell:\n        'true'\n\n\n",
        rules,
        flags=re.MULTILINE,
    )
    rules = re.sub(r'"\.\./report/(\w+\.rst)"', rf'"{snakefile().parent}/report/\1"', rules)
    for function, value in constants.items():
        rules = re.sub(rf"(?<==|\s){function}(?=,?\n)", lambda found, value=value: value, rules)
    head = f"""COHORTS = {names!r}


def per_cohort(name):
    return expand(f"results/cohorts/{{{{cohort}}}}/{{name}}", cohort=COHORTS)


rule all:
    input:
        "results/release/manifest.json",


"""
    path = study / "bare.smk"
    path.write_text(head + rules, encoding="utf-8")
    return path


def slurm_jobs(counts: dict[str, int]) -> int:
    """Jobs in Slurm's queue: groups are submitted as one, so many of them at a time."""
    import yaml

    profile = yaml.safe_load(SLURM.read_text(encoding="utf-8"))
    group_of = dict(item.split("=") for item in profile["groups"])
    together = {name: int(n) for name, n in (i.split("=") for i in profile["group-components"])}
    total = 0
    largest: dict[str, int] = {}
    for rule, n in counts.items():
        if rule in group_of:
            largest[group_of[rule]] = max(largest.get(group_of[rule], 0), n)
        else:
            total += n
    return total + sum(-(-n // together.get(group, 1)) for group, n in largest.items())


def dry_run(study: Path, workflow: Path) -> tuple[float, str]:
    """CPU seconds and words of a dry run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(workflow)),
            *("--directory", str(study), "--cores", "1", "--dry-run", "--quiet", "rules"),
            "--nocolor",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout + done.stderr


def run_small(parent: Path) -> tuple[float, int, float, float]:
    """Files a cohort, jobs, wall seconds, and seconds inside the jobs, of a run on one core."""
    study = parent / "run"
    simulate(study, 3, donors=12, cells=90, genes=250)
    start = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())),
            *("--directory", str(study), "--cores", "1"),
        ],
        env=environment(),
        capture_output=True,
        check=True,
    )
    wall = time.perf_counter() - start
    records = list((study / "results" / "benchmarks").rglob("*.tsv"))
    work = sum(float(path.read_text().splitlines()[1].split("\t")[0]) for path in records)
    mine = [path for path in study.rglob("*") if path.is_file() and "sim_1" in str(path)]
    mine = [path for path in mine if "config" not in path.parts and "release" not in path.parts]
    # Snakemake keeps one record of an output, under a name of its own.
    beside = {".stamps", "logs", "benchmarks"}
    outputs = [path for path in mine if not beside & set(path.parts)]
    return len(mine) + len(outputs), len(records), wall, work


def simulate(study: Path, cohorts: int, *, donors: int, cells: int, genes: int) -> None:
    """Write a study by scripts/simulate_study.py."""
    sizes = ("--cohorts", cohorts, "--donors", donors, "--cells", cells, "--genes", genes)
    script = ROOT / "scripts" / "simulate_study.py"
    command = [sys.executable, script, study, *sizes]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def environment() -> dict[str, str]:
    """The environment of this Python, so that rules find its `pmcell`."""
    from pmcell.cli.run._workflow import environment as of_rules

    return of_rules()


if __name__ == "__main__":
    sys.exit(main())
