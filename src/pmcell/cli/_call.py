"""What cannot be meant, of any call: empty words, places that cannot be, places in a release."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from pmcell.errors import UsageError
from pmcell.io.outputs import (
    refuse_in_release,
    require_known,
    require_place,
    require_usable,
)
from pmcell.steps import BY_NAME

OUTPUTS = ("out", "draft", "map")
"""Options that name what a command writes."""

FOLDERS = ("results", "directory")
"""Options that name a folder, whatever the command."""

BY_HAND = ("release", "seal")
"""Steps that people call too, where the workflow does not say where they write."""

TO_FOLDERS = (
    *("demo", "export", "map", "patient", "register"),
    *("release", "release add", "seal", "try", "unseal", "validate"),
)
"""Commands whose --out is a folder; that of others is a file."""

KNOWN_BY = {
    ("consent", "draft"): (b'"effective_from"', "a draft"),
    ("consent", "out"): (b'"resourcetype"', "an export"),
    ("estimate", "out"): (b"# what each step needs", "a model"),
    ("export-hca", "out"): (b"\x89hdf\r\n\x1a\n", "an h5ad file"),
    ("gaps", "out"): (b"n_other_donors", "a table of gaps"),
    ("pseudonyms", "map"): (b"cohort_id\tbefore\tafter", "a map of pseudonyms"),
    ("report", "out"): (b" pmcell report</title>", "a report"),
}
"""What stands in a file that a command writes, and what it is: no other file is replaced."""

OWN_PLACES = ("release add", "validate", "patient")
"""Commands that say themselves where they may write."""


def refused_words(name: str, words: list[str]) -> str:
    """Why a call cannot be meant: a word is empty, as where a variable of a shell is unset.

    It would be taken for an option that was not given, or for this folder.
    """
    if name in BY_NAME and name not in BY_HAND:
        return ""
    for before, word in zip(["", *words], words, strict=False):
        if not word or re.fullmatch(r"--[a-z-]+=", word):
            option = word or before
            where = f"what stands behind {option}" if option.startswith("-") else "a word"
            return f"{where} must not be empty. Is a variable of your shell unset?"
        is_text = not any("\ud800" <= sign <= "\udfff" for sign in word)
        if not is_text and not os.path.lexists(word):
            return f"every word must be in UTF-8; {word[:60]!a} is not. Rename or type it anew."
    return ""


def refused_places(name: str, args: argparse.Namespace) -> str:
    """Why a command cannot or may not write where it is told to; '' where it may.

    Steps write where the workflow says. The report of a release may lie in it under its own name.
    """
    if name in BY_NAME and name not in BY_HAND:
        return ""
    try:
        for option, value in vars(args).items():
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path):
                    require_usable(path, option.replace("_", "-"))
                if isinstance(path, Path) and option in FOLDERS and path.exists():
                    require_place(path, f"--{option}", is_folder=True)
        for option in (*OUTPUTS, *(["folder"] if name == "init" else [])):
            place = getattr(args, option, None)
            if not isinstance(place, Path):
                continue
            called = "FOLDER" if option == "folder" else f"--{option}"
            is_folder = option == "folder" or (option == "out" and name in TO_FOLDERS)
            require_place(place, called, is_folder=is_folder)
            if name not in OWN_PLACES:
                _refuse_input(option, place, args)
            is_own = name == "report" and place == args.release / "report.html"
            if name == "release":
                # A release is replaced as a whole, but none is written into another.
                refuse_in_release(Path(os.path.realpath(place)).parent, called)
            elif not is_own and name not in OWN_PLACES:
                refuse_in_release(place, called)
            if known := KNOWN_BY.get((name, option)):
                require_known(place, called, *known)
    except UsageError as error:
        return str(error)
    return ""


def _refuse_input(option: str, place: Path, args: argparse.Namespace) -> None:
    """`UsageError` where a command would write over what it reads, or over its other output."""
    if not place.exists():
        return
    for other, value in vars(args).items():
        for path in value if isinstance(value, list) else [value]:
            is_path = other != option and isinstance(path, Path) and path.exists()
            if is_path and os.path.samefile(place, path):
                raise UsageError(
                    f"--{option} must be another place than what is read or written by the same "
                    f"command; {place} is given as {other.replace('_', '-')} too. Name another."
                )
