"""Columns of lists: kept as lists, missing only where the schema allows it."""

from dataclasses import replace

import pandas as pd
import pytest

from pmcell.errors import DataError
from pmcell.io.tables import read_table, write_table
from pmcell.schema import Field, Table

LISTS = Table(
    "lists",
    "Lists.",
    ("name",),
    (
        Field("name", "string", "Name."),
        Field("terms", "list<string>", "Terms; null where not known.", required=False),
    ),
)


def frame(*values):
    return pd.DataFrame(
        {"name": list("abc")[: len(values)], "terms": pd.Series(list(values), dtype=object)}
    )


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_list_may_be_missing_where_it_is_not_required(tmp_path, missing):
    write_table(tmp_path / "lists.parquet", frame(["x", "y"], [], missing), LISTS)
    found = read_table(tmp_path / "lists.parquet")["terms"]
    assert [None if own is None else list(own) for own in found] == [["x", "y"], [], None]


def test_a_missing_list_is_refused_where_it_is_required(tmp_path):
    name, terms = LISTS.fields
    required = replace(LISTS, fields=(name, replace(terms, required=True)))
    with pytest.raises(DataError, match=r"column 'terms' .* must not be empty; 1 of 2 rows are"):
        write_table(tmp_path / "lists.parquet", frame(["x"], None), required)
