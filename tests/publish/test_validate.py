"""Independent validators: they accept what pmcell writes, and each rejects a broken twin."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pmcell.cli import main
from pmcell.errors import DataError, Fault, FaultsError
from pmcell.publish import validation, write_release
from pmcell.publish.content.tables import write_rows
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.validation import chosen_names
from pmcell.publish.validators import Check, Verdict, run_validators, write_evidence
from pmcell.publish.validators.environments import is_ready
from pmcell.publish.validators.evidence import failures_as_faults
from pmcell.publish.validators.own import own_verdict
from pmcell.publish.validators.run import not_run
from pmcell.publish.validators.table import VALIDATORS, Validator, find, light
from pmcell.release.verify import row_faults
from pmcell.schema import Table
from pmcell.settings.release import ReleaseSettings


def _json(name: str, change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        change(value)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")

    return edit


def _root_without_licence(crate: dict) -> None:
    next(item for item in crate["@graph"] if item["@id"] == "./").pop("license")


def _region_as_key(package: dict) -> None:
    resource = next(item for item in package["resources"] if item["name"] == "donors")
    resource["schema"]["primaryKey"] = ["region"]


def _column_that_is_not_there(croissant: dict) -> None:
    (donors,) = [item for item in croissant["recordSet"] if item["@id"] == "donors"]
    donors["field"][0]["source"]["extract"]["column"] = "nobody"


def _without_titles(folder: Path) -> None:
    import rdflib

    record = rdflib.Graph().parse(folder / "dcat.ttl")
    record.remove((None, rdflib.DCTERMS.title, None))
    record.serialize(folder / "dcat.ttl", format="turtle")


def _without_authors(folder: Path) -> None:
    lines = (folder / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    (folder / "CITATION.cff").write_text(
        "\n".join(line.replace("authors:", "writers:") for line in lines), encoding="utf-8"
    )


def _disease_unknown(folder: Path) -> None:
    for path in (folder / "cells").glob("*.h5ad"):
        with h5py.File(path, "r+") as file:
            terms = file["obs/disease_ontology_term_id/categories"]
            terms[:] = ["unknown"] * len(terms)


BROKEN = {
    "roc-validator": _json("ro-crate-metadata.json", _root_without_licence),
    "frictionless": _json("datapackage.json", _region_as_key),
    "mlcroissant": _json("croissant.json", _column_that_is_not_there),
    "datacite": _json("datacite.json", lambda record: record.pop("titles")),
    "cffconvert": _without_authors,
    "pyshacl": _without_titles,
    "rdf-validate-shacl": _without_titles,
    "cellxgene-schema": _disease_unknown,
}
"""The way in which the twin is broken for each validator; together in one copy."""


@pytest.fixture(scope="module")
def verdicts(
    open_release: Path, validators_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Verdict, Verdict]]:
    """What each validator that is set up says of a release, and of its broken twin.

    Both lie in a folder whose name people write and programs stumble over.
    """
    study = tmp_path_factory.mktemp("studies") / "my study (it's) é 100%"
    good, twin = (shutil.copytree(open_release, study / name) for name in ("release", "twin"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PMCELL_VALIDATORS_DIR", validators_folder)
        chosen = [item for item in VALIDATORS if item.name in BROKEN and is_ready(item)]
        for change in dict.fromkeys(BROKEN[item.name] for item in chosen):
            change(twin)
        accepted = run_validators(good, chosen)
        rejected = run_validators(twin, chosen)
    return {item.name: pair for item, *pair in zip(chosen, accepted, rejected, strict=True)}


def test_validators_run_beside_the_report_and_the_check_of_rows(
    shared_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[list[str], str, list[str]]] = []
    begun, read = threading.Event(), threading.Event()

    def note(folder: Path, chosen: Sequence[Validator], **_: object) -> list[Verdict]:
        crate = json.loads((folder / "ro-crate-metadata.json").read_text("utf-8"))["@graph"]
        parts = [item["@id"] for item in crate if item.get("@type") == "File"]
        absent = [name for name in parts if not (folder / name).exists()]
        ran.append(([item.name for item in chosen], (folder / "report.html").read_text(), absent))
        begun.set()
        assert read.wait(60)
        return [not_run(item, item.targets, "noted") for item in chosen]

    def report(folder: Path) -> None:
        assert begun.wait(60)
        (folder / "report.html").write_text("<p>made</p>", encoding="utf-8")

    def check(folder: Path, manifest: dict[str, Any]) -> list[Fault]:
        read.set()
        return row_faults(folder, manifest)

    monkeypatch.setattr(validation, "run_validators", note)
    monkeypatch.setattr("pmcell.publish.release.row_faults", check)
    config = {"release": {"date": "2026-01-31"}}
    write_release(shared_results, tmp_path / "release", config=config, report=report)
    assert ran == [(light(), "", [])]
    files = json.loads((tmp_path / "release" / "manifest.json").read_text("utf-8"))["files"]
    assert files["report.html"]["size"] == len("<p>made</p>")
    summary = json.loads((tmp_path / "release" / "validation" / "summary.json").read_text("utf-8"))
    assert {row["name"] for row in summary["validators"]} >= set(light())


def test_a_fault_of_the_rows_stops_the_release(
    shared_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_counts_twice(table: Table, policy: Policy, target: Path, **about: Any) -> None:
        write_rows(table, policy, target, **about)
        if table.name == "cells":
            found = pq.read_table(target)
            doubled = pc.multiply(found["total_counts"], 2)
            at = found.column_names.index("total_counts")
            pq.write_table(found.set_column(at, found.schema.field(at), doubled), target)

    monkeypatch.setattr("pmcell.publish.content.tables.write_rows", write_counts_twice)
    config = {"release": {"validators": "none"}}
    with pytest.raises(FaultsError, match="must add up to its total_counts"):
        write_release(shared_results, tmp_path / "release", config=config)
    assert not (tmp_path / "release").exists()


def test_a_report_that_fails_is_told_while_validators_run(
    shared_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(folder: Path) -> None:
        raise DataError("no report")

    monkeypatch.setattr(validation, "run_validators", lambda folder, chosen, **_: [])
    with pytest.raises(DataError, match="no report"):
        write_release(shared_results, tmp_path / "release", report=report)
    assert not (tmp_path / "release").exists()


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("name", BROKEN)
def test_validator_accepts_a_release_and_rejects_its_broken_twin(
    verdicts: dict[str, tuple[Verdict, Verdict]], name: str
) -> None:
    if name not in verdicts:
        pytest.skip(f"pmcell validate --set-up {name}")
    good, bad = verdicts[name]
    assert [check.reason for check in good.failures] == []
    assert any(check.status == "pass" for check in good.checks)
    assert bad.failures


@pytest.mark.once
@pytest.mark.parametrize("name", ["frictionless", "mlcroissant"])
def test_large_tables_are_described_and_not_opened(
    open_release: Path, validators_folder: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", validators_folder)
    release = open_release
    validator = find(name)
    if not is_ready(validator):
        pytest.skip(f"pmcell validate --set-up {name}")
    rows = pq.read_metadata(release / "tables" / "cells.parquet")
    most = rows.num_rows * rows.num_columns - 1
    few = dataclasses.replace(validator, options={**validator.options, "values": most})
    (verdict,) = run_validators(release, [few])
    assert not verdict.failures
    assert "cells" in verdict.raw["not_opened"]
    assert "donors" not in verdict.raw["not_opened"]
    read = verdict.raw["rows_read" if name == "frictionless" else "records_read"]
    assert "donors" in read
    assert "cells" not in read
    if name == "frictionless":
        assert "placements" in verdict.raw["keys_not_looked_up"]
        assert "donors" not in verdict.raw["keys_not_looked_up"]


@pytest.mark.once
def test_large_files_of_cells_are_digested_only_where_all_rows_are_asked_for(
    open_release: Path, validators_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", validators_folder)
    monkeypatch.setattr("pmcell.publish.validators.run.MAX_BYTES", 0)
    validator = find("frictionless")
    if not is_ready(validator):
        pytest.skip("pmcell validate --set-up frictionless")
    cells = {f"cells-{path.name}" for path in (open_release / "cells").iterdir()}
    for all_rows in (False, True):
        (verdict,) = run_validators(open_release, [validator], all_rows=all_rows)
        assert not verdict.failures
        assert cells & {*verdict.raw["not_opened"]} == (set() if all_rows else cells)
        assert cells & verdict.raw["rows_read"].keys() == (cells if all_rows else set())


def test_own_check_accepts_a_release_and_rejects_a_flipped_byte(target: Path) -> None:
    assert not own_verdict(target).failures
    file = target / "tables" / "donors.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert own_verdict(target).failures


def test_release_says_of_each_validator_why_it_did_not_run(release: Path) -> None:
    rows = json.loads((release / "validation" / "summary.json").read_text())["validators"]
    assert {row["name"] for row in rows} == {item.name for item in VALIDATORS}
    crate = next(row for row in rows if row["name"] == "roc-validator")
    assert crate["status"] == "not_run"
    assert crate["reason"] == "not set up: pmcell validate --set-up roc-validator"
    assert "roc-validator" in (release / "validation" / "README.md").read_text()


def test_required_validator_that_cannot_run_stops_the_release(results: Path) -> None:
    from pmcell.publish import write_release

    config = {"release": {"date": "2026-01-31", "require_validators": ["datacite"]}}
    with pytest.raises(FaultsError, match="pmcell validate --set-up datacite"):
        write_release(results, results / "release", config=config)
    assert not (results / "release").exists()


def test_rejection_is_a_fault_unless_tolerated_or_only_recommended(tmp_path: Path) -> None:
    finding = {"message": "no title", "where": "titles"}
    checks = (
        Check("datacite.json", "DataCite 4.5", "fail", "no title", (finding,)),
        Check("datacite.json", "some RECOMMENDED", "fail", "no title", (finding,)),
    )
    verdict = Verdict("datacite", "1.4.1", checks, 1)
    (fault,) = failures_as_faults([verdict])
    assert "titles" in fault.file
    assert "no title" in fault.found
    assert not failures_as_faults([verdict], tolerated={"datacite": "the title is secret"})
    write_evidence(tmp_path, [verdict], tolerated={"datacite": "the title is secret"})
    assert "tolerated: the title is secret" in (tmp_path / "validation/README.md").read_text()


def test_words_name_the_validators_that_run() -> None:
    assert chosen_names(ReleaseSettings()) == set(light())
    assert chosen_names(ReleaseSettings(validators=("none",), require_validators=("pyshacl",))) == {
        "pyshacl"
    }


def test_every_lock_pins_its_validator_and_names_no_index() -> None:
    for validator in VALIDATORS:
        assert validator.version in validator.lock.read_text()
        assert '"resolved"' not in validator.lock.read_text()
        assert validator.needs_node or "://" not in validator.lock.read_text()


def test_command_refuses_to_write_into_the_release(release: Path, capsys) -> None:
    assert main(["validate", str(release), "--out", str(release / "validation")]) == 2
    assert "must not lie in the release" in capsys.readouterr().err


def test_misspelt_validator_gets_the_nearest_name(capsys) -> None:
    assert main(["validate", "--set-up", "pyshacll"]) == 2
    assert "Did you mean 'pyshacl'?" in capsys.readouterr().err
    assert find("pyshacl").driver.is_file()
