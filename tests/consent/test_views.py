"""Enforcement: who may be used is decided before the first job, and intake takes in nobody else."""

from __future__ import annotations

import ast
import json
from datetime import date
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from ledgers import COMMITTEE, KEY, entry, make_cohort, write_counts

from pmcell.bundle import load_script
from pmcell.consent.entries import Policy
from pmcell.consent.ledger import (
    add_entries,
    agree,
    begin_ledger,
    ledger_path,
    read_ledger,
    with_subjects,
)
from pmcell.consent.subjects import add_keys
from pmcell.consent.views import enforce
from pmcell.errors import FaultsError, UsageError
from pmcell.io.counts.open import open_counts
from pmcell.io.crypt.chain_form import head_path
from pmcell.registry.intake.intake import intake_cohort
from pmcell.release.digest import content_sha256
from pmcell.settings.cohort import IntakeSettings
from pmcell.settings.study import PermitSettings, UseSettings
from repository import ROOT

DONORS = ("anna1", "bert2", "cleo3")
DAY = date(2026, 3, 1)
USE = UseSettings(purpose="health_research")
REGISTERED = load_script("registered")


def begin(folder: Path, donors=DONORS, **fields) -> None:
    keys = add_keys(folder.name, DONORS)
    gave = [entry("give", "2024-01-01", subject=donor, **fields) for donor in donors]
    policy = Policy("p", "consent", "2024-01-01T00:00:00+00:00")
    begin_ledger(folder, policy, with_subjects(gave, keys.subject), key=KEY)


def add(folder: Path, act: str, donor: str, since: str = "2026-01-01", **fields) -> None:
    keys = add_keys(folder.name, DONORS)
    item = entry(act, since, number=9, subject=keys.subject(donor), **fields)
    add_entries(folder, [item], key=KEY)


def digest(folder: Path, results: Path, today: str = "2026-03-01") -> str:
    return REGISTERED.permitted_digest(folder, results, today)


@pytest.fixture
def folder(tmp_path: Path, keys: Path) -> Path:
    return make_cohort(tmp_path / "cohorts" / "c1", DONORS, data_use="[DUO:0000042]", days=True)


def decided(folder: Path, results: Path, use=USE, day=DAY):
    return enforce([folder], results, use=use, day=day)[0][0]


