"""Settings of the release: what it says of itself, what it holds, who must accept it.

Identifiers are brought to one form: ORCID iDs and ROR ids as addresses, DOIs without one. A lone
text or mapping may stand where a list may.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Required

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, with_config
from typing_extensions import TypedDict

from pmcell.settings.model import MAX_COUNT, Settings, Text, setting

Role = Literal[
    "ContactPerson", "DataCollector", "DataCurator", "DataManager", "Distributor", "Editor",
    "HostingInstitution", "Producer", "ProjectLeader", "ProjectManager", "ProjectMember",
    "RegistrationAgency", "RegistrationAuthority", "RelatedPerson", "ResearchGroup", "Researcher",
    "RightsHolder", "Sponsor", "Supervisor", "WorkPackageLeader", "Other",
]  # fmt: skip
"""Kinds of contributors (DataCite 4.5, contributorType)."""

RaiProperty = Literal[
    "dataCollection", "dataCollectionType", "dataCollectionMissingData", "dataCollectionRawData",
    "dataCollectionTimeFrame", "dataImputationProtocol", "dataPreprocessingProtocol",
    "dataAnnotationProtocol", "dataAnnotationPlatform", "dataAnnotationAnalysis",
    "annotationsPerItem", "annotatorDemographics", "machineAnnotationTools", "dataBiases",
    "dataUseCases", "dataLimitations", "dataSocialImpact", "personalSensitiveInformation",
    "dataReleaseMaintenancePlan",
]  # fmt: skip
"""Properties of the Croissant RAI vocabulary 1.0."""

ValidatorName = Literal[
    "roc-validator", "frictionless", "mlcroissant", "datacite", "cffconvert", "pyshacl",
    "rdf-validate-shacl", "cellxgene-schema", "hca-schema-validator",
]  # fmt: skip
"""Independent validators, as `publish.validators` has them."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_entries(name: str) -> Callable[[Any], Any]:
    """Return what makes a list of entries of a lone text or mapping; a text is the key `name`."""

    def entries(value: Any) -> Any:
        found = [value] if isinstance(value, str | Mapping) else value
        if not isinstance(found, list | tuple):
            return value
        return [{name: item} if isinstance(item, str) else item for item in found]

    return entries


