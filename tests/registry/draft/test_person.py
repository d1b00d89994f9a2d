"""What `pmcell map` takes of a person's file is safe to write, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from cohorts_on_disk import barcodes, cell_counts, gene_names
from pmcell.errors import DataError
from pmcell.registry.draft.person import rewrite
from submissions import write_mtx, write_zarr


def rewritten(path, tmp_path):
    return rewrite(str(path), str(tmp_path / "out.h5ad"), {}, None, "auto")


def test_a_byte_that_is_no_text_is_named_wherever_it_stands(tmp_path):
    names = barcodes()
    whole = write_mtx(tmp_path / "whole", cell_counts(), names, packed=False, genes=gene_names())
    assert rewritten(whole, tmp_path)["n_cells"] == len(names)
    names[3] = "\0" + names[3]
    broken = write_mtx(tmp_path / "broken", cell_counts(), names, packed=False, genes=gene_names())
    with pytest.raises(DataError, match=r"barcodes and labels .* found '.{0,40}\\x00"):
        rewritten(broken, tmp_path)
    obs = {"sample_id": np.array(["a\0"] * len(names), dtype=object)}
    store = write_zarr(tmp_path / "s.zarr", cell_counts(), barcodes(), genes=gene_names(), obs=obs)
    with pytest.raises(DataError, match=r"barcodes and labels .* found 'a\\x00"):
        rewritten(store, tmp_path)
