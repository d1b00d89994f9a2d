"""The commands as a steward types them: what they say, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ledgers import make_cohort

from pmcell.cli import main
from pmcell.cli.person import withdraw

CONFIG = "use: {purpose: health_research}\n"
INIT = ["--policy", "form-1", "--purposes", "GRU", "--effective-from", "2021-01-01"]


@pytest.fixture
def study(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "study"
    make_cohort(folder / "config" / "cohorts" / "c1", ("anna1", "bert2"), data_use="[DUO:0000042]")
    (folder / "config" / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


def consent(*words: str) -> int:
    return main(["consent", *words, "--cohort", "c1"])


def test_a_ledger_is_begun_added_to_shown_and_verified(study: Path, capsys) -> None:
    assert consent("init", *INIT) == 0
    assert "2 of 2 donors with a consent" in capsys.readouterr().out
    assert consent("add", "withdraw", "--donor", "bert2") == 0
    assert consent("show") == 0
    shown = capsys.readouterr().out
    assert "1 donors may be used for health_research" in shown
    assert "1 not: the consent was withdrawn" in shown
    assert consent("show", "--donor", "bert2") == 0
    assert "2 entries" in capsys.readouterr().out
    assert consent("verify", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["n"] == 4
    assert consent("views") == 0
    assert (study / "results" / "cohorts" / "c1" / "consent.json").stat().st_mode & 0o077 == 0
    assert "anna1" not in (study / "config" / "cohorts" / "c1" / "consent.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["add", "withdrw", "--donor", "anna1"], "Did you mean 'withdraw'", 2),
        (["add", "withdraw", "--donor", "ana1"], "Did you mean 'anna1'", 2),
        (["add", "withdraw"], "--donor", 2),
        (["add", "give", "--donor", "anna1"], "must hold a permission", 2),
        (["add", "withdraw", "--donor", "anna1", "--effective-from", "soon"], "must be a day", 2),
        (["add", "withdraw", "--donor", "anna1", "--evidence", "none.pdf"], "must be a file", 2),
        (["init", *INIT], "has a ledger already", 2),
        (["import", "none.csv"], "needs a file", 2),
        (["policy", "--policy", "form\n2"], "must be plain text of one line", 2),
        (["policy", "--policy", "form-2 "], "must be plain text of one line", 2),
        (["policy", "--policy", "x" * 5000], "must be plain text of one line", 2),
        (["policy", "--policy", "form-2", "--title", "a\u202eb"], "must be plain text", 2),
        (["policy", "--policy", "form-1"], "must be new", 2),
        (["add", "opt_out", "--donor", "anna1", "--policy", "x"], "must be a policy", 3),
        (["export"], "--out FILE", 2),
    ],
)
def test_wrong_calls_say_what_to_do_and_record_nothing(
    study: Path, capsys, words, said, code
) -> None:
    assert consent("init", *INIT) == 0
    ledger = (study / "config" / "cohorts" / "c1" / "consent.jsonl").read_bytes()
    capsys.readouterr()
    assert consent(*words) == code
    assert said in capsys.readouterr().err
    assert (study / "config" / "cohorts" / "c1" / "consent.jsonl").read_bytes() == ledger


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init", *INIT, "--donor", "anna1"], "it does not use --donor"),
        (["init", *INIT[:2], "--expires", "2030-01-01"], "without --purposes must be given"),
        (["policy", "--policy", "form-2", "--purposes", "GRU"], "it does not use --purposes"),
        (["show", "anna1"], "it does not use the word 'anna1'"),
        (["show", "--donor", "anna1", "--day", "2030-01-01"], "it does not use --day"),
        (["views", "--donor", "anna1"], "it does not use --donor"),
        (["verify", "--format", "receipt"], "it does not use --format"),
        (["export", "--out", "x.json", "--basis", "law"], "it does not use --basis"),
        (["add", "draft.json", "--donor", "anna1"], "it does not use --donor"),
        (["import", "x.csv", "--effective-from", "2021-01-01"], "it does not use --effective-from"),
        (["import", "x.csv", "--policy", "form-1"], "a table says them in its columns"),
    ],
)
def test_what_a_task_would_pass_over_is_refused(study: Path, capsys, words, said) -> None:
    """`init --donor anna1` would record a consent of everybody."""
    if words[0] != "init":
        assert consent("init", *INIT) == 0
    for name in ("draft.json", "x.csv"):
        (study / name).write_text("{}")
    before = sorted(path.name for path in study.rglob("*"))
    assert consent(*words) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in study.rglob("*")) == before


def test_an_import_with_one_fault_records_nothing_and_without_it_everything(
    study: Path, capsys
) -> None:
    consent("init", "--policy", "form-1")
    table = study / "x.csv"
    good = "donor_id,act,effective_from,policy,purposes\nanna1,give,2024-01-01,form-1,GRU\n"
    table.write_text(good + "nobody,give,2024-01-01,form-1,GRU\nbert2,give,2024-01-01,form-9,GRU\n")
    assert consent("import", "x.csv") == 3
    said = capsys.readouterr().err
    assert "row 3, column 'donor_id'" in said
    assert "row 4, column 'policy'" in said
    table.write_text(good)
    assert consent("import", "x.csv") == 0
    assert consent("import", "x.csv") == 3
    assert "row 2, column 'act': must not be in the ledger already" in capsys.readouterr().err


def test_a_period_of_data_limits_the_visits_that_are_used(study: Path, tmp_path, capsys) -> None:
    consent("init", "--policy", "form-1")
    purpose = {"system": "http://purl.obolibrary.org/obo/duo.owl", "code": "DUO:0000042"}
    resource = {
        "resourceType": "Consent",
        "status": "active",
        "patient": {"reference": "Patient/anna1"},
        "dateTime": "2024-01-01",
        "provision": {
            "type": "permit",
            "purpose": [purpose],
            "dataPeriod": {"start": "2021-01-11", "end": "2021-02-10"},
        },
    }
    (study / "x.json").write_text(json.dumps(resource))
    (tmp_path / "first.tsv").write_text("donor_id\tfirst_visit\nanna1\t2021-01-11\n")
    words = ["import", "x.json"]
    assert consent(*words) == 3
    assert "--first-visits" in capsys.readouterr().err
    assert consent(*words, "--first-visits", str(tmp_path / "first.tsv")) == 0
    assert consent("views") == 0
    view = json.loads((study / "results" / "cohorts" / "c1" / "consent.json").read_text())
    assert view["allowed"] == {"anna1": [[0, 30]]}
    assert "2021" not in (study / "config" / "cohorts" / "c1" / "consent.jsonl").read_text()
    out = ["--out", "back.json", "--first-visits", str(tmp_path / "first.tsv")]
    assert consent("export", *out) == 0
    assert '"start": "2021-01-11"' in (study / "back.json").read_text()


def test_a_committee_signs_a_draft(study: Path, keys: Path, capsys, monkeypatch) -> None:
    from cryptography.hazmat.primitives import serialization
    from ledgers import COMMITTEE

    pem = serialization.Encoding.PEM
    (keys / "board.pub").write_bytes(
        COMMITTEE.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (keys / "board").write_bytes(
        COMMITTEE.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (keys / "board").chmod(0o600)
    assert consent("init", "--policy", "form-1", "--committee", str(keys / "board.pub")) == 0
    give = ["add", "give", "--donor", "anna1", "--purposes", "GRU"]
    assert consent(*give) == 3
    assert consent(*give, "--draft", "draft.json") == 0
    with monkeypatch.context() as patch:
        patch.setenv("PMCELL_SIGNING_KEY_FILE", str(keys / "board"))
        assert main(["consent", "agree", "draft.json"]) == 0
    assert consent("add", "draft.json") == 0
    capsys.readouterr()
    assert consent("show", "--json") == 0
    assert json.loads(capsys.readouterr().out)["n_allowed"] == 1


def test_check_names_what_stands_against_the_use(study: Path, capsys) -> None:
    (study / "config" / "config.yaml").write_text("use: {purpose: ancestry_research}\n")
    path = study / "config" / "cohorts" / "c1" / "cohort.yaml"
    path.write_text(path.read_text().replace("DUO:0000042", "DUO:0000006"))
    assert main(["check", "--tables-only", "--json"]) == 1
    [found] = [
        item for item in json.loads(capsys.readouterr().out) if item["cohort_id"] == "consent"
    ]
    assert "does not cover ancestry_research" in found["faults"][0]["found"]


@pytest.fixture
def closed(study: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study with access to its cohort controlled, a correction, and a run that does nothing."""
    path = study / "config" / "cohorts" / "c1" / "cohort.yaml"
    path.write_text(path.read_text().replace("access: open", "access: controlled"))
    monkeypatch.setenv("PMCELL_PSEUDONYM_KEY_FILE", str(keys / "pseudonyms.json"))
    assert main(["pseudonyms", "new"]) == 0
    assert main(["pseudonyms", "add", "config/cohorts/c1"]) == 0
    consent("init", *INIT)
    words = ["correct", "config/cohorts/c1", "anna1", "--set"]
    assert main([*words, "sex_ontology_term_id=PATO:0000383", "--why", "asked"]) == 0
    monkeypatch.setattr(withdraw, "rebuild", lambda *args, **kwargs: None)
    monkeypatch.setattr(withdraw, "prove", lambda *args, **kwargs: {"said": "equal"})
    (study / "results").mkdir()
    return study


