"""The catalogue in a real browser, where one is installed: search, map, keyboard, silence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from browser import BROWSER, Browser
from pmcell.io.tables import empty_table, read_table
from pmcell.registry.terms.ontology import described, terms
from pmcell.release.report_tables import Release
from pmcell.report.site import pack
from pmcell.report.site.build import PAGES
from pmcell.report.site.search import entries
from pmcell.schema import table

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]

COLOURS = (
    "(function(){const c=document.getElementById('plot'), s=new Set();"
    "const d=new Uint32Array(c.getContext('2d').getImageData(0,0,c.width,c.height).data.buffer);"
    "for(const v of d) s.add(v); s.delete(0); return [...s].length})()"
)
FIRST_POINT = (
    "(function(){const c=document.getElementById('plot'), b=c.getBoundingClientRect();"
    "const d=c.getContext('2d').getImageData(0,0,c.width,c.height).data;"
    "const i=new Uint32Array(d.buffer).findIndex(v => v), x=i%c.width, y=Math.floor(i/c.width);"
    "return [b.left+x*b.width/c.width, b.top+y*b.height/c.height+1]})()"
)
FOCUS = "document.activeElement.id || document.activeElement.textContent.trim()"


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site(made_site: Path) -> Path:
    return made_site / "site"


def pages(folder: Path) -> list[str]:
    return [(folder / f"{key}.html").as_uri() for key, _, _ in PAGES]


@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_logs_asks_outside_or_scrolls_sideways(tab, site, hostile_site, width):
    tab.resize(width, 800, mobile=width == 400)
    tab.console.clear()
    tab.requests.clear()
    for folder in (site, hostile_site):
        for url in pages(folder):
            tab.open(url)
            if folder == site:
                assert tab.eval("document.documentElement.scrollWidth") <= width, url
    tab.resize(1280, 900)
    assert tab.console == []
    assert len(tab.requests) > 2 * len(PAGES)
    inside = (site.as_uri(), hostile_site.as_uri(), "about:", "data:,")
    assert [url for url in tab.requests if not url.startswith(inside)] == []


def test_search_finds_everything_with_the_keyboard_alone(tab, site):
    tab.open(pages(site)[0])
    tab.press("/")
    assert tab.eval(FOCUS) == "q"
    for words, kind, url in (
        ("quarantined wrong", "cohort", "cohorts.html#cohort-wrong"),
        ("doublet_score", "column", "dictionary.html#cells-doublet_score"),
        ("t cell", "cluster", "cells.html#clusters"),
        ("ENSG00000000419", "gene", "cells.html#gene=ENSG00000000419"),
    ):
        tab.eval("document.getElementById('q').value = ''")
        tab.type(words)
        found = tab.wait(
            "(l => l.length && l.map(a => [a.querySelector('em').textContent, a.href]))"
            "([...document.querySelectorAll('#found a')])"
        )
        assert [kind, f"{site.as_uri()}/{url}"] in found, words
        assert "result" in tab.eval("document.getElementById('found-count').textContent")
    tab.press("ArrowDown")
    assert tab.eval("document.activeElement.closest('#found') !== null")
    tab.press("Enter")
    assert tab.wait("location.href.includes('cells.html#gene=')")
    tab.wait(
        "(document.getElementById('status') || {textContent: ''}).textContent.includes('count')"
    )


QUERIES = {
    "T-cell": "T cell",
    "t cells": "T cell",
    "CD4+ T": "CD4-positive, alpha-beta T cell",
    "NK": "natural killer cell",
    "Tregs": "regulatory T cell",
    "B cell memory": "memory B cell",
    "CD14 mono": "CD14-positive monocyte",
    "pDC": "plasmacytoid dendritic cell",
    "covid": "COVID-19",
    "IFITM1": "IFITM1",
}
"""What people type, and what must come first among all terms of the Cell Ontology."""


@pytest.fixture(scope="module")
def wide_site(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Path:
    """The site with every term of the Cell Ontology and some genes in its index."""
    rows = [
        {
            "term_id": term_id,
            "label": described(term_id).label,
            "ontology": term_id.partition(":")[0],
            "synonyms": described(term_id).synonyms,
        }
        for term_id in [*terms("CL"), "MONDO:0100096", "UBERON:0000178"]
    ]
    tables = {name: empty_table(table(name)) for name in ("clusters", "strata", "gaps")}
    release = Release(
        tables={**tables, "terms": pd.DataFrame(rows)}, absent=(), verdict=None, manifest={},
        citation="",
    )  # fmt: skip
    symbols = ["IFITM1", "IFITM10", "NKG7", "NKTR", "TREML1", "CD4", "CD14", "PDCD1", "MONO"]
    index = {
        "entries": entries(release, [], [], []),
        "genes": {"names": [f"{name} ENSG{name} 1" for name in symbols], "drawn": [], "all": True},
    }
    folder = shutil.copytree(site, tmp_path_factory.mktemp("wide") / "site")
    (folder / "data" / "search.js").write_text(pack.script("search", index), encoding="utf-8")
    return folder


def test_search_knows_what_people_call_cell_types(tab, wide_site):
    tab.open(pages(wide_site)[0])
    first = {}
    for words in QUERIES:
        tab.eval(
            f"(q => {{ q.focus(); q.value = {words!r}; q.dispatchEvent(new Event('input')); "
            "})(document.getElementById('q')), 0"
        )
        first[words] = tab.wait(
            "(a => a && [...a.childNodes].filter(n => !/EM|SMALL/.test(n.nodeName))"
            ".map(n => n.textContent).join(''))(document.querySelector('#found a'))"
        )
    assert first == QUERIES


def test_any_gene_is_looked_up_by_its_name(tab, site, made_site):
    gene = read_table(made_site / "tables" / "pseudobulk.parquet")["gene_id"].iloc[0]
    tab.open(f"{(site / 'cells.html').as_uri()}#gene={gene}")
    tab.wait("document.querySelectorAll('#gene-types tbody tr').length > 0")
    assert gene in tab.eval("document.getElementById('gene-told').textContent")
    shown = tab.eval("document.querySelector('#gene-types tbody').textContent")
    assert "%" in shown
    tab.eval(
        "(q => { q.value = 'no such'; q.dispatchEvent(new Event('input')); })"
        "(document.getElementById('any-gene')), 0"
    )
    assert tab.eval("document.getElementById('gene-types').hidden")
    assert "No gene of this release" in tab.eval("document.getElementById('gene-told').textContent")


def test_search_says_when_nothing_is_found_and_closes(tab, site):
    tab.open(pages(site)[1])
    tab.eval("document.getElementById('q').focus()")
    tab.type("zzzz")
    tab.wait("document.getElementById('found-count').textContent.startsWith('Nothing found')")
    tab.press("Escape")
    assert tab.eval("document.getElementById('found').hidden")


def test_the_first_stops_of_the_tab_key_are_skip_link_title_search_pages(tab, site):
    for url in pages(site):
        tab.open(url)
        stops = []
        for _ in range(4):
            tab.press("Tab")
            stops.append(tab.eval(FOCUS))
        assert stops[0] == "Skip to the content"
        assert stops[2:] == ["q", "Overview"]
        shown = "getComputedStyle(document.activeElement).outlineStyle"
        assert tab.eval(shown) == "solid"
    tab.open(url)
    tab.press("Tab")
    tab.press("Enter")
    assert tab.eval(FOCUS) == "main"


def test_the_map_is_drawn_and_follows_its_controls(tab, site):
    tab.open(f"{site.as_uri()}/cells.html")
    tab.wait(f"{COLOURS} >= 2")
    assert "Coloured by cell type: " in tab.eval("document.getElementById('status').textContent")
    tab.eval("document.getElementById('none').click()")
    tab.wait(f"{COLOURS} === 0")
    tab.eval("document.getElementById('all').click()")
    tab.wait(f"{COLOURS} >= 2")
    tab.eval(
        "(s => { s.value = 'gene'; s.dispatchEvent(new Event('change')) })"
        "(document.getElementById('by'))"
    )
    text = tab.wait(
        "(t => t.includes('where it was measured have a count') && t)"
        "(document.getElementById('status').textContent)"
    )
    assert tab.eval("document.getElementById('plot').getAttribute('aria-label')").endswith(text)
    assert not tab.eval("document.getElementById('ramp').hidden")


def test_the_map_tells_what_lies_under_the_mouse_and_moves_by_keys(tab, site):
    tab.open(f"{site.as_uri()}/cells.html")
    tab.wait(f"{COLOURS} >= 2")
    tab.eval(
        "document.getElementById('plot').scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    x, y = tab.eval(FIRST_POINT)
    tab.point(x, y)
    assert "cluster" in tab.wait(
        "!document.getElementById('tip').hidden && document.getElementById('tip').textContent"
    )
    image = "document.getElementById('plot').toDataURL()"
    before = tab.eval(image)
    tab.eval("document.getElementById('plot').focus()")
    tab.press("+")
    tab.wait(f"{image} !== {before!r}")
    tab.press("0")
    tab.wait(f"{image} === {before!r}")
