"""Settings of the steps whose unit is the donor: profiles, strata and what they differ in."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict, model_validator, with_config
from typing_extensions import TypedDict

from pmcell.settings.model import (
    MAX_COUNT,
    Names,
    Settings,
    SomeNames,
    Text,
    count,
    seed,
    setting,
    share,
)

Channel = Literal["composition", "state", "genes", "cluster_free"]

MAX_VIEWS = 7
"""Combinations of channels that the `clearest` are chosen from, at most; the test pays for each."""


@with_config(ConfigDict(extra="forbid", strict=True))
class Survival(TypedDict):
    """Columns of a time to an event."""

    time: Annotated[Text, Field(description="column of the time")]
    event: Annotated[Text, Field(description="column of the event: 1 happened, 0 not yet")]


class ProfileSettings(Settings):
    """What makes the profile of a donor."""

    basis: Literal["X_integrated", "X_pca"] = setting(
        "X_integrated", "embedding that profiles are made of"
    )
    min_cells_type: Literal["auto"] | Annotated[int, Field(ge=2, le=MAX_COUNT)] = setting(
        "auto",
        "a type, or group of rare types, with fewer cells in a visit is unknown there, not zero; "
        "`auto`: 10 where visits have 200 cells or more, fewer in proportion, at least 3",
        unit="cells",
    )
    min_cells_donor: Literal["auto"] | Annotated[int, Field(ge=1, le=MAX_COUNT)] = setting(
        "auto",
        "a visit with fewer cells is listed, not assigned to a stratum; `auto`: as many as make a "
        "profile reliable in this study, from 10 to 100",
        unit="cells",
    )
    min_share_donors: float = share(
        0.5,
        "a type enters the state feature set on its own when this share of donors has enough of "
        "it; rarer types are grouped with their nearest until they have",
    )
    n_genes: int = count(
        300,
        "genes of a type in the gene feature set, those whose variance between donors repeats best "
        "in halves of their cells",
        unit="genes",
    )


class StrataSettings(Settings):
    """How strata are sought, tested and compared."""

    n_null: int = count(
        499, "draws of the null model, which has no strata", unit="draws", at_least=19
    )
    n_bootstraps: int = count(200, "bootstraps of donors and cells", unit="draws")
    donor_share: float = share(0.8, "share of donors in a bootstrap", ge=0.5, lt=1)
    alpha: float = share(
        0.05,
        "strata are published when the null model is rejected at this level",
        gt=0,
        lt=1,
    )
    channels: (
        Literal["clearest", "all", "composition", "state", "genes", "cluster_free"]
        | Annotated[tuple[Channel, ...], Strict(False), Field(min_length=1)]
    ) = setting(
        "clearest",
        "feature sets of the donor distance in which strata are sought: `clearest`, the one or "
        "several in which groups stand out most (the test corrects for the choice: `n_null` must "
        "be 139 or more at the default `alpha`), `all`, or those named",
    )
    max_batch_share: float = share(
        0.9,
        "a feature set is dropped when batch explains more of it, before batch removal, and does "
        "not move all cell types alike",
    )
    coverage: float = share(
        0.9,
        "share of the donors of each stratum whose set of possible strata shall hold it",
        ge=0.5,
        lt=1,
    )
    n_folds: int = count(
        10,
        "parts of the donors left out in turn to place them on strata found without them",
        unit="parts",
        at_least=2,
    )
    leave_out: Text | None = setting(
        None,
        "column whose values are left out in turn, to find the strata without each and place its "
        "donors on them: `region`, `batch_id`, `cohort_id` or another column of the donors; by "
        "default `region` where there are several, else `batch_id`",
    )
    min_reliability: float = setting(
        0.5, "a feature set is dropped when its split-half reliability is lower", ge=-1, le=1
    )
    max_confounding: float = share(
        0.6, "strata are not published when they follow the batch more than this (Cramér's V)"
    )
    n_permutations: int = count(999, "permutations of association tests", unit="draws", at_least=99)
    clinical: str | None = setting(
        None,
        "the study's table of clinical values (TSV, CSV or Parquet, relative to the study folder): "
        "`donor_id`, for repeated values `visit`, and any columns; ids as in "
        "`results/cohorts/*/donors.parquet`; no value of it is published, only comparisons",
        pattern=r"\.(tsv|csv|txt|parquet)$",
        examples=["clinical.tsv"],
    )
    outcomes: Names = setting(
        (),
        "numeric columns of it with repeated visits, compared between strata by mixed models",
    )
    survival: Survival | None = setting(
        None, "`time` and `event`: its columns of a time to an event (1 happened, 0 not yet)"
    )
    covariates: Names = setting(
        ("age", "sex"),
        "what those comparisons are adjusted for: columns of it or of the cohorts (`age` is also "
        "`age_group`)",
    )
    adjust_for: Names = setting(
        (),
        "covariates without which strata are found a second time, compared with the strata, and "
        "tested for existence again (as long as the first test)",
    )
    seed: int = seed("seed of everything that the step draws")

    @model_validator(mode="after")
    def _the_test_can_reject(self) -> StrataSettings:
        n_views = MAX_VIEWS if self.channels == "clearest" else 1
        if n_views > self.alpha * (self.n_null + 1):
            need = math.ceil(n_views / self.alpha) - 1
            raise ValueError(
                f"n_null must be at least {need} with channels {self.channels!r} and alpha "
                f"{self.alpha:g}, else the test can reject nothing; found {self.n_null}"
            )
        return self


class FollowupSettings(Settings):
    """How donors are followed over their visits."""

    reference_column: Text = setting(
        "disease_ontology_term_id", "column of the donors that tells who the reference group is"
    )
    reference: Text = setting(
        "PATO:0000461", "its value in the reference group, or a term above it; by default healthy"
    )
    window: float = setting(
        14.0,
        "a clinical value without a visit belongs to the nearest visit at most so many days away",
        unit="days",
        ge=0,
        le=3650,
    )
    n_draws: int = count(
        199,
        "draws of cells and reference donors for the direction of a change",
        unit="draws",
        at_least=19,
    )
    n_bootstraps: int = count(
        1000, "bootstraps of donors for the steps between strata", unit="draws", at_least=99
    )
    seed: int = seed("seed of everything that the step draws")


class DifferentialExpressionSettings(Settings):
    """What strata, and other groups of donors, are compared in."""

    contrasts: SomeNames | None = setting(
        None,
        "what is compared in each cell type: `stratum` (only published strata are), or columns of "
        "the donors and visits (`visit` compares before and after); by default `stratum` and "
        "`condition`, and `visit` too where no condition differs and 3 donors have the same two",
    )
    covariates: Names = setting(
        (),
        "columns that genes are adjusted for besides the batch; a donor whose value is unknown is "
        "left out",
    )
    gene_sets: Text | None = setting(
        None,
        "GMT file of gene sets, or a TSV with `source`, `target` and `weight`; symbols or Ensembl "
        "ids; none ships, none is downloaded",
    )
    alpha: float = share(
        0.05,
        "q up to which a gene or set counts as found, in all donors and in held-out ones",
        gt=0,
        lt=1,
    )
    confirm: bool = setting(True, "whether donors are held out to confirm what the others show")
    top_drivers: int = count(
        50, "genes listed for a stratum and cell type in `gene_drivers`", unit="genes", at_least=0
    )
    seed: int = seed("seed of the donors that are held out")
