"""No page of a release puts up a barrier that axe-core finds, on a phone, a tablet, a screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import axe
from browser import BROWSER, Browser
from pmcell.report import write_report
from pmcell.report.site.build import PAGES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]
needs_axe = pytest.mark.skipif(not axe.is_here(), reason="PMCELL_AXE names no axe.min.js")
WIDTHS = (390, 768, 1280)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def addresses(made_site: Path, release_with_strata: Path) -> list[str]:
    """Every page of the catalogue, and a report with strata."""
    pages = [(made_site / "site" / f"{key}.html").as_uri() for key, _, _ in PAGES]
    return [*pages, write_report(release_with_strata).as_uri()]


def look(tab: Browser, *, scheme: str = "light", medium: str = "") -> None:
    """Show pages in a colour scheme, without movement, on a medium."""
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    tab.send("Emulation.setEmulatedMedia", media=medium, features=features)


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier_at_three_widths(tab: Browser, addresses: list[str], scheme: str):
    look(tab, scheme=scheme)
    found: dict[str, list[str]] = {}
    for width in WIDTHS if scheme == "light" else WIDTHS[-1:]:
        tab.resize(width, 900, mobile=width == WIDTHS[0])
        for address in addresses:
            tab.open(address)
            if barriers := axe.barriers(tab):
                found[f"{address.rsplit('/', 1)[-1]} at {width}"] = barriers
    assert found == {}


@needs_axe
def test_axe_finds_a_barrier_that_is_put_up(tab: Browser, addresses: list[str]):
    look(tab)
    tab.open(addresses[0])
    tab.eval("document.querySelector('#q').previousElementSibling.remove(), 0")
    tab.eval("document.querySelector('h1').style.color = '#eee', 0")
    rules = {item.partition(" ")[0] for item in axe.barriers(tab)}
    assert "color-contrast" in rules


def test_no_page_scrolls_sideways_on_a_phone(tab: Browser, addresses: list[str]):
    look(tab)
    tab.resize(320, 800, mobile=True)
    for address in addresses:
        tab.open(address)
        assert tab.eval("document.documentElement.scrollWidth") <= 320, address


CELLS = (
    "[...document.querySelectorAll('.scroll table')].flatMap(t => { "
    "const heads = [...t.tHead.rows[0].cells].map(h => { const own = h.cloneNode(true); "
    "own.querySelectorAll('small').forEach(s => s.remove()); "
    "return own.textContent.replace(/\\s+/g, ' ').trim(); }); "
    "return [...t.tBodies[0].rows].flatMap(r => [...r.cells].map((c, k) => "
    "[c.dataset.label, heads[k]])); })"
)
"""Of each cell of a table the name that it carries, and that of the head of its column."""


def test_a_row_of_a_table_is_a_card_on_a_phone_and_a_row_on_a_tablet(
    tab: Browser, addresses: list[str]
):
    look(tab)
    n_cells = 0
    for width, display in ((390, "grid"), (768, "table-row")):
        tab.resize(width, 800, mobile=width == 390)
        for address in addresses:
            tab.open(address)
            tab.eval("document.querySelectorAll('details').forEach(d => { d.open = true; }), 0")
            named = tab.eval(CELLS)
            assert [pair for pair in named if pair[0] != pair[1]] == [], address
            n_cells += len(named)
            shown = "[...new Set([...document.querySelectorAll('.scroll tbody tr')]"
            shown += ".map(r => getComputedStyle(r).display))]"
            assert tab.eval(shown) in ([display], []), address
            if width == 390:
                cut = "[...document.querySelectorAll('.scroll')].filter(e => e.querySelector("
                cut += "'table') && e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
                assert tab.eval(cut) == [], address
    assert n_cells > 1000


def test_nothing_moves_for_those_who_ask_for_it(tab: Browser, addresses: list[str]):
    look(tab)
    for address in addresses:
        tab.open(address)
        assert tab.eval("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        moving = "[...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e);"
        moving += " return parseFloat(s.animationDuration) + parseFloat(s.transitionDuration) > 0"
        assert tab.eval(f"{moving} }}).length") == 0


def test_print_shows_whole_tables_and_no_controls(tab: Browser, addresses: list[str]):
    look(tab, medium="print")
    for address in addresses:
        tab.open(address)
        cut = (
            "[...document.querySelectorAll('.scroll')].filter(e => "
            "getComputedStyle(e).maxHeight !== 'none').length"
        )
        assert tab.eval(cut) == 0, address
        shown = (
            "[...document.querySelectorAll('.search, .controls, .copy, nav')]"
            ".filter(e => e.checkVisibility()).length"
        )
        assert tab.eval(shown) == 0, address
    look(tab)
