"""Nothing that a stranger's release names or declares makes pmcell read or write elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from pmcell.cli import main
from pmcell.errors import DataError, PmcellError, UsageError
from pmcell.io.tables import write_table
from pmcell.publish import verify_release
from pmcell.publish.manifest import file_entries
from pmcell.release.digest import combined_sha256
from pmcell.release.folder import ReleaseFolder, check_contents, is_safe_name
from pmcell.release.manifest import MANIFEST, OWN_DIGEST, manifest_text, own_digest
from pmcell.schema import GENES, SCHEMA_VERSION

SECRET = "secret of this machine"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small release: one table, one file of cells, one array file, and a secret beside it."""
    path = tmp_path / "release"
    (tmp_path / "secret.txt").write_text(SECRET)
    for name in ("cells", "reference", "tables"):
        (path / name).mkdir(parents=True)
    write_table(path / "tables" / "genes.parquet", pd.DataFrame(columns=columns()), GENES)
    with h5py.File(path / "cells" / "alpha.h5ad", "w") as file:
        file["x"] = np.arange(3)
    np.savez_compressed(path / "reference" / "basis.npz", means=np.arange(3.0))
    (path / "strata.json").write_text('{"decision": "continuum"}')
    seal(path)
    return path


def columns() -> list[str]:
    return GENES.columns


def seal(path: Path, change: Callable[[dict[str, Any]], object] = lambda value: None) -> None:
    """Write a manifest that agrees with the files, then with itself after `change`."""
    entries = file_entries(path)
    digests = {name: entry["content_sha256"] for name, entry in entries.items()}
    value: dict[str, Any] = {
        "pmcell": "1",
        "schema_version": SCHEMA_VERSION,
        "title": "t",
        "version": "1",
        "parameters": {},
        "strata_decision": "continuum",
        "cohorts": {"alpha": {"published": True, "status": "ok", "access": "open"}},
        "content_sha256": combined_sha256(digests),
        "files": entries,
    }
    change(value)
    value[OWN_DIGEST] = own_digest(value)
    (path / MANIFEST).write_text(manifest_text(value))


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.txt", "tables/../../secret.txt", "/etc/hostname", "a//b", "./x", "", "x/"),
        *("C:/x", "..\\secret.txt", "a\nb", "a\0b", "x" * 2000),
    ],
)
def test_a_name_that_leaves_the_folder_is_refused_everywhere(folder: Path, name: str) -> None:
    assert not is_safe_name(name)
    entry = {"size": 22, "sha256": "0" * 64, "content_sha256": "0" * 64}
    seal(folder, lambda value: value["files"].update({name: entry}))
    with pytest.raises(DataError, match="relative path within the release"):
        pm.open_release(folder)
    (fault,) = verify_release(folder)
    assert fault.file == MANIFEST
    with pytest.raises(DataError, match="relative path within the folder"):
        ReleaseFolder(folder).place(name)


@pytest.mark.parametrize("name", ["../secret", "a/b", "..", "/x"])
def test_a_cohort_is_named_by_one_part_of_a_path(folder: Path, name: str) -> None:
    cohort = {"published": True, "status": "ok", "access": "open"}
    seal(folder, lambda value: value["cohorts"].update({name: cohort}))
    with pytest.raises(DataError, match="must be a cohort's id"):
        pm.open_release(folder)


@pytest.mark.parametrize("how", ["cut", "flipped", "another", "missing", "empty"])
@pytest.mark.parametrize("name", ["tables/genes.parquet", "cells/alpha.h5ad", "strata.json"])
def test_a_file_that_is_not_the_manifests_is_not_read(folder: Path, name: str, how: str) -> None:
    """A table of another release would be a wrong answer, and a missing verdict none."""
    place = folder / name
    content = place.read_bytes()
    middle = len(content) // 2
    if how == "missing":
        place.unlink()
    else:
        place.write_bytes(
            {
                "cut": content[:-1],
                "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                "another": content + b" ",
                "empty": b"",
            }[how]
        )
    release = pm.open_release(folder)
    found = "missing" if how == "missing" else "another, or damaged"
    with pytest.raises(DataError, match=f"{place.name} must be the file .* it is {found}"):
        _ = {
            "tables": lambda: release.tables["genes"].to_pandas(),
            "cells": lambda: release.cells["alpha"],
            "strata.json": lambda: release.strata,
        }[name.partition("/")[0]]()


