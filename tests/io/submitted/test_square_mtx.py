"""A square Matrix Market file is read as its values lie, or refused where they do not tell."""

from __future__ import annotations

import numpy as np
import pytest

from pmcell.errors import DataError
from pmcell.io.submitted.readers import inspect, iter_counts
from submissions import barcode, write_mtx

N = 60
EXPRESSED = [f"RPL{k}" for k in range(3, 15)] + [f"RPS{k}" for k in range(2, 10)] + ["MT-CO1"]


def names(expressed):
    """`expressed` at every second place, other genes (and pseudogenes) between and behind them."""
    others = [f"RPL{k}P{k}" if k % 5 == 0 else f"G{k}" for k in range(N - len(expressed))]
    mixed = [name for pair in zip(others, expressed, strict=False) for name in pair]
    return mixed + others[len(expressed) :]


def counts_of(genes, *, rate=9.0):
    rng = np.random.default_rng(4)
    is_expressed = np.isin(genes, EXPRESSED)
    depth = rng.lognormal(sigma=0.4, size=(N, 1))
    return rng.poisson(np.where(is_expressed, rate, 0.5) * depth)


def write_square(folder, counts, genes, *, is_turned, order="cells", comment="%made by hand"):
    stored = counts.T if is_turned else counts
    write_mtx(
        folder, stored, [barcode(k) for k in range(N)], packed=False, order=order, genes=genes
    )
    path = folder / "matrix.mtx"
    path.write_text(path.read_text().replace("%made by hand", comment))
    return folder


def dense(submission):
    return np.vstack([block.toarray() for _, block in iter_counts(submission)])


@pytest.mark.parametrize("order", ["cells", "shuffled"])
@pytest.mark.parametrize(
    ("is_turned", "lies"), [(False, "genes_by_cells"), (True, "cells_by_genes")]
)
def test_genes_that_all_cells_express_tell_their_side(tmp_path, is_turned, lies, order):
    genes = names(EXPRESSED)
    counts = counts_of(genes)
    submission = inspect(
        write_square(tmp_path / "m", counts, genes, is_turned=is_turned, order=order)
    )
    assert submission.detail["orientation"] == lies
    np.testing.assert_array_equal(dense(submission), counts)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize(("expressed", "rate"), [([], 9.0), (EXPRESSED[:9], 9.0), (EXPRESSED, 0.5)])
def test_a_square_that_does_not_tell_is_refused_until_it_is_said(
    tmp_path, expressed, rate, is_turned
):
    genes = names(expressed)
    counts = counts_of(genes, rate=rate)
    folder = write_square(tmp_path / "m", counts, genes, is_turned=is_turned)
    with pytest.raises(DataError, match=r"Set matrix\.orientation in cohort\.yaml to") as error:
        inspect(folder)
    assert error.value.reason == "ambiguous_orientation"
    said = inspect(folder, orientation="cells_by_genes" if is_turned else "genes_by_cells")
    np.testing.assert_array_equal(dense(said), counts)


def test_values_come_before_the_comment_of_cell_ranger_which_decides_where_they_do_not_tell(
    tmp_path,
):
    comment = '%metadata_json: {"software_version": "cellranger-7.1.0", "format_version": 2}'
    for name, genes, is_turned in (("a", names([]), False), ("b", names(EXPRESSED), True)):
        counts = counts_of(genes)
        folder = write_square(tmp_path / name, counts, genes, is_turned=is_turned, comment=comment)
        np.testing.assert_array_equal(dense(inspect(folder)), counts)


def test_a_square_with_positions_outside_is_refused_as_any_other(tmp_path):
    genes = names(EXPRESSED)
    folder = write_square(tmp_path / "m", counts_of(genes), genes, is_turned=False)
    path = folder / "matrix.mtx"
    path.write_text(
        path.read_text().replace("\n1 1 ", f"\n{N + 1} 1 ", 1).replace("\n2 1 ", f"\n{N + 1} 1 ", 1)
    )
    with pytest.raises(DataError, match="matrix") as error:
        dense(inspect(folder))
    assert error.value.reason == "index_out_of_range"
