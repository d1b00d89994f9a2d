"""Open the frozen reference of a release, and map cells onto it.

import pmcell as pm
mapping = pm.map(adata, "results/release")
mapping.visits, mapping.cells, mapping.composition
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError, UsageError
from pmcell.io.arrays import read_arrays
from pmcell.io.atomic import sha256_file
from pmcell.release.folder import CHECK, ReleaseFolder, check_contents
from pmcell.release.manifest import read_manifest

if TYPE_CHECKING:
    from anndata import AnnData

    from pmcell.mapping.mapper import Mapping
    from pmcell.mapping.reference import Reference

NOTE = "reference/reference.json"
FOREIGN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""What arrays and facts of another form end in, where `check_form` does not know them."""
FILES = (NOTE, "reference/basis.npz", "reference/labels.npz", "reference/donors.npz")


def open_reference(path: Path | str) -> Reference:
    """Open the reference of the release in the folder `path`; its cells are not needed.

    Raises
    ------
    UsageError
        The folder is no release, or its reference cannot map samples; it says why.
    DataError
        A file of the reference is not the one that the release's manifest names.

    Notes
    -----
    A release is untrusted input: every file is compared with its digest in the manifest, and
    read without pickle.
    """
    from pmcell.mapping.form import check_form

    place = Path(path)
    manifest = read_manifest(place)
    folder = ReleaseFolder(place)
    note = folder.json(NOTE)
    _require_model(note, place)
    _check_files(folder, manifest["files"])
    digest = reference_digest(manifest)
    for name in FILES[1:]:
        check_contents(folder.place(name))
    try:
        found = _read(folder, note, digest)
        check_form(found)
        return found
    except FOREIGN as error:
        raise DataError(
            f"{place / 'reference'} must be a reference that this pmcell can read; reading it "
            f"failed ({type(error).__name__}: {error}). {CHECK}",
            reason="unreadable_reference",
        ) from error


def map(adata: AnnData, reference: Reference | Path | str) -> Mapping:
    """Map cells onto a frozen reference.

    Parameters
    ----------
    adata
        Raw counts in X, genes by Ensembl id, and in obs, where known, `donor_id`, `sample_id`,
        `visit`, `batch_id` and `tissue_ontology_term_id`.
    reference
        An opened reference, or the folder of a release.

    Returns
    -------
    pmcell.mapping.mapper.Mapping
        Tables of cells and composition, and what is said of each person and visit.

    Raises
    ------
    UsageError
        There is no reference, or it cannot map samples.
    DataError
        The samples are not what can be mapped: see `pmcell.mapping.mapper.map_cells`.
    """
    from pmcell.mapping.mapper import map_cells

    opened = open_reference(reference) if isinstance(reference, str | Path) else reference
    if not opened.digest:
        return map_cells(adata, opened)
    try:
        return map_cells(adata, opened)
    except FOREIGN as error:
        raise DataError(
            f"the reference of the release (digest {opened.digest[:12]}) must be one that this "
            f"pmcell can map onto; mapping failed ({type(error).__name__}: {error}). {CHECK}",
            reason="unreadable_reference",
        ) from error


def _require_model(note: dict[str, Any], place: Path) -> None:
    from pmcell.mapping.reference import FORM

    if withheld := note.get("withheld_because_of"):
        names = ", ".join(str(name) for name in withheld)
        raise UsageError(
            f"{place}: the reference is not in this release, because cohorts without open access "
            f"took part in it ({names}): a model over thousands of genes "
            "tells whether a person took part. Map where the cohorts are, onto a release of "
            "open cohorts."
        )
    if note.get("cannot_map"):
        raise UsageError(f"{place}: nothing can be mapped onto it: {note['cannot_map']}.")
    if note.get("form") != FORM:
        raise UsageError(
            f"{place}: the release must have a reference of form {FORM}; it has "
            f"{note.get('form', 'none')}. Write the release again with this version of pmcell."
        )


def reference_digest(manifest: dict[str, Any]) -> str:
    """Digest of the reference that a release's manifest names; '' where it names none."""
    entries = manifest["files"]
    if any(name not in entries for name in FILES):
        return ""
    lines = [f"{name} {entries[name]['sha256']}" for name in FILES]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_files(folder: ReleaseFolder, entries: dict[str, Any]) -> None:
    """`DataError` where a file of the reference is not what the manifest says."""
    for name in FILES:
        place = folder.place(name)
        found = sha256_file(place) if place.is_file() else "no such file"
        if name not in entries or entries[name]["sha256"] != found:
            raise DataError(
                f"{place} must be the file that manifest.json names; it is "
                f"{'missing' if not place.is_file() else 'another'}. Fetch the release again.",
                reason="damaged",
            )


def _read(folder: ReleaseFolder, note: dict[str, Any], digest: str) -> Reference:
    from pmcell.io.counts.sums import read_bases
    from pmcell.mapping.donors import donors_from
    from pmcell.mapping.reference import reference_from

    _, basis, labels, donors = (folder.place(name) for name in FILES)
    ((_, components),) = read_bases(basis).items()
    return reference_from(
        note,
        read_arrays(labels),
        components,
        donors_from(read_arrays(donors), note["donors"]),
        digest,
    )
