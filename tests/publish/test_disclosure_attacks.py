"""Attacks on a release that withholds a cohort fail; on a twin without the gate they succeed."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from mixed_study import N_GENES, N_HIDDEN, Study, leave_out, make_study
from pmcell.errors import FaultsError
from pmcell.publish import write_release
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content import people
from pmcell.publish.content.tables import write_tables
from pmcell.publish.disclosure import counts, gate
from pmcell.publish.disclosure.anonymity import anonymity, joined_columns
from pmcell.publish.disclosure.attack import attack_counts
from pmcell.publish.disclosure.bounds import bounds, table_sums
from pmcell.publish.disclosure.hidden import hidden_donors
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import redact
from pmcell.publish.disclosure.rules import Rules, totals_of_few
from pmcell.publish.disclosure.shown import shown_people
from pmcell.publish.disclosure.suppress import merge_small, suppress_table
from pmcell.publish.facts import Facts, load_facts
from pmcell.schema import COHORT_COUNTS, COHORTS

CONFIG = {"release": {"date": "2026-01-31", "validators": "none"}, "markers": {"top": N_GENES}}
K = 10


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def release(study: Study) -> Path:
    """What the gate let through."""
    write_release(study.results, study.results / "release", config=CONFIG)
    return study.results / "release"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study with the cohort shown to everyone."""
    study = make_study(tmp_path_factory.mktemp("twin"), access="open")
    write_tables(load_facts(study.results), load_atlas(study.results), study.results / "tables")
    return study.results


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "tables" / f"{name}.parquet")


# --- margins ------------------------------------------------------------------


def test_bounds_are_those_of_every_table_with_the_same_totals() -> None:
    table = np.array([[1, 4, 2], [3, 0, 2]])
    withheld = np.array([[True, True, False], [True, True, True]])
    shown = np.where(withheld, 0, table)
    possible = [
        cells
        for cells in itertools.product(range(9), repeat=5)
        if _has_totals(shown, withheld, cells, table)
    ]
    found = bounds(5, table_sums(withheld, table))
    assert found.tolist() == [[min(column), max(column)] for column in zip(*possible, strict=True)]


def _has_totals(
    shown: np.ndarray, withheld: np.ndarray, cells: tuple[int, ...], table: np.ndarray
) -> bool:
    filled = shown.copy()
    filled[withheld] = cells
    return all((filled.sum(axis=axis) == table.sum(axis=axis)).all() for axis in (0, 1))


def test_small_cells_follow_from_totals_unless_others_are_withheld_too() -> None:
    rng = np.random.default_rng(3)
    table = rng.poisson(14, (12, 8))
    table[2, 3], table[5, 1], table[9, 6] = 2, 3, 1
    primary = table < 5
    found = bounds(int(primary.sum()), table_sums(primary, table))
    assert (found[:, 0] == found[:, 1]).sum() == 3
    withheld = suppress_table(table, 5)
    assert withheld is not None
    found = bounds(int(withheld.sum()), table_sums(withheld, table))
    assert (found[:, 1] - found[:, 0]).min() >= 5
    assert withheld.mean() < 0.2


def test_no_withheld_count_of_the_release_follows_from_its_totals(
    release: Path, study: Study
) -> None:
    shown = read(release, "cohort_counts")
    pairs = shown[shown["grouping"].str.contains(" × ")]
    assert pairs["n_donors"].isna().any()
    assert pairs["n_donors"].notna().any()
    assert shown["n_donors"].dropna().min() >= K
    attacked = attack_counts(release / "tables", Rules(K, {}))
    assert attacked.summary["n_withheld_numbers"] > 0
    assert attacked.faults == []


