"""The `pmcell` command: one file a command, listed here; the steps are those of `pmcell.steps`.

Nothing heavy is imported before a command is chosen, so `pmcell --help` is
instant. A command module has a docstring (its help text, with an example),
`run(args) -> int`, and `add_arguments(parser)`; that of a step has its options by
its row, and there only those that are not told by it.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

from pmcell.errors import PmcellError, UsageError
from pmcell.spelling import visible
from pmcell.steps import BY_NAME, OLD_NAMES, STEPS
from pmcell.version import __version__


def _flow() -> Iterator[tuple[str, str]]:
    """Name and summary of the steps whose results stay in the study."""
    for step in STEPS:
        if not step.is_product:
            yield step.name, step.summary + (" (per cohort)" if step.per_cohort else "")


GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Start",
        (
            ("demo", "run the main job on the embedded cohorts"),
            ("try", "a file to clusters and a report; nothing registered or published"),
            ("fetch", "download what needs the network, once, on a login node"),
            ("init", "make a study folder with config and profiles"),
            ("estimate", "core-hours, memory, disk and time of a run, before it"),
            ("run", "run the workflow on a study folder"),
        ),
    ),
    (
        "Register cohorts",
        (
            ("register", "draft a cohort folder from a submitted file"),
            ("measurements", "add clinical values of FHIR or phone files to a cohort"),
            ("check", "name every fault of registered cohorts, or of one file"),
            ("terms", "find ontology terms, permitted uses, licences and regions"),
        ),
    ),
    ("Steps, in the order of the flow", tuple(_flow())),
    (
        "Publish and use",
        (
            ("release", BY_NAME["release"].summary),
            ("report", "write the self-contained HTML report"),
            ("verify", "check a release: digests, schema, keys"),
            ("validate", "run independent validators on a release"),
            ("gaps", "who is missing, with what power, and whom to recruit next"),
            ("export-hca", "a published cohort in the Human Cell Atlas profile"),
            ("seal", BY_NAME["seal"].summary),
            ("unseal", "check and decrypt a sealed package"),
        ),
    ),
    (
        "One person",
        (
            ("map", "map new samples onto the reference of a release"),
            ("patient", "one person's dossier: page, FHIR bundle, Phenopacket"),
            ("consent", "keep the consent ledger of a cohort, and say who may be used"),
            ("withdraw", "take a donor out of everything, with proof and receipt"),
            ("export", "give a person their own package, encrypted to their key"),
            ("receipts", "tell a person who used their data, for what, since when"),
            ("correct", "correct what is registered of a donor; the old row is kept"),
            ("pseudonyms", "keep the private keys of donors: add, erase, rotate"),
            ("audit", "who used data of people, for what: verify and show the trail"),
        ),
    ),
)

HELP = "See: pmcell --help"

SUBCOMMANDS = {
    ("release", "add"): "pmcell.cli._release_add",
    ("release", "diff"): "pmcell.cli._release_diff",
}
"""Commands of two words and their module."""

NEEDED = ("crypt4gh", "cryptography", "jinja2", "jsonschema", "pydantic", "rdflib", "rich")
"""Packages that commands import and the library does not."""

PERSON = tuple(name for title, group in GROUPS if title == "One person" for name, _ in group)
"""Commands about one person."""

CALCULATING = ("check", "register", "map", "try")
"""Commands beside the steps that load what steps calculate with."""

RUNNERS = ("run", "demo", "estimate", "try")
"""Commands that plan or start the workflow."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (0, 1, 2 user's mistake, 3 data contract).

    Whoever reads the output may stop reading (`pmcell --help | head`): that is 141, and no fault.
    """
    try:
        try:
            return _main(argv)
        finally:
            if argv is None and sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be written would be refused again at the end of the program.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _main(argv: Sequence[str] | None) -> int:
    is_program = argv is None
    if is_program:
        _open_closed_streams()
        _start_in_utf8()
        _look_for_no_plugins()
        _complete()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_table_of_contents())
        return 0
    if arguments[0] == "--version":
        print(f"pmcell {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name.replace("-", "_") in BY_NAME:
        name = name.replace("-", "_")
    if name in OLD_NAMES:
        print(f"pmcell: the command {name!r} is now {OLD_NAMES[name]!r}", file=sys.stderr)
        name = OLD_NAMES[name]
    if name not in _names():
        print(_unknown_command(name), file=sys.stderr)
        return 2
    try:
        return _run(name, rest, is_program=is_program)
    except KeyboardInterrupt as stopped:
        return _say_stopped(name, stopped)


def _run(name: str, rest: list[str], *, is_program: bool) -> int:
    """Import a command, run it on its arguments, and say in one sentence what stopped it."""
    from pmcell.io.system import catch_lost_errors, end_in_order, explain, leave, no_address_space

    if is_program:
        end_in_order()
        _print_any_text()
    if (name in BY_NAME or name in CALCULATING) and (why := no_address_space()):
        print(f"pmcell {name}: {why}", file=sys.stderr)
        return 1
    absent = _absent_packages(name)
    if absent:
        print(f"pmcell {name}: {absent}", file=sys.stderr)
        return 2
    from pmcell.audit.record import audited
    from pmcell.cli._call import refused_places, refused_words
    from pmcell.cli._job.log import start_log
    from pmcell.cli._job.run import run_step
    from pmcell.cli._reading import undisturbed

    module = module_of(name)
    if (name, *rest[:1]) in SUBCOMMANDS:
        module, name, rest = SUBCOMMANDS[name, rest[0]], f"{name} {rest[0]}", rest[1:]
    command = importlib.import_module(module)
    parser = _parser(name, command)
    args = parser.parse_args(rest)
    end_log = start_log(name, rest) if is_program else lambda code: None
    code: int | None = None
    try:
        if refused := refused_words(name, rest) or refused_places(name, args):
            raise UsageError(refused)
        lost = catch_lost_errors() if is_program else []
        with undisturbed(name, args), audited(name, args) as outcome:
            code = outcome(run_step(name, command, args, lost))
    except PmcellError as error:
        print(visible(f"pmcell {name}: {error}"), file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt as stopped:
        code = _say_stopped(name, stopped)
    except BrokenPipeError:
        raise
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        print(visible(f"pmcell {name}: {sentence}"), file=sys.stderr)
        # A name that no disk takes is in the call, not in the machine.
        code = 2 if getattr(error, "errno", None) in (errno.ENAMETOOLONG, errno.ELOOP) else 1
        if is_program:
            end_log(code)
            leave(code)
    finally:
        end_log(code)
    return code


def _say_stopped(name: str, stopped: KeyboardInterrupt) -> int:
    """Say which signal ended a command; its exit code."""
    by = stopped.args[0] if stopped.args in (("SIGTERM",), ("SIGHUP",)) else "SIGINT"
    said = "interrupted" if by == "SIGINT" else f"ended by {by}"
    print(f"pmcell {name}: {said}", file=sys.stderr)
    return 128 + signal.Signals[by]


def _look_for_no_plugins() -> None:
    """Keep pydantic from looking for plugins in every installed package: a fifth of the start.

    By its variable it looks for none, but imports what it would look with all the same.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if os.environ["PYDANTIC_DISABLE_PLUGINS"] == "__all__":
        loader = ModuleType("pydantic.plugin._loader")
        loader.get_plugins = tuple  # type: ignore[attr-defined]
        sys.modules.setdefault(loader.__name__, loader)


