"""Open files of clinics and phones: one JSON value, a list of them, or one a line (NDJSON)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pmcell.registry.measurements.fhir import is_resource, read_resource
from pmcell.registry.measurements.mhealth import is_data_point, read_data_point
from pmcell.registry.measurements.reading import MAX_FAULTS, Found, Place
from pmcell.spelling import repeated

MAX_BYTES = 256_000_000


class _NotJsonError(ValueError):
    """A value that JSON does not have, or a key that stands twice."""


def read_files(paths: Iterable[Path]) -> Found:
    """Return every reading of the files, every fault, and what was left out, counted."""
    found = Found()
    for path in paths:
        _read_file(path, found)
    return found


def _read_file(path: Path, found: Found) -> None:
    found.n_before = len(found.faults)
    place = Place(path.name)
    for node, where in _nodes(path, place, found):
        if is_resource(node):
            read_resource(node, where, found)
        elif is_data_point(node):
            read_data_point(node, where, found)
        else:
            must = (
                "must be a FHIR resource (with resourceType) or a data point of Open mHealth or "
                "IEEE 1752 (with header and body)"
            )
            keys = ", ".join(map(str, list(node)[:6])) if isinstance(node, dict) else ""
            seen = f"keys {keys}" if keys else type(node).__name__
            found.faults.append(where.fault(must, seen, "Export it as FHIR R4 Observation."))
        if found.is_hopeless:
            must = f"must have at most {MAX_FAULTS} faults"
            found.faults.append(place.fault(must, "more", "Correct these first; the rest follows."))
            return


def _nodes(path: Path, place: Place, found: Found) -> Iterator[tuple[Any, Place]]:
    text = _text(path, place, found)
    if text is None:
        return
    try:
        whole = _loads(text)
    except (ValueError, RecursionError) as error:
        if _is_of_lines(text):
            yield from _lines(text, place, found)
            return
        line = getattr(error, "lineno", None)
        fix = "Export the file again: it may be cut short."
        found.faults.append(
            Place(place.file, "", line).fault("must be JSON", _why(error), fix, "json")
        )
        return
    if isinstance(whole, list):
        for at, node in enumerate(whole):
            yield node, place.at(at)
    else:
        yield whole, place


def _lines(text: str, place: Place, found: Found) -> Iterator[tuple[Any, Place]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = Place(place.file, "", number)
        try:
            yield _loads(line), where
        except (ValueError, RecursionError) as error:
            fix = "Each line must be one whole resource: export the file again."
            found.faults.append(where.fault("must be JSON", _why(error), fix, "json"))


def _is_of_lines(text: str) -> bool:
    """Whether the first line that is not empty is a JSON value by itself."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    try:
        return isinstance(_loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _text(path: Path, place: Place, found: Found) -> str | None:
    def refuse(must: str, seen: str, fix: str) -> None:
        found.faults.append(place.fault(must, seen, fix, "file"))

    try:
        if not path.is_file():
            refuse("must be a file", "none of that name", "Correct the name.")
            return None
        if path.stat().st_size > MAX_BYTES:
            size = f"{path.stat().st_size:,} bytes"
            refuse(f"must have at most {MAX_BYTES:,} bytes", size, "Split it into several files.")
            return None
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse("must be UTF-8 text", f"byte {error.start} is not", "Export it as UTF-8.")
    except OSError as error:
        refuse("must be readable", error.strerror or str(error), "Correct its rights.")
    return None


def _loads(text: str) -> Any:
    return json.loads(
        text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_each_key_once
    )


def _refuse(name: str) -> None:
    raise _NotJsonError(f"{name}, which JSON does not have")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotJsonError(f"a number beyond all numbers, {text[:20]}")
    return number


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    node = dict(pairs)
    if len(node) < len(pairs):
        twice = next(iter(repeated(key for key, _ in pairs)))
        raise _NotJsonError(f"the key {twice[:40]!r} twice")
    return node


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at letter {error.colno}"
    return "brackets nested without end" if isinstance(error, RecursionError) else str(error)