def test_a_withdrawal_erases_the_pseudonym_key_and_the_corrections(closed: Path, capsys) -> None:
    words = ["withdraw", "anna1", "--cohort", "c1"]
    capsys.readouterr()
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "records of corrections: 1" in said
    assert "erased: nobody can make the donor's pseudonyms" in said
    assert "`backups_kept_days` is not set" in said
    assert main(["pseudonyms", "show"]) == 0
    assert "2 donors have a key; 0 were erased" in capsys.readouterr().out
    (closed / "config" / "config.yaml").write_text(CONFIG + "backups_kept_days: 90\n")
    assert main([*words, "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)
    assert receipt["erased"]["n_corrections"] == 1
    assert receipt["backups_gone_by"] > receipt["issued_on"]
    assert main(["pseudonyms", "show"]) == 0
    assert "1 donors have a key; 1 were erased" in capsys.readouterr().out
    assert main(["pseudonyms", "of", "c1", "anna1"]) == 2
    assert (closed / "config" / "cohorts" / "c1" / "corrections.json").read_text().strip() == "{}"
    assert main(["correct", "config/cohorts/c1", "--show"]) == 0
    assert "forgotten" in capsys.readouterr().out
    # Again, after the key is gone: found by the ids of donors.tsv, and nothing is left.
    assert main([*words, "--scan-only"]) == 0
    assert main([*words, "--dry-run"]) == 0


def test_killed_between_the_two_erasures_a_withdrawal_goes_on(closed: Path, capsys, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    words = ["withdraw", "anna1", "--cohort", "c1"]
    with monkeypatch.context() as patch:
        patch.setattr("pmcell.citizen.correct.forget", die)
        with pytest.raises(Killed):
            main(words)
    [journal] = (closed / "withdrawals").glob("*.json")
    assert journal.stat().st_mode & 0o077 == 0
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    answer = capsys.readouterr()
    assert "goes on after stage 'scanned'" in answer.err
    assert json.loads(answer.out)["erased"]["n_corrections"] == 1
    assert not journal.exists()
    assert (closed / "config" / "cohorts" / "c1" / "corrections.json").read_text().strip() == "{}"


def test_a_key_for_all_donors_stays_and_the_receipt_says_so(closed, keys, capsys, monkeypatch):
    path = keys / "one.key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    monkeypatch.setenv("PMCELL_PSEUDONYM_KEY_FILE", str(path))
    capsys.readouterr()
    assert main(["withdraw", "anna1", "--cohort", "c1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["erased"]["pseudonym_key"]
    assert said.startswith("stays: one key is for all donors")
    assert path.read_bytes() == bytes(range(32))


def test_a_collected_withdrawal_waits_for_its_day(study: Path, capsys) -> None:
    consent("init", *INIT)
    words = ["withdraw", "anna1", "--cohort", "c1", "--collect"]
    assert main([*words, "2999-12-31"]) == 0
    assert "1 withdrawals take effect on 2999-12-31" in capsys.readouterr().out
    assert main([*words, "2020-01-01"]) == 2
    assert "must be a day to come" in capsys.readouterr().err
    assert consent("show") == 0
    shown = capsys.readouterr().out
    assert "2 donors may be used" in shown
    assert "changes next on 2999-12-31" in shown


def test_collected_withdrawals_of_a_closed_cohort_take_effect_together(closed, capsys) -> None:
    for donor in ("anna1", "bert2"):
        assert main(["withdraw", donor, "--cohort", "c1", "--collect", "2999-12-31"]) == 0
    said = capsys.readouterr().out
    assert "2 withdrawals take effect on 2999-12-31" in said
    assert "each published stratum differ from every earlier release in nobody" in said
    assert main(["withdraw", "anna1", "--cohort", "c1", "--collect", "2999-12-31"]) == 3
    assert "must not be in the ledger already" in capsys.readouterr().err
    for day, n_allowed, reasons in (
        ("2999-12-30", 2, []),
        ("2999-12-31", 0, [{"reason": "the consent was withdrawn", "n_donors": 2}]),
    ):
        assert consent("show", "--day", day, "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["n_allowed"], shown["dropped"]) == (n_allowed, reasons)
    # Nothing was taken down, rebuilt or erased yet.
    assert not (closed / "withdrawals").exists()
    assert main(["pseudonyms", "show"]) == 0
    assert "0 were erased" in capsys.readouterr().out
    # On the day each is withdrawn whole: the entry is there, the key goes.
    assert main(["withdraw", "anna1", "--cohort", "c1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subject"]


def test_a_withdrawal_of_nobody_and_without_a_ledger_is_refused(study: Path, capsys) -> None:
    assert main(["withdraw", "anna1", "--cohort", "c1"]) == 2
    assert "must have a consent ledger" in capsys.readouterr().err
    assert main(["withdraw", "ana1", "--cohort", "c1"]) == 2
    assert "Did you mean 'anna1'" in capsys.readouterr().err
    assert main(["withdraw", "anna1", "--cohort", "c2"]) == 2
    assert not (study / "withdrawals").exists()


def test_a_scan_says_where_a_donor_is(study: Path, capsys) -> None:
    from pmcell.io.atomic import write_text

    write_text(study / "notes" / "x.txt", "anna1 called\n")
    assert main(["withdraw", "anna1", "--cohort", "c1", "--scan-only"]) == 0
    assert " s): none found. Not searched: " in (said := capsys.readouterr().out)
    assert "notes" in said
    write_text(study / "results" / "logs" / "x.log", "no cells of anna1\n")
    assert main(["withdraw", "anna1", "--cohort", "c1", "--scan-only"]) == 1
    assert "results/logs/x.log: donor in bytes" in capsys.readouterr().out
