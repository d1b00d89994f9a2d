"""Each part of the package uses only what lies below it, and nothing goes round in circles."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping

import grimp
import numpy as np
import pytest
from importlinter.cli import lint_imports
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from repository import ROOT

Edges = Mapping[str, set[str]]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports of the package: of modules, of functions, and of types only."""
    return grimp.build_graph("pmcell", cache_dir=None)


def test_layers_of_pyproject_are_kept(capsys) -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0, (
        capsys.readouterr().out
    )


def test_every_module_is_in_exactly_one_layer(graph: grimp.ImportGraph) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    named = Counter(
        name.strip() for layer in contract["layers"] for name in layer.replace("|", ":").split(":")
    )
    present = {name.removeprefix("pmcell.") for name in graph.find_children("pmcell")}
    assert contract["exhaustive"] is True
    assert set(named) == present
    assert set(named.values()) == {1}


def test_no_circle_between_modules_or_folders(graph: grimp.ImportGraph) -> None:
    assert list(circles(graph)) == []


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ([("p.a", "p.b"), ("p.b", "p.c"), ("p.c", "p.a")], [["p.a", "p.b", "p.c"]]),
        ([("p.x.a", "p.y"), ("p.y", "p.x.b")], [["p.x", "p.y"]]),
        ([("p.x.q.a", "p.x.b"), ("p.x.b", "p.x.q.c")], [["p.x.b", "p.x.q"]]),
        ([("p.x.a", "p.y.a"), ("p.x.b", "p.y.a"), ("p.x.a", "p.x.b")], []),
    ],
    ids=["modules", "a folder and a module", "folders below", "none"],
)
def test_a_circle_is_found_at_any_depth(
    imports: list[tuple[str, str]], found: list[list[str]]
) -> None:
    graph = grimp.ImportGraph()
    for importer, imported in imports:
        for name in (importer, imported):
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                graph.add_module(".".join(parts[:end]))
        graph.add_import(importer=importer, imported=imported)
    assert list(circles(graph)) == found


def circles(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Modules that import each other, and children of one folder that do, whole folders as one."""
    modules = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    yield from _circles(modules)
    for folder in sorted(graph.modules):
        edges: dict[str, set[str]] = {child: set() for child in graph.find_children(folder)}
        for importer, imported in modules.items():
            child = _child_of(folder, importer)
            edges.get(child, set()).update(_child_of(folder, name) for name in imported)
        if any(graph.find_children(child) for child in edges):
            inside = {child: others & set(edges) - {child} for child, others in edges.items()}
            yield from _circles(inside)


def _child_of(folder: str, module: str) -> str:
    """The child of the folder in which the module lies, empty where it lies elsewhere."""
    if not module.startswith(f"{folder}."):
        return ""
    return f"{folder}.{module[len(folder) + 1 :].partition('.')[0]}"


def _circles(edges: Edges) -> list[list[str]]:
    names = sorted(edges)
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[name], place[other]) for name in names for other in edges[name]]
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    links = coo_array((np.ones(rows.size), (rows, columns)), shape=(len(names), len(names)))
    _, parts = connected_components(links, connection="strong")
    found = [[names[place] for place in np.flatnonzero(parts == part)] for part in set(parts)]
    return sorted(part for part in found if len(part) > 1)
