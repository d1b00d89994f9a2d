"""People who stand twice are found, nobody else, and nothing is done to them."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import pmcell as pm
from planted_duplicates import ALL_AT_ONCE, WAYS, cells_of, plant
from pmcell.cli import main
from pmcell.io.tables import read_table
from pmcell.registry.duplicates import match
from pmcell.registry.duplicates.find import SEX_CONFLICT, SHARED_CELLS
from pmcell.registry.duplicates.match import Cells, Match, match_donors, richest
from pmcell.registry.duplicates.sex import FEMALE, MALE, XIST, Y_GENES, sex_conflicts
from pmcell.schema import DUPLICATES
from pmcell.strata.profiles.sex_linked import SEX_LINKED
from results_folder import make_results


@pytest.fixture(scope="module")
def cohort() -> ad.AnnData:
    return pm.simulate.simulate(
        n_cohorts=1, n_donors=15, cells_per_sample=70, n_genes=700, library_size=1500, seed=5
    )


@pytest.fixture(scope="module")
def donors(cohort: ad.AnnData) -> np.ndarray:
    return cohort.obs["donor_id"].astype(str).to_numpy(object)


@pytest.mark.parametrize("ways", [*((way,) for way in WAYS), ALL_AT_ONCE])
def test_three_people_who_were_counted_again_are_found_and_nobody_else(
    cohort: ad.AnnData, donors: np.ndarray, ways: tuple[str, ...]
) -> None:
    chosen = sorted(set(donors))[2:5]
    again = plant(cohort.X, cohort.var_names, donors, chosen, ways, seed=3)
    found = match_donors([cells_of(cohort.X, cohort.var_names, donors), again])
    assert {frozenset((item.one, item.other)) for item in found} == {
        frozenset((f"again-{n}", name)) for n, name in enumerate(chosen)
    }


def test_one_person_twice_in_one_cohort_is_found(cohort: ad.AnnData, donors: np.ndarray) -> None:
    names = sorted(set(donors))
    twice = donors == names[0]
    counts = sp.vstack([sp.csr_matrix(cohort.X), sp.csr_matrix(cohort.X)[twice]]).tocsr()
    owners = np.concatenate([donors, np.repeat(np.array(["zz-twice"], object), twice.sum())])
    found = match_donors([cells_of(counts, cohort.var_names, owners)])
    assert [(item.one, item.other) for item in found] == [(names[0], "zz-twice")]


def test_cohorts_that_share_too_few_genes_are_not_compared(
    cohort: ad.AnnData, donors: np.ndarray
) -> None:
    base = cells_of(cohort.X, cohort.var_names, donors)
    renamed = np.array([f"x-{name}" for name in base.donors], object)

    def found_with(n_genes: int) -> list[Match]:
        same = Cells(base.counts[:, :n_genes], base.gene_ids[:n_genes], renamed)
        return [item for item in match_donors([base, same]) if item.other.startswith("x-")]

    assert found_with(500)
    assert not found_with(match.MIN_GENES - 1)


def test_blocks_of_rows_change_nothing(
    cohort: ad.AnnData, donors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [
        cells_of(cohort.X, cohort.var_names, donors),
        plant(cohort.X, cohort.var_names, donors, sorted(set(donors))[:3], ("thinned",), seed=1),
    ]
    whole = match_donors(parts)
    monkeypatch.setattr(match, "BLOCK_ROWS", 37)
    blocks = match_donors(parts)
    assert [(item.one, item.other, item.n_matched) for item in blocks] == [
        (item.one, item.other, item.n_matched) for item in whole
    ]


def test_the_cells_with_most_counts_are_compared() -> None:
    totals = np.array([5, 9, 0, 7, 1])
    names = np.array(["b", "a", "a", "b", "a"], object)
    assert richest(totals, names).tolist() == [0, 1, 3, 4]


def samples_of(sex: str, y: float, xist: float, n: int, name: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "donor_id": [f"{name}{number}" for number in range(n)],
            "sex": sex,
            "total": 100_000.0,
            "y": y,
            "xist": xist,
        }
    )


def test_exchanged_samples_are_in_conflict() -> None:
    men, women = samples_of(MALE, 300, 2, 5, "m"), samples_of(FEMALE, 3, 200, 5, "f")
    men.loc[0, ["y", "xist"]], women.loc[0, ["y", "xist"]] = [3, 200], [300, 2]
    found = sex_conflicts(pd.concat([men, women], ignore_index=True))
    assert [item.donor_id for item in found] == ["f0", "m0"]


@pytest.mark.parametrize(
    ("man", "woman", "n_men", "why"),
    [
        ((300, 2), (3, 200), 2, "too few men"),
        ((30, 20), (20, 30), 5, "they do not differ"),
        ((np.nan, np.nan), (np.nan, np.nan), 5, "no gene was measured"),
        ((4, 0), (0, 4), 5, "too few counts"),
    ],
)
def test_nothing_is_said_where_sex_cannot_be_told(
    man: tuple[float, float], woman: tuple[float, float], n_men: int, why: str
) -> None:
    men, women = samples_of(MALE, *man, n_men, "m"), samples_of(FEMALE, *woman, 5, "f")
    swapped = men.assign(donor_id="x", sex=FEMALE).iloc[:1]
    assert sex_conflicts(pd.concat([men, women, swapped], ignore_index=True)) == [], why


def test_a_donor_of_unknown_sex_is_in_no_conflict() -> None:
    frames = [samples_of(MALE, 300, 2, 5, "m"), samples_of(FEMALE, 3, 200, 5, "f")]
    frames.append(samples_of("unknown", 300, 2, 3, "u"))
    assert sex_conflicts(pd.concat(frames, ignore_index=True)) == []


@pytest.mark.parametrize(("n_male", "n_female"), [(2, 1), (1, 2), (1, 1)])
def test_samples_of_one_donor_of_unknown_sex_are_held_against_each_other(n_male, n_female) -> None:
    both = pd.concat(
        [
            samples_of("unknown", 200.0, 0.0, n_male, "u"),
            samples_of("unknown", 0.0, 200.0, n_female, "u"),
        ]
    ).assign(donor_id="x")
    known = [samples_of(MALE, 200.0, 0.0, 5, "m"), samples_of(FEMALE, 0.0, 200.0, 5, "f")]
    found = sex_conflicts(pd.concat([*known, both], ignore_index=True))
    assert [(item.donor_id, item.n_conflicts, item.n_samples) for item in found] == [
        ("x", 1, n_male + n_female)
    ]


def test_the_genes_are_among_those_that_tell_sex_alone() -> None:
    assert XIST | Y_GENES <= SEX_LINKED


def test_the_step_writes_hints_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = make_results(tmp_path)
    folders = {name: results / "cohorts" / name for name in ("alpha", "closed")}
    files = [path for folder in folders.values() for path in folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    out = tmp_path / "duplicates.parquet"
    command = ["duplicates", "--out", str(out)]
    for name, folder in folders.items():
        command += ["--cohort", name, str(folder)]
    assert main(command) == 0
    frame = read_table(out)
    assert list(frame.columns) == DUPLICATES.columns
    assert set(frame["kind"]) <= {SHARED_CELLS, SEX_CONFLICT}
    assert all(path.read_bytes() == data for path, data in before.items())
    assert "alpha:D" not in capsys.readouterr().out
