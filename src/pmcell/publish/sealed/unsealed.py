"""Open a sealed package of a controlled cohort: cells and tables, with no plaintext on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, FaultsError, PmcellError, UsageError
from pmcell.io.crypt.keys import (
    PRIVATE_KEY,
    SIGNER_PUBLIC_KEY,
    named_file,
    read_passphrase,
    read_private_key,
    read_signer,
)
from pmcell.io.submitted.limits import Limits
from pmcell.io.submitted.preflight import scan_open_hdf5
from pmcell.publish.sealed.sealed import open_member, package_faults, read_manifest

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pmcell.io.crypt.crypt4gh import Crypt4ghReader


def open_controlled(
    path: Path | str,
    *,
    key: Path | str | None = None,
    signer: Path | str | None = None,
    passphrase: Callable[[], str] = read_passphrase,
) -> Controlled:
    """Check the package in folder `path` and open it.

    `key` is the file of your Crypt4GH private key (default: the file that
    `PMCELL_PRIVATE_KEY_FILE` names), `signer` that of the sender's public key
    (`PMCELL_SIGNER_PUBLIC_KEY_FILE`), which must have come to you by another
    way than the package. Raises `DataError` when the manifest is not signed by
    it, `FaultsError` with every file that is missing, changed or not listed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"a sealed package must be a folder; {str(path)!r} is not one")
    signer_file = (
        Path(signer)
        if signer
        else named_file(SIGNER_PUBLIC_KEY, "the signer's public key", secret=False)
    )
    manifest = read_manifest(folder, read_signer(signer_file))
    faults = package_faults(folder, manifest)
    if faults:
        raise FaultsError(faults)
    key_path = Path(key) if key else named_file(PRIVATE_KEY, "your private key")
    return Controlled(folder, manifest, read_private_key(key_path, passphrase))


class Controlled:
    """An opened package. Plaintext is only in memory, a few segments at a time."""

    def __init__(self, folder: Path, manifest: dict[str, Any], private_key: bytes) -> None:
        self._folder, self.manifest, self._key = folder, manifest, private_key

    def __repr__(self) -> str:
        return f"Controlled({self.cohort_id!r}, files={self.files})"

    @property
    def cohort_id(self) -> str:
        """The cohort whose cells and rows these are."""
        return str(self.manifest["cohort_id"])

    @property
    def files(self) -> list[str]:
        """Names of the files, as they would be in a release."""
        return sorted(self.manifest["files"])

    def open(self, name: str) -> Crypt4ghReader:
        """One file as a seekable binary stream, for h5py, pyarrow or `read`."""
        return open_member(self._folder, self.manifest, name, self._key)

    def cells(self) -> AnnData:
        """The cells of the cohort, in memory.

        The file is looked at as a submitted one is, before it is read:
        `FaultsError` names what would lead out of it or declare too much.
        """
        import h5py
        from anndata.io import read_elem

        name = f"cells/{self.cohort_id}.h5ad"
        with self.open(name) as stream, _readable(name), h5py.File(stream, "r") as file:
            faults = scan_open_hdf5(file, name, Limits())
            if faults:
                raise FaultsError(faults)
            return _checked(read_elem(file), name)

    def table(self, name: str) -> pd.DataFrame:
        """One table of the cohort's rows, such as `donors`."""
        import pyarrow.parquet as pq

        with self.open(f"tables/{name}.parquet") as stream, _readable(name):
            return pq.ParquetFile(stream).read().to_pandas()


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn a library's failure on a sender's file into a `DataError` that names it."""
    try:
        yield
    except PmcellError:
        raise
    except Exception as error:  # foreign bytes make a reader raise whatever they like
        raise DataError(
            f"{name} of the package must be readable; reading it failed "
            f"({type(error).__name__}: {error}). Ask the sender for a sound file.",
            reason="unreadable",
        ) from error


def _checked(cells: AnnData, name: str) -> AnnData:
    """The cells, if no index of a sparse matrix points outside it: `DataError` if one does."""
    from scipy import sparse

    matrices = [cells.X, *cells.layers.values(), *([cells.raw.X] if cells.raw is not None else [])]
    for matrix in filter(sparse.issparse, matrices):
        try:
            matrix.check_format(full_check=True)
        except ValueError as error:
            raise DataError(
                f"{name}: a sparse matrix must have its values inside its shape; {error}. Ask the "
                "sender for a sound file.",
                reason="bad_indices",
            ) from error
    return cells
