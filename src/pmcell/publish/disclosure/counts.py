"""`cohort_counts`: who is in a cohort without open access, as numbers that tell of no one.

One property at a time, small groups merged into `other`; pairs of properties
with small cells withheld, and further ones so that totals do not give them
away; cells by cell type. What would tell too much beside an earlier release is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure.attack import CELL_TYPE, TIMES
from pmcell.publish.disclosure.counted import counted_people
from pmcell.publish.disclosure.donors import SINGLE, described_donors, donors_with_cells
from pmcell.publish.disclosure.known import KnownPeople, known_people
from pmcell.publish.disclosure.people import fingerprints
from pmcell.publish.disclosure.register_file import read_register, register_key, register_of
from pmcell.publish.disclosure.rules import Rules, is_dominated, rules_of
from pmcell.publish.disclosure.shown import shown_people
from pmcell.publish.disclosure.suppress import merge_small, suppress_list, suppress_table
from pmcell.publish.facts import Cohort, Facts
from pmcell.schema import COHORT_COUNTS, PROFILE_CELL_TYPE
from pmcell.schema.text import as_text, text_array

if TYPE_CHECKING:
    import pandas as pd

PAIRS = (
    ("disease_ontology_term_id", "sex_ontology_term_id"),
    ("disease_ontology_term_id", "age_group"),
)

Row = tuple[str, str, str, int | None, int | None]


def cohort_counts_frame(facts: Facts, atlas: Atlas) -> pd.DataFrame:
    """The table, for cohorts with at least as many donors as a shown group must have."""
    import pandas as pd

    rules = rules_of(facts)
    known = known_before(facts)
    parts = []
    for cohort in facts.withheld:
        donors = described_donors(facts, cohort)
        rows = pd.DataFrame(_rows(atlas, cohort, donors, rules), columns=COHORT_COUNTS.columns)
        if known and len(rows):
            counted = counted_people(rows, donors)
            told = dict(known.told(cohort.cohort_id, counted, rules.of(cohort.cohort_id)))
            rows = rows[~rows["grouping"].isin(told)]
        if len(rows):
            parts.append(rows)
    frame = pd.concat(parts) if parts else pd.DataFrame(columns=COHORT_COUNTS.columns)
    for name in ("n_donors", "n_cells"):
        frame[name] = frame[name].astype("Int64")
    return frame.reset_index(drop=True)


def known_before(facts: Facts) -> KnownPeople | None:
    """Earlier releases, for a study with cohorts without open access; None where there are none."""
    path = register_of(facts.results)
    if not facts.withheld or not read_register(path):
        return None
    donors = {cohort.cohort_id: donors_with_cells(cohort).index for cohort in facts.withheld}
    sets = {name: frozenset(map(str, found)) for name, found in donors.items()}
    prints = fingerprints(facts, register_key(path))
    return known_people(path, sets, prints, shown_people(facts))


def cells_by_type(atlas: Atlas, cohort_id: str) -> pd.DataFrame:
    """Cells of each donor (rows) and cell type (columns) of a cohort."""
    import pandas as pd

    cells = atlas.cells[atlas.cells["cohort_id"] == cohort_id]
    return pd.crosstab(cells["donor_id"], as_text(cells[PROFILE_CELL_TYPE.name]))


def _rows(atlas: Atlas, cohort: Cohort, donors: pd.DataFrame, rules: Rules) -> Iterator[Row]:
    least = rules.of(cohort.cohort_id)
    if len(donors) < least:
        return
    merged: dict[str, np.ndarray] = {}
    for column in SINGLE:
        if column in donors:
            labels = text_array(donors[column])
            merged[column] = merge_small(labels, least)
            for group, count in zip(*np.unique(merged[column], return_counts=True), strict=True):
                yield (cohort.cohort_id, column, str(group), int(count), None)
    for pair in PAIRS:
        if all(column in merged and len(set(merged[column])) > 1 for column in pair):
            yield from _pair_rows(cohort.cohort_id, pair, merged, least)
    yield from _type_rows(cohort.cohort_id, cells_by_type(atlas, cohort.cohort_id), rules)


def _pair_rows(
    cohort_id: str, pair: tuple[str, str], merged: dict[str, np.ndarray], least: int
) -> Iterator[Row]:
    import pandas as pd

    table = pd.crosstab(merged[pair[0]], merged[pair[1]])
    withheld = suppress_table(table.to_numpy(), least)
    if withheld is None:
        return
    for (i, first), (j, second) in (
        (left, right) for left in enumerate(table.index) for right in enumerate(table.columns)
    ):
        count = None if withheld[i, j] else int(table.iat[i, j])
        yield (cohort_id, TIMES.join(pair), f"{first}{TIMES}{second}", count, None)


def _type_rows(cohort_id: str, cells: pd.DataFrame, rules: Rules) -> Iterator[Row]:
    """Donors and cells of each type; few who lack a type tell as much as few who have it."""
    least = rules.of(cohort_id)
    values = cells.to_numpy()
    has = values > 0
    n_donors = has.sum(axis=0)
    n_lacking = len(cells) - n_donors

    def is_unsafe(columns: np.ndarray) -> bool:
        by_donor = values[:, columns].sum(axis=1)
        by_donor = by_donor[by_donor > 0]
        return bool(by_donor.size < least or is_dominated(by_donor, rules))

    unsafe = np.array([is_unsafe(np.array([j])) for j in range(values.shape[1])], bool)
    withheld = suppress_list(
        values.sum(axis=0),
        unsafe,
        lambda marked: not is_unsafe(np.flatnonzero(marked)),
        min_width=least,
    )
    for j, name in enumerate(cells.columns):
        few = n_donors[j] < least or 0 < n_lacking[j] < least
        yield (
            cohort_id,
            CELL_TYPE,
            str(name),
            None if few else int(n_donors[j]),
            None if withheld[j] else int(values[:, j].sum()),
        )
