"""A cohort's folder is written by others: none of it stops, or misleads, the cohorts beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pmcell as pm
from pmcell import bundle
from pmcell.cli import main
from pmcell.registry.cohorts.cohort import list_cohorts
from pmcell.registry.cohorts.registered import (
    COHORT_FILE,
    matrix_files,
    not_cohorts,
)
from pmcell.schema.ids import ID_PATTERN
from pmcell.simulate.cohort_folders import write_cohort_folders

SHARED = bundle.load_script("registered")
SECONDS = 600

# Their readers meet the limits of the sandbox where a refusal is missing.
pytestmark = pytest.mark.child


def edited(old: str, new: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        text = (folder / COHORT_FILE).read_text()
        assert old in text
        (folder / COHORT_FILE).write_text(text.replace(old, new))

    return edit


def path(text: str) -> Callable[[Path], object]:
    return edited("path: counts.h5ad", f"path: {text}")


def aliases(folder: Path) -> None:
    lines, last = ["a: &a [x,x,x,x,x,x,x,x,x,x]"], "a"
    for name in "bcdefghi":
        lines.append(f"{name}: &{name} [{','.join(['*' + last] * 10)}]")
        last = name
    (folder / COHORT_FILE).write_text("\n".join([*lines, "matrix:", "  path: *i", ""]))


def pipe(folder: Path, name: str = COHORT_FILE) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def renamed(name: str) -> Callable[[Path], object]:
    def rename(folder: Path) -> None:
        (folder / "counts.h5ad").rename(folder / name)
        path(json.dumps(name))(folder)

    return rename


def write(text: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / COHORT_FILE).write_bytes(text)


def endless(folder: Path) -> None:
    (folder / "counts.h5ad").unlink()
    (folder / "counts.h5ad").symlink_to("/dev/zero")


def loop(folder: Path) -> None:
    (folder / "counts.h5ad").unlink()
    (folder / "counts.h5ad").symlink_to("counts.h5ad")


HOSTILE: dict[str, Callable[[Path], object]] = {
    "aliases": aliases,
    "anchors": edited("matrix:", "x: &x 1\nmatrix:"),
    "long_path": path("a" * 5000),
    "many_parts": path("a/" * 2000 + "b"),
    "zero_byte": path('"a\\0b"'),
    "system_folder": path("/proc"),
    "device": path("/dev/zero"),
    "other_cohort": path("../sound/counts.h5ad"),
    "endless": endless,
    "loop": loop,
    "yaml_pipe": pipe,
    "matrix_pipe": lambda folder: pipe(folder, "counts.h5ad"),
    "donors_pipe": lambda folder: pipe(folder, "donors.tsv"),
    "nested": write(b"matrix: " + b"[" * 50_000),
    "indented": write(b"".join(b" " * n + b"a:\n" for n in range(400))),
    "binary": write(bytes(range(256)) * 10),
    "large": write(b"# " + b"x" * 2_000_000),
    "empty": write(b""),
    "a_list": write(b"- matrix: {path: counts.h5ad}\n"),
    "path_is_a_list": path("[a, b]"),
    "tag": path("!!python/object/apply:os.system [true]"),
    "yaml_folder": lambda folder: ((folder / COHORT_FILE).unlink(), (folder / COHORT_FILE).mkdir()),
}
SOUND: dict[str, Callable[[Path], object]] = {
    "sound": lambda folder: None,
    "brace": renamed("{x}.h5ad"),
    "braces": renamed("{cohort}{{}}.h5ad"),
    "spaces": renamed("my counts; $(touch PWNED) 'x'.h5ad"),
    "new_line": renamed("a\nb.h5ad"),
}
NO_COHORTS = ("__MACOSX", ".git", "my cohort", "a..b", "-x", "é", "x" * 65, "{cohort}", "a;b")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with all of them side by side."""
    root = tmp_path_factory.mktemp("hostile")
    made = pm.simulate.simulate(
        n_cohorts=1,
        n_donors=3,
        cells_per_sample=25,
        n_genes=120,
        n_cell_types=3,
        real_genes=True,
        seed=2,
    )
    cohorts = root / "config" / "cohorts"
    (first,) = write_cohort_folders(made, root / "made")
    for name, change in {**SOUND, **HOSTILE}.items():
        folder = Path(shutil.copytree(first, cohorts / name))
        edited(f"id: {first.name}", f"id: {name}")(folder)
        change(folder)
    for name in NO_COHORTS:
        (cohorts / name).mkdir()
    for name in ("my cohort", "a..b", "{cohort}"):
        (cohorts / name / COHORT_FILE).write_text("id: x\n")
    (cohorts / "no_registration").mkdir()
    (cohorts / "notes.txt").write_text("not a folder")
    (root / "config" / "config.yaml").write_text("{}\n")
    return root


