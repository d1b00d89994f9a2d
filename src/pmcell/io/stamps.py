"""Provenance stamps: beside each result, `.stamps/<file>.json` says what it is and what made it.

A stamp holds the file's size and SHA-256, the step, its parameters and seed,
pmcell's version, and the digest of each input. Before a step reads a stamped
file, `check_inputs` compares: a flipped byte, a cut tail, a file of another
cohort and a result of older inputs stop the run before they do harm. A stamp
has no time, host or absolute path, so equal runs give equal stamps.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pmcell.errors import DataError
from pmcell.io.atomic import sha256_file, write_json
from pmcell.io.json_text import parse_json
from pmcell.version import __version__

FOLDER = ".stamps"
AREAS = ("atlas", "strata")
"""Folders of the results with files of their own; those of a cohort lie one folder deeper."""


def write_stamps(
    step: str,
    outputs: Iterable[Path],
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
    seed: int | None = None,
) -> None:
    """Write the stamp of every output; `inputs` gives the SHA-256 of each input by its name."""
    for path in outputs:
        stamp = {
            "file": path.name,
            "result": result_name(path),
            "size": path.stat().st_size,
            "sha256": sha256_file(path),
            "step": step,
            "pmcell": __version__,
            "parameters": dict(parameters),
            "seed": seed,
            "inputs": dict(inputs),
        }
        write_json(stamp_path(path), stamp)


def read_stamp(path: Path | str) -> dict[str, Any] | None:
    """The stamp of a result file, or None where it has none; `DataError` for a damaged stamp."""
    place = stamp_path(Path(path))
    try:
        stamp = parse_json(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(place, str(error)) from error
    if not _is_stamp(stamp, Path(path).name):
        raise _damaged(place, "it is no stamp of that file")
    return dict(stamp)


def check_inputs(paths: Iterable[Path], *, threads: int = 1) -> dict[str, str]:
    """SHA-256 of each file by its `result_name`, after each was compared with its stamp.

    Three things must hold: a stamped file lies where it was made, it has the
    size and digest of its stamp, and files that were made from one another are
    of the same run. Raises
    `DataError` for the first that does not, with what to do. Files without a
    stamp are digested and not judged.
    """
    files = list(dict.fromkeys(Path(path) for path in paths))
    stamps = {path: read_stamp(path) for path in files}
    for path, stamp in stamps.items():
        if stamp is not None:
            _check_place(path, stamp)
            _check_size(path, stamp)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        digests = dict(zip(files, pool.map(sha256_file, files), strict=True))
    for path, stamp in stamps.items():
        if stamp is not None and digests[path] != stamp["sha256"]:
            raise _differs(path, f"SHA-256 {stamp['sha256']}", digests[path])
    _check_same_run(stamps, digests)
    return {result_name(path): digests[path] for path in files}


def is_made_of_present(path: Path, results: Path) -> bool:
    """Whether a result and all that it was made of are, by their stamps, of the same run.

    Stamps are compared and no file is digested: `check_inputs` holds the stamps against the files.
    """
    stamp = read_stamp(path)
    if stamp is None or path.stat().st_size != stamp["size"]:
        return False
    sources = {name: read_stamp(results / name) for name in stamp["inputs"]}
    return all(
        source is not None and source["sha256"] == stamp["inputs"][name]
        for name, source in sources.items()
    )


def result_name(path: Path | str) -> str:
    """The file's path below the results folder, or its bare name where it lies elsewhere.

    >>> result_name("a/results/cohorts/liu_b1/qc.parquet"), result_name("a/counts.h5ad")
    ('cohorts/liu_b1/qc.parquet', 'counts.h5ad')
    """
    *_, third, second, name = ("", "", *Path(path).absolute().parts)
    if third == "cohorts":
        return f"{third}/{second}/{name}"
    return f"{second}/{name}" if second in AREAS else name


def stamp_path(path: Path) -> Path:
    """Where the stamp of a file lies."""
    return path.parent / FOLDER / f"{path.name}.json"


def _check_place(path: Path, stamp: Mapping[str, Any]) -> None:
    """A file that was put into the place of another cohort's, with its stamp."""
    made, here = str(stamp.get("result", "")), result_name(path)
    if "/" in made and "/" in here and made != here:
        raise DataError(
            f"{path} must be the result that was made there; its stamp says that it was made as "
            f"{made}: it is of another cohort. Run again after: "
            f"rm {_quoted(path, stamp_path(path))}",
            reason="misplaced_intermediate",
        )


def _check_size(path: Path, stamp: Mapping[str, Any]) -> None:
    size = path.stat().st_size
    if size != stamp["size"]:
        raise _differs(path, f"{stamp['size']} bytes", f"{size} bytes")


def _check_same_run(
    stamps: Mapping[Path, Mapping[str, Any] | None], digests: Mapping[Path, str]
) -> None:
    """Each input that names another input as its source must have been made from that very file."""
    now = {result_name(path): (path, digest) for path, digest in digests.items()}
    for path, stamp in stamps.items():
        for name, digest in (stamp or {"inputs": {}})["inputs"].items():
            if "/" in name and name in now and now[name][1] != digest:
                raise DataError(
                    f"{path} must have been made from {now[name][0]} as it is now; it was made "
                    f"from a file with SHA-256 {digest}, found {now[name][1]}. One of them is old "
                    f"or of another cohort. Run again after: rm {_quoted(path, now[name][0])}",
                    reason="stale_intermediate",
                )


def _differs(path: Path, expected: str, found: str) -> DataError:
    return DataError(
        f"{path} must be as its step wrote it: expected {expected}, found {found}. It was damaged "
        f"or replaced since. Run again after: rm {_quoted(path)}",
        reason="corrupt_intermediate",
    )


def _damaged(place: Path, why: str) -> DataError:
    result = place.parent.parent / place.name.removesuffix(".json")
    return DataError(
        f"{place} must be the provenance stamp that pmcell wrote for {result}; reading it failed "
        f"({why}). Run again after: rm {_quoted(place, result)}",
        reason="corrupt_stamp",
    )


def _quoted(*paths: Path) -> str:
    return shlex.join(str(path) for path in paths)


def _is_stamp(stamp: Any, name: str) -> bool:
    return (
        isinstance(stamp, dict)
        and stamp.get("file") == name
        and isinstance(stamp.get("size"), int)
        and isinstance(stamp.get("sha256"), str)
        and isinstance(stamp.get("inputs"), dict)
    )
