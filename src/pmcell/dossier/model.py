"""What a dossier says of one person, as values: page, FHIR bundle and Phenopacket are made of it.

No field names another person: a group is told by its size and by rounded quantiles of at
least `Group.least` people.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RESEARCH, DEVICE = "research", "device"
MODES = (RESEARCH, DEVICE)

REFERENCE_INTERVAL = "reference interval"
COMPARISON_GROUP = "comparison group"
TOO_FEW = "too few to compare"

CHANGED = "changed"
"""Verdict of the table `followup`: more than repeats vary."""

BELOW, WITHIN, ABOVE = "below", "within", "above"


@dataclass(frozen=True)
class Interval:
    """A range with both ends."""

    low: float
    high: float


@dataclass(frozen=True)
class GroupRange:
    """How a value is distributed in the group: quantiles, as deep as the number of people allows.

    Attributes
    ----------
    kind
        `REFERENCE_INTERVAL`, `COMPARISON_GROUP` or `TOO_FEW`.
    n
        People of the group in whom the value is known.
    median, quartiles
        None where there are too few people.
    nine_of_ten
        From the 5th to the 95th percentile.
    reference
        From the 2.5th to the 97.5th percentile; of a reference interval only.
    reference_low, reference_high
        90 % confidence interval of each of its ends.
    """

    kind: str
    n: int
    median: float | None = None
    quartiles: Interval | None = None
    nine_of_ten: Interval | None = None
    reference: Interval | None = None
    reference_low: Interval | None = None
    reference_high: Interval | None = None


@dataclass(frozen=True)
class Share:
    """One cell type of the person at the visit, and where that stands in the group.

    Attributes
    ----------
    cell_type, term
        Name and Cell Ontology id, or `unknown`.
    n_cells, n_cells_visit
        Cells of the type, and of the visit; None where the type was not looked for.
    share, counting
        Their ratio, and its 95 % interval from counting cells (Wilson).
    position
        `BELOW`, `WITHIN` or `ABOVE` what 9 of 10 people of the group have; '' where it is
        not told.
    is_sure
        Whether counting other cells of the same person could hardly change the position.
    against_reference
        The same against the reference interval.
    flag
        L, N or H, as `against_reference` is; device mode only, else ''.
    """

    cell_type: str
    term: str
    n_cells: int | None
    n_cells_visit: int
    share: float | None
    counting: Interval | None
    group: GroupRange
    position: str = ""
    is_sure: bool = False
    against_reference: str = ""
    flag: str = ""


@dataclass(frozen=True)
class State:
    """How far the state of a cell type lies from the group's mean, in the frozen space.

    `distance` is in units of the group's median distance from the mean of its others;
    `group` is the distribution of the same number in the group.
    """

    cell_type: str
    distance: float | None
    group: GroupRange
    position: str = ""


@dataclass(frozen=True)
class Step:
    """One property by which the group was matched, or why it was not."""

    what: str
    value: str
    used: bool
    why: str
    n: int


@dataclass(frozen=True)
class Group:
    """The people compared with."""

    n: int
    least: int
    steps: tuple[Step, ...]
    cohorts: tuple[str, ...]
    in_words: str


@dataclass(frozen=True)
class Part:
    """One contribution to a place among strata."""

    channel: str
    cell_type: str
    contribution: float
    share: float


@dataclass(frozen=True)
class Place:
    """The person's place among the strata at the visit; `stratum` '' where there is none."""

    status: str
    stratum: str
    description: str
    n_donors: int | None
    probability: float | None
    conformal_set: tuple[str, ...] | None
    coverage: float | None
    ood_p: float | None
    margin: float | None
    parts: tuple[Part, ...]
    why_not: str


@dataclass(frozen=True)
class Repeats:
    """A change held against the noise of repeats, as the table `followup` has it.

    `change` and `limit` (the reference change value) are in `unit`; `n_donors` are those whom
    the noise comes from, None where there are no repeats.
    """

    verdict: str
    change: float
    limit: float | None
    unit: str
    source: str
    n_donors: int | None

    @property
    def is_judged(self) -> bool:
        """Whether there were repeats to hold the change against."""
        return self.limit is not None


