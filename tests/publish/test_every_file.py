"""An attacker who reads every file of two releases and subtracts whatever stands at one place."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from mixed_study import N_GENES, leave_out, make_study
from pmcell.errors import FaultsError
from pmcell.publish import write_release
from pmcell.publish.disclosure import redactions
from pmcell.publish.disclosure.counted import TOTALS
from pmcell.publish.disclosure.rules import Rules
from release_numbers import Key, differences, numbers_of

CONFIG = {"release": {"date": "2026-01-31", "validators": "none"}, "markers": {"top": N_GENES}}
K, N_FEW = 10, 5
PEOPLE = re.compile(r"donor|person|people|individual|patient|visit|sample", re.IGNORECASE)


def release_of(results: Path) -> dict[Key, float]:
    write_release(results, results / "release", config=CONFIG)
    return numbers_of(results / "release")


def later(results: Path, root: Path, *left: str) -> Path:
    """The study once donors left it, beside the register of the release before."""
    copy = root / "results"
    shutil.copytree(results, copy, ignore=shutil.ignore_patterns("release"))
    for path in results.parent.glob("disclosure_register.jsonl*"):
        shutil.copy2(path, root / path.name)
    leave_out(copy, *left)
    return copy


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("every"), n_few=N_FEW).results


@pytest.fixture(scope="module")
def before(results: Path) -> dict[Key, float]:
    return release_of(results)


def whole(found: dict[Key, float]) -> dict[Key, float]:
    """Differences of whole numbers; those of sizes of files are of digits and packing."""
    return {
        key: number
        for key, number in found.items()
        if number == int(number) and not {"size", "bytes", "contentSize"} & set(key)
    }


def test_who_left_a_cohort_too_small_to_be_counted_is_in_no_difference(tmp_path: Path) -> None:
    # Only these few are withheld: beside a large cohort the second release would be refused.
    study = make_study(tmp_path / "few", access="open", n_few=N_FEW).results
    before = release_of(study)
    after = release_of(later(study, tmp_path / "later", "few:D1"))
    assert whole(differences(before, after)) == {}
    # Every kind of file was compared; report and site are made of these, and of nothing else.
    assert {Path(key[0]).suffix for key in before.keys() & after.keys()} >= {
        *(".parquet", ".json", ".h5ad", ".md", ".ttl"),
    }


def test_no_difference_of_two_releases_is_of_few_who_left_a_large_cohort(
    results: Path, before: dict[Key, float], tmp_path: Path
) -> None:
    left = [f"closed:D{number}" for number in range(1, 21)]
    found = whole(differences(before, release_of(later(results, tmp_path, *left))))
    assert found, "twenty left: something must tell of them, or the attack is blind"
    assert {key: n for key, n in found.items() if abs(n) < K and PEOPLE.search(" ".join(key))} == {}


def test_the_numbers_of_one_release_tell_of_few_nowhere(results: Path) -> None:
    cohorts = pd.read_parquet(results / "release" / "tables" / "cohorts.parquet")
    closed = cohorts[cohorts["access"] != "open"].set_index("cohort_id")
    told = closed.loc["few", ["n_donors", "n_samples", "n_cells", "n_cells_submitted"]]
    assert told.isna().all()
    # One donor has two samples.
    assert closed["n_donors"]["closed"] == 96
    assert pd.isna(closed["n_samples"]["closed"])


def test_the_gate_refuses_samples_of_which_few_donors_have_several(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy, ignore=shutil.ignore_patterns("release"))
    monkeypatch.setattr(redactions, "_totals_that_tell", lambda policy: {})
    with pytest.raises(FaultsError, match="closed: 1 donors have several samples"):
        write_release(copy, copy / "release", config=CONFIG)


OF_CELLS = {"n_cells_submitted", "n_cells_left_out", "n_cells", "share_umis_lost"}


@pytest.mark.parametrize(
    ("n_cells", "failed", "told", "masked"),
    [
        ({n: [50] for n in range(20)}, 10, (), set()),
        ({n: [900] if n == 0 else [5] for n in range(20)}, 10, (), OF_CELLS),
        ({n: [50, 50] if n == 0 else [50] for n in range(20)}, 10, (), {"n_samples"}),
        ({n: [50, 50] for n in range(20)}, 10, (), set()),
        ({n: [50] for n in range(20)}, 10, (TOTALS,), {*OF_CELLS, "n_samples"}),
        ({n: [50] for n in range(20)}, 2000, (), {"n_cells_submitted"}),
    ],
)
def test_totals_that_tell_of_single_donors_are_not_told(n_cells, failed, told, masked) -> None:
    """`failed` cells of the first donor's samples fail QC, ten of each other sample."""
    rows = [
        (f"c:{donor}", n, n + (10 if donor else failed))
        for donor, samples in n_cells.items()
        for n in samples
    ]
    counts = pd.DataFrame(rows, columns=["donor_id", "n_cells", "n_cells_submitted"])
    cohort = SimpleNamespace(cohort_id="c", sample_counts=counts)
    policy = SimpleNamespace(
        facts=SimpleNamespace(withheld=[cohort]), told={"c": frozenset(told)}, rules=Rules(K, {})
    )
    assert redactions._totals_that_tell(policy) == {"c": masked}
