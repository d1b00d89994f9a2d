"""Load a registered cohort: cohort.yaml, donors.tsv and samples.tsv of one folder.

Everything that is wrong is collected; `load_registration` raises it once,
`find_faults` returns it. Warnings (severity `warning`) do not stop a cohort.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.collection import without_collection
from pmcell.registry.cohorts import registered
from pmcell.registry.cohorts.catalogue import catalogue_facts, lookup
from pmcell.registry.cohorts.cohort_file import check_cohort_file
from pmcell.registry.cohorts.gathered import gather
from pmcell.registry.cohorts.identities import (
    check_ids,
    check_labels,
    check_references,
    is_open,
)
from pmcell.registry.cohorts.keys import (
    CELLS_FILE,
    COHORT_FILE,
    DONOR_COLUMNS,
    DONORS_FILE,
    FORMATS,
    GROUPS,
    MAX_HOURS,
    SAMPLE_COLUMNS,
    SAMPLES_FILE,
)
from pmcell.registry.cohorts.measurements import Measurement, read_measurements
from pmcell.registry.cohorts.programme_check import programme_faults
from pmcell.registry.cohorts.programmes import read_programme
from pmcell.registry.cohorts.registration import Donor, Exclusion, Matrix, Registration, Sample
from pmcell.registry.cohorts.sheets import Row, check_unique, read_sheet
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.registry.terms.regions import region_fix
from pmcell.registry.terms.vocabulary import region_problem
from pmcell.schema import UNKNOWN
from pmcell.settings.programme import Programme

_DECIMAL = re.compile(r"\d{1,4}(\.\d+)?")


def load_registration(
    folder: Path | str, *, programmes_dir: Path | str | None = None
) -> Registration:
    """The registration in `folder`; `FaultsError` with everything that is wrong.

    `programmes_dir` is where programmes are; by default `programmes` beside
    the folder of cohorts, and when that does not exist the name is not checked.
    """
    registration, faults = read_registration(folder, programmes_dir=programmes_dir)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors or registration is None:
        raise FaultsError(errors)
    return registration


def find_faults(folder: Path | str, *, programmes_dir: Path | str | None = None) -> list[Fault]:
    """Everything that is wrong with the registration in `folder`, warnings too; never raises."""
    return read_registration(folder, programmes_dir=programmes_dir)[1]


def read_registration(
    folder: Path | str, *, programmes_dir: Path | str | None = None
) -> tuple[Registration | None, list[Fault]]:
    """The registration in `folder` (None where it has errors) and all its faults, read once."""
    with without_collection():
        return _read_registration(Path(folder), programmes_dir)


def _read_registration(
    folder: Path, programmes_dir: Path | str | None
) -> tuple[Registration | None, list[Fault]]:
    faults: list[Fault] = []
    parts = _read(folder, programmes_dir, faults)
    programme: Programme | None = None
    measurements: tuple[Measurement, ...] = ()
    if parts is not None:
        programme = _programme(folder, parts[0], programmes_dir, faults)
        measurements = read_measurements(folder, parts[1], programme, faults)
    faults = gather(faults)
    if parts is None or any(fault.severity == "error" for fault in faults):
        return None, faults
    found = replace(_build(folder, *parts, faults), measurements=measurements)
    if programme is not None:
        own = programme_faults(programme, found.donors, found.samples, measurements)
        faults = gather([*faults, *own])
        found = replace(
            found,
            warnings=tuple(faults),
            programme_report=programme.report,
            programme_sources=programme.sources,
        )
    return found, faults


def read_matrix(folder: Path | str) -> Matrix | None:
    """What cohort.yaml says of the submitted file, other faults aside; None if nothing."""
    folder = Path(folder)
    tree = read_yaml(folder / COHORT_FILE, []).tree
    given = lookup(tree, "matrix")
    if not isinstance(given, dict) or given.get("format") not in FORMATS:
        return None
    if not isinstance(given.get("path"), str) or not registered.is_usable(given["path"]):
        return None
    return _matrix(folder, tree)


def list_cohorts(cohorts_dir: Path | str) -> list[str]:
    """Ids of the cohorts in `cohorts_dir`, as the workflow lists them, sorted."""
    cohorts_dir = Path(cohorts_dir)
    if not cohorts_dir.is_dir():
        raise UsageError(
            f"cohorts_dir must be a folder; found {str(cohorts_dir)!r}. "
            "Give --cohorts-dir, or register a cohort with `pmcell register`."
        )
    return registered.list_cohorts(cohorts_dir)


def list_programmes(programmes_dir: Path | str) -> list[str] | None:
    """Names of the programmes in a folder, sorted; None when there is no such folder."""
    programmes_dir = Path(programmes_dir)
    if not programmes_dir.is_dir():
        return None
    return sorted(path.stem for path in programmes_dir.glob("*.yaml"))


def programmes_folder(folder: Path, given: Path | str | None = None) -> Path:
    """Where the programmes of a cohort's study are: as given, or beside the folder of cohorts."""
    return Path(given) if given is not None else folder.resolve().parent.parent / "programmes"


