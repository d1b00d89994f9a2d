"""FHIR Observations and data points of phones, for the tests of measurements."""

from __future__ import annotations

from typing import Any

UCUM = "http://unitsofmeasure.org"


def quantity(value: Any, unit: str, **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def observation(
    code: str = "39156-5",
    value: Any = 31.2,
    unit: str = "kg/m2",
    *,
    subject: str = "Patient/1",
    when: str = "2024-03-01",
    **more: Any,
) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": subject},
        "effectiveDateTime": when,
        "valueQuantity": quantity(value, unit),
        **more,
    }


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def data_point(
    schema: str = "blood-glucose",
    body: dict[str, Any] | None = None,
    *,
    user: str = "joe",
    modality: str = "sensed",
    when: str = "2024-03-02T07:30:00+01:00",
) -> dict[str, Any]:
    return {
        "header": {
            "schema_id": {"namespace": "omh", "name": schema, "version": "1.0"},
            "modality": modality,
            "user_id": user,
        },
        "body": {
            **(body or {"blood_glucose": {"value": 95, "unit": "mg/dL"}}),
            "effective_time_frame": {"date_time": when},
        },
    }
