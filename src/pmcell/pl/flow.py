"""What became of submitted cells and donors, as a CONSORT diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pmcell.pl.style import (
    FAINT,
    INK,
    MUTED,
    WARN,
    WASH,
    new_figure,
    shorten,
    styled,
    text_width,
    widest,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = 16.0
_PAD = 11.0
_STACKED = 560.0
"""Below this width in pixels nothing fits beside the spine: who left stands below the box."""
_EDGE = "#8da3b8"


@dataclass(frozen=True)
class Exits:
    """Who left before a stage: rows of (reason, number per column); columns are cohorts."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, tuple[int, ...]], ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Stage:
    """A box of the spine; `exits` are those who left after it."""

    title: str
    lines: tuple[str, ...]
    exits: tuple[Exits, ...] = field(default=())


@styled
def flow(stages: Sequence[Stage], *, width: float = 860) -> Figure:
    """Boxes from top to bottom, with those who left, and why, at the right.

    Narrower than 560 pixels, as on a phone, they stand below, with their sums only.
    """
    if width < _STACKED:
        return _stacked(stages, width)
    spine_width = max(
        190.0,
        widest([line for stage in stages for line in stage.lines], 11) + 30,
        widest([stage.title for stage in stages], 11.5) * 1.2 + 30,
    )
    side_left = spine_width + 44
    heights = [_LINE * (1 + len(stage.lines)) + 2 * _PAD for stage in stages]
    sides = [[_side_height(exits) for exits in stage.exits] for stage in stages]
    gaps = [max(30.0, sum(own) + 12 * len(own) + 12) if own else 30.0 for own in sides]
    total = sum(heights) + sum(gaps[:-1]) + 4 + (gaps[-1] if sides and sides[-1] else 0)
    figure = new_figure(width, total)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, width)
    axes.set_ylim(total, 0)
    axes.axis("off")
    top = 2.0
    centre = spine_width / 2
    for index, stage in enumerate(stages):
        _box(axes, 1, top, spine_width, heights[index], edge=_EDGE, face="#eef4fa")
        axes.text(14, top + _PAD + 11, stage.title, fontsize=11.5, fontweight="bold", color=INK)
        for number, line in enumerate(stage.lines, start=1):
            axes.text(14, top + _PAD + 11 + _LINE * number, line, fontsize=11, color=INK)
        bottom = top + heights[index]
        last = index == len(stages) - 1
        side_top = bottom + 12
        for exits, height in zip(stage.exits, sides[index], strict=True):
            _exit_box(axes, exits, side_left, side_top, width - side_left - 2, height)
            middle = side_top + min(height / 2, 22)
            axes.plot([centre, side_left - 6], [middle] * 2, color=_EDGE, lw=1.1)
            _head(axes, (side_left - 1, middle), right=True)
            side_top += height + 12
        if not last:
            axes.plot([centre] * 2, [bottom, bottom + gaps[index] - 5], color=_EDGE, lw=1.1)
            _head(axes, (centre, bottom + gaps[index] - 1), right=False)
        elif stage.exits:
            axes.plot(
                [centre] * 2,
                [bottom, side_top - 12 - sides[index][-1] / 2],
                color=_EDGE,
                lw=1.1,
            )
        top = bottom + gaps[index]
    return figure


@dataclass(frozen=True)
class _Line:
    """A line of a box, with the number that stands at its right end."""

    text: str
    number: str = ""
    size: float = 11.0
    is_title: bool = False


