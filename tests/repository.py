"""Where the repository's own files are, for the tests of its conventions."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "pmcell"
PRODUCTS = {"results", "dist", "__pycache__", "build", "node_modules"}
TEXT = {"", ".cff", ".json", ".md", ".py", ".rst", ".smk", ".toml", ".tsv", ".txt", ".yaml", ".yml"}


def text_files() -> Iterator[Path]:
    """Text files that are part of the repository: not environments, caches or results."""
    for folder, folders, files in os.walk(ROOT):
        # Pruned, not passed over: an environment has a hundred thousand files.
        folders[:] = sorted(
            name
            for name in folders
            if name not in PRODUCTS and (not name.startswith(".") or name in (".ci", ".github"))
        )
        for name in sorted(files):
            path = Path(folder) / name
            if not name.startswith(".") and path.suffix in TEXT and path.is_file():
                yield path


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Every module of the package with its syntax tree."""
    return tuple(
        (path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
        for path in sorted(SOURCE.rglob("*.py"))
    )


def fenced_blocks(markdown: str) -> list[str]:
    """Contents of a page's fenced code blocks, in their order."""
    blocks: list[str] = []
    is_open = False
    for line in markdown.splitlines():
        if line.startswith("```"):
            is_open = not is_open
            if is_open:
                blocks.append("")
        elif is_open:
            blocks[-1] += line + "\n"
    return blocks
