"""A small reference of simulated donors, as a release would hold it, and its cells."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import anndata as ad
import numpy as np

import pmcell as pm
from pmcell.core.counts.blocks import MatrixCounts
from pmcell.core.pca.gram import basis, gram
from pmcell.io.arrays import write_arrays
from pmcell.io.atomic import sha256_file, write_json
from pmcell.io.counts.sums import write_bases
from pmcell.mapping.calibration import LabelledCells
from pmcell.mapping.coordinates import fit_mixture
from pmcell.mapping.donors import donor_arrays, has_strata, reduce_donors
from pmcell.mapping.expression import GeneSpace, log_expression
from pmcell.mapping.reference import FORM, Reference, cell_arrays, fit_labels, fit_rest
from pmcell.release.manifest import OWN_DIGEST, manifest_text, own_digest
from pmcell.schema import SCHEMA_VERSION
from pmcell.schema.text import text_array
from pmcell.settings.cohort import QcSettings
from pmcell.strata.discovery.uncertainty import freeze
from pmcell.tl.integrate import harmonise

TISSUE = "UBERON:0000178"
TERMS = (
    "CL:0000624",
    "CL:0000625",
    "CL:0000236",
    "CL:0000860",
    "CL:0000623",
)


@lru_cache(maxsize=1)
def cells() -> ad.AnnData:
    """Cells of 36 donors of three strata in three batches, of five types with terms."""
    made = pm.simulate.simulate(
        n_donors=36,
        cells_per_sample=120,
        n_cell_types=5,
        n_genes=400,
        strata_effect_state=1.5,
        real_genes=True,
        seed=5,
    )
    kinds = {name: at for at, name in enumerate(sorted(set(made.obs["cell_type"])))}
    made.obs["term"] = [TERMS[kinds[name]] for name in made.obs["cell_type"]]
    return made


def people(donors: list[str], *, batch: str | None = None) -> ad.AnnData:
    """The cells of some donors as a new sample has them."""
    made = cells()
    own = made[made.obs["donor_id"].isin(donors)].copy()
    own.obs = own.obs[["donor_id", "sample_id", "visit", "batch_id"]].astype(str)
    if batch is not None:
        own.obs["batch_id"] = batch
    return own


@lru_cache(maxsize=1)
def reference() -> Reference:
    """The reference of all donors but the last of each batch."""
    made = cells()
    made = made[~made.obs["donor_id"].isin(new_donors())].copy()
    counts = made.X.tocsr()
    share = np.asarray(counts.sum(axis=0), np.float64).ravel()
    genes = np.asarray(made.var_names, str)
    order = np.argsort(genes)
    model = np.sort(np.argsort(-share[order])[:300]).astype(np.int64)
    symbols = np.asarray(made.var["symbol"], str)[order]
    space = GeneSpace(genes[order], symbols, (share / share.sum())[order], model)
    place = {name: at for at, name in enumerate(space.features.tolist())}
    of_gene = np.array([place.get(name, -1) for name in genes.tolist()], np.int64)
    used = np.ones(made.n_obs, bool)
    found = basis([gram(MatrixCounts(counts), of_gene, model.size, used)], 15, "pareto")
    x = log_expression(counts, genes, space)
    batch = text_array(made.obs["batch_id"])
    training = LabelledCells(
        x, text_array(made.obs["cell_type"]), batch, text_array(made.obs["donor_id"])
    )
    terms = dict(zip(made.obs["cell_type"], made.obs["term"], strict=True))
    labels = fit_labels(training, found, terms, {name: name for name in terms}, symbols[model])
    scores = ((x - found.means) @ found.loadings).astype(np.float32)
    integrated = harmonise(scores, batch)
    made.obsm["X_integrated"] = integrated
    mixture = fit_mixture(integrated, scores[:, :2], np.arange(0, made.n_obs, 10))
    donors = pm.strata.profile(made)
    pm.strata.distances(donors, channels=["state"])
    pm.strata.cluster(donors, n_bootstraps=10)
    pm.strata.existence(donors, n_null=19)
    pm.strata.place(donors, n_folds=3)
    facts = {
        "form": FORM,
        "release_version": "1",
        "tissue_ontology_term_id": TISSUE,
        "n_cells": made.n_obs,
        "n_donors": len(set(training.donor)),
        "batches": sorted(set(batch)),
        "qc": QcSettings().model_dump(mode="json", exclude={"min_cells_passing"}),
        "decision": str(donors.uns["existence"]["decision"]),
        "stratum_accuracy": [],
    }
    frozen = freeze(donors, n_folds=3) if has_strata(donors) else None
    return Reference(
        facts,
        space,
        found,
        labels,
        mixture,
        fit_rest(training, found),
        reduce_donors(donors, frozen),
    )


def new_donors() -> list[str]:
    """The last donor of each batch."""
    obs = cells().obs.astype({"donor_id": str})
    return sorted(obs.groupby("batch_id", observed=True)["donor_id"].max())


def write_reference(place: Path, made: Reference) -> None:
    """The folder reference/ of a release, as far as mapping reads it."""
    arrays, told = cell_arrays(made)
    donors, of_donors = donor_arrays(made.donors)
    write_arrays(place / "labels.npz", **arrays)
    write_arrays(place / "donors.npz", **donors)
    write_bases(place / "basis.npz", {TISSUE: made.space.features}, {TISSUE: made.basis})
    write_json(place / "reference.json", {**made.facts, **told, "donors": of_donors})


def write_reference_release(folder: Path, made: Reference) -> Path:
    """The part of a release that mapping reads."""
    write_reference(folder / "reference", made)
    write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    """A manifest of the files that are there."""
    files = {}
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != "manifest.json":
            digest = sha256_file(path)
            size = path.stat().st_size
            files[name] = {"size": size, "sha256": digest, "content_sha256": digest}
    value = {
        "schema_version": SCHEMA_VERSION,
        "files": files,
        "cohorts": {},
        "parameters": {},
        "title": "",
        "version": "1",
        "pmcell": pm.__version__,
        "content_sha256": hashlib.sha256(b"").hexdigest(),
    }
    value[OWN_DIGEST] = own_digest(value)
    (folder / "manifest.json").write_text(manifest_text(value), encoding="utf-8")
