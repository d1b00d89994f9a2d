"""A study whose release can be added to, and a cohort that its results hold but the release not.

The release is that of `results_folder`, all of it open, with the reference of `made_reference`
in place of its own, which is too small to map anyone.
"""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from made_reference import cells as cells_of_reference
from made_reference import new_donors, people, reference, write_reference
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.tables import read_table, write_table
from pmcell.mapping.reference import Reference
from pmcell.publish import write_release
from pmcell.publish.manifest import file_entries
from pmcell.release.digest import combined_sha256
from pmcell.release.manifest import OWN_DIGEST, manifest_text, own_digest
from pmcell.schema import DONORS, GENE_LEDGER, QC, QC_CELLS, SAMPLES, VISITS, Table
from pmcell.settings.cohort import QcSettings
from pmcell.tl.aggregate import SOURCE_TERM
from results_folder import make_results

CONFIG = {"release": {"date": "2026-01-31"}}
COHORT = "late"


def make_study(root: Path, *, decision: str = "strata", cohort_id: str = COHORT) -> Path:
    """Write results with a release and the results of one more cohort; return the results."""
    results = make_results(root, decision=decision, access={"closed": "open"})
    write_release(results, results / "release", config=CONFIG)
    put_reference(results / "release", reference())
    add_results(results, cohort_id)
    return results


def put_reference(release: Path, made: Reference) -> None:
    """Give a release another reference, as if it had been written with it."""
    write_reference(release / "reference", made)
    remake_manifest(release)


def remake_manifest(release: Path, **changes: object) -> None:
    """Make the manifest of the files that are there, as a writer would."""
    path = release / "manifest.json"
    value = json.loads(path.read_text()) | changes
    value["files"] = file_entries(release)
    value["content_sha256"] = combined_sha256(
        {name: entry["content_sha256"] for name, entry in value["files"].items()}
    )
    value[OWN_DIGEST] = own_digest(value)
    path.write_text(manifest_text(value), encoding="utf-8")


def add_results(
    results: Path,
    cohort_id: str,
    cells: ad.AnnData | None = None,
    *,
    batch: str | None = None,
    **registered: object,
) -> Path:
    """Write what intake and QC leave of a cohort of some cells; by default of `new_donors`, every
    third of which has its type from the source."""
    if cells is None:
        cells = people(new_donors(), batch=batch)
        term = cells_of_reference().obs.loc[cells.obs_names, "term"].astype(str)
        cells.obs[SOURCE_TERM] = term.where(np.arange(cells.n_obs) % 3 == 0, "unknown")
    folder = results / "cohorts" / cohort_id
    folder.mkdir(parents=True)
    obs = _obs(cells, cohort_id)
    order = np.argsort(np.asarray(cells.var_names, str))
    counts = sparse.csr_matrix(cells.X)[:, order].astype(np.int32)
    genes = np.asarray(cells.var_names, str)[order]
    symbols = np.asarray(cells.var["symbol"], str)[order]
    var = pd.DataFrame({"symbol": symbols}, index=genes)
    with CanonicalWriter(folder / "intake.h5ad", obs, var) as writer:
        writer.append(counts)
    _write_qc(folder, obs, counts)
    _write_people(folder, obs, cohort_id)
    ledger = pd.DataFrame({"row": range(genes.size), "source_gene": symbols, "gene_id": genes})
    ledger = ledger.assign(
        cohort_id=cohort_id, symbol=symbols, fate="kept", why="",
        umis=np.asarray(counts.sum(axis=0)).ravel(),
    )  # fmt: skip
    write_table(folder / "gene_ledger.parquet", ledger, GENE_LEDGER)
    like = json.loads((results / "cohorts" / "alpha" / "intake.json").read_text())
    metrics = {"n_cells_submitted": len(obs), "n_genes_submitted": genes.size,
               "n_genes": genes.size, "share_umis_lost": 0.0}  # fmt: skip
    status = {"cohort_id": cohort_id, "status": "ok", "reason": "", "message": "", "faults": []}
    status |= {"metrics": metrics}
    registration = like["registration"] | {"title": "Late", "region": "NL2"} | registered
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "intake.json").write_text(json.dumps(status | {"registration": registration}))
    return folder


