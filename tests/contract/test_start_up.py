"""What a command imports before it works: by module, not by time, so it holds on any machine."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from pmcell.cli import GROUPS, module_of
from pmcell.steps import STEPS
from repository import ROOT

LIBRARIES = {
    *("anndata", "h5py", "matplotlib", "numba", "numpy", "pandas", "pyarrow", "scanpy", "scipy"),
    # The slowest part of scipy, which brings most others of it.
    "scipy.stats",
    *("sklearn", "snakemake", "statsmodels", "lifelines", "igraph", "rdflib", "jinja2", "zarr"),
}
"""What no command may import before it is known what it has to do."""

OF_OTHERS = LIBRARIES - {"numpy", "scipy", "pandas", "pyarrow", "numba", "h5py"}
"""Beside what reads counts and tables, a step imports none of these, or says so below."""

USES_ANNDATA = {"anndata", "zarr"}
"""Steps that read or write an AnnData: it costs a second."""

MAY_IMPORT = dict.fromkeys(
    (
        *("integrate", "neighbors", "cluster", "umap", "annotate", "profile", "strata"),
        *("followup", "differential_expression"),
    ),
    USES_ANNDATA,
)

COMMANDS = [name for _, commands in GROUPS for name, _ in commands]


def loaded(code: str, *arguments: str) -> dict[str, list[str]]:
    """What a program prints as JSON: for each command, the libraries it newly imported."""
    command = [sys.executable, "-c", code, json.dumps(sorted(LIBRARIES)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_help_of_no_command_imports_a_library_of_the_work() -> None:
    code = (
        "import json, sys\n"
        "from pmcell.cli import help_of\n"
        "libraries, names, found = set(json.loads(sys.argv[1])), sys.argv[2:], {}\n"
        "for name in names:\n"
        "    before = set(sys.modules)\n"
        "    assert help_of(name)\n"
        "    if new := libraries & set(sys.modules) - before: found[name] = sorted(new)\n"
        "print(json.dumps(found))"
    )
    assert loaded(code, *COMMANDS) == {}


def imports_of(module: str) -> list[str]:
    """Import statements of a module's file, those inside its functions as well."""
    path = ROOT / "src" / (module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    kinds = (ast.Import, ast.ImportFrom)
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, kinds)]


STUDY_STEPS = [step.name for step in STEPS if not step.is_product]


@pytest.mark.parametrize("uses_anndata", [False, True])
def test_a_step_imports_only_what_it_uses(uses_anndata: bool) -> None:
    steps = [name for name in STUDY_STEPS if (name in MAY_IMPORT) == uses_anndata]
    assert steps
    code = (
        "import json, sys\n"
        "libraries, steps, found = set(json.loads(sys.argv[1])), json.loads(sys.argv[2]), {}\n"
        "for name, lines in steps.items():\n"
        "    before = set(sys.modules)\n"
        "    for line in lines: exec(line)\n"
        "    found[name] = sorted(libraries & set(sys.modules) - before)\n"
        "print(json.dumps(found))"
    )
    found = loaded(code, json.dumps({name: imports_of(module_of(name)) for name in steps}))
    beyond = {
        name: sorted((OF_OTHERS - MAY_IMPORT.get(name, set())) & set(modules))
        for name, modules in found.items()
    }
    assert {name: modules for name, modules in beyond.items() if modules} == {}
    if uses_anndata:
        # A permission that no step needs any more is to be taken back.
        assert "anndata" in {module for modules in found.values() for module in modules}


MAPPING = {
    "open a reference": ("release.reference", "mapping.form", "mapping.donors"),
    "map": (
        *("cli.person.map", "mapping.mapper", "mapping.coordinates", "mapping.composition"),
        *("mapping.strata", "registry.draft.person"),
    ),
}
"""What is imported to open a reference, and to map onto it."""


def test_who_maps_imports_nothing_that_only_fits() -> None:
    code = (
        "import json, sys\n"
        "libraries, found = set(json.loads(sys.argv[1])), {}\n"
        "for name, lines in json.loads(sys.argv[2]).items():\n"
        "    for line in lines: exec(line)\n"
        "    found[name] = sorted(libraries & set(sys.modules))\n"
        "print(json.dumps(found))"
    )
    lines = {
        name: [line for module in modules for line in imports_of(f"pmcell.{module}")]
        for name, modules in MAPPING.items()
    }
    found = loaded(code, json.dumps(lines))
    others = {name: set(modules) & OF_OTHERS for name, modules in found.items()}
    assert others == dict.fromkeys(MAPPING, USES_ANNDATA)


def test_what_scipy_takes_along_is_read_only_when_it_is_used() -> None:
    code = (
        "import json, sys\n"
        "from pmcell.io.system import import_when_used\n"
        "import_when_used('numpy.f2py')\n"
        "import scipy.sparse, numba, pandas, h5py\n"
        "def parts(): return [name for name in sys.modules if name.startswith('numpy.f2py')]\n"
        "found = {'before': parts()}\n"
        "import numpy\n"
        "assert callable(numpy.f2py.get_include)\n"
        "print(json.dumps(found | {'after': parts()}))"
    )
    found = loaded(code)
    assert found["before"] == ["numpy.f2py"]
    assert len(found["after"]) > 1
