"""datapackage.json says what the files say of themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pmcell.publish.metadata.datapackage import table_schema
from pmcell.schema import CELLS, TABLES


@pytest.fixture(scope="module")
def package(release: Path) -> dict:
    return json.loads((release / "datapackage.json").read_text())


def test_every_table_and_cell_file_is_a_resource_with_its_digest(
    release: Path, package: dict
) -> None:
    paths = {resource["path"]: resource for resource in package["resources"]}
    files = {
        path.relative_to(release).as_posix()
        for path in release.rglob("*")
        if path.suffix in (".parquet", ".h5ad") and "reference" not in path.parts
    }
    assert set(paths) == files
    names = [resource["name"] for resource in package["resources"]]
    assert len(set(names)) == len(names)
    for path, resource in paths.items():
        digest = hashlib.sha256((release / path).read_bytes()).hexdigest()
        assert resource["hash"] == f"sha256:{digest}"


def test_columns_types_and_nulls_are_those_of_the_files(release: Path, package: dict) -> None:
    import pyarrow.parquet as pq

    for resource in package["resources"]:
        if resource.get("type") != "table":
            continue
        schema = pq.read_schema(release / resource["path"])
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == schema.names
        for field in fields:
            said = schema.field(field["name"])
            assert field["constraints"]["required"] is not said.nullable
            assert field["description"] == said.metadata[b"pmcell:prose"].decode()
            assert field.get("unit", "") == said.metadata.get(b"pmcell:unit", b"").decode()
            assert field.get("rdfType", "") == said.metadata.get(b"pmcell:term", b"").decode()


def test_foreign_keys_lead_to_fields_of_resources(package: dict) -> None:
    fields = {
        resource["name"]: {field["name"] for field in resource["schema"]["fields"]}
        for resource in package["resources"]
        if resource.get("type") == "table"
    }
    assert {table.name for table in TABLES} <= set(fields)
    n_keys = 0
    for resource in package["resources"]:
        for key in resource.get("schema", {}).get("foreignKeys", []):
            n_keys += 1
            assert set(key["fields"]) <= fields[resource["name"]]
            assert set(key["reference"]["fields"]) <= fields[key["reference"]["resource"]]
    assert n_keys > 20


def test_concepts_and_units_are_named() -> None:
    by_name = {field["name"]: field for field in table_schema(CELLS)["fields"]}
    assert by_name["cell_type_ontology_term_id"]["rdfType"].endswith("/obo/CL_0000000")
    assert by_name["cell_type_ontology_term_id"]["ontology"].endswith("/obo/cl.owl")
    assert by_name["total_counts"]["unit"] == "UMI"
    assert by_name["cell_id"]["constraints"] == {"required": True, "unique": True}
    # pandas hands whole numbers with nulls on as floats.
    assert (by_name["total_counts"]["type"], by_name["cell_row"]["type"]) == ("integer", "number")
