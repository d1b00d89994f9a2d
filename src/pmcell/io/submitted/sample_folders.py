"""Find the samples of a folder that holds several 10x matrices, as GEO and Cell Ranger leave them.

Three files of each sample with a prefix in one folder (`GSM1_P1_matrix.mtx.gz`), or a folder for
each sample, with the matrix somewhere below it (`P1/outs/filtered_feature_bc_matrix`), or a file
of Cell Ranger's for each (`GSM1_P1_filtered_feature_bc_matrix.h5`). Of raw and filtered matrices
the filtered ones are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pmcell.errors import DataError
from pmcell.io.submitted.matrix_folder import (
    KINDS,
    MAX_SHOWN,
    find_parts,
    folder_files,
    folders_with_a_matrix,
    has_matrix,
    paths_below,
)
from pmcell.io.submitted.preflight import preflight
from pmcell.io.submitted.submission import LayerSummary, Submission

_OF_ONE_SAMPLE = re.compile(
    r"gene(full.*)?|velocyto|sj|raw.*|filtered.*|(un)?spliced|ambiguous|.*_feature_bc_matrix",
    re.IGNORECASE,
)
"""Folders that programs write beside each other for one and the same cells."""
_WORD = re.compile(
    r"(?:^|(?<=[_.-]))(?:(?P<barcodes>(?:barcodes|cells)(?=[_.-].*tsv$|\.tsv$))"
    r"|(?P<features>(?:features|genes)(?=[_.-].*tsv$|\.tsv$))"
    r"|(?P<matrix>matrix(?=[_.-].*mtx$|\.mtx$)))",
    re.IGNORECASE,
)
"""The word of a file's name that says what it holds, the last one; the rest names the sample."""


_NO_MATRIX = re.compile(r"molecule_info|web_summary|metrics|posterior", re.IGNORECASE)
"""In names of HDF5 files that stand beside matrices."""
_KIND_OF_H5 = re.compile(
    r"(^|[_.-])((sample|raw|filtered|feature|genes?|bc|barcodes?|matrix|matrices|counts|h5|10x|cellbender|"
    r"soupx|decontx|corrected|out|output)([_.-]|$))+$",
    re.IGNORECASE,
)
H5 = "h5"
"""Stands for the one file of a sample that holds matrix, barcodes and features."""
PER_SAMPLE = "per_sample_outs"
"""Folder in which Cell Ranger's multi writes one for each sample of a run."""
MAX_FOLDERS = 50_000
"""Folders that are looked at for those of samples: none is ever passed over."""


