"""What may stand in the `release` section of the configuration, with the meaning of each key.

The rules are one JSON schema. Identifiers are brought to one form: ORCID iDs
and ROR ids as addresses, DOIs without one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pmcell.errors import UsageError
from pmcell.publish.validators.table import names

ROLES = (
    "ContactPerson", "DataCollector", "DataCurator", "DataManager", "Distributor", "Editor",
    "HostingInstitution", "Producer", "ProjectLeader", "ProjectManager", "ProjectMember",
    "RegistrationAgency", "RegistrationAuthority", "RelatedPerson", "ResearchGroup", "Researcher",
    "RightsHolder", "Sponsor", "Supervisor", "WorkPackageLeader", "Other",
)  # fmt: skip
"""Kinds of contributors (DataCite 4.5, contributorType)."""

RAI = (
    "dataCollection", "dataCollectionType", "dataCollectionMissingData", "dataCollectionRawData",
    "dataCollectionTimeFrame", "dataImputationProtocol", "dataPreprocessingProtocol",
    "dataAnnotationProtocol", "dataAnnotationPlatform", "dataAnnotationAnalysis",
    "annotationsPerItem", "annotatorDemographics", "machineAnnotationTools", "dataBiases",
    "dataUseCases", "dataLimitations", "dataSocialImpact", "personalSensitiveInformation",
    "dataReleaseMaintenancePlan",
)  # fmt: skip
"""Properties of the Croissant RAI vocabulary 1.0."""


def plain_options(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section in one form, checked; `UsageError` names every fault with the key's meaning.

    >>> plain_options({"authors": ["Ada Byron"], "doi": "https://doi.org/10.5281/zenodo.1"})
    {'authors': ({'name': 'Ada Byron'},), 'doi': '10.5281/zenodo.1'}
    """
    from jsonschema import Draft202012Validator

    values = {key: _plain(key, value) for key, value in section.items() if value not in (None, {})}
    errors = Draft202012Validator(RULES).iter_errors(values)
    faults = [_sentence(error) for error in sorted(errors, key=lambda item: str(list(item.path)))]
    for key in ("authors", "contributors"):
        faults += _nameless(key, values.get(key, []))
    if faults:
        raise UsageError("\n".join(f"config: release.{fault}" for fault in faults))
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }


def _plain(key: str, value: Any) -> Any:
    """One form for each key: a lone text where a list or a mapping may stand becomes one."""
    if key in ("authors", "contributors", "funding") and isinstance(value, Sequence | Mapping):
        entries = [value] if isinstance(value, str | Mapping) else value
        name = "funder" if key == "funding" else "name"
        return [_entry({name: item} if isinstance(item, str) else item) for item in entries]
    if key in ("keywords", "validators", "require_validators") and isinstance(value, str):
        return [value]
    if key == "keywords" and isinstance(value, tuple):
        return list(value)
    if key == "publisher":
        return _entry({"name": value} if isinstance(value, str) else value)
    if key == "rai" and isinstance(value, Mapping):
        return {name: [text] if isinstance(text, str) else text for name, text in value.items()}
    if key == "doi" and isinstance(value, str):
        return re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", value)
    if key == "version":
        return str(value)
    return value