def _programme(
    folder: Path, tree: dict[str, Any], given: Path | str | None, faults: list[Fault]
) -> Programme | None:
    """The programme that a cohort names; what is wrong with its file is the cohort's fault, too."""
    name = lookup(tree, "programme")
    path = programmes_folder(folder, given) / f"{name}.yaml"
    if not isinstance(name, str) or not registered.is_cohort_id(name) or not path.is_file():
        return None
    programme, own = read_programme(path)
    faults += own
    return None if own else programme


def _read(
    folder: Path, programmes_dir: Path | str | None, faults: list[Fault]
) -> tuple[dict[str, Any], list[Row], list[Row]] | None:
    """What cohort.yaml and both tables say; None where there is no folder."""
    if not folder.is_dir():
        found = "no such folder"
        fix = "Draft it with `pmcell register FILE --id ID`."
        must = "the cohort's folder must exist"
        faults.append(Fault(folder.name, must, found, fix, reason="file_missing"))
        return None
    text = read_yaml(folder / COHORT_FILE, faults)
    if not faults:
        programmes = list_programmes(programmes_folder(folder, programmes_dir))
        faults += check_cohort_file(text, folder, programmes)
    donor_rows = read_sheet(folder / DONORS_FILE, DONOR_COLUMNS, faults)
    sample_rows = read_sheet(folder / SAMPLES_FILE, SAMPLE_COLUMNS, faults)
    _check_donors(donor_rows, faults)
    _check_samples(sample_rows, donor_rows, faults)
    check_ids(DONORS_FILE, "donor_id", donor_rows, faults, is_open=is_open(text.tree))
    check_ids(SAMPLES_FILE, "sample_id", sample_rows, faults, is_open=is_open(text.tree))
    faults += check_labels(DONORS_FILE, ("age_group",), donor_rows)
    faults += check_labels(SAMPLES_FILE, ("condition", "visit", "batch_id"), sample_rows)
    return text.tree, donor_rows, sample_rows


def _check_donors(rows: list[Row], faults: list[Fault]) -> None:
    check_unique(DONORS_FILE, rows, "donor_id", faults)
    sexes: dict[str, tuple[str, int]] = {}
    for row in rows:
        donor_id, sex = row.get("donor_id", ""), row.get("sex_ontology_term_id")
        before = sexes.setdefault(donor_id, (sex, row.line))
        if donor_id and before[0] != sex:
            must = "a donor must have one sex"
            found = f"{sex!r}, and {before[0]!r} in row {before[1]}"
            fix = "Correct one of the rows, or give two people two ids."
            column = "sex_ontology_term_id"
            faults.append(Fault(DONORS_FILE, must, found, fix, row=row.line, column=column))
        region = row.get("region")
        problem = "" if region == UNKNOWN else region_problem(region)
        if problem:
            must = "must be a region code, or unknown"
            fix = region_fix(region)
            faults.append(
                Fault(
                    DONORS_FILE, must, f"{region!r}: {problem}", fix, row=row.line, column="region"
                )
            )


def _check_samples(rows: list[Row], donor_rows: list[Row], faults: list[Fault]) -> None:
    check_unique(SAMPLES_FILE, rows, "sample_id", faults)
    used = check_references(rows, donor_rows, faults)
    visits: dict[tuple[str, str], Row] = {}
    for row in rows:
        _check_hours(row, faults)
        donor_id = row.get("donor_id", "")
        same = visits.setdefault((donor_id, row.get("visit")), row)
        for column in ("visit_day", "condition"):
            if same is not row and same.get(column) != row.get(column):
                must = f"samples of one donor and visit must have one {column}"
                found = f"{row.get(column)!r}, and {same.get(column)!r} in row {same.line}"
                fix = "Give the samples different visits, or the same value."
                faults.append(Fault(SAMPLES_FILE, must, found, fix, row=row.line, column=column))
    for row in donor_rows:
        if rows and row.get("donor_id", "") not in used:
            must = "a donor should have a sample in samples.tsv"
            fix = "Add the sample, or remove the donor."
            found = repr(row.get("donor_id"))
            faults.append(
                Fault(
                    DONORS_FILE,
                    must,
                    found,
                    fix,
                    row=row.line,
                    column="donor_id",
                    severity="warning",
                )
            )


def _check_hours(row: Row, faults: list[Fault]) -> None:
    column = "hours_to_processing"
    text = row.get(column)
    if text == UNKNOWN or (_DECIMAL.fullmatch(text) and float(text) <= MAX_HOURS):
        return
    must = f"must be hours from 0 to {MAX_HOURS}, or empty where they are not known"
    fix = "Write for example 2.5: hours from taking the sample to its processing or freezing."
    faults.append(Fault(SAMPLES_FILE, must, repr(text), fix, row=row.line, column=column))


