"""What one key of cohort.yaml is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One key of cohort.yaml: dotted path, one sentence, and what its value must be.

    `kind` is text, list (of text), mapping (of text to text) or records (a list
    of mappings with the keys `parts`); `pattern` is a regular expression; where
    not `required`, a missing value is `unknown`. `choices` and `pattern` of a
    list hold for each of its entries. `slot` is the IRI of a property: the text then
    stands under it in the catalogue's record of the cohort.
    """

    path: str
    prose: str
    kind: str = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    slot: str = ""
    parts: tuple[Key, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether any text may stand there: no form, no list of terms or codes says which."""
        is_listed = self.path in _LISTED or self.path.endswith("_ontology_term_id")
        return self.kind in ("text", "list") and not (self.choices or self.pattern or is_listed)


_LISTED = ("license", "region", "programme", "data_use")
"""Keys whose values are held against lists elsewhere."""