@dataclass(frozen=True)
class Change:
    """Change of one share since the visit before; `counting` is the 95 % interval of counting."""

    cell_type: str
    before: float
    now: float
    difference: float
    counting: Interval
    is_more_than_counting: bool
    repeats: Repeats | None = None

    @property
    def is_clear(self) -> bool:
        """Whether it is more than repeats vary; where they are not known, than counting does."""
        if self.repeats is not None and self.repeats.is_judged:
            return self.repeats.verdict == CHANGED
        return self.is_more_than_counting


@dataclass(frozen=True)
class Movement:
    """Change of the whole profile since the visit before, against resampling of the cells."""

    previous_visit: str
    moved: float
    moved_by_chance: float | None
    p_value: float | None
    same_batch: bool
    stratum: str
    previous_stratum: str


@dataclass(frozen=True)
class Measurement:
    """One measured value, such as a blood test: LOINC code, value, UCUM unit.

    `comparator` is <, <=, >= or > where the value is only a limit of the method.
    """

    visit: str
    day: float | None
    code: str
    name: str
    value: float
    unit: str
    source: str
    comparator: str = ""


@dataclass(frozen=True)
class Sample:
    """One sample of the visit and its quality; None where that is not known of the sample."""

    sample_id: str
    tissue: str
    tissue_term: str
    assay: str
    assay_term: str
    suspension: str
    batch_id: str
    n_cells_submitted: int | None
    n_cells: int | None
    median_total_counts: float | None
    median_genes_detected: float | None
    median_share_mitochondrial: float | None


@dataclass(frozen=True)
class Visit:
    """One visit of the person."""

    visit: str
    day: float | None
    condition: str
    n_cells: int


@dataclass(frozen=True)
class Person:
    """What is known of the person; `unknown` where it is not."""

    donor_id: str
    cohort_id: str
    sex: str
    sex_term: str
    age: str
    stage_term: str
    disease: str
    disease_term: str


@dataclass(frozen=True)
class Source:
    """The release that the person is compared with, and how the person's data were reached.

    `licence` and `data_use` (DUO terms in words) are those of the person's cohort.
    """

    title: str
    version: str
    content_sha256: str
    pmcell: str
    schema_version: str
    licence: str
    data_use: tuple[str, ...]
    access: str
    publisher: str
    n_donors: int
    n_cohorts: int
    how: str


@dataclass(frozen=True)
class Claim:
    """One figure of a validation."""

    what: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Validation:
    """Why the page may interpret: an in-house device, validated for this release."""

    device: str
    institution: str
    intended_use: str
    valid_from: str
    valid_until: str
    signer: str
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Dossier:
    """All that is said of one person at one visit.

    `n_cells_unsure` are the cells of the visit whose kind could not be told for sure; `doubts` say
    why some of the cells may not be the person's.
    """

    mode: str
    date: str
    person: Person
    source: Source
    visit: Visit
    visits: tuple[Visit, ...]
    samples: tuple[Sample, ...]
    group: Group
    shares: tuple[Share, ...]
    states: tuple[State, ...]
    place: Place
    previous_visit: str
    changes: tuple[Change, ...]
    movement: Movement | None
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...]
    unsaid: tuple[str, ...]
    validation: Validation | None = None
    reference_facts: tuple[str, ...] = field(default=())
    n_cells_unsure: int = 0
    doubts: tuple[str, ...] = field(default=())


def percent_value(share: float) -> float:
    """A share as the percentage that every document prints: two decimals below 1 %, else one.

    >>> percent_value(0.12345), percent_value(0.004321), percent_value(0.0)
    (12.3, 0.43, 0.0)
    """
    percent = 100 * share
    return round(percent, 2 if abs(percent) < 1 else 1)
