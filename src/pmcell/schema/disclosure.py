"""What the rows of a published table tell of donors, and so how a release protects them."""

from __future__ import annotations

from dataclasses import dataclass

INDIVIDUAL = "individual"
AGGREGATE = "aggregate"
VECTOR = "vector"
OPEN_ONLY = "open_only"
DESCRIPTION = "description"

MEANING = {
    INDIVIDUAL: "About single donors, samples or cells: rows of open cohorts only.",
    AGGREGATE: "Numbers over donors of all cohorts: threshold, dominance, suppression, register.",
    VECTOR: "Values for thousands of genes, from which membership can be tested at any number "
    "of donors that a cohort has: made of open cohorts only, or withheld.",
    OPEN_ONLY: "Numbers over donors of open cohorts only.",
    DESCRIPTION: "About cohorts, genes or files; made from the other files, or of no donor.",
}
"""Every class, and what is done to it."""


@dataclass(frozen=True)
class Disclosure:
    """The class of a table and what `redact` of `pmcell.publish.disclosure` needs besides.

    Without a `rule`, rows of an aggregate, of a vector or over open cohorts are left out
    once any cohort is withheld: the table is published only where everyone is shown.

    Attributes
    ----------
    kind
        One of `MEANING`.
    ids
        Columns with ids of donors, samples or cells: a row is shown where all are of open
        cohorts. Each table about individuals has one.
    rule
        Name of a rule of `pmcell.publish.disclosure.redactions` for what the class does not
        settle.
    private
        Columns that are null in rows of a cohort without open access (by `cohort_id`).
    strata
        Columns that tell of a stratum: null where strata are withheld.
    needs_strata
        Whether every row tells of a stratum: no rows where strata are withheld.
    """

    kind: str
    ids: tuple[str, ...] = ()
    rule: str = ""
    private: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    needs_strata: bool = False

    def __post_init__(self) -> None:
        if self.kind not in MEANING:
            raise ValueError(f"kind must be one of {', '.join(MEANING)}, got {self.kind!r}")
        if (self.kind == INDIVIDUAL) != bool(self.ids):
            raise ValueError(
                "a table about individuals, and no other, must say by `ids` whose its rows are; "
                f"got kind {self.kind!r} with ids {self.ids}"
            )
