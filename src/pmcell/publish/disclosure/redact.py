"""Redaction: what of a table's rows a release may show, by the table's class alone.

A table that says nothing of itself is refused, and one that says only its class loses its
rows, or those of withheld cohorts. `redactions` holds what single tables need besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redactions import OF_ROWS, RULES
from pmcell.schema import Table
from pmcell.schema.disclosure import DESCRIPTION, INDIVIDUAL, Disclosure

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def redact(table: Table, frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Return the rows of `frame` that may be published, without what they may not tell.

    Parameters
    ----------
    table
        The published table; its class of disclosure decides.
    frame
        Its rows over all cohorts.
    policy
        Who may be shown.

    Raises
    ------
    ValueError
        Where the table has no class, or names a rule that does not exist.
    """
    told = disclosure_of(table)
    if told.kind == INDIVIDUAL:
        frame = frame[policy.shown_rows(frame, told.ids)]
    if told.private:
        frame = _without_private(frame, told.private, policy)
    if not policy.has_strata:
        frame = _without_strata(table, told, frame)
    if told.rule:
        return RULES[told.rule](frame, policy)
    if told.kind not in (INDIVIDUAL, DESCRIPTION) and policy.is_mixed:
        return frame.iloc[:0]
    return frame


def redact_coded(table: Table, rows: pa.Table, policy: Policy) -> pa.Table:
    """Return what `redact` does of rows whose text is in dictionaries: who is shown is looked up
    once a person.

    Raises
    ------
    ValueError
        Where the class of the table asks for more than to leave out rows of people, or by a rule
        of rows.
    """
    told = disclosure_of(table)
    if told.rule in OF_ROWS:
        kept = redact(table, rows.to_pandas(), policy).index
        return rows if len(kept) == rows.num_rows else rows.take(kept.to_numpy())
    if told.kind != INDIVIDUAL or told.private or told.strata or told.needs_strata or told.rule:
        raise ValueError(
            f"table {table.name!r} must be of rows about single people and nothing else to be "
            f"redacted by codes; its class is {told}"
        )
    shown = np.ones(rows.num_rows, bool)
    for name in told.ids:
        column = rows[name].combine_chunks()
        is_shown = policy.shown(column.dictionary.to_pylist())
        shown &= is_shown[column.indices.to_numpy()]
    return rows if shown.all() else rows.filter(shown)


def disclosure_of(table: Table) -> Disclosure:
    """Return the class of a table; `ValueError` where it cannot be published by it."""
    if table.disclosure is None:
        raise ValueError(
            f"table {table.name!r} must have a class of disclosure before it is published; "
            "give it one where it is spelled, in pmcell.schema"
        )
    if table.disclosure.rule and table.disclosure.rule not in RULES:
        raise ValueError(
            f"table {table.name!r} must name a rule of publish/disclosure/redactions.py, "
            f"{', '.join(sorted(RULES))}; got {table.disclosure.rule!r}"
        )
    return table.disclosure


def _without_private(frame: pd.DataFrame, columns: tuple[str, ...], policy: Policy) -> pd.DataFrame:
    closed = ~frame["cohort_id"].isin(policy.open_cohorts)
    return frame.assign(**{name: frame[name].astype(object).mask(closed, None) for name in columns})


def _without_strata(table: Table, told: Disclosure, frame: pd.DataFrame) -> pd.DataFrame:
    if told.needs_strata:
        return frame.iloc[:0]
    absent = {name: None if table.field(name).kind == "string" else np.nan for name in told.strata}
    return frame.assign(**absent)
