"""What the strata are: who is in them and what their cells have more of, in words and a table.

Everything is counted in the published rows of the release; effects and p values are those of
`associations`. Donors are those in whom strata were sought, each at that visit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.registry.terms.ontology import in_words
from pmcell.release.report_tables import ALPHA
from pmcell.report import strata as verdicts
from pmcell.report.parts import (
    Cell,
    Column,
    Grid,
    decimal,
    listed,
    number_cell,
    p_text,
    percent,
    text_cell,
)
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release

PROPERTIES = {
    "condition": "condition",
    "disease_ontology_term_id": "disease",
    "sex_ontology_term_id": "sex",
    "age_group": "age group",
    "region": "region",
}
"""Columns of donors and visits that strata are laid against, and their names."""

NO_DISEASE = "normal"
"""Label of the term for a donor without a disease."""
NOT_ASSIGNED = "not assigned"
NO_DIAGNOSIS = "Diagnoses took no part in finding the strata, and a stratum is none."
MAX_LEVELS = 12
MAX_NAMED = 2
"""Properties, and cell types in each direction, that a sentence names of a stratum."""


def limitations(release: Release) -> list[str]:
    """What limits the whole analysis, to be read first, with the numbers where they are told."""
    told = release.verdict
    if told is None or not told.limitations:
        return []
    used = ""
    if told.n_donors is not None and told.n_donors_used is not None:
        used = f"{told.n_donors_used:,} of {plural(told.n_donors, 'donor')} were used. "
    first, *others = told.limitations
    return [used + first, *others]


def identity(release: Release) -> str:
    """What each stratum is, in sentences; without strata what the donors are instead."""
    return " ".join(filter(None, [_groups(release), *_within_donors(release)]))


def _groups(release: Release) -> str:
    if not verdicts.is_published(release):
        return _without_strata(release)
    people = donors_used(release)
    names = [str(name) for name in release["strata"]["stratum"]]
    # What one of two strata has more of, the other has less of.
    is_contrast = len(names) == 2
    parts = [
        ", ".join(
            [
                f"{name} is {plural(int((people['stratum'] == name).sum()), 'donor')}",
                *_outstanding_values(people, people["stratum"] == name, release),
                *([] if is_contrast else _shifts(release, name)),
            ]
        )
        for name in names
    ]
    shifts = " and a ".join(_shifts(release, names[0])) if is_contrast else ""
    contrast = f" {names[0]} has a {shifts} than {names[1]}." if shifts else ""
    said = "; ".join(parts) + "." + contrast + _apart(release, names)
    technical = verdicts.technical_signs(release)
    return f"{' '.join(filter(None, [said, technical, NO_DIAGNOSIS]))}{_unknown(people)}"


def _without_strata(release: Release) -> str:
    told = release.verdict
    if told is None:
        return ""
    needed = f" {told.power}" if told.power else ""
    if told.decision != verdicts.CONTINUUM:
        return needed.strip()
    return f"The donors differ by degrees, along axes, not as groups.{needed}"


def _within_donors(release: Release) -> list[str]:
    """What shows where donors with several conditions or visits are compared with themselves."""
    rows = release["associations"]
    names = {**PROPERTIES, "visit": "visit"}
    asked = (as_text(rows["outcome"]) == "map_within_donors") & rows["covariate"].isin(names)
    genes = release["expression_contrasts"]
    said = []
    for row in rows[asked].itertuples():
        verb = "differ by" if row.q_value <= ALPHA else "are not shown to differ by"
        found = genes[(genes["contrast"] == row.covariate) & (genes["n_significant"] > 0)]
        n_types, n_found = found["cell_type"].nunique(), int(found["n_significant"].sum())
        n_genes = f"; {n_found:,} genes do in {plural(n_types, 'cell type')}" if n_types else ""
        said.append(
            f"{plural(int(row.n_donors), 'donor')}, compared with themselves, {verb} "
            f"{names[row.covariate]} (R squared {decimal(row.effect)}, "
            f"p = {p_text(row.p_value)}{n_genes})."
        )
    return said


def donors_used(release: Release) -> pd.DataFrame:
    """The donors in whom strata were sought: their stratum and the properties, in words."""
    rows = release["assignments"]
    used = as_text(rows["left_out"], missing="") == ""
    rows = rows.loc[used, ["donor_id", "visit", "candidate_stratum"]]
    of_donor = [name for name in PROPERTIES if name in release["donors"]]
    of_visit = [name for name in PROPERTIES if name in release["visits"]]
    rows = rows.merge(release["donors"][["donor_id", *of_donor]], on="donor_id", how="left")
    visits = release["visits"][["donor_id", "visit", *of_visit]]
    rows = rows.merge(visits, on=["donor_id", "visit"], how="left")
    rows["stratum"] = as_text(rows["candidate_stratum"], missing=NOT_ASSIGNED)
    for name in PROPERTIES:
        rows[name] = as_text(rows[name]).map(in_words)
    return rows


def _properties_by_effect(release: Release) -> list[str]:
    """The properties that go with the strata (q ≤ 0.05), the closest first."""
    tests = _tests(release)
    found = [name for name in PROPERTIES if name in tests and tests[name].q_value <= ALPHA]
    return sorted(found, key=lambda name: -tests[name].effect)


def _tests(release: Release) -> dict[str, Any]:
    """The test of each covariate against the published strata."""
    rows = release["associations"]
    rows = rows[as_text(rows["outcome"]) == "stratum"]
    return {str(row.covariate): row for row in rows.itertuples()}


def _outstanding_values(people: pd.DataFrame, inside: pd.Series, release: Release) -> list[str]:
    """What a stratum has most in excess of the others, by property, with its numbers.

    Of properties that say the same of every donor, such as condition and disease, the first.
    """
    told: list[str] = []
    said: list[pd.Series] = []
    for name in _properties_by_effect(release):
        known = people[name] != UNKNOWN
        level = _outstanding(people.loc[inside & known, name], people.loc[~inside & known, name])
        has_it = people[name] == level
        if not level or any(has_it.equals(other) for other in said):
            continue
        said.append(has_it)
        n_known = int((inside & known).sum())
        told.append(f"{int((inside & has_it).sum()):,} of {n_known:,} {_with_value(name, level)}")
    return told[:MAX_NAMED]


def _outstanding(own: pd.Series, others: pd.Series) -> str:
    """The value whose share among the stratum's donors exceeds that in others most; '' for none."""
    excess = own.value_counts(normalize=True).sub(others.value_counts(normalize=True), fill_value=0)
    if excess.empty or excess.max() <= 0:
        return ""
    return str(excess.sort_index().idxmax())


