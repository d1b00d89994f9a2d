"""The page: plain words first, safe, small, the same each time."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dossier.made_people import ALONE, PERSON, edit, make_people
from pmcell.cli import main
from pmcell.dossier import Dossier, build_dossier
from pmcell.dossier.page import render
from pmcell.dossier.words import plain

HOSTILE = "\"'><script>alert(1)</script><img src=http://127.0.0.1:9/x onerror=x()>"
FORBIDDEN = ("percentile", "cells/µl", "per microlitre", "per µl", "abnormal", "you should", "risk")


class Elements(HTMLParser):
    """Names of all elements, and the text of the plain half."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)


def elements(page: str) -> list[str]:
    parser = Elements()
    parser.feed(page)
    return parser.names


def plain_half(page: str) -> str:
    text = page[page.index('<article class="half plain-words"') : page.index('id="technical"')]
    text = re.sub(r"</?b>", "", text)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text).split()))


def test_the_plain_half_speaks_in_words_and_natural_frequencies(dossier: Dossier) -> None:
    text = plain_half(render(dossier))
    assert "You have more than what 9 of 10 people like you have: plasmablasts." in text
    assert "You have less than what 9 of 10 people like you have: natural killer cells" in text
    assert "You have about what 9 of 10 people like you have:" in text
    assert "130 people of female sex of age 30-39 years without a known disease" in text
    assert "nothing here is a diagnosis or advice" in text
    assert not [word for word in FORBIDDEN if word in text.lower()]
    assert "%" not in text


def test_the_first_sentence_is_the_answer(dossier: Dossier) -> None:
    text = plain_half(render(dossier)).partition("Your cells, compared with others ")[2]
    n = len(dossier.shares)
    assert re.match(
        rf"Of {n} kinds of cells, \d+ are within what 9 of 10 people like you have\. You have more "
        r"plasmablasts and fewer natural killer cells",
        text,
    )
    within = [item for item in dossier.shares if item.position == "within"]
    told = plain(replace(dossier, shares=tuple(within[:2]))).answer
    assert told == (
        "All 2 kinds of cells that we could compare are within what 9 of 10 people like you have."
    )
    unsure = replace(within[0], position="above", is_sure=False)
    told = plain(replace(dossier, shares=(within[1], unsure))).answer
    assert told.endswith("have. 1 is too close to the edge to tell.")


def test_with_few_people_nothing_is_said_of_9_of_10(tmp_path: Path) -> None:
    release = make_people(tmp_path, n_women=20, n_men=0)
    page = render(build_dossier(release, PERSON))
    text = plain_half(page)
    assert "Too few people to compare you with: 20 people, and" in text
    assert "We cannot say what is usual for people like you: 20 people could be compared" in text
    assert "what 9 of 10 people like you have" not in text
    assert 'class="people"' not in page, "no pictogram of what is not known"


def test_with_fewer_people_than_the_release_allows_not_even_their_number(tmp_path: Path) -> None:
    release = make_people(tmp_path, n_women=7, n_men=0)
    page = render(build_dossier(release, PERSON))
    assert "We cannot say how your cells compare with those of others." in plain_half(page)
    assert "We cannot compare you with others: fewer than 10 people" in plain_half(page)
    assert "7 people" not in page
    assert "8 people" not in page, "with the one of unknown age"


def test_a_share_that_counting_could_turn_is_said_to_be_too_close(dossier: Dossier) -> None:
    unsure = replace(dossier.shares[0], position="below", is_sure=False)
    told = plain(replace(dossier, shares=(unsure,)))
    (finding,) = told.findings
    assert finding.tone == "edge"
    assert "too close to the edge to tell" in finding.sentence


def test_change_is_said_in_words_and_bounded(dossier: Dossier) -> None:
    text = plain_half(render(dossier))
    assert re.search(r"More than at your visit before: plasmablasts", text)
    assert "The same person also differs from day to day" in text
    calm = replace(
        dossier,
        changes=tuple(replace(item, is_more_than_counting=False) for item in dossier.changes),
    )
    assert "No kind of cells changed by more than" in plain_half(render(calm))


def test_a_person_of_whom_little_is_known_gets_a_page(people: Path) -> None:
    page = render(build_dossier(people, ALONE))
    assert "We cannot name a group of people whose cells look like yours:" in plain_half(page)
    assert "None" not in re.sub(r"None: no stratum", "", page)
    assert "nan" not in re.findall(r">\s*nan\s*<", page)


def test_markup_in_texts_of_others_stays_text(tmp_path: Path) -> None:
    release = make_people(tmp_path, n_women=12, n_men=0)
    edit(release, "samples", lambda f: f.assign(batch_id=HOSTILE, assay_ontology_term_id=HOSTILE))
    edit(release, "visits", lambda f: f.assign(condition=HOSTILE))
    edit(release, "donors", lambda f: f.assign(age_group=HOSTILE))
    edit(release, "strata", lambda f: f.assign(description=HOSTILE))
    edit(release, "composition", lambda f: f.replace({"platelet": HOSTILE}))
    page = render(build_dossier(release, PERSON))
    assert HOSTILE not in page
    assert not {"script", "img", "link", "iframe"} & set(elements(page))


def test_the_page_is_small_has_no_script_and_loads_nothing(dossier: Dossier) -> None:
    page = render(dossier)
    assert len(page.encode()) < 2_000_000
    assert "script" not in elements(page)
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert "default-src 'none'" in html.unescape(page)


def test_every_id_is_unique_and_every_section_has_its_heading(dossier: Dossier) -> None:
    page = render(dossier)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)


def test_two_runs_give_equal_bytes(people: Path, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        call = ["patient", PERSON, "--release", str(people), "--date", "2026-11-30"]
        assert main([*call, "--out", str(tmp_path / name)]) == 0
        made.append({p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())})
    assert made[0] == made[1]
    assert not [name for name, data in made[0].items() if str(tmp_path).encode() in data]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--visit", "T9"], "must be one of this person's visits, T0, T1; got 'T9'"),
        (["--date", "30.11.2026"], "--date must be a day as YYYY-MM-DD"),
        (["--sex", "female"], "belong to --mapped"),
        (["--mode", "clinic"], "--mode must be one of research, device"),
        (["--mode", "device"], "needs --validation FILE"),
    ],
)
def test_a_wrong_call_exits_2_and_writes_nothing(
    options, found, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["patient", PERSON, "--release", str(people), "--out", str(tmp_path / "out")]
    assert main([*call, *options]) == 2
    assert found in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_release_is_said(tmp_path: Path, capsys) -> None:
    call = ["patient", PERSON, "--release", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(call) == 2
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
