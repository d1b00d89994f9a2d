"""Build a study anew without a donor, and compare the results with those of a clean build."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import DataError

if TYPE_CHECKING:
    from pmcell.cli.run._study import Study


PREFIX = ".pmcell-clean-"
"""Begins the name of the folder of a clean build; one that a killed process left is removed."""


def rebuild(study: Study, cores: int | None, *, folder: Path | None = None) -> None:
    """Run the workflow; a release that the gate refuses stays down, and that is said."""
    from pmcell.bundle import profile_folder
    from pmcell.cli.run import _study, _workflow
    from pmcell.cli.run.run import run_and_summarise
    from pmcell.publish.disclosure.gate import REPORT

    if folder is not None:
        study = _study.open_study(folder, None)
    _study.decide_consent(study)
    # What the gate said of an earlier run says nothing of this one.
    (study.results / REPORT).unlink(missing_ok=True)
    command = _workflow.snakemake_command(
        study, cores=cores, profile=profile_folder("default", study.folder), extra=[]
    )
    code = run_and_summarise(study, command, as_json=False)
    if code == _workflow.INTERRUPTED:
        raise KeyboardInterrupt
    if code and not _is_refused(study.results):
        raise DataError(
            "the results must be rebuilt without the donor; the run failed (see above). The "
            "withdrawal is recorded and the release is down; the same command goes on from here.",
            reason="rebuild",
        )
    if code:
        print(
            "pmcell withdraw: the gate refused the release (results/disclosure.json): together "
            "with an earlier one it would tell of few people. It stays down; the results beside it "
            "are rebuilt. Collect withdrawals until enough donors differ, then: pmcell run.",
            file=sys.stderr,
        )


def _is_refused(results: Path) -> bool:
    """Whether the release is missing because the disclosure gate did not pass."""
    from pmcell.io.atomic import read_json
    from pmcell.publish.disclosure.gate import REPORT

    report = results / REPORT
    is_down = not (results / "release" / "manifest.json").exists()
    return is_down and report.is_file() and read_json(report).get("passed") is False


def prove(study: Study, cores: int | None, *, skip: bool) -> dict[str, Any]:
    """Compare the results with those of a clean build in an empty folder."""
    from pmcell.io.scratch import scratch_folder
    from pmcell.private_folder import process_folder

    if skip:
        return {"said": "not compared with a clean build (--no-proof)"}
    try:
        # Beside the study, so that paths out of it lead from there to the same files.
        is_read_outside = bool(study.settings.study.matrix_paths)
        parent = study.folder.resolve().parent if is_read_outside else process_folder(PREFIX)
        with scratch_folder(parent, PREFIX) as clean:
            return _compared(study, cores, clean)
    except PermissionError as error:
        return {"said": f"not compared with a clean build: no folder for it ({error})"}


def _compared(study: Study, cores: int | None, clean: Path) -> dict[str, Any]:
    """Build the study in a folder and compare its results with those of the study."""
    from pmcell.io.atomic import write_text

    _copy_folder(study.folder / "config", clean / "config")
    if not study.cohorts_dir.resolve().is_relative_to((study.folder / "config").resolve()):
        _copy_folder(study.cohorts_dir, clean / study.settings.study.cohorts_dir)
    write_text(clean / "config" / "config.yaml", study.config.read_text(encoding="utf-8"))
    _copy_register(study.results, clean / "results")
    rebuild(study, cores, folder=clean)
    return compare(study.results, clean / "results")


def compare(results: Path, clean: Path) -> dict[str, Any]:
    """Whether two results folders hold the same; `DataError` names what differs.

    Releases are compared by the digest of their content; intermediates by their stamps. Where the
    gate refused the release, for an earlier one, there is none to compare.
    """
    from pmcell.io.atomic import read_json
    from pmcell.io.stamps import FOLDER
    from pmcell.release.digest import content_sha256

    def stamps(folder: Path) -> dict[str, str]:
        values = [read_json(path) for path in folder.glob(f"**/{FOLDER}/*.json")]
        return {str(value["result"]): content_sha256(folder / value["result"]) for value in values}

    ours, theirs = stamps(results), stamps(clean)
    differ = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    digests = []
    for folder in (results, clean):
        manifest = folder / "release" / "manifest.json"
        digests.append(read_json(manifest)["content_sha256"] if manifest.is_file() else None)
    is_refused = _is_refused(results)
    if digests[0] != digests[1] and not is_refused:
        differ.append("release")
    if differ:
        raise DataError(
            "the rebuilt results must be those of a clean build without the donor; these differ: "
            f"{', '.join(differ[:20])}. Remove results/ and .snakemake/, then withdraw again.",
            reason="not_clean",
        )
    release = f"; release {digests[0]}" if digests[0] else "; no release was published"
    if is_refused:
        release = "; the gate refused the release, for what it would tell beside an earlier one"
    return {
        "n_results": len(ours),
        "release_content_sha256": digests[0],
        "said": f"{len(ours)} results are equal to those of a clean build{release}",
    }


def _copy_register(results: Path, clean: Path) -> None:
    """What a release may count depends on earlier ones: a clean build knows the same."""
    from pmcell.io.atomic import atomic_path
    from pmcell.publish.disclosure.register_file import register_of

    register = register_of(results)
    for path in register.parent.glob(f"{register.name}*"):
        own = register_of(clean).with_name(path.name)
        with atomic_path(own) as temporary:
            shutil.copyfile(path, temporary)
        # The key beside it is its owner's alone; the folder is, too.
        shutil.copymode(path, own)


def _copy_folder(source: Path, target: Path) -> None:
    """Put the files of a folder into another: the same file where that can be, else a copy."""
    from pmcell.publish.placed import link_file

    for path in sorted(source.rglob("*")):
        if path.is_file():
            link_file(path, target / path.relative_to(source))
