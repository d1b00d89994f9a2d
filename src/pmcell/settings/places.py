"""What a configuration names must be in the study: cohorts, files of the study, public keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pmcell.settings.donors import DifferentialExpressionSettings, StrataSettings
from pmcell.settings.model import Settings
from pmcell.settings.study import SealSettings, StudySettings
from pmcell.settings.table import section_of
from pmcell.settings.yaml_lines import Document, Place
from pmcell.spelling import did_you_mean


def add_missing_places(
    parts: Mapping[type[Settings], Settings], document: Document, study: Path
) -> None:
    """Add a fault for each cohort and file that the configuration names and `study` lacks."""
    for settings in parts.values():
        if isinstance(settings, StudySettings):
            _add_missing_cohorts(settings, document, study)
        for place, file in _files(settings):
            if file is not None and not (study / file).is_file():
                must = "must name a file, relative to the study folder"
                fix = "Correct the name, or add the file."
                document.add(must, f"no file {study / file}", fix, place)


def _add_missing_cohorts(settings: StudySettings, document: Document, study: Path) -> None:
    folder = study / settings.cohorts_dir
    there = sorted(path.name for path in folder.glob("*/"))
    for at, cohort in enumerate(settings.cohorts):
        if cohort not in there:
            fix = did_you_mean(cohort, there) or f"There are {', '.join(there) or 'none'}."
            document.add(f"must name folders in {folder}", repr(cohort), fix, ("cohorts", at))


def _files(settings: Settings) -> Iterator[tuple[Place, str | None]]:
    """Yield each setting that names a file of the study, and the file."""
    if isinstance(settings, StudySettings):
        yield ("resources",), settings.resources
    elif isinstance(settings, StrataSettings):
        yield (section_of(StrataSettings), "clinical"), settings.clinical
    elif isinstance(settings, DifferentialExpressionSettings):
        yield (section_of(DifferentialExpressionSettings), "gene_sets"), settings.gene_sets
    elif isinstance(settings, SealSettings):
        for name, file in settings.recipients.items():
            yield (section_of(SealSettings), "recipients", name), file
