"""See what pmcell makes of a file: clusters, cell types, donors, strata or why there are none.

Nothing is registered and nothing published. The file stays where it is. A study folder is made
beside it (pmcell-try-NAME): finish it and run it, and it is published like any other; the trial's
own results lie in its folder trial/ and say that they are a trial. What a person would have to
decide is taken as unknown there. Interrupted, the same command goes on.

Example:
    pmcell try counts.h5ad
    pmcell try lane1/ lane2/ --out first-look
    pmcell try counts.h5ad --donor patient --sample library --batch run
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._options import add_cores_option, require_cores
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.cli.run._trial import Trial
    from pmcell.schema.verdict import Verdict

MAX_CLUSTERS = 12
"""Clusters that are named in the terminal; the report names all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pmcell try`."""
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="h5ad, zarr, 10x h5 or folder, table"
    )
    for name, what in (("donor", "person"), ("sample", "sample"), ("batch", "processing batch")):
        parser.add_argument(
            f"--{name}",
            metavar="COL",
            help=f"column of the cells with the {what} (default: auto)",
        )
    parser.add_argument("--format", help="h5ad, zarr, 10x_h5, 10x_mtx, csv or tsv (default: auto)")
    parser.add_argument(
        "--out", type=Path, help="study folder to make (default pmcell-try-NAME in this folder)"
    )
    add_cores_option(parser)
    parser.add_argument(
        "--no-open", action="store_true", help="do not open the report in a browser"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Make the study, run the trial, say what came out and where the report is."""
    from pmcell.bundle import profile_folder
    from pmcell.cli.run import _lock, _study, _workflow
    from pmcell.cli.run._display import clock
    from pmcell.cli.run._trial import TRIAL, cohort_ids, make_trial
    from pmcell.cli.run.run import run_workflow
    from pmcell.io.outputs import require_input

    require_cores(args)
    for file in args.files:
        require_input(file)
    start = time.monotonic()
    folder = args.out or Path(f"pmcell-try-{cohort_ids(args.files)[0]}")
    _lock.refuse_while_used(folder / TRIAL)
    given = {f"{role}_id": getattr(args, role) for role in ("donor", "sample", "batch")}
    trials = make_trial(
        args.files,
        folder,
        given={role: column for role, column in given.items() if column},
        fmt=args.format,
    )
    if not args.json:
        _print_guesses(trials)
    study = _study.open_study(folder / TRIAL, None)
    command = _workflow.snakemake_command(
        study, cores=args.cores, profile=profile_folder("default", study.folder), extra=[]
    )
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    summary = run_workflow(study, command)
    answer = _answer(trials, folder, summary)
    if args.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _print_answer(answer, summary, clock(time.monotonic() - start))
    if answer["report"] and not args.no_open and not args.json and sys.stdout.isatty():
        _open(Path(answer["report"]))
    return int(summary["exit_code"])


def _answer(trials: Sequence[Trial], folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """What came out, as JSON values."""
    from pmcell.cli.run._trial import TRIAL

    answer: dict[str, Any] = {
        "exit_code": summary["exit_code"],
        "study": str(folder),
        "files": [
            {
                "file": str(one.file),
                "cohort_id": one.cohort_id,
                "guessed": dict(one.guesses()),
                "notes": list(one.notes),
                "taken_as": dict(one.stand_ins),
            }
            for one in trials
        ],
        "cohorts": summary["cohorts"],
        "report": None,
    }
    if summary["release"]:
        release = folder / TRIAL / "results" / "release"
        answer |= _results(release) | {"report": str((release / "report.html").absolute())}
    return answer


def _results(release: Path) -> dict[str, Any]:
    from pmcell.release.folder import ReleaseFolder

    opened = ReleaseFolder(release)
    clusters = opened.table("clusters")
    verdict = opened.verdict()
    return {
        "n_cells": int(clusters["n_cells"].sum()),
        "clusters": [
            {"cluster": str(row.cluster), "label": str(row.cell_type), "n_cells": int(row.n_cells)}
            for row in clusters.sort_values("n_cells", ascending=False).itertuples()
        ],
        "n_donors": None if verdict is None else verdict.n_donors,
        "decision": None if verdict is None else verdict.decision,
        "strata": None if verdict is None else _strata_sentence(verdict),
    }


def _strata_sentence(verdict: Verdict) -> str:
    """Whether there are strata, or why not, in a sentence."""
    if verdict.has_strata:
        k = verdict.existence.k if verdict.existence else None
        p = verdict.existence.p if verdict.existence else None
        number = plural(k, "stratum", "strata") if k else "Strata"
        return f"{number} of donors (existence test p = {p:.2g})." if p else f"{number} of donors."
    why = (verdict.why or "").rstrip(".")
    return f"No strata: {verdict.decision}. {why[:1].upper()}{why[1:]}.".replace(". .", ".")


def _print_guesses(trials: Sequence[Trial]) -> None:
    for one in trials:
        print(f"{one.file.name} is tried as {one.cohort_id}. What was guessed:")
        for meaning, taken in one.guesses():
            print(f"  {meaning:<12}{taken}")
        for note in one.notes:
            print(f"  - {note}")
        if "access" in one.stand_ins:
            print("  All that only a person can say is taken as unknown, for this trial alone.")
    sys.stdout.flush()


def _print_answer(answer: dict[str, Any], summary: dict[str, Any], taken: str) -> None:
    from pmcell.cli.run._summary import as_text

    if not answer["report"]:
        print(as_text(summary))
        return
    for name, cohort in sorted(answer["cohorts"].items()):
        if cohort["status"] != "ok":
            print(f"{name}: {cohort['status']} ({cohort['reason']}): {cohort['message']}")
    clusters = answer["clusters"]
    print(f"\n{answer['n_cells']:,} cells in {plural(len(clusters), 'cluster')}:")
    for cluster in clusters[:MAX_CLUSTERS]:
        print(f"  {cluster['cluster']:<5}{cluster['n_cells']:>8,}  {cluster['label']}")
    if len(clusters) > MAX_CLUSTERS:
        print(f"  … and {len(clusters) - MAX_CLUSTERS} smaller ones")
    print(f"{plural(answer['n_donors'], 'donor')}. {answer['strata']}")
    print(f"\nReport ({taken} min): {answer['report']}")
    cohorts = " ".join(file["cohort_id"] for file in answer["files"])
    print(
        f"Nothing was registered or published. To publish these data, decide what is open:\n"
        f"  cd {shlex.quote(answer['study'])}\n"
        f"  pmcell register --id {cohorts.split()[0]}    asks for it, or takes --set KEY=ANSWER\n"
        f"  pmcell check\n"
        f"  pmcell run"
    )


def _open(report: Path) -> None:
    """Open the report where there is a browser; the path was printed in any case."""
    import webbrowser

    try:
        webbrowser.open(report.as_uri())
    except webbrowser.Error:
        return
