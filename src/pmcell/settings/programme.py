"""What a disease programme declares: one YAML file each in config/programmes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from pmcell.settings.model import Names, Settings, SomeNames, Text, setting
from pmcell.spelling import did_you_mean, repeated

GROUPS, CHANGE = "groups", "change"
ID_FORM = r"^[a-z][a-z0-9_]{0,63}$"

Id = Annotated[str, Field(pattern=ID_FORM, examples=["hba1c"])]
Loinc = Annotated[str, Field(pattern=r"^\d{1,7}-\d$", examples=["59261-8"])]
Term = Annotated[str, Field(pattern=r"^[A-Za-z]+:\d+$", examples=["MONDO:0005148"])]


def _each_once(terms: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted(repeated(terms))[:20]
    if twice:
        raise ValueError(f"must name each once; found {', '.join(twice)} twice")
    return terms


Terms = Annotated[tuple[Term, ...], Strict(False), AfterValidator(_each_once)]


class Coding(Settings):
    """A code of another system for the programme's disease."""

    system: Literal["ICD-10", "ICD-11", "SNOMED CT", "Orphanet"] = setting(..., "code system")
    code: Text = setting(..., "code")
    display: Text = setting(..., "what the system calls it")


class OtherCode(Settings):
    """Another LOINC code whose values become the variable's by a straight line."""

    loinc: Loinc = setting(..., "LOINC code")
    unit: Text = setting(..., "UCUM unit of its values")
    slope: float = setting(..., "what a value in that unit is multiplied by")
    intercept: float = setting(0.0, "what is then added, to reach the variable's unit")
    source: Text = setting(..., "where the line comes from")


class Variation(Settings):
    """How much a value varies in a person whose state does not change, as published."""

    cv_within: float = setting(
        ..., "coefficient of variation within a person, biology alone", gt=0, lt=2
    )
    cv_analytical: float = setting(0.0, "that of the method", ge=0, lt=2)
    n_people: int | None = setting(None, "people that it was estimated from", ge=2, unit="people")
    source: Text = setting(..., "DOI of the estimate")


class Variable(Settings):
    """A clinical variable: its code, the one unit that it is kept in, what it can plausibly be."""

    title: Text = setting(..., "name as it stands in tables")
    loinc: Loinc = setting(..., "LOINC code")
    unit: Text = setting(..., "UCUM unit that all values are brought to")
    low: float = setting(..., "no plausible value is lower")
    high: float = setting(..., "no plausible value is higher")
    molar_mass: float | None = setting(
        None,
        "with it values in mass and amount of substance become one another",
        gt=0,
        unit="g/mol",
    )
    scale: Literal["difference", "ratio"] = setting(
        "difference", "whether changes are differences, or ratios (for positive values)"
    )
    minimal_difference: float | None = setting(
        None, "smallest difference that matters to a person, in the unit; for the power", gt=0
    )
    variation: Variation | None = setting(None, "published variation in a steady state")
    also: tuple[OtherCode, ...] = Field((), strict=False, description="other codes for it")

    @model_validator(mode="after")
    def _the_range_is_one(self) -> Variable:
        if not self.low < self.high:
            raise ValueError(f"low must be less than high; found {self.low:g} and {self.high:g}")
        if self.scale == "ratio" and self.low <= 0:
            raise ValueError(f"low must be above 0 where scale is ratio; found {self.low:g}")
        return self


class ExpectedType(Settings):
    """A cell type that samples of a tissue should hold."""

    tissue: Term = setting(..., "UBERON term of the tissue")
    markers: Names = setting((), "marker genes; by default those of the panel that ships")
    source: str = setting("", "DOI of the markers given here")

    @model_validator(mode="after")
    def _markers_have_a_source(self) -> ExpectedType:
        if self.markers and not self.source:
            raise ValueError("source must be the DOI of the markers; found none")
        return self


