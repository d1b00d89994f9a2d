"""A withdrawal from its first word to its receipt: each stage can be interrupted and goes on.

Before the entry is in the ledger nothing has changed; from then on every stage can
be done again, and the journal says where to go on. The journal names the person,
so it is its owner's alone, and is gone once the receipt is signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.consent.entries import Entry, entry_of
from pmcell.consent.ledger import (
    add_entries,
    finish_append,
    is_recorded,
    is_unfinished,
    read_ledger,
)
from pmcell.consent.removal.gene_sets import gene_sets
from pmcell.consent.removal.needles import PRINT_BYTES, Needles
from pmcell.consent.removal.scan import ScanReport
from pmcell.consent.takedown import (
    MANIFEST,
    added_releases,
    facts_of,
    remove_release,
    take_down,
)
from pmcell.consent.withdrawal_receipt import (
    DOWNLOADS,
    RECEIPT_FORMAT,
    Known,
    backups_gone_by,
    erased,
    scan_sentence,
    sign_receipt,
    stays,
)
from pmcell.errors import DataError
from pmcell.io.atomic import read_json, sha256_file, write_json
from pmcell.io.modes import private_files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "withdrawals"
STAGES = (
    *("noted", "recorded", "taken_down", "rebuilt"),
    *("proved", "scanned", "erased", "receipt"),
)


@dataclass
class Journal:
    """Where a withdrawal stands, and what it needs to go on."""

    path: Path
    cohort_id: str
    entry: dict[str, Any]
    stage: str = ""
    needles: dict[str, Any] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    release: dict[str, Any] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    proof: dict[str, Any] = field(default_factory=dict)
    scan: dict[str, Any] = field(default_factory=dict)

    def reach(self, stage: str) -> None:
        """Write that a stage is done."""
        self.stage = stage
        with private_files():
            write_json(self.path, {**asdict(self), "path": self.path.name})

    def is_past(self, stage: str) -> bool:
        """Whether a stage is done."""
        return bool(self.stage) and STAGES.index(self.stage) >= STAGES.index(stage)


@dataclass(frozen=True)
class Work:
    """What the stages call: the study's own steps, which the tests replace.

    `rebuild` runs the workflow, `prove` compares it with a clean build, `search` scans, `erase`
    forgets the key of the donor's pseudonyms and the records of their corrections, or has before.
    """

    study: Path
    results: Path
    cohort: Path
    rebuild: Callable[[], None]
    prove: Callable[[], Mapping[str, Any]]
    search: Callable[[Needles], ScanReport]
    erase: Callable[[], None]


def journal_path(study: Path, subject: str) -> Path:
    """Where the journal of a person's withdrawal lies."""
    return study / FOLDER / f"{subject[:24]}.json"


def receipt_path(study: Path, subject: str) -> Path:
    """Where the receipt of a person's withdrawal lies."""
    return study / FOLDER / f"{subject[:24]}.receipt.json"


def open_journal(study: Path, subject: str) -> Journal | None:
    """The journal of a withdrawal that was interrupted; None where there is none."""
    path = journal_path(study, subject)
    if not path.exists():
        return None
    try:
        value = read_json(path)
        return Journal(**{**value, "path": path, "known": Known(**value.get("known", {}))})
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path} must be the journal of a withdrawal; it cannot be read. Remove it and "
            "withdraw again: what is recorded in the ledger stays.",
            reason="withdrawal_journal",
        ) from error


