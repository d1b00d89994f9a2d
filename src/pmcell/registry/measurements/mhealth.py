"""Readings of Open mHealth and IEEE 1752.1 data points, as phones and their services give them.

Open mHealth data-point 1.x (header with schema_id, body), IEEE 1752.1-2021 (header with modality,
body). Which LOINC code a schema has is ours to say: `SCHEMAS`. Descriptive statistics (a mean
over a week) are left out and counted, for they are no value of a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pmcell.registry.measurements.reading import (
    DEVICE,
    NO_SOURCE,
    PERSON,
    Found,
    Place,
    Reading,
    mapping_at,
    moment_of,
    number_at,
)
from pmcell.spelling import did_you_mean

SCHEMAS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "blood-glucose": {"blood_glucose": "2339-0"},
        "blood-pressure": {
            "systolic_blood_pressure": "8480-6",
            "diastolic_blood_pressure": "8462-4",
        },
        "body-height": {"body_height": "8302-2"},
        "body-mass-index": {"body_mass_index": "39156-5"},
        "body-temperature": {"body_temperature": "8310-5"},
        "body-weight": {"body_weight": "29463-7"},
        "heart-rate": {"heart_rate": "8867-4"},
        "oxygen-saturation": {"oxygen_saturation": "59408-5"},
        "respiratory-rate": {"respiratory_rate": "9279-1"},
        "sleep-duration": {"sleep_duration": "93832-4"},
        "step-count": {"step_count": "55423-8"},
        "total-sleep-time": {"total_sleep_time": "93832-4"},
    }
)
"""For each schema the members of the body that hold a value, and their LOINC codes."""

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "%": "%",
        "C": "Cel",
        "F": "[degF]",
        "K": "K",
        "beats/min": "/min",
        "breaths/min": "/min",
        "cm": "cm",
        "d": "d",
        "ft": "[ft_i]",
        "g": "g",
        "h": "h",
        "in": "[in_i]",
        "kg": "kg",
        "kg/m2": "kg/m2",
        "lb": "[lb_av]",
        "m": "m",
        "mg/dL": "mg/dL",
        "min": "min",
        "mmHg": "mm[Hg]",
        "mmol/L": "mmol/L",
        "sec": "s",
        "steps": "1",
    }
)
"""Units of the schemas as UCUM codes."""

MODALITIES = {"sensed": DEVICE, "self-reported": PERSON}


def is_data_point(node: Any) -> bool:
    """Whether a JSON value is a data point: a header and a body."""
    return isinstance(node, dict) and "header" in node and "body" in node


def read_data_point(node: dict[str, Any], place: Place, found: Found) -> None:
    """Add the readings of a data point; of one whose schema has no LOINC code here a fault."""
    header, body = mapping_at(node, "header"), mapping_at(node, "body")
    name = str(mapping_at(header, "schema_id").get("name"))
    if name not in SCHEMAS:
        must = f"must be a schema with a LOINC code: {', '.join(SCHEMAS)}"
        fix = did_you_mean(str(name), SCHEMAS) or "Leave its data points out of the file."
        where = place.at("header", "schema_id", "name")
        found.faults.append(where.fault(must, repr(name), fix))
        return
    if "descriptive_statistic" in body:
        found.left_out[f"a descriptive statistic ({name})"] += 1
        return
    subject = header.get("user_id")
    subject = subject if isinstance(subject, str) else ""
    if found.is_again(subject, header.get("id", header.get("uuid")), node, place.at("header")):
        return
    frame = mapping_at(body, "effective_time_frame")
    moment = moment_of(frame.get("date_time")) or moment_of(
        mapping_at(frame, "time_interval").get("start_date_time")
    )
    if moment is None:
        must = "must have date_time, or time_interval.start_date_time, with day and time"
        fix = "Give the moment as in 2024-03-31T08:15:00+02:00."
        where = place.at("body", "effective_time_frame")
        found.faults.append(where.fault(must, repr(frame)[:80], fix))
        return
    for key, code in SCHEMAS[name].items():
        where = place.at("body", key)
        value, unit = _value(mapping_at(body, key), where, found)
        if value is not None and unit:
            found.readings.append(
                Reading(
                    subject, *moment, code, value, unit, _source(header), "", place.file, where.path
                )
            )


def _value(node: dict[str, Any], place: Place, found: Found) -> tuple[float | None, str]:
    value = number_at(node, "value")
    if value is None:
        must, fix = "must have a number as value", "Write it as a JSON number, without quotes."
        found.faults.append(place.fault(must, repr(node.get("value")), fix))
    unit = UNITS.get(str(node.get("unit")), "")
    if not unit:
        must = f"must have a unit of the schemas: {', '.join(UNITS)}"
        fix = did_you_mean(str(node.get("unit")), UNITS) or "Write the unit that the schema has."
        found.faults.append(place.at("unit").fault(must, repr(node.get("unit")), fix, "unit"))
    return value, unit


def _source(header: dict[str, Any]) -> str:
    given = header.get("modality") or mapping_at(header, "acquisition_provenance").get("modality")
    return MODALITIES.get(str(given), NO_SOURCE)
