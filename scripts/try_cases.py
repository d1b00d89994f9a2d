#!/usr/bin/env python3
"""Take troublesome inputs through register, check and intake, and print what came of each.

FOLDER holds small generators, `NN_name.py`: each writes the file that it is told to, and
mostly a file `.npz` beside it with the counts, barcodes, Ensembl ids and donors that are
true. What each case should end in stands in `CASES`; `tests/registry/TROUBLESOME_INPUTS.md`
says which test holds it. Everything runs in this process, so that a study of sixty cases
takes a minute and not an hour; the sandbox has tests of its own.

Example: scripts/with-env --test python scripts/try_cases.py FOLDER
         scripts/with-env --test python scripts/try_cases.py FOLDER 38 39 --messages
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAKEN, REFUSED = "right", "clear refusal"


@dataclass(frozen=True)
class Case:
    """A generator with its argument, and how it should end.

    `file` is what it writes, or what of its folder is taken. `ends` is `TAKEN` (all counts
    equal), or a pattern of the message that the refusal must hold. `lost` allows that genes
    of the truth are not found.
    """

    generator: str
    argument: str = ""
    file: str = "case.h5ad"
    part: str = ""
    ends: str = TAKEN
    lost: bool = False
    fmt: str | None = None

    @property
    def name(self) -> str:
        """Number and arguments."""
        return " ".join(filter(None, (self.generator, self.argument, self.part)))


def _many(generator: str, *arguments: str, **more: Any) -> Iterator[Case]:
    for argument in arguments:
        yield Case(generator, argument, **more)


CASES = (
    *_many("01", ""),
    *_many("02", ""),
    Case("03", ends="older form"),
    *_many("04", ""),
    Case("05", ends="no raw counts|No matrix"),
    *_many("05", "counts"),
    Case("06", file="case.h5"),
    Case("07", ends="fractions"),
    Case("08", file="folder", ends="fractions"),
    Case("08", "int", file="folder"),
    *_many("09", "", "mac", "suffix", file="folder"),
    *_many("10", "header", "quoted", "onecol", file="folder"),
    Case("11", file="folder", ends="split-pipe"),
    Case("12", file="case.h5", ends="one genome"),
    *_many("13", "prefix", "one", "hg19", "symid"),
    *_many("14", ""),
    Case("15", file="case.csv"),
    *_many("16", "semicolon", "decimal", "bom", file="case.csv"),
    Case("16", "space", file="case.txt"),
    Case("16", "cells", file="case.csv", ends="'sample', 'percent_mito'"),
    Case("16", "tabcsv", file="case.csv", ends="--format to tsv|--format tsv"),
    Case("16", "tabcsv", file="case.csv", fmt="tsv"),
    Case("16", "utf16", file="case.tsv", ends="UTF-8"),
    *_many("17", ""),
    *_many("18", "donor", "sample"),
    *_many("19", ""),
    Case("20", ends="must be unique in the file"),
    *_many("21", "unsorted", "csc", "u64", "mixed", "layers", "i8", "f16", "layerslash"),
    Case("21", "dups", ends="sum_duplicates"),
    *_many("22", "ints", "dups", "bytes", "version"),
    Case("22", "none", ends="canonical id"),
    Case("22", "float", ends="Entrez"),
    Case("22", "lower", ends="capitals"),
    *_many("23", "bands", "num"),
    *_many("24", "int", "float"),
    *_many("25", "adt", "virus"),
    Case("26", file="case.h5"),
    *_many("27", "visit", "seurat", "scanpy", "gsm", "dash"),
    Case("28", file="folder", part="plain.h5ad"),
    Case("28", file="folder", part="cells.loom", ends="read_loom"),
    Case("28", file="folder", part="object.h5Seurat", ends="Convert"),
    Case("28", file="folder", part="object.rds", ends="write_h5ad"),
    Case("28", file="folder", part="multi.h5mu", ends="read_h5mu"),
    Case("28", file="folder", part="sheet.xlsx", ends="spreadsheet"),
    Case("28", file="folder", part="matrix.mtx", ends="folder"),
    Case("28", file="folder", part="packed.h5ad.gz", ends="gunzip"),
    Case("28", file="folder", part="anndata.h5", ends="--format"),
    *_many("29", ""),
    *_many("30", ""),
    *_many("38", "matrix", "rawnox", "named"),
    *_many("39", ""),
)
PRINTING = ("35", "40")
"""Generators that use the library themselves and print."""

FILL = {
    "title: TODO": "title: T",
    "  name: TODO   # Who answers": "  name: S # Who",
    "license: TODO": "license: CC-BY-4.0",
    "region: TODO": "region: NL2",
    "programme: TODO": "programme: healthy",
    "access: TODO": "access: open",
    "data_use: [TODO]": "data_use: [DUO:0000042]",
    "  name: TODO   # Health": "  name: none # H",
    "assay_ontology_term_id: TODO": "assay_ontology_term_id: EFO:0009922",
    "tissue_ontology_term_id: TODO": "tissue_ontology_term_id: UBERON:0000178",
    "suspension_type: TODO": "suspension_type: cell",
}
"""What a steward would write for what is open in every draft."""


def main() -> int:
    """Run the chosen cases; 1 when one of them does not end as it should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=lambda text: Path(text).resolve(), metavar="FOLDER")
    parser.add_argument("cases", nargs="*", help="numbers of generators (default: all)")
    parser.add_argument("--messages", action="store_true", help="print what pmcell said of each")
    args = parser.parse_args()
    generators = {path.name[:2]: path for path in sorted(args.folder.glob("[0-9][0-9]_*.py"))}
    chosen = [case for case in CASES if not args.cases or case.generator in args.cases]
    found: Counter[str] = Counter()
    for case in chosen:
        if case.generator not in generators:
            print(f"{case.name:24} no generator")
            continue
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome, said = _outcome(case, generators[case.generator], Path(folder))
        found[outcome.split(":")[0]] += 1
        print(f"{case.name:24} {outcome}", flush=True)
        if args.messages:
            print("".join(f"      {line}\n" for line in said), end="", flush=True)
    for number in PRINTING:
        if number in generators and (not args.cases or number in args.cases):
            print(f"== {generators[number].name}", flush=True)
            subprocess.run([sys.executable, generators[number]], cwd=args.folder, check=False)
    print(", ".join(f"{n} {outcome}" for outcome, n in sorted(found.items())))
    return 1 if found["fault"] else 0


