"""Whether the cells are of the person: what the step `duplicates` found of a donor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.dossier.model import DEVICE
from pmcell.errors import DataError
from pmcell.registry.duplicates.find import DOUBTS, TWO_PEOPLE

if TYPE_CHECKING:
    import pandas as pd


def doubts_of(rows: pd.DataFrame, mode: str) -> tuple[str, ...]:
    """Reasons to doubt that the cells are the person's, from rows of the table `duplicates`.

    Raises
    ------
    DataError
        Cells of two people; in device mode any doubt.
    """
    n_found = dict(zip(rows["kind"], rows["n_found"], strict=True))
    if TWO_PEOPLE in n_found:
        raise two_people(int(n_found[TWO_PEOPLE]), "the cells", "table duplicates")
    doubts = tuple(text for kind, text in DOUBTS.items() if kind in n_found)
    if doubts and mode == DEVICE:
        raise DataError(
            "--mode device needs cells that are surely of the person (table duplicates). "
            f"{' '.join(doubts)} Ask the laboratory, mend the cohort and write the release again; "
            "or use --mode research.",
            reason="whose_cells",
        )
    return doubts


def two_people(n_cells: int, which: str, where: str) -> DataError:
    """The error for cells of two people: `n_cells` of `which` are of another than the rest."""
    return DataError(
        f"a dossier must be of one person; {n_cells:,} of {which} are of another person than the "
        f"rest, by genes that people have in different shares ({where}). Give each person's cells "
        "by themselves. Of who was given another's blood stem cells pmcell makes none.",
        reason=TWO_PEOPLE,
    )
