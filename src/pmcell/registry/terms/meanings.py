"""What the names of vocabularies mean, in a sentence each, for whoever meets them in a question."""

from __future__ import annotations

import re
from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "CL": "CL is the Cell Ontology: one code for each type of cell.",
    "DUO": (
        "DUO is the Data Use Ontology of GA4GH: codes for what data may be used for, such as GRU "
        "(general research use)."
    ),
    "EFO": (
        "EFO is the Experimental Factor Ontology: here the codes of assays, such as 10x 3' v3."
    ),
    "EHDS": (
        "The EHDS is the European Health Data Space, Regulation (EU) 2025/327: who may use health "
        "data again, and how they ask."
    ),
    "HANCESTRO": (
        "HANCESTRO is the Human Ancestry Ontology: codes for how people describe their own "
        "ethnicity. pmcell never guesses one from a spelling."
    ),
    "HDAB": (
        "HDAB is the health data access body: the authority that decides in a country who may use "
        "health data."
    ),
    "HsapDv": "HsapDv is the ontology of human developmental stages: here, ages.",
    "ISO 3166-2": (
        "ISO 3166-2 has a code for each part of a country, such as US-MD; used outside the EU."
    ),
    "LOINC": "LOINC has a code for each laboratory test and clinical measurement.",
    "MONDO": "MONDO is the Mondo Disease Ontology: one code for each disease.",
    "NUTS": (
        "NUTS are the statistical regions of the EU, from whole countries (NL) to districts "
        "(NL361); NUTS 2, such as NL36, is the usual choice."
    ),
    "PATO": "PATO is the Phenotype and Trait Ontology: here sex, and healthy (PATO:0000461).",
    "SPDX": "SPDX has a short name for each licence, such as CC-BY-4.0.",
    "UBERON": "UBERON is the ontology of anatomy: one code for each tissue and organ.",
    "UCUM": "UCUM is the code of units of measurement, such as mmol/L.",
}
_IN_WORDS = {"health data access body": "HDAB"}


def meaning_of(word: str) -> str:
    """The sentence on a vocabulary, whatever the case of its letters; '' for another word.

    >>> meaning_of("spdx")
    'SPDX has a short name for each licence, such as CC-BY-4.0.'
    """
    by_folded = {name.casefold(): text for name, text in MEANINGS.items()}
    return by_folded.get(word.strip().casefold(), "")


def words_in(prose: str) -> list[str]:
    """The sentences on the vocabularies that a text names, in the order of their names."""
    said = [name for words, name in _IN_WORDS.items() if words in prose.casefold()]
    return [
        text
        for name, text in MEANINGS.items()
        if name not in said and re.search(rf"(?<!\w){re.escape(name)}(?![\w:])", prose)
    ]