def say(*words: object, cwd: Path) -> tuple[int, str]:
    """Exit code and text of a command under a memory limit; it is killed when it hangs."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def test_run_check_and_estimate_list_the_same_cohorts(study):
    expected = sorted([*SOUND, *HOSTILE])
    assert list_cohorts(study / "config" / "cohorts") == expected
    code, said = say("pmcell", "estimate", "--json", cwd=study)
    assert code == 0, said
    assert json.loads(said)["n_cohorts"] == len(expected)


def test_no_cohort_stops_the_parsing_of_the_workflow(study):
    words = ["snakemake", "--snakefile", bundle.snakefile(), "--cores", "1", "--dry-run"]
    code, said = say(*words, cwd=study)
    assert code == 0, said[-3000:]
    assert "Traceback" not in said
    taken_in = re.findall(r"rule intake:.*?wildcards: cohort=(\S+)", said, re.DOTALL)
    assert sorted(taken_in) == sorted([*SOUND, *HOSTILE])


def test_check_names_the_fault_of_each_hostile_cohort_and_of_no_other(study):
    code, said = say("pmcell", "check", "--json", cwd=study)
    assert code == 1, said[-3000:]
    found = {item["cohort_id"]: item for item in json.loads(said[said.index("[\n") :])}
    assert {name for name, item in found.items() if not item["ok"]} == set(HOSTILE)
    assert set(found) == {*SOUND, *HOSTILE}


@pytest.mark.parametrize(
    "name",
    ["aliases", "long_path", "system_folder", "endless", "yaml_pipe", "yaml_folder", "donors_pipe"],
)
def test_a_hostile_cohort_is_quarantined_by_intake(study, tmp_path, name):
    folder = study / "config" / "cohorts" / name
    assert main(["intake", "--cohort-dir", str(folder), "--out-dir", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "intake.json").read_text())
    assert report["status"] == "quarantined"
    assert report["message"]


@pytest.mark.parametrize("name", ["braces", "spaces", "new_line"])
def test_a_sound_cohort_with_an_odd_file_name_is_taken_in(study, tmp_path, name):
    folder = study / "config" / "cohorts" / name
    assert [file.name for file in matrix_files(folder)] != []
    assert main(["intake", "--cohort-dir", str(folder), "--out-dir", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "intake.json").read_text())["status"] in ("ok", "warned")
    assert not list(study.rglob("PWNED"))


def test_a_cohort_of_the_configuration_must_be_an_id(study):
    words = ["snakemake", "--snakefile", bundle.snakefile(), "--cores", "1", "--dry-run"]
    code, said = say(*words, "--config", "cohorts=['../cohorts/sound']", cwd=study)
    assert code == 1
    assert "../cohorts/sound" in said
    assert "Traceback" not in said


def test_a_folder_with_a_name_that_is_no_id_is_named_by_check(study):
    code, said = say("pmcell", "check", "sound", cwd=study)
    assert code == 0, said
    for name in ("a..b", "my cohort", "{cohort}"):
        assert f"{name!r} must be an id (letters, digits, _ . -): rename the folder" in said


@pytest.mark.parametrize("name", ["cohort.yml", "Cohort.yaml", "cohort.yaml.txt", "COHORT.YML"])
def test_a_cohort_yaml_under_a_like_name_is_not_passed_over(tmp_path, name):
    cohorts = tmp_path / "my cohorts"
    for cohort in ("c1", "c2"):
        (cohorts / cohort).mkdir(parents=True)
    (cohorts / "c1" / COHORT_FILE).write_text("id: c1\n")
    (cohorts / "c2" / name).write_text("id: c2\n")
    assert list_cohorts(cohorts) == ["c1"]
    (said,) = not_cohorts(cohorts)
    assert f"'c2' has {name!r}" in said
    subprocess.run(["sh", "-c", said.partition(": ")[2]], check=True)
    assert (list_cohorts(cohorts), not_cohorts(cohorts)) == (["c1", "c2"], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("matrix: {path: a.h5ad}", "a.h5ad"),
        ("matrix:\n  format: h5ad\n  path: 'b c'\n", "b c"),
        ("a: [1, {b: 2}]\nmatrix:\n  keep_features: {path: no}\n  path: yes\n", "yes"),
        ("? [a]\n: b\nmatrix: {path: NO}", "NO"),
        ("matrix: {path: a}\nmatrix: {path: b}", "b"),
        ("matrix:\n  - path: x\n", ""),
        ("- matrix: {path: x}", ""),
        ("x: {matrix: {path: x}}", ""),
        ("matrix: {path: {x: y}}", ""),
        ("matrix: {path: [x]}", ""),
        ("matrix: &m {path: x}", ""),
        ("matrix: {path: x", ""),
        ("", ""),
    ],
)
def test_the_path_of_the_matrix_is_read_without_building_what_is_around_it(
    tmp_path, text, expected
):
    (tmp_path / COHORT_FILE).write_text(text)
    assert SHARED.matrix_path(tmp_path) == expected


def test_the_form_of_an_id_is_the_same_everywhere():
    assert SHARED.ID == ID_PATTERN


def test_a_yaml_file_is_read_with_standard_library_and_pyyaml_alone():
    code = (
        f"import runpy, sys; runpy.run_path({SHARED.__file__!r}); "
        "print(*sorted(name for name in ('numpy', 'pmcell', 'h5py') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
