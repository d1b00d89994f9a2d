"""Data types of FHIR R4 from the dossier's numbers: codes, quantities, ranges, narratives."""

from __future__ import annotations

from typing import Any

from pmcell.dossier.model import Interval, percent_value

Node = dict[str, Any]

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
CL, UBERON = "http://purl.obolibrary.org/obo/cl.owl", "http://purl.obolibrary.org/obo/uberon.owl"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def coding(system: str, code: str, display: str) -> Node:
    """A code of a system."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(system: str, code: str, display: str) -> Node:
    """A concept of one code."""
    return {"coding": [coding(system, code, display)]}


def absent(reason: str) -> list[Node]:
    """The extension that says why a value is absent."""
    return [{"url": ABSENT, "valueCode": reason}]


def not_performed() -> Node:
    """That nothing was measured."""
    return concept(f"{TERMINOLOGY}/data-absent-reason", "not-performed", "Not Performed")


def quantity(value: float, unit: str, code: str) -> Node:
    """A value with its UCUM unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


def percent(share: float) -> Node:
    """A share in per cent."""
    return quantity(percent_value(share), "%", "%")


def cell_count(n: int) -> Node:
    """A number of cells."""
    return quantity(n, "cells", "{cells}")


def named_number(name: str, value: float) -> Node:
    """A component with a number without unit."""
    return {"code": {"text": name}, "valueQuantity": quantity(round(value, 3), "1", "1")}


def interval_range(interval: Interval) -> Node:
    """An interval of shares in per cent."""
    return {"low": percent(interval.low), "high": percent(interval.high)}


def ends_text(interval: Interval) -> str:
    """The ends of an interval of shares, in words."""
    return f"{percent_value(interval.low):g}–{percent_value(interval.high):g} %"


def narrative(body: str) -> Node:
    """A generated narrative of XHTML."""
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>',
    }