def _stacked(stages: Sequence[Stage], width: float) -> Figure:
    boxes: list[tuple[bool, list[_Line]]] = []
    for stage in stages:
        lines = [_Line(part) for line in stage.lines for part in _wrapped(line, 11, width - 28)]
        boxes.append((False, [_Line(stage.title, is_title=True, size=11.5), *lines]))
        boxes += [(True, _exit_lines(exits, width - 42)) for exits in stage.exits]
    heights = [_LINE * len(lines) + 2 * _PAD - 2 for _, lines in boxes]
    gap = 14.0
    total = sum(heights) + gap * (len(boxes) - 1) + 4
    figure = new_figure(width, total)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, width)
    axes.set_ylim(total, 0)
    axes.axis("off")
    spine, bottom, top = 16.0, 0.0, 2.0
    for (is_exit, lines), height in zip(boxes, heights, strict=True):
        left = 40.0 if is_exit else 1.0
        edge, face = (FAINT, WASH) if is_exit else (_EDGE, "#eef4fa")
        _box(axes, left, top, width - left - 2, height, edge=edge, face=face)
        for number, line in enumerate(lines):
            y = top + _PAD + 10 + _LINE * number
            colour = WARN if is_exit and line.is_title else INK
            weight = "bold" if line.is_title else "normal"
            axes.text(left + 12, y, line.text, fontsize=line.size, fontweight=weight, color=colour)
            axes.text(width - 14, y, line.number, fontsize=line.size, color=INK, ha="right")
        if is_exit:
            middle = top + min(height / 2, 22)
            axes.plot([spine, spine, left - 6], [bottom, middle, middle], color=_EDGE, lw=1.1)
            _head(axes, (left - 1, middle), right=True)
        else:
            if bottom:
                axes.plot([spine] * 2, [bottom, top - 6], color=_EDGE, lw=1.1)
                _head(axes, (spine, top - 1), right=False)
            bottom = top + height
        top += height + gap
    return figure


def _exit_lines(exits: Exits, width: float) -> list[_Line]:
    """Title and rows of those who left; of numbers, the sum over the cohorts."""
    lines = [_Line(part, is_title=True) for part in _wrapped(exits.title, 12, width - 26)]
    for reason, numbers in exits.rows:
        number = f"{numbers[0]:,}" if numbers else ""
        room = width - 30 - text_width(number, 10.5)
        *before, last = _wrapped(reason, 10.5, room)
        lines += [*(_Line(part, size=10.5) for part in before), _Line(last, number, 10.5)]
    return lines


def _wrapped(text: str, size: float, width: float) -> list[str]:
    """The text in lines of at most `width` pixels, cut between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _side_height(exits: Exits) -> float:
    rows = len(exits.rows) + (1 if len(exits.columns) > 1 and exits.rows else 0)
    return _LINE * (1 + rows) + 2 * _PAD - 2


def _exit_box(
    axes: object, exits: Exits, left: float, top: float, width: float, height: float
) -> None:
    _box(axes, left, top, width, height, edge=FAINT, face=WASH)
    write = axes.text  # type: ignore[attr-defined]
    y = top + _PAD + 10
    write(left + 12, y, exits.title, fontsize=11, fontweight="bold", color=WARN)
    name_width = min(width * 0.5, widest([shorten(row[0], 46) for row in exits.rows], 10.5) + 22)
    step = min(110.0, (width - name_width - 24) / max(len(exits.columns), 1))
    places = [left + 12 + name_width + step * (index + 0.8) for index in range(len(exits.columns))]
    if len(exits.columns) > 1 and exits.rows:
        y += _LINE
        room = max(4, int(step / 6.4))
        for place, column in zip(places, exits.columns, strict=True):
            write(place, y, shorten(column, room), fontsize=9.5, color=MUTED, ha="right")
    for reason, numbers in exits.rows:
        y += _LINE
        length = 46 if exits.columns else max(20, int((width - 24) / 6.3))
        write(left + 12, y, shorten(reason, length), fontsize=10.5, color=INK)
        for place, number in zip(places, numbers, strict=True):
            tint = INK if number else "#9aa4af"
            write(place, y, f"{number:,}", fontsize=10.5, color=tint, ha="right")


def _box(
    axes: object, left: float, top: float, width: float, height: float, *, edge: str, face: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(  # type: ignore[attr-defined]
        FancyBboxPatch(
            (left, top),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=5",
            facecolor=face,
            edgecolor=edge,
            lw=1,
        )
    )


def _head(axes: object, tip: tuple[float, float], *, right: bool) -> None:
    from matplotlib.patches import Polygon

    x, y = tip
    corners = (
        [(x, y), (x - 7, y - 4), (x - 7, y + 4)]
        if right
        else [(x, y), (x - 4, y - 7), (x + 4, y - 7)]
    )
    axes.add_patch(Polygon(corners, closed=True, facecolor=_EDGE, lw=0))  # type: ignore[attr-defined]
