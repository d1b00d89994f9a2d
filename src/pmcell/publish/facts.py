"""What is to be released: cohorts with their verdicts, parameters, and who may be shown.

Everything that a writer of this package needs to know besides the numbers
comes from here, so that README, crate and manifest cannot disagree.
"""

from __future__ import annotations

import datetime
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.verdict import read_verdict
from pmcell.publish.provenance_paths import without_places
from pmcell.publish.sample_counts import count_cells
from pmcell.schema import NO_PROGRAMME, UNKNOWN, Verdict
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReleaseSettings
from pmcell.settings.table import SETTINGS
from pmcell.spelling import plural
from pmcell.step import files_of
from pmcell.steps import BY_NAME

if TYPE_CHECKING:
    import pandas as pd

ACCEPTED = ("ok", "warned")
PREPARED_BY = ("release_plan", "cells", "reference")
"""Steps that write parts of a release ahead of it; what they did not write, it writes itself."""


@dataclass(frozen=True)
class Cohort:
    """One registered cohort, its verdict and the facts of its registration."""

    cohort_id: str
    folder: Path
    status: str
    reason: str
    message: str
    intake: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def sample_counts(self) -> pd.DataFrame:
        """Samples (index) with donor_id, visit, and the cells submitted and passing QC."""
        return count_cells(self.folder)

    @classmethod
    def judged(cls, folder: Path, verdict: Mapping[str, Any], intake: Mapping[str, Any]) -> Cohort:
        """The cohort of a results folder, with its verdict and what intake said."""
        reason, message = (str(verdict.get(key) or "") for key in ("reason", "message"))
        return cls(folder.name, folder, str(verdict["status"]), reason, message, intake)

    @property
    def registration(self) -> Mapping[str, Any]:
        """What the steward wrote in cohort.yaml."""
        return self.intake.get("registration") or {}

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What intake measured."""
        return self.intake.get("metrics") or {}

    @property
    def accepted(self) -> bool:
        """Whether the merged analysis uses the cohort."""
        return self.status in ACCEPTED

    @property
    def access(self) -> str:
        """open, registered or controlled; what nobody declared open is controlled."""
        return str(self.registration.get("access") or "controlled")

    @property
    def is_open(self) -> bool:
        """Whether rows about single donors and cells may be shown to anyone."""
        return self.access == "open"

    @property
    def published(self) -> bool:
        """Whether the cohort's cells and donors are in the release."""
        return self.accepted and self.is_open

    @property
    def withheld(self) -> bool:
        """Whether the cohort took part, but its cells and donors may not be shown."""
        return self.accepted and not self.is_open

    @property
    def prefix(self) -> str:
        """What every global id of the cohort starts with; also its place in sorted tables."""
        return f"{self.cohort_id}:"

    def text(self, *keys: str) -> str:
        """A fact of the registration, `unknown` where nobody supplied it."""
        value: Any = self.registration
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return str(value) if value not in (None, "") else UNKNOWN


@dataclass(frozen=True)
class Revision:
    """The earlier release that a release revises by adding cohorts, with its own identifiers."""

    version: str
    content_sha256: str
    added: tuple[str, ...]
    doi: str = ""
    url: str = ""


@dataclass(frozen=True)
class Facts:
    """All that is known before the first file is written; cohorts are in the order of their ids.

    `revises` is the release to which cohorts are added; None for a release that is made whole.
    `made` holds tables that several writers ask for, by name: what was read once is not read again.
    """

    results: Path
    cohorts: tuple[Cohort, ...]
    options: ReleaseSettings
    parameters: Mapping[str, Any]
    strata: Verdict
    revises: Revision | None = None
    made: dict[str, pd.DataFrame] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def published(self) -> tuple[Cohort, ...]:
        """Cohorts whose cells and donors are in the release."""
        return tuple(cohort for cohort in self.cohorts if cohort.published)

    @property
    def withheld(self) -> tuple[Cohort, ...]:
        """Accepted cohorts whose cells and donors may not be shown."""
        return tuple(cohort for cohort in self.cohorts if cohort.withheld)

    @property
    def has_strata(self) -> bool:
        """Whether the existence test allows strata labels to be published."""
        return self.strata.has_strata

    @property
    def title(self) -> str:
        """The configured title, or one made from the programmes."""
        if self.options.title:
            return self.options.title
        names = sorted(
            {cohort.text("programme") for cohort in self.published} - {UNKNOWN, NO_PROGRAMME}
        )
        about = f" ({', '.join(names)})" if names else ""
        return f"Cells, donors and strata of {plural(len(self.published), 'cohort')}{about}"


