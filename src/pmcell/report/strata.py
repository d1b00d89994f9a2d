"""What `strata.json` and the strata tables say, in sentences, tables and figures.

Keys that are absent give 'not available'; nothing is computed that the
stratification did not report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pmcell.report.parts import (
    NOT_AVAILABLE,
    Cell,
    Column,
    Grid,
    as_number,
    decimal,
    number_cell,
    p_text,
    plain_name,
    plural,
    text_cell,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.report.read import Release


_DECISIONS = {
    "continuum": "the donors form a continuum",
    "not separable from batch": "groups of donors are not separable from the batch",
    "too few donors": "there are too few donors",
}
STATISTIC = "T, the largest standardised silhouette over k"


def is_published(release: Release) -> bool:
    """Whether strata labels are in the release."""
    return len(release["strata"]) > 0


def verdict(release: Release) -> str:
    """One sentence about strata."""
    if is_published(release):
        n = len(release["strata"])
        donors = int(release["strata"]["n_donors"].sum())
        noun = "stratum is" if n == 1 else "strata are"
        return f"{n} {noun} published, with {plural(donors, 'donor')} assigned{_p_clause(release)}."
    if not release.strata and release["assignments"].empty:
        return "No stratification is in this release."
    return f"No strata are published: {reason(release)}."


def reason(release: Release) -> str:
    """Why labels are withheld, without a final stop."""
    decision = fact(release, "decision")
    why = fact(release, "why", "reason", "message")
    parts = [_DECISIONS.get(str(decision), str(decision)) if decision else "", str(why or "")]
    return "; ".join(part.rstrip(".") for part in parts if part) or f"the reason is {NOT_AVAILABLE}"


def fact(release: Release, *keys: str) -> Any:
    """The first of `keys` that `strata.json` holds, at its top or in the parts about the test."""
    strata = release.strata
    parts = [strata, *(strata.get(name) for name in ("existence", "clustering", "stability"))]
    for key in keys:
        for part in parts:
            if isinstance(part, dict) and part.get(key) not in (None, ""):
                return part[key]
    return None


def _p_clause(release: Release) -> str:
    p = test_p(release)
    return "" if p is None else f" (existence test p = {p_text(p)})"


def test_p(release: Release) -> float | None:
    """The p value of the existence test."""
    return as_number(fact(release, "p", "p_value"))


def null_values(release: Release) -> list[float]:
    """The null draws of the existence test, if they were written."""
    return _numbers(fact(release, "null_statistics", "null_values"))


def observed(release: Release) -> float | None:
    """The observed statistic of the existence test."""
    return as_number(fact(release, "statistic", "observed"))


def chosen_k(release: Release) -> int | None:
    """The number of strata where the test statistic is largest."""
    number = as_number(fact(release, "k"))
    return int(number) if number else None


def candidates(release: Release) -> pd.DataFrame:
    """Measures of each number of strata: columns k and those that were reported."""
    import pandas as pd

    ks = fact(release, "ks")
    silhouette = fact(release, "silhouette")
    if not isinstance(ks, list) and isinstance(silhouette, list):
        ks = list(range(2, 2 + len(silhouette)))
    if not isinstance(ks, list) or not ks:
        return pd.DataFrame({"k": []})
    found: dict[str, list[Any]] = {"k": [int(k) for k in ks]}
    for name, key in (
        ("silhouette", "silhouette"),
        ("without strata", "null_silhouette_mean"),
        ("ambiguous pairs (PAC)", "pac"),
    ):
        value = fact(release, key)
        if isinstance(value, list) and len(value) == len(ks):
            found[name] = [as_number(item) for item in value]
    return pd.DataFrame(found)


def explained(release: Release) -> list[float | None]:
    """Share of the variation on each axis, if reported."""
    value = fact(release, "axes_share", "axes_explained")
    return [as_number(item) for item in value] if isinstance(value, list) else []


def _numbers(value: Any) -> list[float]:
    items = value if isinstance(value, list) else []
    return [number for item in items if (number := as_number(item)) is not None]


def channel_grid(release: Release) -> Grid | None:
    """The gate of the distance channels."""
    value = release.strata.get("channels")
    items = (
        [{"channel": name, **item} for name, item in value.items() if isinstance(item, dict)]
        if isinstance(value, dict)
        else [item for item in value if isinstance(item, dict)]
        if isinstance(value, list)
        else []
    )
    if not items:
        return None
    rows = []
    for item in items:
        dropped = item.get("dropped")
        kept = item.get("used", not dropped) if isinstance(dropped, bool) else None
        rows.append(
            (
                text_cell(_first(item, "channel", "name")),
                _share(_first(item, "r", "reliability")),
                _share(_first(item, "q", "batch_share")),
                _share(item.get("weight")),
                text_cell(NOT_AVAILABLE)
                if kept is None
                else Cell("used", tone="ok")
                if kept
                else Cell("dropped" if dropped else "set aside", tone="warn"),
                text_cell(_first(item, "why", "reason")),
            )
        )
    columns = (
        Column("Channel"),
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
        "Channels of the donor distance and their gate", columns, tuple(rows), ("strata.json",)
    )


def _share(value: Any) -> Cell:
    return number_cell(value, decimal(value), bar=True)


def _first(item: dict[str, Any], *keys: str) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


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


def association_grid(release: Release, family: str) -> Grid | None:
    """Tests of one family, technical (confounding) or clinical."""
    rows_of = release["associations"]
    rows_of = rows_of[as_text(rows_of["family"]).str.startswith(family)]
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
    return Grid(f"{family.capitalize()} associations", columns, rows, ("associations",), fold=10)


def _tone(q: Any) -> str:
    number = as_number(q)
    return "strong" if number is not None and number <= 0.05 else ""


def confounding(release: Release) -> str:
    """The technical factor that the strata follow most; '' where it was not measured."""
    value = fact(release, "confounding")
    if not isinstance(value, dict):
        return ""
    strength, p = as_number(value.get("v")), as_number(value.get("p"))
    factor = value.get("factor") or "batch"
    return (
        f"Strata against {factor}: bias-corrected Cramér's V {decimal(strength)} "
        f"(0 none, 1 identical), permutation p = {p_text(p)}."
    )


def not_tested(release: Release) -> list[tuple[str, str]]:
    """Covariates that were not tested, and why."""
    value = release.strata.get("not_tested")
    items = value.items() if isinstance(value, dict) else ()
    return [(plain_name(str(name)), str(why)) for name, why in sorted(items)]


def warnings(release: Release) -> list[str]:
    """Sentences that the stratification wants printed next to its result."""
    found = []
    for key in ("warnings", "notes", "caveats"):
        value = release.strata.get(key)
        if isinstance(value, list):
            found += [str(item) for item in value if item]
        elif isinstance(value, str) and value:
            found.append(value)
    return found


def withheld(release: Release) -> list[str]:
    """What was withheld, and why, a sentence each."""
    found = []
    value = release.strata.get("withheld")
    items = value if isinstance(value, list) else [value] if value else []
    for item in items:
        if isinstance(item, dict):
            what, why = _first(item, "what", "name", "field"), _first(item, "why", "reason")
            found.append(f"{what or 'A result'}: {why or 'the reason is ' + NOT_AVAILABLE}.")
        elif item is not True:
            found.append(str(item))
    access = release.strata.get("withheld_by_access")
    if isinstance(access, list) and access:
        names = ", ".join(map(str, access))
        found.append(
            f"Rows of {names}: access is not open, so no row about a donor or cell is published."
        )
    status = as_text(release["assignments"]["status"])
    for name, text in (
        ("too_few_cells", "too few cells for a profile"),
        ("ambiguous", "another stratum is possible too"),
        ("novel", "it fits no stratum and is unlike the other donors"),
    ):
        n = int((status == name).sum())
        if n:
            found.append(f"Stratum of {plural(n, 'donor visit')}: {text}.")
    if not is_published(release) and len(status):
        found.append(f"Stratum labels of all donors, and what drives them: {reason(release)}.")
    return list(dict.fromkeys(found))


def facts_grid(release: Release) -> Grid | None:
    """The plain numbers of `strata.json`, as they stand, so that nothing is hidden."""
    rows = tuple(
        (text_cell(key.replace("_", " ")), text_cell(text)) for key, text in _flat(release.strata)
    )
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