def _entry(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    entry = {key: value for key, value in item.items() if value is not None}
    for key, site in (("orcid", "https://orcid.org/"), ("ror", "https://ror.org/")):
        if isinstance(entry.get(key), str):
            entry[key] = site + re.sub(r"^https?://(orcid|ror)\.org/", "", entry[key])
    return entry


def _sentence(error: Any) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
    meaning = error.schema.get("description", "")
    what = place.lstrip(".") + (f" ({meaning})" if meaning else "")
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        wrong = sorted(set(error.instance) - set(known))
        near = difflib.get_close_matches(wrong[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return (
            f"{what} has no key {', '.join(map(repr, wrong))}; it knows {', '.join(known)}.{hint}"
        )
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{what} must have {', '.join(missing)}; got {error.instance!r}"
    if error.validator == "anyOf":
        ways = " or ".join(way["required"][0] for way in error.validator_value)
        return f"{what} must have {ways}; got {error.instance!r}"
    if error.validator == "enum":
        return f"{what} must be one of {', '.join(error.validator_value)}; got {error.instance!r}"
    if "example" in error.schema:
        return f"{what} must look like {error.schema['example']}; got {error.instance!r}"
    wanted = WANTED.get(str(error.validator_value), error.message)
    return f"{what} must hold {wanted}; got {error.instance!r}"


def _nameless(key: str, entries: Any) -> Iterator[str]:
    for row, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, Mapping):
            continue
        if not entry.get("name") and not entry.get("family_name"):
            yield f"{key}[{row}] must have name, or given_name and family_name; got {entry!r}"
        if isinstance(entry.get("orcid"), str) and not _orcid_is_right(entry["orcid"]):
            yield f"{key}[{row}].orcid has a wrong check digit: {entry['orcid']!r}; copy it again"


def _orcid_is_right(orcid: str) -> bool:
    """ISO 7064 MOD 11-2, as ORCID defines its last character; what is no ORCID is not judged."""
    *digits, last = orcid.rsplit("/", 1)[-1].replace("-", "")
    if len(digits) != 15 or not all(digit.isdigit() for digit in digits):
        return True
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return last == "0123456789X"[(12 - total % 11) % 11]


WANTED = {
    "string": "one text",
    "array": "a list",
    "object": "keys and values",
    "1": "a text that is not empty",
}


def _text(meaning: str, pattern: str = "", example: str = "") -> dict[str, Any]:
    rule: dict[str, Any] = {"type": "string", "minLength": 1, "description": meaning}
    return rule | ({"pattern": pattern, "example": example} if pattern else {})


def _object(meaning: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": meaning,
        "properties": dict(properties),
        "additionalProperties": False,
        **more,
    }


def _list(meaning: str, items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": meaning, "items": dict(items)}


URL = r"^https?://[^\s/]+(/\S*)?$"
DOI = r"^(https?://(dx\.)?doi\.org/|doi:)?10\.[0-9]{4,9}/\S+$"
ORCID = r"^(https?://orcid\.org/)?([0-9]{4}-){3}[0-9]{3}[0-9X]$"
ROR = r"^(https?://ror\.org/)?0[a-hj-km-np-tv-z0-9]{6}[0-9]{2}$"
_ROR_TEXT = _text("ROR id of the organisation", ROR, "https://ror.org/027bh9e22")
_URL_TEXT = _text("web page", URL, "https://example.org/")

_EMAIL_TEXT = _text(
    "address that may be published", r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "ada@example.org"
)

_PERSON = {
    "name": _text("full name of the person or organisation"),
    "given_name": _text("given names of a person"),
    "family_name": _text("family name of a person"),
    "orcid": _text("ORCID iD of a person", ORCID, "https://orcid.org/0000-0002-1825-0097"),
    "affiliation": _text("organisation that a person belongs to"),
    "ror": _text(
        "ROR id of the organisation, or of the affiliation of a person", ROR, _ROR_TEXT["example"]
    ),
    "email": _EMAIL_TEXT,
}

RULES = _object(
    "what the release says of itself",
    {
        "title": {"type": "string"},
        "description": {"type": "string"},
        "version": {"type": "string"},
        "license": {
            "type": "string",
            "pattern": r"^$|^[A-Za-z0-9.+-]+$",
            "description": "licence of the whole release, as an SPDX identifier",
            "example": "CC-BY-4.0",
        },
        "doi": {
            "type": "string",
            "pattern": rf"^$|{DOI}",
            "description": "DOI that was assigned to the release",
            "example": "10.5281/zenodo.1234",
        },
        "url": {
            "type": "string",
            "pattern": rf"^$|{URL}",
            "description": "address of the release's landing page",
            "example": _URL_TEXT["example"],
        },
        "files_url": {
            "type": "string",
            "pattern": rf"^$|{URL}",
            "description": "address of the folder under which the release's files are served",
            "example": "https://example.org/releases/1/",
        },
        "language": {
            "type": "string",
            "pattern": r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
            "description": "language of titles and descriptions (BCP 47)",
            "example": "en",
        },
        "expression": {
            "enum": ["all", "highly_variable", "none"],
            "description": "genes whose counts are in expression/, for SQL",
        },
        "validators": _list(
            "validators that judge the release: names, or light, all or none",
            {"enum": [*names(), "light", "all", "none"]},
        ),
        "require_validators": _list(
            "validators without whose verdict there is no release: names, or all",
            {"enum": [*names(), "all"]},
        ),
        "tolerate_validators": _object(
            "validators whose rejection does not stop the release, each with the reason",
            dict.fromkeys(names(), _text("why the rejection stands")),
        ),
        "keywords": _list("words under which the release shall be found", _text("a keyword")),
        "authors": _list(
            "who made the release, in the order of citation",
            _object("an author", _PERSON),
        ),
        "contributors": _list(
            "who else contributed",
            _object(
                "a contributor",
                {"role": {"enum": list(ROLES), "description": "kind of contribution"}, **_PERSON},
                required=["role"],
            ),
        ),
        "publisher": _object(
            "who publishes the release and keeps it available",
            {"name": _text("name of the publisher"), "url": _URL_TEXT, "ror": _ROR_TEXT},
            required=["name"],
        ),
        "contact": _object(
            "who answers questions about the release",
            {"name": _text("name of the desk"), "email": _EMAIL_TEXT, "url": _URL_TEXT},
            anyOf=[{"required": ["email"]}, {"required": ["url"]}],
        ),
        "hdab": _object(
            "health data access body of the release, where its cohorts have different ones",
            {"name": _text("name of the body"), "email": _EMAIL_TEXT, "url": _URL_TEXT},
            required=["name"],
            anyOf=[{"required": ["email"]}, {"required": ["url"]}],
        ),
        "funding": _list(
            "who paid for the work",
            _object(
                "a grant",
                {
                    "funder": _text("name of the funder"),
                    "ror": _ROR_TEXT,
                    "award": _text("number of the grant"),
                    "title": _text("title of the grant"),
                    "url": _URL_TEXT,
                },
                required=["funder"],
            ),
        ),
        "rai": _object(
            "responsible use, in the words of the Croissant RAI vocabulary",
            {
                name: _list(f"rai:{name}, a text or a list of texts", _text("a statement"))
                for name in RAI
            },
        ),
    },
    additionalProperties=True,
)
