"""Correct what is registered of a donor: the new row is used, the old one is kept for good.

`corrections.jsonl` in the cohort's folder is a signed chain of what was corrected when, by
whom, and of the digest of the record: the row as it was and as it became, who asked, and why.
The records lie in `corrections.json` beside it, each with a salt. So a chain that is never
rewritten names nobody, and the records of a person who withdraws can be forgotten while it
still verifies. The table is written last; a process that was killed before is finished by the
next call.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.atomic import read_json, write_json, write_text
from pmcell.io.crypt.chain import append, read_chain
from pmcell.io.crypt.chain_form import is_begun, pending_path
from pmcell.io.modes import as_private_as, private_files
from pmcell.private_folder import process_folder
from pmcell.registry.cohorts.cohort import read_registration
from pmcell.registry.cohorts.keys import COHORT_FILE, DONORS_FILE, SAMPLES_FILE
from pmcell.registry.sheets.text import read_lines
from pmcell.spelling import did_you_mean

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

CORRECTIONS, RECORDS = "corrections.jsonl", "corrections.json"
FORGOTTEN = "forgotten"
"""What stands for a record that was forgotten."""
KEPT = ("donor_id", "sample_id")
"""Columns that say whose row it is: another person is no correction."""
MAX_WHY = 500


@dataclass(frozen=True)
class Correction:
    """One correction, as it is kept.

    Attributes
    ----------
    table
        `donors.tsv` or `samples.tsv`.
    before, after
        The row, by column.
    asked_by
        `person`, `steward` or another role: who said that it was wrong.
    entered_by
        The account.
    at
        When, in UTC.
    why
        The reason, in words.
    """

    table: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    asked_by: str
    entered_by: str
    at: str
    why: str


def correct(
    folder: Path | str,
    donor: str,
    changes: Mapping[str, str],
    *,
    key: Ed25519PrivateKey,
    entered_by: str,
    at: str,
    why: str,
    asked_by: str = "person",
    sample: str | None = None,
) -> Correction:
    """Correct one row of `donors.tsv`, or with `sample` of `samples.tsv`.

    Parameters
    ----------
    folder
        The cohort's folder.
    donor
        The donor's id as it is registered.
    changes
        New values by column.
    key
        Signs the chain of corrections.
    entered_by, at, why, asked_by
        See `Correction`.
    sample
        The sample whose row it is; it must be the donor's.

    Raises
    ------
    UsageError
        The row, a column or a reason is missing, or nothing changes. No message names the donor.
    FaultsError
        The corrected tables break what is checked of every registration, and did not before:
        nothing was written.
    """
    folder = Path(folder)
    require_cohort(folder)
    if not why.strip() or len(why) > MAX_WHY:
        raise UsageError(f"--why must say in 1 to {MAX_WHY} signs why it was wrong")
    _finish_chain(folder, key)
    finish(folder, signers=[key.public_key()])
    name = DONORS_FILE if sample is None else SAMPLES_FILE
    lines, header = _lines(folder / name)
    at_row = _row_of(lines, header, donor, sample, name)
    before = _row(lines[at_row], header)
    last = corrections_of(folder, signers=[key.public_key()])[-1:]
    after = {**before, **changes}
    if last and last[0].after == before == after and last[0].why == why.strip():
        return last[0]  # The same once more, as after it was interrupted: it is there.
    _require_changes(before, changes, name)
    lines[at_row] = "\t".join(after.values())
    text = "\n".join(lines) + "\n"
    _require_sound(folder, name, text)
    made = Correction(name, before, after, asked_by, entered_by, at, why.strip())
    _append(folder, made, key)
    _write(folder / name, text)
    return made


def require_cohort(folder: Path) -> None:
    """`UsageError` for what is no cohort's folder."""
    if not (folder / COHORT_FILE).is_file():
        raise UsageError(f"COHORT must be a cohort's folder; {folder} has no {COHORT_FILE}")


def corrections_of(folder: Path, *, signers: Sequence[Ed25519PublicKey]) -> list[Correction]:
    """Return all corrections of a cohort, oldest first; `FaultsError` where they do not verify."""
    records = _records(folder)
    made = []
    for row, entry in enumerate(_signed(folder, signers), start=1):
        record = records.get(entry["sha256"])
        if record is None:
            made.append(
                Correction(
                    table=entry["table"],
                    before={},
                    after={},
                    asked_by=FORGOTTEN,
                    entered_by=entry["entered_by"],
                    at=entry["at"],
                    why=FORGOTTEN,
                )
            )
            continue
        if _digest(record) != entry["sha256"]:
            must = "must be the record that the chain signs"
            fix = "Restore it from a backup."
            where = RECORDS
            raise FaultsError([Fault(where, must, "another one", fix, row, reason="corrections")])
        made.append(Correction(**record["correction"]))
    return made


def _signed(folder: Path, signers: Sequence[Ed25519PublicKey]) -> Sequence[Mapping[str, Any]]:
    """The entries of the chain, verified; none where no correction was made."""
    path = folder / CORRECTIONS
    return read_chain(path, chain=_chain(folder), signers=signers).entries if is_begun(path) else ()


def forget(folder: Path, donor: str, *, signers: Sequence[Ed25519PublicKey]) -> int:
    """Forget the records of a donor who withdrew; the chain stays. Return how many there were."""
    corrections_of(folder, signers=signers)
    records = _records(folder)
    kept = {digest: record for digest, record in records.items() if not _is_of(record, donor)}
    if kept != records:
        with private_files():
            write_json(folder / RECORDS, kept)
    return len(records) - len(kept)


def n_records(folder: Path, donor: str) -> int:
    """Return how many records of a donor's corrections are kept."""
    return sum(_is_of(record, donor) for record in _records(folder).values())


