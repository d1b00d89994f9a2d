"""Look through a person's package for anybody else before it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from pmcell.citizen.person import Person
from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.scan import scan
from pmcell.errors import DataError, Fault, FaultsError
from pmcell.io.tables import read_table
from pmcell.registry.duplicates.find import DOUBTS
from pmcell.schema.text import text_array

MIN_BARE = 6
"""Signs that an id without its cohort must have to be looked for."""
REPORT = "Report this: nothing was written."


def other_ids(results: Path, person: Person) -> frozenset[str]:
    """Return ids of all other donors and samples, and of others' cells in the person's cohort.

    Ids of donors and samples also stand without their cohort, where they are long enough to be
    nothing else. An id that is a part of one of the person's own is left out: it would be found
    in it.
    """
    found: set[str] = set()
    for path in sorted(results.glob("cohorts/*/samples.parquet")):
        frame = read_table(path, ["sample_id", "donor_id"])
        found |= {*frame["sample_id"], *frame["donor_id"]}
        found |= set(read_table(path.with_name("donors.parquet"), ["donor_id"])["donor_id"])
    bare = {name.partition(":")[2] for name in found}
    found |= {name for name in bare if len(name) >= MIN_BARE}
    found |= set(text_array(person.counts.cell_ids).tolist())
    own = {part for name in person.ids for part in _parts(name)}
    return frozenset(found - own)


def _parts(name: str) -> Iterator[str]:
    """Every part of an id that begins and ends beside a sign that is no letter or digit."""
    ends = {0, len(name)}
    for sign in re.finditer(r"[^A-Za-z0-9]", name):
        ends |= set(sign.span())
    for begin, end in combinations(sorted(ends), 2):
        yield name[begin:end]


def require_alone(folder: Path, others: frozenset[str]) -> None:
    """Raise `FaultsError` for every file that names somebody else; the message names nobody.

    The removal scan looks: names, values, attributes and metadata, packed and embedded data.
    What it cannot read is a fault, too.
    """
    report = scan([folder], Needles(dict.fromkeys(others, "id")), base=folder)
    must = "must be about one person alone"
    faults = [
        Fault(file, must, f"an {what} of somebody else in {place}", REPORT, reason="other_people")
        for file, place, what in report.hits
    ]
    faults += [
        Fault(file, "must be readable by the scan", why, REPORT, reason="other_people")
        for file, why in report.unread
    ]
    if faults:
        raise FaultsError(faults)


def require_own_cells(path: Path, person: Person) -> None:
    """Raise `DataError` unless an h5ad holds the person's cells, count by count, and no others."""
    import anndata as ad
    import numpy as np

    written = ad.read_h5ad(path)
    own = text_array(person.counts.cell_ids)[person.rows]
    expected = person.counts.read_rows(person.rows)
    is_same = written.obs_names.tolist() == own.tolist() and written.shape == expected.shape
    if not is_same or (written.X.astype(np.int64) != expected.astype(np.int64)).nnz:
        raise DataError(
            f"{path.name} must hold the cells of one person as they were taken in; it does not. "
            "Report this: nothing was written.",
            reason="other_people",
        )


def require_one_person(results: Path, person: Person) -> None:
    """Raise `DataError` where the step `duplicates` doubts that the cells are the person's."""
    path = results / "atlas" / "duplicates.parquet"
    if not path.is_file():
        return
    rows = read_table(path, ["donor_id", "other_donor_id", "kind"])
    is_own = (rows[["donor_id", "other_donor_id"]] == person.donor_id).any(axis=1)
    kinds = set(rows.loc[is_own, "kind"])
    if kinds:
        raise DataError(
            "a package must be of one person. "
            f"{' '.join(text for kind, text in DOUBTS.items() if kind in kinds)} Ask the "
            "laboratory; where all of the cells are the person's, as after a transplant of blood "
            "stem cells, say --surely-theirs.",
            reason="whose_cells",
        )
