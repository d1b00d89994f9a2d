"""Write a dossier: page and twins, for their owner alone, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from pmcell.dossier.fhir import fhir_bundle
from pmcell.dossier.model import Dossier
from pmcell.dossier.page import render
from pmcell.dossier.phenopacket import phenopacket
from pmcell.dossier.twins import check_fhir, check_phenopacket
from pmcell.errors import UsageError
from pmcell.io.atomic import sha256_file, write_json, write_text
from pmcell.io.json_text import parse_json
from pmcell.io.modes import umask_of
from pmcell.io.outputs import refuse_in_release
from pmcell.publish.folder import whole_folder

PAGE, FHIR, PHENOPACKET = "dossier.html", "dossier.fhir.json", "dossier.phenopacket.json"
MANIFEST, FORMAT = "manifest.json", "pmcell-dossier-1"
OWNER_ONLY = 0o077
MAX_PAGE = 2_000_000
"""Bytes that a page may have."""


def write_dossier(
    dossier: Dossier,
    out: Path | str,
    *,
    outside: tuple[Path, ...] = (),
    mononuclear: bool = False,
    page_only: bool = False,
) -> list[Path]:
    """Write `dossier.html`, its FHIR bundle and Phenopacket, and a manifest, into a folder.

    Parameters
    ----------
    dossier
        With a date, unless `page_only`.
    out
        A new folder, or one that an earlier dossier is in, which is replaced.
    outside
        Folders (release, package) in which it must not lie.
    mononuclear
        Whether the samples are declared to be of blood mononuclear cells.
    page_only
        Write no twins, and need no packages for them.

    Returns
    -------
    list of Path
        The files, readable by their owner alone.

    Raises
    ------
    UsageError
        The folder is not fit; a package for the twins is missing.
    DataError
        A twin is refused by the models of others. Nothing is written then.
    """
    target = Path(os.path.abspath(out))
    check_place(target, outside)
    page = render(dossier)
    texts = {PAGE: page}
    if not page_only:
        bundle = fhir_bundle(dossier, mononuclear=mononuclear)
        packet = phenopacket(dossier, fhir_id=bundle["identifier"]["value"], fhir_file=FHIR)
        check_fhir(bundle)
        check_phenopacket(packet)
        texts |= {FHIR: _json(bundle), PHENOPACKET: _json(packet)}
    if len(page.encode()) > MAX_PAGE:
        raise UsageError(
            f"a dossier must be a page of at most {MAX_PAGE:,} bytes; it would have "
            f"{len(page.encode()):,}. The release has too many cell types or measurements for one."
        )
    with umask_of(OWNER_ONLY), whole_folder(target) as folder:
        for name, text in texts.items():
            write_text(folder / name, text)
        digests = {name: sha256_file(folder / name) for name in texts}
        write_json(folder / MANIFEST, {"format": FORMAT, "sha256": digests})
    return [target / name for name in (*texts, MANIFEST)]


def check_place(target: Path, outside: tuple[Path, ...]) -> None:
    """Raise `UsageError` for a folder in which a dossier must not be written."""
    real = target.resolve()
    for folder in outside:
        if real == folder.resolve() or real.is_relative_to(folder.resolve()):
            raise UsageError(
                f"--out must not lie in {folder}: a dossier is about one person, and what lies "
                "there is handed on. Name a folder elsewhere, such as one in your home."
            )
    refuse_in_release(target)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"--out must be a folder; {target} is a file or a link. Name another.")
    if not target.is_dir():
        return
    if target.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"--out must be a folder in which you alone can write; others can write in {target}. "
            "Name a new folder."
        )
    held = {path.name for path in target.iterdir()}
    if held and (held - {PAGE, FHIR, PHENOPACKET, MANIFEST} or not _is_dossier(target)):
        raise UsageError(
            f"--out must be a new folder, or that of an earlier dossier; {target} holds "
            "something else. Nothing was written. Name another."
        )


def _is_dossier(folder: Path) -> bool:
    try:
        value = parse_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
