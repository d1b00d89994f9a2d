"""The folder of a release, read as untrusted input.

Whoever wrote a release decides what its manifest names, what its files declare
and where its links lead. So every read goes through `ReleaseFolder`: a name
must lead to a regular file of the folder, with no link on the way; JSON and
text are bounded; HDF5 and zip files are looked at before a reader opens them;
a failure is a `DataError` that names the file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError
from pmcell.io.atomic import sha256_file
from pmcell.io.json_text import parse_json
from pmcell.io.outputs import MANIFEST
from pmcell.io.submitted.limits import Limits
from pmcell.io.submitted.preflight import open_hdf5, preflight
from pmcell.schema import TABLES, Verdict

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

MAX_TEXT = 64 * 2**20
"""Bytes of a JSON or text file that is read whole."""

MAX_DIGESTED = 64 * 2**20
"""Bytes up to which a file is compared with its digest when it is read; a larger one by its size.

Cells are larger: they are compressed with checksums of their own, and `pmcell verify` reads all.
"""

MAX_ROWS_PER_BYTE = 1000
"""Rows that a Parquet file may declare for each of its bytes; rows have unique keys."""

CHECK = "Check the release with: pmcell verify"


@dataclass(frozen=True)
class ReleaseFolder:
    """Files of the release in the folder `path`, by their name in the manifest."""

    path: Path

    def place(self, name: str) -> Path:
        """Where a name of a file leads, whether or not the file is there.

        Raises
        ------
        DataError
            The name does not stay in the folder, or a link stands on the way.
        """
        if not is_safe_name(name):
            raise DataError(
                f"{self.path}: a file of a release must have a relative path within the folder, "
                f"got {name!r}. Do not use this copy; fetch the release again.",
                reason="unsafe_path",
            )
        place = self.path
        for part in name.split("/"):
            place = place / part
            if place.is_symlink():
                raise DataError(
                    f"{place} must be a file or folder of the release; it is a link. "
                    "Do not use this copy; fetch the release again.",
                    reason="unsafe_path",
                )
        return place

    def listed(self, name: str) -> Path:
        """Where a file lies that is what the manifest says; any file, where it says nothing.

        Raises
        ------
        DataError
            The file is missing, cut, changed, or that of another release.
        """
        place = self.place(name)
        manifest = self.path / MANIFEST
        # While a release is being made there is none.
        entry = _entries(manifest, *file_state(manifest)).get(name) if manifest.is_file() else None
        if not isinstance(entry, dict):
            return place
        found = place.stat() if place.is_file() else None
        is_same = found is not None and found.st_size == entry.get("size")
        if found is not None and is_same and found.st_size <= MAX_DIGESTED:
            is_same = _digest(place, *file_state(place)) == entry.get("sha256")
        if not is_same:
            how = "it is missing" if found is None else "it is another, or damaged"
            raise DataError(
                f"{place} must be the file that {MANIFEST} names; {how}. Fetch or write the "
                "release again.",
                reason="damaged",
            )
        return place

    def has(self, name: str) -> bool:
        """Whether there is a regular file of this name."""
        return self.place(name).is_file()

    def names(self, folder: str, suffix: str) -> list[str]:
        """Names of the files with this suffix that lie in a folder of the release, sorted."""
        found = self.place(folder).glob(f"*{suffix}")
        return sorted(
            f"{folder}/{path.name}" for path in found if path.is_file() and not path.is_symlink()
        )

    def text(self, name: str) -> str:
        """A text of bounded size, empty where there is no such file."""
        place = self.listed(name)
        if not place.is_file():
            return ""
        return read_bounded_text(place)

    def json(self, name: str) -> dict[str, Any]:
        """The object of a JSON file, empty where there is no such file."""
        place = self.listed(name)
        return _read_json(place) if place.is_file() else {}

    def verdict(self) -> Verdict | None:
        """The verdict on strata, None where the release has none; `DataError` for another form."""
        name = "strata.json"
        if not self.listed(name).is_file():
            return None
        return Verdict.from_json(self.json(name), file=str(self.place(name)))

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """A Parquet file that does not declare more rows than it can hold.

        A path given as a file handle keeps '=' in folder names from becoming
        partition columns.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        place = self.listed(name)
        try:
            with place.open("rb") as stream:
                file = pq.ParquetFile(stream)
                check_rows(place, file.metadata.num_rows)
                yield file
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{place} must be a Parquet table; reading it failed: {error}. {CHECK}",
                reason="unreadable_table",
            ) from error

    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        rows: pc.Expression | None = None,
    ) -> pd.DataFrame:
        """A table of `tables/` in memory, or those of its `rows` for which a condition holds."""
        import pyarrow as pa

        with self.parquet(f"tables/{name}.parquet") as file:
            _check_types(self.place(f"tables/{name}.parquet"), name, file.schema_arrow)
            wanted = None if columns is None else list(columns)
            if rows is None:
                return file.read(wanted).to_pandas()
            batches = file.iter_batches(columns=wanted)
            kept = [pa.Table.from_batches([batch]).filter(rows) for batch in batches]
            return pa.concat_tables(kept or [file.read(wanted)]).to_pandas()

    @contextmanager
    def hdf5(self, name: str) -> Iterator[h5py.File]:
        """An HDF5 file that points nowhere else and declares no more than it holds."""
        place = self.listed(name)
        preflight(place, "h5ad")
        try:
            with open_hdf5(place) as file:
                yield file
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise DataError(
                f"{place} must be an AnnData file as pmcell writes it; reading it failed "
                f"({type(error).__name__}: {error}). {CHECK}",
                reason="unreadable_cells",
            ) from error


