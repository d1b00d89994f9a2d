"""Consent from tables and FHIR: every fault at once, nothing understood by half, and back again."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import KEY, entry, ledger_of

from pmcell.consent.data_period import period_of, read_first_visits, visit_days_of
from pmcell.consent.entries import COLUMNS, Policy, parse_row
from pmcell.consent.fhir.export import as_bundle
from pmcell.consent.fhir.resources import read_consents
from pmcell.consent.ledger import begin_ledger, entry_faults, read_ledger
from pmcell.consent.receipts import as_records
from pmcell.consent.sheets import donor_faults, read_consent_table, spelling_faults
from pmcell.errors import FaultsError, UsageError

NOW = "2026-01-01T00:00:00.000000+00:00"
HEADER = "\t".join(COLUMNS) + "\n"
GOOD = [
    "d1\tgive\t2024-01-01\tp\tGRU\t\t\t\t\t" + "a" * 64,
    "d2\tgive\t2024-01-01T09:00:00+02:00\tp\tDS MONDO:0005148; NCU\ttranscriptome\t0..28\tA; B"
    "\t2030-12-31\t",
    "d1\twithdraw\t2025-01-01\tp\t\t\t\t\t\t",
]
BAD = [
    ("\tgive\t2024-01-01\tp\tGRU\t\t\t\t\t", "column 'donor_id': must be given"),
    ("d1\tgve\t2024-01-01\tp\tGRU\t\t\t\t\t", "Did you mean 'give'"),
    ("d1\tgive\t01.02.2024\tp\tGRU\t\t\t\t\t", "must be a day"),
    ("d1\tgive\t0001-01-01T00:00+14:00\tp\tGRU\t\t\t\t\t", "must be a day"),
    ("d1\tgive\t2024-02-30\tp\tGRU\t\t\t\t\t", "must be a day"),
    ("d1\tgive\t2024-02-01T10:00\tp\tGRU\t\t\t\t\t", "a time with its offset"),
    ("d1\tgive\t2024-01-01\tp\tGRX\t\t\t\t\t", "must be terms of DUO or DPV"),
    ("d1\tgive\t2024-01-01\tp\t\t\t\t\t\t", "must hold a permission"),
    ("d1\tgive\t2024-01-01\tp\tNCU\t\t\t\t\t", "must hold a permission"),
    ("d1\tgive\t2024-01-01\tp\tDS\t\t\t\t\t", "must name the disease"),
    ("d1\tgive\t2024-01-01\tp\tGRU\tgenome\t\t\t\t", "must be kinds of data"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t28..0\t\t\t", "must not end before it begins"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\tearly\t\t\t", "must be two days"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\t\t2023-01-01\t", "must not lie before"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\t\tsoon\t", "must be a day"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\t\t\tabc", "must be a SHA-256"),
    ("d1\twithdraw\t2024-01-01\tp\tGRU\t\t\t\t\t", "must be empty for withdraw"),
    ("d1\twithdraw\t1447-09-12\tp\t\t\t\t\t\t", "must lie in the years 1970 to 2056"),
    ("d1\twithdraw\t2569-03-01\tp\t\t\t\t\t\t", "other calendars count other years"),
    ("d1\topt_out\t2082-11-17\tp\t\t\t\t\t\t", "must lie in the years 1970 to 2056"),
    ("d1\tgive\t0115-03-01\tp\tGRU\t\t\t\t\t", "must lie in the years"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\t\t2569-12-31\t", "must lie in the years 1970 to 2126"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\t\t5786-12-31\t", "must lie in the years 1970 to 2126"),
    ("d1\tgive\t٢٠٢٤-٠١-٠١\tp\tGRU\t\t\t\t\t", "must be a day"),
    ("d1\tgive\t2024-W09-1\tp\tGRU\t\t\t\t\t", "must be a day"),
    ("d1\tgive\t2024-02-01T10:00 CET\tp\tGRU\t\t\t\t\t", "must be a day"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\tunknown\t\t", "must be names of those who may"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\tall but Acme\t\t", "must be names of those who may"),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\tA; nobody\t\t", "must be names of those who may"),
    *(
        (f"d1\tgive\t2024-01-01\tp\tGRU\t\t\t{name}\t\t", "must be names of those who may")
        for name in ("keiner", "tous sauf Pharma", "nessuno", "!Acme", "-Acme", "ohne Firmen")
    ),
    ("d1\tgive\t2024-01-01\tp\tGRU\t\t\tA\u0336c\u0336me\t\t", "must be text that can be seen"),
    ("d\u202e1\tgive\t2024-01-01\tp\tGRU\t\t\t\t\t", "must be text that can be seen"),
]


def write(path: Path, rows: list[str], sign: str = "\t") -> Path:
    path.write_text(
        HEADER.replace("\t", sign) + "\n".join(r.replace("\t", sign) for r in rows) + "\n"
    )
    return path


def in_excel(path: Path, rows: list[str]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [HEADER.strip("\n"), *rows]:
        book.active.append([cell or None for cell in row.split("\t")])
    book.save(path)
    return path


@pytest.mark.parametrize("kind", ["tsv", "csv", "semicolons", "xlsx"])
def test_tables_of_every_kind_say_the_same(tmp_path: Path, kind: str) -> None:
    if kind == "xlsx":
        path = in_excel(tmp_path / "x.xlsx", GOOD)
    elif kind == "semicolons":
        path = write(tmp_path / "x.csv", [row.replace("; ", " ; ") for row in GOOD[::2]], ";")
    else:
        path = write(tmp_path / f"x.{kind}", GOOD, {"tsv": "\t", "csv": ","}[kind])
    entries, rows = read_consent_table(path, recorded_at=NOW)
    assert rows == list(range(2, len(entries) + 2))
    assert entries[0].purposes == ("DUO:0000042",)
    assert entries[0].evidence == "sha256:" + "a" * 64
    assert entries[-1].act == "withdraw"
    if kind != "semicolons":
        assert entries[1].purposes == ("DUO:0000007 MONDO:0005148", "DUO:0000046")
        assert entries[1].effective_from == "2024-01-01T09:00:00+02:00"
        assert (entries[1].visit_days, entries[1].recipients) == ((0, 28), ("A", "B"))


@pytest.mark.parametrize("kind", ["tsv", "xlsx"])
def test_every_fault_is_named_with_its_row_at_once(tmp_path: Path, kind: str) -> None:
    rows = [row for row, _ in BAD if kind == "tsv" or "\u202e" not in row]
    make = in_excel if kind == "xlsx" else write
    with pytest.raises(FaultsError, match="must be a day") as caught:
        read_consent_table(make(tmp_path / f"x.{kind}", rows), recorded_at=NOW)
    for number, (_, words) in enumerate(BAD[: len(rows)], start=2):
        said = [str(fault) for fault in caught.value.faults if fault.row == number]
        assert any(words in text for text in said), (number, words, said)


def test_a_last_day_that_means_none_and_names_that_begin_like_all_are_taken(tmp_path: Path) -> None:
    rows = [
        f"d{n}\tgive\t2024-01-01\tp\tGRU\t\t\t{who}\t{end}\t"
        for n, (who, end) in enumerate(
            [("All of Us", "9999-12-31"), ("Noord-Holland", "3000-01-01")]
        )
    ]
    entries, _ = read_consent_table(write(tmp_path / "x.tsv", rows), recorded_at=NOW)
    assert [one.recipients for one in entries] == [("All of Us",), ("Noord-Holland",)]


def test_one_person_under_two_spellings_who_gave_and_withdrew_is_a_fault(tmp_path: Path) -> None:
    def said(*ids: str) -> list[str]:
        rows = [f"{ids[0]}\tgive\t2024-01-01\tp\tGRU\t\t\t\t\t"]
        rows += [f"{name}\twithdraw\t2025-01-01\tp\t\t\t\t\t\t" for name in ids[1:]]
        found = read_consent_table(write(tmp_path / "x.tsv", rows), recorded_at=NOW)
        return list(map(str, spelling_faults(*found, file="x.tsv")))

    for other in ("p1", "P-01", "P 1", "Ｐ1"):
        [fault] = said("P1", other)
        assert "row 3, column 'donor_id': must say the same of ids" in fault
    assert said("P1", "P2") == said("P1", "P11") == said("P1", "P1") == []


def test_wrong_columns_formulas_and_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("donor\tact\teffective_from\tpolicy\nd1\tgive\t2024-01-01\tp\n")
    with pytest.raises(FaultsError, match="must have a column 'donor_id'"):
        read_consent_table(path, recorded_at=NOW)
    path.write_text("")
    with pytest.raises(FaultsError, match="an empty file"):
        read_consent_table(path, recorded_at=NOW)
    with pytest.raises(FaultsError, match="no formula"):
        read_consent_table(
            in_excel(tmp_path / "f.xlsx", ["=A1\tgive\t2024-01-01\tp\tGRU\t\t\t\t\t"]),
            recorded_at=NOW,
        )
    (tmp_path / "bad.xlsx").write_bytes(b"PK\x03\x04nonsense")
    with pytest.raises(FaultsError, match="must be a workbook"):
        read_consent_table(tmp_path / "bad.xlsx", recorded_at=NOW)
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    with pytest.raises(UsageError, match="must be a table or FHIR"):
        read_consent_table(tmp_path / "x.pdf", recorded_at=NOW)


def test_rows_that_contradict_or_repeat_each_other_are_faults(tmp_path: Path) -> None:
    rows = [GOOD[0], "d1\twithdraw\t2024-01-01\tp\t\t\t\t\t\t", GOOD[1], GOOD[1]]
    entries, places = read_consent_table(write(tmp_path / "x.tsv", rows), recorded_at=NOW)
    policies = {"p": Policy("p", "consent", NOW)}
    said = "\n".join(map(str, entry_faults(entries, policies, file="x.tsv", rows=places)))
    assert "row 3, column 'act': must not disagree with another entry" in said
    assert "row 5, column 'act': must be written once" in said
    assert "must be a policy of the ledger" in str(entry_faults(entries[:1], {}, file="x")[0])


PURPOSE = {"system": "http://purl.obolibrary.org/obo/duo.owl", "code": "DUO:0000042"}
HEALTH = {**PURPOSE, "code": "DUO:0000006"}
TAGGED = {"tag": [{"system": "urn:pmcell:consent-act", "code": "give"}]}
R4 = {
    "resourceType": "Consent",
    "status": "active",
    "patient": {"reference": "Patient/d1"},
    "dateTime": "2024-01-01",
    "provision": {"type": "permit", "period": {"end": "2030-01-01"}, "purpose": [PURPOSE]},
}
R4_DENY = {**R4, "provision": {"type": "deny", "provision": [
    {"type": "permit", "period": {"start": "2024-02-01"}, "purpose": [PURPOSE]}]}}  # fmt: skip
R5 = {
    "resourceType": "Consent",
    "status": "active",
    "subject": {"reference": "Patient/d1"},
    "date": "2024-01-01",
    "decision": "deny",
    "provision": [{"purpose": [PURPOSE], "action": [{"coding": [{"code": "use"}]}]}],
}
OPTS = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]
OPT_OUT = {**R4, "policyRule": {"coding": OPTS}}


def read(tmp_path: Path, value, name: str = "x.json"):
    text = value if isinstance(value, str) else json.dumps(value)
    (tmp_path / name).write_text(text)
    return read_consents(tmp_path / name, policy="p", recorded_at=NOW)[0]


@pytest.mark.parametrize(
    ("resource", "act", "since"),
    [
        (R4, "give", "2024-01-01"),
        (R4_DENY, "give", "2024-02-01"),
        (R5, "give", "2024-01-01"),
        (OPT_OUT, "opt_out", "2024-01-01"),
        ({**R4, "provision": {"type": "deny"}}, "withdraw", "2024-01-01"),
        ({**R5, "provision": []}, "withdraw", "2024-01-01"),
        ({**R4, "status": "inactive", "meta": {"lastUpdated": "2025-03-01T00:00:00Z"}},
         "withdraw", "2025-03-01T00:00:00+00:00"),
    ],
)  # fmt: skip
def test_resources_of_both_versions_are_read(tmp_path: Path, resource, act, since) -> None:
    [found] = read(tmp_path, resource)
    assert (found.act, found.effective_from, found.subject) == (act, since, "d1")
    [same] = read(tmp_path, json.dumps(resource) + "\n\n", "x.ndjson")
    assert same == found


def test_patients_of_a_bundle_are_followed_to_their_identifiers(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "7", "identifier": [{"value": "d1"}]}
    consent = {**R4, "patient": {"reference": "urn:uuid:7"}}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": "urn:uuid:7", "resource": patient}, {"resource": consent}]}  # fmt: skip
    assert read(tmp_path, bundle)[0].subject == "d1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "draft"}, "must be active or inactive"),
        ({"status": "entered-in-error"}, "must be active or inactive"),
        ({"status": "inactive"}, "must say since when"),
        ({"status": "entered-in-error", "meta": TAGGED}, "must be active or inactive"),
        ({"status": "inactive", "meta": TAGGED}, "must stand beside what ended it"),
        ({"meta": {"tag": [*TAGGED["tag"], {**TAGGED["tag"][0], "code": "withdraw"}]}}, "one of"),
        ({"meta": {"tag": [{**TAGGED["tag"][0], "code": "withdraw"}]}}, "say the same as meta.tag"),
        ({"meta": TAGGED, "provision": {"type": "deny"}}, "must permit something"),
        ({"meta": [TAGGED]}, "must be an object"),
        ({"meta": {"security": [{"code": "HTEST"}]}}, "no label but of who may see"),
        ({"provision": {**R4["provision"], "period": "2020/2021"}}, "start and end alone"),
        ({"provision": {**R4["provision"], "period": {"ende": "2021-01-01"}}}, "start and end"),
        ({"provision": {**R4["provision"], "period": {"end": None}}}, "must be a day or a time"),
        ({"provision": {**R4["provision"], "period": {"end": "2021"}}}, "must be a day or a time"),
        ({"policy": [{"uri": "p"}, {"uri": "q"}]}, "must be one, with its uri"),
        ({"contained": [{"resourceType": "Patient", "id": "p"}]}, "not understood"),
        (
            {
                "provision": {
                    "type": "deny",
                    "provision": [
                        {"type": "permit", "purpose": [PURPOSE], "provision": [{"type": "deny"}]}
                    ],
                }
            },
            "no provisions below the second level",
        ),
        ({"provision": {**R4["provision"], "period": {"end": "2569-01-01"}}}, "other calendars"),
        ({"dateTime": "1447-09-12", "provision": {"type": "deny"}}, "other calendars"),
        (
            {
                "provision": {
                    **R4["provision"],
                    "purpose": [{**PURPOSE, "display": "Disease specific research"}],
                }
            },
            "the same by code and display",
        ),
        ({"policy": [{"authority": "p"}]}, "must be one, with its uri"),
        ({"scope": {"text": "treatment only"}}, "words alone"),
        ({"scope": {"coding": [{"system": "urn:x", "code": "research"}]}}, "codes of others"),
        ({"category": [{"coding": [{"code": "dnr"}]}]}, "about the use of data"),
        ({"verification": [{"verified": "false"}]}, "failed its verification"),
        ({"patient": {"type": "Group", "reference": "Patient/d1"}}, "must be a patient"),
        ({"patient": {"identifier": {"use": "old", "value": "d1"}}}, "must be in use"),
        ({"id": "x", "provision": {**R4["provision"], "purpose": [PURPOSE, HEALTH]}}, "one perm"),
        ({"provision": {**R4["provision"], "dataPeriod": {"start": "2020"}}}, "no first visit"),
        ({"provision": {**R4["provision"], "securityLabel": [{"code": "R"}]}}, "not understood"),
        ({"provision": {**R4["provision"], "code": [{"text": "x"}]}}, "not understood"),
        ({"provision": {**R4["provision"], "provision": [{"type": "deny"}]}}, "exceptions"),
        ({"provision": {"type": "permit"}}, "must hold a permission"),
        (
            {"provision": {"type": "permit", "purpose": [{"code": "ETREAT"}]}},
            "must be terms of DUO",
        ),
        ({"provision": {"purpose": [PURPOSE]}}, "must be deny or permit"),
        (
            {"provision": {**R4["provision"], "action": [{"coding": [{"code": "collect"}]}]}},
            "action",
        ),
        (
            {"provision": {**R4["provision"], "actor": [{"role": {"coding": [{"code": "X"}]}}]}},
            "recip",
        ),
        ({"modifierExtension": [{"url": "x"}]}, "not understood"),
        ({"implicitRules": "x"}, "not understood"),
        ({"verification": [{"verified": False}]}, "failed its verification"),
        ({"dateTime": "2024-05"}, "must be a day"),
        ({"dateTime": "2024-05-01T10:00:00"}, "offset"),
        ({"decision": "permit"}, "one version of FHIR"),
        ({"patient": None}, "must be given"),
        (
            {"provision": {**R4["provision"], "period": {"_end": {"id": "x"}}}},
            "changes its meaning",
        ),
        (
            {"provision": {**R4["provision"], "purpose": [{**PURPOSE, "modifierExtension": [{}]}]}},
            "changes its meaning",
        ),
        ({"provision": {**R4["provision"], "action": [{"text": "on paper"}]}}, "words alone"),
        ({"scope": {"coding": [{"code": "treatment"}]}}, "patient-privacy, research"),
        ({"policyRule": {"text": "only with my doctor"}}, "another rule"),
        ({"policyRule": {"coding": [*OPTS, {**OPTS[0], "code": "OPTIN"}]}}, "OPTIN, OPTOUT"),
        (
            {"provision": {**R4_DENY["provision"], "actor": [{"reference": {"display": "A"}}]}},
            "in the provision that it limits",
        ),
        (
            {"provision": {**R4_DENY["provision"], "dataPeriod": {"end": "2020"}}},
            "in the provision that it limits",
        ),
    ],
)
def test_what_is_not_understood_is_never_taken_for_consent(tmp_path: Path, change, words) -> None:
    with pytest.raises(FaultsError, match=words) as caught:
        read(tmp_path, [R4, {**R4, **change}])
    assert {fault.row for fault in caught.value.faults} == {2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(R4)[:-1] + ', "status": "active"}', "'status' stands twice"),
        (json.dumps(R4).replace('"Patient/d1"', "NaN"), "no number"),
    ],
)
def test_json_that_says_two_things_is_no_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FaultsError, match=words):
        read(tmp_path, text)


def test_a_provision_ends_with_the_consent_that_it_stands_in(tmp_path: Path) -> None:
    inner = {"type": "permit", "period": {"start": "2023-01-01", "end": "2050-01-01"}}
    outer = {"type": "deny", "period": {"start": "2024-01-01", "end": "2026-01-01"}}
    provision = {**outer, "provision": [{**inner, "purpose": [PURPOSE]}]}
    [found] = read(tmp_path, {**R4, "provision": provision})
    assert (found.effective_from, found.expires) == ("2024-01-01", "2026-01-01")


def test_a_patient_of_the_file_and_another_identifier_are_a_fault(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "7", "identifier": [{"value": "d1"}]}
    who = {"reference": "Patient/7", "identifier": {"value": "d2"}}
    with pytest.raises(FaultsError, match="must name one patient"):
        read(tmp_path, [patient, {**R4, "patient": who}])


ANNA = {"resourceType": "Patient", "id": "7", "identifier": [{"value": "d1"}]}


@pytest.mark.parametrize(
    ("others", "more", "words"),
    [
        ([], {"link": [{"relation": "next", "url": "x?page=2"}]}, "all pages"),
        ([], {"type": "history"}, "no history"),
        ([{"resourceType": "OperationOutcome"}], {}, "no answer that failed"),
        ([{"resourceType": "Bundle", "entry": []}], {}, "must be whole"),
        ([{**R4, "id": "c", "dateTime": "2023-01-01"}], {}, "in the file once"),
        ([{**R4, "identifier": [{"value": "7"}], "id": n} for n in "ab"], {}, "in the file once"),
        ([], {"total": 3}, "all that were found"),
        ([], {"entry": [{"resource": R4, "response": {"status": "410 Gone"}}]}, "410 Gone"),
        ([], {"entry": [{"resource": R4, "search": {"mode": "outcome"}}]}, "an outcome"),
        ([ANNA, {**ANNA, "id": "8"}], {}, "must not share its identifier"),
        ([ANNA, {**ANNA, "identifier": [{"value": "d2"}]}], {}, "must not share its reference"),
        (
            [
                ANNA,
                {
                    **ANNA,
                    "id": "8",
                    "identifier": [{"value": "d2"}],
                    "link": [{"type": "seealso", "other": {"reference": "Patient/7"}}],
                },
            ],
            {},
            "must be of one donor",
        ),
        (
            [{**ANNA, "link": [{"type": "replaces", "other": {"reference": "Patient/d2"}}]}],
            {},
            "must be of one donor",
        ),
        (
            [
                {
                    "resourceType": "Person",
                    "link": [{"target": {"reference": f"Patient/d{n}"}} for n in (1, 2)],
                }
            ],
            {},
            "must be of one donor",
        ),
        ([{"resourceType": "Permission", "status": "active"}], {}, "rules of another kind"),
        ([{"resourceType": "DocumentReference", "status": "entered-in-error"}], {}, "in force"),
        ([{"resourceType": "ResearchSubject", "status": "withdrawn"}], {}, "in force"),
        (
            [
                {
                    "resourceType": "ResearchSubject",
                    "status": "active",
                    "progress": [{"subjectState": {"coding": [{"code": "withdrawn"}]}}],
                }
            ],
            {},
            "in force",
        ),
        ([], {"implicitRules": "urn:x"}, "changes the meaning"),
        ([], {"meta": {"security": [{"code": "HTEST"}]}}, "no label but of who may see"),
        ([{**ANNA, "active": False}], {}, "must be a record in use"),
        ([{**ANNA, "link": [{"type": "replaced-by"}]}], {}, "must be a record in use"),
        ([{**ANNA, "identifier": [{"value": "d1"}, {"value": "d2"}]}], {}, "must be one donor"),
    ],
)
def test_a_bundle_that_says_two_things_or_not_all_is_refused(
    tmp_path: Path, others, more, words
) -> None:
    parts = [{"resource": item} for item in [{**R4, "id": "c"}, *others]]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": parts, **more}
    (tmp_path / "x.json").write_text(json.dumps(bundle))
    with pytest.raises(FaultsError, match=words):
        read_consents(tmp_path / "x.json", policy="p", recorded_at=NOW, donors=("d1", "d2"))


Q_NO = {"item": [{"linkId": "1", "answer": [{"valueBoolean": False}]}]}
OF_C = {"reference": "Consent/c"}


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([{**ANNA, "id": "d1", "deceasedDateTime": "2023-01-01"}], "dead by then"),
        ([{**ANNA, "id": "d1", "deceasedDateTime": "2022"}], "dead by then"),
        ([{**ANNA, "id": "d1", "birthDate": "2025-01-01"}], "born later"),
        (
            [
                {
                    "resourceType": "Provenance",
                    "target": [OF_C],
                    "activity": {"coding": [{"code": "NULLIFY"}]},
                }
            ],
            "takes one of them back",
        ),
        ([{"resourceType": "AuditEvent", "action": "D", "entity": [{"what": OF_C}]}], "back"),
        ([{"resourceType": "Task", "status": "requested", "focus": OF_C}], "takes one of them"),
        (
            [{"resourceType": "Communication", "status": "completed", "about": [OF_C]}],
            "takes one of them back",
        ),
        ([{"resourceType": "List", "entry": [{"deleted": True, "item": OF_C}]}], "takes one"),
        ([{"resourceType": "Basic", "code": {"text": "Consent withdrawal"}}], "takes one of them"),
        ([{"resourceType": "Flag", "code": {"coding": [{"code": "OPTOUT"}]}}], "takes one of them"),
        ([{"resourceType": "QuestionnaireResponse", "status": "completed", **Q_NO}], "takes one"),
        ([{"resourceType": "QuestionnaireResponse", "status": "in-progress"}], "in force"),
        ([{"resourceType": "DocumentReference", "docStatus": "preliminary"}], "in force"),
    ],
)
def test_what_is_said_beside_a_consent_is_held_against_it(tmp_path: Path, others, words) -> None:
    with pytest.raises(FaultsError, match=words):
        read(tmp_path, [{**R4, "id": "c"}, *others])


def test_records_that_change_no_consent_are_passed_over(tmp_path: Path) -> None:
    made = {"coding": [{"code": "CREATE"}]}
    beside = [
        {**ANNA, "id": "d1", "birthDate": "1960", "deceasedDateTime": "2025-01-01"},
        {"resourceType": "Provenance", "target": [OF_C], "activity": made},
        {"resourceType": "AuditEvent", "action": "R", "entity": [{"what": OF_C}]},
        {"resourceType": "List", "entry": [{"item": OF_C}]},
        {"resourceType": "DocumentReference", "related": [OF_C], "docStatus": "final"},
        {"resourceType": "Observation", "valueString": "declined slowly", "status": "final"},
        {"resourceType": "QuestionnaireResponse", "status": "completed"},
    ]
    [found] = read(tmp_path, [{**R4, "id": "c"}, *beside])
    assert found.act == "give"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": {"status": "additional", "div": "<div>asthma only</div>"}}, "in words"),
        ({"category": [{"text": "Refusal of research"}]}, "in words what its codes say"),
        *(
            ({"category": [{"text": said}]}, "in words what its codes say")
            for said in (
                *("Widerspruch gegen Sekundärnutzung", "intrekking toestemming", "cofnięcie zgody"),
                *("revoca del consenso", "Refus de la recherche", "återkallat samtycke"),
                *("suostumus peruttu", "撤回同意", "отзыв согласия", "odvolání souhlasu"),
                *("Consent - patient objects", "samtykke trukket tilbake", "revogação"),
            )
        ),
        *(
            ({"text": {"status": "generated", "div": f"<div>{said}</div>"}}, "in words what")
            for said in (
                "Die Person hat ihre Einwilligung zurückgezogen",
                "<b>Le patient</b> a retiré son consentement",
                "You may ask at any time. Consent withdrawn in May.",
            )
        ),
        ({"sourceAttachment": {"title": "Widerrufserklärung"}}, "in words what its codes say"),
        ({"meta": {"lastUpdated": "2020-01-01T00:00:00Z"}}, "before the day of the consent"),
        ({"dateTime": "2024-03-01T00:00:00+15:30"}, "a time with its offset"),
        ({"category": [{"coding": [{"code": "1", "display": "Declined"}]}]}, "in words"),
        ({"meta": {"tag": [{"system": "urn:x", "code": "withdrawn"}]}}, "in words"),
        ({"meta": {"profile": ["https://x/StructureDefinition/consent-withdrawal"]}}, "in words"),
        ({"extension": [{"url": "https://x/revoked", "valueBoolean": True}]}, "in words"),
        ({"patient": {"reference": "Patient/d1", "display": "d2"}}, "by reference and display"),
        ({"patient": {"identifier": {"value": "d1", "period": {"end": "2020"}}}}, "in use"),
        ({"performer": [{"reference": "Patient/d2"}]}, "nobody who is another donor"),
        (
            {"verification": [{"verified": True, "verifiedWith": {"reference": "Patient/d2"}}]},
            "nobody who is another donor",
        ),
        (
            {"verification": [{"verified": True, "verificationDate": "2020-01-02"}]},
            "before it was given",
        ),
        (
            {"provision": {**R4["provision"], "purpose": [{**PURPOSE, "system": "urn:refusals"}]}},
            "must be of DUO",
        ),
        (
            {
                "provision": {
                    **R4["provision"],
                    "purpose": [{**PURPOSE, "display": "NOT general research use"}],
                }
            },
            "the same by code and display",
        ),
    ],
)
def test_words_and_people_that_disagree_with_the_codes_are_faults(
    tmp_path: Path, change, words
) -> None:
    (tmp_path / "x.json").write_text(json.dumps([R4, {**R4, **change}]))
    with pytest.raises(FaultsError, match=words) as caught:
        read_consents(tmp_path / "x.json", policy="p", recorded_at=NOW, donors=("d1", "d2"))
    assert {fault.row for fault in caught.value.faults} == {2}


@pytest.mark.parametrize("name", [" ", "Acme; Beta", "niemand", "alle außer Pharma", "personne"])
def test_a_recipient_without_a_name_of_their_own_is_a_fault(tmp_path: Path, name: str) -> None:
    actor = {"role": {"coding": [{"code": "IRCP"}]}, "reference": {"display": name}}
    with pytest.raises(FaultsError, match=r"recipients|who receive data"):
        read(tmp_path, {**R4, "provision": {**R4["provision"], "actor": [actor]}})


@pytest.mark.parametrize("who", ["Group/all", "Patient/d1", "RelatedPerson/1"])
def test_several_people_and_the_person_are_no_recipient(tmp_path: Path, who: str) -> None:
    actor = {"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": who}}
    with pytest.raises(FaultsError, match="who receive data"):
        read(tmp_path, {**R4, "provision": {**R4["provision"], "actor": [actor]}})


def test_a_right_to_take_back_is_nothing_taken_back(tmp_path: Path) -> None:
    for said in ("You can withdraw at any time", "Sie können sie jederzeit widerrufen"):
        text = {"status": "generated", "div": f"<div>Consent given. {said}.</div>"}
        assert read(tmp_path, {**R4, "text": text})[0].act == "give"


OF_Q = {**R4, "id": "c", "sourceReference": {"reference": "QuestionnaireResponse/q"}}
ANSWERED = {"resourceType": "QuestionnaireResponse", "id": "q", "status": "completed"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            {
                "resourceType": "Observation",
                "code": {"text": "Research participation"},
                "valueCodeableConcept": {"text": "abgelehnt"},
            },
            "takes one of them back",
        ),
        (
            {
                "resourceType": "Observation",
                "code": {"text": "Consent to research"},
                "valueBoolean": False,
            },
            "takes one of them back",
        ),
        *(
            (
                {"resourceType": "Communication", "payload": [{"contentString": said}]},
                "takes one of them back",
            )
            for said in ("Ik trek mijn toestemming in", "Je retire mon consentement")
        ),
        *(
            ({**ANSWERED, "item": [{"answer": [answer]}]}, "takes one of them back")
            for answer in ({"valueString": "nein"}, {"valueCoding": {"code": "N"}})
        ),
        ({**ANSWERED, "subject": {"reference": "Patient/d2"}}, "must rest on a document"),
        ({**ANSWERED, "authored": "2030-01-01"}, "must rest on a document"),
    ],
)
def test_answers_and_letters_in_any_language_are_held_against_a_consent(
    tmp_path: Path, other, words
) -> None:
    (tmp_path / "x.json").write_text(json.dumps([OF_Q, other]))
    with pytest.raises(FaultsError, match=words):
        read_consents(tmp_path / "x.json", policy="p", recorded_at=NOW, donors=("d1", "d2"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"identifier": [{"use": "old", "value": "d1"}]}, "must be a donor"),
        ({"meta": {"security": [{"code": "HTEST"}]}}, "must hold no label"),
    ],
)
def test_a_record_of_nobody_in_use_is_a_fault(tmp_path: Path, change, words) -> None:
    patient = {**ANNA, "id": "7", "identifier": [{"value": "d1"}], **change}
    (tmp_path / "x.json").write_text(
        json.dumps([{**R4, "patient": {"reference": "Patient/7"}}, patient])
    )
    try:
        entries, rows = read_consents(
            tmp_path / "x.json", policy="p", recorded_at=NOW, donors=("d1", "d2")
        )
        faults = list(donor_faults(entries, rows, ("d1", "d2"), file="x"))
    except FaultsError as error:
        faults = error.faults
    assert any(words in str(fault) for fault in faults)


def test_a_resource_that_is_put_in_the_place_of_another_is_a_fault(tmp_path: Path) -> None:
    part = {"resource": {**R4, "id": "c"}, "request": {"method": "PUT", "url": "Consent/other"}}
    with pytest.raises(FaultsError, match="one id"):
        read(tmp_path, {"resourceType": "Bundle", "type": "transaction", "entry": [part]})


def test_two_ends_of_one_consent_are_a_fault(tmp_path: Path) -> None:
    rows = [f"d1\tgive\t2024-01-01\tp\tGRU\t\t\t\t{end}\t" for end in ("2025-01-01", "2030-01-01")]
    entries, places = read_consent_table(write(tmp_path / "x.tsv", rows), recorded_at=NOW)
    [fault] = entry_faults(entries, {"p": Policy("p", "consent", NOW)}, file="x", rows=places)
    assert "must not disagree" in str(fault)


def test_words_that_agree_with_a_denial_are_none(tmp_path: Path) -> None:
    denied = {**R4, "provision": {"type": "deny"}, "category": [{"text": "Withdrawal"}]}
    assert [found.act for found in read(tmp_path, denied)] == ["withdraw"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"type": "message"}, "no history"),
        ({"entry": [{"fullUrl": "http://x/Consent/z", "resource": {**R4, "id": "c"}}]}, "one id"),
    ],
)
def test_a_message_and_a_resource_with_two_ids_are_faults(tmp_path: Path, more, words) -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": R4}], **more}
    with pytest.raises(FaultsError, match=words):
        read(tmp_path, bundle)


SINCE = {"start": "2020-01-01"}


@pytest.mark.parametrize(
    ("resource", "act"),
    [
        ({**R4, "provision": {"type": "deny", "period": SINCE}}, "withdraw"),
        ({**R5, "provision": [], "period": SINCE}, "withdraw"),
        ({**OPT_OUT, "provision": {"type": "deny", "period": SINCE}}, "opt_out"),
        ({**R4, "meta": {"tag": [{**TAGGED["tag"][0], "code": "narrow"}]},
          "provision": {**R4["provision"], "period": SINCE}}, "narrow"),
    ],
)  # fmt: skip
def test_what_takes_back_counts_from_the_act_and_not_from_before_it(tmp_path, resource, act):
    gave = {**R4, "dateTime": "2022-01-01"}
    [_, found] = read(tmp_path, [gave, resource])
    assert (found.act, found.effective_from) == (act, "2024-01-01")


def test_a_consent_to_come_that_was_taken_back_is_a_fault(tmp_path: Path) -> None:
    provision = {**R4["provision"], "period": {"start": "2025-01-01", "end": "2030-01-01"}}
    to_come = {**R4, "dateTime": "2022-01-01", "provision": provision}
    denied = {**R4, "provision": {"type": "deny"}}
    with pytest.raises(FaultsError, match="must not begin after the person took it back"):
        read(tmp_path, [to_come, denied])
    given_anew = {**to_come, "dateTime": "2024-06-01"}
    assert [entry.act for entry in read(tmp_path, [denied, given_anew])] == ["withdraw", "give"]


def test_a_consent_that_ended_before_it_was_given_is_a_fault(tmp_path: Path) -> None:
    ended = {**R4, "status": "inactive", "meta": {"lastUpdated": "2021-01-01T00:00:00Z"}}
    with pytest.raises(FaultsError, match="must not lie before the consent that it ended"):
        read(tmp_path, ended)


def test_an_identifier_of_a_study_may_stand_in_consents_of_many(tmp_path: Path) -> None:
    shared = {**R4, "identifier": [{"system": "urn:study", "value": "s1"}]}
    found = read(tmp_path, [shared, {**shared, "patient": {"reference": "Patient/d2"}}])
    assert {entry.subject for entry in found} == {"d1", "d2"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grantee": [{"reference": "Organization/1"}]}, "not understood"),
        ({"policyBasis": {"url": "p", "reference": {"reference": "#q"}}}, "by its url alone"),
        ({"decision": "permit"}, "exceptions to what it permits"),
        ({"status": "not-done"}, "must be active or inactive"),
        ({"provision": [{"type": "deny", "purpose": [PURPOSE]}]}, "permit below a deny"),
    ],
)
def test_what_r5_says_besides_is_never_taken_for_consent(tmp_path: Path, change, words) -> None:
    with pytest.raises(FaultsError, match=words) as caught:
        read(tmp_path, [R5, {**R5, **change}])
    assert {fault.row for fault in caught.value.faults} == {2}


def test_what_stands_beside_consents_and_says_nothing_of_them_is_passed_over(
    tmp_path: Path,
) -> None:
    beside = [
        {"resourceType": "Organization", "id": "o", "active": True},
        {"resourceType": "DocumentReference", "status": "current"},
        {"resourceType": "ResearchSubject", "status": "on-study"},
        {"resourceType": "Patient", "id": "9", "link": [{"other": {"reference": "Patient/8"}}]},
    ]
    assert [found.subject for found in read(tmp_path, [R4, *beside])] == ["d1"]


def test_a_provision_of_r5_that_denies_is_no_exception_that_permits(tmp_path: Path) -> None:
    part = {**R5["provision"][0], "type": "deny"}
    with pytest.raises(FaultsError, match="must be permit below a deny"):
        read(tmp_path, [{**R5, "provision": [part]}])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("struck", "struck out"),
        ("note", "a note"),
        ("white", "cannot be seen"),
        ("format", "cannot be seen"),
    ],
)
def test_a_cell_that_says_by_its_look_what_it_means_is_a_fault(tmp_path: Path, how, words) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    path = in_excel(tmp_path / "x.xlsx", GOOD)
    book = openpyxl.load_workbook(path)
    sheet = book.active
    if how in ("struck", "white"):
        look = {"strike": True} if how == "struck" else {"color": "FFFFFFFF"}
        sheet["B3"].font = openpyxl.styles.Font(**look)
    elif how == "note":
        sheet["B3"].comment = openpyxl.comments.Comment("withdrew in May", "x")
    else:
        sheet["B3"].number_format = ";;;"
    book.save(path)
    with pytest.raises(FaultsError, match=words):
        read_consent_table(path, recorded_at=NOW)


def test_a_reference_and_an_identifier_of_two_donors_are_a_fault(tmp_path: Path) -> None:
    who = {"reference": "Patient/d1", "identifier": {"value": "d2"}}
    (tmp_path / "x.json").write_text(json.dumps({**R4, "patient": who}))
    with pytest.raises(FaultsError, match="must name one patient"):
        read_consents(tmp_path / "x.json", policy="p", recorded_at=NOW, donors=("d1", "d2"))


@pytest.mark.parametrize(
    ("end", "last"),
    [("2026-03-01T00:30:00+14:00", "2026-02-27"), ("2026-02-28T23:59:59Z", "2026-02-28")],
)
def test_a_consent_that_ends_at_a_time_has_ended_by_that_time(tmp_path: Path, end, last) -> None:
    provision = {**R4["provision"], "period": {"end": end}}
    assert read(tmp_path, {**R4, "provision": provision})[0].expires == last


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("d1\tgive\t2024-01-01\tp\tGRU; HMB\t\t\t\t\t", "must hold one permission"),
        ("d1\tgive\t2024-01-01\tp\tDS MONDO:9999999\t\t\t\t\t", "must name a disease of MONDO"),
        ("d1\tgive\t2024-01-01\tp\tGRU\t;\t\t\t\t", "must name something"),
        ("d1\tgive\t2024-01-01\tp\tGRU\t\t\t; ;\t\t", "must name something"),
        ("d1\tgive\t2024-01-01\tp\tGRU", "must have 10 cells"),
    ],
)
def test_a_row_that_may_mean_less_is_not_taken_for_all(tmp_path: Path, row, words) -> None:
    with pytest.raises(FaultsError, match=words):
        read_consent_table(write(tmp_path / "x.tsv", [row]), recorded_at=NOW)


@pytest.mark.parametrize(
    ("gave", "withdrew"),
    [
        ("2024-01-10T09:00:00Z", "2024-01-10"),
        ("2024-01-10", "2024-01-10T00:30:00+02:00"),
        ("2024-01-10T12:00:00+02:00", "2024-01-10T10:00:00Z"),
    ],
)
def test_a_day_and_a_time_of_it_that_disagree_are_a_fault(tmp_path: Path, gave, withdrew) -> None:
    rows = [f"d1\tgive\t{gave}\tp\tGRU\t\t\t\t\t", f"d1\twithdraw\t{withdrew}\tp\t\t\t\t\t\t"]
    entries, places = read_consent_table(write(tmp_path / "x.tsv", rows), recorded_at=NOW)
    [fault] = entry_faults(entries, {"p": Policy("p", "consent", NOW)}, file="x", rows=places)
    assert "must not disagree" in str(fault)


def test_nobody_gives_under_a_policy_whose_committee_was_replaced() -> None:
    rows = ["d1\tgive\t2024-01-01\told\tGRU", "d1\twithdraw\t2024-01-02\told"]
    names = ("donor_id", "act", "effective_from", "policy", "purposes")
    entries = [
        parse_row(
            dict(zip(names, row.split("\t"), strict=False)), file="x", row=1, recorded_at=NOW
        )[0]
        for row in rows
    ]
    policies = {n: Policy(n, "consent", NOW, committee=n) for n in ("old", "new")}
    [fault] = entry_faults(entries, policies, file="x")
    assert "must stand under a policy whose committee still agrees" in str(fault)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, null]", '{"resourceType": "Bundle"}', '{"a": 1}', "[" * 5000]
)
def test_files_without_consent_are_a_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(FaultsError, match=r"must (be|hold)"):
        read(tmp_path, text)


FIRST = {"d1": date(2021, 1, 11)}


def with_period(period, version: str = "R4", **more):
    part = {"purpose": [PURPOSE], "dataPeriod": period, **more}
    if version == "R5":
        return {**R5, "provision": [part]}
    return {**R4, "provision": {"type": "permit", **part}}


def read_days(tmp_path: Path, value):
    (tmp_path / "x.json").write_text(json.dumps(value))
    [found], _ = read_consents(tmp_path / "x.json", policy="p", recorded_at=NOW, first_visits=FIRST)
    return found.visit_days


@pytest.mark.parametrize("version", ["R4", "R5"])
@pytest.mark.parametrize(
    ("period", "days"),
    [
        ({"start": "2021-01-11", "end": "2021-01-11"}, (0, 0)),
        ({"start": "2021", "end": "2021"}, (-10, 354)),
        ({"start": "2021-02", "end": "2021-02"}, (21, 48)),
        ({"start": "2021-01-12"}, (1, 999_999)),
        ({"end": "2021-01-12"}, (-999_999, 1)),
        ({"start": "2021-01-11T00:00:00Z", "end": "2021-01-13T23:59:59+01:00"}, (0, 2)),
        ({"start": "2021-01-11T08:00:00Z", "end": "2021-01-13T08:00:00Z"}, (1, 1)),
    ],
)
def test_a_period_of_data_counts_from_the_first_visit(tmp_path: Path, version, period, days):
    assert read_days(tmp_path, with_period(period, version)) == days


def test_a_period_in_dates_and_one_in_days_are_both_kept(tmp_path: Path) -> None:
    in_days = [{"url": "urn:pmcell:visit-days", "valueString": "5..30"}]
    period = {"start": "2021-01-21", "end": "2021-12-31"}
    assert read_days(tmp_path, with_period(period, modifierExtension=in_days)) == (10, 30)


@pytest.mark.parametrize(
    ("period", "words"),
    [
        ({"start": "soon"}, "no dateTime of FHIR"),
        ({"start": "2021-02-30"}, "must be a period"),
        ({"start": "2022", "end": "2021"}, "ends before it begins"),
        ({}, "must have a start or an end"),
        ("2021", "must have a start or an end"),
        ({"start": "2021", "extension": []}, "a start and an end alone"),
    ],
)
def test_a_period_that_cannot_be_counted_is_a_fault(tmp_path: Path, period, words) -> None:
    with pytest.raises(FaultsError, match=words):
        read_days(tmp_path, with_period(period))
    with pytest.raises(FaultsError, match="no first visit of this donor"):
        other = {**with_period({"start": "2021"}), "patient": {"reference": "Patient/d2"}}
        read_days(tmp_path, other)


@settings(max_examples=60, deadline=None)
@given(st.integers(-400, 400), st.integers(0, 900), st.dates(date(1999, 1, 1), date(2030, 1, 1)))
def test_visit_days_come_back_from_a_period(begin: int, length: int, first: date) -> None:
    days = (begin, begin + length)
    assert visit_days_of(period_of(days, first), first) == days


def test_an_exported_period_is_the_one_that_comes_back(tmp_path: Path) -> None:
    given = [entry("give", "2024-01-01", subject="a" * 64, visit_days=(3, 40))]
    bundle = as_bundle(ledger_of(given), {"a" * 64: "d1"}, first_visits=FIRST)
    [part] = bundle["entry"][0]["resource"]["provision"]["provision"]
    assert part["dataPeriod"] == {"start": "2021-01-14", "end": "2021-02-20"}
    assert "modifierExtension" not in part
    assert read_days(tmp_path, bundle) == (3, 40)
    consent = pytest.importorskip("fhir.resources.R4B.consent")
    consent.Consent(**bundle["entry"][0]["resource"])


def test_dates_of_first_visits_stay_out_of_the_study_and_are_whole(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "first.tsv").write_text("donor_id\tfirst_visit\nd1\t2021-01-11\n")
    with pytest.raises(UsageError, match="outside the study folder"):
        read_first_visits(study / "first.tsv", study=study)
    with pytest.raises(UsageError, match="must be a table of donor_id and first_visit"):
        read_first_visits(tmp_path / "none.tsv", study=study)
    path = tmp_path / "first.tsv"
    path.write_text("donor_id\tfirst_visit\nd1\t2021-01-11\n\nd2\t2020-02-29\n")
    assert read_first_visits(path, study=study) == {**FIRST, "d2": date(2020, 2, 29)}
    path.write_text("donor_id,first_visit\nd1,11.1.2021\nd2\nd3,2021-01-01\nd3,2021-01-02\n")
    with pytest.raises(FaultsError) as caught:
        read_first_visits(path, study=study)
    assert [fault.row for fault in caught.value.faults] == [2, 3, 5]
    path.write_text("donor\tday\n")
    with pytest.raises(FaultsError, match="must have the columns donor_id, first_visit"):
        read_first_visits(path, study=study)


def history():
    return [
        entry(
            "give", "2024-01-01", subject="a" * 64, expires="2030-01-01", data=("transcriptome",)
        ),
        entry(
            "narrow", "2024-06-01", number=1, subject="a" * 64, visit_days=(0, 9), recipients=("A",)
        ),
        entry("opt_out", "2025-01-01T00:00:00+00:00", number=2, subject="a" * 64),
        entry(
            "give",
            "2024-01-01",
            subject="b" * 64,
            purposes=("DUO:0000007 MONDO:0005148", "DUO:0000046"),
        ),
        entry("withdraw", "2024-02-01", number=1, subject="b" * 64),
    ]


def test_what_is_exported_as_fhir_comes_back(tmp_path: Path) -> None:
    bundle = as_bundle(ledger_of(history()), {"a" * 64: "d1", "b" * 64: "d2"})
    states = [item["resource"]["status"] for item in bundle["entry"]]
    assert states == ["inactive", "active", "active", "inactive", "active"]
    back = read(tmp_path, bundle)
    names = {"a" * 64: "d1", "b" * 64: "d2"}
    expected = [
        item.as_dict() | {"subject": names[item.subject], "recorded_at": NOW} for item in history()
    ]
    assert [item.as_dict() for item in back] == expected


def test_exported_resources_are_fhir_by_somebody_elses_model() -> None:
    consent = pytest.importorskip("fhir.resources.R4B.consent")
    for item in as_bundle(ledger_of(history()), {"a" * 64: "d1", "b" * 64: "d2"})["entry"]:
        read_back = consent.Consent(**item["resource"])
        assert read_back.status == item["resource"]["status"]


def test_records_conform_to_their_shapes_and_broken_ones_do_not(tmp_path: Path) -> None:
    from ledgers import make_cohort
    from pyshacl import validate
    from rdflib import Graph

    from pmcell.consent.receipts import SHAPES
    from pmcell.registry.cohorts.cohort import load_registration

    registration = load_registration(make_cohort(tmp_path / "c", ["d1", "d2"]))
    records = as_records(ledger_of(history()), registration, {"a" * 64: "d1", "b" * 64: "d2"})

    def conforms(value) -> bool:
        data = Graph().parse(data=json.dumps(value), format="json-ld")
        return bool(validate(data, shacl_graph=Graph().parse(SHAPES))[0])

    assert len(records["@graph"]) == 5
    assert conforms(records)
    for key in ("dpv:hasConsentStatus", "dpv:hasDataSubject", "dct:valid", "dpv:hasNotice"):
        broken = json.loads(json.dumps(records))
        del broken["@graph"][0][key]
        assert not conforms(broken), key


def test_a_ledger_with_foreign_records_is_refused(tmp_path: Path) -> None:
    from pmcell.io.crypt.chain import append

    folder = tmp_path / "c"
    folder.mkdir()
    begin_ledger(folder, Policy("p", "consent", NOW), [entry("give", "2024-01-01")], key=KEY)
    append(
        folder / "consent.jsonl",
        [
            {"kind": "entry", "act": "allow"},
            {"x": 1},
            entry("give", "2024-01-01", policy="q").as_dict(),
        ],
        chain="consent c",
        key=KEY,
    )
    with pytest.raises(FaultsError, match="row 3: must be an entry") as caught:
        read_ledger(folder, signers=[KEY.public_key()])
    assert [fault.row for fault in caught.value.faults] == [3, 4, 5]
