"""Put a dossier together: from a donor of a release, or a person mapped onto it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.dossier.change import changes, in_order, movement_of, repeats_of
from pmcell.dossier.matching import Likeness, age_band, choose_group, first_visits
from pmcell.dossier.model import (
    ABOVE,
    BELOW,
    DEVICE,
    MODES,
    RESEARCH,
    WITHIN,
    Dossier,
    Measurement,
    Person,
    Sample,
    Share,
    Source,
    Validation,
    Visit,
)
from pmcell.dossier.people import Found, find_person
from pmcell.dossier.placed import place_of, reference_facts
from pmcell.dossier.ranges import MIN_PEOPLE
from pmcell.dossier.standing import shares, states
from pmcell.dossier.unsaid import notes, unsaid
from pmcell.dossier.whose import doubts_of
from pmcell.errors import UsageError
from pmcell.registry.terms.ontology import resolve, terms
from pmcell.registry.terms.vocabulary import DUO, DUO_CODES, SEXES
from pmcell.schema import UNKNOWN
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

FLAGS = {BELOW: "L", WITHIN: "N", ABOVE: "H"}
"""HL7's codes of an interpretation."""
CLINICAL_CARE = DUO_CODES["CC"]


def build_dossier(
    release: Path | str,
    donor_id: str,
    *,
    visit: str | None = None,
    package: Path | str | None = None,
    mode: str = RESEARCH,
    validation: Validation | None = None,
    date: str = "",
) -> Dossier:
    """The dossier of a donor of a release.

    Parameters
    ----------
    release
        Folder of the release, whose open donors are the people compared with.
    donor_id
        The person, '<cohort>:<donor>'.
    visit
        Label of the visit that the dossier is about; the last by default.
    package
        Sealed package of the person's cohort, where that is not open.
    mode
        `research` (no interpretation) or `device`, which needs a `validation`.
    validation
        As `read_validation` returns it, checked against the release.
    date
        Day of the report (YYYY-MM-DD); '' where it is not to be told.

    Returns
    -------
    Dossier
        Equal arguments give equal dossiers.

    Raises
    ------
    UsageError
        No such donor or visit, a cohort that is not open, device mode without validation.
    DataError
        A broken release, cells of two people; in device mode, cells that may be another's.
    """
    check_mode(mode, validation)
    found = find_person(Path(release), donor_id, package=Path(package) if package else None)
    check_terms(found, mode)
    doubts = doubts_of(found.own["duplicates"], mode)
    own, least = found.own, least_people(found.release.manifest)
    labels = in_order(own["visits"])
    now = labels[-1] if visit is None else visit
    if now not in labels:
        raise UsageError(
            f"--visit must be one of this person's visits, {', '.join(labels)}; got {now!r}"
        )
    before = labels[labels.index(now) - 1] if labels.index(now) else ""
    people = first_visits(found.donors, found.visits, found.samples)
    rows, group = choose_group(people, _likeness(found, now), least=least)
    of_visit = {name: own[name][own[name]["visit"] == now] for name in ("composition", "samples")}
    of_before = own["composition"][own["composition"]["visit"] == before]
    return finish(
        Dossier(
            mode=mode,
            date=date,
            person=person_of(own["donors"].iloc[0]),
            source=source_of(found),
            visit=next(item for item in _visits(own["visits"]) if item.visit == now),
            visits=tuple(sorted(_visits(own["visits"]), key=lambda item: labels.index(item.visit))),
            samples=_samples(of_visit["samples"], own["qc"]),
            group=group,
            shares=shares(
                of_visit["composition"],
                found.composition,
                rows,
                terms=cell_type_terms(),
                least=least,
            ),
            states=states(found.release.folder, donor_id, now, rows, least=least),
            place=place_of(own["assignments"], own["drivers"], found.strata, found.verdict, now),
            previous_visit=before,
            changes=changes(
                of_before,
                of_visit["composition"],
                repeats=repeats_of(own["followup"], now, before),
            )
            if before
            else (),
            movement=movement_of(own["movement"], now),
            measurements=_measurements(own["measurements"]),
            notes=(),
            unsaid=(),
            doubts=doubts,
            validation=validation,
            reference_facts=reference_facts(found.verdict),
        )
    )


def finish(dossier: Dossier) -> Dossier:
    """The dossier with its flags (device mode) and with what to mind and could not be said."""
    if dossier.mode == DEVICE:
        dossier = dataclasses.replace(dossier, shares=tuple(map(_flagged, dossier.shares)))
    said = (*notes(dossier), *dossier.notes)
    return dataclasses.replace(dossier, notes=said, unsaid=unsaid(dossier))


def check_mode(mode: str, validation: Validation | None) -> None:
    """Raise `UsageError` for another mode, or device mode without a validation."""
    if mode not in MODES:
        raise UsageError(f"--mode must be one of {', '.join(MODES)}; got {mode!r}")
    if mode == DEVICE and validation is None:
        raise UsageError(
            "--mode device interprets results for a person's care, which is the use of a medical "
            "device (IVDR, Article 5(5)): it needs --validation FILE, signed by the laboratory "
            "that answers for it. Without one use --mode research."
        )
    if mode == RESEARCH and validation is not None:
        raise UsageError(
            "--validation belongs to --mode device; --mode research interprets nothing"
        )


def least_people(manifest: Mapping[str, Any]) -> int:
    """People below which nothing of a group is told: what the release asks for, 10 at least."""
    asked = manifest.get("min_donors", MIN_PEOPLE)
    return max(int(asked), MIN_PEOPLE) if isinstance(asked, int) else MIN_PEOPLE


