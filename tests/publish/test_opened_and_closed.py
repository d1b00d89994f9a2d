"""A cohort whose rows were public and are not any more, or will be: no few follow from both."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from mixed_study import N_GENES, leave_out, make_study
from pmcell.errors import FaultsError
from pmcell.publish import write_release
from pmcell.publish.disclosure.counted import (
    ALL,
    PLACED,
    STRATUM,
    TOTALS,
    USED,
    Groups,
    counted_people,
    known_value,
    of_labels,
)
from pmcell.publish.disclosure.known import known_people
from pmcell.publish.disclosure.register import register_faults
from pmcell.publish.disclosure.register_file import NAME, add_release, read_register, releases_with
from pmcell.publish.disclosure.suppress import merge_small

K = 10
SEX, DISEASE, PAIR = "sex", "disease", "disease × sex"
CONFIG = {"release": {"date": "2026-01-31", "validators": "none"}, "markers": {"top": N_GENES}}


def people(women: int, men: int, *, first: int = 0, cohort: str = "a") -> pd.DataFrame:
    """Donors of a cohort, women first; the first 20 of all are ill."""
    n = women + men
    return pd.DataFrame(
        {SEX: ["F"] * women + ["M"] * men, DISEASE: ["ill"] * min(20, n) + ["well"] * (n - 20)},
        index=[f"{cohort}:{number}" for number in range(first, first + n)],
    )


def rows(donors: pd.DataFrame) -> dict[str, Groups]:
    """What the rows of an open cohort show."""
    everyone = frozenset(donors.index)
    return {
        **{name: {"": everyone} for name in (TOTALS, PLACED, USED)},
        STRATUM: {"1": everyone},
        SEX: of_labels(donors[SEX]),
        DISEASE: of_labels(donors[DISEASE]),
        known_value("bmi"): {"": frozenset(list(donors.index)[::2])},
    }


def counts(donors: pd.DataFrame) -> dict[str, Groups]:
    """What is counted of a closed one."""
    merged = {name: merge_small(donors[name].to_numpy(object), K) for name in (SEX, DISEASE)}
    merged[PAIR] = merged[DISEASE] + " × " + merged[SEX]
    found = [
        (grouping, str(name), size if size >= K else None)
        for grouping, labels in merged.items()
        for name, size in pd.Series(labels).value_counts().items()
    ]
    found.append(("cell_type", "B cell", len(donors)))
    return counted_people(pd.DataFrame(found, columns=["grouping", "group", "n_donors"]), donors)


def prints(*donors: pd.DataFrame) -> dict[str, frozenset[str]]:
    """People are told by the number in their name, whatever their cohort is called."""
    names = [name for frame in donors for name in frame.index]
    return {name: frozenset(f"{name.partition(':')[2]}-{part}" for part in "ab") for name in names}


def publish(path: Path, *, shown: dict = {}, closed: dict = {}) -> None:  # noqa: B006
    """Enter a release with these cohorts."""
    add_release(
        path,
        sets_of(closed),
        version=str(len(read_register(path)) + 1),
        content_sha256="x",
        prints=prints(*shown.values(), *closed.values()),
        counted={name: counts(donors) for name, donors in closed.items()},
        shown={name: rows(donors) for name, donors in shown.items()},
    )


def sets_of(closed: dict) -> dict[str, frozenset[str]]:
    sets = {f"cohort {n}": frozenset(f.index) for n, f in closed.items() if len(f) >= K}
    everyone = frozenset().union(*(frame.index for frame in closed.values()))
    return {**sets, **dict.fromkeys(("atlas", "strata"), everyone)} if everyone else {}


def faults(path: Path, *, shown: dict = {}, closed: dict = {}) -> list[tuple[str, str]]:  # noqa: B006
    """Where and why the gate refuses a release that counts nothing again."""
    sets = sets_of(closed)
    found = register_faults(
        path,
        sets,
        dict.fromkeys(sets, K),
        prints(*shown.values(), *closed.values()),
        {},
        {name: rows(donors) for name, donors in shown.items()},
        K,
    )
    return [(fault.file, fault.reason) for fault in found]


def told(path: Path, donors: pd.DataFrame) -> set[str]:
    """What may not be counted again of cohort a, once it is closed."""
    known = known_people(path, sets_of({"a": donors}), prints(donors), {})
    return set(dict(known.told("a", counts(donors) | {TOTALS: {"": frozenset(donors.index)}}, K)))


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """After a release with cohort a of 30 women and 20 men, open."""
    publish(tmp_path / NAME, shown={"a": people(30, 20)})
    return tmp_path / NAME


BEFORE = people(30, 20)
NEW = people(12, 0, first=100)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("one left", BEFORE.drop("a:3")),
        ("nine left", BEFORE.iloc[9:]),
        ("one came", pd.concat([BEFORE, NEW[:1]])),
        ("one was exchanged", pd.concat([BEFORE.drop("a:3"), NEW[:1]])),
        ("twenty left and three came", pd.concat([BEFORE.iloc[20:], NEW[:3]])),
    ],
)
def test_a_cohort_that_was_open_may_not_differ_in_a_few_once_it_is_closed(opened, name, after):
    assert ("cohort a", "differencing") in faults(opened, closed={"a": after}), name


def test_the_same_people_may_be_closed_and_counted(opened):
    assert faults(opened, closed={"a": BEFORE}) == []
    assert told(opened, BEFORE) == set()


def test_enough_who_left_may_be_closed_and_are_counted_where_each_group_is_enough(opened):
    after = BEFORE.drop([*BEFORE.index[:12], *BEFORE.index[30:40]])
    assert faults(opened, closed={"a": after}) == []
    assert told(opened, after) == {PAIR, "cell_type", TOTALS}
    fewer = BEFORE.drop([*BEFORE.index[:12], *BEFORE.index[30:34]])
    assert SEX in told(opened, fewer)


def test_a_value_that_was_corrected_is_not_counted_beside_the_rows(opened):
    after = BEFORE.copy()
    after.loc["a:3", SEX] = "M"
    assert told(opened, after) == {SEX, PAIR}


def test_small_groups_that_are_merged_tell_nothing_that_the_rows_do_not(tmp_path):
    before = people(30, 20)
    before.loc["a:0":"a:2", DISEASE] = "rare"
    publish(tmp_path / NAME, shown={"a": before})
    assert told(tmp_path / NAME, before) == set()
    after = before.copy()
    after.loc["a:25", DISEASE] = "rare"
    assert told(tmp_path / NAME, after) == {DISEASE, PAIR}


def test_a_cohort_that_was_open_may_not_be_closed_under_another_name(opened):
    after = people(30, 20, cohort="b")
    assert ("cohort b", "known_people") in faults(opened, closed={"b": after})


def test_open_cohorts_may_change_and_go(opened):
    assert faults(opened, shown={"a": BEFORE.drop("a:3")}) == []
    assert faults(opened, shown={}) == []
    publish(opened, shown={"a": BEFORE.drop("a:3")}, closed={"b": people(20, 20, first=300)})
    closed = {"b": people(20, 20, first=300)}
    assert faults(opened, shown={"a": BEFORE.iloc[5:]}, closed=closed) == []


def test_a_small_open_cohort_may_leave_the_study(tmp_path):
    others, few = people(30, 30, first=300, cohort="b"), people(5, 0)
    publish(tmp_path / NAME, shown={"a": few}, closed={"b": others})
    assert faults(tmp_path / NAME, closed={"b": others}) == []


def test_the_last_rows_count_and_all_before_them(opened):
    publish(opened, shown={"a": BEFORE.drop("a:3")})
    assert ("cohort a", "differencing") in faults(opened, closed={"a": BEFORE.drop("a:3")})
    assert ("cohort a", "differencing") in faults(opened, closed={"a": BEFORE.iloc[8:]})


@pytest.mark.parametrize("n_left_out", [1, 9])
def test_whoever_does_not_agree_to_be_shown_is_not_the_rest_of_what_was_counted(
    tmp_path, n_left_out
):
    before = people(30, 20)
    publish(tmp_path / NAME, closed={"a": before})
    found = faults(tmp_path / NAME, shown={"a": before.iloc[n_left_out:]})
    assert ("cohort a of release '1'", "differencing") in found


def test_all_or_all_but_enough_of_each_group_may_be_shown(tmp_path):
    before = people(30, 30)
    publish(tmp_path / NAME, closed={"a": before})
    assert faults(tmp_path / NAME, shown={"a": before}) == []
    twelve = before.drop([*before.index[:7], *before.index[-5:]])
    groups = faults(tmp_path / NAME, shown={"a": twelve})
    assert {reason for _, reason in groups} == {"differencing"}
    assert all(name.startswith("a group that was counted") for name, _ in groups)
    # Twenty of whom none was counted as ill, or in a pair of few.
    enough = before.drop([*before.index[20:30], *before.index[-10:]])
    assert faults(tmp_path / NAME, shown={"a": enough}) == []


def test_a_closed_cohort_with_people_of_public_rows_is_not_a_few_besides(tmp_path):
    publish(tmp_path / NAME, shown={"a": BEFORE})
    closed = {"b": pd.concat([people(15, 0, cohort="b"), people(4, 0, first=200, cohort="b")])}
    found = faults(tmp_path / NAME, shown={"a": BEFORE}, closed=closed)
    assert ("cohort b", "differencing") in found


@pytest.mark.parametrize(("n_left", "is_refused"), [(0, False), (1, True)])
def test_a_small_cohort_that_is_closed_is_in_the_atlas_as_before(tmp_path, n_left, is_refused):
    others, few = people(30, 30, first=300, cohort="b"), people(5, 0)
    publish(tmp_path / NAME, shown={"a": few}, closed={"b": others})
    found = faults(tmp_path / NAME, closed={"a": few.iloc[n_left:], "b": others})
    assert bool(found) == is_refused


def test_tests_over_all_cohorts_are_told_again_for_the_same_people_only(tmp_path):
    others = people(30, 30, first=300, cohort="b")
    path = tmp_path / NAME
    everyone = frozenset(others.index)
    add_release(
        path,
        sets_of({"b": others}),
        version="1",
        content_sha256="x",
        prints=prints(others, BEFORE),
        counted={ALL: {USED: {"": everyone}, "bmi": {"": everyone}}},
        shown={"a": rows(BEFORE)},
    )

    def again(after: pd.DataFrame, bmi: set[str]) -> set[str]:
        closed = {"a": after, "b": others}
        known = known_people(path, sets_of(closed), prints(after, others), {})
        used = everyone | set(after.index)
        now = {USED: {"": used}, "bmi": {"": everyone | bmi}}
        return set(dict(known.told(ALL, now, K)))

    known = set(BEFORE.index[::2])
    assert again(BEFORE, known) == set()
    assert again(BEFORE, known - {"a:4"}) == {"bmi"}
    assert again(BEFORE.iloc[15:], known - set(BEFORE.index[:15])) == {"bmi"}


def test_releases_with_a_donor_of_an_open_cohort_are_known(opened):
    assert [entry["version"] for entry in releases_with(opened, "a:3")] == ["1"]
    assert releases_with(opened, "a:300") == []


def test_the_register_names_nobody_of_an_open_cohort_and_no_group(opened):
    text = opened.read_text()
    assert not any(word in text for word in ("a:3", "ill", "well", '"F"', "bmi"))


def close(results: Path, access: str) -> None:
    path = results / "cohorts" / "closed" / "intake.json"
    about = json.loads(path.read_text())
    about["registration"]["access"] = access
    path.write_text(json.dumps(about))


@pytest.mark.parametrize("access", ["open", "controlled"])
def test_the_attack_itself_is_refused_whichever_comes_first(tmp_path: Path, access: str) -> None:
    other = {"open": "controlled", "controlled": "open"}[access]
    results = make_study(tmp_path, access=access).results
    write_release(results, tmp_path / "v1", config=CONFIG)
    close(results, other)
    leave_out(results, "closed:D5")
    with pytest.raises(FaultsError, match="subtract") as caught:
        write_release(results, tmp_path / "v2", config=CONFIG)
    assert {fault.reason for fault in caught.value.faults} == {"differencing"}
    assert not (tmp_path / "v2").exists()


def test_a_cohort_of_the_same_people_may_be_closed(tmp_path: Path) -> None:
    results = make_study(tmp_path, access="open").results
    write_release(results, tmp_path / "v1", config=CONFIG)
    close(results, "controlled")
    write_release(results, tmp_path / "v2", config=CONFIG)
    counted = pd.read_parquet(tmp_path / "v2" / "tables" / "cohort_counts.parquet")
    assert "sex_ontology_term_id" in set(counted["grouping"])
