"""Redaction by class: nothing of a withheld cohort is in a table that its class forbids."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pmcell.io.coded_tables import coded, plain_frame
from pmcell.io.tables import read_table, write_table
from pmcell.publish.atlas import load_atlas
from pmcell.publish.content import tables
from pmcell.publish.content.tables import write_tables
from pmcell.publish.disclosure.atlas import shown_atlas
from pmcell.publish.disclosure.audits import CHECKS, Audit, table_faults
from pmcell.publish.disclosure.hidden import Hidden, hidden_donors
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.redact import redact, redact_coded
from pmcell.publish.disclosure.rules import rules_of
from pmcell.publish.facts import Facts, load_facts
from pmcell.schema import TABLES, Disclosure, Field, Table, table
from pmcell.schema.disclosure import AGGREGATE, INDIVIDUAL, OPEN_ONLY, VECTOR
from strata_tables import with_strata_tables, with_tables

CLOSED = "closed"
OF_COHORT = ("donors", "visits", "samples", "qc_samples", "qc", "gene_ledger")
NAMES = [item.name for item in TABLES]
KEPT = {"passes_qc", "row", "n_donors", "time"}
"""Columns on which the study itself hangs together."""


def changed(results: Path, target: Path) -> Path:
    """The study as it would be if every value of the withheld cohort were another."""
    shutil.copytree(results, target)
    for name in OF_COHORT:
        path = target / "cohorts" / CLOSED / f"{name}.parquet"
        frame = pd.read_parquet(path)
        _other(frame, np.ones(len(frame), bool)).to_parquet(path, index=False)
    for path in sorted((target / "strata").glob("*.parquet")):
        frame = pd.read_parquet(path)
        key = next((name for name in ("donor_id",) if name in frame), None)
        rows = frame[key].str.startswith(f"{CLOSED}:") if key else np.ones(len(frame), bool)
        _other(frame, np.asarray(rows)).to_parquet(path, index=False)
    # What is made of the cells of all cohorts holds theirs, whichever row one looks at.
    for name in ("features", "markers", "annotation"):
        path = target / "atlas" / f"{name}.parquet"
        frame = pd.read_parquet(path)
        _other(frame, np.ones(len(frame), bool)).to_parquet(path, index=False)
    return target


def _other(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Other numbers and facts of persons in `rows`; the keys stay."""
    frame = frame.copy()
    for name in frame.columns:
        if name in KEPT or name.endswith("confidence"):
            continue
        if pd.api.types.is_bool_dtype(frame[name]):
            continue
        if pd.api.types.is_numeric_dtype(frame[name]):
            frame.loc[rows, name] = frame.loc[rows, name] + 1
        elif name in ("sex_ontology_term_id", "disease_ontology_term_id", "description"):
            frame.loc[rows, name] = "other"
    return frame


def write(results: Path, folder: Path) -> dict[str, pd.DataFrame]:
    facts = load_facts(results)
    write_tables(facts, shown_atlas(facts, load_atlas(results)), folder)
    return {name: read_table(folder / f"{name}.parquet") for name in NAMES}


def made(root: Path, access: dict[str, str]) -> Path:
    results = with_tables(root, access)
    with_strata_tables(results)
    return results


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("study"), {})


@pytest.fixture(scope="module")
def two(
    study: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Tables of the study, and of the one with other values of the withheld cohort."""
    root = tmp_path_factory.mktemp("two")
    return write(study, root / "one"), write(changed(study, root / "results"), root / "other")


@pytest.fixture(scope="module")
def ungated(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables as the writers make them, with nothing redacted."""
    root = tmp_path_factory.mktemp("ungated")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("redact", "redact_coded"):
            patch.setattr(tables, name, lambda table, rows, policy: rows)
        facts = load_facts(study)
        write_tables(facts, load_atlas(study), root / "tables")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_no_table_changes_with_the_values_of_a_few_withheld_donors(
    name: str, two: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]
) -> None:
    one, other = two
    pd.testing.assert_frame_equal(one[name], other[name])


