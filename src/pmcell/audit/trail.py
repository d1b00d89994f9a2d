"""Where the trail lies, how it is read, and what one of its entries holds.

The trail is a chain (`pmcell.io.crypt.chain`): an edit, another order, a cut tail and a replaced
head are found. An older state of file and head together is found against a head that somebody noted
elsewhere (`witness`). No entry holds an id of a donor, a sample or a cell, a free text of a
submission, or a path outside the results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import UsageError
from pmcell.io.crypt.chain import Chain, append, read_chain
from pmcell.io.crypt.chain_form import Head, is_begun
from pmcell.io.crypt.keys import (
    SIGNING_KEY,
    trusted_signers,
)
from pmcell.io.json_text import parse_json
from pmcell.io.modes import private_files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
    )

TRAIL = "PMCELL_AUDIT_FILE"
ROLE = "PMCELL_ROLE"
CHAIN = "audit"
BEGIN, END = "begin", "end"
MAX_WITNESS = 1 << 16


@dataclass(frozen=True)
class Record:
    """One entry: the beginning of a command, or its end.

    Attributes
    ----------
    event
        `begin` or `end`.
    run
        Number that the two entries of one command share.
    at
        When, in UTC.
    user, role
        The account, and what `PMCELL_ROLE` says.
    command
        The command, without its arguments.
    cohorts
        Cohorts that it was given, in alphabetical order.
    purpose, permit
        What the configuration declares under `use`.
    inputs, outputs
        SHA-256 by the file's name in the results, or by option where it lies elsewhere.
    exit_code
        Of an end; -1 where it ended by an error that nobody foresaw.
    pmcell
        Version.
    """

    event: str
    run: str
    at: str
    user: str
    role: str
    command: str
    cohorts: tuple[str, ...] = ()
    purpose: str = "unknown"
    permit: str = "unknown"
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    exit_code: int | None = None
    pmcell: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["cohorts"] = list(self.cohorts)
        return {name: value for name, value in values.items() if value is not None}


def record_of(raw: Mapping[str, Any]) -> Record:
    """An entry as the trail holds it; `ValueError` where it is none."""
    known = {item.name for item in fields(Record)}
    if raw.keys() - known or raw.get("event") not in (BEGIN, END):
        raise ValueError("not an entry of an audit trail")
    return Record(**{**raw, "cohorts": tuple(raw.get("cohorts", ()))})


def trail_path() -> Path | None:
    """The file that `PMCELL_AUDIT_FILE` names; None where no trail is kept."""
    name = os.environ.get(TRAIL, "")
    return _file(Path(name), TRAIL) if name else None


def _file(path: Path, named_by: str) -> Path:
    """`path`; `UsageError` where it can be no file of its own."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a device or pipe"
        raise UsageError(f"{named_by} must name the file of the audit trail; {path} is {what}")
    return path


def require_trail() -> Path:
    """The trail's file; `UsageError` where none is named."""
    path = trail_path()
    if path is None:
        raise UsageError(
            f"{TRAIL} must name the file of the audit trail; it is not set. Name a file outside "
            f"the study, and in {SIGNING_KEY} the key that signs it: from then on it is kept"
        )
    return path


def add_record(path: Path, record: Record, key: Ed25519PrivateKey) -> Head:
    """Append an entry, private to its owner; the first one begins the trail."""
    with private_files():
        if not is_begun(path):
            try:
                return append(path, [record.as_dict()], chain=CHAIN, key=key, create=True)
            except UsageError:
                # Another job began it in between.
                pass
        return append(path, [record.as_dict()], chain=CHAIN, key=key)


def read_trail(path: Path, *, witness: Path | None = None) -> tuple[list[Record], Chain]:
    """Verify the trail and return its entries.

    Raises
    ------
    FaultsError
        It was edited, reordered, cut or replaced.
    UsageError
        There is none, or no key to verify it by.
    """
    noted = _read_witness(witness) if witness else None
    chain = read_chain(
        _file(path, "--file"), chain=CHAIN, signers=trusted_signers("the trail"), witness=noted
    )
    return [record_of(entry) for entry in chain.entries], chain


def unfinished(records: Sequence[Record]) -> list[Record]:
    """Beginnings of commands that have no end: killed, or still running."""
    ended = {record.run for record in records if record.event == END}
    return [record for record in records if record.event == BEGIN and record.run not in ended]


def _read_witness(path: Path) -> Head:
    if not path.is_file() or path.stat().st_size > MAX_WITNESS:
        raise UsageError(f"--witness must be a copy of the trail's .head.json; {path} is none")
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
        return Head(**{item.name: raw[item.name] for item in fields(Head)})
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--witness must be a copy of the trail's .head.json; {path} is none"
        ) from error
