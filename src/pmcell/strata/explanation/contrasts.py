"""Who is compared with whom: groups of donors, a design that can tell, donors held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.resample import stream
from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text, text_array
from pmcell.schema.verdict import STRATA
from pmcell.strata.discovery.refit import full_labels, refit, to_strata, with_own_offsets
from pmcell.strata.discovery.sizes import DONORS_PER_K
from pmcell.strata.explanation.groups import Group, group_of
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import require
from pmcell.strata.statistics.pairing import MIN_DONORS

if TYPE_CHECKING:
    from anndata import AnnData

Ints = NDArray[np.int64]

STRATUM, CONDITION, VISIT = "stratum", "condition", "visit"
MIN_SPLIT = 4
"""Donors of each level that each part of a split needs."""
MAX_LEVELS = 8
HALVES = 12
"""Purpose of the random stream that splits donors."""
HEALTHY = "PATO:0000461"
SITES = ("region", "batch_id")
"""Columns along which donors are split first: another place is the harder test."""


@dataclass(frozen=True)
class Comparison:
    """Levels of a contrast, all donors, and the two parts into which they are split.

    `everyone` has a row for each visit. `discovery` and `held_out` are None where there are
    too few donors, and `split` says how donors were split or why not. `why` says why there is
    nothing to test.
    """

    name: str
    levels: tuple[str, ...]
    everyone: Group | None
    discovery: Group | None
    held_out: Group | None
    split: str
    why: str


def contrasts_of(donors: AnnData) -> tuple[str, ...]:
    """Return what is compared where nobody names it: strata and conditions, or else visits.

    Visits are compared where no condition could be, and 3 donors or more have the same two of
    them: a study of donors before and after a treatment.

    Parameters
    ----------
    donors
        Donors after `profile`.

    Returns
    -------
    tuple of str
        `stratum`, `condition` and, in such a study, `visit`.

    Examples
    --------
    >>> import pmcell as pm
    >>> cells = pm.simulate.simulate_latent(n_donors=8, cells_per_donor=150, n_visits=2)
    >>> donors = pm.strata.profile(cells)
    >>> contrasts_of(donors)
    ('stratum', 'condition')
    >>> donors.obs["condition"] = "treated"
    >>> contrasts_of(donors)
    ('stratum', 'condition', 'visit')
    """
    is_only_visits = not _differs(donors, CONDITION) and _is_within_donors(donors, VISIT)
    return (STRATUM, CONDITION, *([VISIT] if is_only_visits else []))


def design_of_study(donors: AnnData) -> str:
    """Whether conditions or visits are compared, within donors or between them, in words."""
    visits = _is_within_donors(donors, VISIT)
    if not _differs(donors, CONDITION):
        if visits:
            return "Visits are compared within donors, since no condition differs."
        return (
            "Neither conditions nor visits are compared: no condition differs, and fewer than "
            f"{MIN_DONORS} donors have the same two visits."
        )
    if _is_within_donors(donors, CONDITION):
        return "Conditions are compared, within the donors who have several."
    more = (
        " Visits are not, since conditions differ; `differential_expression: "
        "{contrasts: [stratum, condition, visit]}` compares their genes."
    )
    return "Conditions are compared between donors." + (more if visits else "")


def _differs(donors: AnnData, column: str) -> bool:
    return column in donors.obs and len(levels_of(donors, column)[2]) > 1


def _is_within_donors(donors: AnnData, column: str) -> bool:
    """Whether enough donors have the same two values of a column."""
    if column not in donors.obs:
        return False
    rows, code, _ = levels_of(donors, column)
    own: dict[str, set[int]] = {}
    for donor, level in zip(as_text(donors.obs["donor_id"]).iloc[rows], code, strict=True):
        own.setdefault(donor, set()).add(int(level))
    shared = Counter(pair for levels in own.values() for pair in combinations(sorted(levels), 2))
    return max(shared.values(), default=0) >= MIN_DONORS


def compare(
    donors: AnnData,
    contrast: str,
    *,
    covariates: Sequence[str] = (),
    confirm: bool = True,
    seed: int = 0,
) -> Comparison:
    """What `contrast` compares: `stratum`, or a column of the donors such as `condition`.

    Strata are of the discovery visit of each donor and are compared in these, where they are
    published; other columns are compared over all visits at which they are known, so
    that a donor may have several levels. Donors, with all their visits, are split along regions,
    else along batches, else in random halves within batch; held-out donors get their
    strata from a map that was fitted without them.
    """
    require(donors, "existence", "existence")
    if contrast == STRATUM:
        rows = np.flatnonzero(donors.obs[slots.DISCOVERY].to_numpy())
        return _strata(donors, rows, covariates, confirm, seed)
    if contrast not in donors.obs:
        raise UsageError(
            f"a contrast must be 'stratum' or a column of the donors; got {contrast!r}, there are "
            f"{sorted(map(str, donors.obs.columns))}"
        )
    rows, code, levels = levels_of(donors, contrast)
    if not is_comparable(levels):
        return Comparison(contrast, tuple(levels), None, None, None, "", _why_none(levels))
    group = group_of(donors.obs.iloc[rows], code, covariates)
    everyone = group.of(np.ones(code.size, bool))
    if not confirm:
        return Comparison(contrast, tuple(levels), everyone, None, None, "not asked for", "")
    for column in SITES:
        held = _sites(donors, rows, column)
        if held is not None and _is_enough(group, held, len(levels)):
            return _two_parts(contrast, levels, group, held, f"by {column}")
    held = _random_halves(group, seed)
    if _is_enough(group, held, len(levels)):
        return _two_parts(contrast, levels, group, held, "random halves within batch")
    why = f"a level has fewer than {2 * MIN_SPLIT} donors"
    return Comparison(contrast, tuple(levels), everyone, None, None, f"none: {why}", "")


def levels_of(
    donors: AnnData, contrast: str, among: Ints | None = None
) -> tuple[Ints, Ints, list[str]]:
    """Rows (of `among`) at which a column is known, the code of each one's value, the values."""
    values = as_text(donors.obs[contrast]).to_numpy(object)
    rows = np.flatnonzero(~np.isin(values, [UNKNOWN, ""]))
    if among is not None:
        rows = rows[np.isin(rows, among)]
    levels = _ordered(donors, rows, values[rows])
    place = {level: code for code, level in enumerate(levels)}
    return rows, np.array([place[value] for value in values[rows]], np.int64), levels


