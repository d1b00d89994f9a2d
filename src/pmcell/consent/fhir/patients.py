"""Whom a consent is of: references and identifiers of patients, each of one person alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pmcell.consent.fhir.codes import CONFIDENTIALITY
from pmcell.consent.fhir.files import as_list, is_of
from pmcell.consent.fhir.provisions import AddFault
from pmcell.errors import Fault


@dataclass(frozen=True)
class Patients:
    """What references to patients of a file stand for; `records` are theirs, by name."""

    names: Mapping[str, str]
    donors: Collection[str] = ()
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def donor(self, who: Any, add: AddFault) -> str:
        """The donor whom a reference names; empty where it names nobody."""
        who = who if isinstance(who, Mapping) else {}
        if who.get("type", "Patient") != "Patient":
            add("patient", "must be a patient", repr(who["type"])[:40], "Name the person.")
        identifier = who.get("identifier")
        shown = who.get("display")
        reference = str(who.get("reference") or "")
        known = self.names.get(reference)
        if not isinstance(identifier, Mapping) or not identifier.get("value"):
            name = known or reference.removeprefix("Patient/")
            if shown in self.donors and shown != name:
                must = "must name one patient by reference and display"
                add("patient", must, "two", "Export it anew, of one person.")
            return name
        name = str(identifier["value"])
        period = identifier.get("period")
        if identifier.get("use") == "old" or (isinstance(period, Mapping) and "end" in period):
            found = "use: old, or a period that ends"
            add("patient.identifier", "must be in use", found, "Give the one that holds.")
        said = reference.removeprefix("Patient/")
        known = known or (said if said in self.donors else None)
        if known is not None and known != name:
            must = "must name one patient by reference and identifier"
            add("patient", must, "two", "Export it anew, of one person.")
        return name

    def known(self, who: Any) -> str | None:
        """The donor whom a reference names by itself; None for anybody else.

        >>> Patients({"urn:uuid:7": "d1"}, ("d1", "d2")).known({"reference": "Patient/d2"})
        'd2'
        """
        reference = str(who.get("reference") or "") if isinstance(who, Mapping) else ""
        name = self.names.get(reference, reference.removeprefix("Patient/"))
        return name if name in self.donors else None


def patients_of(
    resources: Sequence[tuple[str, Mapping[str, Any]]],
    donors: Collection[str],
    file: str,
    faults: list[Fault],
) -> Patients:
    """The patients of a file by reference: the identifier that is a donor's, else the first.

    Two people under one name, and one under two, are faults.
    """
    names: dict[str, str] = {}
    rows: dict[str, int] = {}
    records: dict[str, Mapping[str, Any]] = {}

    def add(row: int, must: str, found: str, fix: str) -> None:
        faults.append(Fault(file, must, found, fix, row=row, column="Patient", reason="consent"))

    for row, (url, item) in enumerate(resources, start=1):
        if item.get("resourceType") != "Patient":
            continue
        if item.get("active") is False or any(
            isinstance(link, Mapping) and link.get("type") == "replaced-by"
            for link in as_list(item.get("link"))
        ):
            fix = "Export the record that took its place, with its consents."
            add(row, "must be a record in use", "one that is inactive or replaced", fix)
        meta = item.get("meta")
        labels = as_list(meta.get("security")) if isinstance(meta, Mapping) else []
        if not all(is_of(label, CONFIDENTIALITY) for label in labels):
            fix = "Export the records of people, and no test data."
            add(row, "must hold no label but of who may see it", "another", fix)
        given = [
            part
            for part in as_list(item.get("identifier"))
            if isinstance(part, Mapping) and part.get("use") != "old"
        ]
        said = [str(i["value"]) for i in given if i.get("value")]
        known = sorted(set(said) & set(donors))
        if len(known) > 1:
            add(row, "must be one donor", f"identifiers of {len(known)}", "Remove the others.")
        name = next(iter([*known, *said]), str(item.get("id")))
        if name in rows:
            fix = "Give each person an identifier of their own."
            add(row, "must not share its identifier", f"the one of resource {rows[name]}", fix)
        rows[name], records[name] = row, item
        for reference in {url, f"Patient/{item.get('id')}"} - {""}:
            if names.setdefault(reference, name) != name:
                fix = "Export the file anew: each reference must be of one person."
                add(row, "must not share its reference", "two patients of one", fix)
    return Patients(names, donors, records)
