"""Every command listed exists, explains itself and refuses what it does not know."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest

import pmcell.cli
from pmcell.cli import GROUPS, SUBCOMMANDS, main, module_of
from pmcell.cli._job.options import add_options

COMMANDS = [name for _, commands in GROUPS for name, _ in commands]


def test_help_lists_the_commands_in_the_order_of_the_flow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    listed = re.findall(r"^  ([a-z_-]+) +\S", capsys.readouterr().out, flags=re.MULTILINE)
    assert listed == COMMANDS


def test_every_module_is_a_command_or_private() -> None:
    names = {
        module.name
        for module in pkgutil.walk_packages(pmcell.cli.__path__, "pmcell.cli.")
        if not module.ispkg and "._" not in module.name
    }
    assert names == {module_of(name) for name in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_help_has_an_example_and_exits_0(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert re.search(rf"^Examples?:\s+pmcell {command}\b", text, flags=re.MULTILINE)


def examples(text: str) -> list[str]:
    """The calls that a help text shows, each on one line."""
    shown = re.split(r"^Examples?:", re.sub(r"\\\n\s*", "", text), flags=re.MULTILINE)[-1]
    return re.findall(r"^\s+(pmcell .*)$", shown, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_of_a_command_is_a_call_that_it_takes(command: str) -> None:
    shown = examples(importlib.import_module(module_of(command)).__doc__ or "")
    assert shown
    for example in shown:
        _, name, *words = shlex.split(example, comments=True)
        # Words of the example's own meaning stand behind a '#', so that it can be pasted.
        assert not re.search(r"\S {2,}(?!#)\S", example), example
        module = module_of(name)
        if (name, *words[:1]) in SUBCOMMANDS:
            module, words = SUBCOMMANDS[name, words[0]], words[1:]
        parser = argparse.ArgumentParser(prog=f"pmcell {name}", exit_on_error=False)
        add_options(parser, name, importlib.import_module(module))
        try:
            parser.parse_args(words)
        except (SystemExit, argparse.ArgumentError) as error:
            pytest.fail(f"{example}: {error}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_has_a_help_text(command: str) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, command, importlib.import_module(module_of(command)))
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option_exits_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--no-such-option"])
    assert exit_.value.code == 2
    assert "usage: pmcell " + command in capsys.readouterr().err


def test_a_step_may_be_typed_with_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["gene-stats", "--help"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("usage: pmcell gene_stats ")


def test_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relese"]) == 2
    assert "Did you mean 'release'?" in capsys.readouterr().err


def test_command_modules_import_nothing_heavy() -> None:
    heavy = "snakemake", "scanpy", "matplotlib"
    code = f"import {', '.join(map(module_of, COMMANDS))}, sys; " + (
        f"print(*(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
