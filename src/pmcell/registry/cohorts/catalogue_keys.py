"""Keys of cohort.yaml that a record in a health data catalogue is made from.

None is needed to run the analysis. Which of them a record must have depends on
the cohort's access: `pmcell.registry.cohorts.catalogue` says which and why.
"""

from __future__ import annotations

from pmcell.registry.cohorts.key import Key
from pmcell.registry.terms.health_terms import LABELS, TRANSCRIPTOMIC

EMAIL = r"^[^@\s<>\"]+@[^@\s<>\"]+\.[^@\s<>\"]+$"
WEB = r"^https?://[^\s<>\"{}|\\^`]+$"
DAY = r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$"
AGE = r"^\d{1,3}$"
EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
"""The European Health Data Space: the law whose catalogue the record is for."""


def _agent(name: str, who: str, example: str = "") -> tuple[Key, ...]:
    return (
        Key(f"{name}.name", who, example=example),
        Key(f"{name}.email", f"Address of the {_ROLE[name]}.", pattern=EMAIL),
        Key(f"{name}.url", f"Page on which the {_ROLE[name]} is reached.", pattern=WEB),
    )


_ROLE = {
    "contact": "contact point",
    "hdab": "health data access body",
    "custodian": "data holder",
}

CATALOGUE_KEYS: tuple[Key, ...] = (
    *_agent("contact", "Who answers questions about the data: a desk rather than a person."),
    *_agent(
        "hdab",
        "Health data access body: the authority that decides on access in the cohort's country. "
        "Where no body decides, because the data are open, the name says so.",
    ),
    *_agent("custodian", "Data holder: who keeps the data and is responsible for them."),
    Key("access_url", "Page on which access to the data is asked for.", pattern=WEB),
    Key(
        "license_note",
        "What is known of the terms under which the data may be used, where no licence names "
        "them: who states what, and where.",
    ),
    Key("keywords", "Words by which the cohort is found.", kind="list", example="[blood, PBMC]"),
    Key(
        "health_categories",
        "Categories of electronic health data (Article 51 of the EHDS Regulation). "
        f"{TRANSCRIPTOMIC} holds for every cohort and is stated without being listed.",
        kind="list",
        choices=tuple(LABELS["health_categories"]),
        example="[HPML, RQSH]",
    ),
    Key(
        "health_themes",
        "Themes of health that the cohort is about.",
        kind="list",
        choices=tuple(LABELS["health_themes"]),
        example="[NONCOMMUNICABLE_DISEASES]",
    ),
    Key(
        "dataset_type",
        "Type of the data; STATISTICAL where nothing is given.",
        choices=tuple(LABELS["dataset_type"]),
    ),
    Key("provenance", "How the data came to be: who took which samples, where, and how."),
    Key(
        "population_coverage",
        "Which people the cohort stands for, in a sentence.",
        slot="http://healthdataportal.eu/ns/health#populationCoverage",
    ),
    Key("minimum_typical_age", "Age in years of the youngest donors, about.", pattern=AGE),
    Key("maximum_typical_age", "Age in years of the oldest donors, about.", pattern=AGE),
    Key("temporal_coverage.start", "When sampling began: year, month or day.", pattern=DAY),
    Key("temporal_coverage.end", "When sampling ended: year, month or day.", pattern=DAY),
    Key("retention_period.start", "From when the data may be used again.", pattern=DAY),
    Key("retention_period.end", "Until when the data may be used again.", pattern=DAY),
    Key(
        "legal_basis_terms",
        "Legal bases of the processing as terms of the Data Privacy Vocabulary.",
        kind="list",
        choices=tuple(LABELS["legal_basis_terms"]),
        example="[eu-gdpr:A6-1-e, eu-gdpr:A9-2-j]",
    ),
    Key(
        "purpose_terms",
        "Purposes for which the data may be used, as terms of the Data Privacy Vocabulary.",
        kind="list",
        choices=tuple(LABELS["purpose_terms"]),
        example="[eu-ehds:HealthcareScientificResearch]",
    ),
    Key(
        "personal_data",
        "Kinds of personal data in the cohort, as terms of the Data Privacy Vocabulary.",
        kind="list",
        choices=tuple(LABELS["personal_data"]),
        example="[pd:AgeRange, pd:Gender, pd:MedicalHealth]",
    ),
    Key(
        "languages",
        "Languages of the data's texts, as codes of the EU Vocabularies.",
        kind="list",
        pattern=r"^[A-Z]{3}$",
        example="[ENG]",
    ),
    Key(
        "applicable_legislation",
        "Laws under which the data are described, as European Legislation Identifiers; "
        "the EHDS Regulation where nothing is given.",
        kind="list",
        pattern=r"^https?://[^\s<>\"{}|\\^`]+/eli/[^\s<>\"{}|\\^`]+$",
        example=f"[{EHDS}]",
    ),
)
