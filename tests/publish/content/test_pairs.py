"""Pairs of donors: all that may be shown, of many donors those near to one another."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from pmcell import schema
from pmcell.io.h5ad import write_h5ad
from pmcell.io.tables import conform
from pmcell.publish.content import pairs
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import redact

N = 24
KEY = ["donor_id", "visit", "other_donor_id", "other_visit", "channel"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Donors of the open cohort a and the withheld cohort b, in no order, one without cells."""
    rng = np.random.default_rng(0)
    names = np.array([f"{'b' if i % 3 == 2 else 'a'}:d{i:02d}" for i in rng.permutation(N)], object)
    x = rng.normal(size=(N, 2))
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    obs = pd.DataFrame(
        {
            "donor_id": names,
            "visit": "T0",
            "enough_cells": names != "a:d00",
            "discovery": names != "a:d00",
        },
        index=names,
    )
    donors = ad.AnnData(X=np.zeros((N, 1)), obs=obs)
    donors.obsp["distance"] = squared
    donors.obsp["distance_state"] = 2 * squared
    donors.obsp["distance_composition"] = np.full((N, N), np.nan)
    consensus = rng.random((N - 1, N - 1))
    donors.uns["clustering"] = {"consensus": {"2": (consensus + consensus.T) / 2}}
    donors.uns["existence"] = {"k": 2}
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "strata").mkdir()
    write_h5ad(folder / "strata" / "donors.h5ad", donors)
    return folder


def facts(results: Path, *, withheld: bool, has_strata: bool = True) -> SimpleNamespace:
    cohorts = [SimpleNamespace(prefix="a:", is_open=True)]
    cohorts += [SimpleNamespace(prefix="b:", is_open=not withheld)]
    published = [cohort for cohort in cohorts if cohort.is_open]
    return SimpleNamespace(
        results=results, cohorts=cohorts, published=published, has_strata=has_strata
    )


def distances(of: SimpleNamespace) -> pd.DataFrame:
    return pd.concat(list(pairs.iter_distances(of, None)), ignore_index=True)


def consensus(of: SimpleNamespace) -> pd.DataFrame:
    return redact(schema.CONSENSUS, pairs.consensus_frame(of, None), Policy(of))


@pytest.mark.parametrize("withheld", [False, True])
def test_every_pair_of_shown_visits_is_there_once_with_its_distances(
    results: Path, withheld: bool
) -> None:
    table = distances(facts(results, withheld=withheld))
    conform(table, schema.DONOR_DISTANCES)
    donors = ad.read_h5ad(results / "strata" / "donors.h5ad")
    shown = [n for n in donors.obs_names if n != "a:d00" and not (withheld and n[0] == "b")]
    expected = {(a, b) for a in shown for b in shown if a < b}
    for channel, factor in (("fused", 1.0), ("state", 2.0)):
        own = table[table["channel"] == channel]
        assert set(zip(own["donor_id"], own["other_donor_id"], strict=True)) == expected
        assert len(own) == len(expected)
        at = donors.obs_names.get_indexer
        found = donors.obsp["distance"][at(own["donor_id"]), at(own["other_donor_id"])]
        assert np.allclose(own["squared_distance"], factor * found)
    assert "composition" not in set(table["channel"])


def test_small_chunks_give_the_same_pairs_in_the_tables_order(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = facts(results, withheld=False)
    whole = distances(of).sort_values(KEY, ignore_index=True)
    monkeypatch.setattr(pairs, "PAIRS_OF_A_CHUNK", 60)
    parts = [part.sort_values(KEY) for part in pairs.iter_distances(of, None)]
    assert len(parts) > 3
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_of_many_donors_only_pairs_of_near_ones_are_written(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "ALL_PAIRS_UP_TO", 10)
    monkeypatch.setattr(pairs, "NEAREST", 3)
    of = facts(results, withheld=True)
    table = distances(of)
    fused = table[table["channel"] == "fused"]
    donors = ad.read_h5ad(results / "strata" / "donors.h5ad")
    shown = [n for n in donors.obs_names if n[0] == "a" and n != "a:d00"]
    # Nearest among the donors that are shown: the others have no part in the choice.
    matrix = pd.DataFrame(donors.obsp["distance"], donors.obs_names, donors.obs_names)
    expected = set()
    for name in shown:
        near = matrix.loc[name, shown].drop(name).nsmallest(3).index
        expected |= {tuple(sorted((name, other))) for other in near}
    assert set(zip(fused["donor_id"], fused["other_donor_id"], strict=True)) == expected
    assert len(fused) < len(shown) * (len(shown) - 1) / 2
    assert len(table) == 2 * len(fused)
    joined = pairs.consensus_frame(of, None)
    assert set(zip(joined["donor_id"], joined["other_donor_id"], strict=True)) == expected


def test_the_dictionary_says_of_how_many_donors_all_pairs_are_written() -> None:
    for table in (schema.DONOR_DISTANCES, schema.CONSENSUS):
        assert f"more than {pairs.ALL_PAIRS_UP_TO:,}" in table.prose
        assert f"{pairs.NEAREST} nearest" in table.prose


def test_consensus_is_that_of_shown_donors_and_gone_without_strata(results: Path) -> None:
    table = consensus(facts(results, withheld=True))
    conform(table, schema.CONSENSUS)
    donors = ad.read_h5ad(results / "strata" / "donors.h5ad")
    own = list(donors.obs_names[donors.obs["discovery"]])
    matrix = donors.uns["clustering"]["consensus"]["2"]
    assert len(table) == 15 * 14 / 2
    hidden = [name for name in own if name[0] == "b"]
    assert not table[["donor_id", "other_donor_id"]].isin(hidden).any(axis=None)
    for row in table.head(20).itertuples():
        assert row.consensus == matrix[own.index(row.donor_id), own.index(row.other_donor_id)]
    assert len(consensus(facts(results, withheld=True, has_strata=False))) == 0
