"""Map samples of new people onto the frozen reference of a release.

Each file is checked as a cohort's is, but not registered; nothing is published. A file may hold
several people, samples and visits: columns donor_id, sample_id, visit and batch_id are used where
they are, else the options name others, else the file is one person's sample.

Writes mapped.json (labels, strata, what could not be said), cells.parquet and
composition.parquet. They are individual data: keep them where that person's data may be.
With --each every file is mapped by itself, into a folder of its own below --out: one that cannot
be mapped stops no other, and outcome.json says why. workflow/map.smk makes each file a job.
Research use only.

Example:
  pmcell map patient.h5ad --release results/release --out mapped/patient
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._options import add_form_options
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.mapping.mapper import Mapping
    from pmcell.mapping.reference import Reference
    from pmcell.schema.mapped import Mapped, MappedVisit

OUTCOME = "outcome.json"
"""What became of a file that was mapped by itself: status, and why it was refused."""
MAPPED, REFUSED = "mapped", "refused"
SCRATCH = ".pmcell-map-"
MAX_TOLD = 12
"""Visits of which the answer is printed as a sentence; of more there is the table alone."""

NAMED = {
    "donor": ("donor_id", "people"),
    "sample": ("sample_id", "samples"),
    "visit": ("visit", "visits"),
    "batch": ("batch_id", "processing batches"),
    "tissue": ("tissue_ontology_term_id", "UBERON terms of the tissue"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("file", type=Path, nargs="+", metavar="FILE", help="file of samples")
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    for option, (ours, what) in NAMED.items():
        parser.add_argument(
            f"--{option}", metavar="COLUMN", help=f"column of the {what} (default: {ours})"
        )
    add_form_options(parser)
    parser.add_argument(
        "--each", action="store_true", help="each file by itself, into OUT/<name of the file>"
    )
    parser.add_argument("--memory", type=int, help="MB that reading a file may take")
    parser.add_argument("--json", action="store_true", help="print mapped.json")


def run(args: argparse.Namespace) -> int:
    """Write mapped.json and two tables, for all files together or for each."""
    from pmcell.release.reference import open_reference

    if args.each:
        folders = folders_of(args.file, args.out)
        reference = open_reference(args.release)
        return _map_each(folders, reference, args)
    document = _map(args.file, open_reference(args.release), args.out, args)
    if args.json:
        print(json.dumps(document.as_json(), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        _show(document, args.out)
    return 0


def _map(files: list[Path], reference: Reference, folder: Path, args: argparse.Namespace) -> Mapped:
    """Map files together and write what was found."""
    from pmcell.io.modes import private_files
    from pmcell.io.submitted import sandbox
    from pmcell.registry.draft.person import read_people
    from pmcell.release.reference import map as map_onto

    columns = {ours: getattr(args, option) for option, (ours, _) in NAMED.items()}
    adata, read = read_people(
        files,
        columns={ours: theirs for ours, theirs in columns.items() if theirs},
        fmt=args.format,
        orientation=args.orientation,
        memory_mb=sandbox.MEMORY_MB if args.memory is None else args.memory,
    )
    mapping = map_onto(adata, reference)
    document = _document(mapping, reference, read)
    with private_files():
        _write(folder, mapping, document)
    return document


def folders_of(files: list[Path], out: Path) -> dict[Path, Path]:
    """Folder of each file below `out`, called like the file; `UsageError` where two are alike."""
    from pmcell.errors import UsageError

    found: dict[Path, Path] = {}
    for path in files:
        folder = out / path.name.partition(".")[0]
        if folder in found:
            raise UsageError(
                f"with --each every file must have a name of its own; {path} and {found[folder]} "
                f"would both be written to {folder}. Rename one of them."
            )
        found[folder] = path
    return {path: folder for folder, path in found.items()}


def _map_each(folders: dict[Path, Path], reference: Reference, args: argparse.Namespace) -> int:
    """Map each file by itself; 0 where one was mapped, else 3."""
    from pmcell.errors import PmcellError
    from pmcell.io.atomic import write_json
    from pmcell.io.modes import private_files
    from pmcell.schema import mapped

    outcomes = []
    for path, folder in folders.items():
        outcome: dict[str, Any] = {"file": path.name, "status": MAPPED, "reason": "", "message": ""}
        # What an earlier try left must not stand beside this one's outcome.
        for name in (OUTCOME, mapped.FILE, mapped.CELLS_FILE, mapped.COMPOSITION_FILE):
            (folder / name).unlink(missing_ok=True)
        try:
            _map([path], reference, folder, args)
        except PmcellError as error:
            told = {"reason": getattr(error, "reason", "") or "usage", "message": str(error)}
            outcome |= {"status": REFUSED, **told}
        with private_files():
            write_json(folder / OUTCOME, outcome)
        outcomes.append(outcome)
        if not args.json:
            why = f": {outcome['message']}" if outcome["message"] else ""
            print(f"{outcome['file']}  {outcome['status']}{why}", flush=True)
    if args.json:
        print(json.dumps(outcomes, indent=2, ensure_ascii=False))
    n_mapped = sum(outcome["status"] == MAPPED for outcome in outcomes)
    if not args.json:
        files = plural(len(outcomes), "file")
        print(f"{n_mapped} of {files} mapped onto {args.release} -> {args.out}")
    return 0 if n_mapped else 3


def _document(mapping: Mapping, reference: Reference, files: list[Any]) -> Mapped:
    from dataclasses import asdict, replace

    from pmcell.limitations import RESEARCH_USE
    from pmcell.schema import SCHEMA_VERSION
    from pmcell.schema.mapped import Mapped, MappedFile, ReferenceUsed
    from pmcell.version import __version__

    facts = reference.facts
    used = ReferenceUsed(
        reference.digest,
        str(facts["release_version"]),
        str(facts["tissue_ontology_term_id"]),
        int(facts["n_cells"]),
        int(facts["n_donors"]),
        len(facts["batches"]),
    )
    unseen = reference.labels.unseen
    if facts.get("stratum_accuracy"):
        unseen = replace(unseen, stratum_accuracy=tuple(facts["stratum_accuracy"]))
    return Mapped(
        SCHEMA_VERSION,
        __version__,
        RESEARCH_USE,
        used,
        tuple(MappedFile(**asdict(item)) for item in files),
        mapping.genes,
        mapping.visits,
        unseen,
        LIMITATIONS,
    )


LIMITATIONS = (
    "A cell type that the reference lacks is called its nearest kin where the two are alike.",
    "Sets of labels hold a cell's type as often as in batches left out of the reference; another "
    "site may differ more than these do.",
    "The principal components and the embedding were found with all batches: what a batch left "
    "out would lose by that is not in the figures for an unseen site.",
    "A stratum is what the release describes, not a diagnosis.",
)


def _write(folder: Path, mapping: Mapping, document: Mapped) -> None:
    from pmcell.io.atomic import write_json
    from pmcell.io.scratch import scratch_folder
    from pmcell.io.tables import write_table
    from pmcell.schema import mapped

    folder.mkdir(parents=True, exist_ok=True)
    # What an earlier try left stays until all of this one is written.
    with scratch_folder(folder, SCRATCH) as made:
        write_table(made / mapped.CELLS_FILE, mapping.cells, mapped.MAPPED_CELLS)
        write_table(made / mapped.COMPOSITION_FILE, mapping.composition, mapped.MAPPED_COMPOSITION)
        write_json(made / mapped.FILE, document.as_json())
        # An older document must not stand beside new tables, nor the new one before them.
        (folder / mapped.FILE).unlink(missing_ok=True)
        for name in (mapped.CELLS_FILE, mapped.COMPOSITION_FILE, mapped.FILE):
            (made / name).replace(folder / name)


def answer_of(visit: MappedVisit) -> str:
    """What was found of a person at a visit, in a sentence."""
    from pmcell.schema import UNKNOWN

    place = visit.stratum
    who = visit.donor_id + (f" at {visit.visit}" if visit.visit != UNKNOWN else "")
    if not place.stratum:
        return f"{who}: {place.status}{f': {place.why}' if place.why else ''}."
    others = [name for name in place.conformal_set or () if name != place.stratum]
    if place.conformal_set is None:
        rest = "which others could be is not known"
    elif others:
        rest = f"{' and '.join(others)} cannot be ruled out"
    else:
        rest = "every other stratum is ruled out"
    return f"{who}: most like stratum {place.stratum}; {rest}."


def _show(document: Mapped, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("person", "visit", "cells", "labelled", "stratum", "set", "fit p"):
        table.add_column(name)
    for visit in document.visits:
        answer = visit.stratum
        n = visit.quality.n_cells
        labelled = visit.labels.n_leaf + visit.labels.n_ancestor
        table.add_row(
            visit.donor_id,
            visit.visit,
            str(n),
            f"{labelled / n:.0%}" if n else "-",
            answer.stratum or answer.status,
            ", ".join(answer.conformal_set or ()) or "-",
            "-" if answer.ood_p is None else f"{answer.ood_p:.2f}",
        )
    console = Console(highlight=False)
    is_told = len(document.visits) <= MAX_TOLD
    for visit in document.visits if is_told else ():
        console.print(answer_of(visit), soft_wrap=True)
    console.print(table)
    told = set() if is_told else {visit.stratum.why for visit in document.visits}
    told |= {text for visit in document.visits for text in visit.warnings}
    told |= {f"{file.name}: {text}" for file in document.files for text in file.notes or ()}
    for why in sorted(told - {""}):
        console.print(f"Note: {why}.")
    genes = document.genes
    console.print(
        f"{genes.n_shared} of {genes.n_reference} genes of the reference measured "
        f"({genes.share_of_model:.0%} of the label model). {document.intended_use}."
    )
    console.print(f"Written to {folder}", soft_wrap=True)
