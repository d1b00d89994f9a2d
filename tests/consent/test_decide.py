"""Decisions on consent, against a slow and obviously right replay of every atomic use."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import DAY, entry, ledger_of

from pmcell.consent.decide import ContradictionError, Decision, decide, next_change
from pmcell.consent.entries import Entry, instant_of
from pmcell.consent.uses import Permit, Use, care_refusals, refusals

RESEARCH = Use("health_research", recipient="A")
TERMS = {
    "DUO:0000042": {"general_research", "health_research", "ancestry_research"},
    "DUO:0000006": {"health_research"},
    "DUO:0000011": {"ancestry_research"},
}
PURPOSES = ("general_research", "health_research", "ancestry_research")
KINDS = ("transcriptome", "clinical")
RECIPIENTS = ("A", "B")


def ask(entries, use=RESEARCH, permit=None, day=DAY, basis="consent") -> Decision:
    return decide(ledger_of(entries, basis=basis), "s", use=use, permit=permit, day=day)


def naive(entries: list[Entry], use: Use, permit: Permit | None, day: date, basis: str) -> bool:
    """Replay day by day; each grant is a set of (purpose, kind, recipient, last day).

    What was recorded before something was taken back, and was to hold later, is taken back, too.
    """
    everything = set(product(PURPOSES, KINDS, RECIPIENTS, [date.max]))
    grants = [everything] if basis == "law" else []
    out_since = None
    limits, gone = [], []

    def to_come(item, act):
        return [
            one
            for one in entries[: entries.index(item)]
            if one.act == act and one.instant > item.instant
        ]

    moments = sorted({item.instant for item in entries})
    for moment in moments:
        if moment.date() > day:
            break
        for item in [one for one in entries if one.instant == moment]:
            if item.act in ("give", "narrow"):
                last = date.fromisoformat(item.expires) if item.expires else date.max
                said = set(
                    product(
                        set.intersection(*(TERMS[term] for term in item.purposes[:1])),
                        item.data or KINDS,
                        item.recipients or RECIPIENTS,
                    )
                )
                if item.act == "give":
                    grant = {(*triple, last) for triple in said}
                    for narrow, kept, until in limits:
                        if item in to_come(narrow, "give"):
                            grant = {(*c[:3], min(c[3], until)) for c in grant if c[:3] in kept}
                    grants += [] if item in gone else [grant]
                else:
                    limits.append((item, said, last))
                    grants = [
                        {(*cell[:3], min(cell[3], last)) for cell in grant if cell[:3] in said}
                        for grant in grants
                    ]
            elif item.act == "withdraw":
                grants = []
                gone += to_come(item, "give")
            elif item.act == "opt_out":
                out_since = min(filter(None, (out_since, *item.days)))
                gone += to_come(item, "opt_in")
            elif item.act == "opt_in" and item not in gone:
                out_since = None
    if out_since is not None and (permit is None or permit.approved_on >= out_since):
        return False
    wanted = [(use.purpose, kind, use.recipient) for kind in use.data]
    return any(
        all(any(cell[:3] == need and cell[3] >= day for cell in grant) for need in wanted)
        for grant in grants
    )


def days(low: int = -6, high: int = 6):
    return st.integers(low, high).map(lambda n: (DAY + timedelta(n)).isoformat())


@st.composite
def histories(draw):
    entries = []
    for number in range(draw(st.integers(0, 7))):
        act = draw(st.sampled_from(["give", "give", "narrow", "withdraw", "opt_out", "opt_in"]))
        fields = {}
        if act in ("give", "narrow"):
            fields = {
                "purposes": (draw(st.sampled_from(sorted(TERMS))),),
                "data": draw(st.sampled_from([(), ("transcriptome",), ("clinical",)])),
                "recipients": draw(st.sampled_from([(), ("A",), ("B",)])),
                "expires": draw(st.sampled_from(["", ""]) | days(0, 8)),
            }
        entries.append(entry(act, draw(days()), number=number, **fields))
    return entries


@settings(max_examples=300, deadline=None)
@given(
    histories(),
    st.builds(
        Use,
        purpose=st.sampled_from(PURPOSES),
        data=st.sampled_from([("transcriptome",), ("transcriptome", "clinical")]),
        recipient=st.sampled_from(RECIPIENTS),
    ),
    st.none() | st.integers(-8, 0).map(lambda n: Permit("x", DAY + timedelta(n))),
    st.sampled_from(["consent", "law"]),
)
def test_decisions_are_those_of_a_replay_of_every_use(entries, use, permit, basis) -> None:
    found = ask(entries, use, permit, basis=basis)
    assert found.allowed == naive(entries, use, permit, DAY, basis)
    assert found.allowed or found.reason


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(0, 6))
def test_what_takes_back_never_allows_more(entries, number) -> None:
    act = ("withdraw", "opt_out")[number % 2]
    later = [*entries, entry(act, DAY.isoformat(), number=99)]
    assert not ask(later).allowed


@settings(max_examples=100, deadline=None)
@given(histories())
def test_nothing_changes_before_the_day_that_is_named(entries) -> None:
    until = next_change(entries, DAY)
    now = ask(entries).allowed
    last = (until or DAY + timedelta(40)) - timedelta(1)
    assert ask(entries, day=last).allowed == now


def test_absent_withdrawn_ended_and_future_consent_are_told_apart() -> None:
    assert ask([]) == Decision(False, "absent")
    assert decide(ledger_of([]), "", use=RESEARCH, permit=None, day=DAY).reason == "unlinked"
    gave = entry("give", "2025-01-01", expires="2026-03-01")
    assert ask([gave]).allowed
    assert ask([gave], day=date(2026, 3, 2)).reason == "expired"
    assert ask([gave, entry("withdraw", "2026-03-01", number=1)]).reason == "withdrawn"
    assert ask([entry("give", "2026-03-02")]).reason == "not_yet"
    assert ask([gave], Use("ancestry_research", recipient="A")).allowed
    assert ask([entry("give", "2025-01-01", data=("clinical",))]).reason == "data"
    assert ask([entry("give", "2025-01-01", recipients=("B",))]).reason == "recipient"
    assert ask([entry("give", "2025-01-01", purposes=("DUO:0000011",))]).reason == "purpose"


def test_an_opt_out_binds_permits_from_its_day_on_and_can_be_taken_back() -> None:
    entries = [entry("give", "2024-01-01"), entry("opt_out", "2025-06-01", number=1)]
    before, same, after = (
        Permit("x", date(2025, 5, 31)),
        Permit("x", date(2025, 6, 1)),
        Permit("x", date(2025, 6, 2)),
    )
    assert ask(entries, permit=before).allowed
    assert ask(entries, permit=same).reason == "opted_out"
    assert ask(entries, permit=after).reason == "opted_out"
    assert ask(entries).reason == "opted_out"
    assert ask([*entries, entry("opt_in", "2025-07-01", number=2)], permit=after).allowed
    again = [*entries, entry("opt_out", "2025-08-01", number=2)]
    assert ask(again, permit=Permit("x", date(2025, 7, 1))).reason == "opted_out"


@pytest.mark.parametrize("moment", ["2025-06-01T23:30:00-05:00", "2025-06-02T00:30:00+02:00"])
def test_an_opt_out_binds_a_permit_of_its_day_in_utc_and_where_it_was_written(moment: str) -> None:
    entries = [entry("give", "2024-01-01"), entry("opt_out", moment, number=1)]
    assert ask(entries, permit=Permit("x", date(2025, 5, 31))).allowed
    assert ask(entries, permit=Permit("x", date(2025, 6, 1))).reason == "opted_out"


def test_acts_of_one_day_count_as_recorded_whatever_was_entered_first() -> None:
    one_day = [entry("withdraw", "2026-01-05"), entry("give", "2026-01-05", number=1)]
    assert ask(one_day).allowed
    assert not ask([*one_day[::-1][:1], entry("withdraw", "2026-01-05", number=2)]).allowed
    late = [entry("withdraw", "2026-02-01"), entry("give", "2026-01-01", number=1)]
    assert ask(late).reason == "withdrawn"


def test_times_are_compared_in_utc() -> None:
    gave = entry("give", "2026-02-01")
    # 00:30 in Rome on 2 March is 1 March in UTC.
    assert not ask([gave, entry("withdraw", "2026-03-02T00:30:00+01:00", number=1)]).allowed
    assert ask([gave, entry("withdraw", "2026-03-01T23:30:00-05:00", number=1)]).allowed
    order = [
        entry("withdraw", "2026-02-10T09:00:00+00:00"),
        entry("give", "2026-02-10T09:00:00+02:00", number=1),
    ]
    assert ask(order).reason == "withdrawn"
    with pytest.raises(ValueError, match="offset"):
        instant_of("2026-02-10T09:00:00")


@pytest.mark.parametrize("pair", [("give", "withdraw"), ("opt_out", "opt_in"), ("narrow", "give")])
def test_entries_that_nothing_puts_in_order_are_an_error(pair) -> None:
    both = [entry(act, "2026-01-05", number=3) for act in pair]
    with pytest.raises(ContradictionError, match="must not disagree about one moment"):
        ask([entry("give", "2025-01-01"), *both])


def test_visit_days_are_kept_with_the_decision() -> None:
    first = entry("give", "2025-01-01", visit_days=(0, 30))
    second = entry("give", "2025-02-01", number=1, visit_days=(60, 90))
    assert ask([first, second]).visit_days == ((0, 30), (60, 90))
    narrowed = entry("narrow", "2025-03-01", number=2, visit_days=(20, 70))
    assert ask([first, second, narrowed]).visit_days == ((20, 30), (60, 70))
    assert ask([first, entry("give", "2025-02-01", number=1)]).visit_days == ()


USES = {
    "general": Use("general_research"),
    "health": Use("health_research"),
    "diabetes 2": Use("disease_research", disease="MONDO:0005148"),
    "diabetes": Use("disease_research", disease="MONDO:0005015"),
    "ancestry": Use("ancestry_research"),
    "methods": Use("methods_research"),
}


@pytest.mark.parametrize(
    ("terms", "allowed"),
    [
        (["DUO:0000004"], set(USES)),
        (["DUO:0000042"], set(USES)),
        (["DUO:0000042", "DUO:0000044"], set(USES) - {"ancestry"}),
        (["DUO:0000006"], {"health", "diabetes", "diabetes 2", "methods"}),
        (["DUO:0000006", "DUO:0000015"], {"health", "diabetes", "diabetes 2"}),
        (["DUO:0000007 MONDO:0005015"], {"diabetes", "diabetes 2"}),
        (["DUO:0000007 MONDO:0005148"], {"diabetes 2"}),
        (["DUO:0000011"], {"ancestry"}),
        (["DUO:0000007 MONDO:0005148", "DUO:0000011"], {"diabetes 2", "ancestry"}),
        (["dpv:ScientificResearch"], set(USES)),
        (["eu-ehds:HealthcareScientificResearch"], {"health", "diabetes", "diabetes 2", "methods"}),
        (["DUO:0000021"], set()),
        ([], set()),
        (["DUO:0000042", "DUO:0000021"], set()),
        (["DUO:0000042", "DUO:0000046"], set()),
    ],
)
def test_terms_allow_what_they_mean(terms, allowed) -> None:
    assert {name for name, use in USES.items() if not refusals(terms, use)} == allowed


def test_modifiers_need_what_they_ask_for() -> None:
    terms = ["DUO:0000042", "DUO:0000018", "DUO:0000021"]
    use = Use("health_research", commercial=False, for_profit=False)
    assert refusals(terms, use) == [
        "DUO:0000021 (ethics approval required) must be met: state it in `conditions` once it is"
    ]
    met = Use(
        "health_research", commercial=False, for_profit=False, conditions=frozenset({"DUO:0000021"})
    )
    assert refusals(terms, met) == []
    assert len(refusals(terms, Use("health_research", commercial=True))) == 3
    care = Use("clinical_care")
    assert care_refusals(["DUO:0000042"], care)
    assert not care_refusals(["DUO:0000042", "DUO:0000043"], care)


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        # A day says no hour: beside a time of it the order of records tells.
        (("give", "2026-02-10T09:00:00+01:00"), ("withdraw", "2026-02-10"), False),
        (("withdraw", "2026-02-10"), ("give", "2026-02-10T09:00:00+01:00"), True),
        (("give", "2026-02-10"), ("withdraw", "2026-02-10T00:30:00+02:00"), False),
        (("give", "2026-02-10T20:00:00-05:00"), ("withdraw", "2026-02-10"), False),
        # What was on file and was to hold later is taken back, too.
        (("give", "2026-02-20"), ("withdraw", "2026-02-10"), False),
        (("withdraw", "2026-02-10"), ("give", "2026-02-20"), True),
        (("give", "2026-02-20"), ("withdraw", "2025-02-10"), True),
    ],
)
def test_which_of_two_entries_came_last(first, second, allowed) -> None:
    entries = [entry(act, day, number=number) for number, (act, day) in enumerate((first, second))]
    assert ask(entries).allowed == allowed


def test_an_opt_in_to_come_does_not_outlive_an_opt_out() -> None:
    entries = [entry("give", "2024-01-01"), entry("opt_in", "2026-02-20", number=1)]
    assert ask([*entries, entry("opt_out", "2026-02-10", number=2)]).reason == "opted_out"


def test_a_day_and_a_time_of_it_recorded_together_contradict() -> None:
    entries = [entry("give", "2026-02-10T09:00:00+01:00"), entry("withdraw", "2026-02-10")]
    with pytest.raises(ContradictionError, match="recorded together"):
        ask(entries)
