"""What a field, a foreign key and a table are."""

from __future__ import annotations

from dataclasses import dataclass, field

from pmcell.schema.disclosure import Disclosure


@dataclass(frozen=True)
class Field:
    """One column: `kind` is an Arrow type name (`string`, `int64`, `float64`, `bool`, `list<string>`).

    `ontology` is where the values come from, `term` the concept that they are
    values of, both by prefix: see `ontology_iri` and `term_iri`.
    """

    name: str
    kind: str
    prose: str
    unit: str = ""
    ontology: str = ""
    required: bool = True
    term: str = ""

    @property
    def ontology_iri(self) -> str:
        """Where the ontology of the values is; empty when they come from none."""
        return _ONTOLOGIES.get(self.ontology, "")

    @property
    def term_iri(self) -> str:
        """The concept as an IRI, empty when none is known: PATO:0000047 is biological sex."""
        prefix, _, number = self.term.partition(":")
        base = "http://www.ebi.ac.uk/efo" if prefix == "EFO" else "http://purl.obolibrary.org/obo"
        return f"{base}/{prefix}_{number}" if number else ""


_OBO = "http://purl.obolibrary.org/obo"
_ONTOLOGIES = {
    "CL": f"{_OBO}/cl.owl",
    "DUO": f"{_OBO}/duo.owl",
    "EFO": "http://www.ebi.ac.uk/efo/efo.owl",
    "Ensembl": "https://identifiers.org/ensembl",
    "HANCESTRO": f"{_OBO}/hancestro.owl",
    "HGNC": "https://identifiers.org/hgnc.symbol",
    "HsapDv": f"{_OBO}/hsapdv.owl",
    "LOINC": "http://loinc.org",
    "MONDO": f"{_OBO}/mondo.owl",
    "NCBITaxon": f"{_OBO}/ncbitaxon.owl",
    "PATO": f"{_OBO}/pato.owl",
    "UBERON": f"{_OBO}/uberon.owl",
}


@dataclass(frozen=True)
class ForeignKey:
    """`columns` of this table refer to `references` of `table`, its primary key when empty."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One Parquet table; rows are sorted by `key`, or by `order` where it is given.

    Engines skip whole row groups by the least and greatest value in each:
    `order` and `row_group_size` are chosen for the questions that are asked.

    A table of the release has a `source`, where its rows come from, and a class of
    `disclosure`, what they tell of donors; the tables that steps leave for each other have
    neither. A source is a file of the results (`strata/drivers.parquet`, or
    `cohorts/*/qc_samples.parquet` for one of each published cohort), or a function of
    `pmcell.publish` (`people:donors_frame`) that takes the facts and the atlas and returns
    the rows, or yields them in their order where they are many.
    """

    name: str
    prose: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    foreign_keys: tuple[ForeignKey, ...] = field(default=())
    order: tuple[str, ...] = ()
    row_group_size: int = 100_000
    source: str = ""
    disclosure: Disclosure | None = None

    def __post_init__(self) -> None:
        if bool(self.source) != (self.disclosure is not None):
            raise ValueError(
                f"table {self.name!r} must have both a source and a class of disclosure, or "
                f"neither where no release holds it; got {self.source!r} and {self.disclosure}"
            )
        if self.disclosure is None:
            return
        told = self.disclosure
        names = set(self.columns)
        unknown = sorted({*told.ids, *told.private, *told.strata} - names)
        if unknown:
            raise ValueError(f"disclosure of table {self.name!r} must name its columns, {unknown}")
        strata = {name for name in names if "stratum" in name} - {*told.strata}
        if strata and not told.needs_strata:
            raise ValueError(
                f"columns {sorted(strata)} of table {self.name!r} tell of strata: name them in "
                "`strata` of its disclosure, or set needs_strata"
            )

    @property
    def columns(self) -> list[str]:
        """Names of the fields, in their order."""
        return [item.name for item in self.fields]

    @property
    def row_order(self) -> tuple[str, ...]:
        """Columns by which rows ascend; null comes last."""
        return self.order or self.key

    def field(self, name: str) -> Field:
        """The field called `name`; KeyError if there is none."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(f"table {self.name!r} has no field {name!r}")