def is_comparable(levels: Sequence[str]) -> bool:
    """Whether there are neither too few nor too many values to compare."""
    return 2 <= len(levels) <= MAX_LEVELS


def _why_none(levels: list[str]) -> str:
    shown = f" ({', '.join(levels[:3])}{', …' if len(levels) > 3 else ''})" if levels else ""
    found = f"known values among the donors: {len(levels)}{shown}; 2 to {MAX_LEVELS} are compared"
    if len(levels) > MAX_LEVELS:
        return found
    return f"{found}, each known in {MIN_DONORS} donors or more"


def _random_halves(group: Group, seed: int) -> NDArray[np.bool_]:
    """Rows of every second donor, in random order, among those of like levels and batches."""
    names, first, place = np.unique(
        text_array(group.donors), return_index=True, return_inverse=True
    )
    own = [np.flatnonzero(place == number) for number in range(names.size)]
    levels = np.array([",".join(map(str, sorted(set(group.level[rows])))) for rows in own])
    batch = np.array(["+".join(sorted(set(group.batch[rows]))) for rows in own])
    complete = np.array([group.complete[rows].all() for rows in own])
    draw = np.empty(names.size)
    draw[np.argsort(first)] = stream(seed, HALVES, 0).random(names.size)
    held = np.zeros(names.size, bool)
    held[np.lexsort((draw, levels, batch, complete))[1::2]] = True
    return np.asarray(held[place], bool)


