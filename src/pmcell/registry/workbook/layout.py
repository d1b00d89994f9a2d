"""The sheets of a workbook and their columns; what is asked stands in `registry.cohorts.keys`."""

from __future__ import annotations

from collections.abc import Mapping

from pmcell.registry.cohorts.key import Key
from pmcell.registry.cohorts.keys import (
    COHORT_KEYS,
    DONOR_COLUMNS,
    DONORS_FILE,
    SAMPLE_COLUMNS,
    SAMPLES_FILE,
    Column,
)

COHORT, VALUES, COLUMNS = "cohort", "values", "columns"
DONORS, SAMPLES, VISITS, MEASUREMENTS = "donors", "samples", "visits", "measurements"
READ_ME = "read me"
FILES = {DONORS: DONORS_FILE, SAMPLES: SAMPLES_FILE, MEASUREMENTS: "measurements.tsv"}

COHORT_HEAD = ("key", "value", "what it is", "needed", "from the file")
VALUES_HEAD = ("column", "value in the file", "rows", "means", "nearest terms", "why it is asked")
COLUMNS_HEAD = ("column", "told of", "values", "what to do", "LOINC", "unit")
VISITS_HEAD = ("donor_id", "visit", "visit_day", "condition")
MEASUREMENTS_HEAD = (
    "donor_id",
    "visit",
    "day",
    "loinc",
    "value",
    "unit",
    "source",
    "comparator",
)
LEAVE_OUT, KEEP, MEASURE = "leave out", "keep", "measurement"
TABLES: Mapping[str, tuple[Column, ...]] = {DONORS: DONOR_COLUMNS, SAMPLES: SAMPLE_COLUMNS}

INTRODUCTION = (
    "This workbook registers a cohort. Fill it in, save it, and run: pmcell check --workbook FILE",
    "What is wrong is then marked red, with a comment that says what to type. When nothing is, the "
    "registration is written.",
    "cohort: one line for each thing asked. 'unknown' is an answer wherever 'needed' does not say "
    "'yes'.",
    "values: one line for each value of the file that stands for a term, however many people have "
    "it. Write the term's code or its English name; pmcell terms NAME finds it.",
    "columns: columns of the file that are not used yet. 'measurement' needs a LOINC code and a "
    "UCUM unit; 'keep' leaves the column in its table; 'leave out' drops it.",
    "donors, samples, visits, measurements: one row each. Days are counted from a person's first "
    "visit: a date identifies people and is refused.",
    "Ethnicity is what people said of themselves: never guess it.",
)


def cohort_keys() -> list[Key]:
    """The keys that stand on the sheet of the cohort, in their order."""
    return [item for item in COHORT_KEYS if item.kind != "mapping"]
