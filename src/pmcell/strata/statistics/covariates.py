"""Covariates of the donors: read as numbers or categories, or refused with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.errors import UsageError
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text, text_array
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

TECHNICAL = (
    "batch_id",
    "cohort_id",
    "region",
    "assay_ontology_term_id",
    "suspension_type",
    "n_cells",
    "n_samples",
    "median_total_counts",
    "median_share_mitochondrial",
    "hours_to_processing",
)
CLINICAL = (
    "condition",
    "disease_ontology_term_id",
    "sex_ontology_term_id",
    "age_group",
    "development_stage_ontology_term_id",
    "self_reported_ethnicity_ontology_term_id",
    "tissue_ontology_term_id",
    "visit_day",
)
MIN_DONORS = 5
MAX_LEVELS_SHARE = 0.5
"""A covariate with more levels than half of the donors names donors, it does not group them."""


@dataclass(frozen=True)
class Variable:
    """One value a donor: numbers, or category codes from 0; `known` marks donors that have it."""

    name: str
    values: Floats
    numeric: bool
    known: NDArray[np.bool_]


def read(column: pd.Series[Any], name: str) -> Variable | str:
    """The covariate, or why it is not tested."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        values = column.to_numpy(float)
        known = np.isfinite(values)
        levels, numeric = np.unique(values[known]).size, True
        variable = Variable(name, values, True, known)
    else:
        text = as_text(column).to_numpy(object)
        known = (text != UNKNOWN) & (text != "")
        levels, numeric = np.unique(text_array(text[known])).size, False
        variable = category(name, text, known)
    if known.sum() < MIN_DONORS:
        return f"known for {plural(int(known.sum()), 'donor')}, {MIN_DONORS} are needed"
    if levels < 2:
        n_unknown = int((~known).sum())
        return "the same for every donor" + (f", unknown for {n_unknown}" if n_unknown else "")
    if not numeric and levels > MAX_LEVELS_SHARE * known.sum():
        return f"{levels} levels in {int(known.sum())} donors"
    return variable


def category(name: str, text: NDArray[Any], known: NDArray[np.bool_]) -> Variable:
    """A covariate of codes, in the order of its sorted levels."""
    codes = np.zeros(text.size, np.int64)
    codes[known] = np.unique(text_array(text[known]), return_inverse=True)[1]
    return Variable(name, codes.astype(np.float64), False, known)


@dataclass(frozen=True)
class Design:
    """Columns that a model is adjusted for (rows, q), NaN where a row's value is unknown.

    `names` has the covariate of each column and `used` each of them once;
    `left_out` says why others are not there.
    """

    columns: Floats
    names: tuple[str, ...]
    used: tuple[str, ...]
    left_out: dict[str, str]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Rows that have every value."""
        return np.asarray(np.isfinite(self.columns).all(axis=1), np.bool_)

    @property
    def notes(self) -> list[str]:
        """What the model is not adjusted for, and why."""
        return [f"not adjusted for {name}: {why}" for name, why in self.left_out.items()]

    def of(self, chosen: NDArray[np.bool_]) -> Floats:
        """The columns of some rows, without those of levels that none of them has."""
        own = self.columns[chosen]
        return own[:, np.ptp(own, axis=0) > 0] if len(own) else own


def column_of(table: pd.DataFrame, name: str) -> str | None:
    """The column that holds `name`: itself, or the harmonised one ('sex', 'age').

    >>> import pandas as pd
    >>> column_of(pd.DataFrame({"sex_ontology_term_id": ["a"]}), "sex")
    'sex_ontology_term_id'
    """
    forms = (name, f"{name}_ontology_term_id", f"{name}_group", f"{name}_id")
    return next((form for form in forms if form in table), None)


def design(table: pd.DataFrame, names: tuple[str, ...]) -> Design:
    """Covariates as columns: numbers in standard deviations, categories against their first level.

    Raises UsageError for a name that is no column.
    """
    parts: list[Floats] = []
    names_of: list[str] = []
    used: list[str] = []
    left_out: dict[str, str] = {}
    for name in names:
        column = column_of(table, name)
        if column is None:
            raise UsageError(
                f"covariates must be columns; {name!r} is none of "
                f"{sorted(map(str, table.columns))}. "
                "Correct the name, or add the column to the donors or the clinical table."
            )
        variable = read(table[column], column)
        if isinstance(variable, str):
            left_out[column] = variable
            continue
        values = np.where(variable.known, variable.values, np.nan)
        if variable.numeric:
            parts.append((values - np.nanmean(values))[:, None] / np.nanstd(values))
        else:
            levels = np.unique(values[variable.known])[1:]
            member = (values[:, None] == levels[None, :]).astype(np.float64)
            parts.append(np.where(variable.known[:, None], member, np.nan))
        used.append(column)
        names_of += [column] * parts[-1].shape[1]
    columns = np.hstack(parts) if parts else np.zeros((len(table), 0))
    return Design(columns, tuple(names_of), tuple(used), left_out)