def _build(
    folder: Path,
    tree: dict[str, Any],
    donor_rows: list[Row],
    sample_rows: list[Row],
    faults: list[Fault],
) -> Registration:
    def get(path: str, default: str = UNKNOWN) -> str:
        return str(lookup(tree, path) or default)

    def group(name: str) -> dict[str, str]:
        return {key: get(f"{name}.{key}") for key in GROUPS[name]}

    cohort_id = get("id")
    region = get("region")
    defaults = {
        column.name: region if column.name == "region" else UNKNOWN for column in DONOR_COLUMNS
    }
    extra = _others(donor_rows, defaults)
    donors = tuple(
        Donor(
            **{name: row.cells.get(name) or default for name, default in defaults.items()},
            extra={name: row.cells[name] for name in extra},
        )
        for row in donor_rows
    )
    terms = lookup(tree, "values.cell_type") or {}
    names = lookup(tree, "values.sample_id") or {}
    uses = _texts(lookup(tree, "data_use"))
    return Registration(
        cohort_id=cohort_id,
        folder=folder,
        title=get("title"),
        description=get("description"),
        source=group("source"),
        steward=group("steward"),
        publisher=group("publisher"),
        license=get("license"),
        region=region,
        programme=get("programme"),
        organism_ontology_term_id=get("organism_ontology_term_id"),
        access=get("access"),
        data_use=tuple(use for use in uses if use not in ("", UNKNOWN)),
        legal_basis=get("legal_basis"),
        purpose=get("purpose"),
        retention=get("retention"),
        withdrawal_policy=get("withdrawal_policy"),
        catalogue=catalogue_facts(tree),
        min_donors=get("disclosure.min_donors"),
        matrix=_matrix(folder, tree),
        columns={
            "barcode": "index",
            **{k: v for k, v in (lookup(tree, "columns") or {}).items() if v},
        },
        cell_types={label: term or UNKNOWN for label, term in terms.items()},
        sample_names={name: given for name, given in names.items() if given},
        donors=donors,
        samples=_samples(sample_rows, tree, cohort_id),
        warnings=tuple(faults),
        exclude=tuple(
            Exclusion(item["column"], _texts(item["values"]), item["reason"])
            for item in lookup(tree, "exclude") or ()
        ),
    )


def _texts(value: str | list[str]) -> tuple[str, ...]:
    """One text or a list of them."""
    return (value,) if isinstance(value, str) else tuple(value)


def _matrix(folder: Path, tree: dict[str, Any]) -> Matrix:
    def get(name: str, default: str = "") -> str:
        return str(lookup(tree, f"matrix.{name}") or default)

    features = (get("keep_features.column"), get("keep_features.value"))
    return Matrix(
        path=folder / get("path"),
        format=get("format"),
        counts=get("counts"),
        gene_column=get("gene_column", "index"),
        gene_namespace=get("gene_namespace", "auto"),
        orientation=get("orientation", "auto"),
        keep_features=features if all(features) else None,
        sha256=get("sha256").replace(UNKNOWN, ""),
        cells=folder / CELLS_FILE if get("cells") == CELLS_FILE else None,
    )


def _samples(rows: Sequence[Row], tree: dict[str, Any], cohort_id: str) -> tuple[Sample, ...]:
    defaulted = {
        name: str(lookup(tree, f"defaults.{name}") or UNKNOWN)
        for name in (
            *("assay_ontology_term_id", "tissue_ontology_term_id"),
            *("tissue_type", "suspension_type"),
        )
    }
    extra = _others(rows, {column.name for column in SAMPLE_COLUMNS})
    return tuple(_sample(row, defaulted, extra, cohort_id) for row in rows)


def _sample(row: Row, defaulted: Mapping[str, str], extra: Sequence[str], cohort_id: str) -> Sample:
    day, hours = row.get("visit_day"), row.get("hours_to_processing")
    return Sample(
        sample_id=row.get("sample_id"),
        donor_id=row.get("donor_id"),
        visit=row.get("visit"),
        visit_day=None if day == UNKNOWN else float(day),
        batch_id=cohort_id if row.get("batch_id") == UNKNOWN else row.get("batch_id"),
        condition=row.get("condition"),
        **{name: row.get(name, default) for name, default in defaulted.items()},
        hours_to_processing=None if hours == UNKNOWN else float(hours),
        extra={name: row.cells[name] for name in extra},
    )


def _others(rows: Sequence[Row], declared: Container[str]) -> list[str]:
    """Columns of a table beside those declared; each row of it has them all."""
    return [name for name in rows[0].cells if name not in declared] if rows else []
