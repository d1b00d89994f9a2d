"""A cohort as its steward registered it: donors, samples, visits, the submitted file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.errors import Fault, UsageError
from pmcell.registry.cohorts.measurements import Measurement
from pmcell.schema import UNKNOWN
from pmcell.spelling import did_you_mean


@dataclass(frozen=True)
class Donor:
    """One person; `donor_id` is the submitted id, local to the cohort."""

    donor_id: str
    sex_ontology_term_id: str
    self_reported_ethnicity_ontology_term_id: str
    development_stage_ontology_term_id: str
    disease_ontology_term_id: str
    age_group: str
    region: str
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One library; `visit_day` is None where it is not known, `batch_id` is global."""

    sample_id: str
    donor_id: str
    visit: str
    visit_day: float | None
    batch_id: str
    condition: str
    assay_ontology_term_id: str
    tissue_ontology_term_id: str
    tissue_type: str
    suspension_type: str
    hours_to_processing: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Visit:
    """One time point of a donor."""

    donor_id: str
    visit: str
    visit_day: float | None
    condition: str


@dataclass(frozen=True)
class Matrix:
    """The submitted file: where it is, its form, and which of its matrices holds raw counts.

    `sha256` is the sender's digest of the file, empty where none was stated; `cells` the table
    that says more of its cells, if there is one.
    """

    path: Path
    format: str
    counts: str
    gene_column: str
    gene_namespace: str
    orientation: str
    keep_features: tuple[str, str] | None
    sha256: str = ""
    cells: Path | None = None


@dataclass(frozen=True)
class Exclusion:
    """Cells to leave out: those with one of `values` in a column of obs, and why."""

    column: str
    values: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Registration:
    """A cohort as its steward registered it; ids are those of the submission.

    `cell_types` maps the source's cell types to Cell Ontology terms,
    `sample_names` those of its sample names that are not ids to sample ids;
    `catalogue` holds what was given for a record in a data catalogue;
    `programme_report` and `programme_sources` are what its programme says of itself;
    `measurements` are clinical values; `warnings` are the faults that do not stop the cohort.
    """

    cohort_id: str
    folder: Path
    title: str
    description: str
    source: Mapping[str, str]
    steward: Mapping[str, str]
    publisher: Mapping[str, str]
    license: str
    region: str
    programme: str
    organism_ontology_term_id: str
    access: str
    data_use: tuple[str, ...]
    legal_basis: str
    purpose: str
    retention: str
    withdrawal_policy: str
    catalogue: Mapping[str, Any]
    matrix: Matrix
    columns: Mapping[str, str]
    cell_types: Mapping[str, str]
    sample_names: Mapping[str, str]
    donors: tuple[Donor, ...]
    samples: tuple[Sample, ...]
    measurements: tuple[Measurement, ...] = ()
    warnings: tuple[Fault, ...] = ()
    min_donors: str = UNKNOWN
    exclude: tuple[Exclusion, ...] = ()
    programme_report: str = ""
    programme_sources: tuple[str, ...] = ()

    def require_donor(self, donor_id: str, option: str) -> None:
        """`UsageError` that names `option` and the nearest id where no such donor is registered."""
        known = [item.donor_id for item in self.donors]
        if donor_id not in known:
            raise UsageError(
                f"{option} must be one of donors.tsv of {self.cohort_id}; got {donor_id!r}. "
                f"{did_you_mean(donor_id, known)}".strip()
            )

    def donor(self, donor_id: str) -> Donor:
        """The donor with this submitted id; KeyError if there is none."""
        for donor in self.donors:
            if donor.donor_id == donor_id:
                return donor
        raise KeyError(donor_id)

    def visits(self) -> tuple[Visit, ...]:
        """The time points that samples name, one a donor and visit, in order of the samples."""
        found: dict[tuple[str, str], Visit] = {}
        for sample in self.samples:
            visit = Visit(sample.donor_id, sample.visit, sample.visit_day, sample.condition)
            found.setdefault((sample.donor_id, sample.visit), visit)
        return tuple(found.values())

    def facts(self) -> dict[str, Any]:
        """What a release needs of cohort.yaml, as JSON values; no path, no person's row."""
        return {
            "cohort_id": self.cohort_id,
            "title": self.title,
            "description": self.description,
            "source": dict(self.source),
            "steward": dict(self.steward),
            "publisher": dict(self.publisher),
            "license": self.license,
            "region": self.region,
            "programme": self.programme,
            "programme_report": self.programme_report,
            "programme_sources": list(self.programme_sources),
            "organism_ontology_term_id": self.organism_ontology_term_id,
            "access": self.access,
            "data_use": list(self.data_use),
            "legal_basis": self.legal_basis,
            "purpose": self.purpose,
            "retention": self.retention,
            "withdrawal_policy": self.withdrawal_policy,
            "disclosure": {"min_donors": self.min_donors},
            "catalogue": dict(self.catalogue),
        }
