"""Strengths, weaknesses, opportunities and threats of programmes and regions, from facts alone.

Every statement is a number or a name that stands in a table of the release, and says in which;
where nothing of a kind holds there is no statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmcell.gaps.power import POWERED
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

MAX_SHARE_OF_ONE = 0.5
"""Share of the donors that one cohort holds above which the others can hardly confirm it."""
MAX_LISTED = 3
MISSING = "suppressed"


@dataclass(frozen=True)
class Statement:
    """A sentence, and the tables that hold what it says."""

    text: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Swot:
    """What is known of the cohorts of one programme and region."""

    programme: str
    region: str
    strengths: tuple[Statement, ...]
    weaknesses: tuple[Statement, ...]
    opportunities: tuple[Statement, ...]
    threats: tuple[Statement, ...]

    @property
    def anchor(self) -> str:
        """The id of its section on a page."""
        return f"swot-{self.programme}-{self.region}"


def swot_of(
    tables: Mapping[str, pd.DataFrame], policy: Mapping[str, Mapping[str, str]]
) -> list[Swot]:
    """Return one for each programme and region that a registered cohort names.

    Parameters
    ----------
    tables
        `cohorts`, `donors`, `visits`, `samples`, `gaps` and `donor_groups` of a release.
    policy
        By cohort what its steward registered: `access_body`, `legal_basis`, `retention`,
        `withdrawal_policy`, `permits`; absent where unknown.
    """
    cohorts = tables["cohorts"].fillna({"region": UNKNOWN, "programme": UNKNOWN})
    found = []
    for (programme, region), own in cohorts.groupby(["programme", "region"], sort=True):
        place = _Place(str(programme), str(region), own, cohorts, tables, policy)
        found.append(
            Swot(
                place.programme,
                place.region,
                tuple(_strengths(place)),
                tuple(_weaknesses(place)),
                tuple(_opportunities(place)),
                tuple(_threats(place)),
            )
        )
    return found


@dataclass(frozen=True)
class _Place:
    programme: str
    region: str
    cohorts: pd.DataFrame
    all_cohorts: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    policy: Mapping[str, Mapping[str, str]]

    def of(self, table: str) -> pd.DataFrame:
        """Rows of the cohorts of this place."""
        frame = self.tables[table]
        return frame[frame["cohort_id"].isin(self.cohorts["cohort_id"])]

    @property
    def accepted(self) -> pd.DataFrame:
        return self.cohorts[self.cohorts["status"] != "quarantined"]

    @property
    def groups(self) -> pd.DataFrame:
        """Groups of donors of the programme; donors' own regions may differ from the cohort's."""
        groups = self.tables["donor_groups"]
        regions = set(self.of("donors")["region"])
        return groups[(groups["programme"] == self.programme) & groups["region"].isin(regions)]


def _strengths(place: _Place) -> Iterator[Statement]:
    donors = place.of("donors")
    donors = donors[donors["n_cells"] > 0]
    if len(donors):
        n_cells, n_visits = int(donors["n_cells"].sum()), int(donors["n_visits"].sum())
        yield Statement(
            f"{plural(len(donors), 'donor')}, {plural(n_visits, 'visit')} and "
            f"{plural(n_cells, 'cell')} can be used by anyone.",
            ("donors",),
        )
        n_followed = int((donors["n_visits"] > 1).sum())
        if n_followed:
            yield Statement(
                f"{plural(n_followed, 'donor')} of {len(donors)} have more than one visit.",
                ("donors",),
            )
    sources = _sources(place.accepted)
    if len(sources) > 1:
        yield Statement(
            f"{len(sources)} sources of one programme and region can confirm each other.",
            ("cohorts",),
        )
    powered = place.groups[place.groups["power"] >= POWERED]
    if len(powered):
        yield Statement(
            f"{plural(len(powered), 'group')} of {len(place.groups)} have enough donors for the "
            "stated effect.",
            ("donor_groups",),
        )


def _weaknesses(place: _Place) -> Iterator[Statement]:
    for row in place.cohorts[place.cohorts["status"] == "quarantined"].itertuples():
        yield Statement(f"{row.cohort_id} could not be used: {row.reason}.", ("cohorts",))
    gaps = place.of("gaps")
    whole = gaps[gaps["n_missing"] == gaps["n_rows"]]
    for (table, column, why), own in whole.groupby(
        ["table", "column", "why_it_matters"], sort=True
    ):
        yield Statement(
            f"{table}.{column} is unknown throughout {_listed(own['cohort_id'])}. {why}",
            ("gaps",),
        )
    weak = place.groups[place.groups["power"] < POWERED]
    if len(weak):
        yield Statement(
            f"{plural(len(weak), 'group')} of {len(place.groups)} have too few donors for the "
            "stated effect.",
            ("donor_groups",),
        )


def _opportunities(place: _Place) -> Iterator[Statement]:
    groups = place.groups[place.groups["n_donors_needed"].notna()]
    lacking = (groups["n_donors_needed"] - groups["n_donors"]).astype(float)
    near = groups.assign(lacking=lacking)[lacking > 0].sort_values("lacking", kind="stable")
    for row in near.head(MAX_LISTED).itertuples():
        yield Statement(
            f"{plural(int(row.lacking), 'more donor')} would be enough for the group "
            f"{row.condition}, {row.age_band}, sex {row.sex_ontology_term_id}, region {row.region} "
            f"({row.n_donors} now).",
            ("donor_groups",),
        )
    elsewhere = place.all_cohorts[
        (place.all_cohorts["programme"] == place.programme)
        & (place.all_cohorts["region"] != place.region)
        & (place.all_cohorts["status"] != "quarantined")
    ]
    if len(elsewhere) and place.programme != UNKNOWN:
        yield Statement(
            f"The programme has {plural(len(elsewhere), 'cohort')} in other regions: "
            f"{_listed(elsewhere['region'])}.",
            ("cohorts",),
        )
    for row in place.accepted[place.accepted["access"] != "open"].itertuples():
        body = place.policy.get(str(row.cohort_id), {}).get("access_body")
        number = (
            MISSING if row.n_donors is None or row.n_donors != row.n_donors else int(row.n_donors)
        )
        asked = f"access is decided by {body}" if body else "who decides on access is unknown"
        yield Statement(
            f"{row.cohort_id} ({row.access}; donors: {number}) took part, unshown; {asked}.",
            ("cohorts",),
        )


def _sources(cohorts: pd.DataFrame) -> dict[str, list[str]]:
    """Cohorts by where their data come from; one whose source is unknown stands by itself."""
    found: dict[str, list[str]] = {}
    for row in cohorts.itertuples():
        known = [str(name) for name in (row.source_accession, row.source_doi)]
        source = next((name for name in known if name not in (UNKNOWN, "", "None")), row.cohort_id)
        found.setdefault(str(source), []).append(str(row.cohort_id))
    return found


def _threats(place: _Place) -> Iterator[Statement]:
    for source, names in sorted(_sources(place.accepted).items()):
        if len(names) > 1:
            yield Statement(
                f"{_listed(names)} are of one source ({source}): they do not confirm each other.",
                ("cohorts",),
            )
    accepted = as_text(place.accepted["cohort_id"])
    for key, name in (
        ("legal_basis", "Legal basis"),
        ("retention", "Retention"),
        ("withdrawal_policy", "Withdrawal policy"),
    ):
        unknown = [cohort for cohort in accepted if not place.policy.get(cohort, {}).get(key)]
        if unknown:
            yield Statement(f"{name} is unknown for {_listed(unknown)}.", ("dcat.ttl",))
    donors = place.of("donors")
    of_cohort = donors[donors["n_cells"] > 0].groupby("cohort_id").size()
    if len(of_cohort) and of_cohort.max() > MAX_SHARE_OF_ONE * of_cohort.sum():
        name = str(of_cohort.idxmax())
        yield Statement(
            f"{name} holds {int(of_cohort.max())} of {int(of_cohort.sum())} open donors: what is "
            "found may be its own.",
            ("donors",),
        )
    samples = place.of("samples")
    for cohort, own in samples[samples["n_cells"] > 0].groupby("cohort_id", sort=True):
        by_batch = own.groupby("batch_id")["condition"].nunique()
        if own["condition"].nunique() > 1 and by_batch.max() == 1:
            yield Statement(
                f"In {cohort} every batch has one condition: they cannot be told apart.",
                ("samples",),
            )


def _listed(names: object) -> str:
    return ", ".join(sorted({str(name) for name in names}))  # type: ignore[attr-defined]
