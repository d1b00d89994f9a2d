"""Programmes: those that ship are sound in every term, code and gene; faults are told whole."""

from __future__ import annotations

import shutil

import pytest

from cohorts_on_disk import write_cohort
from pmcell.bundle import bundle_folder
from pmcell.registry.cohorts.cohort import find_faults, load_registration
from pmcell.registry.cohorts.programmes import load_programme, read_programme
from pmcell.registry.measurements.units import line_between

SHIPPED = sorted((bundle_folder() / "config" / "programmes").glob("*.yaml"))
CHRONIC = ("arthrosis", "cardiovascular", "kidney", "type2_diabetes")

GOUT = """\
id: gout
title: Gout
description: People with gout.
disease_ontology_term_ids: [MONDO:0005393]
tissues: [UBERON:0000178]
cell_types:
  CL:0000860: {tissue: UBERON:0000178}
variables:
  urate:
    title: Urate in serum or plasma
    loinc: 14933-6
    unit: umol/L
    low: 20
    high: 2000
    molar_mass: 168.11
minimal_data_set: [urate]
signatures:
  urate_transport: {title: Urate transport, genes: [SLC2A9], source: A handbook}
report: Urate at each visit.
contrasts:
  urate_treated:
    question: Does urate fall more in the treated?
    kind: change
    outcome: urate
    column: treatment
    group: treated
    reference: untreated
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_term_code_unit_and_gene_of_a_programme_is_one(path):
    programme = load_programme(path)
    assert programme.id == path.stem
    for variable in programme.variables.values():
        for other in variable.also:
            # A line of its own must agree with the molar mass where both say the same.
            if variable.molar_mass and not other.intercept and other.unit != variable.unit:
                slope, _ = line_between(other.unit, variable.unit, variable.molar_mass)
                assert other.slope == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("name", CHRONIC)
def test_a_chronic_programme_declares_all_that_an_analysis_needs(name):
    programme = load_programme(bundle_folder() / "config" / "programmes" / f"{name}.yaml")
    for part in ("codings", "tissues", "cell_types", "variables", "signatures", "contrasts"):
        assert getattr(programme, part), part
    assert programme.minimal_data_set
    assert programme.report
    assert {contrast.kind for contrast in programme.contrasts.values()} == {"groups", "change"}


def test_all_faults_of_a_file_are_told_with_key_line_and_nearest_spelling(tmp_path):
    bad = (
        GOUT.replace("loinc:", "loink:")
        .replace("low: 20", "low: twenty")
        .replace("kind: change", "kind: changes")
        .replace("tissues:", "tisues:")
    )
    path = tmp_path / "gout.yaml"
    path.write_text(bad)
    _, faults = read_programme(path)
    told = {fault.column: fault for fault in faults}
    assert told["variables.urate.loink"].row == 11
    assert "'loinc'" in told["variables.urate.loink"].fix
    assert told["tisues"].fix == "Did you mean 'tissues'?"
    assert "a number" in told["variables.urate.low"].must
    assert "'change'" in told["contrasts.urate_treated.kind"].fix


@pytest.mark.parametrize(
    ("old", "new", "column", "shown"),
    [
        ("14933-6", "14933-5", "variables.urate.loinc", "check digit"),
        ("umol/L", "umol/l/", "variables.urate.unit", "ends too early"),
        ("MONDO:0005393", "MONDO:9999999", "disease_ontology_term_ids[0]", "MONDO:9999999"),
        ("id: gout", "id: gouty", "id", "'gouty'"),
        ("outcome: urate", "outcome: urat", "", "Did you mean 'urate'?"),
        ("high: 2000", "high: 2", "variables.urate", "20 and 2"),
        ("[urate]", "[urate, sex]", "", "'sex'"),
        ("CL:0000860:", "CL:0000115:", "cell_types.CL:0000115", None),
        ("CL:0000860:", "CL:0000134:", "cell_types.CL:0000134", "CL:0000134"),
    ],
)
def test_what_is_well_formed_but_wrong_is_found(tmp_path, old, new, column, shown):
    path = tmp_path / "gout.yaml"
    path.write_text(GOUT.replace(old, new, 1))
    _, faults = read_programme(path, look_up=True)
    if shown is None:
        assert not faults
        return
    (fault,) = faults
    assert (fault.column or "") == column
    assert shown in f"{fault.must} {fault.found} {fault.fix}"


def test_a_sixth_programme_is_one_file_in_the_study(tmp_path):
    folder = write_cohort(tmp_path / "config" / "cohorts" / "c1")
    shutil.copytree(SHIPPED[0].parent, tmp_path / "config" / "programmes")
    (tmp_path / "config" / "programmes" / "gout.yaml").write_text(GOUT)
    file = folder / "cohort.yaml"
    file.write_text(file.read_text().replace("programme: t2d", "programme: gout"))
    (folder / "measurements.tsv").write_text(
        "donor_id\tvisit\tloinc\tvalue\tunit\nd1\tT0\t14933-6\t7.2\tmg/dL\n"
    )
    assert not [fault for fault in find_faults(folder) if fault.severity == "error"]
    registration = load_registration(folder)
    facts = registration.facts()
    assert facts["programme_report"] == "Urate at each visit."
    assert facts["programme_sources"] == ["A handbook"]
    (value,) = registration.measurements
    assert (value.variable, value.unit) == ("urate", "umol/L")
    assert value.value == pytest.approx(428.3, abs=0.1)


def test_a_broken_programme_is_a_fault_of_the_cohorts_that_name_it(tmp_path):
    folder = write_cohort(tmp_path / "config" / "cohorts" / "c1")
    (tmp_path / "config" / "programmes").mkdir()
    (tmp_path / "config" / "programmes" / "t2d.yaml").write_text("id: t2d\ntitel: x\n")
    told = [fault for fault in find_faults(folder) if fault.file == "t2d.yaml"]
    assert [fault.row for fault in told if fault.column == "titel"] == [2]
