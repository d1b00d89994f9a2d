"""The table of clinical values."""

from __future__ import annotations

from dataclasses import replace

from pmcell.schema.disclosure import INDIVIDUAL, Disclosure
from pmcell.schema.fields import COHORT_FK, COHORT_ID, DONOR_FK, DONOR_ID, VISIT
from pmcell.schema.model import Field, Table

MEASUREMENTS = Table(
    "measurements",
    "Clinical values of donors, from clinics, the people themselves and their devices; one row a value.",
    ("donor_id", "loinc", "number"),
    (
        DONOR_ID,
        Field("loinc", "string", "LOINC code of what was measured.", ontology="LOINC"),
        Field(
            "number",
            "int64",
            "Number of the value among the donor's of this code, by day, visit, source and value, from 1.",
        ),
        COHORT_ID,
        Field(
            "variable", "string", "Name in the cohort's programme; empty where it declares none."
        ),
        replace(
            VISIT, prose="Visit of the value; null where only the day is known.", required=False
        ),
        Field(
            "day",
            "float64",
            "Days since the donor's first visit, with a fraction where the time of day is known; null where only the visit is.",
            "d",
            required=False,
        ),
        Field("value", "float64", "The value, in `unit`."),
        Field(
            "unit", "string", "UCUM unit: the programme's for a variable of it, else as submitted."
        ),
        Field("source", "string", "Who made the value: clinic, person, device or unknown."),
        Field(
            "comparator",
            "string",
            "<, <=, >= or > where the value is only a limit of the method; else empty.",
        ),
        Field("submitted_value", "float64", "The value as submitted, in `submitted_unit`."),
        Field("submitted_unit", "string", "UCUM unit as submitted."),
    ),
    (DONOR_FK, COHORT_FK),
    source="content.measurements:measurements_frame",
    disclosure=Disclosure(INDIVIDUAL, ids=("donor_id",)),
)
