"""What a drafted registration leaves to a person: one decision for each key and each value.

A table may hold the same open value in hundreds of rows; it is one decision.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmcell.registry.cohorts.catalogue import lookup, missing_metadata
from pmcell.registry.cohorts.cohort_file import meaning
from pmcell.registry.cohorts.keys import (
    COHORT_FILE,
    COHORT_KEYS,
    DONOR_COLUMNS,
    DONORS_FILE,
    SAMPLE_COLUMNS,
    SAMPLES_FILE,
    TODO,
    Column,
)
from pmcell.registry.cohorts.programmes import read_programme
from pmcell.registry.cohorts.sheets import Row, read_sheet
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.registry.terms.meanings import words_in
from pmcell.registry.terms.ontology import resolve
from pmcell.registry.terms.rules import TERM_RULES, terms_near
from pmcell.registry.terms.vocabulary import DUO_PERMISSIONS
from pmcell.schema import NO_PROGRAMME
from pmcell.spelling import plural

CELL_TYPES = "values.cell_type"
EACH = "each"
"""Answer to who the donors are: each sample is of a person of its own."""
MUST_BE_KNOWN = ("title", "steward.name", "programme", "access", "data_use", "donor_id")
"""Keys that `unknown` does not answer."""
USUAL_ASSAYS = ("EFO:0009922", "EFO:0009899", "EFO:0009900", "EFO:0008931")
"""Assays to choose from: 10x 3' v3 and v2, 10x 5' v2, Smart-seq2."""

_SOURCE = re.compile(rf"{TODO} \(source: (.*)\)", re.DOTALL)
_SHORT = re.compile(r"^self_reported_|_ontology_term_id$")


@dataclass(frozen=True)
class Decision:
    """One thing to decide.

    `key` is what it is answered by (`title`, `sex[1]`, `cell_type[alpha]`, `donor_id`);
    `file` and `path` where it stands: a dotted path of cohort.yaml, or a column; `text` what the
    submitted file says, `seen` of how many rows; `prose` what is asked, `choices` what it may
    be; `is_needed` where the access that was decided asks for it.
    """

    key: str
    file: str
    path: str
    prose: str
    text: str = ""
    seen: str = ""
    choices: tuple[str, ...] = ()
    is_needed: bool = False

    @property
    def column(self) -> str:
        """The column whose terms it takes, or ''."""
        if self.path.startswith(f"{CELL_TYPES}."):
            return "cell_type"
        name = self.path.removeprefix("defaults.")
        return name if name in TERM_RULES else ""

    @property
    def may_be_unknown(self) -> bool:
        """Whether `unknown` is an answer."""
        return self.path not in MUST_BE_KNOWN and not self.is_needed

    def near(self, n: int = 3) -> list[str]:
        """The terms nearest to the file's text, as 'id label'; it loads the ontology."""
        return terms_near(self.text, self.column, n) if self.column and self.text else []

    def explain(self) -> str:
        """What is asked, its choices, and what the names of vocabularies in it mean."""
        parts = [self.prose, *words_in(self.prose)]
        if self.text.isdigit():
            parts.append("A number is a code: answer with what its code book says.")
        return " ".join(parts)


def open_decisions(folder: Path) -> list[Decision]:
    """What is still open in a cohort's folder, in the order of its files."""
    tree = read_yaml(folder / COHORT_FILE, []).tree
    programmes = folder.resolve().parent.parent / "programmes"
    donors = read_sheet(folder / DONORS_FILE, DONOR_COLUMNS, [], required=False)
    samples = read_sheet(folder / SAMPLES_FILE, SAMPLE_COLUMNS, [], required=False)
    return [
        *_of_cohort(tree, sorted(programmes.glob("*.yaml"))),
        *_donors(samples),
        *_of_table(DONORS_FILE, DONOR_COLUMNS, donors, "donor"),
        *_of_table(SAMPLES_FILE, SAMPLE_COLUMNS, samples, "sample"),
    ]


