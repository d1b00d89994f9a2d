"""The verdict on strata: what `strata.json` says, every key with its sentence and what it tells.

The strata step writes all keys but `withheld_by_access`. A release holds the same file: where
a cohort is withheld, keys are left out by what they tell of donors (`publish/disclosure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pmcell.schema.documents import fact, facts_of, json_schema, parse, plain

FILE = "strata.json"

STRATA = "strata"
"""The decision under which labels are published."""

NO_COLUMN = "no column of the profiles of donors"
"""Why a covariate was not tested that nobody handed over; other tables may hold it."""

RESULT = "result"
"""Words, settings, and statistics over all donors."""
DONORS = "donors"
"""A number of donors: left out where it would tell how many withheld donors were left out."""
COUNTS = "counts"
"""Numbers of visits or pairs, and of single strata: left out once a cohort is withheld."""
BY_GROUP = "by_group"
"""Results of single groups of donors, or why there are none: a rule of its own protects it."""

MEANING = {
    RESULT: "Words, settings, and statistics over all donors: released.",
    DONORS: "A number of donors: suppressed where it would reveal a few donors who are not published.",
    COUNTS: "Visits, pairs of donors, single strata: suppressed once a cohort is not published.",
    BY_GROUP: "Results of groups of donors, and reasons that count them: by a rule of its own.",
}


@dataclass(frozen=True)
class Confounding:
    """How closely the candidate strata follow the technical factor that they follow most."""

    v: float = fact("Bias-corrected Cramér's V; 0 none, 1 identical.", tells=RESULT, required=True)
    p: float = fact("Permutation p of the chi-square.", tells=RESULT, required=True)
    factor: str | None = fact("batch, cohort or assay; batch where absent.", tells=RESULT)


@dataclass(frozen=True)
class Existence:
    """The test whether the donors fall into strata at all."""

    n_null: int | None = fact("Draws of each null model.", tells=RESULT)
    alpha: float | None = fact("Level of the test.", tells=RESULT)
    seed: int | None = fact("Seed of the draws.", tells=RESULT)
    n_donors: int | None = fact("Donors in the test.", tells=DONORS)
    k: int | None = fact("Candidate number of strata; 0 where there is none.", tells=RESULT)
    null: str | None = fact("The null model whose p is larger.", tells=RESULT)
    statistic: float | None = fact("T: the largest standardised silhouette over k.", tells=RESULT)
    null_statistics: tuple[float, ...] | None = fact("T of each draw.", tells=RESULT)
    p: float | None = fact(
        "Share of draws whose T is at least as large, times the combinations of feature sets tried.",
        tells=RESULT,
    )
    z: tuple[float, ...] | None = fact(
        "Silhouette of each k, standardised over data and draws.", tells=RESULT
    )
    k_p: tuple[float, ...] | None = fact(
        "Share of draws with k strata in which k + 1 are as clear as in the data; null from the "
        "first number on that need not be asked about.",
        tells=RESULT,
    )
    k_support: tuple[float, ...] | None = fact(
        "How sure each k is: half for the one taken, half as bootstraps are for each.",
        tells=RESULT,
    )
    silhouette: tuple[float, ...] | None = fact(
        "Silhouette of the spectral clusters of each k, from 2, along the lines between means.",
        tells=RESULT,
    )
    null_silhouette_mean: tuple[float, ...] | None = fact(
        "Mean silhouette of the draws for each k.", tells=RESULT
    )
    n_views: int | None = fact("Combinations of feature sets tried.", tells=RESULT)
    view_scores: Mapping[str, float] | None = fact(
        "Excess of T over its draws, in their standard deviation, by combination of feature sets.",
        tells=RESULT,
    )
    confounding: Confounding | None = fact(
        "Confounding of the candidates, or of groups that vanish with the batch.", tells=RESULT
    )


@dataclass(frozen=True)
class Channel:
    """One feature set of the donor distance and how it was judged."""

    measured: bool | None = fact("Whether there was anything to measure.", tells=RESULT)
    dropped: bool | None = fact("Whether it failed the gate.", tells=RESULT)
    used: bool | None = fact("Whether the distance is made of it.", tells=RESULT)
    r: float | None = fact("Split-half reliability of the distances.", tells=RESULT)
    q: float | None = fact("Share of the distances between batches, less chance.", tells=RESULT)
    weight: float | None = fact("Weight in the fused distance.", tells=RESULT)
    even_axes: bool | None = fact(
        "Whether its axes are of one length in the fused distance.", tells=RESULT
    )
    why: str | None = fact("Why it is not used; else empty.", tells=RESULT)


@dataclass(frozen=True)
class Clustering:
    """Candidate numbers of strata."""

    ks: tuple[int, ...] | None = fact("Numbers of strata that were tried.", tells=RESULT)
    silhouette: tuple[float, ...] | None = fact(
        "Silhouette of the candidate strata of each k; null where one is too small.", tells=RESULT
    )
    pac: tuple[float, ...] | None = fact(
        "Share of donor pairs that resampled runs neither keep together nor apart, for each k.",
        tells=RESULT,
    )
    min_size: int | None = fact("Least donors of a stratum.", tells=RESULT)
    axes_share: tuple[float, ...] | None = fact("Share of variation on each axis.", tells=RESULT)
    n_bootstraps: int | None = fact("Resampled runs.", tells=RESULT)
    donor_share: float | None = fact("Share of the donors in each run.", tells=RESULT)
    seed: int | None = fact("Seed of the runs.", tells=RESULT)
    consensus_histogram: tuple[int, ...] | None = fact(
        "Pairs of donors by the share of runs that joined them, in 20 bins from 0 to 1.",
        tells=COUNTS,
    )


@dataclass(frozen=True)
class Placement:
    """How donors were placed among the strata."""

    coverage: float | None = fact("Promised share of sets that hold the stratum.", tells=RESULT)
    n_folds: int | None = fact("Runs that each left some donors out.", tells=RESULT)
    donors_needed_for_a_set: int | None = fact(
        "Least donors of a stratum that a set can rule out.", tells=RESULT
    )
    strata_without_set: tuple[str, ...] | None = fact(
        "Strata with fewer donors than that.", tells=RESULT
    )
    novel_at: float | None = fact(
        "Out-of-distribution p up to which a donor is called novel.", tells=RESULT
    )
    new_batches: tuple[str, ...] | None = fact(
        "Batches without a donor of the strata, whose donors are compared with those of batches left out in turn.",
        tells=COUNTS,
    )
    batches_without_set: tuple[str, ...] | None = fact(
        "Such batches where too few batches or donors could be left out: no set is given there.",
        tells=COUNTS,
    )
    fold_agreement: float | None = fact(
        "Share of donors whom the runs without them place in their own stratum.", tells=RESULT
    )
    seed: int | None = fact("Seed of the folds.", tells=RESULT)
    visits: Mapping[str, int] | None = fact("Visits by status.", tells=COUNTS)


@dataclass(frozen=True)
class Generalisation:
    """Strata found again without each region, batch or other unit; lists have an entry a group."""

    unit: str | None = fact("Column whose values are left out in turn.", tells=BY_GROUP)
    why: str | None = fact("What was not tested, and why; else empty.", tells=BY_GROUP)
    embedding_left_out: bool | None = fact(
        "Whether the embedding was fitted without the group too.", tells=BY_GROUP
    )
    group: tuple[str, ...] | None = fact("The group left out.", tells=BY_GROUP)
    n_donors: tuple[int, ...] | None = fact("Donors of the group.", tells=BY_GROUP)
    n_strata: tuple[int, ...] | None = fact("Strata among these donors.", tells=BY_GROUP)
    balanced_accuracy: tuple[float, ...] | None = fact(
        "Mean over the strata of the share of the group's donors placed in their own.",
        tells=BY_GROUP,
    )
    balanced_accuracy_own_offset: tuple[float, ...] | None = fact(
        "The same, the group's batches placed with an offset of their own.", tells=BY_GROUP
    )
    mean: float | None = fact("Mean of balanced_accuracy.", tells=BY_GROUP)
    mean_own_offset: float | None = fact("Mean of balanced_accuracy_own_offset.", tells=BY_GROUP)


@dataclass(frozen=True)
class CellTypes:
    """How cell types enter the distance."""

    in_state_channel: tuple[str, ...] | None = fact(
        "Types and groups of rare types whose state is compared.", tells=RESULT
    )
    pools_of_rare_types: Mapping[str, tuple[str, ...]] | None = fact(
        "Types of each group of rare types, by its name, that of its most common type.",
        tells=RESULT,
    )
    in_composition_only: tuple[str, ...] | None = fact(
        "Types of which only the share is compared.", tells=RESULT
    )


@dataclass(frozen=True)
class Adjusted:
    """Strata found again with covariates taken out; empty where none were declared."""

    adjust_for: tuple[str, ...] | None = fact("Covariates taken out.", tells=BY_GROUP)
    refused: str | None = fact("Why there are no such strata; else empty.", tells=BY_GROUP)
    k: int | None = fact("Number of strata.", tells=BY_GROUP)
    n_donors: int | None = fact("Donors with all covariates.", tells=DONORS)
    ari: float | None = fact("Adjusted Rand index to the strata before.", tells=BY_GROUP)
    share_explained: float | None = fact(
        "Covariates' share of all squared distances.", tells=BY_GROUP
    )
    sizes: tuple[int, ...] | None = fact("Donors of each adjusted stratum.", tells=BY_GROUP)
    p: float | None = fact("p of the existence test of what is left.", tells=BY_GROUP)
    n_null: int | None = fact("Draws of that test.", tells=BY_GROUP)


@dataclass(frozen=True)
class Suppressed:
    """A result that the strata step does not publish."""

    what: str = fact("What is not published.", tells=RESULT, required=True)
    why: str = fact("Why not.", tells=RESULT, required=True)


@dataclass(frozen=True)
class Parameters:
    """Options that shaped the verdict."""

    profile: Mapping[str, Any] | None = fact("Options of the profile step.", tells=RESULT)
    max_batch_share: float | None = fact("Gate: largest q of a feature set.", tells=RESULT)
    min_reliability: float | None = fact("Gate: smallest r of a feature set.", tells=RESULT)
    strata: Mapping[str, Any] | None = fact("Options of the strata step.", tells=RESULT)


@dataclass(frozen=True)
class Verdict:
    """Whether there are strata, and all that the answer rests on."""

    decision: str = fact(
        "strata, continuum, not separable from batch or too few donors.",
        tells=RESULT,
        required=True,
    )
    why: str = fact("Why labels are not published; empty for strata.", tells=RESULT, required=True)
    limitations: tuple[str, ...] | None = fact(
        "What limits the whole analysis, a sentence each; to be read before the decision.",
        tells=RESULT,
    )
    design: str | None = fact(
        "Whether conditions or visits are compared, and whether within donors, in a sentence.",
        tells=RESULT,
    )
    power: str | None = fact(
        "The smallest number of donors in which the test finds a stated effect, in a sentence.",
        tells=RESULT,
    )
    intended_use: str | None = fact("What the result may be used for.", tells=RESULT)
    n_donors: int | None = fact("Donors with cells.", tells=DONORS)
    n_donors_used: int | None = fact(
        "Donors with enough cells, in whom strata were sought.", tells=COUNTS
    )
    n_visits: int | None = fact("Donors' visits with cells.", tells=COUNTS)
    existence: Existence | None = fact("The existence test.", tells=RESULT)
    channels: Mapping[str, Channel] | None = fact("Feature sets of the distance.", tells=RESULT)
    clustering: Clustering | None = fact("Candidate numbers of strata.", tells=RESULT)
    stability: Mapping[str, float] | None = fact(
        "Mean consensus of each candidate stratum's pairs of donors.", tells=COUNTS
    )
    placement: Placement | None = fact(
        "How donors were placed; empty where they were not.", tells=RESULT
    )
    generalisation: Generalisation | None = fact(
        "Strata found without each group; empty where not tried.", tells=BY_GROUP
    )
    cell_types: CellTypes | None = fact("How cell types enter the distance.", tells=RESULT)
    not_tested: Mapping[str, str] | None = fact(
        "Covariates that were not tested, and why.", tells=BY_GROUP
    )
    adjusted: Adjusted | None = fact("Strata without covariates.", tells=BY_GROUP)
    warnings: tuple[str, ...] | None = fact("What to mind, a sentence each.", tells=RESULT)
    withheld: tuple[Suppressed, ...] | None = fact("What is not published.", tells=RESULT)
    parameters: Parameters | None = fact("Options that shaped the verdict.", tells=RESULT)
    seed: int | None = fact("Seed of the existence test.", tells=RESULT)
    withheld_by_access: tuple[str, ...] | None = fact(
        "Cohorts that took part and of which no row is shown; in a release only.", tells=RESULT
    )

    @property
    def has_strata(self) -> bool:
        """Whether stratum labels may be published."""
        return self.decision == STRATA

    @classmethod
    def from_json(cls, value: Any, *, file: str = FILE) -> Verdict:
        """Return the verdict that a JSON value holds; `FaultsError` with all that is wrong.

        >>> Verdict.from_json({"decision": "continuum", "why": "as clear"}).has_strata
        False
        """
        return parse(cls, value, file=file)

    def as_json(self) -> dict[str, Any]:
        """Return the value for `strata.json`.

        >>> Verdict("strata", "", existence=Existence(p=0.01)).as_json()
        {'decision': 'strata', 'why': '', 'existence': {'p': 0.01}}
        """
        value: dict[str, Any] = plain(self)
        return value


def keys_that_tell(tells: str) -> frozenset[str]:
    """Return the names of keys of one class, at any depth.

    >>> sorted(keys_that_tell(DONORS))
    ['n_donors']
    """
    return frozenset(
        path.rpartition(".")[2] for path, _, told in facts_of(Verdict) if told == tells
    )


def verdict_schema() -> dict[str, Any]:
    """Return the JSON Schema of `strata.json`, without its head."""
    return json_schema(Verdict)
