"""Nobody is added who is in the release already, under whatever name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pmcell.errors import DataError
from pmcell.publish.add.previous import WHOLE, Previous
from pmcell.publish.facts import Cohort
from pmcell.registry.duplicates.find import SHARED_CELLS, find_duplicates
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd


def require_strangers(previous: Previous, added: Sequence[Cohort]) -> pd.DataFrame:
    """Compare the donors of the added cohorts with those of the release, by their cells.

    Returns
    -------
    pandas.DataFrame
        Rows of table `duplicates` about donors of the added cohorts alone.

    Raises
    ------
    DataError
        A donor of theirs shares cells with one of the release. How many is told, not who.
    """
    earlier = [item for item in previous.cohorts if item.published]
    found = find_duplicates({item.cohort_id: item.folder for item in (*earlier, *added)})
    prefixes = tuple(item.prefix for item in added)
    is_new = as_text(found["donor_id"]).str.startswith(prefixes)
    is_other_new = as_text(found["other_donor_id"]).str.startswith(prefixes)
    known = found[(is_new != is_other_new) & (found["kind"] == SHARED_CELLS)]
    if len(known):
        names = known["donor_id"].where(is_new[known.index], known["other_donor_id"])
        cohorts = sorted({str(name).partition(":")[0] for name in names})
        raise DataError(
            f"nobody may be added who is in release {previous.version!r} already; "
            f"{names.nunique()} donors of {', '.join(cohorts)} have cells in common with donors "
            "of it. Leave them out (exclude in cohort.yaml; `pmcell duplicates` over these cohorts "
            f"names them). {WHOLE}",
            reason="known_people",
        )
    return found[is_new & is_other_new]
