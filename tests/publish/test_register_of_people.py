"""The register compares people, whatever their cohort and they are called, and sums of cohorts."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import mixed_study
import results_folder
from pmcell.errors import FaultsError
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.publish import write_release
from pmcell.publish.disclosure.people import fingerprints, same_people
from pmcell.publish.disclosure.register import register_faults
from pmcell.publish.disclosure.register_file import NAME, add_release

KEY = bytes(range(32))


def write_cells(
    folder: Path,
    name: str,
    counts: np.ndarray,
    donors: list[str],
    genes: list[str],
) -> SimpleNamespace:
    """A cohort without open access, as far as fingerprints read it."""
    place = folder / name
    place.mkdir(parents=True)
    ids = [f"{name}:{number}" for number in range(len(counts))]
    obs = pd.DataFrame({"donor_id": [f"{name}:{donor}" for donor in donors]}, index=ids)
    var = pd.DataFrame({"symbol": genes}, index=genes)
    with CanonicalWriter(place / "intake.h5ad", obs, var) as writer:
        writer.append(sparse.csr_matrix(counts.astype(np.int32)))
    return SimpleNamespace(folder=place, cohort_id=name)


def prints_of(*cohorts: SimpleNamespace) -> dict[str, frozenset[str]]:
    return fingerprints(SimpleNamespace(withheld=cohorts, published=()), KEY)


def people(rng: np.random.Generator, n_donors: int = 6, n_cells: int = 20, n_genes: int = 200):
    counts = rng.poisson(0.6, (n_donors * n_cells, n_genes))
    donors = [f"d{number // n_cells}" for number in range(n_donors * n_cells)]
    return counts, donors, [f"ENSG{number:011d}" for number in range(n_genes)]


CHANGES = ("same", "other names", "rows shuffled", "genes shuffled", "a gene left out")
CHANGES += ("a third of the cells left out", "cells of a donor added")


@pytest.mark.parametrize("change", CHANGES)
def test_people_are_known_again_under_another_cohort_and_other_names(tmp_path, change):
    rng = np.random.default_rng(4)
    counts, donors, genes = people(rng)
    first = write_cells(tmp_path, "a", counts, donors, genes)
    names = list(donors)
    if change == "other names":
        names = [f"x{5 - int(donor[1:])}" for donor in donors]
    rows = np.arange(len(counts))
    if change == "rows shuffled":
        rows = rng.permutation(rows)
    if change == "a third of the cells left out":
        rows = np.sort(rng.permutation(rows)[: len(rows) * 2 // 3])
    columns = np.arange(len(genes))
    if change == "genes shuffled":
        columns = rng.permutation(columns)
    if change == "a gene left out":
        columns = columns[1:]
    chosen, names = counts[rows][:, columns], [names[row] for row in rows]
    if change == "cells of a donor added":
        chosen = np.vstack([chosen, rng.poisson(0.6, (20, len(genes)))])
        names += ["d0"] * 20
    second = write_cells(tmp_path, "b", chosen, names, [genes[column] for column in columns])
    found = same_people([prints_of(first), prints_of(second)])
    for number in range(6):
        other = f"x{5 - number}" if change == "other names" else f"d{number}"
        assert found[f"a:d{number}"] == found[f"b:{other}"]
    assert len(set(found.values())) == 6


def test_strangers_are_never_taken_for_one_another(tmp_path):
    rng = np.random.default_rng(5)
    first = write_cells(tmp_path, "a", *people(rng, n_donors=20))
    second = write_cells(tmp_path, "b", *people(rng, n_donors=20))
    assert len(set(same_people([prints_of(first, second)]).values())) == 40


def test_cells_that_say_too_little_make_nobody_known(tmp_path):
    rng = np.random.default_rng(6)
    counts, donors, genes = people(rng)
    few = np.where(counts.cumsum(axis=1) <= 5, counts, 0)
    first = write_cells(tmp_path, "a", few, donors, genes)
    assert not any(prints_of(first).values())


def test_without_the_key_a_fingerprint_cannot_be_made_again(tmp_path):
    cohort = write_cells(tmp_path, "a", *people(np.random.default_rng(7)))
    other = fingerprints(SimpleNamespace(withheld=[cohort], published=()), bytes(32))
    assert not prints_of(cohort)["a:d0"] & other["a:d0"]


def donors(prefix: str, start: int, stop: int) -> frozenset[str]:
    return frozenset(f"{prefix}:{number}" for number in range(start, stop))


def prints(*sets: frozenset[str]) -> dict[str, frozenset[str]]:
    """As fingerprints of people who are told by the number in their name."""
    return {
        donor: frozenset(f"{donor.split(':')[1]}-{part}" for part in range(4))
        for donor in frozenset().union(*sets)
    }


def judged(path: Path, sets: Mapping[str, frozenset[str]], least: int = 10) -> list[str]:
    return [
        fault.reason
        for fault in register_faults(path, sets, dict.fromkeys(sets, least), prints(*sets.values()))
    ]


def publish(path: Path, version: str, sets: Mapping[str, frozenset[str]]) -> None:
    add_release(path, sets, version=version, content_sha256="x", prints=prints(*sets.values()))


@pytest.fixture
def register(tmp_path: Path) -> Path:
    """After a release of two cohorts of 40 and 30 people."""
    path = tmp_path / NAME
    publish(
        path,
        "1",
        {"cohort a": donors("a", 0, 40), "cohort b": donors("b", 100, 130)},
    )
    return path


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("one fewer", donors("c", 0, 39)),
        ("one more", donors("c", 0, 41)),
        ("one exchanged", donors("c", 1, 41)),
        ("all of them", donors("c", 0, 40)),
        ("half of them", donors("c", 0, 20)),
        ("both cohorts as one", donors("c", 0, 40) | donors("c", 100, 130)),
        ("both but one", donors("c", 0, 40) | donors("c", 100, 129)),
        ("one of them among others", donors("c", 39, 80)),
    ],
)
def test_people_of_an_earlier_release_may_not_come_in_a_new_cohort(register, name, members):
    assert "known_people" in judged(register, {"cohort c": members})


def test_other_people_may_come_in_a_new_cohort(register):
    sets = {
        "cohort a": donors("a", 0, 40),
        "cohort b": donors("b", 100, 130),
        "cohort c": donors("c", 200, 215),
    }
    assert judged(register, sets) == []


def test_the_same_cohorts_with_enough_others_may_be_published(register):
    assert (
        judged(register, {"cohort a": donors("a", 0, 52), "cohort b": donors("b", 100, 130)}) == []
    )


@pytest.mark.parametrize("n_left", [1, 5, 9])
def test_a_cohort_that_lost_a_few_is_refused(register, n_left):
    sets = {"cohort a": donors("a", n_left, 40), "cohort b": donors("b", 100, 130)}
    assert judged(register, sets) == ["differencing"]


def test_an_aggregate_of_another_name_is_compared_too(register):
    assert judged(register, {"stratum 7": donors("a", 0, 39)}) == ["differencing"]


def test_what_differs_within_each_release_alike_is_judged_there(tmp_path):
    path = tmp_path / NAME
    sets = {"atlas": donors("a", 0, 40), "strata": donors("a", 0, 39)}
    publish(path, "1", sets)
    assert judged(path, sets) == []


def test_a_sum_of_disjoint_cohorts_is_compared(tmp_path):
    path = tmp_path / NAME
    publish(path, "1", {"cohort a": donors("a", 0, 70), "cohort d": donors("a", 200, 220)})
    publish(
        path,
        "2",
        {"cohort b": donors("a", 0, 40), "cohort d": donors("a", 200, 220)},
    )
    sets = {"cohort b": donors("a", 0, 40), "cohort d": donors("a", 40, 69) | donors("a", 200, 220)}
    # a - b - d + (d of before) is one person: no two aggregates are alike.
    assert judged(path, sets) == ["differencing"]


def test_two_cohorts_of_one_release_may_not_differ_in_a_few(tmp_path):
    sets = {"cohort a": donors("a", 0, 40), "cohort b": donors("b", 0, 39)}
    assert judged(tmp_path / NAME, sets) == ["differencing"]


def test_an_entry_of_an_older_version_is_compared_by_ids(register):
    entry = json.loads(register.read_text())
    del entry["people"]
    register.write_text(json.dumps(entry) + "\n")
    assert judged(register, {"cohort a": donors("a", 1, 40)}) == ["differencing"]


def test_the_register_names_nobody(register):
    text = register.read_text()
    assert "a:0" not in text
    assert register.stat().st_mode & 0o077 == 0


def test_the_same_people_under_a_new_cohort_id_are_not_published_again(tmp_path):
    """The attack itself: one person fewer, registered as another cohort, end to end."""
    second = types.ModuleType("second")
    source = Path(mixed_study.__file__).read_text().replace('"closed"', '"closed2"')
    config = {"release": {"date": "2026-01-31", "validators": "none"}, "markers": {"top": 300}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "second", second)
        exec(compile(source, "second", "exec"), second.__dict__)
        results = mixed_study.make_study(tmp_path).results
        write_release(results, tmp_path / "v1", config=config)
        results.rename(tmp_path / "first_results")
        patch.delitem(results_folder.COHORTS, "closed")
        results = second.make_study(tmp_path).results
        second.leave_out(results, "closed2:D5")
        with pytest.raises(FaultsError, match="people of cohort closed of release") as caught:
            write_release(results, tmp_path / "v2", config=config)
    assert {fault.reason for fault in caught.value.faults} >= {"known_people"}
    assert not (tmp_path / "v2").exists()
