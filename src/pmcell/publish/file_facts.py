"""What a Parquet file of a release says of itself, besides its columns."""

from __future__ import annotations

from pmcell.publish.facts import Facts
from pmcell.publish.metadata.attribution import address, common_licence, licence_url
from pmcell.registry.terms.ontology import CELLXGENE_SCHEMA
from pmcell.schema import SCHEMA_VERSION
from pmcell.version import __version__

TABLE_SCHEMA = "https://datapackage.org/profiles/2.0/tableschema.json"


def file_facts(facts: Facts, name: str) -> dict[str, str]:
    """Identifier, licence, standard, schema and generator of the file `name`; no unknown ones.

    There is no community standard for these keys: they are the names of Dublin
    Core and PROV. They survive pyarrow, DuckDB (`parquet_kv_metadata`) and R.
    """
    licence = common_licence(facts)
    said = {
        "dct:identifier": f"{address(facts)}#{name}" if address(facts) else "",
        "dct:title": f"{facts.title}: {name}",
        "dct:license": licence_url(licence) or licence,
        "dct:conformsTo": TABLE_SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "release_version": facts.options.version,
        "ontology_releases": f"those of the CELLxGENE schema {CELLXGENE_SCHEMA}",
        "prov:wasGeneratedBy": f"pmcell {__version__}",
    }
    return {key: value for key, value in said.items() if value}
