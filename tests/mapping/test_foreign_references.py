"""A reference of somebody's release: arrays that do not fit are refused by name."""

from __future__ import annotations

import re
import shutil

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from made_reference import (
    new_donors,
    people,
    reference,
    write_manifest,
    write_reference_release,
)
from pmcell.cli import main
from pmcell.errors import DataError
from pmcell.io.arrays import read_arrays, write_arrays
from pmcell.io.atomic import read_json, write_json
from pmcell.mapping.form import FORM_OF, check_form
from pmcell.release.reference import map as map_onto
from pmcell.release.reference import open_reference


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_reference_release(tmp_path_factory.mktemp("map") / "release", reference())


@pytest.fixture
def copy(release, tmp_path):
    return shutil.copytree(release, tmp_path / "release")


def tamper(folder, file, **changes):
    """Change arrays of a file and write a manifest that agrees, as who wrote the release can."""
    place = folder / "reference" / f"{file}.npz"
    arrays = read_arrays(place)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    write_arrays(place, **arrays)
    write_manifest(folder)


def test_a_sound_reference_has_the_form(release):
    check_form(open_reference(release))
    assert set(FORM_OF) > {"space.gene_ids", "labels.terms", "residual.mean"}


def with_nan(array):
    array = array.copy()
    array.flat[0] = np.nan
    return array


def negative(array):
    array = array.copy()
    array.flat[-1] = -7
    return array


def shorter(array):
    return array[:-1]


def flat(array):
    return array.ravel()


def as_text(array):
    return array.astype(str)


def huge(array):
    return array + 10**9


def alike(array):
    return np.repeat(array[:1], array.size)


@pytest.mark.parametrize(
    ("file", "name", "change", "said"),
    [
        (
            "labels",
            "head__centre",
            with_nan,
            "labels.head.centre of numbers; found 1 that are none",
        ),
        ("labels", "head__coefficients", with_nan, "labels.head.coefficients of numbers"),
        ("labels", "calibration__distance", with_nan, "labels.calibration.distance of numbers"),
        ("labels", "space__share", negative, "space.share not below 0"),
        ("labels", "space__model", negative, "space.model from 0 to"),
        ("labels", "space__model", huge, "space.model from 0 to"),
        ("labels", "space__gene_ids", shorter, "space.symbols of shape"),
        ("labels", "space__gene_ids", alike, "space.gene_ids each once"),
        ("labels", "head__types", shorter, "of shape"),
        ("labels", "head__directions", flat, "labels.head.directions of shape"),
        ("labels", "head__means", as_text, "labels.head.means of kind 'f'"),
        ("labels", "terms", shorter, "labels.terms of shape"),
        ("labels", "mixture__n", negative, "mixture.n not below 0"),
        ("labels", "mixture__anchor_map", shorter, "mixture.anchor_map of shape"),
        ("labels", "residual__variance", negative, "residual.variance not below 0"),
        ("basis", "means", shorter, "reference"),
        ("basis", "components", with_nan, "basis.components of numbers"),
        ("basis", "scales", negative, "basis.scales not below 0"),
        ("donors", "rows", shorter, "reference"),
        ("donors", "X", flat, "reference"),
    ],
)
def test_an_array_of_another_form_is_named(copy, file, name, change, said):
    tamper(copy, file, **{name: change})
    with pytest.raises(DataError, match=said) as caught:
        open_reference(copy)
    assert "release" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("qc", {"min_gens": 3}),
        ("qc", None),
        ("batches", 7),
        ("n_cells", "many"),
        ("n_donors", True),
        ("release_version", None),
        ("tissue_ontology_term_id", []),
        ("unseen_site", {"unit": 1, "nothing": 2}),
        ("donors", []),
    ],
)
def test_facts_of_another_form_are_a_sentence(copy, key, value):
    place = copy / "reference" / "reference.json"
    write_json(place, {**read_json(place), key: value})
    write_manifest(copy)
    with pytest.raises(DataError, match="reference"):
        open_reference(copy)


def test_pickles_in_an_array_file_are_never_loaded(copy, tmp_path):
    ran = tmp_path / "ran"

    class Planted:
        def __reduce__(self):
            return open, (str(ran), "w")

    place = copy / "reference" / "labels.npz"
    arrays = read_arrays(place)
    arrays["terms"] = np.array([Planted()] * arrays["terms"].size, object)
    np.savez_compressed(place, **arrays)
    write_manifest(copy)
    with pytest.raises(DataError, match="without pickle"):
        open_reference(copy)
    assert not ran.exists()


def test_what_the_form_does_not_know_ends_in_a_sentence_too(release, monkeypatch):
    from pmcell.mapping import mapper

    def fails(*_):
        raise IndexError("index 9 is out of bounds")

    monkeypatch.setattr(mapper, "map_cells", fails)
    with pytest.raises(DataError, match=r"IndexError: index 9.*pmcell verify"):
        map_onto(people(new_donors()), release)


def sample(change) -> ad.AnnData:
    made = people(new_donors()[:1])
    return change(made)


def few(made):
    return made[:1].copy()


def zeros(made):
    made.X = sp.csr_matrix(made.shape, dtype=np.float32)
    return made


def none(made):
    return made[:0].copy()


def repeated(made):
    made.var_names = [made.var_names[0]] * made.n_vars
    return made


def versions(made):
    made.var_names = [f"{name}.7" for name in made.var_names]
    return made


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (few, "at least 20 cells must pass QC"),
        (zeros, "no counts|must pass QC|empty|zero"),
        (none, "no cells|at least one cell|must have cells|empty"),
        (repeated, "genes"),
    ],
)
def test_samples_that_cannot_be_mapped_are_refused(release, tmp_path, capsys, change, said):
    path = tmp_path / "people.h5ad"
    sample(change).write_h5ad(path)
    code = main(["map", str(path), "--release", str(release), "--out", str(tmp_path / "out")])
    told = capsys.readouterr().err
    assert code in (2, 3)
    assert re.search(said, told)
    assert not (tmp_path / "out").exists()


def test_versions_of_gene_ids_do_not_matter(release, tmp_path):
    for name, change in (("plain", lambda made: made), ("versions", versions)):
        path = tmp_path / f"{name}.h5ad"
        sample(change).write_h5ad(path)
        out = tmp_path / f"out_{name}"
        assert main(["map", str(path), "--release", str(release), "--out", str(out)]) == 0
    first, second = (
        read_json(tmp_path / f"out_{name}" / "mapped.json")["visits"]
        for name in ("plain", "versions")
    )
    labels = [[visit["labels"] for visit in visits] for visits in (first, second)]
    assert labels[0] == labels[1]
