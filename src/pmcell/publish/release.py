"""Write the release folder: whole, checked, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pmcell.errors import FaultsError
from pmcell.publish.atlas import Atlas, load_atlas
from pmcell.publish.cohort_files import (
    link_cohort,
    read_record,
    recorded_sources,
    released_names,
    write_counts,
)
from pmcell.publish.content.reference import write_reference
from pmcell.publish.content.stratification import write_donors, write_strata_json
from pmcell.publish.content.tables import write_tables
from pmcell.publish.disclosure.atlas import shown_atlas
from pmcell.publish.disclosure.gate import check_disclosure, remember_release
from pmcell.publish.facts import Cohort, Facts, load_facts
from pmcell.publish.folder import whole_folder
from pmcell.publish.manifest import Sources, file_entries, write_manifest
from pmcell.publish.metadata.attribution import require_attribution
from pmcell.publish.metadata.citation import write_citation
from pmcell.publish.metadata.crate.rocrate import write_crate
from pmcell.publish.metadata.crate.workflow import write_workflow
from pmcell.publish.metadata.croissant import write_croissant
from pmcell.publish.metadata.datacite import write_datacite
from pmcell.publish.metadata.datapackage import write_datapackage
from pmcell.publish.metadata.dcat.catalogue import write_dcat
from pmcell.publish.metadata.opening import write_r_reader
from pmcell.publish.metadata.readme import write_readme
from pmcell.publish.profiles.cellxgene import write_reasons
from pmcell.publish.validation import begun_validators
from pmcell.release.manifest import Entries, read_manifest
from pmcell.release.verify import row_faults, verify_release

REPORT = "report.html"

Page = Callable[[Path], None]
Site = Callable[[Path, Facts, Entries], None]


def write_release(
    results: Path | str,
    target: Path | str,
    *,
    cohort_ids: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    report: Page | None = None,
    site: Site | None = None,
    progress: Callable[[str], None] = lambda part: None,
) -> Facts:
    """Write the release of `results` to the folder `target` and return what it is about.

    The folder is made beside `target`, verified, and only then put in its
    place; an older release stays untouched on any error. `report` is called
    with the folder when everything but the evidence is there, and adds
    `report.html`; `site` is called last, with the folder, what is known and the
    digests of all other files, and adds the catalogue. Cells and expression that the
    cohorts' own jobs wrote by the same plan are linked, not written again. `config` is the whole
    configuration: its section `release` is used, the others are recorded.
    Raises `DataError` or `FaultsError` where the results break the contract,
    `UsageError` where the configuration does.
    """
    started, place = time.time(), Path(target)
    facts = load_facts(Path(results), cohort_ids=cohort_ids, config=config)
    require_attribution(facts)
    atlas = shown_atlas(facts, load_atlas(facts.results))
    with whole_folder(Path(target)) as folder:
        records = {cohort.cohort_id: read_record(facts, cohort) for cohort in facts.cohorts}
        linked: Entries = {}
        twins: dict[str, int] = {}
        for cohort in facts.published:
            progress(f"cells and expression of {cohort.cohort_id}")
            record = records[cohort.cohort_id]
            own, twins[cohort.cohort_id] = _add_cohort(facts, atlas, cohort, record, folder)
            linked |= own
        sources = {
            cohort.cohort_id: recorded_sources(records[cohort.cohort_id], cohort)
            for cohort in facts.cohorts
        }
        progress("tables")
        write_tables(facts, atlas, folder / "tables")
        progress("donors and reference")
        write_donors(facts, folder / "donors.h5ad")
        write_strata_json(facts, folder / "strata.json")
        write_reference(facts, atlas, folder / "reference")
        del atlas  # Labels and coordinates of all cells: what follows reads the release.
        complete_release(
            facts,
            folder,
            sources,
            place=place,
            started=started,
            report=report,
            site=site,
            progress=progress,
            known=linked,
            twins=twins,
        )
    return facts


def complete_release(
    facts: Facts,
    folder: Path,
    sources: Mapping[str, Sources],
    *,
    place: Path,
    started: float,
    report: Page | None = None,
    site: Site | None = None,
    progress: Callable[[str], None] = lambda part: None,
    known: Entries | None = None,
    twins: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Pass the disclosure gate with what lies in `folder`, describe it, and verify it.

    `sources` has what `sources_of` gives of each cohort, `place` is where the release will lie,
    `started` when it was begun (POSIX seconds); `known` are digests of files of `folder` that
    need not be taken again, `twins` how many cells of a cohort equal an earlier one, where that is
    known. For the rest see `write_release`.
    """
    progress("disclosure gate")
    check_disclosure(facts, folder)
    write_reasons(folder, [cohort.cohort_id for cohort in facts.published], twins)
    write_readme(facts, folder, has_report=report is not None)
    write_r_reader(folder)
    write_citation(facts, folder / "CITATION.cff")
    write_workflow(folder)
    progress("digests")
    entries = file_entries(folder, known)
    write_datacite(facts, folder, entries)
    entries = file_entries(folder, entries)
    write_datapackage(facts, folder, entries)
    write_croissant(facts, folder, entries)
    write_dcat(facts, folder, entries, has_report=report is not None)
    entries = file_entries(folder, entries)
    # The crate says of what is written after it only that it is there: its validator takes longest.
    pages = {REPORT: report is not None, "site/": site is not None, "validation/": True}
    later = [name for name, is_wanted in pages.items() if is_wanted]
    write_crate(facts, folder, entries, target=place, started=started, later=later)
    # The report reads a release, so it gets one that lacks only what comes later.
    write_manifest(facts, folder, file_entries(folder, entries), sources)
    with begun_validators(facts, folder, progress=progress) as gather_evidence:
        if report is not None:
            progress("report")
            report(folder)
        progress("rows")
        faults = row_faults(folder, read_manifest(folder))
        progress("validators")
        gather_evidence()
    entries = file_entries(folder, entries)
    write_manifest(facts, folder, entries, sources)
    if site is not None:
        progress("catalogue")
        site(folder, facts, entries)
        entries = file_entries(folder, entries)
        write_manifest(facts, folder, entries, sources)
    progress("check")
    faults += verify_release(folder, digested=entries, has_read=True)
    if faults:
        raise FaultsError(faults)
    # Before the folder is put in its place: a release that nobody remembers protects no one.
    remember_release(facts, folder)


def _add_cohort(
    facts: Facts, atlas: Atlas, cohort: Cohort, record: Mapping[str, Any], folder: Path
) -> tuple[Entries, int]:
    """Link the files that the cohort's own job wrote by the same plan, else write them here.

    Returns digests that are known of them, and how many cells equal an earlier one.
    """
    if record:
        return link_cohort(cohort, record, folder), int(record["n_twins"])
    places = (folder / name for name in released_names(cohort.cohort_id).values())
    return {}, write_counts(facts, atlas, cohort, *places)[1]
