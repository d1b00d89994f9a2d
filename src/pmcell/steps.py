"""The steps of the flow, one row each, in the order in which they run: the only list of them.

A step is a command (`pmcell NAME`), a rule of the workflow, a section of the
configuration, a row of the resource model, a folder or file of logs and one of
benchmarks; all have its name. What it reads and writes stands here and nowhere
else: inputs are checked and results stamped by it, a release and the crate of
its run take their inputs from it, and a test holds the rules against it.

Standard library only, and nothing of the package: anything may import it.
`python -m pmcell.steps` prints what the Snakefile must know of the steps; it
is kept in `workflow/steps.yaml`, since parsing the workflow needs no pmcell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

COHORT = "cohorts/{cohort}"
"""Folder of a cohort's results, below the results folder as every path of this module."""

FOLDER_OPTIONS = ("out_dir", "cohort", "results")
"""Options that name a folder in which a step's files lie; any other option names a file."""

OPTIONAL = ("labels",)
"""Options that name files a step also works without."""

WORKFLOW_FILE = "workflow/steps.yaml"

Files = Mapping[str, tuple[str, ...]]
"""Option of a command and the files that it names, below the results folder."""


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what it reads and writes, and the version of its results.

    Attributes
    ----------
    name
        Command, rule, section of the configuration, row of the resource model, log, benchmark.
    summary
        What `pmcell --help` says of it.
    reads, writes
        Files by the option of the command that names them.
    version
        Number of its results. Raise it when the same input gives other results than before:
        every study then runs the step and what follows it again. Leave it when results stay
        the same (documentation, speed, messages).
    per_cohort
        Whether it runs once for each cohort and sees no other; else once, across cohorts.
    asks
        Options that name files of the study itself, which no step makes.
    settings
        Settings of another step's section (`section.key`) that its results rest on too.
    streams
        Whether it reads counts in blocks that fit the memory it is told (`--memory`).
    is_product
        Whether it writes what leaves the study, under a manifest instead of stamps.
    old_name, old_rule
        What its command and section, and its rule, were called in version 0.1.0.
    """

    name: str
    summary: str
    reads: Files
    writes: Files
    version: int
    per_cohort: bool = False
    asks: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    streams: bool = False
    is_product: bool = False
    old_name: str = ""
    old_rule: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every file it reads; one of a cohort has `{cohort}` in its path."""
        return _every(self.reads)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every file it writes; one of a cohort has `{cohort}` in its path."""
        return _every(self.writes)

    def job(self, cohort: str = "") -> str:
        """Name of a job, which is that of its log and benchmark: `qc/liu_b1`, or `umap`."""
        return f"{self.name}/{cohort}" if self.per_cohort else self.name


def _every(files: Files) -> tuple[str, ...]:
    return tuple(path for paths in files.values() for path in paths)


def _files(**files: str | tuple[str, ...]) -> Files:
    return MappingProxyType(
        {option: (item,) if isinstance(item, str) else item for option, item in files.items()}
    )


def _of_cohort(*names: str) -> tuple[str, ...]:
    return tuple(f"{COHORT}/{name}" for name in names)


def _of_strata(*names: str) -> tuple[str, ...]:
    return tuple(f"strata/{name}" for name in names)


_COUNTS, _QC = f"{COHORT}/intake.h5ad", f"{COHORT}/qc.parquet"
_FEATURES, _VERDICTS = "atlas/features.parquet", "atlas/cohorts.json"
_EMBEDDING, _CLUSTERS = "atlas/embedding.h5ad", "atlas/clusters.parquet"
_CELL_TYPES = "atlas/cell_types.parquet"
_CELL_LABELS = "atlas/cell_labels.parquet"
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
    "atlas/reference_donors.npz",
    "atlas/reference.json",
)

STEPS: tuple[Step, ...] = (
    Step(
        "intake",
        "check a submitted file and rewrite it canonically",
        reads=_files(),
        writes=_files(out_dir=_REGISTERED),
        version=5,
        per_cohort=True,
        asks=("cohort_dir",),
        old_rule="intake_cohort",
    ),
    Step(
        "duplicates",
        "find people who stand twice, and samples of another sex than registered",
        reads=_files(cohort=_of_cohort("intake.h5ad", "donors.parquet")),
        writes=_files(out=_DUPLICATES),
        version=2,
    ),
    Step(
        "qc",
        "mark cells by MAD-adaptive thresholds and doublet score",
        reads=_files(counts=_COUNTS, intake=f"{COHORT}/intake.json"),
        writes=_files(out_dir=_JUDGED),
        version=2,
        per_cohort=True,
        streams=True,
        old_rule="mark_cells",
    ),
    Step(
        "gene_stats",
        "exact sums of counts and log-normalised values of each gene",
        reads=_files(counts=_COUNTS, qc=_QC),
        writes=_files(out=f"{COHORT}/moments.npz"),
        version=3,
        per_cohort=True,
        streams=True,
        old_name="moments",
        old_rule="sum_moments",
    ),
    Step(
        "hvg",
        "accept cohorts and select highly variable genes",
        reads=_files(cohort=_of_cohort("moments.npz", "status.json")),
        writes=_files(out=_FEATURES, cohorts_out=_VERDICTS),
        version=2,
        old_name="features",
        old_rule="select_features",
    ),
    Step(
        "covariance",
        "exact sums of products of the highly variable genes",
        reads=_files(counts=_COUNTS, qc=_QC, features=_FEATURES, cohorts=_VERDICTS),
        writes=_files(out=f"{COHORT}/gram.npz"),
        version=3,
        per_cohort=True,
        streams=True,
        old_name="gram",
        old_rule="sum_products",
    ),
    Step(
        "pca",
        "principal components of the covariance over all cohorts",
        reads=_files(gram=f"{COHORT}/gram.npz", features=_FEATURES),
        writes=_files(out="atlas/basis.npz"),
        version=5,
        old_name="basis",
        old_rule="find_basis",
    ),
    Step(
        "pca_scores",
        "scores of the cells on the principal components",
        reads=_files(
            counts=_COUNTS, qc=_QC, features=_FEATURES, cohorts=_VERDICTS, basis="atlas/basis.npz"
        ),
        writes=_files(out=f"{COHORT}/embedding.npz"),
        version=3,
        per_cohort=True,
        streams=True,
        old_name="project",
        old_rule="project_cells",
    ),
    Step(
        "integrate",
        "remove batch effects from the embedding",
        reads=_files(
            cohort=_of_cohort(
                "embedding.npz",
                "intake.h5ad",
                "qc.parquet",
                "samples.parquet",
                "donors.parquet",
                "visits.parquet",
            )
        ),
        writes=_files(out=_EMBEDDING),
        version=4,
        old_rule="integrate_cohorts",
    ),
    Step(
        "neighbors",
        "k-nearest-neighbour graph of the cells",
        reads=_files(embedding=_EMBEDDING),
        writes=_files(out="atlas/graph.h5ad"),
        version=3,
        old_rule="find_neighbors",
    ),
    Step(
        "cluster",
        "Leiden clusters of the graph",
        reads=_files(graph="atlas/graph.h5ad"),
        writes=_files(out=_CLUSTERS),
        version=4,
        old_rule="cluster_cells",
    ),
    Step(
        "umap",
        "two-dimensional map of the graph",
        reads=_files(graph="atlas/graph.h5ad", embedding=_EMBEDDING),
        writes=_files(out="atlas/umap.parquet"),
        version=5,
        old_rule="map_cells",
    ),
    Step(
        "label_transfer",
        "label cells whose source gave no label, from those with one",
        reads=_files(embedding=_EMBEDDING, clusters=_CLUSTERS),
        writes=_files(out=_CELL_LABELS),
        version=1,
    ),
    Step(
        "aggregate",
        "sums per sample, cluster, label, half of the cells and gene",
        reads=_files(counts=_COUNTS, qc=_QC, clusters=_CLUSTERS, labels=_CELL_LABELS),
        writes=_files(out=f"{COHORT}/aggregate.npz"),
        version=4,
        per_cohort=True,
        old_rule="aggregate_cells",
    ),
    Step(
        "markers",
        "marker genes of each cluster",
        reads=_files(
            cohort=_of_cohort("aggregate.npz", "intake.h5ad", "qc.parquet"),
            clusters=_CLUSTERS,
            features=_FEATURES,
        ),
        writes=_files(out="atlas/markers.parquet"),
        version=4,
        old_rule="find_markers",
    ),
    Step(
        "annotate",
        "cell type of each cluster and of each cell",
        reads=_files(
            clusters=_CLUSTERS,
            embedding=_EMBEDDING,
            labels=_CELL_LABELS,
            aggregate=f"{COHORT}/aggregate.npz",
            features=_FEATURES,
        ),
        writes=_files(out="atlas/annotation.parquet", cell_types_out=_CELL_TYPES),
        version=3,
        asks=("programmes",),
        old_rule="annotate_clusters",
    ),
    Step(
        "profile",
        "profiles of donors from their cells",
        reads=_files(
            embedding=_EMBEDDING,
            clusters=_CLUSTERS,
            labels=_CELL_LABELS,
            cell_types=_CELL_TYPES,
            cohort=_of_cohort("aggregate.npz", "samples.parquet"),
        ),
        writes=_files(out="strata/profiles.h5ad", composition_out="strata/composition.parquet"),
        version=5,
        old_rule="profile_donors",
    ),
    Step(
        "strata",
        "strata of donors, with their stability",
        reads=_files(profiles="strata/profiles.h5ad"),
        writes=_files(out_dir=_STRATIFIED),
        version=9,
        asks=("clinical_table",),
        old_rule="find_strata",
    ),
    Step(
        "followup",
        "change of donors over visits, and what programmes ask",
        reads=_files(
            donors="strata/donors.h5ad",
            cohort=_of_cohort(
                "aggregate.npz", "samples.parquet", "measurements.parquet", "intake.json"
            ),
            cell_types=_CELL_TYPES,
        ),
        writes=_files(out_dir=_FOLLOWED),
        version=2,
        asks=("clinical_table", "programmes"),
    ),
    Step(
        "differential_expression",
        "genes and gene sets that strata or conditions differ in",
        reads=_files(
            donors="strata/donors.h5ad",
            cohort=_of_cohort("aggregate.npz", "samples.parquet"),
            cell_types=_CELL_TYPES,
            features=_FEATURES,
        ),
        writes=_files(out_dir=_EXPLAINED),
        version=3,
        asks=("gene_sets_file",),
        old_name="explain",
        old_rule="explain_strata",
    ),
    Step(
        "release_plan",
        "decide which cohorts a release shows, and what each of its files says of it",
        reads=_files(results=(f"{COHORT}/intake.json", _VERDICTS, "strata/strata.json")),
        writes=_files(out=_PLAN),
        version=1,
        settings=tuple(
            f"release.{name}"
            for name in ("title", "version", "license", "doi", "url", "expression")
        ),
    ),
    Step(
        "cells",
        "write a cohort's cells and expression as the release shows them",
        reads=_files(
            results=(
                *_of_cohort("intake.h5ad", "intake.json", "qc.parquet", "aggregate.npz"),
                _PLAN,
                _FEATURES,
                _EMBEDDING,
                _CLUSTERS,
                "atlas/umap.parquet",
                "atlas/annotation.parquet",
                _CELL_LABELS,
                _CELL_TYPES,
                *_of_strata("strata.json", "assignments.parquet"),
            )
        ),
        writes=_files(out_dir=_SHOWN),
        version=2,
        per_cohort=True,
    ),
    Step(
        "reference",
        "freeze the model of cells and donors onto which new people are mapped",
        reads=_files(
            results=(
                *_of_cohort("intake.h5ad", "intake.json", "aggregate.npz"),
                _VERDICTS,
                _FEATURES,
                "atlas/basis.npz",
                _EMBEDDING,
                _CLUSTERS,
                "atlas/umap.parquet",
                "atlas/annotation.parquet",
                _CELL_LABELS,
                _CELL_TYPES,
                *_of_strata("donors.h5ad", "strata.json"),
            )
        ),
        writes=_files(out_dir=_FROZEN),
        version=1,
    ),
    Step(
        "release",
        "write the release folder; release add adds cohorts, release diff A B compares",
        reads=_files(
            results=(
                *_REGISTERED,
                *_JUDGED,
                f"{COHORT}/aggregate.npz",
                _VERDICTS,
                _FEATURES,
                "atlas/basis.npz",
                _EMBEDDING,
                _CLUSTERS,
                "atlas/umap.parquet",
                "atlas/markers.parquet",
                "atlas/annotation.parquet",
                _CELL_LABELS,
                _CELL_TYPES,
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
        writes=_files(out="release/manifest.json"),
        version=4,
        is_product=True,
        old_rule="write_release",
    ),
    Step(
        "seal",
        "encrypt cohorts without open access to named recipients",
        reads=_files(results="release/manifest.json"),
        writes=_files(out="controlled/index.json"),
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


def files_of(paths: Iterable[str], cohorts: Iterable[str]) -> Iterator[str]:
    """The paths with those of a cohort once for each of `cohorts`.

    >>> list(files_of(["atlas/umap.parquet", "cohorts/{cohort}/qc.parquet"], ["a", "b"]))
    ['atlas/umap.parquet', 'cohorts/a/qc.parquet', 'cohorts/b/qc.parquet']
    """
    names = list(cohorts)
    for path in paths:
        if "{cohort}" in path:
            yield from (path.format(cohort=name) for name in names)
        else:
            yield path


def files_named(args: Any, files: Files) -> Iterator[tuple[str, Path]]:
    """Each option of a command that names files of a step, with one of the files it names.

    `--results` names every file by its place below the results folder: those of the cohort that
    `--cohort` names, where one is named, else those of each cohort of the atlas.
    """
    for option, paths in files.items():
        value = getattr(args, option, None)
        if value is None:
            continue
        if option == "results":
            yield from ((option, value / path) for path in files_of(paths, _cohorts(args)))
        elif option in FOLDER_OPTIONS:
            folders = [folder for _, folder in value] if option == "cohort" else [value]
            names = [Path(path).name for path in paths]
            yield from ((option, Path(folder) / name) for folder in folders for name in names)
        else:
            yield from ((option, Path(item)) for item in _as_list(value))


def _cohorts(args: Any) -> list[str]:
    if getattr(args, "cohort", None):
        return _as_list(args.cohort)
    verdicts = args.results / _VERDICTS
    return sorted(json.loads(verdicts.read_text("utf-8"))) if verdicts.is_file() else []


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def with_new_names(values: Mapping[str, Any], old_names: Mapping[str, str]) -> dict[str, Any]:
    """The mapping with each key of `old_names` under its new name.

    Raises
    ------
    ValueError
        Where a key stands under both names.

    Examples
    --------
    >>> with_new_names({"gram": 1, "umap": 2}, OLD_NAMES)
    {'covariance': 1, 'umap': 2}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = old_names.get(key, key)
        if name in found or (name != key and name in values):
            raise ValueError(f"{key!r} is the old name of {name!r}: only one of them may be given")
        found[name] = value
    return found


