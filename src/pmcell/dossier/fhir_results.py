"""The observations of a dossier's FHIR bundle: shares, states, stratum and measurements."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pmcell.dossier.fhir_types import (
    CL,
    LOINC,
    TERMINOLOGY,
    Node,
    absent,
    cell_count,
    coding,
    concept,
    ends_text,
    interval_range,
    named_number,
    not_performed,
    percent,
    quantity,
)
from pmcell.dossier.model import (
    REFERENCE_INTERVAL,
    Dossier,
    GroupRange,
    Measurement,
    Share,
    State,
)
from pmcell.schema import UNKNOWN

MONONUCLEAR = {
    "CL:0000624": ("100856-4", "CD3+CD4+ (T4 helper) cells/cells in Blood mononuclear cells"),
}
"""LOINC codes whose system is blood mononuclear cells (Bld MC), by Cell Ontology term."""
INTERPRETATIONS = {"L": "Low", "N": "Normal", "H": "High"}


@dataclass(frozen=True)
class Names:
    """Ids of the resources of one bundle, which follow from the bundle's seed and their names."""

    seed: str

    def uuid(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed}\n{name}"))

    def url(self, name: str) -> str:
        return f"urn:uuid:{self.uuid(name)}"

    def to(self, name: str) -> Node:
        """A reference to a resource."""
        return {"reference": self.url(name)}


@dataclass(frozen=True)
class Observations:
    """Observations of a dossier, whose patient, device and specimens have their names."""

    d: Dossier
    mononuclear: bool
    names: Names

    def observation(self, code: Node) -> Node:
        """What every observation of the cells has."""
        node: Node = {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                concept(f"{TERMINOLOGY}/observation-category", "laboratory", "Laboratory")
            ],
            "code": code,
            "subject": self.names.to("patient"),
            "_effectiveDateTime": {"extension": absent("masked")},
            "performer": [self.names.to("organization")],
            "device": self.names.to("device"),
        }
        # An observation has one specimen; several samples of a visit are counted together.
        if len(self.d.samples) == 1:
            node["specimen"] = self.names.to("specimen 0")
            node["method"] = {"text": f"single-cell RNA sequencing ({self.d.samples[0].assay})"}
        return node

    def share(self, item: Share) -> Node:
        codings = []
        if self.mononuclear and item.term in MONONUCLEAR:
            codings.append(coding(LOINC, *MONONUCLEAR[item.term]))
        if item.term != UNKNOWN:
            codings.append(coding(CL, item.term, item.cell_type))
        code: Node = {"text": f"{item.cell_type}: share of the cells of the sample"}
        if codings:
            code["coding"] = codings
        node = self.observation(code)
        if item.share is None or item.counting is None:
            return node | {"dataAbsentReason": not_performed()}
        node["valueQuantity"] = percent(item.share)
        node["component"] = [
            {"code": {"text": "Cells counted"}, "valueQuantity": cell_count(item.n_cells or 0)},
            {
                "code": {"text": "Cells of the visit"},
                "valueQuantity": cell_count(item.n_cells_visit),
            },
            {
                "code": {"text": "95 % interval of the share from counting cells"},
                "valueRange": interval_range(item.counting),
            },
        ]
        if item.flag:
            node["interpretation"] = [
                concept(
                    f"{TERMINOLOGY}/v3-ObservationInterpretation",
                    item.flag,
                    INTERPRETATIONS[item.flag],
                )
            ]
        ranges = self.ranges(item.group)
        return node | ({"referenceRange": ranges} if ranges else {})

    def ranges(self, group: GroupRange) -> list[Node]:
        """The reference interval, or what the comparison group has, with its size in words."""
        of = f"{self.d.group.in_words}, n = {group.n}"
        if group.kind == REFERENCE_INTERVAL and group.reference and group.reference_low:
            low, high = group.reference_low, group.reference_high or group.reference_low
            text = (
                f"Reference interval (central 95 %) of {of}; 90 % confidence intervals of its ends "
                f"{ends_text(low)} and {ends_text(high)}"
            )
            meaning = concept(f"{TERMINOLOGY}/referencerange-meaning", "normal", "Normal Range")
            return [{**interval_range(group.reference), "type": meaning, "text": text}]
        if group.quartiles is None:
            return []
        found = [
            {
                **interval_range(group.quartiles),
                "type": {"text": "comparison group"},
                "text": f"Quartiles of a comparison group, no reference interval: {of}",
            }
        ]
        if group.nine_of_ten:
            found.append(
                {
                    **interval_range(group.nine_of_ten),
                    "type": {"text": "comparison group"},
                    "text": f"9 of 10 of a comparison group, no reference interval: {of}",
                }
            )
        return found

    def state(self, item: State) -> Node:
        text = f"{item.cell_type}: distance of its state from the group's, in the group's medians"
        node = self.observation({"text": text})
        if item.distance is None:
            return node | {"dataAbsentReason": not_performed()}
        return node | {"valueQuantity": quantity(round(item.distance, 1), "1", "1")}

    def stratum(self) -> Node:
        place = self.d.place
        node = self.observation({"text": "Stratum of people by their cells"})
        if place.why_not:
            return node | {
                "dataAbsentReason": {
                    **concept(f"{TERMINOLOGY}/data-absent-reason", "unknown", "Unknown"),
                    "text": place.why_not,
                }
            }
        node["valueCodeableConcept"] = {"text": place.stratum}
        parts: list[Node] = []
        if place.probability is not None:
            parts.append(named_number("Probability", place.probability))
        if place.conformal_set is not None:
            named = ", ".join(place.conformal_set) or "none"
            often = "" if place.coverage is None else f" at coverage {place.coverage:g}"
            parts.append({"code": {"text": f"Set of strata{often}"}, "valueString": named})
        if place.ood_p is not None:
            parts.append(named_number("Out-of-distribution p", place.ood_p))
        return node | ({"component": parts} if parts else {})

    def measurement(self, item: Measurement) -> Node:
        code: Node = {"text": item.name or item.code}
        if item.code:
            code["coding"] = [coding(LOINC, item.code, item.name)]
        node = self.observation(code)
        for key in ("device", "specimen", "method"):
            node.pop(key, None)
        day = "" if item.day is None else f", day {item.day:g}"
        value = quantity(item.value, item.unit, item.unit)
        if item.comparator:
            value["comparator"] = item.comparator
        when = f"Visit {item.visit or UNKNOWN}{day}; source: {item.source}"
        return node | {"valueQuantity": value, "note": [{"text": when}]}