class Signature(Settings):
    """Genes whose mean expression stands for a state, with where they were described."""

    title: Text = setting(..., "name as it stands in tables")
    genes: SomeNames = setting(..., "genes that are higher in the state")
    lower_genes: Names = setting((), "genes that are lower in it")
    cell_type: Term | None = setting(None, "CL term of the cells it is read in; by default all")
    source: Text = setting(..., "DOI of the genes, or their publication")


class Contrast(Settings):
    """A comparison that was declared before the data were seen."""

    question: Text = setting(..., "what is asked, in one sentence")
    kind: Literal["groups", "change"] = setting(
        ..., "groups: donors compared at their first visit; change: difference in differences"
    )
    outcome: Text = setting(..., "a variable, a signature, or the CL term of an expected type")
    column: Text = setting(..., "column of donors or visits, or of the study's clinical table")
    group: Text = setting(..., "value of the group, or of the treated")
    reference: Text = setting(..., "value of those it is compared with")


class Programme(Settings):
    """A disease programme: whom it is about, what is measured, what is asked."""

    id: Id = setting(..., "name of the file")
    title: Text = setting(..., "as catalogues and reports show it")
    description: Text = setting(..., "whom it is about, in a sentence or two")
    disease_ontology_term_ids: Terms = setting(
        ...,
        "MONDO terms of its diseases, with all below them; PATO:0000461 for healthy",
        min_length=1,
    )
    health_theme: str = setting("", "code of HealthDCAT-AP for its cohorts")
    codings: tuple[Coding, ...] = Field((), strict=False, description="codes of other systems")
    tissues: Terms = setting((), "UBERON terms of the tissues that it studies, with their parts")
    cell_types: dict[Term, ExpectedType] = setting({}, "CL terms of the cell types it expects")
    variables: dict[Id, Variable] = setting({}, "clinical variables")
    minimal_data_set: Names = setting(
        (), "variables and columns of donors that every donor should have"
    )
    signatures: dict[Id, Signature] = setting({}, "signatures")
    contrasts: dict[Id, Contrast] = setting({}, "contrasts, declared beforehand")
    report: str = setting("", "what a report of its cohorts should tell")

    @property
    def programme_id(self) -> str:
        """The name of its file."""
        return self.id

    @property
    def diseases(self) -> tuple[str, ...]:
        """Terms of its diseases."""
        return self.disease_ontology_term_ids

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its markers, signatures and published variations come from."""
        varied = (variable.variation for variable in self.variables.values())
        named = {part.source for part in varied if part}
        named |= {part.source for part in self.signatures.values()}
        named |= {part.source for part in self.cell_types.values()}
        return tuple(sorted(named - {""}))

    @model_validator(mode="after")
    def _codes_are_of_one_variable(self) -> Programme:
        owner: dict[str, str] = {}
        for name, variable in self.variables.items():
            for code in (variable.loinc, *(other.loinc for other in variable.also)):
                if owner.setdefault(code, name) != name:
                    raise ValueError(
                        f"a LOINC code must belong to one variable; found {code} in "
                        f"{owner[code]} and {name}"
                    )
        return self

    @model_validator(mode="after")
    def _names_are_declared(self) -> Programme:
        known = [*self.variables, *self.signatures, *self.cell_types]
        for name, contrast in self.contrasts.items():
            if contrast.outcome not in known:
                hint = did_you_mean(contrast.outcome, known)
                raise ValueError(
                    f"contrasts.{name}.outcome must be a variable, a signature or an expected "
                    f"cell type of the file; found {contrast.outcome!r}. {hint}".strip()
                )
        allowed = [*self.variables, *DONOR_FACTS]
        for name in self.minimal_data_set:
            if name not in allowed:
                hint = did_you_mean(name, allowed)
                raise ValueError(
                    f"minimal_data_set must name variables of the file, or "
                    f"{', '.join(DONOR_FACTS)}; found {name!r}. {hint}".strip()
                )
        return self


DONOR_FACTS = (
    "age_group",
    "development_stage_ontology_term_id",
    "disease_ontology_term_id",
    "self_reported_ethnicity_ontology_term_id",
    "sex_ontology_term_id",
)
"""Columns of donors.tsv that a minimal data set may ask for."""