def test_a_large_file_is_known_by_its_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pmcell.release.folder.MAX_DIGESTED", 10)
    place = folder / "strata.json"
    place.write_text(place.read_text().replace("continuum", "continuuM"))
    assert pm.open_release(folder).strata == {"decision": "continuuM"}
    place.write_text(place.read_text() + " ")
    with pytest.raises(DataError, match="another, or damaged"):
        _ = pm.open_release(folder).strata


@pytest.mark.parametrize("place", ["tables/genes.parquet", "tables", "strata.json"])
def test_a_link_is_not_followed(folder: Path, tmp_path: Path, place: str) -> None:
    (folder / place).rename(tmp_path / "moved")
    (folder / place).symlink_to(tmp_path / "moved")
    release = pm.open_release(folder)
    with pytest.raises(DataError, match="it is a link"):
        _ = release.strata if place == "strata.json" else release.tables["genes"]
    reasons = {fault.reason for fault in verify_release(folder)}
    assert reasons <= {"missing", "extra"}
    assert "missing" in reasons


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value.update(files=[]), "files must be an object"),
        (lambda value: value.update(cohorts=None), "cohorts must be an object"),
        (lambda value: value.update(title=3), "title must be text"),
        (lambda value: value["files"].update({"a": 3}), r"files\['a'\] must be an object"),
        (lambda value: value["files"]["strata.json"].update(size=-1), "a number of bytes"),
        (lambda value: value["files"]["strata.json"].update(sha256="x"), "must be a SHA-256"),
        (lambda value: value["cohorts"].update(alpha={}), "published must be true or false"),
        (lambda value: value["cohorts"]["alpha"].update(access=1), "access must be text"),
    ],
)
def test_a_manifest_of_another_form_is_an_error_with_its_place(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    seal(folder, change)
    with pytest.raises(DataError, match=said):
        pm.open_release(folder)
    assert [fault.reason for fault in verify_release(folder)] == ["damaged"]
    assert main(["verify", str(folder)]) == 3


@pytest.mark.parametrize("text", ["[" * 100_000, "3", "null", '{"schema_version": ', "\xff"])
def test_a_manifest_that_is_none_is_no_release(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="needs the folder of a release"):
        pm.open_release(folder)
    assert [fault.reason for fault in verify_release(folder)] == ["damaged"]


def outside(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("../../secret.h5", "/x")


def raw_storage(path: Path) -> None:
    with h5py.File(path, "w") as file:
        name = str(path.parents[2] / "secret.txt").encode()
        file.create_dataset("x", (22,), "u1", external=[(name, 0, 22)])


def bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1, 2**38), "f8", chunks=(1, 2**20), compression="gzip")


@pytest.mark.parametrize("make", [outside, raw_storage, bomb])
def test_cells_that_point_elsewhere_or_out_of_nothing_are_not_opened(
    folder: Path, make: Callable[[Path], None]
) -> None:
    path = folder / "cells" / "alpha.h5ad"
    digest = json.loads((folder / MANIFEST).read_text())["files"]["cells/alpha.h5ad"]
    make(path)
    entry = file_entries(folder, {"cells/alpha.h5ad": digest})["cells/alpha.h5ad"]
    seal_as = {**entry, "size": path.stat().st_size, "sha256": pm.io.atomic.sha256_file(path)}
    known = {"cells/alpha.h5ad": seal_as}
    value = json.loads((folder / MANIFEST).read_text())
    value["files"] |= known
    value[OWN_DIGEST] = own_digest(value)
    (folder / MANIFEST).write_text(manifest_text(value))
    with pytest.raises(DataError, match=r"alpha\.h5ad"):
        pm.open_release(folder).cells["alpha"]
    assert any(fault.file == "cells/alpha.h5ad" for fault in verify_release(folder))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tables/genes.parquet", b"PAR1 no table PAR1"),
        ("reference/basis.npz", b"PK no zip"),
        ("cells/alpha.h5ad", b"no HDF5"),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(PmcellError, match=Path(name).name):
        check_contents(folder / name)


