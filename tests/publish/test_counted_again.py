"""Numbers of donors of several releases, subtracted in every way, tell of nobody or of enough."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pmcell.publish.disclosure.counted import (
    ALL,
    TOTALS,
    counted_people,
    told_apart,
    without_telling,
)
from pmcell.publish.disclosure.known import known_people
from pmcell.publish.disclosure.register import register_faults
from pmcell.publish.disclosure.register_file import NAME, add_release
from pmcell.publish.disclosure.suppress import OTHER, merge_small

K = 10
SEX, DISEASE = "sex_ontology_term_id", "disease_ontology_term_id"
PAIR = f"{DISEASE} × {SEX}"


def table(donors: pd.DataFrame, groupings=(SEX, DISEASE, PAIR, "cell_type")) -> pd.DataFrame:
    """What `cohort_counts` would show of these donors, without suppression of pairs."""
    merged = {name: merge_small(donors[name].to_numpy(object), K) for name in (SEX, DISEASE)}
    merged[PAIR] = merged[DISEASE] + " × " + merged[SEX]
    rows = [("cell_type", "B cell", len(donors))] if "cell_type" in groupings else []
    for grouping in (name for name in groupings if name in merged):
        names, sizes = np.unique(merged[grouping].astype(str), return_counts=True)
        rows += [
            (grouping, name, None if size < K else size)
            for name, size in zip(names, sizes, strict=True)
        ]
    return pd.DataFrame(rows, columns=["grouping", "group", "n_donors"])


def cohort(women: int, men: int, *, first: int = 0, ill: int = 30) -> pd.DataFrame:
    """Donors c:0, c:1, …, women first; the first of each sex are ill in turn."""
    names = [f"c:{number}" for number in range(first, first + women + men)]
    return pd.DataFrame(
        {
            SEX: ["F"] * women + ["M"] * men,
            DISEASE: ["ill" if n % 90 < ill else "well" for n in range(women + men)],
        },
        index=names,
    )


def publish(path: Path, version: str, donors: pd.DataFrame) -> dict:
    """Enter a release; what it counts is what the register allowed."""
    sets = {"cohort c": frozenset(donors.index)}
    counted = counted_people(table(donors), donors)
    told = dict(known_people(path, sets, {}).told("c", counted, K)) if path.is_file() else {}
    shown = {name: groups for name, groups in counted.items() if name not in told}
    add_release(path, sets, version=version, content_sha256=version, counted={"c": shown})
    return shown


@pytest.fixture
def register(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    assert set(publish(path, "1", cohort(50, 40))) == {SEX, DISEASE, PAIR, "cell_type"}
    return path


def faults(path: Path, donors: pd.DataFrame) -> set[str]:
    """The groupings that the gate refuses where all are counted."""
    sets = {"cohort c": frozenset(donors.index)}
    counted = {"c": counted_people(table(donors), donors)}
    found = register_faults(path, sets, {"cohort c": K}, {}, counted)
    assert {fault.reason for fault in found} <= {"differencing"}
    return {fault.file.removeprefix("cohort c, ") for fault in found}


BEFORE = cohort(50, 40)
LEFT = {
    "six women and four men": [*BEFORE.index[30:36], *BEFORE.index[50:54]],
    "one man among women": [*BEFORE.index[30:45], BEFORE.index[89]],
    "nine of the ill": [*BEFORE.index[:9], *BEFORE.index[60:80]],
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT.keys())
def test_a_property_that_few_who_left_had_is_not_counted_again(register, left):
    after = BEFORE.drop(left)
    told = faults(register, after)
    # Pairs of properties and cell types are counted for the same people only.
    assert told >= {PAIR, "cell_type"}
    assert told & {SEX, DISEASE}
    shown = publish(register, "2", after)
    assert set(shown) == {SEX, DISEASE, PAIR, "cell_type"} - told


def test_a_property_that_enough_who_left_had_is_counted_again(register):
    after = BEFORE.drop([*BEFORE.index[30:40], *BEFORE.index[50:70]])
    assert faults(register, after) == {PAIR, "cell_type"}


def test_the_same_people_are_counted_again_in_all_ways(register):
    assert faults(register, BEFORE) == set()


@pytest.mark.parametrize("column", [SEX, DISEASE])
def test_a_correction_of_one_person_is_not_told(register, column):
    after = BEFORE.copy()
    after.loc["c:0", column] = "M" if column == SEX else "well"
    told = faults(register, after)
    assert column in told
    assert PAIR in told
    assert "cell_type" not in told


def test_a_few_who_came_are_not_told_by_their_properties(register):
    came = cohort(3, 12, first=90)
    assert SEX in faults(register, pd.concat([BEFORE, came]))
    assert SEX not in faults(register, pd.concat([BEFORE, cohort(12, 12, first=90)]))


def test_a_group_that_became_small_and_is_merged_is_not_told(tmp_path):
    path = tmp_path / NAME
    before = cohort(60, 60)
    before[DISEASE] = ["x"] * 12 + ["y"] * 15 + ["z"] * 93
    publish(path, "1", before)
    after = before.drop(before.index[:10])
    # Two with x are left: "other" minus y of before would be these two.
    assert OTHER in set(merge_small(after[DISEASE].to_numpy(object), K))
    assert DISEASE in faults(path, after)


def test_what_an_older_version_counted_is_not_known(register):
    entry = json.loads(register.read_text())
    del entry["counted"]
    register.write_text(json.dumps(entry) + "\n")
    after = BEFORE.drop([*BEFORE.index[30:40], *BEFORE.index[50:70]])
    assert faults(register, after) == {SEX, DISEASE, PAIR, "cell_type"}


def test_a_cohort_that_was_not_published_is_counted(register):
    other = cohort(20, 20, first=500)
    other.index = [name.replace("c:", "d:") for name in other.index]
    sets = {"cohort c": frozenset(BEFORE.index), "cohort d": frozenset(other.index)}
    counted = {"c": counted_people(table(BEFORE), BEFORE), "d": counted_people(table(other), other)}
    assert register_faults(register, sets, dict.fromkeys(sets, K), {}, counted) == []


def test_people_under_other_names_are_compared(register):
    # The keys of pseudonyms were exchanged: the cells tell who is who.
    after = BEFORE.drop(BEFORE.index[30:40]).drop("c:50")
    renamed = after.set_axis([name.replace("c:", "c:new") for name in after.index])
    prints = {
        name: frozenset(name.removeprefix("c:new") + part for part in "ab")
        for name in renamed.index
    }
    sets = {"cohort c": frozenset(renamed.index)}
    entry = json.loads(register.read_text())
    key = bytes.fromhex(register.with_name(f"{NAME}.key").read_text())
    from pmcell.publish.disclosure.register_file import donor_mark

    entry["people"] = {
        donor_mark(key, name): [name.removeprefix("c:") + part for part in "ab"]
        for name in BEFORE.index
    }
    register.write_text(json.dumps(entry) + "\n")
    counted = counted_people(table(renamed), renamed)
    assert SEX in dict(known_people(register, sets, prints).told("c", counted, K))


def test_the_register_names_no_group(register):
    text = register.read_text()
    assert not any(word in text for word in ("ill", "well", SEX, "B cell", "c:0"))


def test_no_sum_or_difference_of_published_numbers_is_of_a_few_people():
    """All combinations of one property's numbers over four releases, by their rank."""
    rng = np.random.default_rng(20261201)
    n_refused = n_shown = 0
    for _ in range(60):
        people = [f"p{n}" for n in range(120)]
        value = dict(zip(people, rng.choice(list("abc"), 120, p=[0.5, 0.35, 0.15]), strict=True))
        here, releases = set(people[:90]), []
        for _ in range(4):
            donors = pd.DataFrame({SEX: [value[p] for p in sorted(here)]}, index=sorted(here))
            donors[DISEASE] = "ill"
            counted = counted_people(table(donors, (SEX,)), donors)
            if dict(without_telling(counted, releases, least=K)):
                n_refused += 1
            else:
                n_shown += 1
                releases.append(counted)
            block = rng.choice(list("abc"))
            moved = [p for p in people if value[p] == block][: int(rng.integers(0, 30))]
            here = (
                (here ^ set(moved))
                if rng.random() < 0.7
                else here - set(rng.permutation(people)[:12])
            )
        rows = [group for release in releases for group in release[SEX].values()]
        assert smallest_told(rows) >= K
    assert n_refused > 20
    assert n_shown > 80


