"""Which cells the map draws: all of them, or a stated, repeatable part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmcell.registry.terms.ontology import in_words
from pmcell.schema import DISEASE, UNKNOWN
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release import ReleaseFolder
    from pmcell.release.report_tables import Release

MAX_POINTS = 100_000
"""More cells than this are thinned before they are drawn."""

MIN_OF_GROUP = 50
"""Cells of a cohort and type that are drawn whatever its share, if there are as many."""

RULE = (
    "Up to {most:,} cells are drawn. Of more, each pair of cohort and cell type gives its first "
    "{least} cells and a share of the rest in proportion to its size; within a pair, cells go by "
    "the BLAKE2b digest of their id, so the same cells are drawn each time."
)

NOT_ASSIGNED = "not assigned"
_COLUMNS = ["cell_id", "cohort_id", "donor_id", "visit", "cell_type", "cluster", "umap_1", "umap_2"]


@dataclass(frozen=True)
class Cells:
    """Cells on the map: `all` of the open cohorts and the `drawn` ones in drawing order."""

    all: pd.DataFrame
    drawn: pd.DataFrame


def rule() -> str:
    """The rule in words."""
    return RULE.format(most=MAX_POINTS, least=MIN_OF_GROUP)


def read_cells(folder: ReleaseFolder, release: Release, *, most: int = MAX_POINTS) -> Cells:
    """Cells with a place on the map, of open cohorts only; text columns are categories.

    A stratum is joined by donor and visit where strata are published. Rows of
    a cohort that is not open would be a fault of the release; they are left
    out here too.
    """
    cells = folder.table("cells", _COLUMNS)
    cohorts = release["cohorts"]
    is_open = cohorts.loc[cohorts["access"] == "open", "cohort_id"]
    shown = cells["cohort_id"].isin(is_open) & cells["umap_1"].notna() & cells["umap_2"].notna()
    cells = cells[shown].reset_index(drop=True)
    if len(release["strata"]):
        places = release["assignments"][["donor_id", "visit", "stratum"]]
        cells = cells.merge(places, on=["donor_id", "visit"], how="left", validate="many_to_one")
        cells["stratum"] = cells["stratum"].fillna(NOT_ASSIGNED)
    cells = _with_people(cells, release).drop(columns=["donor_id", "visit"])
    for name in ("cohort_id", "cell_type", "cluster", "stratum", "condition", "disease"):
        if name in cells:
            cells[name] = as_text(cells[name]).astype("category")
    return Cells(cells, thin(cells, most=most))


def _with_people(cells: pd.DataFrame, release: Release) -> pd.DataFrame:
    """Add the condition at the visit and the donor's disease in words, where any is known."""
    visits = release["visits"][["donor_id", "visit", "condition"]]
    donors = release["donors"][["donor_id", DISEASE.name]]
    cells = cells.merge(visits, on=["donor_id", "visit"], how="left", validate="many_to_one")
    cells = cells.merge(donors, on="donor_id", how="left", validate="many_to_one")
    terms = as_text(cells.pop(DISEASE.name), missing=UNKNOWN)
    cells["disease"] = terms.map({term: in_words(term) for term in terms.unique()})
    cells["condition"] = as_text(cells["condition"], missing=UNKNOWN)
    known = [name for name in ("condition", "disease") if set(cells[name]) - {UNKNOWN, ""}]
    return cells.drop(columns=[name for name in ("condition", "disease") if name not in known])


def thin(cells: pd.DataFrame, *, most: int) -> pd.DataFrame:
    """At most `most` cells by `RULE`, ordered by digest, which is a random drawing order."""
    key = np.array([_digest(name) for name in cells["cell_id"]], dtype=np.uint64)
    cells = cells.assign(_key=key).sort_values(["_key", "cell_id"], ignore_index=True)
    if len(cells) > most:
        groups = cells.groupby(["cohort_id", "cell_type"], observed=True, sort=True)
        sizes = groups.size().to_numpy()
        rank = groups.cumcount().to_numpy()
        cells = cells[rank < quotas(sizes, most)[groups.ngroup().to_numpy()]]
    return cells.drop(columns="_key").reset_index(drop=True)


def quotas(sizes: np.ndarray, most: int) -> np.ndarray:
    """How many of each group are drawn; together at most `most`.

    >>> quotas(np.array([10, 1_000, 9_000]), 500)
    array([ 10,  87, 402])
    """
    least = np.minimum(sizes, min(MIN_OF_GROUP, most // max(len(sizes), 1)))
    left = sizes - least
    rest = most - int(least.sum())
    return np.asarray(np.minimum(sizes, least + left * rest // max(int(left.sum()), 1)))


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8).digest(), "big")
