"""Read a person's samples without a registration: what `pmcell map` takes in.

The file passes the same checks as a cohort's: preflight and limits in a sandbox, raw counts only,
human genes in canonical ids. Only what mapping needs is taken from it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.errors import DataError, UsageError
from pmcell.io.outputs import require_input
from pmcell.io.submitted import sandbox
from pmcell.registry.draft.options import with_options
from pmcell.registry.terms.declared import DECLARED
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    from anndata import AnnData

COLUMNS = ("donor_id", "sample_id", "visit", "batch_id", *DECLARED)
"""Columns of cells that are taken: of the same name, unless another is named."""
FROM_FILE = ("donor_id", "sample_id")
"""Columns that are the file's name where the file has none."""


@dataclass(frozen=True)
class PersonFile:
    """A file that was read: its name, digest, matrix, what it holds, and what to mind of it."""

    name: str
    sha256: str
    counts: str
    n_cells: int
    n_genes: int
    notes: tuple[str, ...] = ()


def read_people(
    paths: Sequence[Path],
    *,
    columns: Mapping[str, str] | None = None,
    fmt: str | None = None,
    orientation: str = "auto",
    memory_mb: int = sandbox.MEMORY_MB,
) -> tuple[AnnData, list[PersonFile]]:
    """Read files of samples into one AnnData of raw counts.

    Parameters
    ----------
    paths
        Files or folders of any supported format.
    columns
        The file's column for each of `COLUMNS` that is called otherwise there.
    fmt, orientation
        As in cohort.yaml; told from each file by default.
    memory_mb
        Memory that reading a file may take.

    Returns
    -------
    adata, files
        Cells of all files; genes are those that every file has. A cell is called
        '<sample>:<barcode>'.

    Raises
    ------
    UsageError
        No such file; a column that was named and is not there; a cell that is in two files.
    DataError
        A file that breaks the contract.
    """
    import anndata as ad

    from pmcell.io.counts.open import open_counts

    if not paths:
        raise UsageError("FILE must name files of samples; got none")
    for path in paths:
        require_input(Path(path))
    parts, files = [], []
    with tempfile.TemporaryDirectory(prefix="pmcell-map-") as folder:
        for number, path in enumerate(paths):
            target = Path(folder) / f"{number}.h5ad"
            arguments = {
                "path": str(Path(path).absolute()),
                "target": str(target),
                "columns": dict(columns or {}),
                "fmt": fmt,
                "orientation": orientation,
            }
            try:
                told = sandbox.run(
                    "pmcell.registry.draft.person:rewrite", arguments, memory_mb=memory_mb
                )
            except DataError as error:
                raise with_options(error) from error
            counts = open_counts(target)
            rows = np.arange(counts.n_cells)
            parts.append(ad.AnnData(counts.read_rows(rows), counts.read_obs(), counts.read_var()))
            files.append(PersonFile(**told | {"notes": tuple(told["notes"])}))
    shared = sorted(set.intersection(*(set(part.var_names) for part in parts)))
    whole = ad.concat([part[:, shared] for part in parts], merge="first")
    if not whole.obs_names.is_unique:
        twice = whole.obs_names[whole.obs_names.duplicated()][0]
        raise UsageError(
            f"each cell must be given once; {twice!r} is there twice. Leave out one of the files, "
            "or tell samples apart with --sample COLUMN."
        )
    return whole, files


def rewrite(
    path: str, target: str, columns: Mapping[str, str], fmt: str | None, orientation: str
) -> dict[str, Any]:
    """Rewrite a file canonically; runs in the sandbox."""
    import pandas as pd

    from pmcell.io.counts.canonical import CanonicalWriter
    from pmcell.io.submitted.readers import inspect, iter_counts
    from pmcell.registry.draft.matrix import draft_matrix
    from pmcell.registry.intake.count_layers import choose_counts
    from pmcell.registry.intake.counts import Projection, check_counts
    from pmcell.registry.intake.genes import choose_genes
    from pmcell.registry.terms.genes import share_known

    source = Path(path)
    submission = inspect(source, fmt, orientation=orientation, looks_like_genes=share_known)
    if not submission.n_cells:
        raise DataError(f"{source.name}: the file must have cells; it has none.", reason="empty")
    choice = choose_counts(submission)
    if not choice.name:
        raise DataError(
            f"{source.name}: the file must hold raw counts; {choice.why}. {choice.fix}",
            reason="not_counts",
        )
    settings: dict[str, str] = {}
    draft_matrix(submission, settings, {}, [])
    genes = choose_genes(submission, _matrix(source, submission, settings), min_genes=1)
    obs = _columns(submission.obs, columns, source)
    projection = Projection(genes.targets())
    symbols = genes.symbols()
    var = pd.DataFrame(
        {"symbol": [symbols[gene_id] for gene_id in projection.gene_ids]},
        index=pd.Index(projection.gene_ids, dtype=object),
    )
    is_gene = np.zeros(genes.n_features, bool)
    is_gene[genes.rows] = True
    with CanonicalWriter(target, obs, var) as writer:
        for start, block in iter_counts(submission, choice.name):
            own = block.multiply(is_gene[None, :]).tocsr()
            writer.append(projection.apply(check_counts(own, start, submission, choice.name)))
    notes = tuple(_taken_as_one(submission.obs, columns))
    n_genes = len(projection.gene_ids)
    return asdict(PersonFile(source.name, _digest(source), choice.name, len(obs), n_genes, notes))