def benchmark_path(results: Path, step: Step, cohort: str = "") -> Path:
    """Where the benchmark record of a job lies; one of a run under the old name stays there."""
    place = results / "benchmarks" / f"{step.job(cohort)}.tsv"
    old = results / "benchmarks" / f"{step.job(cohort).replace(step.name, step.old_name, 1)}.tsv"
    return old if step.old_name and old.is_file() and not place.is_file() else place


def as_yaml() -> str:
    """What the Snakefile must know of each step, as `workflow/steps.yaml` holds it."""
    read = {path for step in STEPS for path in step.inputs}
    lines = [
        "# Version of each step's results, the names it had before, and which of its files no step",
        "# reads, so that the study itself asks for them. Written from",
        "# src/pmcell/steps.py, which says when to raise a number:",
        "#   python -m pmcell.steps > workflow/steps.yaml",
    ]
    for step in STEPS:
        facts = {"version": step.version, "old_name": step.old_name, "old_rule": step.old_rule}
        told = ", ".join(f"{key}: {value}" for key, value in facts.items() if value)
        if step.settings:
            told += f", settings: [{', '.join(step.settings)}]"
        unread = [f'"{path}"' for path in step.outputs if path not in read]
        if unread and not step.is_product:
            told += f", unread: [{', '.join(unread)}]"
        lines.append(f"{step.name}: {{{told}}}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_yaml(), end="")
