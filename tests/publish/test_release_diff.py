"""`pmcell release diff`: what moved is told, withheld donors are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pmcell as pm
from made_release import list_anew
from pmcell.cli import main
from pmcell.cli._release_diff import _labels as label_lines
from pmcell.publish.diff import TOO_FEW, diff_releases


def edited(release: Path, target: Path, changes: dict[str, Any]) -> Path:
    """A copy of the release with other tables, manifest and verdict, as another run would give."""
    shutil.copytree(release, target)
    for name, change in changes.items():
        if name in ("manifest", "strata"):
            path = target / f"{name}.json"
            value = json.loads(path.read_text())
            change(value)
            path.write_text(json.dumps(value))
        else:
            path = target / "tables" / f"{name}.parquet"
            table = pq.read_table(path)
            frame = change(table.to_pandas())
            schema = pa.schema([table.schema.field(column) for column in frame])
            pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False), path)
    list_anew(target)
    return target


def test_equal_releases_have_no_difference(release: Path, capsys) -> None:
    assert main(["release", "diff", str(release), str(release)]) == 0
    assert "The contents are equal." in capsys.readouterr().out


def test_moved_labels_donors_columns_parameters_and_strata_are_told(
    release: Path, tmp_path: Path, capsys
) -> None:
    def other_labels(cells: pd.DataFrame) -> pd.DataFrame:
        is_moved = (cells["cell_type"] == "unknown") & (cells["cohort_id"] == "alpha")
        cells.loc[is_moved, "cell_type"] = "B cell"
        return cells[cells["donor_id"] != "alpha:D2"]

    def other_manifest(value: dict) -> None:
        value["content_sha256"] = "0" * 64
        value["version"] = "2"
        value["parameters"]["qc"]["n_mads"] = 4
        value["cohorts"]["new"] = {"status": "ok", "access": "controlled", "published": False}

    def other_verdict(value: dict) -> None:
        value["decision"] = "continuum"

    newer = edited(
        release,
        tmp_path / "2",
        {
            "cells": other_labels,
            "donors": lambda frame: frame[frame["donor_id"] != "alpha:D2"],
            "samples": lambda frame: frame.drop(columns="condition"),
            "assignments": lambda frame: frame.assign(stratum=None),
            "manifest": other_manifest,
            "strata": other_verdict,
        },
    )
    found = diff_releases(pm.open_release(release), pm.open_release(newer))
    before = pm.open_release(release).tables["cells"].to_pandas()
    stayed = before[before["donor_id"] != "alpha:D2"]
    n_moved = int(((stayed["cell_type"] == "unknown") & (stayed["cohort_id"] == "alpha")).sum())
    assert found["labels"]["moves"] == [{"from": "unknown", "to": "B cell", "n_cells": n_moved}]
    assert found["labels"]["adjusted_rand_of_clusters"] == 1
    assert found["donors"][0] == {"cohort_id": "alpha", "a": 3, "b": 2, "added": 0, "removed": 1}
    assert found["parameters"] == [{"key": "qc.n_mads", "a": 5, "b": 4}]
    assert found["cohorts"]["added"] == ["new"]
    assert {"what": "decision", "a": "strata", "b": "continuum"} in found["strata"]["verdict"]
    assert sum(row["n_donor_visits"] for row in found["strata"]["moves"]) == 7
    assert [(row["column"], row["what"]) for row in found["columns"]["columns"]] == [
        ("condition", "removed")
    ]
    assert main(["release", "diff", str(release), str(newer)]) == 1
    text = capsys.readouterr().out
    assert "alpha: donors 3 → 2 (0 added, 1 removed)" in text
    assert "unknown → B cell" in text
    assert "samples.condition removed" in text
    assert main(["release", "diff", str(release), str(newer), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == found
    # Donors are counted, never named.
    assert ":D" not in json.dumps(found)
    assert ":D" not in text


def test_clusters_of_releases_without_common_cells_have_no_index() -> None:
    found = {"n_clusters": (19, 13), "adjusted_rand_of_clusters": None, "n_moved": 0}
    assert list(label_lines(found)) == ["clusters 19 → 13, no cell in both to compare them by"]


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        ((40, 9000), (40, 9000), True),
        ((40, 9000), (60, 12000), True),
        ((40, 9000), (39, 8800), False),
        ((40, 9000), (40, 8800), False),
        ((9, 900), (30, 3000), False),
        ((None, None), (30, 3000), False),
    ],
)
def test_few_donors_without_open_access_are_not_told(
    release: Path, tmp_path: Path, before: tuple, after: tuple, is_told: bool
) -> None:
    def counted(numbers: tuple) -> Any:
        def change(cohorts: pd.DataFrame) -> pd.DataFrame:
            is_closed = cohorts["cohort_id"] == "closed"
            for name, number in zip(("n_donors", "n_cells"), numbers, strict=True):
                cohorts[name] = cohorts[name].astype("Int64")
                cohorts.loc[is_closed, name] = pd.NA if number is None else number
            return cohorts

        return change

    a = edited(release, tmp_path / "1", {"cohorts": counted(before)})
    b = edited(release, tmp_path / "2", {"cohorts": counted(after)})
    rows = diff_releases(pm.open_release(a), pm.open_release(b))["hidden"]
    numbers = [(row["a"], row["b"]) for row in rows]
    told = list(zip(before, after, strict=True))
    if is_told:
        assert numbers == told
    else:
        assert numbers[1] == (TOO_FEW, TOO_FEW)
        assert numbers[0] in (told[0], (TOO_FEW, TOO_FEW))
        assert before[0] == after[0] or numbers[0] == (TOO_FEW, TOO_FEW)


def test_what_is_no_release_is_refused(release: Path, tmp_path: Path, capsys) -> None:
    assert main(["release", "diff", str(release), str(tmp_path)]) == 2
    assert "needs the folder of a release" in capsys.readouterr().err
