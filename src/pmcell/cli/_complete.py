"""Completion of commands, options and files in the shell, by argcomplete where it is installed.

argcomplete runs the command with `_ARGCOMPLETE` set and the line typed so far in
`COMP_LINE`; only the command that is named there is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
from collections.abc import Callable, Mapping


def complete(commands: Mapping[str, str], module_of: Callable[[str], str]) -> None:
    """Answer the shell and exit, where it asks; else return.

    `commands` has a summary for each name.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ModuleNotFoundError:
        return
    argcomplete.autocomplete(parser_for(os.environ.get("COMP_LINE", ""), commands, module_of))


def parser_for(
    line: str, commands: Mapping[str, str], module_of: Callable[[str], str]
) -> argparse.ArgumentParser:
    """A parser of all commands in which the one that `line` names has its options."""
    from pmcell.cli._job.options import add_options

    parser = argparse.ArgumentParser(prog="pmcell")
    under = parser.add_subparsers(dest="command")
    named = _words(line)[1:2]
    for name, summary in commands.items():
        command = under.add_parser(name, help=summary)
        if [name] == named:
            add_options(command, name, importlib.import_module(module_of(name)))
    return parser


def _words(line: str) -> list[str]:
    """Words of a line that may end within quotes."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
