"""Consent files that nobody has seen: rows in any order, contradictions, unknown words."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import DAY, KEY, make_cohort

from pmcell.consent.decide import ContradictionError, decide
from pmcell.consent.entries import ACTS, COLUMNS, Entry, Policy, parse_row
from pmcell.consent.ledger import (
    Ledger,
    add_entries,
    begin_ledger,
    entry_faults,
    read_ledger,
    with_subjects,
)
from pmcell.consent.sheets import donor_faults, read_consent_table
from pmcell.consent.subjects import add_keys
from pmcell.consent.uses import Use
from pmcell.consent.views import enforce
from pmcell.errors import FaultsError
from pmcell.io.crypt.chain_form import Head
from pmcell.settings.study import UseSettings

NOW = "2026-01-01T00:00:00.000000+00:00"
DONORS = ("anna1", "bert2", "carl3")
USES = [Use("health_research", recipient="A"), Use("ancestry_research", recipient="B")]
POLICIES = {name: Policy(name, name, NOW) for name in ("consent", "law")}
DAYS = ["2026-02-01", "2026-02-01", "2026-02-20", "2026-03-01", "2026-09-01", "2020-01-01"]


@st.composite
def rows(draw):
    """Rows of a consent table that are right one by one."""
    act = draw(st.sampled_from(ACTS))
    cells = {
        "donor_id": draw(st.sampled_from(DONORS)),
        "act": act,
        "effective_from": draw(st.sampled_from(DAYS)),
        "policy": draw(st.sampled_from(sorted(POLICIES))),
    }
    if act in ("give", "narrow"):
        cells["purposes"] = draw(
            st.sampled_from(["GRU", "HMB", "POA", "HMB; NCU", "DS MONDO:0005148"])
        )
        cells["data"] = draw(st.sampled_from(["", "transcriptome", "clinical"]))
        cells["recipients"] = draw(st.sampled_from(["", "A", "B"]))
        cells["visit_days"] = draw(st.sampled_from(["", "0..9", "5..90"]))
        cells["expires"] = draw(st.sampled_from(["", "2027-01-01"]))
    return cells


def table_of(found) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), restval="")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def entries_of(found):
    parsed = [parse_row(row, file="x", row=None, recorded_at=NOW) for row in found]
    assert not [fault for _, faults in parsed for fault in faults]
    return [entry for entry, _ in parsed]


def ledger_with(entries) -> Ledger:
    by_subject = {name: tuple(e for e in entries if e.subject == name) for name in DONORS}
    head = Head("consent c", 0, 0, "", "")
    return Ledger("c", head, POLICIES, "consent", {k: v for k, v in by_subject.items() if v})


def decisions(entries):
    """What is decided of every donor for every use; a contradiction is one of the answers."""
    found = []
    for name in DONORS:
        for use in USES:
            try:
                found.append(decide(ledger_with(entries), name, use=use, permit=None, day=DAY))
            except ContradictionError as error:
                found.append(str(error).partition(";")[0])
    return found


@settings(max_examples=400, deadline=None)
@given(st.lists(rows(), max_size=7), st.randoms(use_true_random=False))
def test_any_order_of_the_rows_gives_one_decision(found, rng: random.Random) -> None:
    entries = entries_of(found)
    shuffled = entries[:]
    rng.shuffle(shuffled)
    assert decisions(shuffled) == decisions(entries)
    faults = [entry_faults(each, POLICIES, file="x") for each in (entries, shuffled)]
    assert bool(faults[0]) == bool(faults[1])


@settings(max_examples=400, deadline=None)
@given(st.lists(rows(), max_size=7))
def test_a_file_is_refused_exactly_where_it_contradicts_or_repeats_itself(found) -> None:
    entries = entries_of(found)
    opposed = [
        {"give", "narrow"},
        {"give", "withdraw"},
        {"narrow", "withdraw"},
        {"opt_out", "opt_in"},
    ]
    pairs = [
        (one, other)
        for number, one in enumerate(entries)
        for other in entries[number + 1 :]
        if (one.subject, one.instant) == (other.subject, other.instant)
    ]

    def oppose(one: Entry, other: Entry) -> bool:
        is_twice = (
            one.act == "give" and one != other and replace(one, expires=other.expires) == other
        )
        return {one.act, other.act} in opposed or is_twice

    wrong = any(one == other or oppose(one, other) for one, other in pairs)
    assert bool(entry_faults(entries, POLICIES, file="x")) == wrong
    contradicts = {one.subject for one, other in pairs if oppose(one, other)}
    for name in DONORS:
        for use in USES if name in contradicts else ():
            with pytest.raises(ContradictionError, match="must not disagree"):
                decide(ledger_with(entries), name, use=use, permit=None, day=DAY)


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), max_size=7))
def test_nobody_is_allowed_without_a_consent_or_a_law_that_says_so(found) -> None:
    ledger = ledger_with(entries_of(found))
    for name in DONORS:
        now = [entry for entry in ledger.of(name) if entry.day <= DAY]
        gave = any(entry.act == "give" for entry in now)
        by_law = any(entry.policy == "law" for entry in now)
        for use in USES:
            try:
                decision = decide(ledger, name, use=use, permit=None, day=DAY)
            except ContradictionError:
                continue
            assert not decision.allowed or gave or by_law
            assert decision.allowed or decision.reason
            if not now:
                assert decision.reason in ("absent", "not_yet")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(rows(), min_size=1, max_size=5),
    st.sampled_from(["act", "effective_from", "policy", "purposes", "data", "expires", "donor_id"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12),
    st.integers(0, 4),
)
def test_a_word_that_is_not_known_is_an_error_and_nothing_of_the_file_counts(
    tmp_path_factory, found, column, word, number
) -> None:
    row = found[number % len(found)]
    if column in ("purposes", "data", "expires") and row["act"] not in ("give", "narrow"):
        column = "act"
    row[column] = f"?{word}"
    path = tmp_path_factory.mktemp("x") / "x.csv"
    path.write_text(table_of(found), encoding="utf-8")
    with pytest.raises(FaultsError) as caught:
        entries, places = read_consent_table(path, recorded_at=NOW)
        wrong = list(donor_faults(entries, places, DONORS, file="x"))
        wrong += entry_faults(entries, POLICIES, file="x", rows=places)
        if wrong:
            raise FaultsError(wrong)
    assert {fault.row for fault in caught.value.faults} >= {number % len(found) + 2}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(rows(), max_size=6))
def test_who_has_no_entry_is_dropped_and_counted_in_the_view(
    tmp_path_factory, keys: Path, found
) -> None:
    folder = make_cohort(
        tmp_path_factory.mktemp("study") / "cohorts" / "c1", DONORS, data_use="[DUO:0000042]"
    )
    entries = entries_of([row for row in found if row["donor_id"] != "carl3"])
    policies = list(POLICIES.values())
    begin_ledger(folder, policies[1], [], key=KEY)
    from pmcell.consent.ledger import add_policy

    add_policy(folder, policies[0], key=KEY)
    subjects = add_keys("c1", DONORS).subject
    results = folder.parent.parent / "results"
    use = UseSettings(purpose="health_research", recipient="A")
    try:
        add_entries(folder, with_subjects(entries, subjects), key=KEY)
    except FaultsError:
        # Nothing of a file with a fault is recorded.
        assert read_ledger(folder, signers=[KEY.public_key()]).entries == []
        entries = []
    [view], _ = enforce([folder], results, use=use, day=DAY)
    assert sum(view.dropped.values()) + len(view.allowed) == len(DONORS)
    assert "carl3" not in view.allowed
    assert view.dropped["absent"] >= 1
    known = {replace(entry, subject="").act for entry in entries}
    assert known <= set(ACTS)
