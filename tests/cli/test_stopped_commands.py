"""Commands that are ended, or find the disk full, while they write: whole or absent, one sentence.

Every write of pmcell passes a few calls of the system. A command is run once to count them, then
it is stopped at one of them: by the signal, which reaches Python there, or by what a full disk
answers. `STOPPED_AT=every` in the environment stops at each of them, one after the other, and
tries the commands that take long, too.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from added_cohort import COHORT, make_study
from consent.ledgers import make_cohort
from crypt_keys import make_keys
from dossier.made_people import PERSON, make_people
from hca_fields import VALUES
from made_reference import new_donors, people, reference, write_reference_release
from made_release import make_release
from pmcell.cli import main
from pmcell.cli.person import map as mapping
from pmcell.cli.person import withdraw
from pmcell.cli.run import run as workflow
from pmcell.consent.removal.scan import ScanReport
from pmcell.io import tables
from pmcell.io.crypt import keys as key_files
from pmcell.publish import write_release
from pmcell.publish.folder import whole_folder
from results_folder import make_results
from steward_files import write_steward_file
from stopped_calls import CALLS, EVERY

FILLS = {"open", "mkdir", "link", "symlink", "fsync"}
"""Calls that a full disk refuses."""
TO_GO_ON = r"withdrawals/\w+\.json|config/cohorts/c1/(consent|corrections)\.jsonl\.pending"
"""What is left on purpose: the same command goes on from it."""
MAPPED = {"cells.parquet", "composition.parquet", "mapped.json"}
SHARES = (0.3, 0.6, 0.9)


def _mapping(root: Path) -> list[str]:
    write_reference_release(root / "release", reference())
    people(new_donors()).write_h5ad(root / "people.h5ad")
    return ["map", "people.h5ad", "--release", "release", "--out", "mapped"]


def _addition(root: Path) -> list[str]:
    make_study(root)
    registered = root / "config" / "cohorts" / COHORT
    registered.mkdir(parents=True)
    (registered / "cohort.yaml").write_text(f"id: {COHORT}\n")
    text = "release: {version: '1', date: 2026-02-28, validators: none}\n"
    (root / "config" / "config.yaml").write_text(text)
    words = ["release", "add", COHORT, "--release", "results/release", "--no-run"]
    return [*words, "--no-report"]


def _dossier(root: Path) -> list[str]:
    make_people(root / "release")
    words = ["patient", PERSON, "--release", "release", "--date", "2026-11-30"]
    return [*words, "--page-only", "--out", "dossier"]


def _report(root: Path) -> list[str]:
    make_release(root / "release", n_cells=3000)
    return ["report", "--release", "release", "--out", "report.html"]


def _gaps(root: Path) -> list[str]:
    make_release(root / "release", n_cells=3000)
    return ["gaps", "release", "--out", "gaps.csv"]


def _exchange(root: Path) -> list[str]:
    write_release(make_results(root / "study", decision="continuum"), root / "release")
    shutil.rmtree(root / "study")
    given = [f"--set={name}={value}" for name, value in VALUES.items()]
    return [
        "export-hca",
        "release",
        "alpha",
        "--out",
        "hca.h5ad",
        "--study-pi",
        "Byron, A.",
        *given,
    ]


def _sealed(root: Path) -> list[str]:
    make_results(root)
    make_keys(root)
    config = root / "config.yaml"
    config.write_text("seal: {recipients: {region: region.pub}}\n")
    return ["seal", "--results", "results", "--out", "controlled", "--config", config.name]


def _package(root: Path) -> list[str]:
    make_results(root)
    keys = make_keys(root)
    words = ["export", "alpha:D1", "--recipient", keys.public.name]
    return [*words, "--out", "package"]


def _trial(root: Path) -> list[str]:
    write_steward_file(root / "in.h5ad")
    return ["try", "in.h5ad", "--out", "trial", "--json"]


def _ledger(root: Path) -> list[str]:
    cohort = root / "config" / "cohorts" / "c1"
    make_cohort(cohort, ("anna1", "bert2"), data_use="[DUO:0000042]")
    (root / "config" / "config.yaml").write_text("use: {purpose: health_research}\n")
    make_keys(root)
    (root / "keys").mkdir(mode=0o700)
    words = ["consent", "init", "--cohort", "c1", "--policy", "form-1", "--purposes", "GRU"]
    return [*words, "--effective-from", "2021-01-01"]


def _refusal(root: Path) -> list[str]:
    _done(root, _ledger(root))
    return ["consent", "add", "withdraw", "--donor", "bert2", "--cohort", "c1"]


def _consents(root: Path) -> list[str]:
    words = _ledger(root)
    _done(root, words[: words.index("--purposes")])
    rows = "".join(f"{donor},give,2024-01-01,form-1,GRU\n" for donor in ("anna1", "bert2"))
    (root / "x.csv").write_text("donor_id,act,effective_from,policy,purposes\n" + rows)
    return ["consent", "import", "x.csv", "--cohort", "c1"]


def _correction(root: Path) -> list[str]:
    make_cohort(root / "config" / "cohorts" / "c1", ("anna1", "bert2"))
    make_keys(root)
    words = ["correct", "config/cohorts/c1", "bert2", "--set", "sex_ontology_term_id=PATO:0000383"]
    return [*words, "--why", "typing error"]


def _withdrawal(root: Path) -> list[str]:
    _refusal(root)
    (root / "results").mkdir()
    registered = root / "config" / "cohorts" / "c1"
    change = ["--set", "sex_ontology_term_id=PATO:0000383", "--why", "typing error"]
    _done(root, ["correct", str(registered), "bert2", *change])
    described = registered / "cohort.yaml"
    described.write_text(described.read_text().replace("access: open", "access: controlled"))
    _done(root, ["pseudonyms", "new"])
    _done(root, ["pseudonyms", "add", str(registered)])
    return ["withdraw", "bert2", "--cohort", "c1"]


def _done(root: Path, words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(words) == 0


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "map": _mapping,
    "patient": _dossier,
    "release add": _addition,
    "report": _report,
    "export": _package,
    "export-hca": _exchange,
    "gaps": _gaps,
    "seal": _sealed,
    "try": _trial,
    "consent init": _ledger,
    "consent add": _refusal,
    "consent import": _consents,
    "correct": _correction,
    "withdraw": _withdrawal,
}
WHOLE_WITH = {
    "map": "mapped/mapped.json",
    "patient": "dossier/manifest.json",
    "release add": "results/release-2/manifest.json",
    "report": "report.html",
    "export": "package/manifest.json",
    "export-hca": "hca.h5ad",
    "gaps": "gaps.csv",
    "seal": "controlled/index.json",
    "try": "trial/trial/trial.json",
    "consent init": "config/cohorts/c1/consent.jsonl.head.json",
    "consent add": "",
    "consent import": "",
    "correct": "",
    "withdraw": "",
}
"""The file that is there only where all others of the result are."""


LONG = {"map", "report", "release add", "export", "export-hca", "seal"}


@contextmanager
def stopped_at(number: int, error: BaseException) -> Iterator[list[str]]:
    """Raise `error` in place of that call, counted from 0; gives the names of those so far."""
    seen: list[str] = []

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def counting(*args: Any, **options: Any) -> object:
            is_read = name == "open" and args[1] & os.O_ACCMODE == os.O_RDONLY
            seen.append("open to read" if is_read else name)
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


def recorded(root: Path) -> dict[str, object]:
    """What the chains, the tables and the files of keys of a study say, but for what is drawn."""
    found: dict[str, object] = {}
    for path in [*root.glob("config/**/*"), *root.glob("keys/*")]:
        name = str(path.relative_to(root))
        if path.suffix == ".tsv":
            found[name] = path.read_text()
        elif path.suffix == ".jsonl":
            entries = [json.loads(line)["entry"] for line in path.read_text().splitlines()]
            found[name] = [(entry.get("act"), entry.get("table")) for entry in entries]
        elif path.name in ("corrections.json", "donors.json", "pseudonyms"):
            value = json.loads(path.read_text())
            keys = value.get("donors", value)
            found[name] = (len(keys), sum(key == "" for key in keys.values()))
    return found


@pytest.mark.parametrize("name", [name for name in COMMANDS if EVERY or name not in LONG])
def test_a_command_that_is_stopped_leaves_its_result_whole_or_absent(
    name, tmp_path, monkeypatch, capsys
):
    start, first = tmp_path / "start", tmp_path / "first"
    start.mkdir()
    monkeypatch.setenv(key_files.SIGNING_KEY, "signer.pem")
    monkeypatch.setenv(key_files.ALLOW_TEST_KEYS, "1")
    monkeypatch.setenv("PMCELL_VALIDATORS_DIR", str(tmp_path / "no validators"))
    monkeypatch.setenv("PMCELL_DONOR_KEYS_FILE", "keys/donors.json")
    monkeypatch.setenv("PMCELL_PSEUDONYM_KEY_FILE", "keys/pseudonyms")
    nothing = {"exit_code": 0, "cohorts": {}, "release": None}
    monkeypatch.setattr(workflow, "run_workflow", lambda study, command: nothing)
    monkeypatch.setattr(withdraw, "rebuild", lambda study, cores: None)
    monkeypatch.setattr(withdraw, "prove", lambda study, cores, skip: {"said": "equal"})
    monkeypatch.setattr(withdraw, "search", lambda study, needles: ScanReport())
    words = COMMANDS[name](start)
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
    assert WHOLE_WITH[name] in {"", *(after - before)}, after - before
    moments = range(len(seen)) if EVERY else sorted({int(s * len(seen)) for s in SHARES})
    for number in moments:
        errors: list[tuple[BaseException, int]] = [(KeyboardInterrupt("SIGTERM"), 143)]
        if seen[number] in FILLS:
            errors.append((OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), 1))
        for error, expected in errors:
            folder = tmp_path / f"{number}-{expected}"
            where = f"{name}: {seen[number]}, {number} of {len(seen)}: {error!r}"
            code, said, _ = run(folder, number, error)
            left = files(folder)
            if code:
                assert code == expected, where
                assert said.startswith(f"pmcell {name.partition(' ')[0]}"), (where, said)
                assert said.count("\n") == 1, where
            strange = {path for path in left - after if not re.fullmatch(TO_GO_ON, path)}
            assert not strange, (where, strange)
            assert WHOLE_WITH[name] not in left or after <= left, (where, after - left)
            if code:
                code, said, _ = run(folder, -1, error)
                assert code == 0, (where, said)
            assert files(folder) == after, where
            assert recorded(folder) == recorded(first), where
            shutil.rmtree(folder)


def test_a_folder_that_is_replaced_is_the_old_or_the_new_at_every_moment(tmp_path):
    def write(number: int) -> list[str]:
        with stopped_at(number, KeyboardInterrupt()) as seen, whole_folder(tmp_path / "out") as new:
            facts = {"pmcell": "0", "content_sha256": number, "cohorts": {}}
            (new / "manifest.json").write_text(json.dumps(facts))
        return seen

    n_calls = len(write(-1))
    assert n_calls > 3
    for number in range(n_calls):
        with pytest.raises(KeyboardInterrupt):
            write(number)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert '"content_sha256": -1' in (tmp_path / "out" / "manifest.json").read_text()


def test_a_mapping_that_finds_the_disk_full_leaves_the_one_before(tmp_path, monkeypatch):
    def write(text: str) -> None:
        document = SimpleNamespace(as_json=lambda: text)
        mapping._write(tmp_path, SimpleNamespace(cells=text, composition=text), document)

    def full(path: Path, frame: str, table: object) -> None:
        if path.name == "composition.parquet":
            raise OSError(errno.ENOSPC, "full")
        path.write_text(frame)

    monkeypatch.setattr(tables, "write_table", lambda path, frame, table: path.write_text(frame))
    write("first")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(tables, "write_table", full)
        write("second")
    assert {path.name for path in tmp_path.iterdir()} == MAPPED
    assert all("first" in path.read_text() for path in tmp_path.iterdir())
    write("second")
    assert all("second" in path.read_text() for path in tmp_path.iterdir())
