"""The settings are told once: README, schema, options and the library agree with them."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import subprocess
import sys
from typing import get_args

import pytest

import pmcell as pm
from pmcell.bundle import bundle_folder
from pmcell.cli import module_of
from pmcell.cli._job.options import add_options
from pmcell.cli._settings import PREFIX
from pmcell.cli.run._resources import Model
from pmcell.core.donors import donor_map
from pmcell.core.graph import layout, leiden
from pmcell.core.harmony import HarmonySettings
from pmcell.core.pca import gram
from pmcell.pp.accept import select
from pmcell.pp.qc import QcOptions
from pmcell.publish.validators.table import names
from pmcell.settings import atlas, cohort, donors, release, table
from pmcell.settings.documents import with_tables
from pmcell.settings.json_schema import describe, schema_of
from pmcell.settings.load import SettingsError, load_settings
from pmcell.settings.study import StudySettings
from pmcell.settings.table import SETTINGS, section_of
from pmcell.steps import STEPS
from pmcell.strata.discovery import views
from pmcell.tl.annotate import annotate_clusters
from pmcell.tl.integrate import harmonise
from pmcell.tl.markers import Method, find_markers
from pmcell.tl.neighbors import WEIGHTS
from pmcell.tl.umap import map_points

CONFIG = bundle_folder() / "config"

FUNCTIONS = {
    cohort.QcSettings: [QcOptions],
    atlas.HvgSettings: [select, pm.pp.highly_variable_genes],
    atlas.PcaSettings: [pm.tl.pca],
    atlas.IntegrateSettings: [pm.tl.integrate, harmonise],
    atlas.NeighborsSettings: [pm.tl.neighbors],
    atlas.ClusterSettings: [pm.tl.cluster, leiden.leiden],
    atlas.UmapSettings: [pm.tl.umap, map_points, layout.layout],
    atlas.MarkersSettings: [pm.tl.markers, find_markers],
    atlas.AnnotateSettings: [pm.tl.annotate, annotate_clusters],
    donors.ProfileSettings: [pm.strata.profile],
    donors.StrataSettings: [
        pm.strata.distances,
        pm.strata.cluster,
        pm.strata.existence,
        pm.strata.place,
        pm.strata.associate,
        pm.strata.movement,
    ],
    donors.DifferentialExpressionSettings: [
        pm.strata.differential_expression,
        pm.strata.pathways,
        pm.strata.gene_drivers,
    ],
}
"""The functions of the library that a step's settings are given to."""

OTHER_NAMES = {"top": ("n_top", "top")}
"""A setting, and the parameters that hold it under another name."""

OTHER_THINGS = {("associate", "clinical")}
"""Parameters that have a setting's name and are something else: columns, not a file."""

CHOICES = {
    (atlas.PcaSettings, "scaling"): tuple(gram.SCALINGS),
    (atlas.NeighborsSettings, "weights"): WEIGHTS,
    (atlas.ClusterSettings, "objective"): leiden.OBJECTIVES,
    (atlas.MarkersSettings, "method"): get_args(Method),
}


@pytest.mark.parametrize("model", FUNCTIONS)
def test_the_library_has_the_defaults_of_the_settings(model):
    n_compared = 0
    for function in FUNCTIONS[model]:
        parameters = inspect.signature(function).parameters
        for name, field in model.model_fields.items():
            for own in OTHER_NAMES.get(name, (name,)):
                if (function.__name__, own) in OTHER_THINGS:
                    continue
                default = getattr(parameters.get(own), "default", inspect.Parameter.empty)
                if default is not inspect.Parameter.empty:
                    n_compared += 1
                    assert default == field.default, f"{function.__qualname__}({own})"
    assert n_compared >= len(model.model_fields) - 10


def test_the_kernel_of_harmony_has_the_penalty_of_the_settings():
    assert HarmonySettings().diversity == atlas.IntegrateSettings().theta


def test_every_limit_of_quality_control_is_a_setting():
    own = set(inspect.signature(QcOptions).parameters)
    assert own == set(cohort.QcSettings.model_fields) - {"min_cells_passing"}