def _open_closed_streams() -> None:
    """Put nothing in the place of streams that were closed (`<&-`, `>&-`).

    Python has None for them, and the next file that is opened would take their number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest number that is free, which is its own unless something has it by now.
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, descriptor == number)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))


def _start_in_utf8() -> None:
    """Start again, for steps too, in Python's UTF-8 mode where names and files are ASCII alone.

    What is beyond ASCII in a path would be signs of which no file can be written.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _print_any_text() -> None:
    """Let what the terminal's encoding lacks (Latin-1, ASCII) be a question mark, no error.

    What would turn or hide the text around it is written as its number, as JSON has it too.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
            setattr(sys, name, _Shown(stream))


class _Shown:
    """A stream of text on which no label of others turns, hides or moves what stands beside it.

    Commands to a terminal (colours) pass where it is one: only what draws them sends them there.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream, self._is_terminal = stream, stream.isatty()

    def write(self, text: str) -> int:
        """Write the text as it may be shown."""
        parts = re.split("([\x1b\r])", text) if self._is_terminal else [text]
        shown = (part if number % 2 else visible(part) for number, part in enumerate(parts))
        return self._stream.write("".join(shown))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line as it may be shown."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _complete() -> None:
    from pmcell.cli._complete import complete

    complete(dict(row for _, group in GROUPS for row in group), module_of)


def _absent_packages(command: str) -> str:
    """What must be installed for a command, where pmcell was installed as a library alone."""
    from importlib.util import find_spec

    needed = (*NEEDED, "snakemake") if command in RUNNERS else NEEDED
    absent = [name for name in needed if find_spec(name) is None]
    if not absent:
        return ""
    extra = "workflow" if command in RUNNERS else "publish"
    return (
        f"it needs the packages of pmcell[{extra}]; {', '.join(absent)} "
        f"{'is' if len(absent) == 1 else 'are'} not installed. "
        f"Run: python -m pip install 'pmcell[{extra}]'"
    )


def module_of(name: str) -> str:
    """Return the module of a command: steps, runs and persons have folders of their own."""
    module = "try_" if name == "try" else name.replace("-", "_")
    folder = "steps." if module in BY_NAME else "run." if name in RUNNERS else ""
    return f"pmcell.cli.{'person.' if name in PERSON else folder}{module}"


def help_of(name: str) -> str:
    """Return what `pmcell NAME --help` prints, and what its commands of two words do."""
    found = {name: module_of(name)}
    found |= {f"{one} {two}": path for (one, two), path in SUBCOMMANDS.items() if one == name}
    parsers = (_parser(words, importlib.import_module(path)) for words, path in found.items())
    return "\n".join(parser.format_help() for parser in parsers)


def _parser(name: str, command: ModuleType) -> argparse.ArgumentParser:
    from pmcell.cli._job.options import add_options

    parser = argparse.ArgumentParser(
        prog=f"pmcell {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, name, command)
    return parser


def _names() -> list[str]:
    return [name for _, commands in GROUPS for name, _ in commands]


def _table_of_contents() -> str:
    lines = [
        f"pmcell {__version__}: from registered single-cell cohorts to a published release",
        "",
        "Usage: pmcell COMMAND [options]      pmcell COMMAND --help",
    ]
    for title, commands in GROUPS:
        lines += ["", f"{title}:"]
        lines += [f"  {name:<24}{summary}" for name, summary in commands]
    lines += ["", "Exit codes: 0 done, 1 faults found, 2 wrong call, 3 data break the contract."]
    return "\n".join(lines)


def _unknown_command(name: str) -> str:
    from pmcell.spelling import did_you_mean

    hint = did_you_mean(name, _names())
    return " ".join(filter(None, [f"pmcell: there is no command {name!r}.", hint, HELP]))
