"""What the step commands share: options, threads."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import UsageError
from pmcell.io.system import without_collection

if TYPE_CHECKING:
    from pmcell.io.counts.aggregates import AggregateFiles
    from pmcell.settings.model import Settings


def add_step_options(
    parser: argparse.ArgumentParser,
    model: type[Settings],
    *,
    leave_out: Sequence[str] = (),
) -> None:
    """Options that every step has: `--config`, `--threads`, and one for each of its settings."""
    from pmcell.cli._settings import add_settings

    parser.add_argument("--config", type=Path, help="YAML file with a section named like the step")
    parser.add_argument("--threads", type=int, default=1, help="threads to use (default 1)")
    add_settings(parser, model, leave_out=leave_out)


def add_cohorts_option(parser: argparse.ArgumentParser) -> None:
    """`--cohort ID DIR`, once for each cohort, for steps across cohorts."""
    parser.add_argument(
        "--cohort",
        nargs=2,
        action="append",
        required=True,
        metavar=("ID", "DIR"),
        help="cohort and its results folder; repeat",
    )


def add_aggregate_option(parser: argparse.ArgumentParser) -> None:
    """`--aggregate FILE …`, the sums of every cohort."""
    parser.add_argument(
        "--aggregate",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="aggregate.npz of every cohort",
    )


def add_labels_option(parser: argparse.ArgumentParser) -> None:
    """`--labels FILE`, the labels that were transferred."""
    parser.add_argument(
        "--labels", type=Path, help="cell_labels.parquet: labels of cells whose source gave none"
    )


def add_programmes_option(parser: argparse.ArgumentParser) -> None:
    """`--programmes FILE …`, the programmes that the cohorts name."""
    parser.add_argument(
        "--programmes",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="programmes that the cohorts name",
    )


def use_threads(n_threads: int) -> None:
    """Let numba's kernels use `n_threads` threads, or as many as the machine allows."""
    if n_threads < 1:
        raise UsageError(f"--threads must be at least 1, got {n_threads}")
    with without_collection():
        # What every such step imports in the end.
        import numba
        import pandas  # noqa: F401
        import pyarrow.parquet  # noqa: F401

    allowed = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(min(n_threads, allowed))


def cohort_sums(cohorts: Sequence[list[str]]) -> tuple[AggregateFiles, dict[str, str]]:
    """The sums of every cohort, and the visit of each sample."""
    from pmcell.io.counts.aggregates import open_aggregates
    from pmcell.io.tables import read_table
    from pmcell.schema.text import as_text

    folders = [Path(folder) for _, folder in sorted(cohorts)]
    visits: dict[str, str] = {}
    for folder in folders:
        require_files(folder / "aggregate.npz", folder / "samples.parquet")
        samples = read_table(folder / "samples.parquet", ["sample_id", "visit"])
        visits |= dict(zip(samples["sample_id"], as_text(samples["visit"]), strict=True))
    return open_aggregates([folder / "aggregate.npz" for folder in folders]), visits


def require_files(*paths: Path) -> None:
    """`UsageError` for the first path that is not a file."""
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path} must be a file of an earlier step; there is no such file")
