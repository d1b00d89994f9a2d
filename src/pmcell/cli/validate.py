"""Run independent validators on a release, each in its own pinned environment, offline.

The release is only read; --out keeps the reports in another folder. Validators
that are not set up are told with the command that sets them up (once, on a
machine with a package index). Exit code 0 when all that ran accept the
release, 3 when one rejects it.

Examples:
  pmcell validate --set-up                   # the light ones
  pmcell validate --set-up all               # with cellxgene-schema and hca-schema-validator
  pmcell validate results/release
  pmcell validate results/release --only cellxgene-schema --out reports
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import UsageError

if TYPE_CHECKING:
    from pmcell.publish.validators import Verdict

COLOURS = {"pass": "green", "fail": "red", "not_run": "yellow"}
SHOWN = {True: 20, False: 3}
"""Findings of one check that the terminal shows: where they break the standard, and where not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("release", type=Path, nargs="?", help="folder of the release")
    parser.add_argument(
        "--set-up",
        nargs="*",
        metavar="NAME",
        help="make environments (default: the light ones that are missing; 'all': every one)",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a validator; repeat it"
    )
    parser.add_argument("--out", type=Path, help="folder for the reports; never the release")
    parser.add_argument("--shapes", type=Path, help="folder of further SHACL shapes for dcat.ttl")
    parser.add_argument(
        "--all-rows",
        action="store_true",
        help="read whole tables and files, however large (needs memory and time)",
    )
    parser.add_argument("--list", action="store_true", help="list the validators and leave")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Set up, list or validate."""
    if args.list and (args.release or args.only or args.out or args.set_up is not None):
        raise UsageError("--list only lists the validators: leave it out to validate or set up")
    if args.list:
        return _list(args.json)
    if args.set_up is not None:
        _set_up(args.set_up)
        if args.release is None:
            return 0
    if args.release is None:
        raise UsageError("name the folder of a release, or --set-up, or --list")
    return _validate(args)


def _set_up(names: list[str]) -> None:
    from rich.console import Console

    from pmcell.publish.validators import VALIDATORS, set_up
    from pmcell.publish.validators.environments import folder, is_ready
    from pmcell.publish.validators.table import find, light

    chosen = [item.name for item in VALIDATORS] if names == ["all"] else names or light()
    validators = [find(name) for name in chosen]
    missing = [item.name for item in validators if not is_ready(item)]
    if not missing:
        print(f"All are set up in {folder()}: {', '.join(chosen)}.", file=sys.stderr)
        return
    console = Console(stderr=True)
    with console.status(f"setting up {', '.join(missing)} in {folder()}"):
        set_up(validators, say=lambda line: console.print(f"  {line}", highlight=False))


def _validate(args: argparse.Namespace) -> int:
    from rich.console import Console

    from pmcell.publish.validators import evidence, run_validators
    from pmcell.publish.validators.own import own_verdict
    from pmcell.publish.validators.shapes import shape_files
    from pmcell.publish.validators.table import OWN, VALIDATORS, find

    release, out = args.release, args.out
    if not release.is_dir():
        raise UsageError(f"a release must be a folder; {release} is not one")
    if out and (out.resolve() == release.resolve() or release.resolve() in out.resolve().parents):
        raise UsageError(f"--out must not lie in the release, which is never changed; got {out}")
    # Whether or not a validator that is set up would read them.
    shape_files(args.shapes)
    named = [find(name, besides=[OWN]) for name in args.only if name != OWN]
    chosen = named if args.only else list(VALIDATORS)
    with Console(stderr=True).status("validate") as status:
        verdicts = [own_verdict(release)] if OWN in args.only or not args.only else []
        verdicts += run_validators(
            release,
            chosen,
            extra_shapes=args.shapes,
            all_rows=args.all_rows,
            progress=lambda name: status.update(f"validate: {name} is done"),
        )
    if out:
        evidence.write_evidence(out, verdicts)
    if args.json:
        print(json.dumps({"validators": evidence.summary(verdicts)}, indent=2, ensure_ascii=False))
    else:
        _print(verdicts)
    return 3 if any(verdict.failures for verdict in verdicts) else 0


def _print(verdicts: list[Verdict]) -> None:
    """A line for each target and level, then why validators did not run, then what they found."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("validator", "target", "level", "result", box=None, header_style="bold")
    reasons: dict[str, list[str]] = {}
    for verdict in verdicts:
        name = f"{verdict.name} {verdict.version}"
        for check in verdict.checks:
            note = "" if check.is_binding else " (not binding)"
            result = f"[{COLOURS[check.status]}]{check.status.replace('_', ' ')}[/]"
            result += note if check.status == "fail" else ""
            table.add_row(name, escape(check.target), escape(check.level), result)
            name = ""
            if check.status == "not_run":
                reasons.setdefault(check.reason, []).append(verdict.name)
    console = Console(highlight=False)
    console.print(table)
    for reason, names in reasons.items():
        console.print(escape(f"not run: {', '.join(dict.fromkeys(names))}: {reason}"))
    for verdict in verdicts:
        for check in verdict.checks:
            shown = SHOWN[check.is_binding]
            if check.findings:
                print(f"\n{verdict.name}, {check.target} {check.level}:", file=sys.stderr)
            for finding in check.findings[:shown]:
                print(f"  - {finding['where'] or '.'}: {finding['message']}", file=sys.stderr)
            if len(check.findings) > shown:
                rest = len(check.findings) - shown
                print(f"  … and {rest} more; --out DIR keeps all of them", file=sys.stderr)


def _list(as_json: bool) -> int:
    from pmcell.publish.validators import VALIDATORS
    from pmcell.publish.validators.environments import is_ready
    from pmcell.publish.validators.table import OWN
    from pmcell.version import __version__

    reads = "every file: digests, schema, keys, cells, and what must not be shown"
    own = {"name": OWN, "version": __version__, "reads": reads, "heavy": False, "set_up": True}
    rows = [own] + [
        {
            "name": item.name,
            "version": item.version,
            "reads": item.prose,
            "heavy": item.heavy,
            "set_up": is_ready(item),
        }
        for item in VALIDATORS
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        state = "set up" if row["set_up"] else "not set up"
        weight = ", heavy: about 1 GB" if row["heavy"] else ""
        print(f"{row['name']:<21}{row['version']:<8}{state}{weight}; {row['reads']}")
    return 0