def _obs(cells: ad.AnnData, cohort_id: str) -> pd.DataFrame:
    index = pd.Index([f"{cohort_id}:{name}" for name in cells.obs_names], name="cell_id")
    named = {
        name: [f"{cohort_id}:{value}" for value in cells.obs[name]]
        for name in ("donor_id", "sample_id")
    }
    return pd.DataFrame(
        {
            "cohort_id": cohort_id,
            **named,
            "visit": cells.obs["visit"].astype(str).to_numpy(),
            "batch_id": cells.obs["batch_id"].astype(str).to_numpy(),
            "region": "NL2",
            "programme": "test",
            "source_cell_type": "unknown",
            SOURCE_TERM: cells.obs.get(
                SOURCE_TERM, pd.Series("unknown", cells.obs_names)
            ).to_numpy(),
            "assay_ontology_term_id": "EFO:0009899",
            "development_stage_ontology_term_id": "HsapDv:0000258",
            "disease_ontology_term_id": "PATO:0000461",
            "self_reported_ethnicity_ontology_term_id": "unknown",
            "sex_ontology_term_id": "PATO:0000383",
            "suspension_type": "cell",
            "tissue_ontology_term_id": "UBERON:0000178",
            "tissue_type": "tissue",
            "is_primary_data": "False",
        },
        index=index,
    )


def _write_qc(folder: Path, obs: pd.DataFrame, counts: sparse.csr_matrix) -> None:
    # Every twentieth cell is excluded.
    passes = np.arange(len(obs)) % 20 != 0
    cells = pd.DataFrame(
        {
            "cell_id": obs.index,
            "sample_id": obs["sample_id"].to_numpy(),
            "total_counts": np.asarray(counts.sum(axis=1)).ravel().astype(np.int64),
            "n_genes_detected": np.diff(counts.indptr).astype(np.int64),
            "share_mitochondrial": np.nan,
            "doublet_score": 0.1,
            "passes_qc": passes,
            "exclusion": np.where(passes, "", "low_counts"),
        }
    )
    write_table(folder / "qc.parquet", cells, QC_CELLS, sort=False)
    samples = pd.DataFrame({"sample_id": sorted(set(obs["sample_id"]))})
    samples = samples.assign(cohort_id=obs["cohort_id"].iloc[0])
    write_table(folder / "qc_samples.parquet", _filled(samples, QC), QC)


def _write_people(folder: Path, obs: pd.DataFrame, cohort_id: str) -> None:
    facts = obs.assign(visit_day=0.0, condition="healthy", age_group="unknown")
    for name, table in (("donors", DONORS), ("visits", VISITS), ("samples", SAMPLES)):
        rows = facts.drop_duplicates(list(table.key)).reset_index(drop=True)
        columns = [field.name for field in table.fields if field.name in rows]
        write_table(folder / f"{name}.parquet", _filled(rows[columns], table), table)


def _filled(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    frame = frame.copy()
    for item in table.fields:
        if item.name not in frame:
            frame[item.name] = {"int64": 1, "float64": 1.0, "string": "unknown"}[item.kind]
    return frame


def old_rows(release: Path, later: Path, table: Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a table of a release, and those of a later one that have their keys."""
    before, after = (
        read_table(place / "tables" / f"{table.name}.parquet") for place in (release, later)
    )
    keys = [
        pd.MultiIndex.from_frame(frame[list(table.key)].astype(str)) for frame in (before, after)
    ]
    return before, after[keys[1].isin(keys[0])].reset_index(drop=True)


QC_OPTIONS = QcSettings().model_dump(mode="json", exclude={"min_cells_passing"})
"""The options by which the reference's cells were marked."""
