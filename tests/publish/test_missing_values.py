"""A value that nobody gave is `unknown` or null in a release, never a library's word for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pmcell.cli.steps.release import _site
from pmcell.errors import DataError
from pmcell.io.tables import write_table
from pmcell.publish import write_release
from pmcell.release.verify import verify_release
from pmcell.schema import CELLS, DONORS, SAMPLES, VISITS, Table, table
from results_folder import COHORTS, make_results

WORDS = {"nan", "none", "<na>", "nat", "na", "null"}
"""What pandas, NumPy and Python write for a missing value, in lower case."""
EVERY_ROW = "alpha-2"


@pytest.fixture(scope="module")
def gappy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of cohorts that lack every text they may lack: one in all rows, others in some."""
    results = make_results(tmp_path_factory.mktemp("gappy"))
    for cohort in COHORTS:
        folder = results / "cohorts" / cohort
        for made in (DONORS, VISITS, SAMPLES):
            _blank_table(folder / f"{made.name}.parquet", made, everywhere=cohort == EVERY_ROW)
        _blank_cells(folder / "intake.h5ad", everywhere=cohort == EVERY_ROW)
    release = results / "release"
    config = {"release": {"date": "2026-01-31", "validators": "none"}}
    write_release(results, release, config=config, site=_site)
    return release


def required(made: Table) -> set[str]:
    """Columns that registration fills with `unknown`; a table that lacks one is refused."""
    return {item.name for item in made.fields if item.required}


def _blank_table(path: Path, made: Table, *, everywhere: bool) -> None:
    rows = pq.read_table(path)
    step = 1 if everywhere else 2
    for place, field in enumerate(rows.schema):
        if field.name not in required(made):
            values = rows.column(place).to_pylist()
            values[::step] = [None] * len(values[::step])
            rows = rows.set_column(place, field, pa.array(values, field.type))
    pq.write_table(rows, path)


def _blank_cells(path: Path, *, everywhere: bool) -> None:
    with h5py.File(path, "r+") as file:
        for name, item in file["obs"].items():
            if name not in required(CELLS) and item.attrs["encoding-type"] == "categorical":
                codes = item["codes"][:]
                codes[:: 1 if everywhere else 2] = -1
                item["codes"][...] = codes


def texts(path: Path) -> Iterator[str]:
    """Every piece of text in a file of a release."""
    if path.suffix == ".parquet":
        for column in pq.read_table(path).columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield from (value for value in column.unique().to_pylist() if value is not None)
    elif path.suffix == ".h5ad":
        with h5py.File(path, "r") as file:
            names: list[str] = []
            file.visit(names.append)
            for name in names:
                if isinstance(file[name], h5py.Dataset) and file[name].dtype.kind == "O":
                    yield from np.unique(np.atleast_1d(file[name].asstr()[()]).astype(str)).tolist()
    elif path.suffix == ".json":
        yield from _strings(json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".html":
        page = re.sub(r"<(script|style|pre).*?</\1>", "", path.read_text("utf-8"), flags=re.DOTALL)
        yield from re.findall(r">([^<>]+)<", page)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value


def test_no_file_of_a_release_holds_a_librarys_word_for_a_missing_value(gappy: Path) -> None:
    found = {
        (path.relative_to(gappy).as_posix(), text)
        for path in gappy.rglob("*")
        if path.is_file()
        for text in texts(path)
        if text.strip().lower() in WORDS
    }
    assert found == set()


def test_release_with_missing_values_verifies(gappy: Path) -> None:
    assert verify_release(gappy) == []


def test_what_is_missing_everywhere_is_null_or_unknown(gappy: Path) -> None:
    visits = pq.read_table(gappy / "tables" / "visits.parquet").to_pandas()
    own = visits[visits["cohort_id"] == EVERY_ROW]
    assert len(own) == 3
    assert own["visit_day"].isna().all()
    with h5py.File(gappy / "cells" / f"{EVERY_ROW}.h5ad", "r") as file:
        for name in ("programme", "suspension_type", "tissue_type"):
            assert file[f"obs/{name}/categories"].asstr()[:].tolist() == ["unknown"], name


@pytest.mark.parametrize("name", ["donors", "visits", "samples"])
def test_a_table_that_lacks_a_required_text_is_refused(name: str) -> None:
    made = table(name)
    row = {item.name: ["x"] if item.kind == "string" else [1] for item in made.fields}
    for item in made.fields:
        if item.kind == "string":
            frame = pd.DataFrame({**row, item.name: [None]})
            with pytest.raises(DataError, match=f"column '{item.name}' .* must not be empty"):
                write_table(Path("never.parquet"), frame, made)
