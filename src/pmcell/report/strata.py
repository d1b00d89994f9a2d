"""What the verdict and the strata tables say, in sentences, tables and figures.

What a release does not tell gives 'not available'; nothing is computed that the
stratification did not report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pmcell.limitations import limitation
from pmcell.release.report_tables import ALPHA
from pmcell.report.parts import (
    NOT_AVAILABLE,
    Cell,
    Column,
    Grid,
    as_number,
    decimal,
    listed,
    number_cell,
    p_text,
    plain_name,
    text_cell,
)
from pmcell.schema.text import as_text
from pmcell.schema.verdict import Channel, Clustering, Existence
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release


CONTINUUM = "continuum"
_DECISIONS = {
    CONTINUUM: "the donors form a continuum",
    "not separable from batch": "groups of donors are not separable from the batch",
    "too few donors": "there are too few donors",
}
STATISTIC = "T, the largest standardised silhouette over k"

FACTORS = {
    "region": "region",
    "cohort_id": "site (cohort)",
    "batch_id": "batch",
    "assay_ontology_term_id": "chemistry (assay)",
    "suspension_type": "cells or nuclei",
    "median_total_counts": "depth (median counts of a cell)",
    "median_share_mitochondrial": "mitochondrial share",
    "hours_to_processing": "hours to processing",
    "n_cells": "cells of the donor",
    "n_samples": "samples of the donor",
    "age": "age",
    "age_group": "age group",
    "development_stage_ontology_term_id": "development stage",
    "sex_ontology_term_id": "sex",
}
"""What strata should not be made of, in the order of the table."""


def is_published(release: Release) -> bool:
    """Whether strata labels are in the release."""
    return len(release["strata"]) > 0


def verdict(release: Release) -> str:
    """One sentence about strata, and one about people who were placed on them afterwards."""
    return " ".join([_verdict(release), *added(release)])


def added(release: Release) -> list[str]:
    """Whom each later release added, and that they took no part in what was found."""
    found = release.tables.get("additions")
    return [
        f"{plural(int(row.n_donors), 'donor')} of cohort {row.cohort_id} were placed on release "
        f"{row.previous_version}, not clustered."
        for row in (() if found is None else found.itertuples())
    ]


def _verdict(release: Release) -> str:
    if is_published(release):
        n = len(release["strata"])
        donors = int(release["strata"]["n_donors"].sum())
        noun = "stratum is" if n == 1 else "strata are"
        meant = "a group" if n == 1 else "groups"
        return (
            f"{n} {noun} published, {meant} of donors whose cells differ from those of others: "
            f"found in {plural(donors, 'donor')}{_p_clause(release)}."
        )
    if release.verdict is None and release["assignments"].empty:
        return "No stratification is in this release."
    return f"No strata are published: {reason(release)}."


def reason(release: Release) -> str:
    """Why labels are withheld, without a final stop."""
    told = release.verdict
    if told is None:
        return f"the reason is {NOT_AVAILABLE}"
    parts = (_DECISIONS.get(told.decision, told.decision), told.why)
    return "; ".join(part.rstrip(".") for part in parts if part) or f"the reason is {NOT_AVAILABLE}"


def existence(release: Release) -> Existence:
    """The existence test; empty where it is not told."""
    told = release.verdict.existence if release.verdict else None
    return told or Existence()


def _clustering(release: Release) -> Clustering:
    told = release.verdict.clustering if release.verdict else None
    return told or Clustering()


def _p_clause(release: Release) -> str:
    p = test_p(release)
    return "" if p is None else f" (existence test p = {p_text(p)})"


def test_p(release: Release) -> float | None:
    """The p value of the existence test."""
    return as_number(existence(release).p)


def null_values(release: Release) -> list[float]:
    """The null draws of the existence test, if they were written."""
    draws = existence(release).null_statistics or ()
    return [number for value in draws if (number := as_number(value)) is not None]


def observed(release: Release) -> float | None:
    """The observed statistic of the existence test."""
    return as_number(existence(release).statistic)


def chosen_k(release: Release) -> int | None:
    """The number of strata that is taken."""
    return existence(release).k or None


def enough(release: Release) -> str:
    """How the number of strata was found, with the p of each number that was asked about."""
    asked = [
        f"{k}: {p_text(number)}"
        for k, p in zip(_clustering(release).ks or (), existence(release).k_p or (), strict=False)
        if (number := as_number(p)) is not None
    ]
    return (
        " The number taken is the smallest after which one more is no clearer than in donors drawn "
        f"with so many strata (share of draws that are as clear: {'; '.join(asked)})."
        if asked
        else ""
    )


def candidates(release: Release) -> pd.DataFrame:
    """Measures of each number of strata: columns k and those that were reported."""
    import pandas as pd

    test, clustering = existence(release), _clustering(release)
    silhouette = test.silhouette or clustering.silhouette
    ks = clustering.ks or tuple(range(2, 2 + len(silhouette or ())))
    if not ks:
        return pd.DataFrame({"k": []})
    found: dict[str, list[Any]] = {"k": list(ks)}
    for name, values in (
        ("silhouette", silhouette),
        ("without strata", test.null_silhouette_mean),
        ("ambiguous pairs (PAC)", clustering.pac),
    ):
        if values is not None and len(values) == len(ks):
            found[name] = [as_number(item) for item in values]
    return pd.DataFrame(found)


def explained(release: Release) -> list[float | None]:
    """Share of the variation on each axis, if reported."""
    return [as_number(item) for item in _clustering(release).axes_share or ()]


def channel_grid(release: Release) -> Grid | None:
    """The gate of the feature sets of the distance."""
    channels = (release.verdict.channels if release.verdict else None) or {}
    if not channels:
        return None
    rows = tuple(
        (
            text_cell(name),
            _share(item.r),
            _share(item.q),
            _share(item.weight),
            _gate(item),
            text_cell(item.why),
        )
        for name, item in channels.items()
    )
    columns = (
        Column("Feature set"),
        Column("Reliability", True, "Split-half correlation of the donor distances"),
        Column(
            "Batch share",
            True,
            "Share of the distances between batches before batch removal, less chance",
        ),
        Column("Weight", True),
        Column("Gate"),
        Column("Why"),
    )
    return Grid(
        "Feature sets of the donor distance and their gate", columns, rows, ("strata.json",)
    )


def _gate(channel: Channel) -> Cell:
    if channel.dropped is None:
        return text_cell(NOT_AVAILABLE)
    used = not channel.dropped if channel.used is None else channel.used
    if used:
        return Cell("used, axes of one length" if channel.even_axes else "used", tone="ok")
    return Cell("dropped", tone="warn") if channel.dropped else Cell("set aside")


def _share(value: Any) -> Cell:
    return number_cell(value, decimal(value), bar=True)


def strata_grid(release: Release) -> Grid | None:
    """The published strata."""
    if not is_published(release):
        return None
    rows = tuple(
        (
            text_cell(row.stratum),
            number_cell(row.n_donors),
            number_cell(row.stability, decimal(row.stability), bar=True),
            text_cell(row.medoid_donor_id),
            text_cell(row.description),
        )
        for row in release["strata"].itertuples()
    )
    columns = (
        Column("Stratum"),
        Column("Donors", True),
        Column("Stability", True, "Mean consensus of the stratum's donors over bootstraps"),
        Column("Medoid donor", help="Donor closest to the others of the stratum"),
        Column("What defines it"),
    )
    return Grid("Published strata", columns, rows, ("strata", "assignments"))


def clinical_grid(release: Release) -> Grid | None:
    """Tests of strata and axes against what is known of the donors' health."""
    rows_of = release["associations"]
    rows_of = rows_of[as_text(rows_of["family"]).str.startswith("clinical")]
    if rows_of.empty:
        return None
    rows = tuple(
        (
            text_cell(plain_name(str(row.outcome))),
            text_cell(plain_name(str(row.covariate))),
            number_cell(row.effect, decimal(row.effect), bar=True),
            text_cell(str(row.effect_name).replace("_", " ")),
            text_cell(str(row.test)),
            number_cell(row.p_value, p_text(row.p_value)),
            number_cell(row.q_value, p_text(row.q_value), tone=_tone(row.q_value)),
            number_cell(row.n_donors),
        )
        for row in rows_of.sort_values(["q_value", "effect"], ascending=[True, False]).itertuples()
    )
    columns = (
        Column("Outcome"),
        Column("Covariate"),
        Column("Effect", True),
        Column("Effect size"),
        Column("Test"),
        Column("p", True),
        Column("q", True, "Benjamini-Hochberg within the family"),
        Column("Donors", True),
    )
    return Grid("Clinical associations", columns, rows, ("associations",), fold=10)


