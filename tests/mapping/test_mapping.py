"""New people on a frozen reference: labels, strata, refusals, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pmcell as pm
from made_reference import TERMS, cells, new_donors, people, reference, write_reference_release
from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import sha256_file
from pmcell.mapping.calibration import LabelledCells
from pmcell.mapping.donors import donor_arrays, donors_from
from pmcell.mapping.expression import log_expression
from pmcell.mapping.labels import covers
from pmcell.mapping.reference import fit_labels, label_expression
from pmcell.schema.mapped import ASSIGNED, NO_STRATA, NOT_PLACED
from pmcell.schema.text import text_array


@pytest.fixture(scope="module")
def mapped():
    return pm.map(people(new_donors()), reference())


def truth_of(table):
    return cells().obs.loc[table["cell_id"], "cell_type"].astype(str).to_numpy()


def test_cells_of_new_people_get_their_type(mapped):
    table = mapped.cells[mapped.cells["passes_qc"]]
    right = table["nearest_cell_type"].to_numpy() == truth_of(table)
    assert right.mean() > 0.95


def test_answers_are_right_or_above_the_truth(mapped):
    table = mapped.cells[mapped.cells["cell_type"] != "unknown"]
    term = cells().obs.loc[table["cell_id"], "term"]
    right = [covers(a, b) for a, b in zip(table["cell_type_ontology_term_id"], term, strict=True)]
    assert np.mean(right) > 0.97


def test_a_new_person_gets_the_stratum_that_was_planted(mapped):
    made = reference()
    assert made.facts["decision"] == "strata"
    donors = made.donors.donors
    planted = cells().obs.groupby("donor_id", observed=True)["stratum"].first().astype(str)
    found = donors.obs["candidate_stratum"].astype(str).groupby(donors.obs["donor_id"]).first()
    name = {}
    for stratum in set(found):
        votes = planted[found.index[found == stratum]].value_counts()
        name[stratum] = votes.index[0]
    answered = [visit for visit in mapped.visits if visit.stratum.status == ASSIGNED]
    assert answered
    for visit in answered:
        assert name[visit.stratum.stratum] == planted[visit.donor_id]


def test_probabilities_add_up_and_the_drivers_are_of_the_reference(mapped):
    for visit in mapped.visits:
        assert sum(visit.stratum.probability.values()) == pytest.approx(1.0, abs=1e-5)
        assert visit.stratum.coverage == 0.9
        assert len(visit.stratum.drivers) > 0


def test_the_order_of_the_cells_changes_nothing(mapped):
    own = people(new_donors())
    order = np.random.default_rng(0).permutation(own.n_obs)
    again = pm.map(own[order].copy(), reference())
    assert again.cells.equals(mapped.cells)
    assert again.composition.equals(mapped.composition)
    assert again.visits == mapped.visits


def test_other_people_of_other_batches_change_nothing(mapped):
    one = new_donors()[0]
    alone = pm.map(people([one]), reference())
    (visit,) = alone.visits
    assert visit == next(item for item in mapped.visits if item.donor_id == one)


def test_mapping_leaves_the_reference_as_it_is():
    before, _ = donor_arrays(reference().donors)
    before = {name: np.array(value) for name, value in before.items()}
    pm.map(people(new_donors()), reference())
    after, _ = donor_arrays(reference().donors)
    assert set(before) == set(after)
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


def test_composition_counts_every_cell_once(mapped):
    for visit in mapped.visits:
        own = mapped.composition[mapped.composition["donor_id"] == visit.donor_id]
        assert own["n_cells"].sum() == visit.quality.n_cells
        assert (own["n_certain"] <= own["n_possible"]).all()
        assert own["share"].sum() == pytest.approx(1.0)


def test_a_new_batch_is_judged_by_batches_left_out():
    found = pm.map(people(new_donors()[:1], batch="elsewhere"), reference())
    (visit,) = found.visits
    if reference().donors.frozen.by_batch is None:
        assert visit.stratum.status == NOT_PLACED
        assert "too few" in visit.stratum.why
    else:
        assert visit.stratum.calibrated_on == "batches"


def test_without_batches_to_leave_out_a_new_site_cannot_be_placed():
    made = reference()
    frozen = replace(made.donors.frozen, by_batch=None)
    single = replace(made, donors=replace(made.donors, frozen=frozen))
    (visit,) = pm.map(people(new_donors()[:1], batch="elsewhere"), single).visits
    assert visit.stratum.status == NOT_PLACED
    assert visit.stratum.stratum is None


def test_a_release_without_strata_still_gives_labels_and_composition():
    made = reference()
    bare = replace(
        made,
        donors=replace(made.donors, frozen=None),
        facts={**made.facts, "decision": "continuum"},
    )
    found = pm.map(people(new_donors()[:1]), bare)
    assert found.visits[0].stratum.status == NO_STRATA
    assert "continuum" in found.visits[0].stratum.why
    assert found.visits[0].donor_p is not None
    assert found.visits[0].labels.n_leaf > 0


def test_half_of_the_genes_still_label_most_cells(mapped):
    own = people(new_donors()[:1])
    half = own[:, np.random.default_rng(1).permutation(own.n_vars)[: own.n_vars // 2]].copy()
    found = pm.map(half, reference())
    assert 0.3 < found.genes.share_of_model < 0.8
    table = found.cells[found.cells["passes_qc"]]
    assert (table["nearest_cell_type"].to_numpy() == truth_of(table)).mean() > 0.85


def test_too_few_genes_are_refused():
    own = people(new_donors()[:1])
    with pytest.raises(DataError, match=r"at least 20% of the reference's label model; 1\d* of"):
        pm.map(own[:, :20].copy(), reference())


def test_names_that_are_no_ids_are_told_from_too_few_genes():
    own = people(new_donors()[:1])
    own.var_names = [f"SYMBOL{number}" for number in range(own.n_vars)]
    with pytest.raises(DataError, match=r"Ensembl ids in var_names, found 'SYMBOL0'.*pmcell map"):
        pm.map(own, reference())


def test_log_values_are_refused():
    own = people(new_donors()[:1])
    own.X = np.log1p(own.X.toarray())
    with pytest.raises(DataError, match="must hold raw counts"):
        pm.map(own, reference())


def test_another_tissue_is_refused_by_its_term():
    own = people(new_donors()[:1])
    own.obs["tissue_ontology_term_id"] = "UBERON:0000006"
    with pytest.raises(DataError, match=r"reference's tissue, blood .*found pancreas"):
        pm.map(own, reference())


def test_counts_under_names_of_other_genes_are_refused():
    own = people(new_donors()[:1])
    rng = np.random.default_rng(0)
    own.X = own.X[:, rng.permutation(own.n_vars)].copy()
    with pytest.raises(DataError, match=r"log shares correlate by -?0\.0"):
        pm.map(own, reference())


def test_cells_unlike_every_type_are_refused():
    own = people(new_donors()[:1])
    # Genes change names with genes that are as frequent, so that only the cells are strange.
    order = np.argsort(np.asarray(own.X.sum(axis=0)).ravel(), kind="stable")
    mixed = np.array([np.random.default_rng(0).permutation(part) for part in order.reshape(-1, 20)])
    names = own.var_names.to_numpy(object)
    renamed = names.copy()
    renamed[order] = names[mixed.ravel()]
    own.var_names = renamed
    with pytest.raises(DataError, match="may be unlike every cell type"):
        pm.map(own, reference())


def test_a_person_whose_cells_are_of_one_type_gets_no_stratum():
    own = people(new_donors())
    kept = own[(cells().obs.loc[own.obs_names, "term"] == TERMS[0]).to_numpy()].copy()
    visits = pm.map(kept, reference()).visits
    assert visits
    for visit in visits:
        assert visit.stratum.stratum is None
        assert visit.stratum.why


def test_too_few_cells_are_refused():
    with pytest.raises(DataError, match="at least 20 cells must pass QC"):
        pm.map(people(new_donors()[:1])[:15].copy(), reference())


def test_a_cell_given_twice_is_refused():
    own = people(new_donors()[:1])
    own.obs_names = ["same", *own.obs_names[1:-1], "same"]
    with pytest.raises(UsageError, match="'same' is there twice"):
        pm.map(own, reference())


def test_a_removed_type_that_is_no_sibling_gets_no_confident_label():
    made = cells()
    old = made[~made.obs["donor_id"].isin(new_donors())]
    kept = old[old.obs["term"] != "CL:0000860"]
    x = log_expression(kept.X.tocsr(), text_array(kept.var_names), reference().space)
    training = LabelledCells(
        x,
        text_array(kept.obs["cell_type"]),
        text_array(kept.obs["batch_id"]),
        text_array(kept.obs["donor_id"]),
    )
    terms = dict(zip(kept.obs["cell_type"], kept.obs["term"], strict=True))
    names = {name: name for name in terms}
    symbols = reference().space.feature_symbols
    labels = fit_labels(training, reference().basis, terms, names, symbols)
    found = pm.map(people(new_donors()), replace(reference(), labels=labels)).cells
    gone = cells().obs.loc[found["cell_id"], "term"].to_numpy() == "CL:0000860"
    answered = found["cell_type"].to_numpy() != "unknown"
    assert gone.sum() > 20
    assert answered[gone].mean() < 0.1
    assert answered[~gone & found["passes_qc"].to_numpy()].mean() > 0.8


def test_what_to_expect_of_an_unseen_site_is_told_for_each_batch():
    unseen = reference().labels.unseen
    assert unseen.why == ""
    assert len(unseen.group) == len(unseen.label_accuracy) == 3
    assert min(unseen.label_accuracy) > 0.9
    assert min(unseen.label_coverage) > 0.8
    assert len(TERMS) == reference().labels.head.types.size


def test_a_batch_left_out_is_judged_by_a_model_that_never_saw_it():
    made = cells()
    # Shifted, so that heads which knew the batch would calibrate the others' sets otherwise.
    shifted = made.obs["batch_id"].to_numpy() == str(made.obs["batch_id"].iloc[0])
    counts = made.X.tocsr().astype(float)
    rng = np.random.default_rng(3)
    counts[shifted] = counts[shifted].multiply(rng.lognormal(0.0, 0.8, made.n_vars)).tocsr()
    reference_ = reference()
    basis, space = reference_.basis, reference_.space
    training = LabelledCells(
        log_expression(counts, text_array(made.var_names), space),
        *(text_array(made.obs[name]) for name in ("cell_type", "batch_id", "donor_id")),
    )
    terms = dict(zip(made.obs["cell_type"], made.obs["term"], strict=True))
    names = {name: name for name in terms}
    unseen = fit_labels(training, basis, terms, names, space.feature_symbols).unseen
    for at, batch in enumerate(unseen.group):
        held = training.batch == batch
        others = fit_labels(training.take(~held), basis, terms, names, space.feature_symbols)
        told = label_expression(training.x[held], others, basis, np.ones(space.features.size, bool))
        kind = np.searchsorted(others.head.types, training.types[held])
        inside = told.sets[np.arange(kind.size), kind].mean()
        assert unseen.label_coverage[at] == pytest.approx(inside, abs=1e-6)
        assert unseen.answered[at] == pytest.approx((told.term != "unknown").mean(), abs=1e-6)


def test_donors_come_back_from_their_arrays():
    arrays, facts = donor_arrays(reference().donors)
    again = donors_from({name: np.asarray(value) for name, value in arrays.items()}, facts)
    assert again.donors.obs.equals(reference().donors.donors.obs)
    assert again.frozen.sets == reference().donors.frozen.sets


def test_a_reference_read_from_its_files_gives_the_same_answer(tmp_path, mapped):
    folder = write_reference_release(tmp_path / "release", reference())
    again = pm.map(people(new_donors()), folder)
    assert again.cells.equals(mapped.cells)
    assert again.visits == mapped.visits


def test_equal_references_have_equal_bytes(tmp_path):
    one = write_reference_release(tmp_path / "one", reference())
    other = write_reference_release(tmp_path / "other", reference())
    for name in ("labels.npz", "donors.npz", "reference.json"):
        assert sha256_file(one / "reference" / name) == sha256_file(other / "reference" / name)
