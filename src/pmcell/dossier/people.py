"""Find the person: in a release, in a sealed package that its reader may open, or as mapped.

The rows of the person are all that leaves this module of individuals, besides the open
donors of the release, whom the person is compared with. An id that is not there is refused
without a word on which ids are: each is of a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.io.tables import empty_table
from pmcell.release import Release, open_release
from pmcell.release.parts import ReleaseTable
from pmcell.schema import UNKNOWN, Verdict, table
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

OPEN = "open"
READ: dict[str, tuple[str, ...]] = {
    "donors": (
        "donor_id",
        "cohort_id",
        "sex_ontology_term_id",
        "development_stage_ontology_term_id",
        "disease_ontology_term_id",
        "age_group",
    ),
    "visits": ("donor_id", "visit", "cohort_id", "visit_day", "condition", "n_cells"),
    "samples": (
        "sample_id",
        "donor_id",
        "visit",
        "batch_id",
        "assay_ontology_term_id",
        "tissue_ontology_term_id",
        "suspension_type",
        "n_cells_submitted",
        "n_cells",
    ),
    "qc": (
        "sample_id",
        "median_total_counts",
        "median_genes_detected",
        "median_share_mitochondrial",
    ),
    "composition": ("donor_id", "visit", "cell_type", "n_cells"),
    "assignments": (
        "donor_id",
        "visit",
        "stratum",
        "status",
        "probability",
        "conformal_set",
        "ood_p",
        "margin",
    ),
    "drivers": ("donor_id", "visit", "channel", "cell_type", "contribution"),
    "movement": (
        "donor_id",
        "visit",
        "previous_visit",
        "moved",
        "moved_by_chance",
        "p_value",
        "same_batch",
        "stratum",
        "previous_stratum",
    ),
    "followup": (
        "donor_id",
        "visit",
        "kind",
        "quantity",
        "previous_visit",
        "change",
        "change_unit",
        "change_limit",
        "noise_donors",
        "noise_source",
        "verdict",
    ),
    "measurements": (
        "donor_id",
        "loinc",
        "number",
        "variable",
        "visit",
        "day",
        "value",
        "unit",
        "source",
        "comparator",
    ),
    "duplicates": ("donor_id", "other_donor_id", "kind", "n_found"),
    "cohorts": ("cohort_id", "license", "data_use"),
    "strata": ("stratum", "n_donors", "description"),
}
"""What is read of each table, and no more: the releases of other versions have it too."""
OWN_TABLES = tuple(name for name in READ if name not in ("cohorts", "strata"))
"""Tables about individuals of which the person's rows are read."""
ASK_FOR_ROWS = (
    "Rows of such a cohort leave only encrypted to named people. If you are one of them: "
    "--package FOLDER names the sealed package (pmcell unseal --help), and the variables there "
    "your key."
)


@dataclass(frozen=True)
class Found:
    """The person's rows by table, the open people of the release, and what it says of itself."""

    release: Release
    own: dict[str, pd.DataFrame]
    donors: pd.DataFrame
    visits: pd.DataFrame
    samples: pd.DataFrame
    composition: pd.DataFrame
    strata: pd.DataFrame
    verdict: Verdict | None
    cohort: dict[str, Any]
    access: str
    how: str

    @property
    def donor_id(self) -> str:
        """The person's id."""
        return str(self.own["donors"]["donor_id"].iloc[0])


def find_person(release: Path, donor_id: str, *, package: Path | None = None) -> Found:
    """The rows of one person.

    Parameters
    ----------
    release
        Folder of a release.
    donor_id
        The person, '<cohort>:<donor>'.
    package
        A sealed package of the person's cohort, which the reader's key opens.

    Raises
    ------
    UsageError
        There is no such person, or the cohort's access is not open and there is no package.
    DataError
        The release is broken, or of another version than the package.
    """
    opened = open_release(release)
    cohort_id = donor_id.partition(":")[0]
    known = opened.manifest["cohorts"].get(cohort_id)
    if known is None:
        raise UsageError(_no_cohort(opened, donor_id))
    if package is None:
        if known["access"] != OPEN or not known["published"]:
            raise UsageError(_not_shown(cohort_id, known))
        donors = _rows_of(opened, "donors", donor_id)
        if donors.empty:
            raise UsageError(_no_donor(cohort_id, "this release"))
        own = {"donors": donors}
        own |= {name: _rows_of(opened, name, donor_id) for name in OWN_TABLES if name not in own}
        how = "rows of the release"
    else:
        own = _rows_of_package(opened, package, cohort_id, donor_id)
        how = "a sealed package, opened with its recipient's key"
    cohorts = _frame(opened, "cohorts")
    row = cohorts[cohorts["cohort_id"] == cohort_id].iloc[0].to_dict()
    return Found(opened, own, *reference_tables(opened), row, str(known["access"]), how)


