"""Tell what differs between two releases: cohorts, donors, cells, columns, labels, strata.

What became of clusters, labels and strata is told by the members that both have: the same,
split, merged, changed, new or gone, and what the newer ones may be called. Donors are
counted, never named; of cohorts without open access no small number
is told. Exit code 0 when the contents are equal, 1 when they differ, 2 when one
is no release.

Example:
  pmcell release diff releases/1 releases/2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pmcell.spelling import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("a", type=Path, help="folder of the older release")
    parser.add_argument("b", type=Path, help="folder of the newer release")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    from rich.console import Console

    from pmcell.publish.diff import diff_releases
    from pmcell.release import open_release

    a, b = open_release(args.a), open_release(args.b)
    with Console(stderr=True).status("release diff"):
        found = diff_releases(a, b)
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True))
    else:
        print("\n".join(_lines(found)))
    return 0 if found["same"] else 1


def _lines(found: dict[str, Any]) -> Iterator[str]:
    a, b = found["releases"]
    yield f"A  {a['version']}: {a['title']} (pmcell {a['pmcell']}, schema {a['schema_version']})"
    yield f"B  {b['version']}: {b['title']} (pmcell {b['pmcell']}, schema {b['schema_version']})"
    if found["same"]:
        yield "The contents are equal."
        return
    for title, lines in (
        ("Cohorts", _cohorts(found)),
        ("Tables and columns", _columns(found["columns"])),
        ("Labels of cells", _labels(found["labels"])),
        ("Strata", _strata(found["strata"])),
        ("Lineage", _lineage(found["lineage"])),
        ("Parameters", [_change(row["key"], row) for row in found["parameters"]]),
        ("Files", _came_and_went(found["files"], "file")),
    ):
        yield from ["", title, *(f"  {line}" for line in list(lines) or ["no difference"])]


def _cohorts(found: dict[str, Any]) -> Iterator[str]:
    yield from _came_and_went(found["cohorts"], "cohort")
    for row in found["cohorts"]["changed"]:
        if row["what"].endswith("_sha256"):
            yield f"{row['cohort_id']}: {row['what'].removesuffix('_sha256')} gave other content"
        else:
            yield _change(f"{row['cohort_id']}: {row['what']}", row)
    for what in ("donors", "cells"):
        for row in found[what]:
            if row["added"] or row["removed"]:
                yield (
                    f"{row['cohort_id']}: {what} {row['a']:,} → {row['b']:,} "
                    f"({row['added']:,} added, {row['removed']:,} removed)"
                )
    for row in found["hidden"]:
        if isinstance(row["a"], str):
            yield f"{row['cohort_id']}, access not open: {row['what']} {row['a']}"
        elif row["a"] != row["b"]:
            yield _change(f"{row['cohort_id']}, access not open: {row['what']}", row)


def _columns(found: dict[str, Any]) -> Iterator[str]:
    yield from _came_and_went(found["tables"], "table")
    described = []
    for row in found["columns"]:
        place = f"{row['table']}.{row['column']}"
        if row["what"] == "described":
            described.append(place)
        else:
            yield _change(place, row) if row["what"] == "retyped" else f"{place} {row['what']}"
    if described:
        yield f"{plural(len(described), 'column')} described in another way: {', '.join(described)}"


def _labels(found: dict[str, Any]) -> Iterator[str]:
    before, after = found["n_clusters"]
    alike = found["adjusted_rand_of_clusters"]
    if before != after or alike != 1:
        told = (
            "no cell in both to compare them by"
            if alike is None
            else f"adjusted Rand index {alike} over shared cells"
        )
        yield f"clusters {before} → {after}, {told}"
    if found["n_moved"]:
        yield f"{found['n_moved']:,} of {found['n_shared']:,} shared cells have another label:"
        yield from (
            f"  {row['n_cells']:>8,}  {row['from']} → {row['to']}" for row in found["moves"]
        )


def _strata(found: dict[str, Any]) -> Iterator[str]:
    yield from (_change(row["what"], row) for row in found["verdict"])
    before, after = found["n_strata"]
    if before != after:
        yield f"strata {before} → {after}"
    if found["n_moved"]:
        yield f"{found['n_moved']:,} of {found['n_shared']:,} shared visits have another stratum:"
        yield from (
            f"  {row['n_donor_visits']:>8,}  {row['from']} → {row['to']}" for row in found["moves"]
        )


def _lineage(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What became of clusters, labels and strata; those that kept their name are counted."""
    from pmcell.publish.lineage import SAME

    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        kept = [row for row in own if row["what"] == SAME and row["old"] == row["new"]]
        if kept:
            yield f"{kind}: {len(kept)} the same under the same name"
        for row in own:
            if row not in kept:
                names = f"{row['old'] or 'none'} → {row['new'] or 'none'}"
                called = f", {row['name']!r}" if row["name"] not in (None, row["new"]) else ""
                yield (
                    f"{kind} {names}: {row['what']}{called} ({row['n_shared']:,} shared of "
                    f"{row['n_old']:,} and {row['n_new']:,}, Jaccard {row['jaccard']:.2f})"
                )


def _came_and_went(found: dict[str, Any], noun: str) -> Iterator[str]:
    for what in ("added", "removed"):
        if found[what]:
            yield f"{plural(len(found[what]), noun)} {what}: {', '.join(found[what])}"


def _change(name: str, row: dict[str, Any]) -> str:
    return f"{name}: {_said(row['a'])} → {_said(row['b'])}"


def _said(value: Any) -> str:
    return "nothing" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
