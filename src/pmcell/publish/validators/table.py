"""The validators: what each is called, what it reads, and what its environment is locked to.

A new validator is a row here, a driver in `drivers/` and its requirements in
`scripts/lock.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.bundle import bundle_folder

DRIVERS = Path(__file__).parent / "drivers"
OWN = "pmcell-verify"
"""The name under which pmcell's own check of digests stands beside the others."""

MAX_VALUES = 1_000_000
"""Rows × columns of the largest table that a validator opens which holds tables whole in memory."""

MAX_BYTES = 50_000_000
"""The largest file of cells that it digests: pmcell's own check digests them all."""


@dataclass(frozen=True)
class Validator:
    """One validator that others wrote."""

    name: str
    prose: str
    targets: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    heavy: bool = False
    needs_node: bool = False
    on_request: str = ""
    shared_driver: str = ""

    @property
    def driver(self) -> Path:
        """The program that runs inside the validator's environment."""
        suffix = ".mjs" if self.needs_node else ".py"
        return DRIVERS / f"{self.shared_driver or self.name.replace('-', '_')}{suffix}"

    @property
    def lock(self) -> Path:
        """The file that pins its environment."""
        folder = bundle_folder() / "envs" / "validators"
        if self.needs_node:
            return folder / self.name / "package-lock.json"
        return folder / f"{self.name}.txt"

    @property
    def version(self) -> str:
        """The pinned version, as the lock says it."""
        text = self.lock.read_text(encoding="utf-8")
        name = re.escape(self.name)
        pattern = rf'"{name}": "([^"]+)"' if self.needs_node else rf"^{name}(?:\[.*\])?==(\S+)"
        found = re.search(pattern, text, re.MULTILINE)
        if found is None:
            raise AssertionError(f"{self.lock} does not pin {self.name}")
        return found.group(1)

    def targets_in(self, release: Path) -> list[str]:
        """The files of a release that this validator reads, by path inside it."""
        paths = [path for pattern in self.targets for path in release.glob(pattern)]
        return sorted(path.relative_to(release).as_posix() for path in paths)


VALIDATORS: tuple[Validator, ...] = (
    Validator(
        "roc-validator",
        "the crate, against RO-Crate 1.1 and each Workflow Run profile that it claims",
        ("ro-crate-metadata.json",),
    ),
    Validator(
        "frictionless",
        "the data package, the rows of its tables and their keys",
        ("datapackage.json",),
        {"rows": 1_000, "values": MAX_VALUES},
    ),
    Validator(
        "mlcroissant",
        "the Croissant description, and the first records of every record set",
        ("croissant.json",),
        {"records": 100, "values": MAX_VALUES},
    ),
    Validator("datacite", "the DataCite 4.5 record", ("datacite.json",)),
    Validator("cffconvert", "the citation, against CFF 1.2.0", ("CITATION.cff",)),
    Validator("pyshacl", "the catalogue record, against SHACL shapes", ("dcat.ttl",)),
    Validator(
        "rdf-validate-shacl",
        "the catalogue record, against the same shapes by a second engine",
        ("dcat.ttl",),
        needs_node=True,
    ),
    Validator(
        "cellxgene-schema",
        "each file of cells, against the CELLxGENE schema 7.1.0",
        ("cells/*.h5ad",),
        {
            "validator": "cellxgene_schema.validate:Validator",
            "arguments": {"ignore_labels": False},
            "level": "schema 7.1.0",
        },
        heavy=True,
        shared_driver="h5ad_schema",
    ),
    Validator(
        "hca-schema-validator",
        "exports in the profile of the Human Cell Atlas",
        ("hca/*.h5ad",),
        {"validator": "hca_schema_validator:HCAValidator", "level": "HCA schema"},
        heavy=True,
        shared_driver="h5ad_schema",
        on_request="no export in the HCA profile was asked for: pmcell export-hca writes one",
    ),
)


def names() -> list[str]:
    """Names of all validators, in the order in which they are shown."""
    return [validator.name for validator in VALIDATORS]


def light() -> list[str]:
    """Names of those that take seconds."""
    return [validator.name for validator in VALIDATORS if not validator.heavy]


def find(name: str, *, besides: Sequence[str] = ()) -> Validator:
    """The validator of that name; `UsageError` with the nearest one if there is none.

    `besides` are names that are known too where it is asked for.
    """
    from pmcell.errors import UsageError
    from pmcell.spelling import did_you_mean

    for validator in VALIDATORS:
        if validator.name == name:
            return validator
    known = [*besides, *names()]
    hint = did_you_mean(name, known)
    raise UsageError(
        f"there is no validator {name!r}; there are {', '.join(known)}. {hint}".strip()
    )
