"""A study folder: where it lies, how it is configured, where its results go."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import UsageError
from pmcell.io.atomic import sha256_file
from pmcell.registry.cohorts.registered import (
    COHORT_FILE,
    LEDGER_FILE,
    VIEW_FILE,
    list_cohorts,
    programme_files,
    registration_files,
)
from pmcell.settings.load import Configuration, load_settings
from pmcell.settings.table import ALIASES
from pmcell.spelling import plural

CONFIG = Path("config", "config.yaml")
NOT_OPEN = ("registered", "controlled")


@dataclass(frozen=True)
class Study:
    """A study folder: where it lies, its configuration file, and what the file says."""

    folder: Path
    config: Path
    is_own_config: bool
    settings: Configuration

    @property
    def results(self) -> Path:
        """Where the workflow writes."""
        return self.folder / "results"

    @property
    def cohorts_dir(self) -> Path:
        """Where the cohorts are registered."""
        return self.folder / self.settings.study.cohorts_dir

    @property
    def resources(self) -> Path | None:
        """The study's own model of memory and time, where it names one."""
        named = self.settings.study.resources
        return self.folder / named if named else None


def decide_consent(study: Study, *, write: bool = True) -> None:
    """Hold the study to its cohorts' terms and donors' consent before anything runs.

    Writes the permitted view of each cohort with a ledger; says how many donors it leaves out.
    """
    names = study.settings.study.cohorts or list_cohorts(study.cohorts_dir)
    use = study.settings.study.use
    ledgers = [study.cohorts_dir / name / LEDGER_FILE for name in names]
    views = [study.results / "cohorts" / name / VIEW_FILE for name in names]
    if use is None and not any(path.exists() for path in (*ledgers, *views)):
        return
    from pmcell.consent.views import views_of_study

    found, warnings = views_of_study(study.cohorts_dir, names, study.results, use, write=write)
    for warning in warnings:
        print(f"pmcell: warning: {warning}", file=sys.stderr)
    for view in found:
        dropped = view.facts["dropped"]
        said = "; ".join(f"{item['n_donors']}: {item['reason']}" for item in dropped)
        allowed = f"{plural(len(view.allowed), 'donor')} may be used"
        print(
            f"pmcell: {view.cohort_id}: {allowed}" + (f", not {said}" if said else ""),
            file=sys.stderr,
        )


def require_keys(study: Study) -> None:
    """`UsageError` where a cohort that is not open is to be taken in and no key can be read."""
    from pmcell.registry.cohorts.yaml_text import read_yaml
    from pmcell.registry.intake.pseudonyms import load_key

    for name in study.settings.study.cohorts or list_cohorts(study.cohorts_dir):
        if (study.results / "cohorts" / name / "intake.json").exists():
            continue
        # A cohort.yaml that cannot be read is intake's to quarantine.
        access = read_yaml(study.cohorts_dir / name / COHORT_FILE, []).tree.get("access")
        if access in NOT_OPEN:
            load_key()
            return


def open_study(folder: Path, config: Path | None) -> Study:
    """The study in `folder`, configured by `config` or its own `config/config.yaml`.

    Raises `UsageError` for all faults of the configuration, before anything has run.
    """
    path = config or folder / CONFIG
    if not path.is_file():
        above = [one for one in folder.resolve().parents if (one / CONFIG).is_file()]
        fix = (
            f"The study is {above[0]}: cd {shlex.quote(str(above[0]))}"
            if above and config is None
            else f"Make one: pmcell init {shlex.quote(str(folder))}"
        )
        raise UsageError(f"a study folder must hold config/config.yaml; there is no {path}. {fix}")
    settings = load_settings(path, study=folder)
    for old in settings.old_names:
        print(f"pmcell: {path}: the section {old!r} is now {ALIASES[old]!r}", file=sys.stderr)
    return Study(folder, path.resolve(), config is None, settings)


def is_changed(study: Study) -> bool:
    """Whether the configuration file no longer says what it said when the study was opened."""
    try:
        return load_settings(study.config, study=study.folder) != study.settings
    except (UsageError, OSError):
        return True


def registered(study: Study) -> dict[Path, str]:
    """SHA-256 of what the study's cohorts are registered by, of their programmes and ledgers."""
    names = study.settings.study.cohorts or list_cohorts(study.cohorts_dir)
    folders = [study.cohorts_dir / name for name in names]
    files = {file for one in folders for file in (*registration_files(one), *programme_files(one))}
    files |= {one / LEDGER_FILE for one in folders if (one / LEDGER_FILE).is_file()}
    digests = {}
    for file in sorted(files):
        # What cannot be read, or is gone by now, is intake's to report.
        with suppress(OSError):
            digests[file] = sha256_file(file)
    return digests


def changed_files(study: Study, before: Mapping[Path, str]) -> list[Path]:
    """The configuration and files of registrations that no longer are as they were `before`.

    A cohort that was registered since is the next run's.
    """
    now, places = registered(study), {path.parent for path in before}
    files = sorted(
        path
        for path in now.keys() | before
        if path.parent in places and now.get(path) != before.get(path)
    )
    return [study.config] * is_changed(study) + files
