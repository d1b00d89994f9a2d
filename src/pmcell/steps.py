"""The steps of the flow, one row each, in the order in which they run: the only list of them.

A step is a command (`pmcell NAME`), a rule of the workflow, a section of the
configuration, a row of the resource model, a folder or file of logs and one of
benchmarks; all have its name. What it reads and writes stands here and nowhere
else: inputs are checked and results stamped by it, a release and the crate of
its run take their inputs from it, and a test holds the rules against it.

Standard library and `pmcell.step` only: anything may import it.
`python -m pmcell.steps` prints what the Snakefile must know of the steps; it
is kept in `workflow/steps.yaml`, since parsing the workflow needs no pmcell.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pmcell.step import COHORT, VERDICTS, Step, as_yaml, files


def _of_cohort(*names: str) -> tuple[str, ...]:
    return tuple(f"{COHORT}/{name}" for name in names)


def _of_strata(*names: str) -> tuple[str, ...]:
    return tuple(f"strata/{name}" for name in names)


_COUNTS, _QC = f"{COHORT}/intake.h5ad", f"{COHORT}/qc.parquet"
_FEATURES = "atlas/features.parquet"
_EMBEDDING, _CLUSTERS = "atlas/embedding.h5ad", "atlas/clusters.parquet"
_CELL_TYPES = "atlas/cell_types.parquet"
_CELL_LABELS = "atlas/cell_labels.parquet"
_LABELLED = (
    _EMBEDDING,
    _CLUSTERS,
    "atlas/umap.parquet",
    "atlas/annotation.parquet",
    _CELL_LABELS,
    _CELL_TYPES,
)
_DUPLICATES = "atlas/duplicates.parquet"
_REGISTERED = _of_cohort(
    "intake.h5ad",
    "gene_ledger.parquet",
    "donors.parquet",
    "visits.parquet",
    "samples.parquet",
    "measurements.parquet",
    "intake.json",
)
_JUDGED = _of_cohort("qc.parquet", "qc_samples.parquet", "status.json")
_STRATIFIED = _of_strata(
    "donors.h5ad",
    "strata.json",
    "strata.parquet",
    "assignments.parquet",
    "associations.parquet",
    "drivers.parquet",
    "composition_shifts.parquet",
    "movement.parquet",
    "outcomes.parquet",
    "survival.parquet",
)
_FOLLOWED = _of_strata("followup.parquet", "stratum_steps.parquet", "followup_effects.parquet")
_EXPLAINED = _of_strata(
    "expression_contrasts.parquet",
    "differential_expression.parquet",
    "pathways.parquet",
    "gene_drivers.parquet",
)
_PLAN = "atlas/release_plan.json"
_SHOWN = _of_cohort("cells.h5ad", "expression.parquet", "cells.json")
_FROZEN = (
    "atlas/centroids.npz",
    "atlas/reference_labels.npz",
    "atlas/reference.json",
)

STEPS: tuple[Step, ...] = (
    Step(
        "intake",
        "check a submitted file and rewrite it canonically",
        reads=files(),
        writes=files(out_dir=_REGISTERED),
        version=10,
        per_cohort=True,
        asks=("cohort_dir",),
        old_rule="intake_cohort",
    ),
    Step(
        "duplicates",
        "find people who stand twice, two in one, and samples of another sex than registered",
        reads=files(cohort=_of_cohort("intake.h5ad", "donors.parquet")),
        writes=files(out=_DUPLICATES),
        version=4,
    ),
    Step(
        "qc",
        "mark cells by MAD-adaptive thresholds and doublet score",
        reads=files(counts=_COUNTS, intake=f"{COHORT}/intake.json"),
        writes=files(out_dir=_JUDGED),
        version=2,
        per_cohort=True,
        streams=True,
        old_rule="mark_cells",
    ),
    Step(
        "gene_stats",
        "exact sums of counts and log-normalised values of each gene",
        reads=files(counts=_COUNTS, qc=_QC),
        writes=files(out=f"{COHORT}/moments.npz"),
        version=3,
        per_cohort=True,
        streams=True,
        old_name="moments",
        old_rule="sum_moments",
    ),
    Step(
        "hvg",
        "accept cohorts and select highly variable genes",
        reads=files(cohort=_of_cohort("moments.npz", "status.json")),
        writes=files(out=_FEATURES, cohorts_out=VERDICTS),
        version=2,
        old_name="features",
        old_rule="select_features",
    ),
    Step(
        "covariance",
        "exact sums of products of the highly variable genes",
        reads=files(counts=_COUNTS, qc=_QC, features=_FEATURES, cohorts=VERDICTS),
        writes=files(out=f"{COHORT}/gram.npz"),
        version=3,
        per_cohort=True,
        is_told_cohort=True,
        streams=True,
        old_name="gram",
        old_rule="sum_products",
    ),
    Step(
        "pca",
        "principal components of the covariance over all cohorts",
        reads=files(gram=f"{COHORT}/gram.npz", features=_FEATURES),
        writes=files(out="atlas/basis.npz"),
        version=5,
        old_name="basis",
        old_rule="find_basis",
    ),
    Step(
        "pca_scores",
        "scores of the cells on the principal components",
        reads=files(
            counts=_COUNTS, qc=_QC, features=_FEATURES, cohorts=VERDICTS, basis="atlas/basis.npz"
        ),
        writes=files(out=f"{COHORT}/embedding.npz"),
        version=3,
        per_cohort=True,
        is_told_cohort=True,
        streams=True,
        old_name="project",
        old_rule="project_cells",
    ),
    Step(
        "integrate",
        "remove batch effects from the embedding",
        reads=files(
            cohort=_of_cohort(
                "embedding.npz",
                "intake.h5ad",
                "qc.parquet",
                "samples.parquet",
                "donors.parquet",
                "visits.parquet",
            )
        ),
        writes=files(out=_EMBEDDING),
        version=4,
        old_rule="integrate_cohorts",
    ),
    Step(
        "neighbors",
        "k-nearest-neighbour graph of the cells",
        reads=files(embedding=_EMBEDDING),
        writes=files(out="atlas/graph.h5ad"),
        version=3,
        old_rule="find_neighbors",
    ),
    Step(
        "cluster",
        "Leiden clusters of the graph",
        reads=files(graph="atlas/graph.h5ad"),
        writes=files(out=_CLUSTERS),
        version=4,
        old_rule="cluster_cells",
    ),
    Step(
        "umap",
        "two-dimensional map of the graph",
        reads=files(graph="atlas/graph.h5ad", embedding=_EMBEDDING),
        writes=files(out="atlas/umap.parquet"),
        version=5,
        old_rule="map_cells",
    ),
    Step(
        "label_transfer",
        "label cells whose source gave no label, from those with one",
        reads=files(embedding=_EMBEDDING, clusters=_CLUSTERS),
        writes=files(out=_CELL_LABELS),
        version=2,
    ),
    Step(
        "aggregate",
        "sums per sample, cluster, label, half of the cells and gene",
        reads=files(counts=_COUNTS, qc=_QC, clusters=_CLUSTERS, labels=_CELL_LABELS),
        writes=files(out=f"{COHORT}/aggregate.npz"),
        version=4,
        per_cohort=True,
        old_rule="aggregate_cells",
    ),
    Step(
        "markers",
        "marker genes of each cluster",
        reads=files(
            cohort=_of_cohort("aggregate.npz", "intake.h5ad", "qc.parquet"),
            clusters=_CLUSTERS,
            features=_FEATURES,
        ),
        writes=files(out="atlas/markers.parquet"),
        version=4,
        old_rule="find_markers",
    ),
    Step(
        "annotate",
        "cell type of each cluster and of each cell",
        reads=files(
            clusters=_CLUSTERS,
            embedding=_EMBEDDING,
            labels=_CELL_LABELS,
            aggregate=f"{COHORT}/aggregate.npz",
            features=_FEATURES,
        ),
        writes=files(out="atlas/annotation.parquet", cell_types_out=_CELL_TYPES),
        version=3,
        asks=("programmes",),
        old_rule="annotate_clusters",
    ),
    Step(
        "profile",
        "profiles of donors from their cells",
        reads=files(
            embedding=_EMBEDDING,
            clusters=_CLUSTERS,
            labels=_CELL_LABELS,
            cell_types=_CELL_TYPES,
            cohort=_of_cohort("aggregate.npz", "samples.parquet"),
        ),
        writes=files(out="strata/profiles.h5ad", composition_out="strata/composition.parquet"),
        version=6,
        old_rule="profile_donors",
    ),
    Step(
        "strata",
        "strata of donors, with their stability",
        reads=files(profiles="strata/profiles.h5ad"),
        writes=files(out_dir=_STRATIFIED),
        version=14,
        asks=("clinical_table",),
        old_rule="find_strata",
    ),
    Step(
        "followup",
        "change of donors over visits, and what programmes ask",
        reads=files(
            donors="strata/donors.h5ad",
            cohort=_of_cohort(
                "aggregate.npz", "samples.parquet", "measurements.parquet", "intake.json"
            ),
            cell_types=_CELL_TYPES,
        ),
        writes=files(out_dir=_FOLLOWED),
        version=2,
        asks=("clinical_table", "programmes"),
    ),
    Step(
        "differential_expression",
        "genes and gene sets that strata, conditions or visits differ in",
        reads=files(
            donors="strata/donors.h5ad",
            cohort=_of_cohort("aggregate.npz", "samples.parquet"),
            cell_types=_CELL_TYPES,
            features=_FEATURES,
        ),
        writes=files(out_dir=_EXPLAINED),
        version=5,
        asks=("gene_sets_file",),
        old_name="explain",
        old_rule="explain_strata",
    ),
    Step(
        "release_plan",
        "decide which cohorts a release shows, and what each of its files says of it",
        reads=files(results=(f"{COHORT}/intake.json", VERDICTS, "strata/strata.json")),
        writes=files(out=_PLAN),
        version=1,
        settings=tuple(
            f"release.{name}"
            for name in ("title", "version", "license", "doi", "url", "expression")
        ),
    ),
    Step(
        "cells",
        "write a cohort's cells and expression as the release shows them",
        reads=files(
            results=(
                *_of_cohort("intake.h5ad", "intake.json", "qc.parquet", "aggregate.npz"),
                _PLAN,
                _FEATURES,
                *_LABELLED,
                *_of_strata("strata.json", "assignments.parquet"),
            )
        ),
        writes=files(out_dir=_SHOWN),
        version=3,
        per_cohort=True,
        is_told_cohort=True,
    ),
    Step(
        "reference",
        "freeze the model of cells onto which new people are mapped",
        reads=files(
            results=(
                *_of_cohort("intake.h5ad", "intake.json", "aggregate.npz"),
                VERDICTS,
                _FEATURES,
                "atlas/basis.npz",
                *_LABELLED,
            )
        ),
        writes=files(out_dir=_FROZEN),
        version=5,
        drops=files(out_dir="atlas/reference_donors.npz"),
    ),
    Step(
        "release",
        "write the release folder; release add adds cohorts, release diff A B compares",
        reads=files(
            results=(
                *_REGISTERED,
                *_JUDGED,
                f"{COHORT}/aggregate.npz",
                VERDICTS,
                _FEATURES,
                "atlas/basis.npz",
                *_LABELLED,
                "atlas/markers.parquet",
                _DUPLICATES,
                "strata/composition.parquet",
                *_STRATIFIED,
                *_FOLLOWED,
                *_EXPLAINED,
                _PLAN,
                *_SHOWN,
                *_FROZEN,
            )
        ),
        writes=files(out="release/manifest.json"),
        version=8,
        is_product=True,
        old_rule="write_release",
    ),
    Step(
        "seal",
        "encrypt cohorts without open access to named recipients",
        reads=files(results="release/manifest.json"),
        writes=files(out="controlled/index.json"),
        version=2,
        is_product=True,
        old_rule="seal_cohorts",
    ),
)

BY_NAME: Mapping[str, Step] = MappingProxyType({step.name: step for step in STEPS})

OLD_NAMES: Mapping[str, str] = MappingProxyType(
    {step.old_name: step.name for step in STEPS if step.old_name}
)
"""Commands and sections as version 0.1.0 called them, and what they are called now."""

OLD_RULES: Mapping[str, str] = MappingProxyType(
    {step.old_rule: step.name for step in STEPS if step.old_rule}
)
"""Rules as version 0.1.0 called them, which profiles, resource models and records may name."""


if __name__ == "__main__":
    print(as_yaml(STEPS), end="")