def test_tables_that_share_properties_are_attacked_as_one(tmp_path: Path) -> None:
    names = {name: [f"{name}0", f"{name}1"] for name in "abc"}
    rows: list[tuple[str, str, int | None]] = [
        (name, group, 10) for name in names for group in names[name]
    ]
    diagonal = {(0, 0): 10, (0, 1): 0, (1, 0): 0, (1, 1): 10}
    for one, two in ("ab", "ac", "bc"):
        for i, j in diagonal:
            number = None if (one, two) == ("a", "b") else diagonal[i, j]
            rows.append((f"{one} × {two}", f"{one}{i} × {two}{j}", number))
    frame = pd.DataFrame(rows, columns=["grouping", "group", "n_donors"])
    frame = frame.assign(cohort_id="x", n_cells=None)
    cohorts = pd.DataFrame({"cohort_id": ["x"], "n_donors": [20], "n_cells": [None]})
    cohorts.to_parquet(tmp_path / "cohorts.parquet")

    frame.to_parquet(tmp_path / "cohort_counts.parquet")
    assert attack_counts(tmp_path, Rules(10, {})).summary["n_recovered"] == 4
    alone = frame[~frame["grouping"].isin(["b × c"])]
    alone.to_parquet(tmp_path / "cohort_counts.parquet")
    assert attack_counts(tmp_path, Rules(10, {})).summary["n_recovered"] == 0


def test_the_gate_refuses_small_cells_that_are_only_left_blank(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "suppress_table", lambda table, least: table < least)
    monkeypatch.setattr(counts, "known_before", lambda facts: None)
    with pytest.raises(FaultsError, match="must not follow from published totals") as caught:
        write_release(study.results, tmp_path / "release", config=CONFIG)
    # Where the same people were counted before, other blanks beside those tell more, too.
    assert {fault.reason for fault in caught.value.faults} >= {"recovered"}
    assert not (tmp_path / "release").exists()
    assert not list(tmp_path.iterdir())
    report = json.loads((study.results / "disclosure.json").read_text())
    assert report["passed"] is False
    assert len(report["faults"]) == len(caught.value.faults) > 1


# --- differencing -------------------------------------------------------------


@pytest.fixture
def without_one(study: Study, release: Path, tmp_path: Path) -> Path:
    """The study after one donor left, with the register of the release before."""
    results = tmp_path / "results"
    shutil.copytree(study.results, results, ignore=shutil.ignore_patterns("release"))
    for path in study.results.parent.glob("disclosure_register.jsonl*"):
        shutil.copy2(path, tmp_path / path.name)
    leave_out(results, "closed:D1")
    return results


def test_a_release_without_one_donor_of_an_earlier_one_is_refused(
    without_one: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FaultsError, match="a difference of 1 to release '1'") as caught:
        write_release(without_one, without_one / "release", config=CONFIG)
    assert {fault.reason for fault in caught.value.faults} == {"differencing"}
    assert len(caught.value.faults) > 2
    assert not (without_one / "release").exists()
    monkeypatch.setattr(counts, "known_before", lambda facts: None)
    ungated = counts.cohort_counts_frame(load_facts(without_one), load_atlas(without_one))
    before, after = read(release, "cohort_counts"), ungated
    key = ["cohort_id", "grouping", "group"]
    both = before.merge(after, on=key, suffixes=("_before", "_after"))
    changed = both[both["n_donors_before"] - both["n_donors_after"] == 1]
    assert "MONDO:0005148" in set(changed["group"])


def test_collected_withdrawals_are_published_once_every_group_differs_in_enough(
    without_one: Path, release: Path
) -> None:
    leave_out(without_one, *(f"closed:D{number}" for number in range(2, 11)))
    # Ten left the cohort, five of each stratum: the strata would tell of five.
    with pytest.raises(FaultsError, match=r"S1.*difference of 5 to release") as caught:
        write_release(without_one, without_one / "release", config=CONFIG)
    assert {fault.reason for fault in caught.value.faults} == {"differencing"}
    assert "Publish again when more donors differ" in str(caught.value)
    assert json.loads((without_one / "disclosure.json").read_text())["passed"] is False
    assert not (without_one / "release").exists()
    leave_out(without_one, *(f"closed:D{number}" for number in range(11, 21)))
    write_release(without_one, without_one / "release", config=CONFIG)
    before, after = read(release, "cohort_counts"), read(without_one / "release", "cohort_counts")
    assert set(after["grouping"]) < set(before["grouping"])
    assert {"stratum", "disease_ontology_term_id"} <= set(after["grouping"])
    assert not told_by_subtraction(before, after)
    totals = ["n_cells", "n_samples", "n_cells_submitted"]
    sizes = [
        read(at, "cohorts").set_index("cohort_id") for at in (release, without_one / "release")
    ]
    assert sizes[0].loc["closed", "n_cells"] > 0
    assert sizes[1].loc["closed", totals].isna().all(), "cells of who left may be one person's"
    assert sizes[0].loc["closed", "n_donors"] - sizes[1].loc["closed", "n_donors"] == 20
    register = (without_one.parent / "disclosure_register.jsonl").read_text().splitlines()
    assert len(register) == 2


