"""A tiny results folder with every file that the release reads: the contract by example.

Cohorts: `alpha` (ok, open), `alpha-2` (warned, open, other genes; sorts before
`alpha:` but after `alpha`), `wrong` (quarantined) and `closed` (ok, controlled).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from scipy import sparse

from pmcell.core.pca.gram import Basis
from pmcell.io.counts.canonical import CanonicalWriter
from pmcell.io.counts.sums import write_bases
from pmcell.io.tables import empty_table, write_table
from pmcell.publish.facts import PREPARED_BY
from pmcell.schema import (
    ASSIGNMENTS,
    ASSOCIATIONS,
    CELL_LABELS,
    CELL_TYPES,
    CLUSTERS,
    COMPOSITION,
    DONORS,
    DRIVERS,
    GENE_LEDGER,
    GENES,
    MARKERS,
    QC,
    SAMPLES,
    STRATA,
    VISITS,
)
from pmcell.schema import table as table_of
from pmcell.step import files_of
from pmcell.steps import BY_NAME
from pmcell.tl.cell_types import label_cells

GENE_IDS = [
    "ENSG00000000003",
    "ENSG00000000005",
    "ENSG00000000419",
    "ENSG00000000457",
    "ENSG00000000460",
    "ENSG00000000938",
    "ENSG00000000971",
    "ENSG00000001036",
    "ENSG00000001084",
    "ENSG00000001167",
    "ENSG00000001460",
    "ENSG00000001461",
    "ENSG00000001497",
    "ENSG00000001561",
    "ENSG00000001617",
    "ENSG00000001626",
    "ENSG00000001629",
    "ENSG00000001630",
    "ENSG00000001631",
    "ENSG00000002016",
    "ENSG00000002919",
    "ENSG00000002330",
    "ENSG00000002549",
    "ENSG00000002586",
    "ENSG00000002587",
    "ENSG00000002726",
    "ENSG00000002745",
    "ENSG00000002746",
    "ENSG00000002822",
    "ENSG00000002834",
]
CLUSTERS_OF = {
    "0": ("T cell", "CL:0000084"),
    "1": ("T cell", "CL:0000084"),
    "2": ("unknown", "unknown"),
}
COHORTS = {
    "alpha": {"donors": 3, "genes": GENE_IDS, "access": "open", "status": "ok", "region": "NL2"},
    "alpha-2": {
        "donors": 2,
        "genes": GENE_IDS[5:],
        "access": "open",
        "status": "warned",
        "region": "BE2",
    },
    "closed": {
        "donors": 4,
        "genes": GENE_IDS,
        "access": "controlled",
        "status": "ok",
        "region": "DE1",
    },
}
CELLS_PER_SAMPLE = 14


def make_results(
    root: Path, *, decision: str = "strata", access: dict[str, str] | None = None
) -> Path:
    """Write `root/results` as the steps would and return it; one made before is copied."""
    what = json.dumps([decision, access, COHORTS, GENE_IDS], default=np.ndarray.tolist)
    made = _made(what, decision, access or {})
    return Path(shutil.copytree(made, root / "results"))


_kept: dict[str, Path] = {}
_room = tempfile.TemporaryDirectory(prefix="results-of-tests-")


def _made(what: str, decision: str, access: dict[str, str]) -> Path:
    """A results folder that nobody changes, made once a process for each kind."""
    if what not in _kept:
        results = Path(_room.name) / str(len(_kept)) / "results"
        _write(results, decision, access)
        _kept[what] = results
    return _kept[what]


def _write(results: Path, decision: str, access: dict[str, str]) -> None:
    rng = np.random.default_rng(7)
    parts = {name: _cohort(results, name, spec, access, rng) for name, spec in COHORTS.items()}
    _quarantined(results)
    _atlas(results, parts, rng)
    _strata(results, parts, decision, rng)
    _empty_tables(results)


def _empty_tables(results: Path) -> None:
    """What else a release reads: tables of strata, conditions and outcomes without a row."""
    prepared = {path for name in PREPARED_BY for path in BY_NAME[name].outputs}
    needed = [path for path in BY_NAME["release"].inputs if path not in prepared]
    for path in files_of(needed, COHORTS):
        place = results / path
        if not place.exists():
            kind = table_of(place.stem)
            write_table(place, empty_table(kind), kind)


def _cohort(results: Path, name: str, spec: dict, access: dict[str, str], rng) -> dict:
    import pandas as pd

    folder = results / "cohorts" / name
    folder.mkdir(parents=True)
    donors = [f"{name}:D{number}" for number in range(spec["donors"])]
    samples = [(f"{name}:S{number}a", donor, "T0") for number, donor in enumerate(donors)]
    samples.append((f"{name}:S0b", donors[0], "T1"))
    sample = pd.DataFrame(samples, columns=["sample_id", "donor_id", "visit"])
    rows = np.repeat(np.arange(len(samples)), CELLS_PER_SAMPLE)
    cell_ids = [f"{name}:AC{number:03d}-1" for number in rng.permutation(rows.size)]
    rate = spec.get("rate", 0.8)
    counts = rng.poisson(rate, (rows.size, len(spec["genes"]))).astype(np.int32)
    counts[:, 0] += 1
    obs = pd.DataFrame(
        {
            "cohort_id": name,
            "donor_id": sample["donor_id"].to_numpy()[rows],
            "sample_id": sample["sample_id"].to_numpy()[rows],
            "visit": sample["visit"].to_numpy()[rows],
            "batch_id": f"batch-{name}",
            "region": spec["region"],
            "programme": "test",
            "source_cell_type": np.where(np.arange(rows.size) % 3 == 0, "CD4", "unknown"),
            "source_cell_type_ontology_term_id": np.where(
                np.arange(rows.size) % 3 == 0, "CL:0000624", "unknown"
            ),
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
        index=pd.Index(cell_ids, name="cell_id"),
    )
    var = pd.DataFrame(
        {"symbol": [f"GENE{gene[-2:]}" for gene in spec["genes"]]}, index=spec["genes"]
    )
    with CanonicalWriter(folder / "intake.h5ad", obs, var) as writer:
        writer.append(sparse.csr_matrix(counts))
    passes = rng.random(rows.size) > 0.15
    totals = counts.sum(axis=1)
    _parquet(
        folder / "qc.parquet",
        cell_id=cell_ids,
        sample_id=obs["sample_id"].to_numpy(),
        total_counts=totals.astype("int64"),
        n_genes_detected=(counts > 0).sum(axis=1).astype("int64"),
        share_mitochondrial=np.full(rows.size, np.nan),
        doublet_score=rng.random(rows.size),
        passes_qc=passes,
        exclusion=np.where(passes, "", "low_counts"),
    )
    n_samples = len(sample)
    _table(
        folder / "samples.parquet",
        SAMPLES,
        sample.assign(
            cohort_id=name,
            batch_id=f"batch-{name}",
            assay_ontology_term_id="EFO:0009899",
            tissue_ontology_term_id="UBERON:0000178",
            tissue_type="tissue",
            suspension_type="cell",
            condition="healthy",
        ),
    )
    visits = sample[["donor_id", "visit"]].assign(
        cohort_id=name, visit_day=[0.0] * (n_samples - 1) + [7.0], condition="healthy"
    )
    _table(folder / "visits.parquet", VISITS, visits)
    donor = pd.DataFrame({"donor_id": donors}).assign(
        cohort_id=name,
        region=spec["region"],
        sex_ontology_term_id="PATO:0000383",
        self_reported_ethnicity_ontology_term_id="unknown",
        development_stage_ontology_term_id="HsapDv:0000258",
        disease_ontology_term_id="PATO:0000461",
        age_group="unknown",
    )
    _table(folder / "donors.parquet", DONORS, donor)
    qc = sample[["sample_id"]].assign(cohort_id=name, n_cells_submitted=CELLS_PER_SAMPLE)
    for item in QC.fields:
        if item.name not in qc:
            qc[item.name] = 1 if item.kind == "int64" else 1.0
    _table(folder / "qc_samples.parquet", QC, qc)
    ledger = pd.DataFrame(
        {"row": range(len(spec["genes"])), "source_gene": var["symbol"].to_numpy()}
    )
    ledger = ledger.assign(
        cohort_id=name,
        gene_id=spec["genes"],
        symbol=var["symbol"].to_numpy(),
        fate="kept",
        why="",
        umis=counts.sum(axis=0),
    )
    _table(folder / "gene_ledger.parquet", GENE_LEDGER, ledger)
    status = {
        "cohort_id": name,
        "status": spec["status"],
        "reason": "",
        "message": "",
        "faults": [],
    }
    if spec["status"] == "warned":
        status |= {"reason": "few_genes", "message": "25 of 30 genes."}
    metrics = {
        "n_cells_submitted": rows.size,
        "n_genes_submitted": len(spec["genes"]) + 1,
        "n_genes": len(spec["genes"]),
        "share_umis_lost": 0.01,
    }
    registration = {
        "title": f"Cohort {name}",
        "region": spec["region"],
        "programme": "test",
        "programme_report": "Glycaemia at each visit.",
        "programme_sources": ["10.1000/pack", "A handbook"],
        "organism_ontology_term_id": "NCBITaxon:9606",
        "access": access.get(name, spec["access"]),
        "license": "CC-BY-4.0",
        "data_use": ["DUO:0000042"],
        "source": {"doi": f"10.1000/{name}", "accession": "GSE1", "url": "unknown"},
        "steward": {"name": "Ada Steward", "email": "unknown", "organisation": "Institute"},
        "publisher": {"name": "Institute", "url": "https://example.org/"},
    }
    _json(folder / "status.json", status | {"metrics": metrics})
    _json(folder / "intake.json", status | {"metrics": metrics, "registration": registration})
    cluster = rng.integers(0, 3, rows.size).astype(str)
    _aggregate(folder / "aggregate.npz", counts, passes, obs, cluster, sample, spec["genes"])
    return {
        "obs": obs[passes],
        "cluster": cluster[passes],
        "counts": counts[passes],
        "sample": sample,
    }


def _aggregate(path: Path, counts, passes, obs, cluster, sample, genes) -> None:
    groups, sums, detected = [], [], []
    term = obs["source_cell_type_ontology_term_id"].to_numpy(str)
    labels = sorted(set(term))
    for code, number, at in np.ndindex(len(sample), len(CLUSTERS_OF), len(labels)):
        of_sample = (obs["sample_id"] == sample["sample_id"].iloc[code]).to_numpy()
        inside = passes & of_sample & (cluster == list(CLUSTERS_OF)[number]) & (term == labels[at])
        if inside.any():
            groups.append((code, number, at, int(inside.sum())))
            sums.append(counts[inside].sum(axis=0))
            detected.append((counts[inside] > 0).sum(axis=0))
    total, seen = sparse.csr_matrix(np.array(sums)), np.array(detected)
    values = seen[total.nonzero()].astype(np.int64)
    group = np.array(groups, dtype=np.int64)
    np.savez(
        path,
        sample_ids=sample["sample_id"].to_numpy(str),
        sample_donors=sample["donor_id"].to_numpy(str),
        sample_tissues=np.full(len(sample), "UBERON:0000178"),
        clusters=np.array(list(CLUSTERS_OF)),
        labels=np.array(labels),
        gene_ids=np.array(genes),
        group_sample=group[:, 0],
        group_cluster=group[:, 1],
        group_label=group[:, 2],
        group_half=np.zeros(len(group), np.int64),
        group_n_cells=group[:, 3],
        indptr=total.indptr.astype(np.int64),
        indices=total.indices.astype(np.int32),
        counts=total.data.astype(np.int64),
        n_detected=values,
        sum_q=values * 100,
        sum_q2=values * 1000,
    )


def _quarantined(results: Path) -> None:
    import pandas as pd

    folder = results / "cohorts" / "wrong"
    folder.mkdir(parents=True)
    with CanonicalWriter(folder / "intake.h5ad", pd.DataFrame(), pd.DataFrame({"symbol": []})):
        pass
    status = {
        "cohort_id": "wrong",
        "status": "quarantined",
        "reason": "not_counts",
        "message": "X must hold raw counts; found 0.5.",
        "faults": [],
        "metrics": {},
    }
    _json(folder / "status.json", status)
    _json(folder / "intake.json", status | {"registration": {"title": "Wrong", "access": "open"}})


def _atlas(results: Path, parts: dict, rng) -> None:
    import anndata as ad
    import pandas as pd

    folder = results / "atlas"
    folder.mkdir()
    verdicts = {
        name: {"status": spec["status"], "reason": "", "message": ""}
        for name, spec in COHORTS.items()
    }
    verdicts["alpha-2"] |= {"reason": "few_genes", "message": "25 of 30 genes."}
    verdicts["wrong"] = {
        "status": "quarantined",
        "reason": "not_counts",
        "message": "X must hold raw counts; found 0.5.",
    }
    _json(folder / "cohorts.json", verdicts)
    obs = pd.concat([part["obs"] for part in parts.values()]).assign(condition="healthy")
    cluster = np.concatenate([part["cluster"] for part in parts.values()])
    keep = ["cohort_id", "donor_id", "sample_id", "visit", "batch_id", "region", "condition"]
    keep.append("source_cell_type_ontology_term_id")
    embedding = ad.AnnData(obs=obs[keep])
    for name in ("X_pca", "X_integrated"):
        embedding.obsm[name] = rng.normal(size=(len(obs), 4)).astype(np.float32)
    embedding.write_h5ad(folder / "embedding.h5ad")
    _parquet(folder / "clusters.parquet", cell_id=obs.index, cluster=cluster)
    umap = rng.normal(size=(2, len(obs)))
    _parquet(folder / "umap.parquet", cell_id=obs.index, umap_1=umap[0], umap_2=umap[1])
    _bases(folder / "basis.npz", rng)
    genes = pd.DataFrame({"gene_id": GENE_IDS, "symbol": [f"GENE{gene[-2:]}" for gene in GENE_IDS]})
    genes["measured_in"] = [
        [name for name, spec in COHORTS.items() if gene in spec["genes"]] for gene in GENE_IDS
    ]
    detected = pd.Series(0, index=GENE_IDS)
    for name, part in parts.items():
        detected[COHORTS[name]["genes"]] += (part["counts"] > 0).sum(axis=0)
    genes["n_cells_detected"] = detected.to_numpy()
    genes["is_highly_variable"] = [gene in GENE_IDS[5:] for gene in GENE_IDS]
    genes["hvg_rank"] = np.where(genes["is_highly_variable"], 1.0, np.nan)
    genes["highly_variable_in"] = [
        ["UBERON:0000178"] if is_chosen else [] for is_chosen in genes["is_highly_variable"]
    ]
    _table(folder / "features.parquet", GENES, genes)
    labels = pd.DataFrame(
        [(name, *label) for name, label in CLUSTERS_OF.items()],
        columns=["cluster", "cell_type", "cell_type_ontology_term_id"],
    )
    donors = obs["donor_id"].to_numpy()
    labels = labels.assign(
        cell_type_confidence=0.9,
        label_method="source_majority",
        label_evidence="CD4 in 33 % of its cells",
        n_cells=[int((cluster == name).sum()) for name in CLUSTERS_OF],
        n_donors=[len(set(donors[cluster == name])) for name in CLUSTERS_OF],
        batch_entropy=0.8,
    )
    _table(folder / "annotation.parquet", CLUSTERS, labels)
    types = label_cells(obs.assign(cluster=cluster), labels)
    _table(folder / "cell_types.parquet", CELL_TYPES, types)
    _table(folder / "cell_labels.parquet", CELL_LABELS, empty_table(CELL_LABELS))
    markers = pd.DataFrame({"cluster": ["0", "1", "2"], "gene_id": GENE_IDS[5:8], "symbol": "GENE"})
    _table(folder / "markers.parquet", MARKERS, _filled(markers, MARKERS))


def _strata(results: Path, parts: dict, decision: str, rng) -> None:
    import anndata as ad
    import pandas as pd

    folder = results / "strata"
    folder.mkdir()
    sample = pd.concat([part["sample"] for part in parts.values()], ignore_index=True)
    obs = sample[["donor_id", "visit"]].copy()
    obs["cohort_id"] = obs["donor_id"].str.split(":").str[0]
    obs["stratum"] = np.where(np.arange(len(obs)) % 2 == 0, "S1", "S2")
    obs["candidate_stratum"] = obs["stratum"]
    obs["conformal_set"], obs["ood_p"], obs["margin"] = obs["stratum"], 0.5, 0.5
    obs["discovery"] = ~obs["donor_id"].duplicated()
    obs["n_cells"] = 10
    obs.index = obs["donor_id"] + "|" + obs["visit"]
    n = len(obs)
    donors = ad.AnnData(obs=obs)
    donors.obsm["X_state"] = rng.normal(size=(n, 6))
    donors.obsm["X_composition"] = rng.normal(size=(n, 2))
    donors.obsm["candidate_by_k"] = np.zeros((n, 2), dtype=np.int64)
    for name in ("distance", "distance_state", "distance_composition"):
        donors.obsp[name] = rng.random((n, n))
    donors.uns["types"] = np.array(["T cell", "unknown"], dtype=object)
    donors.uns["weights"] = {"state": 0.5, "composition": 0.5}
    n_found = int(obs["discovery"].sum())
    donors.uns["clustering"] = {"ks": np.array([2]), "consensus": {"2": np.eye(n_found)}}
    donors.write_h5ad(folder / "donors.h5ad")
    label = obs["stratum"].to_numpy() if decision == "strata" else None
    placed = obs[["donor_id", "visit", "n_cells"]].reset_index(drop=True)
    assignments = placed.assign(
        stratum=label,
        candidate_stratum=obs["stratum"].to_numpy(),
        status="assigned" if decision == "strata" else "withheld",
        probability=0.9,
        left_out=np.where(obs["discovery"], "", "another visit of the donor is used"),
        conformal_set=label,
        ood_p=0.5,
        margin=0.5,
        axis_1=0.1,
        axis_2=0.2,
        axis_3=0.3,
    )
    _table(folder / "assignments.parquet", ASSIGNMENTS, assignments)
    composition = placed.assign(cell_type="T cell", share=1.0)
    _table(folder / "composition.parquet", COMPOSITION, composition)
    drivers = placed[["donor_id", "visit"]].assign(
        channel="state", cell_type="T cell", contribution=1.0, flips_without=False
    )
    _table(folder / "drivers.parquet", DRIVERS, drivers)
    strata = pd.DataFrame({"stratum": ["S1", "S2"], "medoid_donor_id": ["alpha:D0", "closed:D1"]})
    strata = _filled(strata.assign(n_donors=4, description="x"), STRATA)
    _table(folder / "strata.parquet", STRATA, strata if decision == "strata" else strata.iloc[:0])
    associations = pd.DataFrame({"outcome": ["axis_1"], "covariate": ["region"]})
    _table(folder / "associations.parquet", ASSOCIATIONS, _filled(associations, ASSOCIATIONS))
    verdict = {
        "decision": decision,
        "why": "test",
        "warnings": ["alpha:D0", "closed:D1"],
        "existence": {"p": 0.01, "n_donors": 9},
    }
    _json(folder / "strata.json", verdict)


def _filled(frame, table):
    empty = {"string": "x", "int64": 1, "float64": 0.5, "bool": True}
    for item in table.fields:
        if item.name not in frame:
            frame[item.name] = empty[item.kind]
    return frame


def _table(path: Path, table, frame) -> None:
    """Registered tables lack the counts that only QC knows, as the real ones do."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [item.name for item in table.fields if item.name in frame]
    pq.write_table(pa.Table.from_pandas(frame[names], preserve_index=False), path)


def _bases(path: Path, rng: np.random.Generator) -> None:
    """Components of two tissues, so that nothing can be mapped onto the release."""
    features = {"UBERON:0000178": GENE_IDS[5:20], "UBERON:0000955": GENE_IDS[20:]}
    bases = {
        tissue: Basis(
            np.zeros(len(own)),
            np.ones(len(own)),
            rng.normal(size=(len(own), 4)),
            np.arange(4.0, 0.0, -1.0),
            float(len(own)),
        )
        for tissue, own in features.items()
    }
    write_bases(path, {tissue: np.array(own) for tissue, own in features.items()}, bases)


def _parquet(path: Path, **columns) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({name: pa.array(np.asarray(values)) for name, values in columns.items()}), path
    )


def _json(path: Path, value) -> None:
    path.write_text(json.dumps(value))
