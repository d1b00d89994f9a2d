"""The gate: does the release, as it lies there, tell too much about a donor who is withheld?

It reads what was written, not what the writers meant: every table and file is
classified, rows are looked at, published sums are attacked. Nothing is put in
its place before the gate passes; a failed gate leaves `results/disclosure.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from pmcell.errors import Fault, FaultsError
from pmcell.io.atomic import read_json, write_json
from pmcell.io.modes import private_files
from pmcell.io.tables import read_table
from pmcell.publish.disclosure import classes
from pmcell.publish.disclosure.anonymity import anonymity
from pmcell.publish.disclosure.attack import attack_counts, group_faults
from pmcell.publish.disclosure.hidden import Hidden, hidden_donors
from pmcell.publish.disclosure.people import fingerprints
from pmcell.publish.disclosure.register import (
    add_release,
    register_faults,
    register_key,
    register_of,
)
from pmcell.publish.disclosure.slots import slot_faults
from pmcell.publish.facts import Facts
from pmcell.publish.manifest import MANIFEST

REPORT = "disclosure.json"
OF_RELEASE = f"validation/{REPORT}"
REWRITE = "Report this: a writer of the release let it through."


def check_disclosure(facts: Facts, folder: Path) -> None:
    """Write `validation/disclosure.json` into `folder`; `FaultsError` with all faults if it fails.

    Either way `disclosure.json` beside the release says what was checked and
    found: thresholds, classes, what was suppressed, the attacker's answers, and
    each fault with table, group, rule and fix.
    """
    hidden = hidden_donors(facts)
    attacked = attack_counts(folder / "tables", hidden.rules)
    faults = [
        *_unclassified(folder),
        *_rows(facts, folder),
        *group_faults(folder / "tables", hidden.rules),
        *attacked.faults,
        *_vectors(facts, folder),
        *slot_faults(facts, folder),
        *_verdict(facts, folder, hidden),
        *_register(facts, hidden),
    ]
    report: dict[str, Any] = {
        "passed": not faults,
        "rules": hidden.rules.as_facts(),
        "classes": {
            "tables": classes.TABLE_CLASSES,
            "files": classes.FILE_CLASSES,
            "meaning": classes.MEANING,
        },
        "withheld_cohorts": [cohort.cohort_id for cohort in facts.withheld],
        "suppressed": attacked.suppressed,
        "attacker": attacked.summary,
        "open_donors": anonymity(folder / "tables"),
        "open_donors_note": "Donors of open cohorts are shown as their source published them: "
        "k, l and those who stand alone are reported, not altered.",
        "register": "People compared with those of every earlier release of this study.",
    }
    if faults:
        found = [{**vars(fault)} for fault in faults]
        _write_aside(facts, {**report, "faults": found})
        raise FaultsError(faults)
    write_json(folder / OF_RELEASE, report)
    _write_aside(facts, report)


def _write_aside(facts: Facts, report: dict[str, Any]) -> None:
    """Write the report beside the release; where people are withheld it is for its owner."""
    with private_files() if facts.withheld else nullcontext():
        write_json(facts.results / REPORT, report)


def remember_release(facts: Facts, folder: Path) -> None:
    """Enter the finished release in `folder` into the register."""
    path, sets = register_of(facts.results), hidden_donors(facts).sets()
    add_release(
        path,
        sets,
        version=facts.options.version,
        content_sha256=str(read_json(folder / MANIFEST)["content_sha256"]),
        prints=fingerprints(facts, register_key(path)) if any(sets.values()) else {},
    )


def _register(facts: Facts, hidden: Hidden) -> list[Fault]:
    """What this release and earlier ones tell together."""
    path, sets = register_of(facts.results), hidden.sets()
    if not any(sets.values()):
        return []
    prints = fingerprints(facts, register_key(path))
    return register_faults(path, sets, hidden.least(), prints)


def _unclassified(folder: Path) -> Iterator[Fault]:
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder).as_posix()
        if classes.class_of(name) is None:
            must = "must be classified in publish/disclosure/classes.py before it is published"
            fix = "Add it with its class, and protect it accordingly."
            yield Fault(name, must, "no class", fix, reason="unclassified")


def _rows(facts: Facts, folder: Path) -> Iterator[Fault]:
    """Rows about single donors must be of open cohorts."""
    import pyarrow.parquet as pq

    prefixes = tuple(cohort.prefix for cohort in facts.cohorts if not cohort.is_open)
    keys = ("donor_id", "sample_id", "cell_id")
    for name, found in sorted(classes.TABLE_CLASSES.items()):
        path = folder / "tables" / f"{name}.parquet"
        if found != classes.INDIVIDUAL or not path.is_file():
            continue
        column = next(key for key in keys if key in pq.read_schema(path).names)
        ids = pq.read_table(path, columns=[column])[column].unique().to_pylist()
        n_hidden = sum(str(item).startswith(prefixes) for item in ids) if prefixes else 0
        if n_hidden:
            must = "must hold rows of cohorts with open access only"
            count = f"{n_hidden} others"
            yield Fault(
                f"tables/{name}.parquet", must, count, REWRITE, column=column, reason="rows"
            )


def _vectors(facts: Facts, folder: Path) -> Iterator[Fault]:
    """Vectors over genes, curves and ratios of strata must hold no withheld cell."""
    if not facts.withheld:
        return
    must = "must be made without withheld donors: no threshold on donors protects it"
    extra = sorted(
        path.name for path in (folder / "reference").iterdir() if path.name != "reference.json"
    )
    if extra:
        yield Fault("reference/", must, ", ".join(extra), REWRITE, reason="vector")
    for name in ("expression_contrasts", "differential_expression", "pathways", "gene_drivers"):
        n_rows = len(read_table(folder / "tables" / f"{name}.parquet"))
        if n_rows:
            yield Fault(f"tables/{name}.parquet", must, f"{n_rows} rows", REWRITE, reason="vector")
    for name in ("survival", "composition_shifts"):
        n_rows = len(read_table(folder / "tables" / f"{name}.parquet"))
        if n_rows:
            found = f"{n_rows} rows over donors of all cohorts"
            yield Fault(f"tables/{name}.parquet", must, found, REWRITE, reason="rows")
    genes = read_table(folder / "tables" / "genes.parquet")
    for column in ("hvg_rank", "is_highly_variable"):
        if genes[column].notna().any():
            found = f"{int(genes[column].notna().sum())} values over all cohorts"
            yield Fault(
                "tables/genes.parquet", must, found, REWRITE, column=column, reason="vector"
            )
    shown = read_table(folder / "tables" / "pseudobulk.parquet", ["gene_id", "n_cells_detected"])
    own = shown.groupby("gene_id")["n_cells_detected"].sum()
    told = genes.set_index("gene_id")["n_cells_detected"]
    n_other = int((told - own.reindex(told.index, fill_value=0) != 0).sum())
    if n_other:
        found = f"{n_other} genes with other counts than the published pseudobulk"
        yield Fault("tables/genes.parquet", must, found, REWRITE, reason="vector")


def _verdict(facts: Facts, folder: Path, hidden: Hidden) -> Iterator[Fault]:
    """Numbers of donors in the verdict on strata and its tests."""
    if not facts.withheld:
        return
    shown = read_json(folder / "strata.json")
    left_out = [len(hidden.donors) - len(hidden.used), len(hidden.placed) - len(hidden.used)]
    if any(hidden.is_few(number) for number in left_out):
        number = shown.get("n_donors", (shown.get("existence") or {}).get("n_donors"))
        if number is not None:
            must = f"must not tell of fewer than {hidden.rules.strictest} withheld donors"
            found = "a number of donors that leaves out a few of them"
            yield Fault("strata.json", must, found, REWRITE, column="n_donors", reason="few_donors")
    for name, donors in hidden.strata.items():
        rows = read_table(folder / "tables" / "strata.parquet").set_index("stratum")
        told = name in rows.index and str(rows.at[name, "description"]) != "withheld"
        if hidden.is_few(len(donors)) and told:
            must = f"must not be described from fewer than {hidden.rules.strictest} withheld donors"
            found = f"{len(donors)} in stratum {name}"
            yield Fault("tables/strata.parquet", must, found, REWRITE, reason="few_donors")
    tests = read_table(folder / "tables" / "associations.parquet")
    if len(tests) and np.any([hidden.is_few(n) for n in (len(hidden.used), left_out[0])]):
        must = f"must not rest on fewer than {hidden.rules.strictest} withheld donors"
        found = f"{len(tests)} tests"
        yield Fault("tables/associations.parquet", must, found, REWRITE, reason="few_donors")
