"""The table of the ontology terms that a release names, so that every id has its label."""

from __future__ import annotations

from pmcell.schema.disclosure import DESCRIPTION, Disclosure
from pmcell.schema.model import Field, Table

TERMS = Table(
    "terms",
    "The ontology terms that donors, samples and cells of this release have, with their labels.",
    ("term_id",),
    (
        Field("term_id", "string", "Id of the term, as it stands in columns *_ontology_term_id."),
        Field("label", "string", "Label of the term; its id where the ontology has no such term."),
        Field("ontology", "string", "Prefix of the ontology that the term belongs to."),
        Field(
            "definition",
            "string",
            "Definition of the term in the ontology; null where it has none.",
            required=False,
        ),
        Field("synonyms", "list<string>", "Other names of the term in the ontology."),
    ),
    source="content.terms:terms_frame",
    disclosure=Disclosure(DESCRIPTION),
)
