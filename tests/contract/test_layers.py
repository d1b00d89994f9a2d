"""Each part of the package uses only what lies below it."""

from __future__ import annotations

from importlinter.cli import lint_imports

from repository import ROOT


def test_layers_of_pyproject_are_kept(capsys) -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0, (
        capsys.readouterr().out
    )
