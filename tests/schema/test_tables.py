"""A table is spelled once, with its source and its class; one without is refused."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from pmcell.publish.content.sources import require_source
from pmcell.publish.disclosure.audits import CHECKS
from pmcell.publish.disclosure.redact import disclosure_of
from pmcell.publish.disclosure.redactions import RULES
from pmcell.schema import TABLES, Disclosure, Field, Table
from pmcell.schema.disclosure import INDIVIDUAL, OPEN_ONLY
from pmcell.schema.steps import QC_CELLS
from pmcell.schema.tables import gathered

FIELDS = (Field("donor_id", "string", "The donor."), Field("n", "int64", "A number."))


def made(**facts: object) -> Table:
    return Table("made", "A table.", ("donor_id",), FIELDS, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_has_a_source_that_exists_and_a_class_that_can_be_applied(
    table: Table,
) -> None:
    require_source(table)
    assert disclosure_of(table) is table.disclosure


def test_no_rule_and_no_audit_stands_for_a_table_that_is_gone() -> None:
    asked = {table.disclosure.rule for table in TABLES if table.disclosure}
    assert set(RULES) == asked - {""}
    assert set(CHECKS) <= {table.name for table in TABLES}


@pytest.mark.parametrize("facts", [{"source": "a:b"}, {"disclosure": Disclosure(OPEN_ONLY)}])
def test_a_table_with_a_source_alone_or_a_class_alone_is_refused(facts: dict) -> None:
    with pytest.raises(ValueError, match="must have both a source and a class of disclosure"):
        made(**facts)


def test_a_published_table_without_class_is_refused_where_tables_are_gathered() -> None:
    module = ModuleType("pmcell.schema.made")
    module.MADE = made()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"'made' of pmcell\.schema\.made must have a source"):
        list(gathered(module))
    with pytest.raises(ValueError, match="'qc_cells' must have a class of disclosure"):
        disclosure_of(QC_CELLS)
    twice = replace(TABLES[0])
    module.MADE, module.OTHER = TABLES[0], twice  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="must be spelled once"):
        list(gathered(module))


@pytest.mark.parametrize(
    "source", ["made.parquet", "strata/made.csv", "people:nobody", "nowhere:donors_frame", "x"]
)
def test_an_unknown_source_is_refused(source: str) -> None:
    table = made(source=source, disclosure=Disclosure(OPEN_ONLY))
    with pytest.raises(ValueError, match="the source of table 'made' must be"):
        require_source(table)


def test_an_unknown_rule_or_class_is_refused() -> None:
    table = made(source="strata/made.parquet", disclosure=Disclosure(OPEN_ONLY, rule="shown"))
    with pytest.raises(ValueError, match="must name a rule of publish/disclosure"):
        disclosure_of(table)
    with pytest.raises(ValueError, match="kind must be one of individual"):
        Disclosure("public")
    for told in ({"kind": INDIVIDUAL}, {"kind": OPEN_ONLY, "ids": ("donor_id",)}):
        with pytest.raises(ValueError, match="must say by `ids` whose its rows are"):
            Disclosure(**told)


def test_a_disclosure_names_columns_of_its_table_and_all_that_tell_of_strata() -> None:
    with pytest.raises(ValueError, match="must name its columns"):
        made(source="a:b", disclosure=Disclosure(OPEN_ONLY, private=("umis",)))
    fields = (*FIELDS, Field("next_stratum", "string", "The next."))
    with pytest.raises(ValueError, match=r"\['next_stratum'\] of table 'made' tell of strata"):
        replace(made(), fields=fields, source="a:b", disclosure=Disclosure(OPEN_ONLY))