def _with_value(name: str, level: str) -> str:
    if name == "disease_ontology_term_id":
        return "without a disease" if level == NO_DISEASE else f"with {level}"
    return f"{'with' if name == 'condition' else 'of'} {PROPERTIES[name]} {level}"


def _shifts(release: Release, stratum: str) -> list[str]:
    """Cell types of which a stratum has surely more or less, the largest ratios first."""
    rows = release["composition_shifts"]
    own = (as_text(rows["contrast"]) == "stratum") & (as_text(rows["level"]) == stratum)
    rows = rows[own].sort_values("log2_ratio", kind="stable")
    higher = rows.loc[rows["ratio_low"] > 0, "cell_type"].iloc[::-1]
    lower = rows.loc[rows["ratio_high"] < 0, "cell_type"]
    return [
        f"{how} share of {listed([str(name) for name in types[:MAX_NAMED]])}"
        for how, types in (("higher", higher), ("lower", lower))
        if len(types)
    ]


def _apart(release: Release, names: list[str]) -> str:
    """What sets the strata apart most, those with the same answer together."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_driver(release, name), []).append(name)
    return "".join(
        f" {listed(own)} {'is' if len(own) == 1 else 'are'} set apart most by {driver}."
        for driver, own in found.items()
        if driver
    )


def _driver(release: Release, stratum: str) -> str:
    """The cell type whose state sets a stratum apart most; '' where only shares do."""
    placed = release["assignments"]
    placed = placed.loc[placed["stratum"] == stratum, ["donor_id", "visit"]]
    rows = release["drivers"].merge(placed, on=["donor_id", "visit"])
    rows = rows[as_text(rows["channel"]) != "composition"]
    mean = rows.groupby(["channel", "cell_type"], observed=True)["contribution"].mean()
    if mean.empty or mean.max() <= 0:
        return ""
    channel, cell_type = mean.idxmax()
    what = {"state": "the state", "genes": "the genes"}
    return f"{what[channel]} of {cell_type}" if channel in what else "all cells together"


def _unknown(people: pd.DataFrame) -> str:
    """Which properties no donor has a value of."""
    gone = [label for name, label in PROPERTIES.items() if (people[name] == UNKNOWN).all()]
    return f" Not known of any donor: {listed(gone)}." if gone else ""


def cross_grid(release: Release) -> Grid | None:
    """Strata against the properties of their donors, with the effect and p of `associations`."""
    people = donors_used(release)
    if not verdicts.is_published(release) or people.empty:
        return None
    strata = [str(name) for name in release["strata"]["stratum"]]
    strata += [NOT_ASSIGNED] * bool((people["stratum"] == NOT_ASSIGNED).any())
    tests, why = _tests(release), verdicts.not_tested_by_column(release)
    rows = [
        row
        for name in PROPERTIES
        for row in _property_rows(people, name, strata, tests.get(name), why.get(name, ""))
    ]
    columns = (
        Column("Property"),
        Column("Value"),
        *[
            Column(name, True, plural(int((people["stratum"] == name).sum()), "donor"))
            for name in strata
        ],
        Column("Effect", True, "Bias-corrected Cramér's V: 0 none, 1 identical"),
        Column("p", True, "Permutation of donors, within batch for clinical properties"),
        Column("Test"),
    )
    tables = ("assignments", "donors", "visits", "associations")
    return Grid("Strata against the donors' properties", columns, tuple(rows), tables, fold=40)


def _property_rows(
    people: pd.DataFrame, name: str, strata: list[str], test: Any, why: str
) -> list[tuple[Cell, ...]]:
    """The rows of one property, one a value; its test stands in the first."""
    import pandas as pd

    table = pd.crosstab(people[name], people["stratum"]).reindex(columns=strata, fill_value=0)
    label, tested = text_cell(PROPERTIES[name]), _test_cells(test, why)
    if len(table) > MAX_LEVELS:
        shares = [Cell("")] * len(strata)
        return [(label, text_cell(plural(len(table), "different value")), *shares, *tested)]
    levels = sorted(table.index, key=lambda level: (level == UNKNOWN, level))
    return [
        (
            label,
            text_cell(level),
            *_shares(table, level, strata),
            *(tested if level == levels[0] else [Cell("")] * len(tested)),
        )
        for level in levels
    ]


def _shares(table: pd.DataFrame, level: str, strata: list[str]) -> list[Cell]:
    """Donors of each stratum with this value, and their share of those in whom it is known."""
    known = table.drop(index=UNKNOWN, errors="ignore").sum()
    cells = []
    for name in strata:
        n = int(table.at[level, name])
        share = n / known[name] if level != UNKNOWN and known[name] else None
        text = f"{n:,}" if share is None else f"{n:,} ({percent(share, 0)})"
        cells.append(number_cell(n, text, tone="strong" if share and share > 0.5 else ""))
    return cells


def _test_cells(test: Any, why: str) -> list[Cell]:
    if test is None:
        return [Cell(""), Cell(""), text_cell(f"not made: {why}" if why else "not made")]
    return [
        number_cell(test.effect, decimal(test.effect), bar=True),
        number_cell(test.p_value, p_text(test.p_value)),
        text_cell(f"q {p_text(test.q_value)} in {plural(int(test.n_donors), 'donor')}"),
    ]


def left_out_grid(release: Release) -> Grid | None:
    """Every donor and visit that had no part in finding strata, with the reason."""
    rows = release["assignments"]
    reasons = as_text(rows["left_out"], missing="")
    used = set(rows.loc[reasons == "", "donor_id"])
    out = [
        (row.donor_id, row.visit, row.n_cells, reason, row.donor_id in used)
        for row, reason in zip(rows.itertuples(), reasons, strict=True)
        if reason
    ]
    seen = set(rows["donor_id"])
    if len(rows):
        out += [
            (row.donor_id, "", row.n_cells, "no cell passed QC", False)
            for row in release["donors"].itertuples()
            if row.donor_id not in seen
        ]
    if not out:
        return None
    cells = tuple(
        (
            text_cell(donor),
            text_cell(visit),
            number_cell(n_cells),
            text_cell(reason),
            text_cell("yes" if is_used else "no", tone="" if is_used else "warn"),
        )
        for donor, visit, n_cells, reason, is_used in sorted(out, key=lambda row: (row[4], row[:2]))
    )
    columns = (
        Column("Donor"),
        Column("Visit"),
        Column("Cells", True),
        Column("Why it had no part"),
        Column("Donor used", help="Whether strata were sought in the donor, at another visit"),
    )
    return Grid(
        "Donors and visits that had no part in finding strata",
        columns,
        cells,
        ("assignments", "donors"),
    )
