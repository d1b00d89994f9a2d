"""The sections of the configuration, in the order of the flow, each with its model.

A section has the name of its step, and its model that name in camel case: `label_transfer` is
described by `LabelTransferSettings`. So a step and its model are found, and not listed again. A
step without a model has nothing to choose: its section has no keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pmcell.settings import atlas, cohort, donors, release, study
from pmcell.settings.model import Settings
from pmcell.step import Step
from pmcell.steps import OLD_NAMES, STEPS

_MODELS = {
    name: item
    for module in (cohort, atlas, donors, release, study)
    for name, item in vars(module).items()
    if isinstance(item, type) and issubclass(item, Settings)
}


def _model_of(step: Step) -> type[Settings]:
    name = f"{step.name.title().replace('_', '')}Settings"
    return _MODELS.get(name) or type(name, (Settings,), {"__doc__": "There is nothing to choose."})


SETTINGS: Mapping[str, type[Settings]] = MappingProxyType(
    {step.name: _model_of(step) for step in STEPS}
)
"""The model of each section; a step's section has the step's name."""

ALIASES: Mapping[str, str] = OLD_NAMES
"""Sections by the names they once had, which are still read, and the names they have now."""


def section_of(model: type[Settings]) -> str:
    """Return the name of the section that a model describes."""
    return next(name for name, item in SETTINGS.items() if item is model)
