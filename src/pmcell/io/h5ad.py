"""Write and read small AnnData objects (no cells × genes matrix) between steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import DataError
from pmcell.io.atomic import atomic_path

if TYPE_CHECKING:
    from anndata import AnnData


def write_h5ad(target: Path | str, adata: AnnData) -> None:
    """Write an AnnData atomically, compressed."""
    with atomic_path(target) as temporary:
        adata.write_h5ad(temporary, compression="gzip")


def read_h5ad(path: Path | str) -> AnnData:
    """Read an AnnData that pmcell wrote; `DataError` when it is missing or damaged."""
    import anndata

    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} must be a file that an earlier step wrote; reading it failed ({error}). "
            f"Remove it and run again.",
            reason="corrupt_intermediate",
        ) from error
