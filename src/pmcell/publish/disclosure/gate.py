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

from pmcell.errors import Fault, FaultsError
from pmcell.io.atomic import read_json, write_json
from pmcell.io.modes import private_files
from pmcell.publish.disclosure.again import published_people
from pmcell.publish.disclosure.anonymity import anonymity
from pmcell.publish.disclosure.attack import attack_counts
from pmcell.publish.disclosure.audits import (
    REWRITE,
    WITHOUT_WITHHELD,
    Audit,
    table_faults,
    verdict_faults,
)
from pmcell.publish.disclosure.hidden import Hidden, hidden_donors
from pmcell.publish.disclosure.people import Prints, fingerprints
from pmcell.publish.disclosure.register import register_faults
from pmcell.publish.disclosure.register_file import (
    add_release,
    read_register,
    register_key,
    register_of,
)
from pmcell.publish.disclosure.shown import shown_people
from pmcell.publish.disclosure.slots import slot_faults
from pmcell.publish.facts import Facts
from pmcell.release.manifest import MANIFEST
from pmcell.schema import RELEASE_FILES, TABLES
from pmcell.schema.disclosure import MEANING

REPORT = "disclosure.json"
OF_RELEASE = f"validation/{REPORT}"

TABLE_CLASSES = {
    f"tables/{table.name}.parquet": table.disclosure.kind
    for table in TABLES
    if table.disclosure is not None
}
"""Class of each table's file, as its Table says."""


def check_disclosure(facts: Facts, folder: Path) -> None:
    """Write `validation/disclosure.json` into `folder`; `FaultsError` with all faults if it fails.

    Either way `disclosure.json` beside the release says what was checked and
    found: thresholds, classes, what was suppressed, the attacker's answers, and
    each fault with table, group, rule and fix.
    """
    hidden = hidden_donors(facts)
    audit = Audit(facts, folder, hidden)
    attacked = attack_counts(folder / "tables", hidden.rules)
    faults = [
        *_unclassified(folder),
        *table_faults(audit),
        *attacked.faults,
        *_reference_faults(facts, folder),
        *slot_faults(facts, folder),
        *verdict_faults(audit),
        *_register(facts, hidden, folder),
    ]
    report: dict[str, Any] = {
        "passed": not faults,
        "rules": hidden.rules.as_facts(),
        "classes": {
            "tables": {Path(name).stem: kind for name, kind in TABLE_CLASSES.items()},
            "files": {item.name: item.kind for item in RELEASE_FILES if item.kind},
            "meaning": MEANING,
        },
        "withheld_cohorts": [cohort.cohort_id for cohort in facts.withheld],
        "suppressed": attacked.suppressed,
        "attacker": attacked.summary,
        "open_donors": anonymity(folder / "tables"),
        "open_donors_note": "Donors of open cohorts are shown as their source published them: "
        "k, l and those who stand alone are reported, not altered.",
        "register": "People compared with those of every earlier release of this study, as a whole "
        "and in each group that is counted; what would tell of few people by the difference is "
        "not counted again.",
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
    path, hidden = register_of(facts.results), hidden_donors(facts)
    add_release(
        path,
        hidden.sets(),
        version=facts.options.version,
        content_sha256=str(read_json(folder / MANIFEST)["content_sha256"]),
        prints=_prints(facts, hidden),
        counted=published_people(facts, folder, hidden),
        shown=shown_people(facts),
    )


def _register(facts: Facts, hidden: Hidden, folder: Path) -> list[Fault]:
    """What this release and earlier ones tell together."""
    path, sets = register_of(facts.results), hidden.sets()
    if not any(sets.values()) and not read_register(path):
        return []
    return register_faults(
        path,
        sets,
        hidden.least(),
        _prints(facts, hidden),
        published_people(facts, folder, hidden),
        shown_people(facts),
        hidden.rules.strictest,
    )


def _prints(facts: Facts, hidden: Hidden) -> Prints:
    """Hashes of the donors' cells; none where nobody is withheld, nor ever was.

    They read all counts, and find people again who come under the id of another cohort. Until
    then the people of open cohorts are known by their ids.
    """
    path = register_of(facts.results)
    is_withheld = any(hidden.sets().values())
    if is_withheld or any(any(entry["donors"].values()) for entry in read_register(path)):
        return fingerprints(facts, register_key(path))
    return {}


def class_of(name: str) -> str | None:
    """The class of a file of the release by its path, or None where nobody classified it.

    >>> class_of("tables/donors.parquet"), class_of("profiles.csv")
    ('individual', None)
    """
    if name in TABLE_CLASSES:
        return TABLE_CLASSES[name]
    # The longest name is the nearest: a file in a folder before the folder.
    known = sorted(RELEASE_FILES, key=lambda item: -len(item.name))
    return next((item.kind or None for item in known if item.holds(name)), None)


def _unclassified(folder: Path) -> Iterator[Fault]:
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder).as_posix()
        if class_of(name) is None:
            must = "must have a class of disclosure in pmcell.schema before it is published"
            fix = "Give its Table or ReleaseFile one, and protect it accordingly."
            yield Fault(name, must, "no class", fix, reason="unclassified")


def _reference_faults(facts: Facts, folder: Path) -> Iterator[Fault]:
    """The frozen model is a vector over genes that every cell shaped."""
    if not facts.withheld:
        return
    extra = sorted(
        path.name for path in (folder / "reference").iterdir() if path.name != "reference.json"
    )
    if extra:
        yield Fault("reference/", WITHOUT_WITHHELD, ", ".join(extra), REWRITE, reason="vector")