def source_text(value: str) -> str:
    """The submitted file's text that an open cell of a table quotes; '' where it quotes none."""
    found = _SOURCE.fullmatch(value)
    return found[1] if found else ""


def short_name(column: str) -> str:
    """The name of a column in the key of a decision.

    >>> short_name("self_reported_ethnicity_ontology_term_id")
    'ethnicity'
    """
    return _SHORT.sub("", _SHORT.sub("", column))


def _of_cohort(tree: Mapping[str, object], programmes: Sequence[Path]) -> Iterator[Decision]:
    choices = {
        "programme": (*(path.stem for path in programmes), NO_PROGRAMME) if programmes else (),
        "data_use": tuple(f"{code} {label}" for code, label in DUO_PERMISSIONS.items()),
        "defaults.assay_ontology_term_id": tuple(map(_with_label, USUAL_ASSAYS)),
        "defaults.tissue_ontology_term_id": _tissues(tree, programmes),
    }
    for item in COHORT_KEYS:
        value = lookup(tree, item.path)
        if item.kind == "mapping" and isinstance(value, dict):
            for label, term in value.items():
                if str(term).startswith(TODO):
                    path = f"{item.path}.{label}"
                    key = f"cell_type[{label}]" if item.path == CELL_TYPES else path
                    yield Decision(key, COHORT_FILE, path, meaning(path), text=label)
            continue
        entries = value if isinstance(value, list) else [value]
        if any(isinstance(entry, str) and entry.startswith(TODO) for entry in entries):
            offered = item.choices or choices.get(item.path, ())
            yield Decision(item.path, COHORT_FILE, item.path, meaning(item.path), choices=offered)
    for fault in missing_metadata(tree, meaning):
        path, value = fault.column or "", lookup(tree, fault.column or "")
        if fault.severity == "error" and not str(value).startswith(TODO):
            # Data that are not open need a record in a catalogue, which needs these.
            yield Decision(path, COHORT_FILE, path, meaning(path), is_needed=True)


def _tissues(tree: Mapping[str, object], programmes: Sequence[Path]) -> tuple[str, ...]:
    """The tissues to choose from: those of the cohort's programme, else of all programmes."""
    if not str(lookup(tree, "defaults.tissue_ontology_term_id")).startswith(TODO):
        return ()
    found = {path.stem: read_programme(path)[0] for path in programmes}
    tissues = {name: one.tissues for name, one in found.items() if one is not None}
    own = tissues.get(str(tree.get("programme"))) or [t for one in tissues.values() for t in one]
    return tuple(map(_with_label, dict.fromkeys(own)))


def _with_label(term: str) -> str:
    return f"{term} {resolve(term)}"


def _donors(samples: list[Row]) -> Iterator[Decision]:
    """Who the samples are of, one decision however many samples there are."""
    open_ = [row.get("sample_id") for row in samples if row.get("donor_id").startswith(TODO)]
    if not open_:
        return
    shown = ", ".join(open_[:4]) + (", …" if len(open_) > 4 else "")
    prose = (
        f"Which person each sample is of. '{EACH}': each is of a person of its own; one id: all "
        "are of that person; else SAMPLE=PERSON, with commas between."
    )
    yield Decision(
        "donor_id",
        SAMPLES_FILE,
        "donor_id",
        prose,
        seen=f"{plural(len(open_), 'sample')} ({shown})",
    )


def _of_table(
    file: str, columns: tuple[Column, ...], rows: list[Row], noun: str
) -> Iterator[Decision]:
    for column in columns:
        if column.name == "donor_id":
            continue
        values = Counter(row.get(column.name, "") for row in rows)
        for value, n in values.items():
            if value.startswith(TODO):
                text = source_text(value)
                yield Decision(
                    f"{short_name(column.name)}[{text}]",
                    file,
                    column.name,
                    column.prose,
                    text=text,
                    seen=plural(n, noun),
                    choices=column.choices,
                )
