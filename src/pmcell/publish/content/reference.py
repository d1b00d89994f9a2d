"""`reference/`: the frozen model onto which new samples are mapped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.io.arrays import write_arrays
from pmcell.io.atomic import read_json, write_json
from pmcell.io.h5ad import read_h5ad
from pmcell.io.stamps import is_made_of_present
from pmcell.publish.atlas import Atlas
from pmcell.publish.content.cell_model import CENTROIDS, LABELS, PREPARED, RECORD, freeze_cells
from pmcell.publish.facts import Facts
from pmcell.publish.placed import place_file
from pmcell.schema import SCHEMA_VERSION, TARGET_SUM
from pmcell.settings.cohort import QcSettings
from pmcell.settings.load import checked_section
from pmcell.settings.release import ReferenceSettings
from pmcell.strata._threads import single_thread
from pmcell.strata.profiles import slots
from pmcell.version import __version__

if TYPE_CHECKING:
    from anndata import AnnData

    from pmcell.mapping.donors import DonorModel

COPIED = ("basis.npz", "features.parquet", "annotation.parquet")
DONORS = "donors.npz"


def write_reference(facts: Facts, atlas: Atlas, folder: Path) -> None:
    """Put the frozen basis, genes, labels, embedding and donors into the release.

    What the step `reference` froze of the same cells is linked, else it is frozen here.
    The basis holds means over thousands of genes, from which membership of a
    person can be tested however many donors there are. So when cohorts without
    open access took part only the note is written. Where there is nothing to learn
    labels from the note says why, and new samples cannot be mapped.
    """
    note: dict[str, Any] = {
        "pmcell": __version__,
        "schema_version": SCHEMA_VERSION,
        "normalisation": f"log1p({TARGET_SUM} * count / total counts of the cell)",
        "withheld_because_of": [cohort.cohort_id for cohort in facts.withheld],
        "files": {},
    }
    if not facts.withheld:
        for name in COPIED:
            place_file(facts.results / "atlas" / name, folder / name)
        record = _link_prepared(facts.results, folder) or freeze_cells(
            facts.results,
            facts.cohorts,
            atlas,
            {name: folder / name for name in PREPARED},
            freeze=checked_section(ReferenceSettings, facts.parameters.get("reference")).freeze,
        )
        if not record["cannot_map"]:
            record |= _freeze_donors(facts, folder)
        note |= {**record, "files": _describe(can_map=not record["cannot_map"])}
        if not record["cannot_map"]:
            qc = QcSettings(**dict(facts.parameters.get("qc", {})))
            note["qc"] = qc.model_dump(mode="json", exclude={"min_cells_passing"})
            note["release_version"] = facts.options.version
    write_json(folder / RECORD, note)


def _link_prepared(results: Path, folder: Path) -> dict[str, Any]:
    """Link what the step froze of these very cells; its facts, none where it did not."""
    paths = [results / "atlas" / name for name in (RECORD, *PREPARED.values())]
    if not all(path.is_file() and is_made_of_present(path, results) for path in paths):
        return {}
    record: dict[str, Any] = read_json(paths[0])
    for name, path in zip(PREPARED, paths[1:], strict=True):
        if record and path.stat().st_size:
            place_file(path, folder / name)
    return record


def _freeze_donors(facts: Facts, folder: Path) -> dict[str, Any]:
    """Write the arrays of the donors; return the facts of `reference.json` that they tell."""
    from pmcell.mapping.donors import donor_arrays

    donors = read_h5ad(facts.results / "strata" / "donors.h5ad")
    if slots.SUM not in donors.obsm or not donors.n_vars:
        (folder / LABELS).unlink()
        return {"cannot_map": "the strata step left no sums of donors' cells"}
    arrays, of_donors = donor_arrays(freeze_donors(donors))
    write_arrays(folder / DONORS, **arrays)
    return {
        "decision": str(donors.uns.get("existence", {}).get("decision", "")),
        "stratum_accuracy": _accuracy(donors),
        "donors": of_donors,
    }


@single_thread
def freeze_donors(donors: AnnData) -> DonorModel:
    """The model of the donors of the strata step.

    With one thread of BLAS: the last bits of its sums depend on how many there are.
    """
    from pmcell.mapping.donors import has_strata, reduce_donors
    from pmcell.strata.discovery.uncertainty import freeze

    return reduce_donors(donors, freeze(donors) if has_strata(donors) else None)


def _accuracy(donors: AnnData) -> list[float]:
    """Balanced accuracy of strata found without each group, where that was tried."""
    found = donors.uns.get("generalisation", {})
    return [float(value) for value in np.asarray(found.get("balanced_accuracy", []), float)]


def _describe(*, can_map: bool) -> dict[str, str]:
    model = {
        LABELS: "Genes, label head, calibration, vetoes, mixture of the embedding, residual.",
        DONORS: "Sums of the donors' cells, and their distances to the strata when left out.",
    }
    return {
        "basis.npz": "Principal components: genes, means, scales and loadings.",
        "features.parquet": "Genes of the atlas and which of them enter the components.",
        "annotation.parquet": "Label of each cluster with its evidence.",
        CENTROIDS: "Mean of each cluster's cells: clusters, n_cells, X_pca, X_integrated.",
        **(model if can_map else {}),
    }