def reference_tables(
    release: Release,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, Verdict | None]:
    """Donors, visits, samples and composition of the open cohorts, strata and their verdict."""
    shown = {
        name
        for name, item in release.manifest["cohorts"].items()
        if item["access"] == OPEN and item["published"]
    }
    donors = _frame(release, "donors")
    donors = donors[donors["cohort_id"].isin(shown)]
    people = set(donors["donor_id"])
    visits, samples, composition = (
        frame[frame["donor_id"].isin(people)]
        for frame in (_frame(release, name) for name in ("visits", "samples", "composition"))
    )
    strata = _frame(release, "strata")
    return donors, visits, samples, composition, strata, release.folder.verdict()


def _frame(release: Release, name: str) -> pd.DataFrame:
    if name not in release.tables:
        return empty_table(table(name))
    frame: pd.DataFrame = _named(release, name).to_pandas([*READ[name]])
    return frame


def _rows_of(release: Release, name: str, donor_id: str) -> pd.DataFrame:
    import pyarrow.dataset as ds

    if name not in release.tables:
        return empty_table(table(name))
    if name == "qc":
        samples = _rows_of(release, "samples", donor_id)["sample_id"]
        chosen = ds.field("sample_id").isin(samples.tolist())
    else:
        chosen = ds.field("donor_id") == donor_id
    frame: pd.DataFrame = _named(release, name).to_pandas([*READ[name]], filter=chosen)
    return frame


def _named(release: Release, name: str) -> ReleaseTable:
    """A table of the release that has what is read of it."""
    found: ReleaseTable = release.tables[name]
    _check_columns(found.dataset.schema.names, name)
    return found


def _check_columns(names: Iterable[str], name: str) -> None:
    missing = [column for column in READ[name] if column not in {*names}]
    if missing:
        raise DataError(
            f"table {name!r} must have the columns {', '.join(READ[name])}; {', '.join(missing)} "
            "missing. Write the release again, or use the pmcell that wrote it.",
            reason="missing_column",
        )


def _rows_of_package(
    release: Release, package: Path, cohort_id: str, donor_id: str
) -> dict[str, pd.DataFrame]:
    from pmcell.publish.sealed.unsealed import open_controlled

    opened = open_controlled(package)
    if opened.cohort_id != cohort_id:
        raise UsageError(
            f"--package must be of the donor's cohort, {cohort_id}; it is of {opened.cohort_id}"
        )
    version = str(opened.manifest.get("release_version", UNKNOWN))
    if version != str(release.manifest["version"]):
        raise DataError(
            f"--package must be of the same run as the release, version "
            f"{release.manifest['version']}; it is of version {version}. Ask for the package of "
            "this release.",
            reason="release_version",
        )
    own: dict[str, pd.DataFrame] = {}
    for name in OWN_TABLES:
        if f"tables/{name}.parquet" not in opened.files:
            own[name] = empty_table(table(name))
            continue
        frame = opened.table(name)
        _check_columns(frame.columns, name)
        if name == "qc":
            frame = frame[frame["sample_id"].isin(own["samples"]["sample_id"])]
        else:
            frame = frame[frame["donor_id"] == donor_id]
        own[name] = frame.reset_index(drop=True)
        if name == "donors" and own[name].empty:
            raise UsageError(_no_donor(cohort_id, "the package"))
    return own


def _no_donor(cohort_id: str, where: str) -> str:
    return (
        f"DONOR must be the id of a donor of cohort {cohort_id} in {where}; there is none with the "
        "id that you gave. Ids of others are not proposed: each is of a person. Check yours "
        "against what the cohort's steward gave you."
    )


def _no_cohort(release: Release, donor_id: str) -> str:
    cohort_id, colon, _ = donor_id.partition(":")
    there = ", ".join(sorted(release.manifest["cohorts"]))
    if not colon:
        return (
            "DONOR must be the id of a donor, '<cohort>:<donor>'; what you gave names no cohort. "
            f"Cohorts of this release: {there}"
        )
    hint = did_you_mean(cohort_id, release.manifest["cohorts"])
    return (
        f"DONOR must be of a cohort of this release; there is no cohort {cohort_id!r}. {hint} "
        f"Cohorts: {there}"
    )


def _not_shown(cohort_id: str, known: dict[str, Any]) -> str:
    if known["status"] == "quarantined":
        return (
            f"cohort {cohort_id} was quarantined, so nothing was computed of its donors. The table "
            "cohorts says why; mend it and run again."
        )
    return (
        f"access to cohort {cohort_id} is {known['access']}, so this release has no row of a donor "
        f"of it. {ASK_FOR_ROWS}"
    )