def smallest_told(rows: list[frozenset[str]]) -> int:
    """The fewest people who alone are left in some combination of the rows, of up to two blocks."""
    blocks: dict[tuple[bool, ...], int] = {}
    for person in frozenset().union(*rows):
        key = tuple(person in row for row in rows)
        blocks[key] = blocks.get(key, 0) + 1
    matrix, sizes = np.array(list(blocks), float).T, list(blocks.values())
    rank = np.linalg.matrix_rank
    least = 10**6
    for number in (1, 2):
        for chosen in itertools.combinations(range(len(sizes)), number):
            others = np.delete(matrix, chosen, axis=1)
            if rank(matrix) > (rank(others) if others.size else 0):
                least = min(least, sum(sizes[item] for item in chosen))
    return least


def test_a_shown_number_of_before_is_not_withheld_now():
    people = {name: frozenset(f"{name}{n}" for n in range(12)) for name in "ab"}
    now = {**people, "b": None}
    assert told_apart(now, [people], grouping=PAIR, least=K) > 0
    assert told_apart(people, [people], grouping=PAIR, least=K) == 0


def told_of_a_test(path: Path, before: frozenset[str], now: frozenset[str]) -> list:
    """What a column's number of tested donors tells beside that of a release before."""
    everyone = frozenset(BEFORE.index)
    counted = {ALL: {"age_group": {"": before}}}
    add_release(path, {"atlas": everyone}, version="1", content_sha256="1", counted=counted)
    return known_people(path, {"atlas": everyone}, {}).told(ALL, {"age_group": {"": now}}, K)


@pytest.mark.parametrize(("n_corrected", "told"), [(0, []), (1, [1]), (9, [9]), (10, [])])
def test_a_corrected_donor_is_in_no_number_of_a_test(tmp_path, n_corrected, told):
    everyone = frozenset(BEFORE.index)
    fewer = frozenset(BEFORE.index[n_corrected:])
    found = told_of_a_test(tmp_path / NAME, fewer, everyone)
    assert found == [("age_group", number) for number in told]


@pytest.mark.parametrize("is_known", [True, False])
def test_cells_and_samples_are_totalled_again_for_the_same_people_only(tmp_path, is_known):
    path, everyone = tmp_path / NAME, frozenset(BEFORE.index)
    counted = {"c": {TOTALS: {"": everyone}} if is_known else {}}
    sets = {"cohort c": everyone}
    add_release(path, sets, version="1", content_sha256="1", counted=counted)
    fewer = frozenset(BEFORE.index[20:])

    def told(now: frozenset[str]) -> list:
        return known_people(path, {"cohort c": now}, {}).told("c", {TOTALS: {"": now}}, K)

    assert told(everyone) == []
    assert told(fewer) == [(TOTALS, 20)]