def _matrix(source: Path, submission: Any, settings: Mapping[str, str]) -> Any:
    from pmcell.registry.cohorts.registration import Matrix

    keep = None
    if "matrix.keep_features.column" in settings:
        keep = (settings["matrix.keep_features.column"], settings["matrix.keep_features.value"])
    return Matrix(
        path=source,
        format=submission.format,
        counts=settings["matrix.counts"],
        gene_column=settings["matrix.gene_column"],
        gene_namespace=settings["matrix.gene_namespace"],
        orientation=settings.get("matrix.orientation", "auto"),
        keep_features=keep,
    )


def _columns(obs: Any, columns: Mapping[str, str], source: Path) -> Any:
    """Columns of the cells; faults name every column that is not there."""
    import pandas as pd

    from pmcell.schema.text import as_text
    from pmcell.spelling import did_you_mean

    absent = {ours: theirs for ours, theirs in columns.items() if theirs not in obs.columns}
    if absent:
        listed = ", ".join(map(str, obs.columns[:20])) or "none"
        ours, theirs = next(iter(absent.items()))
        hint = did_you_mean(theirs, [str(name) for name in obs.columns])
        raise UsageError(
            f"{source.name}: the column for {ours} must be one of the file; found {theirs!r}, the "
            f"columns are {listed}. {hint}".rstrip()
        )
    _require_people(obs, columns, source)
    stem = source.name.split(".")[0]
    out = pd.DataFrame(index=pd.Index(as_text(obs.index), dtype=object))
    for name in COLUMNS:
        theirs = columns.get(name, name)
        default = stem if name in FROM_FILE else UNKNOWN
        given = as_text(obs[theirs]).to_numpy() if theirs in obs.columns else default
        out[name] = given
        if name in FROM_FILE:
            out[name] = out[name].replace({"": UNKNOWN, UNKNOWN: stem})
    out["visit"] = out["visit"].replace("", UNKNOWN)
    out["batch_id"] = out["batch_id"].replace("", UNKNOWN)
    texts = (*out.index, *pd.unique(out.to_numpy().ravel()))
    unsafe = next((text for text in texts if "\0" in text), None)
    if unsafe is not None:
        raise DataError(
            f"{source.name}: barcodes and labels of cells must be text; found {unsafe!r}, with a "
            "byte that is none. Rename it where the file came from.",
            reason="bad_barcode",
        )
    names = [
        barcode if barcode.startswith(f"{sample}:") else f"{sample}:{barcode}"
        for barcode, sample in zip(out.index, out["sample_id"], strict=True)
    ]
    out.index = pd.Index(names, dtype=object)
    if not out.index.is_unique:
        twice = out.index[out.index.duplicated()][0]
        raise DataError(
            f"{source.name}: each cell must have a barcode of its own within its sample; {twice!r} "
            "is there twice. Name the column of samples with --sample.",
            reason="duplicate_barcodes",
        )
    return out


def _require_people(obs: Any, columns: Mapping[str, str], source: Path) -> None:
    """Refuse cells of several people that no column tells apart, and cells of no one person."""
    from pmcell.registry.cohorts.not_people import is_missing, not_people
    from pmcell.registry.draft.columns import guess_columns
    from pmcell.schema.text import as_text

    named = columns.get("donor_id", "donor_id")
    if named not in obs.columns:
        found = guess_columns(obs, "person").roles.get("donor_id")
        n_people = obs[found].nunique() if found else 0
        if n_people > 1:
            raise UsageError(
                f"{source.name}: cells must be of one person, or a column must tell people apart; "
                f"column {found!r} looks like one, with {n_people} of them. Say --donor {found}, "
                "or leave the column out of the file."
            )
        return
    labels = {label for label in as_text(obs[named], missing="") if not is_missing(label)}
    nobody = not_people(labels)
    if nobody:
        label, why = sorted(nobody.items())[0]
        raise UsageError(
            f"{source.name}: column {named!r} must name a person for each cell; {label!r} is none "
            f"({why}). Leave these cells out of the file."
        )


def _taken_as_one(obs: Any, columns: Mapping[str, str]) -> Iterator[str]:
    """Say that several samples were taken as one person's, where no column says whose they are."""
    from pmcell.registry.draft.columns import guess_columns

    if columns.get("donor_id", "donor_id") in obs.columns:
        return
    found = guess_columns(obs, "person")
    n_samples = len(set(found.sample_of_cell.tolist()))
    if n_samples > 1:
        yield (
            f"{n_samples} samples ({found.sample_rule}) were taken as one person's, for no column "
            "tells people apart: where they are of several, say --donor COLUMN"
        )


def _digest(source: Path) -> str:
    """Digest of a file, or of the files of a folder in the order of their names."""
    import hashlib

    from pmcell.io.atomic import sha256_file

    if source.is_file():
        return sha256_file(source)
    whole = hashlib.sha256()
    for part in sorted(item for item in source.rglob("*") if item.is_file()):
        whole.update(f"{part.relative_to(source).as_posix()} {sha256_file(part)}\n".encode())
    return whole.hexdigest()
