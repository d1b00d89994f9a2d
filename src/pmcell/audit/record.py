"""Write the beginning and the end of every command that may read data of people: the one place.

It is asked by the dispatcher of the command line, so that no command can forget it. Commands
that only plan, or start others that are recorded themselves, are named in `NOT_RECORDED`; any
new command is recorded.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmcell.audit.trail import Record

NOT_RECORDED = frozenset({"audit", "demo", "estimate", "fetch", "init", "run", "validate"})
"""Commands that read no data of people, or whose jobs are recorded one by one."""
OUTPUT_OPTIONS = ("out", "out_dir", "cohorts_out", "cell_types_out")
MAX_FILES = 10_000


class Outcome:
    """The exit code of a command; -1 until it is known."""

    exit_code = -1

    def __call__(self, exit_code: int) -> int:
        """Note the code and give it back."""
        self.exit_code = exit_code
        return exit_code


@contextmanager
def audited(name: str, args: argparse.Namespace) -> Iterator[Outcome]:
    """Record a command around its run, where `PMCELL_AUDIT_FILE` names a trail.

    The block tells the exit code to what it is given.

    Raises
    ------
    UsageError
        The key that signs is missing: the command is then not run.
    DataError
        The trail does not end as it was signed: the command is then not run.
    """
    from pmcell.audit.trail import TRAIL

    outcome = Outcome()
    if name in NOT_RECORDED or not os.environ.get(TRAIL):
        yield outcome
        return
    from dataclasses import replace

    from pmcell.audit.trail import BEGIN, END, add_record, require_trail
    from pmcell.io.crypt.keys import read_signing_key

    path, key = require_trail(), read_signing_key()
    begun = _begin(name, args, BEGIN)
    add_record(path, begun, key)
    try:
        yield outcome
    except Exception as error:
        outcome(int(getattr(error, "exit_code", -1)))
        raise
    finally:
        code = outcome.exit_code
        outputs = _digests(_outputs(name, args)) if code == 0 else {}
        inputs = _submitted(args) if name == "intake" and code == 0 else None
        ended = replace(begun, event=END, at=_now(), inputs=inputs, outputs=outputs, exit_code=code)
        add_record(path, ended, key)


def _begin(name: str, args: argparse.Namespace, event: str) -> Record:
    import pwd
    import secrets

    from pmcell.audit.trail import ROLE, Record
    from pmcell.version import __version__

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    purpose, permit = _declared(args)
    return Record(
        event=event,
        run=secrets.token_hex(8),
        at=_now(),
        user=user,
        role=os.environ.get(ROLE, "unknown"),
        command=name,
        cohorts=tuple(sorted(_cohorts(args))),
        purpose=purpose,
        permit=permit,
        inputs=_digests(_inputs(name, args)),
        pmcell=__version__,
    )


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")


def _declared(args: argparse.Namespace) -> tuple[str, str]:
    """Purpose and permit of the configuration, as far as it can be read; the command judges it."""
    from pmcell.errors import PmcellError
    from pmcell.settings.load import load_study

    config = getattr(args, "config", None)
    place = Path(config) if isinstance(config, (str, Path)) else Path("config/config.yaml")
    if not place.is_file():
        return "unknown", "unknown"
    try:
        use = load_study(place).use
    except PmcellError:
        return "unknown", "unknown"
    if use is None:
        return "unknown", "unknown"
    return use.purpose, use.permit.id if use.permit else "unknown"


def _cohorts(args: argparse.Namespace) -> set[str]:
    """Ids of cohorts among the options, and of those whose results folder one names."""
    import re

    from pmcell.schema.ids import ID_PATTERN

    found: set[str] = set()
    given = getattr(args, "cohort", None)
    for item in given if isinstance(given, list) else [given]:
        if isinstance(item, str):
            found.add(item)
        elif item:
            found.add(str(item[0]))
    donor = getattr(args, "donor", None)
    if isinstance(donor, str) and ":" in donor:
        # COHORT:ID; the id goes nowhere.
        found.add(donor.partition(":")[0])
    for path in _paths(args):
        parts = path.parts
        found |= {after for part, after in pairwise(parts) if part == "cohorts"}
    return {name for name in found if re.fullmatch(ID_PATTERN, name)}


def _paths(args: argparse.Namespace) -> Iterator[Path]:
    for value in vars(args).values():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(item, Path):
                yield item


def _inputs(name: str, args: argparse.Namespace) -> list[tuple[str, Path]]:
    """Files that a command reads: those of its step, else what its options and places name."""
    from pmcell.steps import BY_NAME

    if name in BY_NAME and not BY_NAME[name].is_product:
        return _of_step(args, BY_NAME[name].reads, BY_NAME[name].asks)
    skipped = (*OUTPUT_OPTIONS, "config")
    return [
        (option, path)
        for option, value in sorted(vars(args).items())
        if option not in skipped
        for path in _files(value)
    ]


def _outputs(name: str, args: argparse.Namespace) -> list[tuple[str, Path]]:
    from pmcell.steps import BY_NAME

    if name in BY_NAME and not BY_NAME[name].is_product:
        return _of_step(args, BY_NAME[name].writes, ())
    return [
        (option, path) for option in OUTPUT_OPTIONS for path in _files(getattr(args, option, None))
    ]


def _submitted(args: argparse.Namespace) -> dict[str, str]:
    """What intake read, as its report has it; a submitted file's name stays out of the trail."""
    from pmcell.io.atomic import read_json

    digests = read_json(args.out_dir / "intake.json")["inputs"]
    return {f"submitted-{n}": str(digest) for n, digest in enumerate(sorted(digests.values()))}


def _of_step(args: argparse.Namespace, files: Any, asks: Sequence[str]) -> list[tuple[str, Path]]:
    from pmcell.step import files_named

    found = [(option, item) for option, path in files_named(args, files) for item in _files(path)]
    return found + [
        (option, path) for option in asks for path in _files(getattr(args, option, None))
    ]


def _files(value: Any) -> Iterator[Path]:
    """A file as it is; of a release or package its manifest, which holds the other digests."""
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(item, Path):
            continue
        if item.is_dir():
            manifest = item / "manifest.json"
            if manifest.is_file():
                yield manifest
        elif item.is_file():
            yield item


def _digests(files: Sequence[tuple[str, Path]]) -> dict[str, str]:
    """SHA-256 by a name that tells nobody's: the place in the results, or option and number.

    A result that carries a stamp of its own size is not digested again.
    """
    from pmcell.errors import DataError
    from pmcell.io.atomic import sha256_file
    from pmcell.io.stamps import read_stamp, result_name

    found: dict[str, str] = {}
    for number, (option, path) in enumerate(files[:MAX_FILES]):
        if not path.is_file():
            continue
        name = result_name(path)
        try:
            stamp = read_stamp(path)
        except DataError:
            stamp = None
        is_stamped = stamp is not None and stamp["size"] == path.stat().st_size
        label = name if "/" in name else f"{option}-{number}"
        found[label] = str(stamp["sha256"]) if is_stamped and stamp else sha256_file(path)
    return found
