"""The page of a dossier: one HTML file without scripts, two printed pages, nothing loaded."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pmcell.dossier.drawings import strip, ten_people
from pmcell.dossier.model import DEVICE, Dossier, Interval, Share, percent_value
from pmcell.dossier.unsaid import people_text
from pmcell.dossier.words import plain, plural_kinds
from pmcell.limitations import RESEARCH_USE
from pmcell.report.environment import open_templates
from pmcell.report.parts import decimal, p_text
from pmcell.report.reflow import label_cells
from pmcell.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded from anywhere and no script runs."""
PRINTED = {"shares": 14, "states": 8, "changes": 6, "measurements": 6}
"""Rows of each table that fit on the second printed page; the others are on the screen only."""
DASH = "–"


def render(dossier: Dossier) -> str:
    """The page as HTML; equal dossiers give equal text."""
    from markupsafe import Markup

    page = _environment().get_template("dossier.html.j2")
    told = plain(dossier)
    text = page.render(
        d=dossier,
        plain=told,
        people=Markup(ten_people(told.pictogram)) if told.pictogram else "",
        strips=[
            Markup(strip(item.share, item.counting, item.group, tone(item)))
            for item in dossier.shares
        ],
        style=Markup(
            "".join(
                _asset("pmcell.report", f"{name}.css") for name in ("parts", "report", "reflow")
            )
            + _asset("pmcell.dossier", "dossier.css")
        ),
        policy=POLICY,
        use=RESEARCH_USE,
        is_device=dossier.mode == DEVICE,
        printed=PRINTED,
        version=__version__,
        has_nine=any(item.group.nine_of_ten for item in dossier.shares),
        has_reference=any(item.group.reference for item in dossier.shares),
        has_repeats=any(item.repeats for item in dossier.changes),
        states_have_nine=any(item.group.nine_of_ten for item in dossier.states),
    )
    return label_cells(text)


def percent(share: float | None) -> str:
    """A share of the person as it is printed, with its sign.

    >>> percent(0.1234), percent(0.0043), percent(0.0), percent(None)
    ('12.3 %', '0.43 %', '0 %', '–')
    """
    return DASH if share is None else f"{_fixed(percent_value(share))} %"


def counted(interval: Interval) -> str:
    """An interval of a share of the person.

    >>> counted(Interval(0.0, 0.3))
    '0–30.0'
    """
    return f"{_fixed(percent_value(interval.low))}–{_fixed(percent_value(interval.high))}"


def two_digits(share: float) -> str:
    """A share of the group in percent; it has two digits.

    >>> two_digits(0.17), two_digits(0.0044)
    ('17', '0.44')
    """
    return f"{percent_value(share):g}"


def percents(interval: Interval | None) -> str:
    """A range of shares of the group in percent, or a dash.

    >>> percents(Interval(0.012, 0.3))
    '1.2–30'
    """
    if interval is None:
        return DASH
    return f"{percent_value(interval.low):g}–{percent_value(interval.high):g}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, signed.

    >>> points(-0.0908), points(0.0)
    ('−9.1', '0')
    """
    value = percent_value(difference)
    return ("+" if value > 0 else "−") + _fixed(abs(value)) if value else "0"


def tone(item: Share) -> str:
    """How the dot of a share is drawn."""
    return "far" if item.is_sure and item.position not in ("", "within") else "near"


def _fixed(percentage: float) -> str:
    """Two decimals below 1 %, else one; 0 is 0."""
    if percentage == 0:
        return "0"
    return f"{percentage:.2f}" if abs(percentage) < 1 else f"{percentage:.1f}"


def _environment() -> Environment:

    environment = open_templates("pmcell.dossier")
    filters: dict[str, Any] = {
        "percent": percent,
        "bare": lambda share: percent(share).removesuffix(" %"),
        "percents": percents,
        "counted": counted,
        "two_digits": two_digits,
        "points": points,
        "kinds": plural_kinds,
        "decimal": decimal,
        "p": p_text,
        "people": people_text,
    }
    environment.filters |= filters
    return environment


def _asset(package: str, name: str) -> str:
    return (files(package) / "templates" / name).read_text(encoding="utf-8")
