"""What can be wrong with values of a cohort.yaml whose keys and form are right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.barcode_rule import BARCODE_RULE
from pmcell.registry.cohorts.catalogue import contradictions, lookup
from pmcell.registry.cohorts.data_use import check_data_use
from pmcell.registry.cohorts.keys import COHORT_FILE, key
from pmcell.registry.cohorts.registered import is_usable
from pmcell.registry.cohorts.yaml_text import YamlText
from pmcell.registry.terms.regions import region_fix
from pmcell.registry.terms.rules import check_term
from pmcell.registry.terms.vocabulary import COUNTRIES, LICENSES, region_problem
from pmcell.schema import NO_PROGRAMME, UNKNOWN
from pmcell.spelling import did_you_mean

MAX_HINTS = 20
"""Wrong values for which the nearest right one is looked for: it takes long among many."""


@dataclass(frozen=True)
class Values:
    """The values of a cohort.yaml by dotted path; those at `broken` paths count as not given."""

    text: YamlText
    broken: frozenset[str]

    def __call__(self, path: str) -> Any:
        """The value at a path, None where there is none."""
        return None if path in self.broken else lookup(self.text.tree, path)

    def row(self, path: str) -> int | None:
        """The line of the file at which the value stands."""
        return self.text.lines.get(path)

    def fault(self, path: str, must: str, found: str, fix: str, **more: str) -> Fault:
        """A fault of the value at a path."""
        return Fault(COHORT_FILE, must, found, fix, row=self.row(path), column=path, **more)

    def term_fault(self, path: str, term: str, column: str, *, hint: bool = True) -> Fault | None:
        """What is wrong with the ontology term at a path, of a column's rule."""
        row = self.row(path)
        return check_term(term, column, file=COHORT_FILE, row=row, where=path, hint=hint)


def value_faults(value: Values, folder: Path, programmes: list[str] | None) -> Iterator[Fault]:
    """Faults of the values, each alone and against each other."""
    yield from _name_faults(value, folder)
    yield from _region_faults(value)
    yield from _programme_faults(value, programmes)
    yield from _licence_faults(value)
    yield from check_data_use(value("data_use"), row=value.row("data_use"))
    yield from _term_faults(value)
    yield from _matrix_faults(value)
    for where, must, found, fix in contradictions(value):
        yield value.fault(where, must, found, fix, reason="contradiction")


def _name_faults(value: Values, folder: Path) -> Iterator[Fault]:
    name = value("id")
    if name and name != folder.resolve().name:
        must = "must be the name of the cohort's folder"
        fix = f"Rename the folder to {name!r}, or the id."
        yield value.fault("id", must, f"{name!r} in folder {folder.name!r}", fix)
    if name and ".." in name:
        yield value.fault("id", "must not hold '..'", repr(name), "Use single dots.")


def _region_faults(value: Values) -> Iterator[Fault]:
    region = value("region")
    if not region or region == UNKNOWN:
        return
    problem = region_problem(region)
    if problem:
        must, found = "must be a region code", f"{region!r}: {problem}"
        yield value.fault("region", must, found, region_fix(region), reason="region")
    elif region in COUNTRIES:
        found = f"the country {region}"
        fix = (
            "Give the region where it is known: NUTS 2 such as NL32 in the EU, else ISO 3166-2 "
            "such as US-MD. `pmcell terms NAME --in region` finds its code."
        )
        yield value.fault("region", "should be a region", found, fix, severity="warning")


def _programme_faults(value: Values, programmes: list[str] | None) -> Iterator[Fault]:
    programme = value("programme")
    if not programme or programmes is None or programme in (*programmes, NO_PROGRAMME):
        return
    known = f"There are {', '.join(programmes) or 'no files'}; {NO_PROGRAMME} is none of them."
    must = "must be a file in config/programmes, or none"
    fix = f"{did_you_mean(programme, programmes)} {known}".strip()
    yield value.fault("programme", must, repr(programme), fix, reason="programme")


def _licence_faults(value: Values) -> Iterator[Fault]:
    spdx = value("license")
    if not spdx or spdx == UNKNOWN or spdx in LICENSES or spdx.startswith("LicenseRef-"):
        return
    must = "should be a known SPDX identifier"
    fix = did_you_mean(spdx, LICENSES)
    fix = fix or "Check it on spdx.org/licenses, or write LicenseRef-<name>."
    yield value.fault("license", must, repr(spdx), fix, severity="warning")


def _term_faults(value: Values) -> Iterator[Fault]:
    for column in ("assay_ontology_term_id", "tissue_ontology_term_id"):
        path = f"defaults.{column}"
        term = value(path)
        wrong = value.term_fault(path, term, column) if term else None
        if wrong:
            yield wrong
    n_hints = 0
    for label, term in (value("values.cell_type") or {}).items():
        path = f"values.cell_type.{label}"
        if path in value.broken or not term:
            continue
        wrong = value.term_fault(path, term, "cell_type", hint=n_hints < MAX_HINTS)
        if wrong:
            n_hints += 1
            yield wrong


def _matrix_faults(value: Values) -> Iterator[Fault]:
    path = value("matrix.path")
    if path and not is_usable(path):
        must = "must be a path that a disk takes: at most 3000 bytes, 255 a name, none of them zero"
        found, fix = f"{len(path)} letters, {path[:40]!r} …", "Give the file a shorter name."
        yield value.fault("matrix.path", must, found, fix, reason="file_missing")
    if bool(value("matrix.keep_features.column")) != bool(value("matrix.keep_features.value")):
        must, fix = "must have both column and value", "Add the other, or remove both."
        yield value.fault("matrix.keep_features", must, "one of them", fix)
    rule = value("columns.sample_id") or ""
    kind, _, rest = rule.partition(":")
    if rule.startswith("constant:") and not re.match(key("id").pattern, rest):
        must, fix = (
            "constant: must be followed by a sample id",
            "Write for example constant:sample1.",
        )
        yield value.fault("columns.sample_id", must, repr(rule), fix)
    if kind in ("barcode_prefix", "barcode_suffix") and not BARCODE_RULE.fullmatch(rule):
        must = "must name the separator"
        fix = "Write for example barcode_suffix:-, or barcode_prefix:_:last for the last '_'."
        yield value.fault("columns.sample_id", must, repr(rule), fix)