def _outcome(case: Case, generator: Path, folder: Path) -> tuple[str, list[str]]:
    target = folder / case.file
    command = [sys.executable, str(generator), str(target), *filter(None, [case.argument])]
    done = subprocess.run(
        command, cwd=generator.parent, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"not made: {done.stderr.splitlines()[-1]}", []
    said: list[str] = []
    try:
        refusal = _take_in(case, target / case.part if case.part else target, folder, said)
    except Exception:
        return f"fault: {traceback.format_exc().splitlines()[-1]}", [*said, traceback.format_exc()]
    if refusal:
        as_meant = case.ends != TAKEN and re.search(case.ends, "\n".join(said))
        return (REFUSED if as_meant else f"fault: refused, {refusal[:160]}"), said
    if case.ends != TAKEN:
        return "fault: taken in", said
    truth = target.with_name(target.name + ".npz")
    return (_compare(truth, folder / "out") if truth.exists() else TAKEN), said


def _take_in(case: Case, file: Path, folder: Path, said: list[str]) -> str:
    """Register, fill in, check, take in; the refusal, or empty. `said` gets all messages."""
    from pmcell.errors import DataError
    from pmcell.io.submitted import sandbox
    from pmcell.registry.draft.register import register_file
    from pmcell.registry.intake.check import check_cohort
    from pmcell.registry.intake.intake import intake_cohort

    sandbox.run = _here
    cohorts = folder / "config" / "cohorts"
    try:
        registered = register_file(file, "c1", cohorts, fmt=case.fmt)
    except DataError as error:
        said.append(f"register refuses: {error}")
        return str(error)
    said += [f"register: {note}" for note in registered.notes]
    _fill_in(registered.folder)
    check = check_cohort(registered.folder, allowed=[file])
    said += [
        f"check {fault.severity}: {fault}" for fault in check.faults if fault.reason != "unknown"
    ]
    report = intake_cohort(registered.folder, folder / "out", allowed=[file])
    said.append(f"intake: {report['status']} {report['reason']} {report['message']}")
    if report["status"] != "quarantined":
        return ""
    return f"{report['reason']}: {report['message']}"


def _here(target: str, arguments: dict[str, Any], **limits: Any) -> Any:
    """Call what the sandbox would call in a child."""
    import importlib
    import json

    module, _, function = target.partition(":")
    value = getattr(importlib.import_module(module), function)(**arguments)
    return json.loads(json.dumps(value))


def _fill_in(folder: Path) -> None:
    path = folder / "cohort.yaml"
    text = path.read_text()
    for draft, answer in FILL.items():
        text = text.replace(draft, answer)
    path.write_text(re.sub(r"^(    .*): TODO( .*)?$", r"\1: unknown", text, flags=re.M))
    donors, samples = folder / "donors.tsv", folder / "samples.tsv"
    for path in (donors, samples):
        path.write_text(re.sub(r"TODO \(source:[^\t\n]*\)", "unknown", path.read_text()))
    if "\tTODO\t" in samples.read_text():
        samples.write_text(samples.read_text().replace("\tTODO\t", "\tdX\t"))
        donors.write_text(donors.read_text().replace("TODO\t", "dX\t", 1))


def _compare(truth_file: Path, out: Path) -> str:
    """Compare the cells taken in with the truth, cell by cell and gene by gene."""
    import anndata
    import hdf5plugin  # noqa: F401  # with it AnnData reads the counts between steps
    import numpy as np
    import pandas as pd

    truth = np.load(truth_file, allow_pickle=True)
    cells = anndata.read_h5ad(out / "intake.h5ad")
    barcodes = [name.split(":", 1)[1] for name in cells.obs_names]
    wanted = pd.DataFrame(truth["X"], index=truth["barcodes"], columns=truth["gene_ids"])
    wanted = wanted.T.groupby(level=0).sum().T
    found = pd.DataFrame(cells.X.toarray(), index=barcodes, columns=cells.var_names)
    told = json.loads((out / "intake.json").read_text(encoding="utf-8"))["metrics"]
    gone = set(wanted.index) - set(found.index)
    if set(found.index) - set(wanted.index) or len(gone) != told.get("n_cells_left_out", 0):
        return f"fault: {len(found)} of {len(wanted)} cells"
    left_out = f", {len(gone)} cells left out with the reason" if gone else ""
    wanted = wanted.loc[found.index]
    missing = [gene for gene in wanted.columns if gene not in found.columns]
    extra = [gene for gene in found.columns if gene not in wanted.columns]
    shared = [gene for gene in wanted.columns if gene in found.columns]
    differ = int((wanted.loc[found.index, shared] != found[shared]).any(axis=0).sum())
    if missing or extra or differ:
        more = f"{len(extra)} too many, {differ} with other counts"
        return f"fault: {len(missing)} genes missing, {more}"
    if "donor" not in truth:
        return f"{TAKEN}{left_out}"
    donors = pd.Series(truth["donor"], index=truth["barcodes"])
    taken = [name.split(":", 1)[-1] for name in cells.obs["donor_id"].astype(str)]
    same = bool((donors.loc[barcodes] == taken).all())
    rest = "" if same else ": counts; donors left open or other"
    return f"{TAKEN}{left_out}{rest}"


if __name__ == "__main__":
    raise SystemExit(main())
