"""A whole study, from submitted files to a verified release: CPU seconds, time and memory by step.

    python tests/benchmarks/workflow/whole.py [STUDY] [--cores 2] [--keep NEW] [--cells N --genes N]

STUDY is a folder with the config/ of a registered study, which is copied and stays as it is;
without one, a study of four cohorts is simulated (`--cells` of each of 40 samples). CPU seconds
are those of all processes of the run together, by the operating system: Snakemake's own records
sample them, and miss what a step spends after the last sample. Those of a step are the sum over its
jobs, as each says them in its log, its children included; memory is that of its largest job.
"""

from __future__ import annotations

import argparse
import collections
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DONE = re.compile(r"^# done in .*?([0-9.]+) CPU s, peak memory ([0-9]+) MB", re.MULTILINE)


def main() -> int:
    """Run the study and print the table; the exit code is that of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="new folder for the study, kept with its results")
    parser.add_argument("--cells", type=int, default=200, help="of a simulated sample")
    parser.add_argument("--genes", type=int, default=2000, help="of a simulated study")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        study = args.keep or Path(temporary) / "study"
        if args.study:
            study.mkdir(parents=True)
            shutil.copytree(args.study / "config", study / "config")
        else:
            sizes = ("--cohorts", 4, "--donors", 40, "--cells", args.cells, "--genes", args.genes)
            command = [sys.executable, ROOT / "scripts" / "simulate_study.py", study, *sizes]
            subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        command = [sys.executable, "-m", "pmcell", "run", "--directory", str(study)]
        before, start = _cpu_seconds(), time.perf_counter()
        done = subprocess.run([*command, "--cores", str(args.cores)], stdout=subprocess.DEVNULL)
        wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
        _print_steps(study / "results" / "logs")
        print(f"\nwhole study: {cpu:.0f} CPU s, {wall:.0f} s on {args.cores} cores")
    return done.returncode


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print_steps(logs: Path) -> None:
    jobs: dict[str, list[tuple[float, int]]] = collections.defaultdict(list)
    for path in sorted(logs.rglob("*.log")):
        if found := DONE.search(path.read_text(encoding="utf-8")):
            step = path.relative_to(logs).parts[0].removesuffix(".log")
            jobs[step].append((float(found[1]), int(found[2])))
    print("| step | jobs | CPU s | largest job, MB |\n|---|---|---|---|")
    for step, found in sorted(jobs.items(), key=lambda item: -sum(s for s, _ in item[1])):
        seconds, peak = sum(s for s, _ in found), max(mb for _, mb in found)
        print(f"| {step} | {len(found)} | {seconds:.1f} | {peak} |")


if __name__ == "__main__":
    raise SystemExit(main())