def withdraw(journal: Journal, work: Work, *, key: Ed25519PrivateKey, day: str) -> dict[str, Any]:
    """Do what is left of a withdrawal; the signed receipt.

    Parameters
    ----------
    journal
        A new one (stage `noted`), or that of a withdrawal that was interrupted.
    work
        The study's own steps.
    key
        Signs the ledger and the receipt.
    day
        The day of the receipt.

    Raises
    ------
    DataError
        When the rebuilt results are not those of a clean build, or the scan finds the person or
        could not read a file. The ledger keeps the entry; called again, it goes on from there.
    """
    entry = entry_of(journal.entry)
    if not journal.is_past("recorded"):
        record(work.cohort, entry, key=key)
        journal.reach("recorded")
    if not journal.is_past("taken_down"):
        take_down(work.study, work.results, journal.release, day=day)
        for place in added_releases(work.results, journal.cohort_id):
            remove_release(work.study, place, facts_of(place / MANIFEST), day=day)
        journal.reach("taken_down")
    if not journal.is_past("rebuilt"):
        work.rebuild()
        journal.reach("rebuilt")
    if not journal.is_past("proved"):
        journal.proof = dict(work.prove())
        journal.reach("proved")
    if not journal.is_past("scanned"):
        journal.scan = _searched(work, journal)
        journal.reach("scanned")
    if not journal.is_past("erased"):
        # Last: until the donor is found nowhere, the steward may have to look for them.
        work.erase()
        journal.reach("erased")
    ledger = read_ledger(work.cohort, signers=[key.public_key()])
    receipt = sign_receipt(
        {
            "format": RECEIPT_FORMAT,
            "subject": entry.subject,
            "cohort_id": journal.cohort_id,
            "effective_from": entry.effective_from,
            "issued_on": day,
            "ledger_head": asdict(ledger.head),
            "gone": _gone(work.results, journal),
            "erased": erased(journal.known),
            "stays": [{"what": what, "why": why} for what, why in stays(journal.known, day)],
            "backups_gone_by": backups_gone_by(journal.known, day),
            "superseded_release": journal.release,
            "older_releases": list(journal.known.older_releases),
            "copies": {"sealed_for": list(journal.known.sealed_for), "downloaded": DOWNLOADS},
            "proof": journal.proof,
            "scan": journal.scan,
        },
        key,
    )
    with private_files():
        write_json(receipt_path(work.study, entry.subject), receipt)
    journal.path.unlink(missing_ok=True)
    return receipt


def record(cohort: Path, entry: Entry, *, key: Ed25519PrivateKey) -> None:
    """Add the entry to the ledger, unless it is there: from before an interruption, or that day."""
    ledger = read_ledger(cohort, signers=[key.public_key()])
    if entry not in ledger.of(entry.subject) and not is_recorded(ledger, entry):
        add_entries(cohort, [entry], key=key)
    elif is_unfinished(cohort):
        finish_append(cohort, key)


def _searched(work: Work, journal: Journal) -> dict[str, Any]:
    cells = frozenset(bytes.fromhex(text) for text in journal.needles.get("cells", ()))
    if any(len(cell) != PRINT_BYTES for cell in cells):
        raise DataError(
            f"{journal.path} must be of this version of pmcell; it was begun by one that knows "
            "cells by other marks. Finish it with that version: the same command goes on.",
            reason="withdrawal_journal",
        )
    genes = gene_sets(journal.needles.get("genes", ""))
    texts, spellings = (dict(journal.needles.get(name, {})) for name in ("texts", "spellings"))
    needles = Needles(texts, cells, genes, spellings)
    report = work.search(needles)
    if not report.is_clean:
        raise DataError(scan_sentence(report), reason="removal_scan")
    n = len(report.encrypted)
    hidden = f"; {n} encrypted files were made anew and not opened" if n else ""
    if report.left_out:
        hidden += f"; not searched: {', '.join(report.left_out)}"
    return {
        "n_files": report.n_files,
        "n_objects": report.n_objects,
        "n_bytes": report.n_bytes,
        "n_texts": len(needles.texts),
        "n_cells": len(needles.cells),
        "n_encrypted": len(report.encrypted),
        "not_searched": report.left_out,
        "said": f"{len(needles.texts)} names and {len(needles.cells)} cells looked for in "
        f"{report.n_files} files ({report.n_objects} objects): none found{hidden}",
    }


def _gone(results: Path, journal: Journal) -> list[dict[str, str]]:
    """The files whose former content is nowhere any more under its name."""
    gone = []
    for name, digest in journal.gone.items():
        path = results / name
        if not path.is_file() or sha256_file(path) != digest:
            gone.append({"file": name, "sha256": digest})
    return gone


def as_needles(needles: Needles) -> dict[str, Any]:
    """Needles as the journal keeps them."""
    return {
        "texts": dict(needles.texts),
        "spellings": dict(needles.spellings),
        "cells": sorted(cell.hex() for cell in needles.cells),
        "genes": needles.genes.as_text() if needles.genes else "",
    }