def load_facts(
    results: Path,
    *,
    cohort_ids: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    require_published: bool = True,
) -> Facts:
    """Read verdicts and registrations below `results`; `FaultsError` names every missing file.

    `DataError` when no cohort is to be published, unless `require_published` is off.
    """
    facts = read_facts(results, cohort_ids=cohort_ids, config=config)
    if require_published and not facts.published:
        states = ", ".join(
            f"{item.cohort_id} ({item.status}, {item.access})" for item in facts.cohorts
        )
        raise DataError(
            "a release must hold at least one accepted cohort with open access; "
            f"found {states or 'no cohort'}. "
            "Correct a cohort (its status.json says how) or declare one open.",
            reason="nothing_to_release",
        )
    _require_files(facts)
    return facts


def read_facts(
    results: Path,
    *,
    cohort_ids: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
) -> Facts:
    """Read verdicts and registrations below `results`, whatever else is there."""
    config = config or {}
    return Facts(
        results=results,
        cohorts=read_cohorts(results, cohort_ids),
        options=checked_section(ReleaseSettings, config.get("release")),
        parameters={
            key: without_places(value)
            for key, value in sorted(config.items())
            if key in SETTINGS and isinstance(value, Mapping) and key != "release"
        },
        strata=strata_verdict(results),
    )


def read_cohorts(results: Path, cohort_ids: Sequence[str] = ()) -> tuple[Cohort, ...]:
    """The cohorts of the atlas, or those named, with their verdicts and registrations."""
    verdicts = _verdicts(results, cohort_ids)
    return tuple(_cohort(results, name, verdicts[name]) for name in sorted(verdicts))


def publication_date(options: ReleaseSettings) -> tuple[str, bool]:
    """The day of publication (ISO 8601) and whether it was given rather than taken from the clock.

    `release.date` of the configuration, else SOURCE_DATE_EPOCH. Without them today in UTC, which
    is when the release is made: whether it is ever published nobody knows then, so documents
    call it the day of creation, but for the crate, which must have `datePublished`. The day
    is in no content digest.
    """
    if options.date:
        return options.date, True
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch:
        if not epoch.isdigit():
            raise UsageError(f"SOURCE_DATE_EPOCH must be seconds since 1970, got {epoch!r}")
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date().isoformat(), True
    return datetime.datetime.now(datetime.UTC).date().isoformat(), False


def _verdicts(results: Path, cohort_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    verdicts: dict[str, Mapping[str, Any]] = dict(_read(results / "atlas" / "cohorts.json"))
    if not cohort_ids:
        return verdicts
    unknown = sorted(set(cohort_ids) - set(verdicts))
    if unknown:
        raise UsageError(
            f"--cohort must name a cohort of {results / 'atlas' / 'cohorts.json'}; "
            f"{', '.join(unknown)} is not there, {', '.join(sorted(verdicts))} are"
        )
    # The atlas was made from all accepted cohorts: its sums would still hold one left out here.
    left_out = sorted(
        name
        for name, verdict in verdicts.items()
        if name not in cohort_ids and verdict["status"] in ACCEPTED
    )
    if left_out:
        raise UsageError(
            f"--cohort must name every accepted cohort of the atlas; {', '.join(left_out)} is "
            "missing. To leave one out, name the others in `cohorts` of the config and rerun."
        )
    return {name: verdicts[name] for name in cohort_ids}


def _cohort(results: Path, name: str, verdict: Mapping[str, Any]) -> Cohort:
    folder = results / "cohorts" / name
    return Cohort.judged(folder, verdict, _read(folder / "intake.json"))


def strata_verdict(results: Path) -> Verdict:
    """What strata/strata.json says of the strata; `DataError` where it is not there."""
    path = results / "strata" / "strata.json"
    try:
        return read_verdict(path)
    except FileNotFoundError as error:
        raise _missing(path) from error


def _missing(path: Path) -> DataError:
    return DataError(
        f"{path} must exist before a release is written; there is no such file. "
        "Run the steps before it.",
        reason="missing_intermediate",
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = read_json(path)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except ValueError as error:
        raise DataError(f"{path} must be JSON; {error}", reason="corrupt_intermediate") from error
    if not isinstance(value, Mapping):
        raise DataError(f"{path} must hold a JSON object, found {type(value).__name__}")
    return value


def _require_files(facts: Facts) -> None:
    accepted = [cohort.cohort_id for cohort in facts.cohorts if cohort.accepted]
    own = {path for name in PREPARED_BY for path in BY_NAME[name].outputs}
    needed = [path for path in BY_NAME["release"].inputs if path not in own]
    wanted = [facts.results / name for name in files_of(needed, accepted)]
    faults = [
        Fault(
            file=str(path),
            must="the step before must have written it",
            found="no such file",
            fix="Run the workflow, or the step, again.",
            reason="missing_intermediate",
        )
        for path in wanted
        if not path.is_file()
    ]
    if faults:
        raise FaultsError(faults)
