"""Columns are spelled in the schema, and literally where a table is made or read: no third way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pmcell.schema import EXPRESSION, TABLES
from pmcell.schema.steps import CELL_CLUSTERS, CELL_UMAP, QC_CELLS
from repository import ROOT

SOURCE = ROOT / "src" / "pmcell"
SLOTS = SOURCE / "strata" / "profiles" / "slots.py"
"""Names of slots of the donors' AnnData; some become columns."""
ALL = (*TABLES, EXPRESSION, QC_CELLS, CELL_CLUSTERS, CELL_UMAP)
# A name of one word, such as `status` or `design`, is a word of the language too.
COLUMNS = {item.name for table in ALL for item in table.fields if "_" in item.name}


def modules(*, within: Path = SOURCE) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(within.rglob("*.py")):
        if "schema" not in path.relative_to(within).parts and path != SLOTS:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def second_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Constants of a module that spell a column's name again."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            value = node.value.value
            if isinstance(value, str) and value in COLUMNS:
                yield node.lineno, value


def made_outside(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Fields and tables of the contract that are made by a module."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pmcell.schema")
        for alias in node.names
        if alias.name in ("Field", "Table")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in imported or name in ("schema.Field", "schema.Table"):
                yield node.lineno, name


def test_no_module_gives_a_column_a_second_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name!r}; write the literal, or take the field's .name"
        for path, tree in modules()
        for line, name in second_names(tree)
    ]
    assert not found, "\n".join(found)


def test_fields_and_tables_are_made_in_the_schema_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}(…) belongs in src/pmcell/schema"
        for path, tree in modules()
        for line, name in made_outside(tree)
    ]
    assert not found, "\n".join(found)


def test_the_rules_find_what_breaks_them() -> None:
    tree = ast.parse(
        'from pmcell.schema import Table as T\nDONOR = "donor_id"\nWORD: str = "status"\n'
        'x = frame["donor_id"]\nMADE = T("made", "", (), ())\n'
    )
    assert list(second_names(tree)) == [(2, "donor_id")]
    assert list(made_outside(tree)) == [(5, "T")]
