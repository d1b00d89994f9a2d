"""Let tables be read on a phone: each cell carries the name of its column.

Under 600 px `reflow.css` shows a row as a card, with these names before the values. Roles are
written out, for some browsers forget that a table is one when it is shown as blocks.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_HEAD = re.compile(r"<thead>.*?</thead>", re.DOTALL)
_COLUMN = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_NOTE = re.compile(r"<small\b.*?</small>|<[^>]+>", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<(td|th)\b")


def label_cells(page: str) -> str:
    """Return a page whose table cells name their column in `data-label`.

    Parameters
    ----------
    page
        HTML of pmcell's own templates: tables with a head of one row, none within another.

    Examples
    --------
    >>> table = "<table><thead><tr><th>Cells<small>n</small></th></tr></thead>"
    >>> print(label_cells(table + "<tbody><tr><td>7</td></tr></tbody></table>").split("<tbody")[1])
     role="rowgroup"><tr role="row"><td role="cell" data-label="Cells">7</td></tr></tbody></table>
    """
    return _TABLE.sub(lambda found: _label_table(found[0]), page)


def _label_table(table: str) -> str:
    head = _HEAD.search(table)
    if head is None:
        return table
    names = [_name(text) for text in _COLUMN.findall(head[0])]
    before, body = table[: head.end()], table[head.end() :]
    before = before.replace("<table", '<table role="table"', 1)
    before = before.replace("<thead>", '<thead role="rowgroup">').replace("<tr>", '<tr role="row">')
    before = before.replace("<th ", '<th role="columnheader" ').replace(
        "<th>", '<th role="columnheader">'
    )
    body = body.replace("<tbody>", '<tbody role="rowgroup">')
    return before + _ROW.sub(lambda found: _label_row(found[0], names), body)


def _label_row(row: str, names: list[str]) -> str:
    columns = iter(names)

    def label(found: re.Match[str]) -> str:
        role = "rowheader" if found[1] == "th" else "cell"
        return f'<{found[1]} role="{role}" data-label="{next(columns, "")}"'

    return _CELL.sub(label, row.replace("<tr", '<tr role="row"', 1))


def _name(text: str) -> str:
    """The words of a column's head, without its note; they are escaped already."""
    return " ".join(_NOTE.sub(" ", text).split()).replace('"', "&#34;")