def file_state(place: Path) -> tuple[int, ...]:
    """What tells a file from another that was put in its place."""
    found = place.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1024)
def _digest(place: Path, *state: int) -> str:
    """Digest of a file, taken again only once its `state` is another."""
    return sha256_file(place)


@lru_cache(maxsize=4)
def _entries(manifest: Path, *state: int) -> dict[str, Any]:
    """What a manifest says of each file, read again only once its `state` is another."""
    files = _read_json(manifest).get("files")
    return files if isinstance(files, dict) else {}


def _read_json(place: Path) -> dict[str, Any]:
    """The object of a JSON file; `DataError` for what is none, empty for other values."""
    try:
        value = parse_json(read_bounded_text(place))
    except ValueError as error:
        raise DataError(
            f"{place} must be JSON; reading it failed: {error}. {CHECK}",
            reason="unreadable_json",
        ) from error
    return value if isinstance(value, dict) else {}


def _check_types(place: Path, name: str, found: pa.Schema) -> None:
    """Raise `DataError` for a column of another kind: numbers for texts would be shown as such.

    A release of an older schema may lack columns, have more, or store wider or narrower numbers.
    """
    from pmcell.io.tables import arrow_schema

    wanted = {table.name: table for table in TABLES}.get(name)
    if wanted is None:
        return
    for column in arrow_schema(wanted):
        at = found.get_field_index(column.name)
        if at < 0:
            continue
        kinds = [_kind_of(kind) for kind in (column.type, found.field(at).type)]
        if kinds[1] not in ("null", kinds[0]):
            raise DataError(
                f"{place}: column {column.name!r} must be of kind {kinds[0]}; it is of kind "
                f"{kinds[1]}. {CHECK}",
                reason="unreadable_table",
            )


def _kind_of(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _kind_of(kind.value_type)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        # A whole number with gaps is stored as a fraction by some writers.
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "list" if pa.types.is_list(kind) or pa.types.is_large_list(kind) else str(kind)


def is_safe_name(name: Any) -> bool:
    """Whether a name is a plain relative path: no way up, no root, no drive, no control sign.

    >>> is_safe_name("cells/alpha.h5ad"), is_safe_name("../x"), is_safe_name("/etc/passwd")
    (True, False, False)
    """
    if not isinstance(name, str) or not name.isprintable() or len(name) > 1024:
        return False
    parts = name.split("/")
    return not set("\\:") & set(name) and all(part not in ("", ".", "..") for part in parts)


def read_bounded_text(place: Path) -> str:
    """UTF-8 text of at most `MAX_TEXT` bytes; `DataError` for more or for other bytes."""
    with place.open("rb") as stream:
        content = stream.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise DataError(
            f"{place} may hold {MAX_TEXT >> 20} MiB of text, found more. {CHECK}",
            reason="too_large",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place} must be UTF-8 text; {error}. {CHECK}", reason="unreadable_text"
        ) from error


def check_rows(place: Path, n_rows: int) -> None:
    """Raise `DataError` for a table that declares more rows than its bytes can stand for."""
    most = MAX_ROWS_PER_BYTE * place.stat().st_size
    if n_rows > most:
        raise DataError(
            f"{place} must not declare more than {MAX_ROWS_PER_BYTE} rows for each of its bytes, "
            f"{most} in all; it declares {n_rows}. {CHECK}",
            reason="bomb",
        )


def check_contents(place: Path) -> None:
    """Raise `DataError` for a file that must not be opened: it points elsewhere, or it is a bomb.

    Looks at HDF5, Parquet and zip (`.npz`) files by what they declare; reads no values.
    """
    if place.suffix == ".h5ad":
        preflight(place, "h5ad")
    elif place.suffix == ".parquet":
        folder = ReleaseFolder(place.parent)
        with folder.parquet(place.name):
            pass
    elif place.suffix == ".npz":
        _check_arrays(place)


def _check_arrays(place: Path) -> None:
    """Arrays must have the size that their headers declare, and not come out of nothing."""
    import numpy as np

    limits = Limits()
    try:
        with zipfile.ZipFile(place) as file:
            for item in file.infolist():
                is_bomb = item.file_size > max(
                    limits.ratio_from, limits.max_ratio * item.compress_size
                )
                with file.open(item) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = {
                        (1, 0): np.lib.format.read_array_header_1_0,
                        (2, 0): np.lib.format.read_array_header_2_0,
                    }[version]
                    shape, _, dtype = read(stream)
                declared = dtype.itemsize
                for side in shape:
                    declared *= int(side)
                if is_bomb or dtype.hasobject or declared > item.file_size:
                    raise ValueError(f"{item.filename} declares {declared} bytes")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(
            f"{place} must hold arrays as numpy writes them, without pickle; {error}. {CHECK}",
            reason="unreadable_arrays",
        ) from error