def test_groups_that_few_left_are_refused_where_the_writer_counts_them(
    without_one: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out(without_one, *(f"closed:D{number}" for number in range(1, 21)))
    gated = counts.cohort_counts_frame(load_facts(without_one), load_atlas(without_one))
    monkeypatch.setattr(counts, "known_before", lambda facts: None)
    naive = counts.cohort_counts_frame(load_facts(without_one), load_atlas(without_one))
    before = read(release, "cohort_counts")
    assert told_by_subtraction(before, naive)
    assert not told_by_subtraction(before, gated)
    with pytest.raises(FaultsError, match="people whom the numbers of releases tell apart"):
        write_release(without_one, without_one / "release", config=CONFIG)
    assert not (without_one / "release").exists()


def told_by_subtraction(before: pd.DataFrame, after: pd.DataFrame) -> list[tuple[str, str]]:
    """Groups of which two tables tell, subtracted, that 1 to 9 left, or whose cells they tell."""
    both = before.merge(after, on=["cohort_id", "grouping", "group"], suffixes=("_1", "_2"))
    n_left = (both["n_donors_1"] - both["n_donors_2"]).fillna(0).abs()
    n_cells = (both["n_cells_1"] - both["n_cells_2"]).fillna(0)
    told = both[((n_left > 0) & (n_left < K)) | (n_cells != 0)]
    return list(zip(told["grouping"], told["group"], strict=True))


def test_the_same_release_may_be_written_again(study: Study, release: Path) -> None:
    register = study.results.parent / "disclosure_register.jsonl"
    before = register.read_text()
    facts = load_facts(study.results, config=CONFIG)
    hidden = hidden_donors(facts)
    shown = shown_people(facts)
    assert not gate.register_faults(register, hidden.sets(), hidden.least(), shown=shown)
    gate.remember_release(facts, release)
    assert register.read_text() == before
    assert "closed" in before
    assert "D1" not in before
    assert register.stat().st_mode & 0o077 == 0


# --- linking ------------------------------------------------------------------


def test_what_a_neighbour_knows_finds_nobody(release: Path, twin: Path) -> None:
    open_join = joined_columns(twin / "tables")
    people = open_join[open_join["cohort_id"] == "closed"]
    columns = ["sex_ontology_term_id", "age_group", "disease_ontology_term_id", "visits.visit_day"]
    knowledge = people[columns].to_numpy()
    assert min(int(people[columns].eq(known).all(axis=1).sum()) for known in knowledge) == 1
    gated = joined_columns(release / "tables")
    assert set(gated["cohort_id"]) == {"alpha", "alpha-2"}
    report = json.loads((release / "validation" / "disclosure.json").read_text())
    assert "closed" not in report["open_donors"]
    assert anonymity(twin / "tables")["closed"]["k"] == 1


def test_numbers_of_cells_single_nobody_out(release: Path, twin: Path) -> None:
    for name in ("donors", "samples", "qc", "cells", "composition", "pseudobulk"):
        frame, shown = read(twin, name), read(release, name)
        key = next(item for item in ("donor_id", "sample_id") if item in frame)
        assert frame[key].str.startswith("closed:").any()
        assert not shown[key].str.startswith("closed:").any()
    alone = read(twin, "donors").query("cohort_id == 'closed'")[["n_cells"]].value_counts()
    assert (alone == 1).any()


# --- membership ---------------------------------------------------------------


def test_published_vectors_do_not_tell_who_took_part(
    study: Study, release: Path, record_property: pytest.RecordProperty
) -> None:
    """Homer et al. 2008: is a person nearer to the published means than the population is?"""
    ungated = _auc(study, pd.read_parquet(study.results / "atlas" / "markers.parquet"))
    gated = _auc(study, read(release, "markers"))
    record_property("auc_ungated", ungated)
    record_property("auc_gated", gated)
    assert ungated > 0.65
    assert gated < 0.6
    assert read(release, "genes")["hvg_rank"].isna().all()
    assert [path.name for path in (release / "reference").iterdir()] == ["reference.json"]


def _auc(study: Study, markers: pd.DataFrame) -> float:
    """How well published shares of cells with a count tell members from strangers."""
    gene = markers["gene_id"].str.removeprefix("ENSG").astype(int).to_numpy() - 1
    mean, spread = study.population.mean(axis=0), study.population.std(axis=0)
    shift = (markers["share_in"].to_numpy() + markers["share_out"].to_numpy()) / 2 - mean[gene]
    scores = [
        ((people - mean) / spread**2)[:, gene] @ shift for people in (study.hidden, study.strangers)
    ]
    return float((scores[0][:, None] > scores[1][None, :]).mean())


# --- thresholds ---------------------------------------------------------------


def test_coordinates_give_the_loadings_and_these_tell_who_took_part() -> None:
    rng = np.random.default_rng(7)
    n_genes, n_cells, n_axes = 60, 40, 10
    own = rng.normal(size=(24, n_genes))
    cells = own[:, None, :] + rng.normal(size=(24, n_cells, n_genes))
    shown, candidates = cells[:8], np.arange(8, 24)
    aucs = []
    for _ in range(20):
        members = rng.permutation(candidates)[:8]
        fitted = np.concatenate([*shown, *cells[members]])
        axes = _axes(fitted, n_axes)
        # What a release with X_pca of the open cells would hold, and what solves for its loadings.
        open_cells = shown.reshape(-1, n_genes)
        centred = open_cells - fitted.mean(axis=0)
        found = np.linalg.lstsq(centred, centred @ axes, rcond=None)[0]
        alone = _axes(open_cells, n_axes)
        told = {
            donor: np.linalg.norm(own[donor] @ found) - np.linalg.norm(own[donor] @ alone)
            for donor in candidates
        }
        pairs = [told[a] > told[b] for a in members for b in set(candidates) - set(members)]
        aucs.append(np.mean(pairs))
    assert np.mean(aucs) > 0.9


def _axes(cells: np.ndarray, n_axes: int) -> np.ndarray:
    return np.linalg.eigh(np.cov(cells.T))[1][:, ::-1][:, :n_axes]


def test_the_gate_refuses_coordinates_that_withheld_cells_shaped(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: Path
) -> None:
    with h5py.File(next((release / "cells").glob("*.h5ad"))) as file:
        assert set(file["obsm"]) == {"X_umap"}
    genes = read(release, "genes")
    assert genes["is_highly_variable"].isna().all()
    monkeypatch.setattr("pmcell.publish.release.shown_atlas", lambda facts, atlas: atlas)
    with pytest.raises(FaultsError, match=r"obsm X_integrated, X_pca") as caught:
        write_release(study.results, tmp_path / "release", config=CONFIG)
    assert {fault.file.split("/")[0] for fault in caught.value.faults} == {"cells"}


@pytest.mark.parametrize(("asked", "is_counted"), [(str(N_HIDDEN + 1), False), ("2", True)])
def test_a_steward_may_ask_for_more_donors_but_not_for_fewer(
    study: Study, asked: str, is_counted: bool
) -> None:
    facts = _asked(load_facts(study.results, config=CONFIG), asked)
    atlas = load_atlas(study.results)
    policy = Policy(facts, atlas)
    cohorts = redact(COHORTS, people.cohorts_frame(facts, atlas), policy)
    row = cohorts.set_index("cohort_id").loc["closed"]
    assert pd.notna(row["n_donors"]) == is_counted
    frame = redact(COHORT_COUNTS, counts.cohort_counts_frame(facts, atlas), policy)
    assert (len(frame) > 0) == is_counted
    assert (frame["n_donors"].dropna() >= K).all()


def _asked(facts: Facts, min_donors: str) -> Facts:
    """The facts as if the steward of the withheld cohort had asked for so many donors."""
    closed = next(cohort for cohort in facts.cohorts if cohort.cohort_id == "closed")
    registration = {**closed.registration, "disclosure": {"min_donors": min_donors}}
    asking = dataclasses.replace(closed, intake={**closed.intake, "registration": registration})
    others = [cohort for cohort in facts.cohorts if cohort is not closed]
    return dataclasses.replace(facts, cohorts=(*others, asking))


def test_one_donor_with_most_of_the_cells_is_not_counted_by_type() -> None:
    cells = pd.DataFrame({"a": [900] + [1] * 19, "b": [40] * 20, "c": [30] * 20})
    rows = {row[2]: row for row in counts._type_rows("x", cells, Rules(K, {}))}
    assert rows["a"][4] is None
    assert sum(row[4] is None for row in rows.values()) >= 2


@pytest.mark.parametrize(
    ("submitted", "passed", "told"),
    [
        ([40] * 20, [30] * 20, set()),
        ([40] * 20, [40] * 20, set()),
        ([900] + [2] * 19, [900] + [1] * 19, {"n_cells", "n_cells_submitted"}),
        # One donor has most of those that were submitted, or of those that failed QC.
        ([9000] + [31] * 19, [30] * 20, {"n_cells_submitted"}),
        ([90] + [30] * 19, [30] * 20, {"n_cells_submitted"}),
    ],
)
def test_totals_of_which_one_donor_has_most_are_not_told(submitted, passed, told) -> None:
    samples = pd.DataFrame({"n_cells_submitted": submitted, "n_cells": passed})
    samples["donor_id"] = [f"d{number}" for number in range(len(samples))]
    assert totals_of_few(samples, Rules(K, {})) == told


def test_what_was_submitted_is_no_way_to_the_failed_cells_of_one_donor(tmp_path: Path) -> None:
    results = make_study(tmp_path).results
    path = results / "cohorts" / "closed" / "qc.parquet"
    qc = pd.read_parquet(path)
    qc["passes_qc"] = np.arange(len(qc)) > 0
    qc.to_parquet(path, index=False)
    facts = load_facts(results)
    frame = people.cohorts_frame(facts, load_atlas(results))
    shown = redact(COHORTS, frame, Policy(facts)).set_index("cohort_id").loc["closed"]
    assert pd.isna(shown["n_cells_submitted"])
    assert shown["n_cells"] > 0


def test_groups_that_are_merged_are_never_small() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        labels = rng.choice(list("abcdef"), rng.integers(K, 90), p=rng.dirichlet(np.ones(6)))
        _, sizes = np.unique(merge_small(labels, K).astype(str), return_counts=True)
        assert sizes.min() >= K


def test_everything_that_is_published_is_classified(
    study: Study, release: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "release"
    for part in ("tables", "reference", "strata.json"):
        copy = shutil.copytree if (release / part).is_dir() else shutil.copy2
        folder.mkdir(exist_ok=True)
        copy(release / part, folder / part)
    (folder / "profiles.csv").write_text("closed:D1,1\n")
    genes = read(release, "genes").assign(hvg_rank=1.0)
    genes.to_parquet(folder / "tables" / "genes.parquet", index=False)
    survival = pd.DataFrame({"stratum": ["S1"], "time": [1.0]})
    survival.to_parquet(folder / "tables" / "survival.parquet", index=False)
    survival.to_parquet(folder / "tables" / "profiles.parquet", index=False)
    (folder / "README.md").write_text("closed:D1\n")
    must = r"profiles\.parquet: must have a class of disclosure"
    with pytest.raises(FaultsError, match=must) as caught:
        gate.check_disclosure(load_facts(study.results, config=CONFIG), folder)
    assert [(fault.file, fault.reason) for fault in caught.value.faults] == [
        ("README.md", "unclassified"),
        ("profiles.csv", "unclassified"),
        ("tables/profiles.parquet", "unclassified"),
        ("tables/genes.parquet", "vector"),
        ("tables/survival.parquet", "rows"),
    ]
