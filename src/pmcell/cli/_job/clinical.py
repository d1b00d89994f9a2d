"""Which clinical outcomes the study declares, and the table that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.settings.donors import StrataSettings

SEPARATORS = {".tsv": "\t", ".csv": ",", ".txt": "\t"}
NOT_VALUES = ("donor_id", "visit", "visit_day")


@dataclass(frozen=True)
class Plan:
    """What of the section `strata` concerns clinical values."""

    table: pd.DataFrame | None
    outcomes: tuple[str, ...]
    time: str
    event: str
    covariates: tuple[str, ...]
    adjust_for: tuple[str, ...]

    @classmethod
    def read(cls, settings: StrataSettings, given: Path | None = None) -> Plan:
        """The plan of a section, with its table or the one given; `UsageError` without the file."""
        path = given or (Path(settings.clinical) if settings.clinical else None)
        survival = settings.survival
        return cls(
            table=None if path is None else read_clinical(path),
            outcomes=settings.outcomes,
            time=survival["time"] if survival else "",
            event=survival["event"] if survival else "",
            covariates=settings.covariates,
            adjust_for=settings.adjust_for,
        )

    def check(self, visits: pd.DataFrame) -> None:
        """`UsageError` naming every declared column that `visits` does not have."""
        from pmcell.strata.statistics.covariates import column_of

        wanted = [*self.outcomes, *filter(None, (self.time, self.event))]
        adjusted = (*self.adjust_for, *(self.covariates if wanted else ()))
        missing = [name for name in wanted if name not in visits]
        missing += [name for name in adjusted if column_of(visits, name) is None]
        if missing:
            raise UsageError(
                f"columns declared in section 'strata' must be in the clinical table or the "
                f"cohorts; {', '.join(map(repr, dict.fromkeys(missing)))} are not. There are "
                f"{', '.join(sorted(map(str, visits.columns)))}"
            )

    @property
    def measured(self) -> tuple[str, ...]:
        """Columns of the clinical table that hold values."""
        if self.table is None:
            return ()
        return tuple(str(name) for name in self.table if name not in NOT_VALUES)

    @property
    def tested(self) -> tuple[str, ...]:
        """Columns that are tested like other clinical facts: all but those of survival."""
        return tuple(name for name in self.measured if name not in (self.time, self.event))


def read_clinical(path: Path) -> pd.DataFrame:
    """The clinical table of a study, by the suffix of its name."""
    import pandas as pd

    if not path.is_file():
        raise UsageError(f"strata.clinical must name a file; there is no {path}")
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    elif path.suffix in SEPARATORS:
        keys = {"donor_id": str, "visit": str}
        table = pd.read_csv(path, sep=SEPARATORS[path.suffix], dtype=keys)
    else:
        raise UsageError(
            f"strata.clinical must be one of {', '.join([*SEPARATORS, '.parquet'])}; found {path}"
        )
    if "donor_id" not in table:
        raise UsageError(f"{path} must have a column donor_id; it has {list(table.columns)}")
    empty = table["donor_id"].isna() | as_text(table["donor_id"]).eq("")
    if "visit" in table:
        table["visit"] = table["visit"].fillna("unknown")
    if empty.any():
        row = int(empty.to_numpy().argmax()) + 2
        raise UsageError(f"every row of {path} must have a donor_id; line {row} has none")
    return table
