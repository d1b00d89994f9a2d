"""Figures as SVG: deterministic, without ids that clash, safe for any text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from pmcell import pl
from pmcell.pl.style import new_figure, panel, styled


@styled
def a_figure(text: str = "title"):
    figure = new_figure(200, 100)
    axes = panel(figure, 20, 20, 160, 60, title=text)
    axes.scatter([0, 1], [1, 0], rasterized=True)
    axes.plot([0, 1], [0, 1])
    return figure


def test_equal_figures_give_equal_text_without_a_date():
    first = pl.to_svg(a_figure(), name="one", title="A figure")
    assert first == pl.to_svg(a_figure(), name="one", title="A figure")
    assert "metadata" not in first
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_ids_carry_the_name_and_every_reference_has_its_id():
    svg = pl.to_svg(a_figure(), name="one", title="A figure")
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    references = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    named = {part for pair in references for part in pair if part}
    assert named
    assert named == ids
    assert all(identifier.startswith("one-") for identifier in ids)


@pytest.mark.parametrize(
    "text",
    [
        "</text><script>alert(1)</script>",
        '" onload="alert(1)',
        "$\\frac{1}{2}$ and $x_$",
        "bell \x07 and null \x00",
        "中文 and \ud800",
        "&amp; & <b>",
    ],
)
def test_any_text_stays_text(text):
    root = ElementTree.fromstring(
        pl.to_svg(
            a_figure(text), name="x", title=text.split(" and")[0] if "\x07" not in text else "plain"
        )
    )
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
    shown = "".join(root.itertext())
    assert text.split()[0] in shown


def test_the_figure_has_a_role_and_a_name_for_screen_readers():
    root = ElementTree.fromstring(pl.to_svg(a_figure(), name="x", title="What it shows"))
    assert (root.get("role"), root.get("aria-label")) == ("img", "What it shows")
    assert root.get("viewBox")


def test_plots_leave_the_parameters_of_matplotlib_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    pl.to_svg(a_figure(), name="x", title="x")
    assert dict(mpl.rcParams) == before
