"""What the method and its releases cannot do: each sentence once, for every document that says it.

README and Croissant of a release, its report and its catalogue print these;
SECURITY.md explains them.
"""

from __future__ import annotations

from dataclasses import dataclass

RESEARCH_USE = "research use only"


@dataclass(frozen=True)
class Limitation:
    """One limit: `key` names it in tests and links, `sentence` is printed."""

    key: str
    sentence: str


LIMITATIONS = (
    Limitation(
        "research_use",
        f"{RESEARCH_USE.capitalize()}: nothing here is a diagnosis or advice for the treatment of "
        "a person.",
    ),
    Limitation(
        "personal_data",
        "Single cells stay personal data, also under pseudonyms: do not try to re-identify anyone.",
    ),
    Limitation(
        "unit_of_statistics",
        "The donor is the unit of statistics. Cells are not replicates: p values over cells rank "
        "genes and prove nothing.",
    ),
    Limitation(
        "descriptive_strata",
        "Strata are descriptive until they are confirmed in donors who took no part in finding "
        "them.",
    ),
    Limitation(
        "withdrawal",
        "Withdrawal reaches what the publisher still holds, not copies that were already "
        "downloaded.",
    ),
    Limitation(
        "differencing",
        "Comparing two releases can reveal a donor who was removed: a release from which a donor "
        "withdrew is taken down.",
    ),
    Limitation(
        "thresholds",
        "Thresholds on donors protect tables of counts, not expression vectors over thousands of "
        "genes.",
    ),
    Limitation(
        "unmeasured_genes",
        "A gene that a cohort did not measure is unknown there, not zero: see `measured_in` in "
        "the table of genes.",
    ),
)


def limitation(key: str) -> str:
    """Return the sentence of one limit.

    Parameters
    ----------
    key
        Key of a `Limitation`.

    Returns
    -------
    str
        Its sentence.

    Examples
    --------
    >>> limitation("research_use")
    'Research use only: nothing here is a diagnosis or advice for the treatment of a person.'
    """
    return next(item.sentence for item in LIMITATIONS if item.key == key)
