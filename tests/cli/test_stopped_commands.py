"""Commands that are ended, or find the disk full, while they write: whole or absent, one sentence.

Every write of pmcell passes a few calls of the system. A command is run once to count them, then
it is stopped at one of them: by the signal, which reaches Python there, or by what a full disk
answers. `STOPPED_AT=every` in the environment stops at each of them, one after the other.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from added_cohort import COHORT, make_study
from crypt_keys import make_keys
from dossier.made_people import PERSON, make_people
from made_reference import new_donors, people, reference, write_reference_release
from made_release import make_release
from pmcell.cli import main
from pmcell.io.crypt import keys as key_files
from results_folder import make_results

CALLS = ("open", "mkdir", "link", "symlink", "chmod", "fsync", "rename", "replace")
FILLS = {"open", "mkdir", "link", "symlink", "fsync"}
"""Calls that a full disk refuses."""
SHARES = (0.3, 0.6, 0.9)


def _mapping(root: Path) -> list[str]:
    write_reference_release(root / "release", reference())
    people(new_donors()).write_h5ad(root / "people.h5ad")
    return ["map", "people.h5ad", "--release", "release", "--out", "mapped"]


def _dossier(root: Path) -> list[str]:
    make_people(root / "release")
    words = ["patient", PERSON, "--release", "release", "--date", "2026-11-30"]
    return [*words, "--page-only", "--out", "dossier"]


def _report(root: Path) -> list[str]:
    make_release(root / "release", n_cells=3000)
    return ["report", "--release", "release", "--out", "report.html"]


def _addition(root: Path) -> list[str]:
    make_study(root)
    registered = root / "config" / "cohorts" / COHORT
    registered.mkdir(parents=True)
    (registered / "cohort.yaml").write_text(f"id: {COHORT}\n")
    text = "release: {version: '1', date: 2026-02-28, validators: none}\n"
    (root / "config" / "config.yaml").write_text(text)
    words = ["release", "add", COHORT, "--release", "results/release", "--no-run"]
    return [*words, "--no-report"]


def _package(root: Path) -> list[str]:
    make_results(root)
    keys = make_keys(root)
    words = ["export", "alpha:D1", "--recipient", keys.public.name]
    return [*words, "--out", "package"]


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "map": _mapping,
    "patient": _dossier,
    "report": _report,
    "release add": _addition,
    "export": _package,
}
WHOLE_WITH = {
    "map": "mapped/mapped.json",
    "patient": "dossier/manifest.json",
    "report": "report.html",
    "release add": "results/release-2/manifest.json",
    "export": "package/manifest.json",
}
"""The file that is there only where all others of the result are."""


@contextmanager
def stopped_at(number: int, error: BaseException) -> Iterator[list[str]]:
    """Raise `error` in place of that call, counted from 0; gives the names of those so far."""
    seen: list[str] = []

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def counting(*args: object, **options: object) -> object:
            writes = name != "open" or int(args[1]) & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
            if writes:
                seen.append(name)
                if len(seen) == number + 1:
                    raise error
            return call(*args, **options)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield seen


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_stopped_leaves_its_result_whole_or_absent(
    name, tmp_path, monkeypatch, capsys
):
    start, first = tmp_path / "start", tmp_path / "first"
    start.mkdir()
    words = COMMANDS[name](start)
    monkeypatch.setenv(key_files.SIGNING_KEY, "signer.pem")
    monkeypatch.setenv(key_files.ALLOW_TEST_KEYS, "1")
    before = files(start)

    def run(folder: Path, number: int, error: BaseException) -> tuple[int, str, list[str]]:
        if not folder.exists():
            shutil.copytree(start, folder, symlinks=True)
        monkeypatch.chdir(folder)
        capsys.readouterr()
        with stopped_at(number, error) as seen:
            code = main(words)
        return code, capsys.readouterr().err, seen

    code, said, seen = run(first, -1, KeyboardInterrupt())
    assert code == 0, said
    after = files(first)
    assert WHOLE_WITH[name] in after - before
    every = os.environ.get("STOPPED_AT") == "every"
    moments = range(len(seen)) if every else sorted({int(s * len(seen)) for s in SHARES})
    for number in moments:
        errors: list[tuple[BaseException, int]] = [(KeyboardInterrupt("SIGTERM"), 143)]
        if seen[number] in FILLS:
            errors.append((OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), 1))
        for error, expected in errors:
            folder = tmp_path / f"{number}-{expected}"
            where = f"{name}: {seen[number]}, {number} of {len(seen)}: {error!r}"
            code, said, _ = run(folder, number, error)
            left = files(folder)
            # A link that the disk refuses becomes a copy.
            if code:
                assert code == expected, where
                assert said.startswith(f"pmcell {name}: "), where
                assert said.count("\n") == 1, where
            assert left <= after, (where, left - after)
            assert WHOLE_WITH[name] not in left or left == after, where
            code, said, _ = run(folder, -1, error)
            assert code == 0, (where, said)
            assert files(folder) == after, where
            shutil.rmtree(folder)
