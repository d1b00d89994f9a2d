"""The machine-readable twins, judged by the models of others before they are written.

`fhir.resources` (FHIR R4B, which has R4's resources) and `phenopackets` (GA4GH's protobuf
classes) come with the optional extra `pmcell[person]`.
"""

from __future__ import annotations

import json
from typing import Any

from pmcell.errors import DataError, UsageError

INSTALL = "Install it with: pip install 'pmcell[person]', or write the page alone with --page-only"


def check_fhir(bundle: dict[str, Any]) -> None:
    """Raise `DataError` where the bundle is none by the models of `fhir.resources`."""
    try:
        from fhir.resources.R4B.bundle import Bundle
    except ImportError as error:
        raise UsageError(f"the FHIR twin needs the package fhir.resources. {INSTALL}") from error
    from pydantic import ValidationError

    try:
        Bundle.model_validate_json(json.dumps(bundle))
    except ValidationError as error:
        raise _refused("FHIR bundle", "fhir.resources", str(error)) from error


def check_phenopacket(packet: dict[str, Any]) -> None:
    """Raise `DataError` where the packet is none by the classes of `phenopackets`.

    Protobuf knows names and types; which fields the schema requires it does not know.
    """
    try:
        from google.protobuf.json_format import ParseDict, ParseError
        from phenopackets import Phenopacket
    except ImportError as error:
        raise UsageError(f"the Phenopacket needs the package phenopackets. {INSTALL}") from error
    try:
        ParseDict(packet, Phenopacket())
    except ParseError as error:
        raise _refused("Phenopacket", "phenopackets", str(error)) from error


def _refused(what: str, by: str, why: str) -> DataError:
    return DataError(
        f"the {what} must be accepted by {by} before it is written; it is not: {why[:2000]}. "
        "Nothing was written. --page-only writes the page alone.",
        reason="twin_refused",
    )
