"""What the release says of who made it, paid for it and licensed it, in every format alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pmcell.errors import FaultsError, UsageError
from pmcell.publish.facts import Facts, load_facts
from pmcell.publish.metadata.agents import Organisation, Person
from pmcell.publish.metadata.attribution import (
    citation_text,
    common_licence,
    credited,
    publishers,
    require_attribution,
)
from pmcell.publish.metadata.citation import write_citation
from pmcell.publish.metadata.crate.agents import agent_entities
from pmcell.publish.metadata.croissant import croissant
from pmcell.publish.metadata.datacite import datacite
from pmcell.publish.metadata.schema_org import json_ld, signposting
from pmcell.publish.metadata.subjects import read_subjects
from pmcell.schema import TABLES
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReleaseSettings

OPTIONS = {
    "title": "Cells & <strata>",
    "doi": "https://doi.org/10.5281/zenodo.1234",
    "url": "https://example.org/r1/site/",
    "files_url": "https://example.org/r1",
    "version": "1.2.0",
    "date": "2026-01-31",
    "license": "CC-BY-4.0",
    "authors": [
        {
            "given_name": "Ada",
            "family_name": "Byron",
            "orcid": "0000-0002-1825-0097",
            "affiliation": "Institute",
            "ror": "027bh9e22",
        },
        "Consortium of Cells",
    ],
    "contributors": [{"name": "Grace", "role": "DataManager"}],
    "publisher": {"name": "Repository", "ror": "https://ror.org/027bh9e22"},
    "funding": [{"funder": "Council", "award": "12", "url": "https://example.org/12"}],
    "keywords": ["blood"],
    "rai": {"dataBiases": "Hospital patients only."},
}


@pytest.fixture(scope="module")
def facts(shared_results: Path) -> Facts:
    return load_facts(shared_results, config={"release": OPTIONS})


@pytest.fixture(scope="module")
def plain(shared_results: Path) -> Facts:
    """Facts of a release for which nothing was configured."""
    return load_facts(shared_results, config={"release": {"date": "2026-01-31"}})


@pytest.fixture(scope="module")
def entries(release: Path) -> dict:
    return json.loads((release / "manifest.json").read_text())["files"]


def _with_steward(facts: Facts, **steward: str) -> Facts:
    cohorts = tuple(
        replace(
            cohort,
            intake={**cohort.intake, "registration": {**cohort.registration, "steward": steward}},
        )
        for cohort in facts.cohorts
    )
    return replace(facts, cohorts=cohorts)


def test_every_format_names_the_same_authors_and_publisher(facts, entries, release, tmp_path):
    write_citation(facts, tmp_path / "CITATION.cff")
    citation = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    record = datacite(facts, read_subjects(release), entries)
    page = json_ld(facts, release, entries)
    learning = croissant(facts, entries)
    assert citation["authors"][0]["family-names"] == record["creators"][0]["familyName"] == "Byron"
    names = ["Ada Byron", "Consortium of Cells"]
    assert [item["name"] for item in page["creator"]] == names
    assert [item["name"] for item in learning["creator"]] == names
    assert record["publisher"]["name"] == page["publisher"]["name"] == "Repository"
    assert citation["doi"] == record["doi"] == "10.5281/zenodo.1234"
    assert page["identifier"] == learning["sameAs"][0] == "https://doi.org/10.5281/zenodo.1234"


def test_an_unnamed_kind_of_creator_stays_unsaid(facts, entries, release):
    record = datacite(facts, read_subjects(release), entries)
    assert record["creators"][0]["nameType"] == "Personal"
    assert "nameType" not in record["creators"][1]


def test_no_doi_is_invented(plain, entries, release):
    record = datacite(plain, read_subjects(release), entries)
    assert "doi" not in record
    assert "url" not in record
    assert "url" not in croissant(plain, entries)
    assert all(link["rel"] != "cite-as" for link in signposting(plain, entries))


def test_sources_and_subjects_are_in_the_datacite_record(plain, entries, release):
    record = datacite(plain, read_subjects(release), entries)
    derived = {
        item["relatedIdentifier"]
        for item in record["relatedIdentifiers"]
        if item["relationType"] == "IsDerivedFrom"
    }
    assert {"10.1000/alpha", "10.1000/alpha-2"} <= derived
    assert "10.1000/closed" not in json.dumps(record)
    assert {"subject": "blood", "subjectScheme": "UBERON"}.items() <= record["subjects"][-3].items()


def test_a_release_that_nobody_made_is_refused_with_the_meaning(plain):
    with pytest.raises(FaultsError, match=r"release\.authors.*must be named.*creators"):
        require_attribution(_with_steward(plain, name="unknown", organisation="unknown"))


def test_stewards_are_credited_when_no_author_is_configured(plain):
    assert credited(plain) == [Person("Ada Steward", affiliation=Organisation("Institute"))]


def test_the_page_of_a_stewards_organisation_is_in_the_crate(plain):
    page = "https://clinic.example.org"
    facts = _with_steward(plain, name="Ada Steward", organisation="Clinic", url=page)
    clinic = {"@id": page, "@type": "Organization", "name": "Clinic", "url": page}
    person = {"@id": "#agent/Ada-Steward", "@type": "Person", "affiliation": {"@id": page}}
    entities = agent_entities(facts)
    assert clinic in entities
    assert any(person.items() <= entity.items() for entity in entities)
    alone = _with_steward(plain, name="unknown", organisation="Clinic", url=page)
    assert credited(alone) == [Organisation("Clinic", page)]


def test_the_bibtex_entry_keeps_organisations_whole(facts):
    assert "author = {Byron, Ada and {Consortium of Cells}}" in citation_text(facts)


def test_every_fault_of_the_section_is_named_with_its_meaning():
    wrong = {
        "authors": [{"nam": "x"}, {"family_name": "B", "orcid": "0000-0002-1825-0098"}],
        "publisher": {"url": "x"},
        "funding": [{"award": "1"}],
        "rai": {"dataBias": "b"},
        "doi": "abc",
    }
    with pytest.raises(UsageError) as error:
        checked_section(ReleaseSettings, wrong)
    text = str(error.value)
    for part in (
        "release.authors[0].nam: must be a key of release.authors[0]",
        "release.authors[1].orcid: has a wrong check digit",
        "release.publisher: must have name (name of the publisher)",
        "release.funding[0]: must have funder (name of the funder)",
        "Did you mean 'dataBiases'",
        "release.doi: must be a text such as 10.5281/zenodo.1234; found the text 'abc'",
    ):
        assert part in text


def test_a_citation_with_a_rare_doi_or_licence_stays_valid(plain, tmp_path):
    strange = replace(
        plain,
        cohorts=tuple(
            replace(
                cohort,
                intake={
                    "registration": {
                        **cohort.registration,
                        "license": "LicenseRef-ours",
                        "source": {"doi": "10.1000/a<b>"},
                    }
                },
            )
            for cohort in plain.cohorts
        ),
    )
    write_citation(strange, tmp_path / "CITATION.cff")
    citation = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    assert "license" not in citation
    assert citation["identifiers"][0]["type"] == "url"


def test_the_landing_page_lists_cells_first_at_their_address(facts, entries, release):
    page = json_ld(facts, release, entries)
    first = page["distribution"][0]
    assert first["contentUrl"] == "https://example.org/r1/cells/alpha-2.h5ad"
    assert first["encodingFormat"] == "application/x-hdf5"
    assert first["sha256"] == entries["cells/alpha-2.h5ad"]["sha256"]
    assert page["@context"] == {"@vocab": "http://schema.org/"}


def test_the_page_has_what_bioschemas_requires_and_recommends(plain, entries, release):
    page = json_ld(plain, release, entries)
    required = {"description", "identifier", "keywords", "license", "name", "url"}
    recommended = {
        "alternateName", "citation", "creator", "datePublished", "distribution",
        "includedInDataCatalog", "isBasedOn", "measurementTechnique", "variableMeasured", "version",
    }  # fmt: skip
    assert required | recommended <= set(page)
    cohorts = [item["alternateName"] for item in page["includedInDataCatalog"]["dataset"]]
    assert cohorts == ["alpha", "alpha-2"]
    assert "closed" not in json.dumps(page["includedInDataCatalog"])


def test_signposting_points_to_licence_metadata_and_data(facts, entries):
    links = signposting(facts, entries)
    by_relation = {}
    for link in links:
        by_relation.setdefault(link["rel"], []).append(link["href"])
    assert by_relation["cite-as"] == ["https://doi.org/10.5281/zenodo.1234"]
    assert by_relation["author"] == ["https://orcid.org/0000-0002-1825-0097"]
    assert by_relation["license"] == ["https://spdx.org/licenses/CC-BY-4.0"]
    assert "https://example.org/r1/croissant.json" in by_relation["describedby"]
    assert by_relation["item"][0] == "https://example.org/r1/cells/alpha-2.h5ad"


def test_croissant_has_each_column_of_the_schema_with_its_sentence(plain, entries):
    sets = {item["@id"]: item for item in croissant(plain, entries)["recordSet"]}
    assert set(sets) == {table.name for table in TABLES}
    for table in TABLES:
        fields = {item["name"]: item for item in sets[table.name]["field"]}
        assert list(fields) == table.columns
        for item in table.fields:
            assert fields[item.name]["description"].startswith(item.prose)


def test_croissant_refers_from_one_table_to_another(plain, entries):
    sets = {item["@id"]: item for item in croissant(plain, entries)["recordSet"]}
    fields = {item["name"]: item for item in sets["cells"]["field"]}
    assert fields["donor_id"]["references"] == {"field": {"@id": "donors/donor_id"}}
    assert "Columns donor_id and visit together refer to visits." in sets["cells"]["description"]


def test_every_digest_in_the_written_croissant_is_that_of_the_file(release):
    import hashlib

    listed = json.loads((release / "croissant.json").read_text())["distribution"]
    assert {"tables/cells.parquet", "cells/alpha.h5ad"} <= {item["contentUrl"] for item in listed}
    for item in listed:
        found = hashlib.sha256((release / item["contentUrl"]).read_bytes()).hexdigest()
        assert found == item["sha256"]
        assert not item["contentUrl"].startswith("cells/closed")


def test_statements_on_responsible_use_are_those_supplied(facts, plain, entries):
    assert croissant(facts, entries)["rai:dataBiases"] == "Hospital patients only."
    assert "rai:dataBiases" not in croissant(plain, entries)


def test_a_day_that_nobody_gave_is_that_of_making_not_of_publication(
    shared_results, entries, release
):
    undated = load_facts(shared_results)
    for document in (json_ld(undated, release, entries), croissant(undated, entries)):
        assert "datePublished" not in document
        assert document["dateCreated"]
    days = datacite(undated, read_subjects(release), entries)["dates"]
    assert [item["dateType"] for item in days] == ["Created"]
    assert "year = " not in citation_text(undated)
    given = load_facts(shared_results, config={"release": {"date": "2026-01-31"}})
    assert json_ld(given, release, entries)["datePublished"] == "2026-01-31"
    assert "year = {2026}" in citation_text(given)


def test_who_published_the_source_is_not_the_publisher_of_the_release(plain):
    cohorts = tuple(
        replace(
            cohort,
            intake={
                **cohort.intake,
                "registration": {**cohort.registration, "publisher": {"name": "Archive"}},
            },
        )
        for cohort in plain.cohorts
    )
    assert [item.name for item in publishers(replace(plain, cohorts=cohorts))] == ["Institute"]


def test_what_is_known_of_the_terms_is_said_where_no_licence_is(plain, entries):
    cohorts = tuple(
        replace(
            cohort,
            intake={
                **cohort.intake,
                "registration": {
                    **cohort.registration,
                    "license": "unknown",
                    "catalogue": {"license_note": "The paper names none."},
                },
            },
        )
        for cohort in plain.cohorts
    )
    facts = replace(plain, cohorts=cohorts)
    assert common_licence(facts) == ""
    document = croissant(facts, entries)
    assert "license" not in document
    assert "alpha, alpha-2: The paper names none." in document["description"]
    assert "Licence of alpha: unknown" in document["description"]
