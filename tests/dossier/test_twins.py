"""FHIR bundle and Phenopacket: accepted by the models of others, and of one truth with the page."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from dossier.made_people import ALONE, PERSON, TYPES, make_people
from pmcell.dossier import Dossier, build_dossier, write_dossier
from pmcell.dossier.fhir import fhir_bundle
from pmcell.dossier.model import percent_value
from pmcell.dossier.page import percent, percents, render
from pmcell.dossier.phenopacket import phenopacket
from pmcell.dossier.twins import check_fhir, check_phenopacket
from pmcell.errors import DataError, UsageError

pytest.importorskip("fhir.resources", reason="the extra pmcell[person] is not installed")
pytest.importorskip("phenopackets", reason="the extra pmcell[person] is not installed")


@pytest.fixture(scope="module")
def bundle(dossier: Dossier) -> dict[str, Any]:
    return fhir_bundle(dossier)


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [item for item in found if item["resourceType"] == kind]


def packet(dossier: Dossier) -> dict[str, Any]:
    return phenopacket(dossier, fhir_id="urn:uuid:1", fhir_file="dossier.fhir.json")


def share_of(bundle: dict[str, Any], cell_type: str) -> dict[str, Any]:
    (found,) = [
        item
        for item in resources(bundle, "Observation")
        if item["code"]["text"] == f"{cell_type}: share of the cells of the sample"
    ]
    return found


@pytest.mark.parametrize("donor", [PERSON, ALONE])
def test_the_models_of_others_accept_both(donor: str, people: Path) -> None:
    told = build_dossier(people, donor, date="2026-11-30")
    check_fhir(fhir_bundle(told))
    check_phenopacket(packet(told))


def test_a_broken_bundle_is_refused(bundle: dict[str, Any]) -> None:
    def broken(change: Any) -> dict[str, Any]:
        copy = deepcopy(bundle)
        change(copy)
        return copy

    for change in (
        lambda b: b.update(kind="x"),
        lambda b: b["entry"][0]["resource"].pop("title"),
        lambda b: resources(b, "Observation")[0].pop("status"),
        lambda b: resources(b, "Observation")[0]["valueQuantity"].update(value="many"),
        lambda b: b.update(timestamp="yesterday"),
    ):
        with pytest.raises(DataError, match=r"must be accepted by fhir\.resources"):
            check_fhir(broken(change))


def test_a_broken_phenopacket_is_refused(dossier: Dossier) -> None:
    for change in (
        lambda p: p.update(kind="x"),
        lambda p: p["subject"].update(sex="WOMAN"),
        lambda p: p["metaData"].update(created="yesterday"),
    ):
        value = packet(dossier)
        change(value)
        with pytest.raises(DataError, match="must be accepted by phenopackets"):
            check_phenopacket(value)


def test_what_the_models_refuse_is_not_written(
    dossier: Dossier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pmcell.dossier.write as write

    monkeypatch.setattr(write, "fhir_bundle", lambda *_, **__: {"identifier": {"value": "x"}})
    with pytest.raises(DataError, match="Nothing was written"):
        write_dossier(dossier, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_page_alone_can_be_written(
    dossier: Dossier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("fhir.resources.R4B.bundle", "phenopackets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'pmcell\[person\]'.*--page-only"):
        write_dossier(dossier, tmp_path / "out")
    paths = write_dossier(dossier, tmp_path / "out", page_only=True)
    assert [path.name for path in paths] == ["dossier.html", "manifest.json"]


def test_a_document_begins_with_its_composition_and_every_reference_resolves(
    bundle: dict[str, Any],
) -> None:
    assert bundle["type"] == "document"
    assert [entry["resource"]["resourceType"] for entry in bundle["entry"][:2]] == [
        "Composition",
        "DiagnosticReport",
    ]
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    asked = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            asked.update([value["reference"]] if "reference" in value else [])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(bundle)
    assert asked <= set(urls)
    assert len(asked) == len(urls) - 1, "everything but the composition is referred to"


def test_the_rules_of_the_european_laboratory_report_hold(bundle: dict[str, Any]) -> None:
    (composition,) = resources(bundle, "Composition")
    (report,) = resources(bundle, "DiagnosticReport")
    assert composition["identifier"] in report["identifier"]
    assert composition["type"] == report["code"]
    assert composition["category"] == report["category"]
    assert composition["subject"] == report["subject"]
    assert report["extension"][0]["valueReference"]["reference"] == bundle["entry"][0]["fullUrl"]
    for section in composition["section"]:
        assert section["title"]
        assert section["code"]["coding"]
    assert composition["section"][0]["entry"] == report["result"]
    for item in resources(bundle, "Observation"):
        assert item["performer"]
        assert item["subject"]["reference"]
        assert "_effectiveDateTime" in item
        assert item["category"][0]["coding"][0]["code"] == "laboratory"
        values = [key for key in item if key.startswith("value")]
        assert bool(values) != ("dataAbsentReason" in item)
    (patient,) = resources(bundle, "Patient")
    assert patient["name"][0]["extension"][0]["valueCode"] == "masked"
    assert "birthDate" not in patient


def test_numbers_of_page_bundle_and_packet_are_the_same(
    dossier: Dossier, bundle: dict[str, Any]
) -> None:
    page = render(dossier)
    (sample,) = packet(dossier)["biosamples"]
    by_name = {item["assay"]["label"]: item["value"]["quantity"] for item in sample["measurements"]}
    assert set(by_name) == set(TYPES)
    for item in dossier.shares:
        observation = share_of(bundle, item.cell_type)
        value = percent_value(item.share)
        assert observation["valueQuantity"]["value"] == by_name[item.cell_type]["value"] == value
        assert observation["valueQuantity"]["code"] == "%"
        assert percent(item.share).removesuffix(" %") in page
        (limits,) = observation["referenceRange"]
        low, high = limits["low"]["value"], limits["high"]["value"]
        assert (low, high) == (
            by_name[item.cell_type]["referenceRange"]["low"],
            by_name[item.cell_type]["referenceRange"]["high"],
        )
        assert percents(item.group.reference) == f"{low:g}–{high:g}"
        assert percents(item.group.reference) in page
        assert "n = 130" in limits["text"]


def test_zero_is_a_value_and_not_looked_for_is_none(dossier: Dossier, bundle) -> None:
    assert share_of(bundle, "platelet")["valueQuantity"]["value"] == 0
    (state,) = [
        item
        for item in resources(bundle, "Observation")
        if item["code"]["text"].startswith("platelet: distance")
    ]
    assert state["dataAbsentReason"]["coding"][0]["code"] == "not-performed"


def test_only_120_people_make_a_normal_range(tmp_path: Path, bundle: dict[str, Any]) -> None:
    (enough,) = share_of(bundle, "plasmablast")["referenceRange"]
    assert enough["type"]["coding"][0]["code"] == "normal"
    assert "90 % confidence intervals of its ends" in enough["text"]
    release = make_people(tmp_path, n_women=119)
    told = fhir_bundle(build_dossier(release, PERSON, date="2026-11-30"))
    few = share_of(told, "plasmablast")["referenceRange"]
    assert [item["type"] for item in few] == [{"text": "comparison group"}] * 2
    assert "normal" not in json.dumps(few)


def test_loinc_stands_beside_a_cell_type_only_for_mononuclear_cells_of_blood(
    people: Path, dossier: Dossier
) -> None:
    from dataclasses import replace

    helper = replace(dossier.shares[0], cell_type="CD4 T cell", term="CL:0000624")
    told = replace(dossier, shares=(helper, *dossier.shares[1:]))
    plain, declared = (
        share_of(fhir_bundle(told, mononuclear=flag), "CD4 T cell")["code"]["coding"]
        for flag in (False, True)
    )
    assert [item["code"] for item in plain] == ["CL:0000624"]
    assert [item["code"] for item in declared] == ["100856-4", "CL:0000624"]


def test_ids_follow_from_what_the_dossier_is_about(people: Path, dossier: Dossier) -> None:
    assert fhir_bundle(dossier) == fhir_bundle(build_dossier(people, PERSON, date="2026-11-30"))
    first = fhir_bundle(build_dossier(people, PERSON, visit="T0", date="2026-11-30"))
    assert first["identifier"] != fhir_bundle(dossier)["identifier"]


def test_a_twin_needs_a_date(people: Path) -> None:
    told = build_dossier(people, PERSON)
    with pytest.raises(ValueError, match="must have a date"):
        fhir_bundle(told)
    with pytest.raises(ValueError, match="must have a date"):
        packet(told)


def test_research_is_labelled_and_restricted(bundle: dict[str, Any]) -> None:
    codes = {item["code"] for item in bundle["meta"]["security"]}
    assert codes == {"R", "HRESCH"}
    assert "not a diagnosis" not in json.dumps(bundle)
    assert "Research use only" in json.dumps(bundle)
