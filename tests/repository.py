"""Where the repository's own files are, for the tests of its conventions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "pmcell"
PRODUCTS = {"results", "dist", "__pycache__", "build", "node_modules"}
TEXT = {"", ".cff", ".json", ".md", ".py", ".rst", ".smk", ".toml", ".tsv", ".txt", ".yaml", ".yml"}


def text_files() -> Iterator[Path]:
    """Text files that are part of the repository: not environments, caches or results."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in (".ci", ".github") for part in parts)
        if hidden or PRODUCTS.intersection(parts) or path.suffix not in TEXT:
            continue
        if path.is_file():
            yield path


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Every module of the package with its syntax tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


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
