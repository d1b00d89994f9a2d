"""`cells/<cohort>.h5ad`: counts, coordinates and labels of the cells that passed QC.

Follows the CELLxGENE schema 7.1.0 as far as the metadata allow: raw counts in
raw.X, Ensembl ids as var index, no reserved column. `cell_type`, `disease`, `sex` and their
like are reserved there for labels that the portal adds, and `feature_name` for the gene's
symbol. So the label of a term is `disease_label`, the symbol `symbol`, and what the tables
call `cell_type` is `atlas_cell_type` here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.core.counts.kept import KeptRows, kept_rows
from pmcell.errors import DataError
from pmcell.io import h5ad
from pmcell.io.counts.open import CountsFile, open_counts
from pmcell.io.tables import read_table
from pmcell.limitations import RESEARCH_USE
from pmcell.publish.atlas import Atlas, best_term
from pmcell.publish.facts import Cohort, Facts
from pmcell.registry.terms.ontology import in_words
from pmcell.release.digest import content_sha256
from pmcell.schema import SCHEMA_VERSION, TARGET_SUM, UNKNOWN
from pmcell.schema.text import as_text
from pmcell.tl.cell_types import PER_CELL
from pmcell.version import __version__

if TYPE_CHECKING:
    import h5py
    import pandas as pd

CELLXGENE_SCHEMA = "7.1.0"
CELLXGENE_REFERENCE = (
    "https://github.com/chanzuckerberg/single-cell-curation/blob/main/schema/7.1.0/schema.md"
)

CELLXGENE_OBS = (
    "assay_ontology_term_id",
    "development_stage_ontology_term_id",
    "disease_ontology_term_id",
    "donor_id",
    "self_reported_ethnicity_ontology_term_id",
    "sex_ontology_term_id",
    "suspension_type",
    "tissue_ontology_term_id",
    "tissue_type",
)
OWN_OBS = (
    "cohort_id",
    "region",
    "programme",
    "sample_id",
    "visit",
    "batch_id",
    "source_cell_type",
    "source_cell_type_ontology_term_id",
)
LABELLED = (
    "assay",
    "development_stage",
    "disease",
    "self_reported_ethnicity",
    "sex",
    "tissue",
)
"""Terms of which `obs` has the label too, as `<name>_label`."""
METRICS = ("total_counts", "n_genes_detected", "share_mitochondrial", "doublet_score")


def write_cells(
    facts: Facts,
    atlas: Atlas,
    cohort: Cohort,
    target: Path,
    *,
    also: Callable[[KeptRows], None] = lambda rows: None,
) -> str:
    """Write one cohort's cells in blocks: cells × genes are never in memory whole.

    Returns the digest of the file's content; the matrices are digested as they are written.
    `also` gets the same blocks, so that what else is made of them reads no file again.
    """
    counts = open_counts(cohort.folder / "intake.h5ad")
    qc = read_table(cohort.folder / "qc.parquet")
    if len(qc) != counts.n_cells or not np.array_equal(
        qc["cell_id"].to_numpy(object), counts.cell_ids
    ):
        raise DataError(
            f"qc.parquet of cohort {cohort.cohort_id!r} must list the cells of intake.h5ad "
            f"in their order; it has {len(qc)} rows for {counts.n_cells} cells. Run qc again.",
            reason="stale_intermediate",
        )
    keep = qc["passes_qc"].to_numpy(bool)
    rows = atlas.rows_of(counts.cell_ids[keep], cohort_id=cohort.cohort_id)
    obs = _obs(counts.read_obs()[keep], qc[keep], atlas, rows)
    if facts.has_strata:
        obs["stratum"] = _strata_of(facts.results, obs)
    var = counts.read_var()[["symbol"]]
    with h5ad.create_h5ad(target) as file:
        digests = _write_matrices(file, counts, keep, also)
        h5ad.write_frame(file, "obs", obs, index="cell_id")
        h5ad.write_frame(file, "var", var.assign(feature_is_filtered=False), index="gene_id")
        h5ad.write_frame(file["raw"], "var", var, index="gene_id")
        for name, values in sorted(atlas.coordinates.items()):
            h5ad.write_array(file["obsm"], name, values[rows])
        h5ad.write_value(file, "uns", _uns(facts, cohort))
    return content_sha256(target, digests)


def _write_matrices(
    file: h5py.File, counts: CountsFile, keep: np.ndarray, also: Callable[[KeptRows], None]
) -> dict[str, str]:
    raw_group = file.create_group("raw")
    raw_group.attrs["encoding-type"] = "raw"
    raw_group.attrs["encoding-version"] = "0.1.0"
    h5ad.write_value(raw_group, "varm", {})
    shape = (int(keep.sum()), counts.n_genes)
    n_values = _n_values(counts.path)
    form: dict[str, Any] = {"dtype": np.float32, "n_values": n_values, "is_digested": True}
    raw = h5ad.CsrWriter(raw_group, "X", shape, **form)
    normalised = h5ad.CsrWriter(file, "X", shape, **form, like=raw)
    for block in counts.iter_blocks():
        rows = kept_rows(block, keep[block.rows])
        raw.append(rows.lengths, rows.indices, rows.data.astype(np.float32))
        normalised.append_data(rows.log_normalised())
        also(rows)
    raw.close()
    normalised.close()
    return raw.digests | normalised.digests


def _obs(observed: pd.DataFrame, qc: pd.DataFrame, atlas: Atlas, rows: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    obs = pd.DataFrame(index=observed.index)
    for name in (*OWN_OBS[:6], *CELLXGENE_OBS):
        obs[name] = _text(observed, name)
    obs["is_primary_data"] = (_text(observed, "is_primary_data").str.lower() == "true").to_numpy(
        bool
    )
    labels = atlas.cells.iloc[rows]
    source_term = _text(observed, "source_cell_type_ontology_term_id")
    obs["cell_type_ontology_term_id"] = best_term(
        source_term, labels["cell_type_ontology_term_id"].to_numpy()
    )
    obs["cluster"] = labels["cluster"].to_numpy()
    for name in PER_CELL:
        obs[f"atlas_{name}"] = labels[name].to_numpy()
    for name in OWN_OBS[6:]:
        obs[name] = _text(observed, name)
    for name in LABELLED:
        # Few different terms: each is looked up once.
        terms = obs[f"{name}_ontology_term_id"]
        obs[f"{name}_label"] = terms.map({term: in_words(term) for term in terms.unique()})
    for name in METRICS:
        obs[name] = qc[name].to_numpy()
    return obs


def _text(frame: pd.DataFrame, name: str) -> pd.Series[str]:
    """A text column, `unknown` where it is missing or empty."""
    import pandas as pd

    if name not in frame.columns:
        return pd.Series(UNKNOWN, index=frame.index, dtype=object)
    return as_text(frame[name]).replace("", UNKNOWN)


def _strata_of(results: Path, obs: pd.DataFrame) -> np.ndarray:
    table = read_table(results / "strata" / "assignments.parquet", ["donor_id", "visit", "stratum"])
    by_visit = {
        (donor, visit): stratum
        for donor, visit, stratum in table.itertuples(index=False, name=None)
        if isinstance(stratum, str)
    }
    pairs = zip(obs["donor_id"], obs["visit"], strict=True)
    return np.array([by_visit.get(pair, "not assigned") for pair in pairs], dtype=object)


def _uns(facts: Facts, cohort: Cohort) -> dict[str, object]:
    return {
        "title": cohort.text("title"),
        "organism_ontology_term_id": cohort.text("organism_ontology_term_id"),
        "default_embedding": "X_umap",
        "pmcell": {
            "cohort_id": cohort.cohort_id,
            "pmcell_version": __version__,
            "pmcell_schema_version": SCHEMA_VERSION,
            "release_version": facts.options.version,
            "follows_schema": f"CELLxGENE {CELLXGENE_SCHEMA}",
            "follows_schema_reference": CELLXGENE_REFERENCE,
            "license": cohort.text("license"),
            "source_doi": cohort.text("source", "doi"),
            "source_accession": cohort.text("source", "accession"),
            "normalisation": f"log1p({TARGET_SUM} * count / total counts of the cell)",
            "use": RESEARCH_USE,
        },
    }


def _n_values(path: Path) -> int:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        return int(file["X"]["data"].shape[0])
