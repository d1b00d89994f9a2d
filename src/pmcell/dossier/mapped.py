"""The dossier of a person who was mapped onto a release with `pmcell map`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.dossier.build import check_mode, finish, least_people, publisher_of
from pmcell.dossier.change import changes
from pmcell.dossier.matching import Likeness, age_band, choose_group, first_visits
from pmcell.dossier.model import (
    RESEARCH,
    Dossier,
    Person,
    Place,
    Sample,
    Source,
    Validation,
    Visit,
)
from pmcell.dossier.people import reference_tables
from pmcell.dossier.placed import no_place, parts_of
from pmcell.dossier.standing import shares
from pmcell.dossier.whose import two_people
from pmcell.errors import DataError, UsageError
from pmcell.io.json_text import parse_json
from pmcell.io.tables import read_table
from pmcell.registry.terms.ontology import resolve
from pmcell.registry.terms.vocabulary import SEXES
from pmcell.release import Release, open_release
from pmcell.release.folder import read_bounded_text
from pmcell.release.reference import reference_digest
from pmcell.schema import UNKNOWN
from pmcell.schema.mapped import (
    ASSIGNED,
    COMPOSITION_FILE,
    FILE,
    MAPPED_COMPOSITION,
    NO_LABEL,
    Mapped,
    MappedVisit,
)
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd


def build_mapped_dossier(
    release: Path | str,
    mapped: Path | str,
    donor_id: str,
    *,
    visit: str | None = None,
    sex: str = UNKNOWN,
    age_group: str = UNKNOWN,
    mode: str = RESEARCH,
    validation: Validation | None = None,
    date: str = "",
) -> Dossier:
    """The dossier of a mapped person.

    Parameters
    ----------
    release
        Folder of the release that the person was mapped onto.
    mapped
        Folder that `pmcell map` wrote.
    donor_id
        The person, as submitted to it.
    sex, age_group
        What the mapping does not know: `female` or `male`, and a band as the release has it.
    visit, mode, validation, date
        As for `build_dossier`.

    Raises
    ------
    UsageError
        No such person or visit, another release, device mode without validation.
    DataError
        The cells are of two people.
    FaultsError
        `mapped.json` is not of the form that this version reads.
    """
    check_mode(mode, validation)
    opened = open_release(Path(release))
    document, composition = read_mapped(Path(mapped), opened)
    own = [item for item in document.visits if item.donor_id == donor_id]
    if not own:
        raise UsageError(
            f"DONOR must be a person in {FILE}; there is none with the id that you gave. Ids of "
            "others are not proposed: each is of a person."
        )
    labels = [item.visit for item in own]
    now = labels[-1] if visit is None else visit
    if now not in labels:
        raise UsageError(
            f"--visit must be one of this person's visits, {', '.join(labels)}; got {now!r}"
        )
    before = labels[labels.index(now) - 1] if labels.index(now) else ""
    about = own[labels.index(now)]
    if about.n_cells_of_another:
        raise two_people(about.n_cells_of_another, f"the cells at visit {now!r}", FILE)
    donors, visits, samples, theirs, strata, _ = reference_tables(opened)
    least = least_people(opened.manifest)
    tissue = document.reference.tissue_ontology_term_id
    people = first_visits(donors, visits, samples)
    age_group = _known_band(age_group, people)
    person = Likeness(donor_id, tissue, UNKNOWN, age_group, _sex_term(sex))
    rows, group = choose_group(people, person, least=least)
    rows_of = {
        name: composition[(composition["donor_id"] == donor_id) & (composition["visit"] == name)]
        for name in (now, before)
    }
    terms = dict(
        zip(composition["cell_type"], composition["cell_type_ontology_term_id"], strict=True)
    )
    told = shares(rows_of[now], theirs, rows, terms=terms, least=least)
    moved = changes(rows_of[before], rows_of[now]) if before else ()
    return finish(
        Dossier(
            mode=mode,
            date=date,
            person=Person(
                donor_id, "mapped", sex, _sex_term(sex), age_group, UNKNOWN, UNKNOWN, UNKNOWN
            ),
            source=_source(opened, donors),
            visit=Visit(now, None, UNKNOWN, about.quality.n_cells),
            visits=tuple(Visit(v.visit, None, UNKNOWN, v.quality.n_cells) for v in own),
            samples=_samples(about, tissue),
            group=group,
            shares=tuple(item for item in told if item.cell_type != NO_LABEL),
            states=(),
            place=_place(about, strata),
            previous_visit=before,
            changes=tuple(item for item in moved if item.cell_type != NO_LABEL),
            movement=None,
            measurements=(),
            notes=tuple(_notes(document, about)),
            unsaid=(),
            validation=validation,
            reference_facts=tuple(_facts(document)),
            n_cells_unsure=about.labels.n_ancestor + about.labels.n_unknown,
        )
    )


def read_mapped(folder: Path, release: Release) -> tuple[Mapped, pd.DataFrame]:
    """The document and the composition of mapped samples; they must be of this release."""

    import pyarrow as pa

    file, table_file = folder / FILE, folder / COMPOSITION_FILE
    for path in (file, table_file):
        if not path.is_file():
            raise UsageError(
                f"--mapped must be a folder that `pmcell map` wrote; {folder} has no {path.name}"
            )
    try:
        document = Mapped.from_json(parse_json(read_bounded_text(file)), file=str(file))
        composition = read_table(table_file, MAPPED_COMPOSITION.columns)
    except (ValueError, pa.ArrowException, OSError) as error:
        raise DataError(
            f"{folder} must hold {FILE} and {COMPOSITION_FILE} as this pmcell writes them; reading "
            f"failed: {error}. Map the samples again.",
            reason="unreadable",
        ) from error
    digest = reference_digest(dict(release.manifest))
    if digest and document.reference.content_sha256 != digest:
        raise UsageError(
            "--mapped must be of the reference of the release that --release names, digest "
            f"{digest[:12]}; it is of {document.reference.content_sha256[:12]}. Map onto this "
            "release, or name the one that was mapped onto."
        )
    version = str(release.manifest["version"])
    if document.reference.release_version != version:
        raise UsageError(
            f"--mapped must be of the release that --release names, version {version}; it is "
            f"of version {document.reference.release_version}. Map onto this release, or name that."
        )
    return document, composition


def _sex_term(sex: str) -> str:
    if sex == UNKNOWN:
        return UNKNOWN
    term = {name: term for term, name in SEXES.items()}.get(sex)
    if term is None:
        raise UsageError(f"--sex must be one of {', '.join(SEXES.values())}; got {sex!r}")
    return term


def _source(release: Release, donors: pd.DataFrame) -> Source:
    manifest = release.manifest
    return Source(
        str(manifest["title"]),
        str(manifest["version"]),
        str(manifest["content_sha256"]),
        str(manifest["pmcell"]),
        str(manifest["schema_version"]),
        UNKNOWN,
        (),
        "the person's own",
        publisher_of(release.folder.text("CITATION.cff")),
        len(donors),
        int(donors["cohort_id"].nunique()),
        "samples mapped onto the release",
    )


def _samples(visit: MappedVisit, tissue: str) -> tuple[Sample, ...]:
    label = resolve(tissue) if ":" in tissue else tissue
    name = label if isinstance(label, str) else tissue
    # What was counted is known of the visit, not of each of its samples.
    one = len(visit.samples) == 1
    quality = visit.quality
    return tuple(
        Sample(
            sample,
            name,
            tissue,
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            visit.batch_id,
            quality.n_cells_submitted if one else None,
            quality.n_cells if one else None,
            quality.median_total_counts if one else None,
            None,
            None,
        )
        for sample in visit.samples
    )


def _place(visit: MappedVisit, strata: pd.DataFrame) -> Place:
    told = visit.stratum
    if told.status != ASSIGNED or told.stratum is None:
        return dataclasses.replace(no_place(told.why or told.status, told.status), ood_p=told.ood_p)
    about = strata[strata["stratum"] == told.stratum]
    drivers = told.drivers or ()
    return Place(
        told.status,
        told.stratum,
        str(about["description"].iloc[0]) if len(about) else "",
        int(about["n_donors"].iloc[0]) if len(about) else None,
        (told.probability or {}).get(told.stratum),
        told.conformal_set,
        told.coverage,
        told.ood_p,
        told.margin,
        parts_of((item.channel, item.cell_type, item.contribution) for item in drivers),
        "",
    )


def _known_band(age_group: str, people: pd.DataFrame) -> str:
    """The age band as the release has it; `UsageError` for one that nobody there is in."""
    band = age_band("", age_group)
    known = sorted(set(as_text(people["age"])) - {UNKNOWN})
    if band not in (UNKNOWN, *known):
        raise UsageError(
            f"--age-group must be an age band of the release: {', '.join(known) or 'it has none'}; "
            f"got {age_group!r}. Without it people of every age are compared with."
        )
    return band


def _notes(document: Mapped, visit: MappedVisit) -> Iterator[str]:
    genes, labels = document.genes, visit.labels
    yield (
        f"{genes.n_shared:,} of the {genes.n_reference:,} genes of the reference were measured "
        f"({100 * genes.share_of_model:.0f} % of what its label model weighs)."
    )
    total = labels.n_leaf + labels.n_ancestor + labels.n_unknown
    if labels.n_ancestor or labels.n_unknown:
        yield (
            f"Of {total:,} cells {labels.n_ancestor:,} could be told to a group of types only and "
            f"{labels.n_unknown:,} not at all ({labels.n_unlike:,} are unlike the reference). "
            "Shares count each cell under its most probable type."
        )
    for item in visit.surprises:
        yield f"No donor of the reference had such a share of {item.cell_type}."
    if visit.residual is not None:
        yield f"Expression outside the model: p {visit.residual.p:.2g} among left-out donors."
    of_files = (text for file in document.files for text in file.notes or ())
    for text in (*visit.warnings, *of_files):
        yield f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _facts(document: Mapped) -> Iterator[str]:
    site = document.unseen_site
    if site.why:
        yield f"At a site that the reference does not know: {site.why}."
    if site.answered_accuracy and site.confident_wrong:
        right, wrong = site.answered_accuracy, site.confident_wrong
        unit = site.unit.removesuffix("_id")
        yield (
            f"With each {unit} left out in turn, {min(right):.2f} to {max(right):.2f} of the "
            f"labels that were given were right; {min(wrong):.2f} to {max(wrong):.2f} of all cells "
            "got a wrong one."
        )
