"""The pieces that a page is made of: figures with captions, tables with sortable cells, numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pmcell.spelling import plural as plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

NOT_AVAILABLE = "not available"
PHONE = 350
"""Pixels that a figure has on a phone."""


@dataclass(frozen=True)
class Picture:
    """One SVG, at most `width` pixels wide; below `least` it scrolls instead of shrinking.

    On a phone `narrow` stands in its place, where there is one.
    """

    svg: str
    width: int
    least: int
    narrow: str = ""


@dataclass(frozen=True)
class Figure:
    """Pictures under one caption; `tables` names the release's tables that hold the data."""

    key: str
    title: str
    caption: str
    tables: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, and a number to sort by or to draw as a bar from 0 to 1."""

    text: str
    sort: float | None = None
    bar: float | None = None
    tone: str = ""
    href: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading, whether it holds numbers, and what it means."""

    name: str
    number: bool = False
    help: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of the page; more rows than `fold` are folded away under a heading."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    tables: tuple[str, ...] = field(default=())
    fold: int = 14


def picture(
    figure: MatplotlibFigure,
    *,
    name: str,
    title: str,
    least: float | None = None,
    narrow: MatplotlibFigure | None = None,
) -> Picture:
    """The figure as SVG, and another of the same for a phone; `name` must be unique on the page."""
    from pmcell.pl.svg import to_svg

    width = round(float(figure.get_size_inches()[0]) * 72)
    return Picture(
        svg=to_svg(figure, name=name, title=title),
        width=width,
        least=round(least or width * 0.75),
        narrow=to_svg(narrow, name=f"{name}-narrow", title=title) if narrow is not None else "",
    )


def count(value: Any) -> str:
    """A whole number with separators, or 'not available'."""
    number = as_number(value)
    return NOT_AVAILABLE if number is None else f"{round(number):,}"


def percent(value: Any, digits: int = 1) -> str:
    """A share as a percentage, or 'not available'."""
    number = as_number(value)
    return NOT_AVAILABLE if number is None else f"{100 * number:.{digits}f} %"


def decimal(value: Any, digits: int = 2) -> str:
    """A number with `digits` decimals, or 'not available'."""
    number = as_number(value)
    return NOT_AVAILABLE if number is None else f"{number:.{digits}f}"


def p_text(value: Any) -> str:
    """A p or q value as it is usually printed."""
    number = as_number(value)
    if number is None:
        return NOT_AVAILABLE
    return f"{number:.1g}" if number < 0.001 else f"{number:.3f}"


def as_number(value: Any) -> float | None:
    """The value as a finite float, or None where it is no number."""
    if value is None or isinstance(value, (str, bool, dict, list)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def text_cell(value: Any, *, tone: str = "", href: str = "", note: str = "") -> Cell:
    """Text, with a quieter note below it; an empty or missing value says so."""
    missing = value is None or (isinstance(value, float) and math.isnan(value)) or value == ""
    return Cell(
        "–" if missing else str(value), tone="muted" if missing else tone, href=href, note=note
    )


def number_cell(value: Any, text: str | None = None, *, bar: bool = False, tone: str = "") -> Cell:
    """A number shown as `text` (default: a whole number) and sorted by value."""
    number = as_number(value)
    if number is None:
        return Cell("–", tone="muted")
    share = min(1.0, max(0.0, number)) if bar else None
    return Cell(count(number) if text is None else text, sort=number, bar=share, tone=tone)


def listed(names: Sequence[str], most: int = 6) -> str:
    """'a, b and c'; beyond `most`, how many others.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    names = list(names)
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} others"]
    return (
        names[0]
        if len(names) == 1
        else ", ".join(names[:-1]) + (f" and {names[-1]}" if names else "")
    )


def plain_name(column: str) -> str:
    """A column's name as words.

    >>> plain_name("sex_ontology_term_id")
    'sex'
    """
    return column.removesuffix("_ontology_term_id").removesuffix("_id").replace("_", " ")
