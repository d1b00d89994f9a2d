"""Parts of a release by name: tables and cells, each opened when it is asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.release.folder import CHECK, check_contents
from pmcell.schema import TABLES
from pmcell.spelling import did_you_mean, nearest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds


BATCH_ROWS = 1 << 20


class MissingPart(DataError, KeyError):
    """The release has no part of this name."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class ReleaseTable:
    """One Parquet table, not in memory: `to_pandas`, `to_arrow`, or the Arrow `dataset`."""

    path: Path

    @property
    def dataset(self) -> ds.Dataset:
        """The table as a pyarrow dataset: filters skip row groups."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        check_contents(self.path)
        try:
            return ds.dataset(self.path, format="parquet")
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def to_arrow(self, columns: str | Sequence[str] | None = None, filter: Any = None) -> pa.Table:
        """Read it, or some columns and the rows that an Arrow expression keeps."""
        import pyarrow as pa

        chosen = [columns] if isinstance(columns, str) else columns
        dataset = self.dataset
        self._require(chosen or (), dataset.schema.names)
        try:
            return dataset.to_table(columns=None if chosen is None else list(chosen), filter=filter)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def to_pandas(
        self, columns: str | Sequence[str] | None = None, filter: Any = None
    ) -> pd.DataFrame:
        """The same as a data frame."""
        return self.to_arrow(columns, filter).to_pandas()

    def head(self, n: int = 5) -> pd.DataFrame:
        """The first rows; no others are read."""
        return self.dataset.head(n).to_pandas()

    def batches_with(
        self, column: str, texts: Collection[str], columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Columns of the row groups that may hold one of the texts; `column` comes as codes.

        Rows of other texts are among them. A filter would make a text of each row, which takes
        ten times as long.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        check_contents(self.path)
        wanted = sorted(texts)
        try:
            file = pq.ParquetFile(self.path, read_dictionary=[column])
            place, groups = file.schema_arrow.get_field_index(column), []
            for number in range(file.metadata.num_row_groups):
                known = file.metadata.row_group(number).column(place).statistics
                is_unknown = known is None or not known.has_min_max
                low, high = ("", "") if is_unknown else (known.min, known.max)
                if is_unknown or bisect_left(wanted, low) < bisect_right(wanted, high):
                    groups.append(number)
            yield from file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(columns))
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            raise self._unreadable(error) from error

    def describe(self) -> pd.DataFrame:
        """Each column with its type, unit, ontology, concept and meaning."""
        import pandas as pd

        keys = ("unit", "ontology", "term", "prose")
        rows = []
        for field in self.dataset.schema:
            said = field.metadata or {}
            rows.append(
                {"column": field.name, "type": str(field.type)}
                | {key: said.get(f"pmcell:{key}".encode(), b"").decode() for key in keys}
            )
        return pd.DataFrame(rows).set_index("column")

    def _require(self, asked: Sequence[str], there: Sequence[str]) -> None:
        """`UsageError` for a column that no release has; one that this file lacks is its fault."""
        name = self.path.stem
        fields = {field.name for table in TABLES if table.name == name for field in table.fields}
        for column in asked:
            if column not in there and column not in fields:
                near = did_you_mean(column, there) or _with_ending(column, there)
                raise UsageError(
                    f"columns must be those of the table {name} ({', '.join(there)}), "
                    f"got {column!r}. {near}".strip()
                )

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"{self.path} must be a Parquet table with the columns asked for; reading it failed: "
            f"{error}. {CHECK}",
            reason="unreadable_table",
        )

    def __len__(self) -> int:
        return int(self.dataset.count_rows())

    def __repr__(self) -> str:
        return f"{self.path.stem}: {len(self):,} rows, {', '.join(self.dataset.schema.names)}"


def _with_ending(column: str, there: Sequence[str]) -> str:
    """The question after a column of terms of which somebody wrote the beginning: disease, sex."""
    short = {name.removesuffix("_ontology_term_id"): name for name in there}
    near = nearest(column, short)
    return f"Did you mean {short[near]!r}?" if near is not None else ""


class Parts(Mapping[str, Any]):
    """Files of one kind by name, opened when asked for; a misspelt name is answered."""

    def __init__(self, kind: str, paths: Mapping[str, Path], opener: Callable[[Path], Any]) -> None:
        self._kind, self._paths, self._open = kind, paths, opener

    def __getitem__(self, name: str) -> Any:
        if name not in self._paths:
            there = ", ".join(self._paths) or "none"
            hint = did_you_mean(name, self._paths)
            raise MissingPart(f"no {self._kind} {name!r}; there are {there}. {hint}".strip())
        return self._open(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def _ipython_key_completions_(self) -> list[str]:
        """What the tab key offers between the brackets, in IPython and Jupyter."""
        return list(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"{len(self)} × {self._kind}: {', '.join(self)}"