def find_samples(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of each sample (see `find_parts`) by its name; {} where the folder is of one.

    A sample whose counts are in one file of Cell Ranger's has that alone, as `H5`.

    Raises
    ------
    DataError
        A sample has several matrices or, beside filtered ones of others, a raw one only.
    """
    return _by_prefix(folder) or _by_folder(folder) or _by_h5(folder)


def holds_matrices(folder: Path) -> bool:
    """Whether a folder holds a matrix, itself or in a folder below, as far as it is looked at."""
    items = folder_files(folder)
    if has_matrix(items) or _h5_files(items):
        return True
    return bool(folders_with_a_matrix(folder) or paths_below(folder, _h5_files))


def _by_prefix(folder: Path) -> dict[str, dict[str, Path]]:
    """Samples whose three files have one prefix; {} unless every matrix has its own lists."""
    found: dict[str, dict[str, Path]] = {}
    for item in folder_files(folder):
        name = re.sub(r"\.gz$", "", item.name, flags=re.IGNORECASE)
        words = list(_WORD.finditer(name)) if item.is_file() else []
        if not words:
            continue
        kind = next(kind for kind, group in words[-1].groupdict().items() if group)
        sample = (name[: words[-1].start()] + name[words[-1].end() : -len(".tsv")]).strip("_.-")
        if kind in found.setdefault(sample, {}):
            return {}
        found[sample][kind] = item
    if len(found) < 2 or "" in found or any(len(parts) < len(KINDS) for parts in found.values()):
        return {}
    for parts in found.values():
        for part in parts.values():
            preflight(part, "text")
    return found


def _by_folder(folder: Path) -> dict[str, dict[str, Path]]:
    """Samples that have a folder each; {} where files of a matrix lie in the folder itself."""
    names = [item.name.lower().removesuffix(".gz") for item in folder_files(folder)]
    if any(form.fullmatch(name) for name in names for _, form in KINDS.values()):
        return {}
    found = folders_with_a_matrix(folder, most=MAX_FOLDERS)
    if found is None:
        raise DataError(
            f"{folder.name}: a folder of samples must hold at most {MAX_FOLDERS:,} folders; it "
            "holds more. Give the folder that holds the matrices alone.",
            reason="too_big",
        )
    called = [path for path in found if not _is_raw(path)]
    chosen = called or found
    if len(chosen) < 2:
        return {}
    _require_called(folder, called, [path for path in found if path not in chosen])
    by_name = _by_name(folder, chosen)
    return {name: find_parts(folder.joinpath(*path)) for name, path in sorted(by_name.items())}


def _by_name(
    folder: Path, paths: Sequence[tuple[str, ...]], above: str = ""
) -> dict[str, tuple[str, ...]]:
    """The path of each sample, by the folder in which it differs from the others first.

    Below it there is one matrix, or samples of their own where Cell Ranger's multi wrote them. {}
    where all are of one sample.
    """
    n_common = 0
    while len({path[: n_common + 1] for path in paths}) == 1:
        n_common += 1
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        groups.setdefault(path[n_common] if len(path) > n_common else "", []).append(path)
    is_nested = n_common > 0 and paths[0][n_common - 1] == PER_SAMPLE
    if above and not is_nested:
        listed = " and ".join("/".join(path) for path in paths[:MAX_SHOWN])
        raise DataError(
            f"{folder.name}: the folder of a sample must hold one matrix; found {listed}. Keep one "
            "of them there, for they are of the same cells.",
            reason="ambiguous_files",
        )
    if not above and all(_OF_ONE_SAMPLE.fullmatch(name) for name in groups):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, group in groups.items():
        called = f"{above}_{name}" if above else name
        found |= {called: group[0]} if len(group) == 1 else _by_name(folder, group, called)
    return found


def _by_h5(folder: Path) -> dict[str, dict[str, Path]]:
    """Samples that have a 10x file each, in the folder itself or in folders of their own.

    {} where there is a Matrix Market file, beside which these are what else a program wrote.
    """
    items = folder_files(folder)
    if has_matrix(items) or folders_with_a_matrix(folder, most=MAX_FOLDERS):
        return {}
    here = _h5_files(items)
    found = here or paths_below(folder, _h5_files, most=MAX_FOLDERS) or []
    called = [path for path in found if not _is_raw(path)]
    chosen = called or found
    if len(chosen) < 2:
        return {}
    _require_called(folder, called, [path for path in found if path not in chosen])
    by_name = {_name_of_h5(path[0]): path for path in chosen} if here else _by_name(folder, chosen)
    if here and (len(by_name) < len(chosen) or "" in by_name):
        listed = ", ".join(path[0] for path in chosen[:MAX_SHOWN])
        raise DataError(
            f"{folder.name}: each file must have its sample in its name, and each sample one file; "
            f"found {listed}. Keep one file of each sample, called for example "
            "P1_filtered_feature_bc_matrix.h5.",
            reason="ambiguous_files",
        )
    return {name: {H5: folder.joinpath(*path)} for name, path in sorted(by_name.items())}


def _h5_files(items: Sequence[Path]) -> list[tuple[str, ...]]:
    """Names of the files that may be 10x matrices."""
    return [
        (item.name,)
        for item in items
        if item.suffix.lower() == ".h5" and item.is_file() and not _NO_MATRIX.search(item.name)
    ]


def _is_raw(path: Sequence[str]) -> bool:
    return any("raw" in part.lower() for part in path)


def _name_of_h5(name: str) -> str:
    """The sample in the name of a file: 'GSM1_P1_filtered_feature_bc_matrix.h5' is 'GSM1_P1'."""
    return _KIND_OF_H5.sub("", name[: -len(".h5")]).strip("_.-")


def _sample_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """What a raw and a filtered matrix of one sample share: their folder, or the file's name."""
    is_file = len(path) == 1 and path[0].lower().endswith(".h5")
    return (_name_of_h5(path[0]),) if is_file else path[:-1]


def _require_called(
    folder: Path, called: Sequence[tuple[str, ...]], raw: Sequence[tuple[str, ...]]
) -> None:
    """`DataError` for a sample of which only the raw matrix is there, beside filtered ones."""
    beside = {_sample_of(path) for path in called}
    for path in raw:
        if _sample_of(path) not in beside and any(len(path) == len(one) for one in called):
            raise DataError(
                f"{folder.name}: every sample must have its filtered matrix; of "
                f"{'/'.join(_sample_of(path)) or path[0]} there is only a raw one, "
                f"{'/'.join(path)}. Copy the filtered one there, or move that folder away.",
                reason="file_missing",
            )


def files_of_samples(folder: Path) -> list[Path]:
    """The files that are read of a folder of samples; [] where it is of one."""
    return [path for parts in find_samples(folder).values() for path in parts.values()]


def join_samples(path: Path, samples: Mapping[str, Submission]) -> Submission:
    """One submission of the cells of all samples, in order, each with its sample's name.

    Barcodes begin with it, and it stands in the column `sample_id`.

    Raises
    ------
    DataError
        Samples have other features or another kind of values, or two list the same cells.
    """
    import pandas as pd

    (first_name, first), *others = samples.items()
    for name, one in others:
        if not one.var.equals(first.var):
            raise DataError(
                f"{path.name}: all samples must list the same features in the same order; "
                f"{first_name} has {len(first.var):,} and {name} {len(one.var):,}, or others. "
                "Count them with one reference, or register each group as a cohort of its own.",
                reason="features_differ",
            )
    by_cells: dict[tuple[str, ...], str] = {}
    for name, one in samples.items():
        other = by_cells.setdefault(tuple(one.obs.index), name)
        if other != name and one.n_cells:
            raise DataError(
                f"{path.name}: two samples must be different cells; {other} and {name} list the "
                f"same {one.n_cells:,} barcodes. Are they two matrices of one sample? Keep one.",
                reason="ambiguous_files",
            )
    names = np.repeat(np.array(list(samples), object), [one.n_cells for one in samples.values()])
    barcodes = [barcode for one in samples.values() for barcode in one.obs.index]
    index = pd.Index([f"{n}_{b}" for n, b in zip(names, barcodes, strict=True)], dtype=object)
    obs = pd.DataFrame({"sample_id": names}, index=index)
    summary = _joined_summary(path, {name: one.layers["X"] for name, one in samples.items()})
    detail = {"samples": dict(samples)}
    return replace(
        first, path=path, format="10x_mtx", obs=obs, layers={"X": summary}, detail=detail
    )


def _joined_summary(path: Path, of_samples: Mapping[str, LayerSummary]) -> LayerSummary:
    filled = {name: one for name, one in of_samples.items() if one.n_stored} or dict(of_samples)
    (first_name, first), *others = filled.items()
    for name, one in others:
        if one.looks_like != first.looks_like:
            raise DataError(
                f"{path.name}: all samples must hold the same kind of values; those of "
                f"{first_name} look like {first.looks_like}, those of {name} like "
                f"{one.looks_like}. Give the raw counts of each.",
                reason="not_counts",
            )
    every = list(filled.values())
    return replace(
        first,
        dtype=first.dtype if len({one.dtype for one in every}) == 1 else "float64",
        shape=(sum(one.shape[0] for one in of_samples.values()), first.shape[1]),
        n_stored=sum(one.n_stored for one in every),
        sampled_min=min(one.sampled_min for one in every),
        sampled_max=max(one.sampled_max for one in every),
        is_integer=all(one.is_integer for one in every),
        share_integer=min(one.share_integer for one in every),
    )