def _is_of(record: Mapping[str, Any], donor: str) -> bool:
    try:
        return bool(record["correction"]["before"].get("donor_id") == donor)
    except (KeyError, TypeError, AttributeError):
        return False  # Damaged: what reads it for its content says so.


def _records(folder: Path) -> dict[str, Any]:
    path = folder / RECORDS
    return dict(read_json(path)) if path.is_file() else {}


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def finish(folder: Path, *, signers: Sequence[Ed25519PublicKey]) -> bool:
    """Write the last correction into its table, where a killed process did not; say whether."""
    made = corrections_of(folder, signers=signers)
    if not made:
        return False
    last = made[-1]
    if last.why == FORGOTTEN:
        return False
    lines, header = _lines(folder / last.table)
    row = {name: last.before.get(name, "") for name in header}
    places = [at for at, line in enumerate(lines) if at and _row(line, header) == row]
    if not places:
        return False
    lines[places[0]] = "\t".join(last.after.get(name, "") for name in header)
    _write(folder / last.table, "\n".join(lines) + "\n")
    return True


def _finish_chain(folder: Path, key: Ed25519PrivateKey) -> None:
    path = folder / CORRECTIONS
    if pending_path(path).exists():
        with private_files():
            append(path, [], chain=_chain(folder), key=key)


def _chain(folder: Path) -> str:
    return f"corrections {folder.name}"


def _append(folder: Path, made: Correction, key: Ed25519PrivateKey) -> None:
    path = folder / CORRECTIONS
    record = {"salt": secrets.token_hex(32), "correction": asdict(made)}
    entry = {
        "sha256": _digest(record),
        "table": made.table,
        "entered_by": made.entered_by,
        "at": made.at,
    }
    signed = {one["sha256"] for one in _signed(folder, [key.public_key()])}
    # What was written for a correction that was never signed is no record of anything.
    kept = {digest: one for digest, one in _records(folder).items() if digest in signed}
    with private_files():
        write_json(folder / RECORDS, {**kept, entry["sha256"]: record})
        append(path, [entry], chain=_chain(folder), key=key, create=not is_begun(path))


def _lines(path: Path) -> tuple[list[str], list[str]]:
    """The lines of a table, as registration reads them, and the names of its columns."""
    faults: list[Fault] = []
    if not path.is_file():
        raise UsageError(f"{path.name} must be in the cohort's folder to be corrected; it is not")
    lines = read_lines(path, faults)
    if faults:
        raise FaultsError(faults)
    if any('"' in line for line in lines):
        raise UsageError(
            f"{path.name} must have no quotes to be corrected by row; it has. Save it without "
            "them, or correct it in the program that wrote it and keep the old file"
        )
    header = [name.strip() for name in lines[0].rstrip("\t ").split("\t")]
    if len(set(header)) < len(header):
        raise UsageError(f"{path.name} must have each column once to be corrected; one is twice")
    return lines, header


def _row(line: str, header: Sequence[str]) -> dict[str, str]:
    """The cells of a row by column, the missing ones empty; nothing where it has too many."""
    cells = [cell.strip() for cell in line.split("\t")]
    if any(cells[len(header) :]):
        return {}
    cells += [""] * (len(header) - len(cells))
    return dict(zip(header, cells, strict=False))


def _row_of(
    lines: Sequence[str], header: Sequence[str], donor: str, sample: str | None, name: str
) -> int:
    wanted = {"donor_id": donor} | ({} if sample is None else {"sample_id": sample})
    for number, line in enumerate(lines[1:], start=1):
        row = _row(line, header)
        if all(row.get(key) == value for key, value in wanted.items()):
            return number
    whose = "of this donor" if sample is None else "of this sample and donor"
    raise UsageError(f"{name} must have a row {whose}; it has none with exactly these ids")


def _require_changes(before: Mapping[str, str], changes: Mapping[str, str], name: str) -> None:
    for column, value in changes.items():
        if column not in before:
            hint = did_you_mean(column, before)
            raise UsageError(f"{name} must have the column {column!r}; it has none. {hint}")
        if column in KEPT:
            raise UsageError(
                f"{column} says whose row it is and cannot be corrected; register the sample or "
                "donor anew"
            )
        if not value.isprintable() or "\t" in value or '"' in value:
            raise UsageError(f"the new value of {column} must be plain text of one line")
    if all(before[column] == value for column, value in changes.items()):
        raise UsageError("a correction must change something; the row has these values already")


def _require_sound(folder: Path, name: str, text: str) -> None:
    """Check the corrected tables as registration does; faults that were there before may stay."""
    _, known = read_registration(folder)
    # Where the header is wrong, no row is read, and none can be judged.
    above = [one for one in known if one.file == name and one.row in (None, 1)]
    if unread := [one for one in above if one.severity == "error"]:
        raise FaultsError(unread)
    # Outside the study: whatever ends this, no copy stays beside the cohorts.
    copy = process_folder("pmcell-correct-") / folder.name
    copy.mkdir()
    for table in (COHORT_FILE, DONORS_FILE, SAMPLES_FILE):
        if (folder / table).is_file():
            write_text(copy / table, (folder / table).read_text(encoding="utf-8"))
    write_text(copy / name, text)
    _, found = read_registration(copy)
    shutil.rmtree(copy.parent, ignore_errors=True)
    before = {_what(fault) for fault in known}
    new = [fault for fault in found if fault.severity == "error" and _what(fault) not in before]
    if new:
        raise FaultsError(new)


def _what(fault: Fault) -> tuple[object, ...]:
    return fault.file, fault.row, fault.column, fault.reason, fault.found


def _write(path: Path, text: str) -> None:
    with as_private_as([path]):
        write_text(path, text)
