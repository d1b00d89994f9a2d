"""Gene sets from a user's file: GMT, or a network as TSV (source, target, weight)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.textfile import open_text

MAX_FAULTS = 50


@dataclass(frozen=True)
class GeneSets:
    """Names of sets, each with its genes' weights, as the file names them; 1 in a GMT file."""

    weights: dict[str, dict[str, float]]


def read_gene_sets(path: Path) -> GeneSets:
    """Read a GMT file (name, description, genes …) or a TSV with source, target and weight.

    A file whose first line names the columns `source` and `target` is a
    network; `weight` may be left out. Raises `UsageError` for no file and `FaultsError`
    with each bad line.
    """
    if not path.is_file():
        raise UsageError(
            f"differential_expression.gene_sets must name a GMT or TSV file; there is no {path}"
        )
    with open_text(path) as text:
        lines = [line.rstrip("\r\n") for line in text]
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled:
        raise FaultsError([_fault(path, 1, "a line for each gene set", "an empty file")])
    head = [name.strip().lower() for name in filled[0][1].split("\t")]
    is_network = {"source", "target"} <= set(head)
    found, faults = _network(path, head, filled[1:]) if is_network else _gmt(path, filled)
    if not found and not faults:
        faults = [_fault(path, 1, "at least one gene set", "only the names of columns")]
    if faults:
        raise FaultsError(faults[:MAX_FAULTS])
    return GeneSets(found)


def _gmt(
    path: Path, lines: list[tuple[int, str]]
) -> tuple[dict[str, dict[str, float]], list[Fault]]:
    found: dict[str, dict[str, float]] = {}
    faults = []
    for number, line in lines:
        parts = [part.strip() for part in line.split("\t")]
        genes = [part for part in parts[2:] if part]
        if not parts[0] or not genes:
            what = f"{len(parts)} fields, {len(genes)} genes: {line[:60]!r}"
            faults.append(
                _fault(path, number, "a name, a description and genes, tab-separated", what)
            )
        elif parts[0] in found:
            must = "a name that no other line has"
            faults.append(_fault(path, number, must, f"{parts[0]!r} again"))
        else:
            found[parts[0]] = dict.fromkeys(genes, 1.0)
    return found, faults


def _network(
    path: Path, head: list[str], lines: list[tuple[int, str]]
) -> tuple[dict[str, dict[str, float]], list[Fault]]:
    source, target = head.index("source"), head.index("target")
    weight = head.index("weight") if "weight" in head else None
    found: dict[str, dict[str, float]] = {}
    faults = []
    for number, line in lines:
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != len(head) or not parts[source] or not parts[target]:
            must = f"{len(head)} fields, with source and target filled"
            faults.append(_fault(path, number, must, f"{len(parts)} fields: {line[:60]!r}"))
            continue
        value = 1.0 if weight is None else _number(parts[weight])
        if not math.isfinite(value) or value == 0:
            must = "a weight that is a number other than 0"
            text = parts[weight] if weight is not None else ""
            faults.append(_fault(path, number, must, repr(text)))
        elif parts[target] in found.setdefault(parts[source], {}):
            must = "each pair of source and target once"
            faults.append(_fault(path, number, must, f"{parts[source]} → {parts[target]} again"))
        else:
            found[parts[source]][parts[target]] = value
    return found, faults


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _fault(path: Path, line: int, must: str, found: str) -> Fault:
    fix = "Correct the line, or take the file anew from its source."
    return Fault(str(path), f"must have {must}", found, fix, row=line, reason="gene_sets")