def _strata(
    donors: AnnData, rows: Ints, covariates: Sequence[str], confirm: bool, seed: int
) -> Comparison:
    decision = donors.uns["existence"]["decision"]
    if decision != STRATA:
        return Comparison(
            STRATUM, (), None, None, None, "", f"no strata are published ({decision})"
        )
    k = int(donors.uns["existence"]["k"])
    levels = [f"S{index + 1}" for index in range(k)]
    table = donors.obs.iloc[rows]
    group = group_of(table, full_labels(donors)[rows], covariates)
    everyone = group.of(np.ones(rows.size, bool))
    if not confirm:
        return Comparison(STRATUM, tuple(levels), everyone, None, None, "not asked for", "")
    for held, how in _splits_of_strata(donors, rows, k, seed):
        name = as_text(donors.obs["donor_id"]).to_numpy(object)
        model = refit(donors, ~np.isin(name, name[rows[held]]))
        found = to_strata(model.squared, model.rows, model.labels, k)
        if how.startswith("by"):
            found = with_own_offsets(model, rows[held])
        code = np.asarray(found[rows].argmin(axis=1), np.int64)
        of_training = dict(zip(model.rows.tolist(), model.labels.tolist(), strict=True))
        code = np.array([of_training.get(int(row), code[i]) for i, row in enumerate(rows)])
        found_again = replace(group, level=code)
        if _is_enough(found_again, held, k):
            parts = _two_parts(STRATUM, levels, found_again, held, how)
            return replace(parts, everyone=everyone)
    why = f"{k} strata cannot be found in a part of {rows.size} donors and seen in the rest"
    return Comparison(STRATUM, tuple(levels), everyone, None, None, f"none: {why}", "")


def _splits_of_strata(
    donors: AnnData, rows: Ints, k: int, seed: int
) -> list[tuple[NDArray[np.bool_], str]]:
    """Parts of the donors to hold out that leave enough to find k strata, the hardest first."""
    found = []
    for column in SITES:
        held = _sites(donors, rows, column)
        if held is not None:
            found.append((held, f"by {column}"))
    held = np.zeros(rows.size, bool)
    batch = as_text(donors.obs["batch_id"]).to_numpy()[rows]
    held[np.lexsort((stream(seed, HALVES, 0).random(rows.size), batch))[1::2]] = True
    found.append((held, "random halves within batch"))
    return [(held, how) for held, how in found if (~held).sum() >= k * DONORS_PER_K]


def _sites(donors: AnnData, rows: Ints, column: str) -> NDArray[np.bool_] | None:
    """Rows of the sites to hold out: sites are dealt to two parts, most donors first.

    None where sites do not part the donors: fewer than two, or a donor in several.
    """
    if column not in donors.obs:
        return None
    site = as_text(donors.obs[column]).to_numpy(object)[rows]
    donor = as_text(donors.obs["donor_id"]).to_numpy(object)[rows]
    places = sorted(set(zip(donor, site, strict=True)))
    names, size = np.unique([at for _, at in places], return_counts=True)
    if names.size < 2 or (names == UNKNOWN).any() or len(places) > len(set(donor)):
        return None
    parts: list[list[str]] = [[], []]
    filled = [0, 0]
    for index in np.lexsort((names, -size)):
        smaller = int(filled[1] < filled[0])
        parts[smaller].append(str(names[index]))
        filled[smaller] += int(size[index])
    # The larger part discovers.
    held = parts[1] if filled[1] <= filled[0] else parts[0]
    return np.asarray(np.isin(site, held), bool)


def _is_enough(group: Group, held: NDArray[np.bool_], n_levels: int) -> bool:
    """Whether both parts hold enough donors of each level."""

    def least(part: NDArray[np.bool_]) -> int:
        own = part & group.complete
        found = {*zip(group.donors[own], group.level[own].tolist(), strict=True)}
        return int(np.bincount([code for _, code in found], minlength=n_levels).min())

    return all(least(part) >= MIN_SPLIT for part in (held, ~held))


def _two_parts(
    name: str, levels: list[str], group: Group, held: NDArray[np.bool_], how: str
) -> Comparison:
    parts = (group.of(np.ones(held.size, bool)), group.of(~held), group.of(held))
    return Comparison(name, tuple(levels), *parts, how, "")


def _ordered(donors: AnnData, rows: Ints, values: NDArray[np.object_]) -> list[str]:
    """Values in order; the one whose donors are all healthy comes first, as the reference."""
    levels = sorted(set(values))
    if "disease_ontology_term_id" in donors.obs:
        disease = as_text(donors.obs["disease_ontology_term_id"]).to_numpy()[rows]
        levels.sort(key=lambda level: not (disease[values == level] == HEALTHY).all())
    return levels