def _tone(q: Any) -> str:
    number = as_number(q)
    return "strong" if number is not None and number <= 0.05 else ""


def confounding(release: Release) -> str:
    """The technical factor that the strata follow most; '' where it was not measured."""
    told = existence(release).confounding
    if told is None:
        return ""
    is_seen = told.p <= ALPHA
    said = "The strata go along with" if is_seen else "No sign that the strata follow"
    return (
        f"{said} the {told.factor or 'batch'}: bias-corrected Cramér's V {decimal(told.v)} "
        f"(0 none, 1 identical), permutation p = {p_text(told.p)}."
    )


def technical_signs(release: Release) -> str:
    """What of how donors were measured the published strata go with, in a sentence; '' for none."""
    rows = release["associations"]
    own = (as_text(rows["outcome"]) == "stratum") & (as_text(rows["family"]) == "technical")
    rows = rows[own & (rows["q_value"] <= ALPHA)].sort_values("q_value", kind="stable")
    if rows.empty:
        return ""
    told = [
        f"{FACTORS.get(row.covariate, plain_name(row.covariate))} ({row.effect_name} "
        f"{decimal(row.effect)}, q = {p_text(row.q_value)})"
        for row in rows.itertuples()
    ]
    return (
        f"The strata go along with {listed(told)}: how samples were taken and measured may be part "
        "of what sets them apart."
    )


