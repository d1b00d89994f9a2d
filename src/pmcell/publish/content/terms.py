"""The ontology terms that the shown rows of a release name, with label, definition, synonyms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.publish.atlas import Atlas
from pmcell.publish.content import people
from pmcell.publish.facts import Facts
from pmcell.registry.terms.ontology import described
from pmcell.schema.text import as_text
from pmcell.schema.vocabulary import TERMS

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = "_ontology_term_id"
SEPARATOR = " || "
"""Between several terms of one value (CELLxGENE schema, disease_ontology_term_id)."""


def terms_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """One row a term of the published cohorts, their donors, samples and cells."""
    import pandas as pd

    shown = {cohort.cohort_id for cohort in facts.published}
    frames = [
        people.cohorts_frame(facts, atlas).query("cohort_id in @shown"),
        people.donors_frame(facts, atlas),
        people.samples_frame(facts, atlas),
        atlas.cells[atlas.cells["cohort_id"].isin(shown)],
    ]
    named = {
        term
        for frame in frames
        for column in frame.columns
        if str(column).endswith(SUFFIX)
        for value in as_text(frame[column]).unique()
        for term in value.split(SEPARATOR)
        if ":" in term
    }
    rows = [_row(term_id) for term_id in sorted(named)]
    return pd.DataFrame(rows, columns=TERMS.columns)


def _row(term_id: str) -> dict[str, Any]:
    term = described(term_id)
    return {
        "term_id": term_id,
        "label": term.label,
        "ontology": term_id.partition(":")[0],
        "definition": term.definition or None,
        "synonyms": list(term.synonyms),
    }
