"""Where to begin among the tables of a release: six first, the others by what one wants to know.

The README of a release, its catalogue and the documentation show the same guide.
"""

from __future__ import annotations

from dataclasses import dataclass

from pmcell.schema.model import ForeignKey, Table
from pmcell.schema.tables import TABLES

ONE_WAY = (
    "processed in one way: genes under the same names, the same quality control, one map of the "
    "cells of each tissue"
)
"""What its cohorts have in common: not the genes that were measured, and not the tissues."""


@dataclass(frozen=True)
class First:
    """A table to open first: the question that it answers."""

    table: str
    question: str


@dataclass(frozen=True)
class Topic:
    """What one wants to know, and the tables that tell it."""

    title: str
    tables: tuple[str, ...]


FIRST = (
    First("donors", "Who is in it?"),
    First("composition", "How many cells of each type has a donor?"),
    First("pseudobulk", "How much of a gene does a sample express, type by type?"),
    First("differential_expression", "Which genes differ between groups of donors?"),
    First("assignments", "To which stratum does a donor belong, and how surely?"),
    First("gaps", "What is not known, and what does that prevent?"),
)
"""The tables that answer most questions."""

TOPICS = (
    Topic("Who was studied, and how", ("cohorts", "cohort_counts", "donors", "visits", "samples")),
    Topic("Cells and their types", ("cells", "clusters", "markers", "composition")),
    Topic("Genes", ("genes", "gene_ledger", "pseudobulk", "differential_expression", "pathways")),
    Topic(
        "Strata of donors",
        ("strata", "assignments", "drivers", "gene_drivers", "movement", "survival"),
    ),
    Topic(
        "Comparisons of donors",
        ("associations", "composition_shifts", "expression_contrasts", "outcomes"),
    ),
    Topic("Distances between donors", ("donor_distances", "consensus")),
    Topic("Cohorts added later", ("additions", "placements", "placed_cells")),
    Topic("Quality, and what is missing", ("qc", "gaps", "runtime")),
    Topic("What an id means", ("terms",)),
)
OTHERS = "Others"


def topics() -> tuple[Topic, ...]:
    """Every table of a release once: the topics, then the tables that none of them names.

    >>> "donors" in topics()[0].tables
    True
    """
    named = {name for topic in TOPICS for name in topic.tables}
    rest = tuple(table.name for table in TABLES if table.name not in named)
    return (*TOPICS, Topic(OTHERS, rest)) if rest else TOPICS


def join_tree() -> list[str]:
    """Draw in lines of text how the tables join, from their foreign keys.

    A table hangs below the table that it refers to and that itself refers to most; what else it
    refers to stands behind it. Behind a table that others refer to stands the column to join by.

    >>> join_tree()[:2]
    ['cohorts ── cohort_id', '├─ cohort_counts']
    """
    tables = {table.name: table for table in TABLES}
    depth: dict[str, int] = {}

    def depth_of(name: str) -> int:
        if name not in depth:
            keys = _references(tables[name])
            depth[name] = 1 + max((depth_of(key.table) for key in keys), default=-1)
        return depth[name]

    parent = {
        name: max((key.table for key in keys), key=depth_of)
        for name, table in tables.items()
        if (keys := _references(table))
    }
    below: dict[str, list[str]] = {}
    for name, other in parent.items():
        below.setdefault(other, []).append(name)
    lines = []
    for root in tables:
        if root not in parent and root in below:
            lines += [*_branch(root, tables, below, set()), ""]
    return lines[:-1]


def _references(table: Table) -> list[ForeignKey]:
    """The other tables that a table refers to."""
    return [key for key in table.foreign_keys if key.table != table.name]


def _branch(
    name: str, tables: dict[str, Table], below: dict[str, list[str]], above: set[str]
) -> list[str]:
    """Lines of a table and of all that hang below it; `above` are the tables over it."""
    table = tables[name]
    others = [
        f"{', '.join(key.columns)} → {key.table}"
        for key in _references(table)
        if key.table not in above
    ]
    joined = f" ── {', '.join(table.key)}" if name in below else ""
    lines = [name + joined + (f"  ({'; '.join(others)})" if others else "")]
    children = sorted(below.get(name, ()), key=lambda child: child in below)
    for number, child in enumerate(children):
        first, *rest = _branch(child, tables, below, {*above, name})
        is_last = number == len(children) - 1
        lines.append(("└─ " if is_last else "├─ ") + first)
        lines += [("   " if is_last else "│  ") + line for line in rest]
    return lines