def not_tested(release: Release) -> list[tuple[str, str]]:
    """Covariates that were not tested, and why."""
    told = not_tested_by_column(release)
    return [(plain_name(name), why) for name, why in sorted(told.items())]


def not_tested_by_column(release: Release) -> Mapping[str, str]:
    """The same by column."""
    return (release.verdict.not_tested if release.verdict else None) or {}


def warnings(release: Release) -> list[str]:
    """What to bear in mind beside the result; the limits of every release stand elsewhere."""
    told = (release.verdict.warnings if release.verdict else None) or ()
    return [text for text in told if text != limitation("descriptive_strata")]


def withheld(release: Release) -> list[str]:
    """What was suppressed, and why, a sentence each."""
    told = release.verdict
    found = [f"{item.what}: {item.why}." for item in (told.withheld if told else None) or ()]
    if told is not None and told.withheld_by_access:
        names = ", ".join(told.withheld_by_access)
        found.append(
            f"Rows of {names}: access is not open, so no row about a donor or cell is published."
        )
    status = as_text(release["assignments"]["status"])
    for name, text in (
        ("too_few_cells", "too few cells for a profile"),
        ("ambiguous", "another stratum is possible too"),
        ("novel", "it fits no stratum"),
        ("new_batch", "no donor of the strata was measured in its batch"),
        ("not_placed", "nothing can be said of it: see the table placements"),
    ):
        n = int((status == name).sum())
        if n:
            found.append(f"Stratum of {plural(n, 'donor visit')}: {text}.")
    if not is_published(release) and len(status):
        found.append(f"Stratum labels of all donors, and what drives them: {reason(release)}.")
    return list(dict.fromkeys(found))


def facts_grid(release: Release) -> Grid | None:
    """The plain numbers of `strata.json`, as they stand, so that nothing is hidden."""
    facts = release.verdict.as_json() if release.verdict else {}
    rows = tuple((text_cell(key.replace("_", " ")), text_cell(text)) for key, text in _flat(facts))
    if not rows:
        return None
    return Grid(
        "Every number of strata.json", (Column("Key"), Column("Value")), rows, ("strata.json",), 0
    )


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        found = []
        for key in sorted(value):
            found += _flat(value[key], f"{path} › {key}" if path else str(key))
        return found
    if isinstance(value, list):
        if len(value) > 12 or any(isinstance(item, (list, dict)) for item in value):
            return [(path, f"{len(value)} values")]
        return [(path, ", ".join(_plain(item) for item in value))]
    return [(path, _plain(value))]


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: NOT_AVAILABLE}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
