"""Stamps: a result that is not what its step wrote is refused before it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pmcell.errors import DataError
from pmcell.io.stamps import check_inputs, read_stamp, stamp_path, write_stamps


def results(root: Path) -> tuple[Path, Path]:
    """Counts of a cohort, and the QC that was made from them, both stamped."""
    folder = root / "results" / "cohorts" / "a"
    folder.mkdir(parents=True)
    counts, cells = folder / "intake.h5ad", folder / "qc.parquet"
    counts.write_bytes(b"counts of " + str(root.name).encode())
    write_stamps("intake", [counts], {"counts.h5ad": "0" * 64}, {"min_cells": 50})
    cells.write_bytes(b"cells of " + str(root.name).encode())
    write_stamps("qc", [cells], check_inputs([counts]), {"n_mads": 5.0}, seed=3)
    return counts, cells


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Path]:
    return results(tmp_path / "one")


def test_a_stamp_tells_what_made_the_file_and_of_what(study):
    counts, cells = study
    stamp = read_stamp(cells)
    assert {key: stamp[key] for key in ("file", "step", "parameters", "seed")} == {
        "file": "qc.parquet",
        "step": "qc",
        "parameters": {"n_mads": 5.0},
        "seed": 3,
    }
    assert stamp["inputs"] == {"cohorts/a/intake.h5ad": read_stamp(counts)["sha256"]}


def test_equal_files_of_two_studies_have_equal_stamps(tmp_path):
    paths = []
    for name in ("here", "there"):
        path = tmp_path / name / "results" / "atlas" / "basis.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"same")
        write_stamps("pca", [path], check_inputs([]), {"n_components": 50})
        paths.append(stamp_path(path))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_whole_files_pass_and_are_named_below_the_results(study):
    assert sorted(check_inputs(study)) == ["cohorts/a/intake.h5ad", "cohorts/a/qc.parquet"]


def test_a_file_without_a_stamp_is_digested_and_not_judged(tmp_path):
    path = tmp_path / "counts.h5ad"
    path.write_bytes(b"x")
    assert read_stamp(path) is None
    assert list(check_inputs([path])) == ["counts.h5ad"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda content: bytes([content[0] ^ 1]) + content[1:], "expected SHA-256"),
        (lambda content: content[:-1], "expected 12 bytes, found 11 bytes"),
        (lambda content: b"", "found 0 bytes"),
    ],
)
def test_a_damaged_file_is_refused_with_what_to_do(study, damage, found):
    _, cells = study
    cells.write_bytes(damage(cells.read_bytes()))
    with pytest.raises(DataError, match=found) as caught:
        check_inputs(study)
    assert f"Run again after: rm {cells}" in str(caught.value)
    assert caught.value.reason == "corrupt_intermediate"
    assert caught.value.exit_code == 3


def test_a_file_of_another_study_is_refused_even_with_its_stamp(study, tmp_path):
    counts, cells = study
    other, _ = results(tmp_path / "two")
    shutil.copyfile(other, counts)
    shutil.copyfile(stamp_path(other), stamp_path(counts))
    check_inputs([counts])
    with pytest.raises(DataError, match=r"must have been made from .*intake.h5ad as it is now"):
        check_inputs([counts, cells])


def test_a_damaged_stamp_is_told_from_a_damaged_file(study):
    _, cells = study
    stamp_path(cells).write_text('{"file": ')
    with pytest.raises(DataError, match="must be the provenance stamp") as caught:
        check_inputs(study)
    assert str(stamp_path(cells)) in str(caught.value)
    assert caught.value.reason == "corrupt_stamp"


def test_the_stamp_of_another_file_is_no_stamp_of_this_one(study):
    counts, cells = study
    shutil.copyfile(stamp_path(counts), stamp_path(cells))
    with pytest.raises(DataError, match="it is no stamp of that file"):
        read_stamp(cells)


def test_a_forged_digest_is_found(study):
    _, cells = study
    stamp = json.loads(stamp_path(cells).read_text())
    stamp_path(cells).write_text(json.dumps(stamp | {"sha256": "0" * 64}))
    with pytest.raises(DataError, match="expected SHA-256 0000"):
        check_inputs([cells])
