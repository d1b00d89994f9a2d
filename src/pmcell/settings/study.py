"""Settings of the study itself, and of the packages that are encrypted to recipients."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from pmcell.schema.ids import ID_PATTERN
from pmcell.settings.model import ONCE, Names, Settings, SomeNames, Text, setting

PURPOSES = (
    "general_research",
    "health_research",
    "disease_research",
    "ancestry_research",
    "methods_research",
    "clinical_care",
)
"""What a study can declare that it does; `pmcell.consent.uses` holds them against DUO."""
DATA_KINDS = ("transcriptome", "proteome", "clinical")
"""Kinds of data that a consent can be limited to."""


def _no_recipient_is_missing(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must list names of seal.recipients, and the list is empty")
    return names


class PermitSettings(Settings):
    """The decision that allows the study: an opt-out binds permits approved from its day on."""

    id: Text = setting(..., "number or name of the permit, which the release names")
    approved_on: Annotated[date, Strict(False)] = setting(..., "day on which it was approved")
    expires: Annotated[date, Strict(False)] | None = setting(None, "last day on which it holds")


class UseSettings(Settings):
    """What the study uses data for: held against cohorts' terms and donors' consent."""

    purpose: Literal[PURPOSES] = setting(..., "what the data are used for")  # type: ignore[valid-type]
    disease: Annotated[str, Field(pattern=r"^MONDO:\d{7}$")] | None = setting(
        None,
        "the disease that is studied (MONDO), for disease_research",
        examples=["MONDO:0005148"],
    )
    data: SomeNames = setting(("transcriptome",), f"kinds of data: {', '.join(DATA_KINDS)}")
    recipient: Text | None = setting(None, "who receives data about single people")
    commercial: bool | None = setting(None, "whether the use is commercial")
    for_profit: bool | None = setting(None, "whether the user is an organisation for profit")
    conditions: Names = setting(
        (), "modifiers (DUO ids) that are stated as met, such as DUO:0000021 for ethics approval"
    )
    permit: PermitSettings | None = setting(None, "the permit under which data are used")

    @model_validator(mode="after")
    def _is_whole(self) -> UseSettings:
        if (self.purpose == "disease_research") != (self.disease is not None):
            raise ValueError("disease must be given for disease_research, and only then")
        unknown = sorted(set(self.data) - set(DATA_KINDS))
        if unknown:
            raise ValueError(f"data must be of {', '.join(DATA_KINDS)}; found {unknown[0]!r}")
        return self


class StudySettings(Settings):
    """Where the study's cohorts lie, and which of them are used: keys outside any section."""

    cohorts_dir: Text = setting("config/cohorts", "one folder a registered cohort, see below")
    cohorts: Annotated[
        tuple[Annotated[str, Field(pattern=ID_PATTERN, examples=["liu_b1"])], ...],
        Strict(False),
        *ONCE,
    ] = setting((), "use only these cohorts; by default every folder in `cohorts_dir`")
    matrix_paths: dict[Text, Names] = setting(
        {},
        "files and folders outside a cohort's own from which its matrix may be read, relative to "
        "the study folder: a cohort's id and a list of them; `pmcell register` adds its file",
    )
    backups_kept_days: Annotated[int, Field(ge=0)] | None = setting(
        None,
        "days after which a backup of the study is overwritten: the receipt of a withdrawal says "
        "until when backups hold the donor, which is unknown without it",
    )
    resources: Text | None = setting(
        None,
        "file with a model of memory and time, as `pmcell estimate --refit STUDY… --out FILE` "
        "writes it; by default the one that ships",
    )

    use: UseSettings | None = setting(
        None,
        "what the study uses data for: `purpose`, and where it applies `disease`, `data`, "
        "`recipient`, `commercial`, `for_profit`, `conditions` and `permit`; needed for cohorts "
        "with a consent ledger",
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
