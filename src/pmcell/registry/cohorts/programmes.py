"""Disease programmes: one YAML file each in config/programmes, checked whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pmcell.errors import Fault, FaultsError
from pmcell.registry.cohorts.gathered import gather
from pmcell.registry.measurements.loinc import loinc_problem
from pmcell.registry.measurements.units import UnitError, line_between, unit_problem
from pmcell.registry.terms.cell_types import name_of
from pmcell.registry.terms.marker_panel import CellTypeMarkers, marker_panel
from pmcell.registry.terms.ontology import is_under
from pmcell.registry.terms.rules import check_term
from pmcell.settings.check import checked
from pmcell.settings.programme import Programme
from pmcell.settings.yaml_lines import Document, Place, read_document

MAX_VALUES = 10_000
"""Values of a file: what a programme that people wrote never has."""
MAX_HINTS = 20
"""Faults after which the nearest terms are no longer looked for: it takes long."""

__all__ = ["Programme", "expected_markers", "load_programme", "load_programmes", "programme_of"]


def load_programmes(folder: Path | str) -> list[Programme]:
    """The programmes of a folder, by file name; `FaultsError` with everything that is wrong."""
    faults: list[Fault] = []
    programmes = []
    for path in sorted(Path(folder).glob("*.yaml")):
        programme, own = read_programme(path)
        faults += own
        if programme is not None:
            programmes.append(programme)
    if faults:
        raise FaultsError(faults)
    return programmes


def load_programme(path: Path | str) -> Programme:
    """The programme of a file, with its terms, codes, units and genes looked up as well.

    Raises
    ------
    FaultsError
        With everything that is wrong, each with its key and line.
    """
    programme, faults = read_programme(Path(path), look_up=True)
    if programme is None or faults:
        raise FaultsError(faults)
    return programme


def read_programme(path: Path, *, look_up: bool = False) -> tuple[Programme | None, list[Fault]]:
    """The programme of a file (None where its form is wrong), and all faults.

    With `look_up` terms are sought in their ontologies, LOINC check digits made again, units
    parsed and genes sought, which takes a second or two.
    """
    document = read_document(path, max_values=MAX_VALUES)
    # A programme is named as cohorts name it, wherever the study lies.
    document.name = path.name
    document.faults = [replace(fault, file=path.name) for fault in document.faults]
    programme = None
    if not document.faults:
        programme = checked(Programme, document.values, document)
    if programme is not None:
        if programme.id != path.stem:
            must, fix = "must be the name of the file", f"Write {path.stem}, or rename the file."
            document.add(must, repr(programme.id), fix, ("id",))
        if look_up:
            _look_up(programme, document)
    return programme, gather(sorted(document.faults, key=lambda fault: fault.row or 0))


def programme_of(diseases: set[str], programmes: list[Programme]) -> str | None:
    """The one programme that the most of `diseases` fall under, healthy donors aside."""
    counted = {
        programme.programme_id: sum(is_under(term, programme.diseases) for term in diseases)
        for programme in programmes
    }
    patients = {name: n for name, n in counted.items() if n and name != "healthy"}
    counted = patients or {name: n for name, n in counted.items() if n}
    best = [name for name, n in counted.items() if n == max(counted.values())]
    return best[0] if len(best) == 1 else None


def expected_markers(programmes: Iterable[Programme]) -> tuple[CellTypeMarkers, ...]:
    """Types that programmes expect with markers of their own, as rows of the marker panel.

    A type without markers of its own is told by those of the panel that ships.
    """
    return tuple(
        CellTypeMarkers(
            name_of(term), term, (expected.tissue,), expected.markers, (), expected.source
        )
        for programme in programmes
        for term, expected in programme.cell_types.items()
        if expected.markers
    )


def _look_up(programme: Programme, document: Document) -> None:
    """Add a fault for each term, code, unit and gene that there is not."""
    for at, term in enumerate(programme.diseases):
        _check_term(term, "disease_ontology_term_id", ("disease_ontology_term_ids", at), document)
    for at, term in enumerate(programme.tissues):
        _check_term(term, "tissue_ontology_term_id", ("tissues", at), document)
    panel = {row.term_id for row in marker_panel()}
    for term, expected in programme.cell_types.items():
        place: Place = ("cell_types", term)
        _check_term(term, "cell_type", place, document)
        _check_term(expected.tissue, "tissue_ontology_term_id", (*place, "tissue"), document)
        _check_genes(expected.markers, (*place, "markers"), document)
        if not expected.markers and term not in panel:
            must = "must have markers, for the panel that ships has none"
            document.add(must, term, "Add markers and their source.", place)
    for name, variable in programme.variables.items():
        place = ("variables", name)
        _check_code(variable.loinc, (*place, "loinc"), document)
        _check_unit(variable.unit, (*place, "unit"), document)
        for at, other in enumerate(variable.also):
            _check_code(other.loinc, (*place, "also", at, "loinc"), document)
            _check_unit(other.unit, (*place, "also", at, "unit"), document)
    for name, signature in programme.signatures.items():
        place = ("signatures", name)
        if signature.cell_type:
            _check_term(signature.cell_type, "cell_type", (*place, "cell_type"), document)
        _check_genes(signature.genes, (*place, "genes"), document)
        _check_genes(signature.lower_genes, (*place, "lower_genes"), document)


def _check_term(term: str, column: str, place: Place, document: Document) -> None:
    hint = len(document.faults) < MAX_HINTS
    fault = check_term(term, column, file=document.name, hint=hint)
    if fault is not None:
        document.add(fault.must, fault.found, fault.fix, place)


def _check_code(code: str, place: Place, document: Document) -> None:
    problem = loinc_problem(code)
    if problem:
        document.add("must be a LOINC code", f"{code!r}: {problem}", "Look it up.", place)


def _check_unit(unit: str, place: Place, document: Document) -> None:
    problem = unit_problem(unit)
    if not problem:
        try:
            line_between(unit, unit)
        except UnitError as error:
            problem = str(error)
    if problem:
        fix = "Look it up on ucum.org; UCUM tells case apart."
        document.add("must be a UCUM unit", f"{unit!r}: {problem}", fix, place)


def _check_genes(genes: tuple[str, ...], place: Place, document: Document) -> None:
    from pmcell.registry.terms.genes import map_genes

    if not genes:
        return
    mapping = map_genes(list(genes))
    for at, (gene, gene_id) in enumerate(zip(genes, mapping.gene_id, strict=True)):
        if not gene_id:
            must = "must be a gene symbol or Ensembl id of the annotation"
            document.add(must, f"{gene!r}: {mapping.why[at]}", "Correct it.", (*place, at))
