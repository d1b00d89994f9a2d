"""Open a sealed package of a controlled cohort: cells and tables, with no plaintext on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import FaultsError, UsageError
from pmcell.io.keys import (
    PRIVATE_KEY,
    SIGNER_PUBLIC_KEY,
    named_file,
    read_passphrase,
    read_private_key,
    read_signer,
)
from pmcell.publish.sealed import open_member, package_faults, read_manifest

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pmcell.io.crypt4gh import Crypt4ghReader


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
        """The cells of the cohort, in memory."""
        import h5py
        from anndata.io import read_elem

        with self.open(f"cells/{self.cohort_id}.h5ad") as stream, h5py.File(stream, "r") as file:
            return read_elem(file)

    def table(self, name: str) -> pd.DataFrame:
        """One table of the cohort's rows, such as `donors`."""
        import pyarrow.parquet as pq

        with self.open(f"tables/{name}.parquet") as stream:
            return pq.read_table(stream).to_pandas()
