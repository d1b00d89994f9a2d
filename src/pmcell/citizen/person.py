"""Find one person in the results of a study, without ever writing their id into a message."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pmcell.errors import UsageError
from pmcell.io.atomic import read_json
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import read_table
from pmcell.registry.intake.pseudonyms import load_key, pseudonym
from pmcell.schema.text import text_array


@dataclass(frozen=True)
class Person:
    """A donor of a cohort, as the results call them.

    Attributes
    ----------
    cohort_id, donor_id
        The cohort, and '<cohort>:<id>' with a pseudonym unless the cohort is open.
    folder
        Results of the cohort.
    """

    cohort_id: str
    donor_id: str
    folder: Path

    @cached_property
    def counts(self) -> CountsFile:
        """The counts of the cohort, in which the person's cells are."""
        return open_counts(self.folder / "intake.h5ad")

    @cached_property
    def rows(self) -> np.ndarray:
        """Positions of the person's cells in the count file, ascending."""
        donors = text_array(self.counts.read_obs()["donor_id"])
        return np.flatnonzero(donors == self.donor_id)

    @cached_property
    def samples(self) -> frozenset[str]:
        """Ids of the person's samples."""
        frame = read_table(self.folder / "samples.parquet", ["sample_id", "donor_id"])
        return frozenset(frame.loc[frame["donor_id"] == self.donor_id, "sample_id"])

    @cached_property
    def ids(self) -> frozenset[str]:
        """Ids of the person, their samples and their cells."""
        cells = text_array(self.counts.cell_ids)[self.rows].tolist()
        return frozenset({self.donor_id, *self.samples, *cells})


def find_person(results: Path | str, donor: str) -> Person:
    """Return the person called `donor`: '<cohort>:<id>', with the submitted id or the results' own.

    Raises
    ------
    UsageError
        There is no such cohort or donor, or a key is missing by which they are found.
    """
    cohort_id, _, name = donor.partition(":")
    folder = Path(results) / "cohorts" / cohort_id
    known = sorted(path.parent.name for path in Path(results).glob("cohorts/*/donors.parquet"))
    if not name or cohort_id not in known:
        raise UsageError(
            "DONOR must be COHORT:ID, with the id of donors.tsv or that of the results; the "
            f"cohorts with results in {results} are {', '.join(known) or 'none'}"
        )
    donors = set(read_table(folder / "donors.parquet", ["donor_id"])["donor_id"])
    access = read_json(folder / "intake.json")["registration"].get("access")
    if donor not in donors and access != "open":
        donor = f"{cohort_id}:{pseudonym(load_key(), 'donor', cohort_id, name)}"
    if donor not in donors:
        raise UsageError(
            f"DONOR must be a donor of {cohort_id}; there is none under this id in its results. "
            "They may have withdrawn, or the cohort was not taken in since they joined it"
        )
    return Person(cohort_id, donor, folder)
