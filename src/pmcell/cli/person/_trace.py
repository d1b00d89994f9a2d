"""What may stand of a donor anywhere in a study, and the search for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pmcell.cli.run._study import Study
    from pmcell.consent.removal.needles import Needles
    from pmcell.consent.removal.scan import ScanReport
    from pmcell.registry.cohorts.registration import Registration

OF_A_STUDY = (
    "config", "profiles", "workflow", "withdrawals", "src", "tests", "docs", "scripts", "envs",
)  # fmt: skip
"""Folders of a study, or of a checkout, in which no step writes about people."""
MIN_LETTERS = 4
"""A shorter id, or a number, is everywhere by chance: it is looked for with its cohort's alone."""


def scan_only(study: Study, registration: Registration, donor: str, *, as_json: bool) -> int:
    """Search for a donor and say what was found; 1 where anything was, or could not be read."""
    from dataclasses import asdict

    from pmcell.consent.withdrawal_receipt import scan_sentence

    needles = needles_of(study, registration, donor)
    report = search(study, needles)
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    elif report.is_clean:
        print(
            f"{len(needles.texts)} names and {len(needles.cells)} cells looked for in "
            f"{report.n_files} files ({report.n_bytes / 1e6:.1f} MB, {report.n_objects} objects, "
            f"{report.seconds:.1f} s): none found."
            + (f" Not searched: {', '.join(report.left_out)}." if report.left_out else "")
        )
    else:
        print(scan_sentence(report))
    return 0 if report.is_clean else 1


def needles_of(study: Study, registration: Registration, donor: str) -> Needles:
    """What of the donor may be anywhere: ids, samples, cells, and their counts."""
    from pmcell.cli.person._person_cells import PersonCells, cells_of, sum_prints
    from pmcell.consent.removal.needles import CELL_NAME, donor_needles

    samples = [item for item in registration.samples if item.donor_id == donor]
    submitted = [("donor", donor), *(("sample", item.sample_id) for item in samples)]
    in_results = names_of(registration, donor, submitted)
    own = [(name, kind) for kind, name in submitted]
    for name, (kind, _) in zip(in_results, submitted, strict=False):
        own += [(name, kind), (name.partition(":")[2], kind)]
    others = {item.sample_id for item in registration.samples if item.donor_id != donor}
    elsewhere = other_cohorts(study, registration).values()
    others |= {item.donor_id for other in elsewhere for item in other.donors}
    called = next(iter(in_results), "")
    folder = study.results / "cohorts" / registration.cohort_id
    path, sums = folder / "intake.h5ad", folder / "aggregate.npz"
    cells = cells_of(path, called) if path.is_file() else PersonCells()
    own += [(name, CELL_NAME) for name in cells.names]
    others |= cells.other_names
    if sums.is_file() and sums.stat().st_size:
        mine, theirs = sum_prints(sums, called)
        cells.prints |= mine
        cells.other_prints |= theirs
    usable = [(text, kind) for text, kind in own if _is_telling(text)]
    return donor_needles(usable, others, cells.prints, cells.other_prints, cells.genes)


def names_of(
    registration: Registration, donor: str, submitted: Sequence[tuple[str, str]]
) -> list[str]:
    """What results call a donor and their samples; nothing once the donor's key was erased."""
    from pmcell.registry.intake.cells import Scope
    from pmcell.registry.intake.keyring import Keyring
    from pmcell.registry.intake.pseudonyms import load_key

    key = None if registration.access == "open" else load_key()
    if isinstance(key, Keyring) and not key.has_key(registration.cohort_id, donor):
        return []
    scope = Scope(registration.cohort_id, registration.access, key)
    return [
        scope(kind, name, donor) if kind == "sample" else scope(kind, name)
        for kind, name in submitted
    ]


def _is_telling(text: str) -> bool:
    return len(text) >= MIN_LETTERS and not text.isdecimal()


def other_cohorts(study: Study, registration: Registration) -> dict[str, Registration]:
    """The other cohorts of the study that can be read."""
    from pmcell.registry.cohorts.cohort import read_registration
    from pmcell.registry.cohorts.registered import list_cohorts

    found: dict[str, Registration] = {}
    for name in list_cohorts(study.cohorts_dir):
        other, _ = read_registration(study.cohorts_dir / name)
        if other is not None and name != registration.cohort_id:
            found[name] = other
    return found


def search(study: Study, needles: Needles) -> ScanReport:
    """Scan everything of the study but what the steward submitted, once canaries were found."""
    from pmcell.consent.removal.canaries import self_test
    from pmcell.consent.removal.scan import scan

    self_test()
    report = scan(_roots(study), needles, base=study.folder)
    report.left_out = _beside(study)
    return report


def _beside(study: Study) -> list[str]:
    """Folders of the study that are not searched: data, notes, releases that lie elsewhere."""
    known = {*(root.name for root in _roots(study)), *OF_A_STUDY, study.cohorts_dir.name}
    names = [path.name for path in study.folder.iterdir() if path.is_dir()]
    return sorted(name for name in names if name not in known and not name.startswith("."))


def _roots(study: Study) -> list[Path]:
    """Results, the workflow's records, tombstones, the configuration, and files beside them."""
    config = study.folder / "config"
    submitted = study.cohorts_dir.resolve()
    beside = [path for path in study.folder.iterdir() if path.is_file()]
    configured = [path for path in config.iterdir() if path.resolve() != submitted]
    folders = [study.results, study.folder / ".snakemake", study.folder / "tombstones"]
    return [*folders, *sorted(configured), *sorted(beside)]