def test_a_withdrawal_changes_the_digest_and_an_entry_that_changes_nobody_does_not(
    folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    assert digest(folder, results) == ""
    begin(folder)
    with pytest.raises(ValueError, match="pmcell run"):
        digest(folder, results)
    view = decided(folder, results)
    assert sorted(view.allowed) == list(DONORS)
    first = digest(folder, results)
    add(folder, "narrow", "bert2", purposes=("DUO:0000006",))
    with pytest.raises(ValueError, match="must be decided"):
        digest(folder, results)
    decided(folder, results)
    assert digest(folder, results) == first
    add(folder, "withdraw", "bert2", since="2026-02-01")
    assert decided(folder, results).dropped == {"withdrawn": 1}
    assert digest(folder, results) != first


def test_an_id_that_left_one_cohort_and_not_another_is_pointed_at(
    folder: Path, tmp_path: Path
) -> None:
    other = make_cohort(tmp_path / "cohorts" / "c2", DONORS, data_use="[DUO:0000042]")
    begin(folder)
    begin(other)
    add(other, "withdraw", "bert2")
    _, [warning] = enforce([folder, other], tmp_path / "results", use=USE, day=DAY)
    assert (warning.severity, warning.file) == ("warning", "c1/consent.jsonl")
    assert "1 ids that withdrew" in str(warning)
    assert "bert2" not in str(warning)


def test_an_id_that_left_beside_one_that_is_spelt_alike_is_pointed_at(
    tmp_path: Path, keys: Path
) -> None:
    names = ("anna1", "Anna-1", "cleo3")
    folder = make_cohort(tmp_path / "cohorts" / "c1", names, data_use="[DUO:0000042]")
    known = add_keys("c1", names)
    gave = [entry("give", "2024-01-01", subject=name) for name in names]
    policy = Policy("p", "consent", "2024-01-01T00:00:00+00:00")
    begin_ledger(folder, policy, with_subjects(gave, known.subject), key=KEY)

    def warnings() -> list[str]:
        found = enforce([folder], tmp_path / "results", use=USE, day=DAY)[1]
        return [str(warning) for warning in found if "spelt alike" in str(warning)]

    assert warnings() == []
    left = entry("withdraw", "2026-01-01", number=9, subject=known.subject("anna1"))
    add_entries(folder, [left], key=KEY)
    [warning] = warnings()
    assert "1 of them" in warning
    assert "anna" not in warning.lower().replace("ids in donors.tsv", "")


def test_a_view_holds_until_the_day_on_which_something_changes(
    folder: Path, tmp_path: Path
) -> None:
    begin(folder, expires="2026-06-30")
    assert decided(folder, tmp_path).valid_until == date(2026, 7, 1)
    assert digest(folder, tmp_path, "2026-06-30")
    with pytest.raises(ValueError, match="must be decided"):
        digest(folder, tmp_path, "2026-07-01")
    assert decided(folder, tmp_path, day=date(2026, 7, 1)).dropped == {"expired": 3}


def test_intake_takes_in_whom_the_view_permits_and_says_how_many_it_does_not(
    folder: Path, tmp_path: Path
) -> None:
    begin(folder, donors=DONORS[:2])
    out = tmp_path / "results" / "cohorts" / "c1"
    with pytest.raises(UsageError, match="is missing"):
        intake_cohort(folder, out)
    add(folder, "withdraw", "bert2")
    with pytest.raises(UsageError, match="pmcell consent views"):
        intake_cohort(folder, out)
    decided(folder, tmp_path / "results")
    report = intake_cohort(folder, out)
    assert report["status"] == "ok", report["message"]
    assert report["consent"]["n_donors_dropped"] == 2
    assert {item["reason"] for item in report["consent"]["dropped"]} == {
        "no consent is recorded",
        "the consent was withdrawn",
    }
    assert set(open_counts(out / "intake.h5ad").read_obs()["donor_id"]) == {"c1:anna1"}
    assert report["metrics"]["n_cells_submitted"] == 80
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"bert2" not in written
    assert b"cleo3" not in written


def test_a_cohort_without_the_donor_is_the_same_as_one_that_never_had_them(
    folder: Path, tmp_path: Path, keys: Path
) -> None:
    begin(folder)
    add(folder, "withdraw", "bert2")
    decided(folder, tmp_path / "results")
    with_ledger = tmp_path / "results" / "cohorts" / "c1"
    intake_cohort(folder, with_ledger)
    other = make_cohort(tmp_path / "never" / "c1", (DONORS[0], DONORS[2]), days=True)
    never = tmp_path / "other" / "cohorts" / "c1"
    intake_cohort(other, never)
    for name in ("donors", "samples", "visits", "gene_ledger"):
        ours, theirs = with_ledger / f"{name}.parquet", never / f"{name}.parquet"
        assert content_sha256(ours) == content_sha256(theirs), name
    ours, theirs = (open_counts(place / "intake.h5ad") for place in (with_ledger, never))
    assert list(ours.cell_ids) == list(theirs.cell_ids)
    for mine, yours in zip(ours.iter_blocks(), theirs.iter_blocks(), strict=True):
        assert np.array_equal(mine.indices, yours.indices)
        assert np.array_equal(mine.data, yours.data)


def describe(folder: Path, donors: tuple[str, ...]) -> None:
    """Values of each donor on two days, cells that are left out, and cells that are warned of."""
    rows = [(d, "T0", "0") for d in donors] + [(d, "T1", "") for d in donors]
    (folder / "measurements.tsv").write_text(
        "donor_id\tvisit\tday\tloinc\tvalue\tunit\n"
        + "".join(f"{d}\t{v}\t{day}\t8867-4\t{60 + len(d)}\t/min\n" for d, v, day in rows)
    )
    text = (folder / "cohort.yaml").read_text()
    more = (
        "exclude:\n"
        "  - {column: call, values: [doublet], reason: doublets}\n"
        "  - {column: call, values: [of bert], reason: a sample that failed}\n"
    )
    (folder / "cohort.yaml").write_text(text + more)
    cells = ad.read_h5ad(folder / "counts.h5ad")
    number = np.arange(cells.n_obs) % 40
    call = np.where(number < 5, "doublet", "singlet").astype(object)
    call[cells.obs["sample_id"].str.startswith("bert2").to_numpy() & (number > 35)] = "of bert"
    cells.obs["call"] = call
    cells.obs["is_primary_data"] = number < 30
    cells.write_h5ad(folder / "counts.h5ad")


def test_no_number_and_no_sentence_counts_who_may_not_be_used(
    folder: Path, tmp_path: Path, keys: Path
) -> None:
    describe(folder, DONORS)
    begin(folder)
    add(folder, "withdraw", "bert2")
    decided(folder, tmp_path / "results")
    ours = tmp_path / "results" / "cohorts" / "c1"
    report = intake_cohort(folder, ours)
    rest = (DONORS[0], DONORS[2])
    other = make_cohort(tmp_path / "never" / "c1", rest, days=True)
    describe(other, rest)
    # Nobody has it there: it would be a misspelt value.
    path = other / "cohort.yaml"
    path.write_text(path.read_text().replace(", values: [of bert]", ", values: [doublet]"))
    theirs = tmp_path / "other" / "cohorts" / "c1"
    never = intake_cohort(other, theirs)
    left_out = never["metrics"]["left_out"]
    never["metrics"]["left_out"] = [item for item in left_out if item["n_cells"]]
    assert report["metrics"] == never["metrics"]
    assert report["metrics"]["left_out"] == [{"reason": "doublets", "n_cells": 20}]
    assert report["message"] == never["message"]
    assert report["faults"] == never["faults"]
    assert len(report["faults"]) == 1
    for name in ("donors", "samples", "visits", "measurements"):
        mine, yours = ours / f"{name}.parquet", theirs / f"{name}.parquet"
        assert content_sha256(mine) == content_sha256(yours), name
    assert set(pd.read_parquet(ours / "measurements.parquet")["donor_id"]) == {
        "c1:anna1",
        "c1:cleo3",
    }


def test_values_outside_the_days_of_a_consent_are_left_out(folder: Path, tmp_path: Path) -> None:
    describe(folder, DONORS)
    begin(folder, visit_days=(0, 30))
    decided(folder, tmp_path / "results")
    out = tmp_path / "results" / "cohorts" / "c1"
    intake_cohort(folder, out)
    assert set(pd.read_parquet(out / "measurements.parquet")["visit"]) == {"T0"}


def test_a_cohort_that_fails_says_nothing_of_who_may_not_be_used(
    folder: Path, tmp_path: Path, keys: Path
) -> None:
    begin(folder, donors=DONORS[:1])
    decided(folder, tmp_path / "results")
    config = IntakeSettings(min_cells=100)
    report = intake_cohort(folder, tmp_path / "results" / "cohorts" / "c1", config=config)
    assert report["reason"] == "too_few_cells"
    assert "found 80." in report["message"]
    assert report["metrics"]["n_cells_submitted"] == 80
    config = IntakeSettings(min_genes=1000)
    report = intake_cohort(folder, tmp_path / "results" / "cohorts" / "c1", config=config)
    assert report["status"] == "quarantined"
    assert report["metrics"]["n_cells_submitted"] == 0


def test_visits_outside_the_days_of_a_consent_are_left_out(folder: Path, tmp_path: Path) -> None:
    begin(folder, visit_days=(0, 30))
    decided(folder, tmp_path / "results")
    out = tmp_path / "results" / "cohorts" / "c1"
    report = intake_cohort(folder, out)
    assert report["metrics"]["n_cells_submitted"] == 120
    assert set(open_counts(out / "intake.h5ad").read_obs()["visit"]) == {"T0"}


def test_visits_whose_day_is_unknown_are_in_no_span_of_days(tmp_path: Path, keys: Path) -> None:
    folder = make_cohort(tmp_path / "c" / "c1", DONORS)
    begin(folder, donors=DONORS[:1], visit_days=(0, 30))
    for donor in DONORS[1:]:
        add(folder, "give", donor, purposes=("DUO:0000042",))
    decided(folder, tmp_path / "results")
    intake_cohort(folder, tmp_path / "results" / "cohorts" / "c1")
    obs = open_counts(tmp_path / "results" / "cohorts" / "c1" / "intake.h5ad").read_obs()
    assert set(obs["donor_id"]) == {"c1:bert2", "c1:cleo3"}


def test_a_cohort_of_whom_nobody_consents_is_quarantined(folder: Path, tmp_path: Path) -> None:
    begin(folder, donors=())
    decided(folder, tmp_path / "results")
    report = intake_cohort(folder, tmp_path / "results" / "cohorts" / "c1")
    assert (report["status"], report["reason"]) == ("quarantined", "consent")


@pytest.mark.parametrize(
    ("data_use", "words"),
    [
        ("[DUO:0000011]", "does not cover health_research"),
        ("['DUO:0000007 MONDO:0005148']", "does not cover health_research"),
        ("[DUO:0000042, DUO:0000021]", "must be met"),
        ("[DUO:0000042, DUO:0000046]", "needs `commercial: false`"),
    ],
)
def test_terms_of_a_cohort_that_do_not_allow_the_use_stop_everything(
    tmp_path: Path, keys: Path, data_use: str, words: str
) -> None:
    good = make_cohort(tmp_path / "c" / "good", DONORS)
    bad = make_cohort(tmp_path / "c" / "bad", DONORS, data_use=data_use)
    begin(good)
    with pytest.raises(FaultsError, match=words) as caught:
        enforce([good, bad], tmp_path / "results", use=USE, day=DAY)
    assert {fault.file for fault in caught.value.faults} == {"bad/cohort.yaml"}
    assert not (tmp_path / "results").exists()


def test_unknown_terms_stop_what_is_not_open_and_are_said_of_what_is(
    tmp_path: Path, keys: Path
) -> None:
    folder = make_cohort(tmp_path / "c" / "c1", DONORS)
    _, warnings = enforce([folder], tmp_path, use=USE, day=DAY)
    assert [fault.found for fault in warnings] == ["data_use: unknown"]
    text = (folder / "cohort.yaml").read_text()
    (folder / "cohort.yaml").write_text(text.replace("access: open", "access: controlled"))
    with pytest.raises(FaultsError, match="must say what uses are allowed"):
        enforce([folder], tmp_path, use=USE, day=DAY)


def test_without_a_ledger_and_a_declared_use_nothing_is_asked_or_written(tmp_path: Path) -> None:
    folder = make_cohort(tmp_path / "c" / "c1", DONORS)
    assert enforce([folder], tmp_path / "results", use=None, day=DAY) == ([], [])
    assert not (tmp_path / "results").exists()


def test_a_ledger_needs_a_declared_use_and_a_permit_that_holds(
    folder: Path, tmp_path: Path
) -> None:
    begin(folder)
    with pytest.raises(UsageError, match="must declare `use`"):
        enforce([folder], tmp_path, use=None, day=DAY)
    for days in ({"expires": date(2026, 2, 28)}, {}):
        since = date(2025, 1, 1) if days else date(2026, 3, 2)
        use = UseSettings(
            purpose="health_research", permit=PermitSettings(id="P1", approved_on=since, **days)
        )
        with pytest.raises(UsageError, match=r"must (hold on|be approved before)"):
            enforce([folder], tmp_path, use=use, day=DAY)
    use = UseSettings(purpose="health_research", conditions=("DUO:21",))
    with pytest.raises(UsageError, match="must be modifiers"):
        enforce([folder], tmp_path, use=use, day=DAY)


def test_the_permit_is_named_with_the_decision(folder: Path, tmp_path: Path) -> None:
    begin(folder)
    add(folder, "opt_out", "anna1", since="2025-06-01")
    permit = PermitSettings(id="P1", approved_on=date(2025, 5, 1))
    use = UseSettings(purpose="health_research", permit=permit)
    view = decided(folder, tmp_path, use)
    assert view.dropped == {}
    assert view.facts["use"]["permit_id"] == "P1"
    later = PermitSettings(id="P2", approved_on=date(2025, 6, 1))
    use = UseSettings(purpose="health_research", permit=later)
    assert decided(folder, tmp_path, use).dropped == {"opted_out": 1}


def test_a_ledger_that_does_not_verify_or_is_gone_stops_everything(
    folder: Path, tmp_path: Path
) -> None:
    begin(folder)
    decided(folder, tmp_path / "results")
    ledger = ledger_path(folder)
    whole = ledger.read_bytes()
    ledger.write_bytes(whole.replace(b"DUO:0000042", b"DUO:0000004", 1))
    with pytest.raises(FaultsError, match=r"c1/consent\.jsonl"):
        decided(folder, tmp_path / "results")
    ledger.unlink()
    head_path(ledger).unlink()
    with pytest.raises(FaultsError, match="must be there: results were made with it"):
        enforce([folder], tmp_path / "results", use=USE, day=DAY)
    with pytest.raises(UsageError, match="had a consent ledger"):
        intake_cohort(folder, tmp_path / "results" / "cohorts" / "c1")


def test_keys_that_are_missing_open_to_others_or_erased(
    folder: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(folder)
    raw = json.loads((keys / "donors.json").read_text())
    del raw["cohorts"]["c1"]["bert2"]
    (keys / "donors.json").write_text(json.dumps(raw))
    assert decided(folder, tmp_path).dropped == {"unlinked": 1}
    (keys / "donors.json").chmod(0o644)
    with pytest.raises(UsageError, match="readable by its owner alone"):
        decided(folder, tmp_path)
    monkeypatch.delenv("PMCELL_DONOR_KEYS_FILE")
    with pytest.raises(UsageError, match="PMCELL_DONOR_KEYS_FILE must name"):
        decided(folder, tmp_path)
    monkeypatch.delenv("PMCELL_SIGNING_KEY_FILE")
    with pytest.raises(UsageError, match="PMCELL_SIGNER_PUBLIC_KEY_FILE must name"):
        decided(folder, tmp_path)


def test_a_committee_must_agree_to_what_allows_more_and_not_to_what_takes_back(
    folder: Path, keys: Path
) -> None:
    import base64

    public = base64.b64encode(COMMITTEE.public_key().public_bytes_raw()).decode()
    policy = Policy("p", "consent", "2024-01-01T00:00:00+00:00", committee=public)
    begin_ledger(folder, policy, [], key=KEY)
    gave = entry("give", "2024-01-01")
    with pytest.raises(FaultsError, match="must be agreed by the committee"):
        add_entries(folder, [gave], key=KEY)
    with pytest.raises(FaultsError, match="does not verify"):
        add_entries(folder, [agree(gave, KEY)], key=KEY)
    add_entries(folder, [agree(gave, COMMITTEE)], key=KEY)
    add_entries(folder, [entry("withdraw", "2025-01-01", number=1)], key=KEY)
    assert len(read_ledger(folder, signers=[KEY.public_key()]).entries) == 2


def test_only_registration_reads_submitted_files() -> None:
    """Everything after intake would have to import a reader of submitted files to see one."""
    allowed = (
        "io/submitted/",
        "registry/",
        "cli/steps/intake.py",
        "cli/register.py",
        "cli/check.py",
    )
    source = ROOT / "src" / "pmcell"
    readers = {}
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [module or ""]
            if any(item.startswith("pmcell.io.submitted.read") for item in names):
                readers[name] = names
    assert "registry/intake/read.py" in readers
    assert [name for name in readers if not name.startswith(allowed)] == []
    rules = {path.name: path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")}
    users = [
        name for name, text in rules.items() if "matrix_files" in text or "--cohort-dir" in text
    ]
    assert sorted(users) == ["common.smk", "register.smk"]


def test_the_counts_of_a_cohort_are_those_of_the_file(tmp_path: Path) -> None:
    write_counts(tmp_path / "a.h5ad", ["s1", "s2"])
    write_counts(tmp_path / "b.h5ad", ["s2"])
    import anndata

    both, one = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in "ab")
    assert np.array_equal(both[40:].X.toarray(), one.X.toarray())