def _as_entry(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _as_day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _is_day(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat() if text else ""
    except ValueError as error:
        raise ValueError("must be a day like 2026-01-31") from error


def _plain_doi(text: str) -> str:
    return re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", text)


def _ror_address(text: str) -> str:
    return "https://ror.org/" + re.sub(r"^https?://ror\.org/", "", text)


def _orcid_address(text: str) -> str:
    """ISO 7064 MOD 11-2, as ORCID defines the last character."""
    plain = re.sub(r"^https?://orcid\.org/", "", text)
    *digits, last = list(plain.replace("-", ""))
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    if last != "0123456789X"[(12 - total % 11) % 11]:
        raise ValueError("has a wrong check digit; copy it again")
    return f"https://orcid.org/{plain}"


def _is_named(person: Person) -> Person:
    if not person.get("name") and not person.get("family_name"):
        raise ValueError("must have name, or given_name and family_name")
    return person


def _can_be_reached(desk: Any) -> Any:
    if not desk.get("email") and not desk.get("url"):
        raise ValueError("must have email or url")
    return desk


_DOI = r"^(https?://(dx\.)?doi\.org/|doi:)?10\.[0-9]{4,9}/\S+$"
_URL = r"^https?://[^\s/]+(/\S*)?$"
_STRICT = ConfigDict(extra="forbid", strict=True)


def _text(prose: str, pattern: str, example: str) -> Any:
    return Field(description=prose, min_length=1, pattern=pattern, examples=[example])


def _named(prose: str) -> Any:
    return Field(description=prose, min_length=1)


Url = Annotated[str, _text("web page", _URL, "https://example.org/")]
Email = Annotated[
    str,
    _text("address that may be published", r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "ada@example.org"),
]
Ror = Annotated[
    str,
    _text(
        "ROR id of the organisation, or of the affiliation of a person",
        r"^(https?://ror\.org/)?0[a-hj-km-np-tv-z0-9]{6}[0-9]{2}$",
        "https://ror.org/027bh9e22",
    ),
    AfterValidator(_ror_address),
]
Orcid = Annotated[
    str,
    _text(
        "ORCID iD of a person",
        r"^(https?://orcid\.org/)?([0-9]{4}-){3}[0-9]{3}[0-9X]$",
        "https://orcid.org/0000-0002-1825-0097",
    ),
    AfterValidator(_orcid_address),
]


@with_config(_STRICT)
class Person(TypedDict, total=False):
    """A person or organisation."""

    name: Annotated[str, _named("full name of the person or organisation")]
    given_name: Annotated[str, _named("given names of a person")]
    family_name: Annotated[str, _named("family name of a person")]
    orcid: Orcid
    affiliation: Annotated[str, _named("organisation that a person belongs to")]
    ror: Ror
    email: Email


@with_config(_STRICT)
class Contributor(Person, total=False):
    """A person or organisation with a role."""

    role: Required[Annotated[Role, Field(description="kind of contribution")]]


@with_config(_STRICT)
class Publisher(TypedDict, total=False):
    """Who publishes."""

    name: Required[Annotated[str, _named("name of the publisher")]]
    url: Url
    ror: Ror


@with_config(_STRICT)
class Contact(TypedDict, total=False):
    """Who answers questions."""

    name: Annotated[str, _named("name of the desk")]
    email: Email
    url: Url


@with_config(_STRICT)
class AccessBody(TypedDict, total=False):
    """A health data access body."""

    name: Required[Annotated[str, _named("name of the body")]]
    email: Email
    url: Url


@with_config(_STRICT)
class Grant(TypedDict, total=False):
    """A grant."""

    funder: Required[Annotated[str, _named("name of the funder")]]
    ror: Ror
    award: Annotated[str, _named("number of the grant")]
    title: Annotated[str, _named("title of the grant")]
    url: Url


Texts = Annotated[
    tuple[Text, ...],
    Strict(False),
    BeforeValidator(_as_list, json_schema_input_type=tuple[Text, ...] | str),
]
Authors = Annotated[
    tuple[Annotated[Person, AfterValidator(_is_named)], ...],
    Strict(False),
    BeforeValidator(
        _as_entries("name"),
        json_schema_input_type=tuple[Person | Text, ...] | Person | Text,
    ),
]
Contributors = Annotated[
    tuple[Annotated[Contributor, AfterValidator(_is_named)], ...],
    Strict(False),
    BeforeValidator(
        _as_entries("name"), json_schema_input_type=tuple[Contributor, ...] | Contributor
    ),
]
Funding = Annotated[
    tuple[Grant, ...],
    Strict(False),
    BeforeValidator(
        _as_entries("funder"), json_schema_input_type=tuple[Grant | Text, ...] | Grant | Text
    ),
]


def _chosen(words: Any) -> Any:
    """Return the type of a list of validators' names and words for several, or of a lone one."""
    return Annotated[
        tuple[words, ...],
        Strict(False),
        BeforeValidator(_as_list, json_schema_input_type=tuple[words, ...] | words),
    ]


class ReleaseSettings(Settings):
    """What the release says of itself, and what it holds."""

    as_written: ClassVar[tuple[str, ...]] = ("version", "date")

    title: str = setting("", "title of the release; by default one made from its programmes")
    description: str = setting("", "description of the release; by default one made from its facts")
    version: Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int | float)] = (
        setting("1", "version of the release, as it is written here")
    )
    date: Annotated[str, BeforeValidator(_as_day), AfterValidator(_is_day)] = setting(
        "",
        "day of publication; without it the documents say only when the release was made",
        examples=["2026-01-31"],
    )
    license: str = setting(
        "",
        "licence of the whole release, as an SPDX identifier",
        pattern=r"^$|^[A-Za-z0-9.+-]+$",
        examples=["CC-BY-4.0"],
    )
    doi: Annotated[str, AfterValidator(_plain_doi)] = setting(
        "",
        "DOI of the release; leave it out until one is assigned",
        pattern=rf"^$|{_DOI}",
        examples=["10.5281/zenodo.1234"],
    )
    url: str = setting(
        "",
        "address of the release's landing page",
        pattern=rf"^$|{_URL}",
        examples=["https://example.org/"],
    )
    files_url: str = setting(
        "",
        "address of the folder under which the release's files are served",
        pattern=rf"^$|{_URL}",
        examples=["https://example.org/releases/1/"],
    )
    authors: Authors = setting(
        (),
        "who made the release, in the order of citation: `name`, or `given_name` and "
        "`family_name`; `orcid`, `affiliation`, `ror`, `email`",
    )
    contributors: Contributors = setting(
        (), "who else contributed, likewise, with a `role` of DataCite (`DataCurator`, …)"
    )
    publisher: Annotated[
        Publisher, BeforeValidator(_as_entry, json_schema_input_type=Publisher | Text)
    ] = setting(
        {},
        "who publishes the release and keeps it available: `name`, `url`, `ror`; by default the "
        "organisations of its authors",
    )
    contact: Annotated[Contact, AfterValidator(_can_be_reached)] = setting(
        {},
        "who answers questions about the release, for `dcat.ttl`: `name`, and `email` or `url`; by "
        "default the contact that its open cohorts share",
    )
    hdab: Annotated[AccessBody, AfterValidator(_can_be_reached)] = setting(
        {},
        "health data access body of the release, for `dcat.ttl`: `name`, and `email` or `url`; by "
        "default the one that its open cohorts share",
    )
    funding: Funding = setting(
        (), "who paid for the work, a list of grants: `funder`, `ror`, `award`, `title`, `url`"
    )
    keywords: Texts = setting((), "words under which the release shall be found")
    language: str = setting(
        "en",
        "language of titles and descriptions (BCP 47)",
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        examples=["en"],
    )
    rai: dict[RaiProperty, Texts] = setting(
        {},
        "statements on responsible use, each a text or a list of texts, by property of the "
        "Croissant RAI vocabulary (`dataBiases`, …)",
    )
    expression: Literal["all", "highly_variable", "none"] = setting(
        "all", "genes whose counts are also in `expression/<cohort>.parquet`, for SQL"
    )
    validators: _chosen(ValidatorName | Literal["light", "all", "none"]) = setting(  # type: ignore[valid-type]
        ("light",),
        "independent validators that judge the release: names of `pmcell validate --list`, or "
        "`light`, `all`, `none`; one that is not set up is named in the release, and does not "
        "stop it",
    )
    require_validators: _chosen(ValidatorName | Literal["all"]) = setting(  # type: ignore[valid-type]
        (), "validators without whose verdict there is no release: names, or `all`"
    )
    tolerate_validators: dict[ValidatorName, Text] = setting(
        {}, "validators whose rejection does not stop the release, each with the reason"
    )
    min_donors: int = setting(
        10,
        "smaller groups of donors of non-open cohorts are suppressed",
        unit="donors",
        ge=3,
        le=MAX_COUNT,
    )


class ReleasePlanSettings(Settings):
    """What a release says of itself is chosen in section `release`."""


class CellsSettings(Settings):
    """What is in the files of a cohort is chosen in section `release`."""


class ReferenceSettings(Settings):
    """It follows from the steps before it; cells are chosen by their ids."""

    freeze: bool = setting(
        True,
        "freeze the model onto which `pmcell map` maps new people; without it nobody can be "
        "mapped onto the release",
    )
