"""The page in a real browser: two printed sides, no sideways scrolling, nothing asked for."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

import axe
from browser import BROWSER, Browser
from dossier.made_people import PERSON, make_people, suspect
from pmcell.dossier import build_dossier
from pmcell.dossier.page import render
from pmcell.registry.duplicates.find import SEX_CONFLICT, SHARED_CELLS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.mark.parametrize(("n_rare", "kinds"), [(0, ()), (20, (SEX_CONFLICT, SHARED_CELLS))])
def test_a_dossier_prints_on_two_pages_and_fits_a_phone(
    n_rare: int, kinds: tuple[str, ...], browser: Browser, tmp_path: Path
) -> None:
    release = make_people(tmp_path / "release", n_rare=n_rare)
    if kinds:
        suspect(release, *kinds)
    page = tmp_path / "dossier.html"
    page.write_text(render(build_dossier(release, PERSON)), encoding="utf-8")
    browser.requests.clear()
    for width, is_phone in ((1280, False), (390, True)):
        browser.resize(width, 844, mobile=is_phone)
        browser.open(page.as_uri())
        assert browser.eval("document.documentElement.scrollWidth") <= width
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert browser.eval(f"{cut}.map(e => e.ariaLabel)") == []
    unnamed = "[...document.querySelectorAll('tbody td')].filter(c => !c.dataset.label).length"
    assert browser.eval(unnamed) == 0
    pdf = base64.b64decode(browser.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2
    assert browser.console == []
    assert {url for url in browser.requests if not url.startswith("about:")} == {page.as_uri()}


@pytest.mark.skipif(not axe.is_here(), reason="PMCELL_AXE names no axe.min.js")
def test_axe_finds_no_barrier_in_a_dossier_at_three_widths(
    browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "dossier.html"
    page.write_text(render(build_dossier(make_people(tmp_path / "r"), PERSON)), encoding="utf-8")
    for width in (390, 768, 1280):
        browser.resize(width, 844, mobile=width == 390)
        browser.open(page.as_uri())
        assert axe.barriers(browser) == [], width


def test_text_of_the_page_has_the_contrast_that_wcag_asks_for(
    browser: Browser, tmp_path: Path
) -> None:
    release = make_people(tmp_path / "release")
    page = tmp_path / "dossier.html"
    page.write_text(render(build_dossier(release, PERSON)), encoding="utf-8")
    browser.resize(1280, 844)
    browser.open(page.as_uri())
    ratios = browser.eval(
        """(() => {
          const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
            .map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
            return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
          return [...document.querySelectorAll('p, li, td, th, dd, dt, h1, h2, h3, b, footer')]
            .filter(e => e.innerText && e.innerText.trim())
            .map(e => [1.05 / (light(getComputedStyle(e).color) + 0.05), e.innerText]);
        })()"""
    )
    assert len(ratios) > 50
    assert [text for ratio, text in ratios if ratio < 4.5] == []
