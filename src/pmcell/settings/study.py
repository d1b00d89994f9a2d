"""Settings of the study itself, and of the packages that are encrypted to recipients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, Strict, model_validator

from pmcell.schema.ids import ID_PATTERN
from pmcell.settings.model import Names, Settings, Text, setting


def _no_recipient_is_missing(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must list names of seal.recipients, and the list is empty")
    return names


class StudySettings(Settings):
    """Where the study's cohorts lie, and which of them are used: keys outside any section."""

    cohorts_dir: Text = setting("config/cohorts", "one folder a registered cohort, see below")
    cohorts: Annotated[
        tuple[Annotated[str, Field(pattern=ID_PATTERN, examples=["liu_b1"])], ...],
        Strict(False),
        Field(json_schema_extra={"uniqueItems": True}),
    ] = setting((), "use only these cohorts; by default every folder in `cohorts_dir`")
    matrix_paths: dict[Text, Names] = setting(
        {},
        "files and folders outside a cohort's own from which its matrix may be read, relative to "
        "the study folder: a cohort's id and a list of them; `pmcell register` adds its file",
    )
    resources: Text | None = setting(
        None,
        "file with a model of memory and time, as `pmcell estimate --refit STUDY… --out FILE` "
        "writes it; by default the one that ships",
    )

    def allowed(self, cohort_id: str, study: Path = Path()) -> list[Path]:
        """Return what a cohort's matrix may be read from besides its own folder."""
        return [study / path for path in self.matrix_paths.get(cohort_id, ())]


class SealSettings(Settings):
    """Who receives the cohorts without open access, encrypted."""

    recipients: dict[Text, Text] = setting(
        {},
        "names of recipients and the files of their public keys, relative to the study folder; "
        "without any nothing is encrypted",
    )
    cohorts: dict[Text, Annotated[Names, AfterValidator(_no_recipient_is_missing)]] = setting(
        {}, "recipients of single cohorts: a cohort's id and a list of names; by default all"
    )

    @model_validator(mode="after")
    def _cohorts_name_recipients(self) -> SealSettings:
        for cohort, names in self.cohorts.items():
            unknown = sorted(set(names) - set(self.recipients))
            if unknown:
                raise ValueError(
                    f"cohorts.{cohort} must list names of seal.recipients; "
                    f"{', '.join(map(repr, unknown))} is none of "
                    f"{', '.join(sorted(self.recipients)) or 'them: there are none'}"
                )
        return self