def person_of(row: pd.Series) -> Person:
    """What the table `donors` says of the person, in words too."""
    sex, stage, disease = (
        str(as_text([row[name]])[0])
        for name in (
            "sex_ontology_term_id",
            "development_stage_ontology_term_id",
            "disease_ontology_term_id",
        )
    )
    band = age_band(stage, str(as_text([row["age_group"]])[0]))
    return Person(
        str(row["donor_id"]),
        str(row["cohort_id"]),
        SEXES.get(sex, UNKNOWN),
        sex,
        band,
        stage,
        in_words(disease),
        disease,
    )


def in_words(terms_: str) -> str:
    """The labels of terms joined by ' || '; a text that is no term as it is."""
    labels = [resolve(term) if ":" in term else term for term in terms_.split(" || ")]
    pairs = zip(labels, terms_.split(" || "), strict=True)
    return " and ".join(label if isinstance(label, str) else term for label, term in pairs)


def source_of(found: Found) -> Source:
    """The release, its people and the way to the person's rows."""
    manifest = found.release.manifest
    return Source(
        str(manifest["title"]),
        str(manifest["version"]),
        str(manifest["content_sha256"]),
        str(manifest["pmcell"]),
        str(manifest["schema_version"]),
        str(as_text([found.cohort.get("license")])[0]),
        tuple(DUO.get(term, term) for term in terms_of(found)),
        found.access,
        publisher_of(found.release.folder.text("CITATION.cff")),
        len(found.donors),
        int(found.donors["cohort_id"].nunique()),
        found.how,
    )


def terms_of(found: Found) -> tuple[str, ...]:
    """DUO terms that the person's cohort is given out under."""
    listed = found.cohort.get("data_use")
    return () if listed is None else tuple(str(term) for term in listed)


def check_terms(found: Found, mode: str) -> None:
    """Raise `UsageError` for care of a person whose cohort is not given out for care."""
    if mode == DEVICE and CLINICAL_CARE not in terms_of(found):
        cohort_id = found.cohort["cohort_id"]
        raise UsageError(
            f"--mode device is clinical care, and the terms of cohort {cohort_id} "
            f"({', '.join(terms_of(found)) or 'none'}) do not name {CLINICAL_CARE} "
            f"({DUO[CLINICAL_CARE]}). Ask the steward, who adds it to data_use in cohort.yaml "
            "where the consents allow it; or use --mode research."
        )


def publisher_of(citation: str) -> str:
    """The first author of a release's CITATION.cff; `unknown` where it names none."""
    import yaml

    try:
        value = yaml.safe_load(citation)
        author = value["authors"][0]
        names = [author.get("name"), author.get("given-names"), author.get("family-names")]
        return " ".join(str(name) for name in names if name) or UNKNOWN
    except (yaml.YAMLError, TypeError, KeyError, IndexError, AttributeError):
        return UNKNOWN


@lru_cache(maxsize=1)
def cell_type_terms() -> Mapping[str, str]:
    """Cell Ontology id of every current label."""
    return {
        str(term["label"]): name
        for name, term in sorted(terms("CL").items(), reverse=True)
        if not term.get("deprecated")
    }


def _likeness(found: Found, visit: str) -> Likeness:
    samples = found.own["samples"]
    own = as_text(samples[samples["visit"] == visit])
    person = person_of(found.own["donors"].iloc[0])
    tissues, suspensions = (
        sorted(set(own[name])) for name in ("tissue_ontology_term_id", "suspension_type")
    )
    return Likeness(
        person.donor_id,
        # Samples of several tissues at one visit are no one tissue.
        tissues[0] if len(tissues) == 1 else UNKNOWN,
        suspensions[0] if len(suspensions) == 1 else UNKNOWN,
        person.age,
        person.sex_term,
    )


def _flagged(item: Share) -> Share:
    return dataclasses.replace(item, flag=FLAGS.get(item.against_reference, ""))


def _visits(rows: pd.DataFrame) -> list[Visit]:
    return [
        Visit(
            str(row.visit),
            _number(row.visit_day),
            str(as_text([row.condition])[0]),
            int(row.n_cells),
        )
        for row in rows.itertuples()
    ]


def _samples(rows: pd.DataFrame, qc: pd.DataFrame) -> tuple[Sample, ...]:
    quality = {str(row["sample_id"]): row for row in qc.to_dict("records")}
    found = []
    for row in rows.to_dict("records"):
        own = quality.get(str(row["sample_id"]), {})
        text = {name: str(as_text([value])[0]) for name, value in row.items()}
        found.append(
            Sample(
                text["sample_id"],
                in_words(text["tissue_ontology_term_id"]),
                text["tissue_ontology_term_id"],
                in_words(text["assay_ontology_term_id"]),
                text["assay_ontology_term_id"],
                text["suspension_type"],
                text["batch_id"],
                int(row["n_cells_submitted"]),
                int(row["n_cells"]),
                _number(own.get("median_total_counts")),
                _number(own.get("median_genes_detected")),
                _number(own.get("median_share_mitochondrial")),
            )
        )
    return tuple(found)


def _measurements(rows: pd.DataFrame) -> tuple[Measurement, ...]:
    """The person's values, by what was measured and when."""
    found = [
        Measurement(
            str(as_text([row.visit], missing="")[0]),
            _number(row.day),
            str(row.loinc),
            str(row.variable).replace("_", " "),
            float(row.value),
            str(row.unit),
            str(row.source),
            str(row.comparator),
        )
        for row in rows.sort_values(["variable", "loinc", "number"], kind="stable").itertuples()
    ]
    return tuple(found)


def _number(value: Any) -> float | None:
    import pandas as pd

    return None if value is None or pd.isna(value) else float(value)