@pytest.mark.parametrize(("model", "name"), CHOICES)
def test_the_choices_of_a_setting_are_those_of_the_code(model, name):
    assert tuple(schema_of(model)["properties"][name]["enum"]) == tuple(CHOICES[model, name])


def test_channels_and_validators_of_the_settings_are_those_of_the_code():
    assert set(get_args(donors.Channel)) == set(donor_map.CHANNELS)
    assert len(views._views(list(donor_map.CHANNELS))) == donors.MAX_VIEWS
    assert list(get_args(release.ValidatorName)) == names()


def test_readme_and_schema_are_those_that_the_settings_make():
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    assert with_tables(text) == text, "run: python scripts/export_schemas.py"


def test_readme_names_every_key_with_what_it_must_be():
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    for model in (StudySettings, *SETTINGS.values()):
        for key, node in schema_of(model)["properties"].items():
            assert f"| `{key}` | " in text
            assert describe(node) in text


@pytest.mark.parametrize("model", [StudySettings, *SETTINGS.values()])
def test_every_setting_has_a_sentence_a_type_and_a_valid_default(model):
    assert model() == model.model_validate({})
    for key, node in schema_of(model)["properties"].items():
        assert len(node["description"]) > 10, key
        assert {"type", "anyOf", "enum"} & set(node), key
        if "default" in node and node["default"] not in ({}, ""):
            assert model.model_validate({key: node["default"]}) == model()


@pytest.mark.parametrize("model", SETTINGS.values())
def test_every_setting_of_a_step_is_an_option_of_its_command(model):
    section = section_of(model)
    parser = argparse.ArgumentParser()
    add_options(parser, section, importlib.import_module(module_of(section)))
    text = " ".join(parser.format_help().split())
    options = {action.dest: action for action in parser._actions}
    for key in model.model_fields:
        assert f"--{key.replace('_', '-')}" in text
        own = options.get(PREFIX + key)
        # The two that name files have options that the step's inputs are checked by.
        assert own is not None or key in ("clinical", "gene_sets")
        assert own is None or own.default is None
    assert options["config"].help


def test_the_model_of_resources_has_the_defaults_of_the_settings():
    given = {
        "release": {"validators": list(release.ReleaseSettings().validators)},
        "hvg": {"n_top": atlas.HvgSettings().n_top},
        "pca": {"n_components": atlas.PcaSettings().n_components},
    }
    model, sizes = Model(), [(1.0, 1.0, 1.0, 1.0, 0.03)]
    formula = model.formula.for_study
    assert formula(model.values, given, sizes) == formula(model.values, {}, sizes)


@pytest.mark.parametrize(
    "section", [name for name, model in SETTINGS.items() if model.model_fields]
)
def test_every_rule_of_a_step_with_settings_hands_on_the_configuration(section):
    rules = "".join(path.read_text() for path in (CONFIG.parent / "workflow/rules").glob("*.smk"))
    (call,) = re.findall(rf'"pmcell {section} .*?> \{{log:q\}}', rules, flags=re.DOTALL)
    assert "{params.config}" in call
    assert f'options=step_options("{section}")' in rules


def test_every_model_is_that_of_a_step_or_of_the_study():
    """A model with a misspelt name would leave its step without settings."""
    of_steps = {model.__name__ for model in SETTINGS.values()}
    of_study = {StudySettings.__name__, *StudySettings.model_json_schema()["$defs"]}
    assert table._MODELS.keys() - of_steps - {"Settings"} == of_study


def test_a_step_without_a_model_takes_no_keys(tmp_path):
    assert not SETTINGS["gene_stats"].model_fields
    config = tmp_path / "config.yaml"
    config.write_text("gene_stats:\n  n_top: 3\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="n_top"):
        load_settings(config)


def test_every_step_has_a_section_in_the_order_of_the_flow():
    assert list(SETTINGS) == [step.name for step in STEPS]


def test_the_list_of_commands_needs_no_settings():
    code = "import sys, pmcell.settings, pmcell.cli; pmcell.cli.main(['--help']); "
    code += "assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
