"""The conversation of `pmcell register`: one question a decision, and what was said is kept."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from pmcell.cli import main
from pmcell.cli._conversation import decide
from pmcell.registry.draft.decisions import open_decisions
from repository import ROOT
from steward_files import write_steward_file

SAID = {
    "title": "A title",
    "steward.name": "Ada",
    "license": "",
    "region": "NL32",
    "programme": "none",
    "access": "1",
    "data_use": "GRU",
    "cell_type[odd kind]": "",
    "defaults.assay_ontology_term_id": "",
    "defaults.suspension_type": "cell",
    "sex[1]": "2",
    "sex[2]": "female",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_steward_file(tmp_path / "in.h5ad")
    (tmp_path / "config/programmes").mkdir(parents=True)
    assert main(["register", "in.h5ad", "--id", "c1"]) == 0
    return tmp_path / "config/cohorts/c1"


def person(capsys, said):
    """A person who answers the question that was printed last; those asked, in order."""
    asked = []

    def ask(prompt):
        printed = capsys.readouterr().out
        line = next((line for line in printed.splitlines() if "/" in line[:6]), None)
        if line is not None:
            asked.append(line.split("  ")[1].split(" = ?")[0])
        answer = said[asked[-1]]
        if isinstance(answer, list):
            return answer.pop(0)
        if answer is None:
            raise EOFError
        return answer

    return ask, asked


@pytest.mark.parametrize(
    ("programme", "tissues"),
    [
        ("type2_diabetes", ["blood", "islet of Langerhans", "pancreas"]),
        ("healthy", ["blood", "islet of Langerhans", "kidney"]),
    ],
)
def test_tissues_and_assays_are_offered_by_number(folder, programme, tissues):
    shutil.rmtree(folder.parent.parent / "programmes")
    shutil.copytree(ROOT / "config" / "programmes", folder.parent.parent / "programmes")
    text = (folder / "cohort.yaml").read_text()
    text = re.sub(r"^programme: .*", f"programme: {programme}", text, flags=re.MULTILINE)
    text = re.sub(r"tissue_ontology_term_id: .*", "tissue_ontology_term_id: TODO", text)
    (folder / "cohort.yaml").write_text(text)
    choices = {one.path: one.choices for one in open_decisions(folder)}
    offered = [text.split(" ", 1)[1] for text in choices["defaults.tissue_ontology_term_id"]]
    assert set(tissues) <= set(offered)
    assert len(set(offered)) == len(offered) < 15
    assert "EFO:0009922 10x 3' v3" in choices["defaults.assay_ontology_term_id"]


@pytest.mark.parametrize("use", ["general research use", "GRU", "DUO:0000042 General research use"])
def test_a_use_may_be_named_by_its_label(folder, use):
    assert main(["register", "--id", "c1", "--set", f"data_use={use}"]) == 0
    assert "data_use: [DUO:0000042]" in (folder / "cohort.yaml").read_text()


def test_a_key_may_be_given_by_its_last_part_where_one_has_it(folder, capsys):
    call = ["register", "--id", "c1", "--set", "tissue=kidney", "--set", "doi=10.1000/x"]
    assert main(call) == 0
    text = (folder / "cohort.yaml").read_text()
    assert "tissue_ontology_term_id: UBERON:0002113   # kidney" in text
    assert "doi: 10.1000/x" in text
    before = (folder / "cohort.yaml").read_bytes()
    assert main(["register", "--id", "c1", "--set", "name=Ada"]) == 2
    assert (folder / "cohort.yaml").read_bytes() == before


def test_each_decision_is_asked_once_and_the_cohort_is_sound(folder, capsys):
    capsys.readouterr()
    ask, asked = person(capsys, SAID)
    assert decide(folder, {}, rest="", is_asking=True, ask=ask) == []
    # Open access answers who decides on it: that is not asked.
    assert sorted(asked) == sorted(SAID)
    rows = (folder / "donors.tsv").read_text().splitlines()
    assert rows[1].split("\t")[1] == "PATO:0000384"
    capsys.readouterr()
    assert main(["check", "c1"]) == 0


def test_a_wrong_answer_is_explained_and_asked_again(folder, capsys):
    capsys.readouterr()
    ask, _ = person(capsys, SAID | {"title": ["later"], "region": ["Holand", "NL32"]})
    still = decide(folder, {}, rest="", is_asking=True, ask=ask)
    assert [one.key for one in still] == ["title"]
    assert "\nregion: NL32\n" in (folder / "cohort.yaml").read_text()


def test_what_was_said_before_the_end_is_kept(folder, capsys):
    capsys.readouterr()
    ask, _ = person(capsys, SAID | {"license": None})
    still = decide(folder, {}, rest="", is_asking=True, ask=ask)
    assert "steward.name" not in {one.key for one in still}
    assert "license" in {one.key for one in still}


def test_without_a_terminal_nothing_is_asked_and_what_is_open_is_listed(folder, capsys):
    capsys.readouterr()
    assert main(["register", "--id", "c1"]) == 0
    said = capsys.readouterr().out
    assert "sex[1] = ? in 2 donors" in said
    assert "what was decided stays" in said


def test_flags_answer_and_the_rest_may_be_unknown(folder, capsys):
    flags = [f"--set={key}={SAID[key]}" for key in ("title", "steward.name", "programme")]
    flags += ["--set=access=open", "--set", "data_use=GRU", "--set", "sex[1]=male"]
    assert main(["register", "--id", "c1", *flags, "--rest", "unknown", "--json"]) == 0
    assert open_decisions(folder) == []
    assert main(["register", "in.h5ad", "--id", "c1"]) == 0
    assert "Nothing is open" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--id", "c2"], "FILE must be given"),
        (["--id", "c1", "--set", "access"], "must be KEY=ANSWER"),
        (["--id", "c1", "--set", "access=opne"], "Did you mean 'open'"),
        (["--id", "c1", "--workbook", "w.xlsx"], "is one already"),
        (["in.h5ad", "--id", "c3", "--workbook", "w.txt"], "must end in .xlsx"),
        (["in.h5ad", "--id", "c3", "--donors", "no.csv"], "--donors must name a file"),
    ],
)
def test_a_wrong_call_says_what_must_hold(folder, capsys, arguments, message):
    assert main(["register", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_terms_are_found_on_the_command_line(capsys):
    assert main(["terms", "memory", "B", "--in", "CL", "-n", "1"]) == 0
    assert capsys.readouterr().out.startswith("CL:0000787  memory B cell")
    assert main(["terms", "hdab", "--in", "DUO", "--json"]) == 0
    assert "health data access body" in json.loads(capsys.readouterr().out)["meaning"]
    assert main(["terms", "xyzzyq", "--in", "CL"]) == 1
