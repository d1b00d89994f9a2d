"""config/README.md names every key with its default, and no other."""

import re
from dataclasses import asdict

import pytest

from pmcell.bundle import bundle_folder
from pmcell.cli import (
    cluster,
    differential_expression,
    hvg,
    markers,
    neighbors,
    pca,
    profile,
    strata,
)
from pmcell.pp.qc import QcOptions
from pmcell.publish.facts import Options
from pmcell.registry.intake import IntakeConfig

SECTIONS = {
    "intake": asdict(IntakeConfig()),
    "qc": asdict(QcOptions()) | {"min_cells_passing": 20},
    "hvg": hvg.DEFAULTS,
    "pca": pca.DEFAULTS,
    "neighbors": neighbors.DEFAULTS,
    "cluster": cluster.DEFAULTS,
    "markers": markers.DEFAULTS,
    "profile": profile.DEFAULTS,
    "strata": strata.DEFAULTS,
    "differential_expression": differential_expression.DEFAULTS,
    "release": asdict(Options()),
}

ROW = r"^\| ?(.*?) ?\| (.*?) \| (.*?) \| .* \|$"


def documented():
    """Keys of each section as config/README.md lists them, with the default's text."""
    text = (bundle_folder() / "config" / "README.md").read_text(encoding="utf-8")
    table = text.split("## Steps")[1].split("## A cohort's folder")[0]
    found, section = {}, ""
    for row in re.findall(ROW, table, re.MULTILINE):
        section = row[0].strip("` ") or section
        for key in re.findall(r"`(\w+)`", row[1]):
            found.setdefault(section, {})[key] = row[2].strip("`")
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_documented_and_no_other(section):
    assert set(documented()[section]) == set(SECTIONS[section])


@pytest.mark.parametrize("section", SECTIONS)
def test_documented_defaults_are_those_of_the_code(section):
    for key, said in documented()[section].items():
        default = SECTIONS[section][key]
        if isinstance(default, tuple):
            default = ", ".join(default)
        if not default and said in ("empty", "none"):
            continue
        if default not in ("", "1") and said != "empty":
            assert said.lower() == str(default).lower().removesuffix(".0") or float(said) == default
