"""Where the workflow and the embedded cohorts lie: in the checkout, or inside the wheel."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

from pmcell.errors import UsageError

EMBEDDED_COHORTS = ("liu_b1", "liu_b2", "liu_b3")
"""Cohorts that come with pmcell; `pmcell demo` runs on them."""


def bundle_folder() -> Path:
    """The folder that holds `workflow/` and `config/`.

    A wheel carries them in `pmcell/_bundle`; an editable install uses the
    checkout's own, so that a change to a rule counts at once. `UsageError`
    when neither is there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_bundle", package.parents[1]):
        if (folder / "workflow" / "Snakefile").is_file():
            return folder
    raise UsageError(
        f"the workflow must lie in {package / '_bundle'} (installed) or beside {package.parent} "
        "(checkout); found in neither. Install pmcell again."
    )


def snakefile() -> Path:
    """The workflow's Snakefile."""
    return bundle_folder() / "workflow" / "Snakefile"


@functools.cache
def resource_formula() -> ModuleType:
    """What jobs ask for, as the Snakefile loads it: `workflow/scripts/resources.py`."""
    path = bundle_folder() / "workflow" / "scripts" / "resources.py"
    spec = importlib.util.spec_from_file_location("pmcell_workflow_resources", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def profile_folder(name: str, study: Path) -> Path:
    """A Snakemake profile: the study's own `profiles/<name>`, else the one that ships.

    `name` may also be the path of a folder. `UsageError` lists the known
    profiles when there is none of that name.
    """
    shipped = bundle_folder() / "workflow" / "profiles"
    for folder in (study / "profiles" / name, shipped / name, Path(name)):
        if any(folder.glob("config*.yaml")):
            return folder.resolve()
    known = {path.parent.name for path in shipped.glob("*/config*.yaml")}
    known |= {path.parent.name for path in (study / "profiles").glob("*/config*.yaml")}
    raise UsageError(
        f"--profile must name a profile or a folder with a config.yaml; found no {name!r}. "
        f"Profiles here: {', '.join(sorted(known)) or 'none'}"
    )
