"""Read a configuration: every fault of it at once, with its line, before anything has run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pmcell.errors import Fault, UsageError
from pmcell.settings.check import checked
from pmcell.settings.model import Settings
from pmcell.settings.places import add_missing_places
from pmcell.settings.study import StudySettings
from pmcell.settings.table import ALIASES, SETTINGS, section_of
from pmcell.settings.yaml_lines import Document, as_given, read_document
from pmcell.spelling import did_you_mean, nearest

AnySettings = TypeVar("AnySettings", bound=Settings)


class SettingsError(UsageError):
    """All faults of a configuration; exit code 2."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True)
class Configuration:
    """A configuration without faults.

    Attributes
    ----------
    parts
        The keys outside any section and each section, with defaults where the file says nothing.
    given
        What the file itself gives, its sections under their present names.
    old_names
        Sections that the file gives under the name that they once had.
    """

    parts: Mapping[type[Settings], Settings]
    given: Mapping[str, Any]
    old_names: tuple[str, ...] = ()

    @property
    def study(self) -> StudySettings:
        """The keys outside any section."""
        return self.of(StudySettings)

    def of(self, model: type[AnySettings]) -> AnySettings:
        """Return the settings that a model describes."""
        found = self.parts[model]
        assert isinstance(found, model)
        return found


def load_settings(path: Path, *, study: Path | None = None) -> Configuration:
    """Read and check a whole configuration.

    Parameters
    ----------
    path
        The YAML file.
    study
        The study folder; where it is given, what the configuration names must be there: cohorts,
        the clinical table, gene sets, the model of resources and recipients' keys.

    Returns
    -------
    The configuration.

    Raises
    ------
    SettingsError
        For all faults of the file at once, each with its line.
    """
    document = _open(path)
    given = _present_names(document)
    found = _checked_parts(document, given)
    if study is not None:
        if not document.written and not document.faults:
            # Snakemake reads no file without keys.
            fix = "Write a line such as `cohorts_dir: config/cohorts`, or `pmcell init` a study."
            document.add("must hold keys and values", "nothing", fix)
        add_missing_places(found, document, study)
    if document.faults:
        raise SettingsError(sorted(document.faults, key=lambda fault: fault.row or 0))
    return Configuration(found, given, tuple(old for old in ALIASES if old in document.values))


def load_study(path: Path | None) -> StudySettings:
    """Read the keys outside any section; faults of the sections are those of their steps.

    Parameters
    ----------
    path
        The YAML file; None for the defaults.

    Raises
    ------
    SettingsError
        For all faults of these keys.
    """
    if path is None:
        return StudySettings()
    document = _open(path)
    own = StudySettings.model_fields
    keys = {key: value for key, value in document.values.items() if key in own}
    found = None if document.faults else checked(StudySettings, keys, document)
    if found is None or document.faults:
        raise SettingsError(document.faults)
    return found


def checked_section(model: type[AnySettings], values: Any) -> AnySettings:
    """Return the settings of a section that comes from no file, None for the defaults.

    Raises
    ------
    SettingsError
        For all faults of the section.

    Examples
    --------
    >>> from pmcell.settings.atlas import ClusterSettings
    >>> checked_section(ClusterSettings, {"resolution": 2}).resolution
    2.0
    """
    name = section_of(model)
    document = as_given({name: {} if values is None else values})
    found = checked(model, document.values[name], document, (name,))
    if found is None:
        raise SettingsError(document.faults)
    return found


def load_section(
    model: type[AnySettings], path: Path | None, options: Mapping[str, Any] | None = None
) -> AnySettings:
    """Read one step's section, over which the options of its command take precedence.

    Faults of other sections are not this step's: a run that is under way goes on.

    Parameters
    ----------
    model
        The model of the section.
    path
        The YAML file; None for the defaults.
    options
        Settings given on the command line.

    Raises
    ------
    SettingsError
        For all faults of the section and of the options.
    """
    name = section_of(model)
    document = _open(path) if path is not None else Document("options")
    sections = _present_names(document)
    values = sections.get(name, {})
    if options and isinstance(values, Mapping) and not document.faults:
        _check_options(model, options)
        for key in options:
            # What the option replaces is no longer the file's.
            document.written = {p: w for p, w in document.written.items() if p[:2] != (name, key)}
        values = {**values, **options}
    if document.faults:
        raise SettingsError(document.faults)
    found = checked(model, values, document, (name,))
    if found is None:
        raise SettingsError(document.faults)
    return found


def _check_options(model: type[Settings], options: Mapping[str, Any]) -> None:
    """Raise `SettingsError` for options that are wrong by themselves, under their own names."""
    document = Document("")
    checked(model, options, document)
    faults = [
        Fault(f"--{(fault.column or '').replace('_', '-')}", fault.must, fault.found, fault.fix)
        for fault in document.faults
        if fault.column
    ]
    if faults:
        raise SettingsError(faults)


def _open(path: Path) -> Document:
    if not path.is_file():
        raise UsageError(f"--config must name a file; there is no {path}")
    return read_document(path)


def _checked_parts(document: Document, given: Mapping[str, Any]) -> dict[type[Settings], Settings]:
    """Return what is right of a configuration; what is not is in the document's faults."""
    own = StudySettings.model_fields
    keys = {key: value for key, value in given.items() if key in own}
    parts: dict[type[Settings], Settings | None] = {}
    parts[StudySettings] = checked(StudySettings, keys, document)
    for name, model in SETTINGS.items():
        parts[model] = checked(model, given.get(name, {}), document, (name,))
    known = [*own, *SETTINGS, *ALIASES]
    for key in given:
        if key not in own and key not in SETTINGS:
            names = ", ".join([*own, *SETTINGS])
            fix = did_you_mean(key, known) or _home_of(key) or f"There are {names}."
            document.add("must be a section that there is", repr(key[:60]), fix, (key,))
    return {model: part for model, part in parts.items() if part is not None}


def _home_of(key: str) -> str:
    """Say in which sections a setting belongs that stands outside any."""
    homes = [name for name, model in SETTINGS.items() if nearest(key, model.model_fields, 0.85)]
    return f"Is it meant for section {' or '.join(homes)}?" if homes else ""


def _present_names(document: Document) -> dict[str, Any]:
    """Return the file's sections, those by an old name under the present one."""
    values = dict(document.values)
    for old, new in ALIASES.items():
        if old not in values:
            continue
        if new in values:
            must = f"must be given once: {old!r} is the old name of {new!r}"
            document.add(must, "both", "Keep one of them.", (old,))
        values[new] = values.pop(old)
        for place, written in list(document.written.items()):
            if place[:1] == (old,):
                document.written[(new, *place[1:])] = written
    return {key: _as_written(key, value, document) for key, value in values.items()}


def _as_written(section: str, values: Any, document: Document) -> Any:
    """Return a section with the texts of those numbers and days that are taken as written."""
    names = SETTINGS[section].as_written if section in SETTINGS else ()
    if not names or not isinstance(values, Mapping):
        return values
    texts = {
        key: document.written[section, key].text
        for key in names
        if not isinstance(values.get(key, ""), str | bool | list | dict)
    }
    return {**values, **texts}
