"""Check the Data Use Ontology terms of a cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pmcell.errors import Fault
from pmcell.registry.cohorts.keys import COHORT_FILE, TODO
from pmcell.registry.terms.rules import TERM_RULES, check_term
from pmcell.registry.terms.vocabulary import DUO, DUO_CODES, DUO_DISEASE_SPECIFIC, DUO_PERMISSIONS
from pmcell.schema import UNKNOWN
from pmcell.spelling import did_you_mean, nearest


def check_data_use(value: Any, *, row: int | None = None) -> Iterator[Fault]:
    """Faults of the value of `data_use`: a permission and its modifiers, or unknown."""

    def fault(must: str, found: str, fix: str, severity: str = "error") -> Fault:
        return Fault(
            COHORT_FILE,
            must,
            found,
            fix,
            row=row,
            column="data_use",
            severity=severity,
            reason="data_use",
        )

    if value is None:
        return
    given = [value] if isinstance(value, str) else list(value)
    # What is no text is named where the form of the file is checked.
    entries = [one for one in given if isinstance(one, str) and not one.startswith(TODO)]
    if len(entries) < len(given) and not all(isinstance(one, str) for one in given):
        return
    if entries in ([UNKNOWN], [""], []):
        return
    permissions = []
    strange = False
    for entry in entries:
        code, _, disease = entry.partition(" ")
        if code not in DUO:
            strange = True
            fix = _duo_near(entry)
            yield fault(
                "must be a permission or modifier of the Data Use Ontology", repr(entry), fix
            )
            continue
        if code in DUO_PERMISSIONS:
            permissions.append(code)
        if code == DUO_DISEASE_SPECIFIC:
            rule = TERM_RULES["disease_ontology_term_id"]
            example = f"'{DUO_DISEASE_SPECIFIC} {rule.example.split(' ')[0]}'"
            if not disease:
                must = "disease-specific use must name its disease (MONDO)"
                yield fault(must, repr(entry), f"Write for example {example}.")
                continue
            wrong = check_term(disease, "disease_ontology_term_id", file=COHORT_FILE)
            if wrong:
                yield fault(f"the disease {wrong.must}", wrong.found, wrong.fix)
        elif disease:
            yield fault("must be a DUO term alone", repr(entry), f"Write {code}.")
    if entries and not permissions and not strange:
        yield fault(
            "must have one permission beside its modifiers",
            ", ".join(entries),
            f"Add one of {_permissions()}.",
        )
    if len(permissions) > 1:
        must = "should have one permission"
        yield fault(must, ", ".join(permissions), "Keep the one that the consent says.", "warning")


def _duo_near(entry: str) -> str:
    by_label = {label: term for term, label in DUO.items()}
    term = DUO_CODES.get(entry.upper()) or by_label.get(nearest(entry, by_label) or "")
    if term:
        return f"Write {term} ({DUO[term]})."
    return did_you_mean(entry, DUO) or f"Permissions are {_permissions()}."


def _permissions() -> str:
    return ", ".join(f"{term} ({label})" for term, label in DUO_PERMISSIONS.items())
