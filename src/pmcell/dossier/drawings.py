"""Small drawings of a dossier as SVG: where a value stands in a range, and ten people.

They are made by hand, not by matplotlib: a few lines each, in the page's own colours,
and the page stays small. All numbers that they show stand beside them as text.
"""

from __future__ import annotations

from pmcell.dossier.model import GroupRange, Interval

WIDTH, HEIGHT, EDGE = 150, 16, 4


def strip(value: float | None, counting: Interval | None, group: GroupRange, tone: str) -> str:
    """A strip from 0: the group's range (thin), quartiles (thick) and median, the person's dot."""
    outer = group.reference or group.nine_of_ten
    ends = [
        value or 0.0,
        counting.high if counting else 0.0,
        outer.high if outer else 0.0,
        group.quartiles.high if group.quartiles else 0.0,
    ]
    scale = max(ends) or 1.0
    parts = [f'<line class="axis" x1="{EDGE}" x2="{WIDTH - EDGE}" y1="14" y2="14"/>']
    if outer:
        parts.append(_bar("outer", outer, scale, 6, 4))
    if group.quartiles:
        parts.append(_bar("inner", group.quartiles, scale, 4, 8))
    if group.median is not None:
        x = _x(group.median, scale)
        parts.append(f'<line class="median" x1="{x}" x2="{x}" y1="3" y2="13"/>')
    if counting:
        parts.append(
            f'<line class="counting" x1="{_x(counting.low, scale)}" '
            f'x2="{_x(counting.high, scale)}" y1="8" y2="8"/>'
        )
    if value is not None:
        parts.append(f'<circle class="{tone}" cx="{_x(value, scale)}" cy="8" r="3.5"/>')
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


def ten_people(label: str) -> str:
    """Ten people, nine filled and one in outline; `label` is read by screen readers."""
    people = []
    for number in range(10):
        style = "inside" if number < 9 else "outside"
        people.append(
            f'<g class="{style}" transform="translate({number * 30} 0)">'
            '<circle cx="15" cy="9" r="6.5"/>'
            '<path d="M5 46 v-18 a10 10 0 0 1 20 0 v18 z"/></g>'
        )
    return (
        f'<svg class="people" viewBox="0 0 300 50" role="img" aria-label="{label}">'
        f"{''.join(people)}</svg>"
    )


def _bar(style: str, interval: Interval, scale: float, top: int, height: int) -> str:
    left, right = _x(interval.low, scale), _x(interval.high, scale)
    width = round(max(right - left, 1.0), 1)
    return f'<rect class="{style}" x="{left}" y="{top}" width="{width}" height="{height}"/>'


def _x(value: float, scale: float) -> float:
    return round(EDGE + (WIDTH - 2 * EDGE) * value / scale, 1)