@pytest.mark.parametrize("name", ["datacite.json", "strata.json", "ro-crate-metadata.json"])
@pytest.mark.parametrize(
    "content", [b"{", b"[" * 100_000, b'["\\ud800"]', b"\xff", b"7", b'{"@graph": [7, null]}']
)
def test_content_that_cannot_be_read_is_a_fault_though_its_bytes_are_listed(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    entry = {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_sha256": "0" * 64,
    }
    seal_as_listed(folder, {name: entry})
    faults = [fault for fault in verify_release(folder) if fault.file == name]
    assert [fault.reason for fault in faults] == ["content_digest"]


def seal_as_listed(folder: Path, entries: dict[str, dict[str, object]]) -> None:
    value = json.loads((folder / MANIFEST).read_text())
    value["files"].update(entries)
    value[OWN_DIGEST] = own_digest(value)
    (folder / MANIFEST).write_text(manifest_text(value))


@pytest.mark.parametrize(
    "command", [["verify", "{}"], ["gaps", "{}"], ["release", "diff", "{}", "{}"]]
)
def test_a_manifest_that_is_a_pipe_is_not_waited_for(
    folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)
    assert main([word.format(folder) for word in command]) in (2, 3)
    assert "Traceback" not in capsys.readouterr().err


def test_half_of_a_sign_in_a_manifest_is_no_release(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / MANIFEST).read_text().replace('"title": "t"', '"title": "\\ud800"')
    (folder / MANIFEST).write_text(text)
    assert main(["verify", str(folder)]) == 3
    assert main(["release", "diff", str(folder), str(folder)]) == 2
    with pytest.raises(UsageError, match="none that can be read"):
        pm.open_release(folder)


def test_arrays_that_would_run_code_are_refused(folder: Path) -> None:
    path = folder / "reference" / "basis.npz"
    np.savez(path, means=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="without pickle"):
        check_contents(path)


def test_too_much_text_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "strata.json").write_text(json.dumps({"decision": "x" * 40_000}))
    seal(folder)
    monkeypatch.setattr("pmcell.release.folder.MAX_TEXT", 20_000)
    with pytest.raises(DataError, match=r"strata\.json may hold"):
        _ = pm.open_release(folder).strata


def test_a_table_that_declares_more_rows_than_it_has_bytes_for_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({name: [None] for name in columns()})
    frame.to_parquet(folder / "tables" / "genes.parquet")
    seal(folder)
    monkeypatch.setattr("pmcell.release.folder.MAX_ROWS_PER_BYTE", 0)
    with pytest.raises(DataError, match="rows for each of its bytes"):
        len(pm.open_release(folder).tables["genes"])


def test_numbers_where_texts_belong_are_refused_by_column(folder: Path) -> None:
    frame = pd.DataFrame({name: [1] for name in columns()})
    frame.to_parquet(folder / "tables" / "genes.parquet")
    seal(folder)
    with pytest.raises(DataError, match=r"column .* must be of kind text; it is of kind number"):
        ReleaseFolder(folder).table("genes")


def test_columns_of_nothing_and_further_ones_are_read(folder: Path) -> None:
    frame = pd.DataFrame({name: [None] for name in [*columns(), "more"]})
    frame.to_parquet(folder / "tables" / "genes.parquet")
    seal(folder)
    assert len(ReleaseFolder(folder).table("genes")) == 1
