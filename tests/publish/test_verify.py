"""Every way in which a release can be broken is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pmcell.errors import UsageError
from pmcell.publish import verify_release
from pmcell.publish.manifest import file_entries
from pmcell.release.digest import combined_sha256
from pmcell.release.manifest import OWN_DIGEST, manifest_text, own_digest
from pmcell.schema import CELLS


@pytest.fixture
def broken(release: Path, tmp_path: Path) -> Path:
    """A copy of the release to be broken."""
    return Path(shutil.copytree(release, tmp_path / "broken"))


def reseal(folder: Path, **changes: Any) -> None:
    """Make the manifest agree with the files, as one who hides a change would."""
    path = folder / "manifest.json"
    value = json.loads(path.read_text()) | changes
    value["files"] = file_entries(folder)
    digests = {name: entry["content_sha256"] for name, entry in value["files"].items()}
    value["content_sha256"] = combined_sha256(digests)
    value[OWN_DIGEST] = own_digest(value)
    path.write_text(manifest_text(value))


def change_table(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    path = folder / "tables" / f"{name}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def set_column(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    values = table.column(name).to_pylist()
    values[row] = value
    place = table.schema.get_field_index(name)
    field = table.schema.field(name)
    return table.set_column(place, field, pa.array(values, field.type))


def only_fault(folder: Path, *, reason: str, file: str) -> str:
    faults = verify_release(folder)
    assert [(fault.reason, fault.file) for fault in faults] == [(reason, file)]
    return str(faults[0])


def test_a_missing_file_is_found(broken: Path) -> None:
    (broken / "CITATION.cff").unlink()
    only_fault(broken, reason="missing", file="CITATION.cff")


def test_an_extra_file_is_found(broken: Path) -> None:
    (broken / "cells" / "notes.txt").write_text("x")
    only_fault(broken, reason="extra", file="cells/notes.txt")


def test_a_link_in_place_of_a_file_is_found(broken: Path, tmp_path: Path) -> None:
    path = broken / "README.md"
    path.rename(tmp_path / "elsewhere.md")
    path.symlink_to(tmp_path / "elsewhere.md")
    only_fault(broken, reason="missing", file="README.md")


def test_a_truncated_file_is_found(broken: Path) -> None:
    path = broken / "cells" / "alpha.h5ad"
    path.write_bytes(path.read_bytes()[:-10])
    only_fault(broken, reason="size", file="cells/alpha.h5ad")


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), number=st.integers(0, 999))
def test_a_flipped_bit_anywhere_is_found(broken: Path, place: float, bit: int, number: int) -> None:
    files = sorted(path for path in broken.rglob("*") if path.is_file())
    path = files[number % len(files)]
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[int(place * len(content))] ^= 1 << bit
    path.write_bytes(flipped)
    faults = verify_release(broken)
    path.write_bytes(content)
    assert [fault.file for fault in faults] == [path.relative_to(broken).as_posix()]


def test_a_duplicate_key_is_found(broken: Path) -> None:
    change_table(broken, "donors", lambda table: pa.concat_tables([table, table.slice(4)]))
    reseal(broken)
    text = only_fault(broken, reason="primary_key", file="tables/donors.parquet")
    assert "row 5" in text


def test_rows_out_of_order_are_found(broken: Path) -> None:
    change_table(broken, "visits", lambda table: table.take([1, 0, *range(2, len(table))]))
    reseal(broken)
    only_fault(broken, reason="primary_key", file="tables/visits.parquet")


def test_a_dangling_foreign_key_is_found(broken: Path) -> None:
    change_table(broken, "cells", lambda table: set_column(table, "visit", 3, "T9"))
    reseal(broken)
    text = only_fault(broken, reason="foreign_key", file="tables/cells.parquet")
    assert "row 3, column 'donor_id, visit': must be a key of visits" in text


def test_a_null_in_a_required_column_is_found(broken: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("symbol")
        values = pa.array([None, *table.column("symbol").to_pylist()[1:]])
        return table.set_column(place, pa.field("symbol", pa.string()), values)

    change_table(broken, "genes", change)
    reseal(broken)
    text = only_fault(broken, reason="type", file="tables/genes.parquet")
    assert "string, never null; found string" in text


def test_a_missing_column_is_found(broken: Path) -> None:
    change_table(broken, "clusters", lambda table: table.drop_columns(["batch_entropy"]))
    reseal(broken)
    only_fault(broken, reason="columns", file="tables/clusters.parquet")


def test_lost_prose_is_found(broken: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(0).with_metadata({})
        return table.cast(table.schema.set(0, field)).replace_schema_metadata(table.schema.metadata)

    change_table(broken, "qc", change)
    reseal(broken)
    only_fault(broken, reason="metadata", file="tables/qc.parquet")


def test_a_missing_table_is_found(broken: Path) -> None:
    (broken / "tables" / "gaps.parquet").unlink()
    reseal(broken)
    only_fault(broken, reason="missing", file="tables/gaps.parquet")


def test_a_cell_that_the_table_excludes_is_found(broken: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        row = pc.index(table.column("passes_qc"), True).as_py()
        return set_column(table, "passes_qc", row, False)

    change_table(broken, "cells", change)
    reseal(broken)
    faults = verify_release(broken)
    assert [fault.reason for fault in faults] == ["cells"]


@pytest.mark.parametrize(
    ("matrix", "part", "reason"),
    [("raw/X", "data", "counts"), ("X", "data", "normalisation"), ("X", "indices", "matrix")],
)
def test_a_changed_matrix_is_found(broken: Path, matrix: str, part: str, reason: str) -> None:
    with h5py.File(broken / "cells" / "alpha.h5ad", "r+") as file:
        file[matrix][part][7] += 1
    reseal(broken)
    only_fault(broken, reason=reason, file="cells/alpha.h5ad")


def test_a_file_that_is_no_anndata_is_found(broken: Path) -> None:
    with h5py.File(broken / "cells" / "alpha.h5ad", "r+") as file:
        del file["raw"]
    reseal(broken)
    only_fault(broken, reason="format", file="cells/alpha.h5ad")


def test_cells_of_a_withheld_cohort_are_found(broken: Path) -> None:
    shutil.copy(broken / "cells" / "alpha.h5ad", broken / "cells" / "closed.h5ad")
    reseal(broken)
    only_fault(broken, reason="withheld", file="cells/closed.h5ad")


@pytest.mark.parametrize(
    ("file", "leak"),
    [
        ("README.md", "see donor closed:D1."),
        ("strata.json", None),
        ("tables/strata.parquet", None),
        ("donors.h5ad", None),
    ],
)
def test_the_id_of_a_withheld_donor_is_found(broken: Path, file: str, leak: str | None) -> None:
    path = broken / file
    if file == "strata.json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"medoid": "closed:D1"}))
    elif path.suffix == ".parquet":
        change_table(broken, "strata", lambda t: set_column(t, "description", 0, "like closed:D1"))
    elif path.suffix == ".h5ad":
        with h5py.File(path, "r+") as stored:
            stored["uns"].attrs["note"] = "closed:D1"
    else:
        path.write_text(path.read_text() + str(leak))
    reseal(broken)
    only_fault(broken, reason="withheld", file=file)


def test_labels_of_withheld_strata_are_found(broken: Path) -> None:
    verdict = json.loads((broken / "strata.json").read_text()) | {"decision": "continuum"}
    (broken / "strata.json").write_text(json.dumps(verdict))
    reseal(broken, strata_decision="continuum")
    files = {fault.file for fault in verify_release(broken)}
    assert files == {
        "tables/strata.parquet",
        "tables/assignments.parquet",
        "donors.h5ad",
        "cells/alpha.h5ad",
        "cells/alpha-2.h5ad",
    }


def test_a_changed_decision_is_found(broken: Path) -> None:
    verdict = json.loads((broken / "strata.json").read_text()) | {"decision": "continuum"}
    (broken / "strata.json").write_text(json.dumps(verdict))
    reseal(broken)
    only_fault(broken, reason="strata", file="strata.json")


def test_a_manifest_of_another_schema_is_said_to_be_so(broken: Path) -> None:
    reseal(broken, schema_version="0.9.0")
    only_fault(broken, reason="schema_version", file="manifest.json")


def test_a_folder_without_a_manifest_is_no_release(tmp_path: Path) -> None:
    only_fault(tmp_path, reason="missing", file="manifest.json")
    with pytest.raises(UsageError, match="must be a folder"):
        verify_release(tmp_path / "absent")


def test_keys_are_checked_across_batches(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pmcell.release.verify.tables.BATCH_ROWS", 3)
    assert verify_release(broken) == []
    change_table(broken, "visits", lambda table: table.take([0, 1, 2, 2, *range(3, len(table))]))
    reseal(broken)
    faults = verify_release(broken)
    assert [(fault.reason, fault.row) for fault in faults] == [("primary_key", 3)]


def test_content_digests_ignore_layout_and_see_values(broken: Path, tmp_path: Path) -> None:
    from pmcell.release.digest import content_sha256

    table = broken / "tables" / "cells.parquet"
    again = tmp_path / "again.parquet"
    pq.write_table(pq.read_table(table), again, row_group_size=7, compression="none")
    assert content_sha256(again) == content_sha256(table)
    pq.write_table(set_column(pq.read_table(table), "batch_id", 5, "other"), again)
    assert content_sha256(again) != content_sha256(table)
    with h5py.File(tmp_path / "a.h5ad", "w") as a, h5py.File(tmp_path / "b.h5ad", "w") as b:
        a.create_dataset("x", data=np.arange(10))
        b.create_dataset("x", data=np.arange(10), chunks=(3,), compression="gzip")
    assert content_sha256(tmp_path / "a.h5ad") == content_sha256(tmp_path / "b.h5ad")


def test_content_digests_take_every_type_of_column(tmp_path: Path) -> None:
    from pmcell.release.digest import content_sha256

    digests = set()
    for text in ("a", "b", None):
        kinds = (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()))
        columns = {str(kind): pa.array([text, "z"]).cast(kind) for kind in kinds}
        columns["list"] = pa.array([[text], []], pa.large_list(pa.string()))
        columns["flag"] = pa.array([None, True])
        pq.write_table(pa.table(columns), tmp_path / "x.parquet")
        digests.add(content_sha256(tmp_path / "x.parquet"))
    assert len(digests) == 3


@pytest.mark.parametrize("column", ["counts", "cell_row", "gene_id"])
def test_changed_expression_is_found(broken: Path, column: str) -> None:
    path = broken / "expression" / "alpha.parquet"
    table = pq.read_table(path)
    # The last row, so that the order stays.
    new = {"counts": 77, "cell_row": 9999, "gene_id": "ENSG99999999999"}[column]
    pq.write_table(set_column(table, column, len(table) - 1, new), path)
    reseal(broken)
    reason = {"counts": "counts", "cell_row": "foreign_key", "gene_id": "foreign_key"}[column]
    only_fault(broken, reason=reason, file="expression/alpha.parquet")


def test_missing_expression_of_one_cohort_is_found(broken: Path) -> None:
    (broken / "expression" / "alpha.parquet").unlink()
    reseal(broken)
    only_fault(broken, reason="missing", file="expression/alpha.parquet")


def test_a_repeated_cell_of_another_type_is_found(broken: Path) -> None:
    path = broken / "tables" / "cells.parquet"
    table = pq.read_table(path)
    used = table.filter(pc.field("cell_type") == "T cell").slice(0, 1)
    again = set_column(used, "cell_type", 0, "zzz")
    frame = pa.concat_tables([table, again]).to_pandas().sort_values(list(CELLS.row_order))
    pq.write_table(pa.Table.from_pandas(frame, table.schema, preserve_index=False), path)
    reseal(broken)
    assert "cell_id must be unique" in str(verify_release(broken)[0])
