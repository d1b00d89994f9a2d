"""Keep the private file of pseudonym keys, one key a donor, of cohorts that are not open.

PMCELL_PSEUDONYM_KEY_FILE names the file, which lies outside the study and is its owner's
alone. Without a donor's key nobody can tell which pseudonym is theirs: erase it when they
withdraw. Who holds a copy of the file still can, so its backups must be erased, too.

  new                     begin a file
  add FOLDER...           draw a key for each new donor of cohort folders
  show                    count the keys; names nobody
  of COHORT DONOR         the pseudonym of one donor, to look them up in results
  erase COHORT DONOR      forget the key of one donor, for good; the one that links the consent
                          ledger to them too, where PMCELL_DONOR_KEYS_FILE names its file
  rotate [FOLDER...]      draw all keys anew, or those of cohort folders
  migrate FOLDER...       from one key for all (as before version 0.2) to a file at --out

After erase, rotate and migrate take the cohorts in again: pmcell run -- --forcerun intake

Example:
  pmcell pseudonyms new
  pmcell pseudonyms add config/cohorts/ghent
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.registry.intake.keyring import Keyring

AGAIN = "Take the cohorts in again: pmcell run -- --forcerun intake"
NEEDS = {
    "new": (0, 0, "nothing"),
    "add": (1, 10_000, "FOLDER..."),
    "show": (0, 0, "nothing"),
    "of": (2, 2, "COHORT DONOR"),
    "erase": (2, 2, "COHORT DONOR"),
    "rotate": (0, 10_000, "[FOLDER...]"),
    "migrate": (1, 10_000, "FOLDER..."),
}
"""What each action takes: fewest and most names, and what they are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("action", choices=sorted(NEEDS), help="see above")
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders, or a cohort and a donor")
    parser.add_argument("--out", type=Path, help="migrate: the new file")
    parser.add_argument(
        "--map", type=Path, help="migrate: old and new pseudonym of each donor, private (TSV)"
    )


def run(args: argparse.Namespace) -> int:
    """Do it."""
    low, high, form = NEEDS[args.action]
    if not low <= len(args.names) <= high:
        raise UsageError(f"pseudonyms {args.action} takes {form}; got {len(args.names)} names")
    if args.action == "migrate":
        return _migrate(args.names, args.out, args.map)
    if args.out or args.map:
        raise UsageError("--out and --map belong to migrate only")
    return _ACTIONS[args.action](args.names)


def _new(names: Sequence[str]) -> int:
    from pmcell.registry.intake.keyring import new_keyring, write_keyring
    from pmcell.registry.intake.pseudonyms import key_path

    path = key_path()
    write_keyring(path, new_keyring(), replace_file=False)
    print(f"Begun: {path}. Back it up apart from the results; then add the donors of each cohort.")
    return 0


def _add(names: Sequence[str]) -> int:
    from pmcell.registry.intake.keyring import add_donors
    from pmcell.registry.intake.pseudonyms import change_keyring

    def change(ring: Keyring) -> Keyring:
        for cohort_id, donors in _folders(names):
            ring = add_donors(ring, cohort_id, donors)
        return ring

    before, after = change_keyring(change)
    drawn = plural(len(after.keys) - len(before.keys), "key")
    print(f"{drawn} drawn; {plural(after.n_keys, 'donor')} with one.")
    return 0


def _show(names: Sequence[str]) -> int:
    from pmcell.registry.intake.pseudonyms import load_keyring

    ring = load_keyring()
    print(f"{ring.n_keys} donors have a key; {ring.n_erased} were erased.")
    return 0


def _of(names: Sequence[str]) -> int:
    from pmcell.registry.intake.pseudonyms import load_key, pseudonym

    cohort_id, donor = names
    print(f"{cohort_id}:{pseudonym(load_key(), 'donor', cohort_id, donor)}")
    return 0


def _erase(names: Sequence[str]) -> int:
    import os

    from pmcell.consent.subjects import KEYS_VARIABLE, erase_key
    from pmcell.registry.intake.keyring import erase_donor
    from pmcell.registry.intake.pseudonyms import change_keyring, load_keyring

    cohort_id, donor = names
    erase_donor(load_keyring(), cohort_id, donor)  # Refused before anything is erased.
    has_entry = bool(os.environ.get(KEYS_VARIABLE)) and erase_key(cohort_id, donor)
    change_keyring(lambda ring: erase_donor(ring, cohort_id, donor))
    if has_entry:
        print("The consent ledger links to the donor no more.")
    print(
        "Erased: nobody can make the donor's pseudonym from their id with this file. Erase the "
        f"backups of it, too, and leave the donor out of {cohort_id}. {AGAIN}"
    )
    return 0


def _rotate(names: Sequence[str]) -> int:
    from pmcell.registry.intake.keyring import rotate
    from pmcell.registry.intake.pseudonyms import change_keyring

    def change(ring: Keyring) -> Keyring:
        if not names:
            return rotate(ring)
        for cohort_id, donors in _folders(names):
            ring = rotate(ring, cohort_id, donors)
        return ring

    before, after = change_keyring(change)
    n = sum(before.keys[tag] != key for tag, key in after.keys.items())
    print(f"{plural(n, 'key')} drawn anew. {AGAIN}")
    return 0


def _migrate(names: Sequence[str], out: Path | None, mapped: Path | None) -> int:
    from pmcell.io.atomic import write_text
    from pmcell.io.modes import private_files
    from pmcell.registry.intake.keyring import (
        Keyring,
        add_donors,
        new_keyring,
        refuse_there,
        write_keyring,
    )
    from pmcell.registry.intake.pseudonyms import load_key, pseudonym

    old = load_key()
    if isinstance(old, Keyring):
        raise UsageError("migrate begins with one key for all; this file has one a donor already")
    if out is None:
        raise UsageError("migrate needs --out FILE, where the new keys go")
    refuse_there(out)
    ring, lines = new_keyring(), ["cohort_id\tbefore\tafter"]
    for cohort_id, donors in _folders(names):
        ring = add_donors(ring, cohort_id, donors)
        for donor in donors:
            pair = (pseudonym(key, "donor", cohort_id, donor) for key in (old, ring))
            lines.append("\t".join([cohort_id, *(f"{cohort_id}:{name}" for name in pair)]))
    if mapped is not None:
        # Before the keys: once these are there, nothing makes the map again.
        with private_files():
            write_text(mapped, "\n".join(lines) + "\n")
    write_keyring(out, ring, replace_file=False)
    print(
        f"{ring.n_keys} keys drawn: {out}. Name it in PMCELL_PSEUDONYM_KEY_FILE, and erase the old "
        f"key once no result made with it is needed. {AGAIN}"
    )
    return 0


def _folders(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Cohort id and donors of each cohort folder."""
    from pmcell.registry.cohorts.cohort import load_registration

    found = []
    for name in names:
        if not Path(name).is_dir():
            raise UsageError(f"FOLDER must be a cohort's folder; {name} is not one")
        registration = load_registration(name)
        donors = [donor.donor_id for donor in registration.donors]
        found.append((registration.cohort_id, donors))
    return found


_ACTIONS = {
    "new": _new,
    "add": _add,
    "show": _show,
    "of": _of,
    "erase": _erase,
    "rotate": _rotate,
}