def test_values_that_were_changed_are_in_what_is_not_redacted(
    study: Path, ungated: Path, tmp_path: Path
) -> None:
    results = changed(study, tmp_path / "results")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("redact", "redact_coded"):
            patch.setattr(tables, name, lambda table, rows, policy: rows)
        write_tables(load_facts(results), load_atlas(results), tmp_path / "tables")
    differ = {
        name
        for name in NAMES
        if not read_table(ungated / "tables" / f"{name}.parquet").equals(
            read_table(tmp_path / "tables" / f"{name}.parquet")
        )
    }
    assert differ >= {
        *("genes", "gene_ledger", "clusters", "markers", "composition", "strata", "assignments"),
        *("associations", "drivers", "composition_shifts", "movement", "outcomes", "survival"),
        *("expression_contrasts", "differential_expression", "pathways", "gene_drivers"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_table_names_a_withheld_donor(
    name: str, two: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]
) -> None:
    for frame in two:
        for column in frame[name].select_dtypes(object):
            values = frame[name][column].dropna()
            assert not any(str(value).startswith(f"{CLOSED}:") for value in values), column


def test_the_audit_finds_what_redaction_would_have_taken_out(study: Path, ungated: Path) -> None:
    facts = load_facts(study)
    audit = Audit(facts, ungated, hidden_donors(facts))
    found = {Path(fault.file).stem for fault in table_faults(audit)}
    assert found >= {
        *("cohorts", "genes", "gene_ledger", "clusters", "composition", "strata", "assignments"),
        *("associations", "drivers", "composition_shifts", "movement", "outcomes", "survival"),
        *("expression_contrasts", "differential_expression", "pathways", "gene_drivers", "runtime"),
    }


def test_the_audit_finds_nothing_in_what_was_redacted(study: Path, tmp_path: Path) -> None:
    write(study, tmp_path / "tables")
    facts = load_facts(study)
    assert list(table_faults(Audit(facts, tmp_path, hidden_donors(facts)))) == []


def _hidden(facts: Facts, n_donors: dict[str, int]) -> Hidden:
    """Withheld donors, so many in each stratum."""
    members = {name: frozenset(f"{name}-{k}" for k in range(n)) for name, n in n_donors.items()}
    everyone = frozenset().union(*members.values())
    return Hidden({}, everyone, everyone, members, rules_of(facts))


@pytest.mark.parametrize(("n_withheld", "is_told"), [(0, True), (1, False), (9, False), (10, True)])
def test_the_stability_of_a_stratum_with_a_few_withheld_donors_is_not_told(
    n_withheld: int, is_told: bool, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = load_facts(study)
    hidden = _hidden(facts, {"S1": n_withheld, "S2": 10})
    policy = Policy(facts)
    monkeypatch.setattr(Policy, "hidden", hidden)
    frame = read_table(study / "strata" / "strata.parquet")
    shown = redact(table("strata"), frame, policy).set_index("stratum")
    assert bool(np.isfinite(shown.at["S1", "stability"])) is is_told
    assert (shown.at["S1", "description"] != "withheld") is is_told

    columns = {f.column for f in CHECKS["strata"](_audit_of(facts, frame, tmp_path, hidden))}
    assert columns == (set() if is_told else {"description", "stability"})


def _audit_of(facts: Facts, frame: pd.DataFrame, folder: Path, hidden: Hidden) -> Audit:
    """The audit of a release with one table, as it was before redaction."""
    (folder / "tables").mkdir()
    write_table(folder / "tables" / "strata.parquet", frame, table("strata"))
    return Audit(facts, folder, hidden)


def new(kind: str, **facts: object) -> Table:
    """A table that somebody adds, with nothing but its class."""
    fields = (Field("donor_id", "string", "The donor."), Field("n", "int64", "A number."))
    told = Disclosure(kind, **facts)  # type: ignore[arg-type]
    source = "strata/new.parquet"
    return Table("new", "New.", ("donor_id",), fields, source=source, disclosure=told)


@pytest.mark.parametrize("kind", [AGGREGATE, VECTOR, OPEN_ONLY])
def test_a_new_table_over_donors_has_no_rows_once_a_cohort_is_withheld(
    kind: str, study: Path, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"donor_id": ["alpha:D0"], "n": [1]})
    assert redact(new(kind), frame, Policy(load_facts(study))).empty
    shown = load_facts(made(tmp_path, {CLOSED: "open"}))
    assert len(redact(new(kind), frame, Policy(shown))) == 1


def test_a_new_table_about_individuals_has_rows_of_published_cohorts_only(study: Path) -> None:
    ids = ["alpha:D0", "closed:D1", "nobody:D2", None, "alpha-2:D3", "alpha"]
    frame = pd.DataFrame({"donor_id": ids, "n": range(6)})
    shown = redact(new(INDIVIDUAL, ids=("donor_id",)), frame, Policy(load_facts(study)))
    assert shown["donor_id"].tolist() == ["alpha:D0", "alpha-2:D3"]


def test_pairs_are_shown_where_both_donors_are(study: Path) -> None:
    pairs = [("alpha:D0", "alpha:D1"), ("alpha:D0", "closed:D1"), ("closed:D1", "alpha:D0")]
    frame = pd.DataFrame(pairs, columns=["donor_id", "other_donor_id"])
    shown = redact(table("donor_distances"), frame, Policy(load_facts(study)))
    assert shown.index.tolist() == [0]


def test_a_table_over_donors_that_nobody_audits_must_be_empty(
    study: Path, ungated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {name: check for name, check in CHECKS.items() if name != "associations"}
    monkeypatch.setattr("pmcell.publish.disclosure.audits.CHECKS", checks)
    facts = load_facts(study)
    faults = list(table_faults(Audit(facts, ungated, hidden_donors(facts))))
    own = [fault for fault in faults if fault.file == "tables/associations.parquet"]
    assert [fault.reason for fault in own] == ["rows"]
    assert "over donors of all cohorts" in own[0].found


def test_where_strata_are_withheld_no_table_tells_of_one(tmp_path: Path) -> None:
    from results_folder import make_results

    written = write(make_results(tmp_path, decision="continuum"), tmp_path / "tables")
    told = [
        (name, column)
        for name, frame in written.items()
        for column in frame
        if "stratum" in column and frame[column].notna().any()
    ]
    assert told == []
    assert len(written["assignments"]) > 0


def test_rows_in_codes_are_redacted_as_rows_of_frames_are(shared_results: Path) -> None:
    policy = Policy(load_facts(shared_results))
    samples = np.array(["alpha:S0a", "closed:S0a"])
    counts = np.array([3, 4])
    rows = pa.table({"sample_id": coded(np.arange(2), samples), "counts": counts})
    shown = redact_coded(table("pseudobulk"), rows, policy)
    assert plain_frame(shown)["sample_id"].tolist() == ["alpha:S0a"]
    assert redact(table("pseudobulk"), plain_frame(rows), policy)["counts"].tolist() == [3]


@pytest.mark.parametrize("access", ["open", "controlled"])
@pytest.mark.parametrize("decision", ["strata", "continuum"])
def test_contrasts_in_codes_are_redacted_as_frames_are(
    tmp_path: Path, decision: str, access: str
) -> None:
    from results_folder import make_results

    results = make_results(tmp_path, decision=decision, access={"closed": access})
    policy = Policy(load_facts(results))
    contrasts = np.array(["condition", "stratum"])
    rows = pa.table(
        {
            "contrast": coded(np.array([0, 1, 1]), contrasts),
            "level": coded(np.array([0, 1, 0]), np.array(["all", "S1"])),
            "q_value": [0.1, None, 0.3],
        }
    )
    of_genes = table("differential_expression")
    shown = plain_frame(redact_coded(of_genes, rows, policy))
    expected = redact(of_genes, plain_frame(rows), policy)
    pd.testing.assert_frame_equal(shown, expected.reset_index(drop=True))
    assert len(shown) == (0 if access == "controlled" else 3 if decision == "strata" else 2)


def test_a_table_with_other_rules_is_not_redacted_by_codes(shared_results: Path) -> None:
    policy = Policy(load_facts(shared_results))
    with pytest.raises(ValueError, match="table 'clusters' must be of rows about single people"):
        redact_coded(table("clusters"), pa.table({"cluster": ["0"]}), policy)
