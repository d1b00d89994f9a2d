"""Say what is usual behind a line that is no YAML: a tab, a colon within a text, a typed quote."""

from __future__ import annotations

import re

_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7})(?:\s|$)")
_NO_SPACE = re.compile(r"\s*(?:- )?[A-Za-z_]\w*:(?=[^\s/:])")
_TWO_COLONS = re.compile(r"\s*(?:- )?[\w.-]+:\s+[^\s\"'\[{|>&*!#].*?:(?:\s|$)")
_BEGINS_BADLY = re.compile(r"\s*(?:- |[\w.-]+:\s+)([@`%&*!|>,\]}])")
_BACKSLASH = re.compile(r'"[^"]*\\[^"]*"')
_INDENT = re.compile(r"[ \u00a0\u2000-\u200b\u202f\u3000]*")


def yaml_fix(text: str, line: int | None) -> str:
    """The fix of a YAML error at a line (from 1), by the line itself and the two before it.

    >>> yaml_fix("title: COVID: a study", 1)
    'Put the text behind the first colon of line 1 in quotes.'
    >>> yaml_fix("a:\\n\\tb: 1", 2)
    'Indent line 2 with spaces: a tab is none.'
    """
    lines = text.splitlines()
    for number in range(line or 0, max((line or 0) - 3, 0), -1):
        row = lines[number - 1] if number <= len(lines) else ""
        if row.lstrip().startswith("#"):
            continue
        if found := _what_is_wrong(row):
            return found.format(line=number)
    return "Check indentation, colons, brackets and quotes there."


def yaml_problem(error: Exception) -> str:
    """What the parser found, without the word of it that our own sentence holds."""
    problem = str(getattr(error, "problem", None) or "").strip() or str(error).partition("\n")[0]
    return problem.removeprefix("found ").removeprefix("but found ") or "not YAML"


def _what_is_wrong(written: str) -> str:
    row = re.sub(r"\s#.*", "", written)
    indent = _INDENT.match(row)
    if _CONFLICT.match(row):
        return "Two versions of the file were merged: keep one, and remove the line {line}."
    if re.match(r" *\t", row):
        return "Indent line {line} with spaces: a tab is none."
    if indent and set(indent[0]) - {" "}:
        return "Indent line {line} with plain spaces: what stands there only looks like one."
    if "\uff1a" in row.partition(":")[0]:
        return "Write the colon of line {line} as ':'."
    if _BACKSLASH.search(row):
        return "In line {line}, write ' for \" around a text with backslashes, or / for each."
    if found := _BEGINS_BADLY.match(row):
        sign = found[1].replace("{", "{{").replace("}", "}}")
        return f"Put the text of line {{line}} in quotes: it begins with {sign}."
    if _TWO_COLONS.match(row):
        return "Put the text behind the first colon of line {line} in quotes."
    if _NO_SPACE.match(row):
        return "Write a space behind the colon of line {line}."
    return ""
