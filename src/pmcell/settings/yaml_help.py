"""Say what is usual behind a line that is no YAML: a tab, a colon within a text, a typed quote.

And what YAML takes for a comment, though it was meant as the end of a text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7})(?:\s|$)")
_NO_SPACE = re.compile(r"\s*(?:- )?[A-Za-z_]\w*:(?=[^\s/:])")
_TWO_COLONS = re.compile(r"\s*(?:- )?[\w.-]+:\s+[^\s\"'\[{|>&*!#].*?:(?:\s|$)")
_BEGINS_BADLY = re.compile(r"\s*(?:- |[\w.-]+:\s+)([@`%&*!|>,\]}])")
_BACKSLASH = re.compile(r'"[^"]*\\[^"]*"')
_BEHIND = re.compile(r"([ \t]+)(#[^\r\n]*)")
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
"""Signs that no text needs, and that XML, HDF5 or a reader's screen does not take as they are.

Quotes in YAML make them: `"C:\\bin"` holds a backspace. Joiners of letters are not among them.
"""
_UNSEEN_BREAK = re.compile("[\x85\u2028\u2029]")
_INDENT = re.compile(r"[ \u00a0\u2000-\u200b\u202f\u3000]*")


@dataclass(frozen=True)
class CutText:
    """A text without quotes, and the comment behind it that may have been meant as its end.

    `is_sure` where nobody writes a comment so: `Study #3`, against `Study # 3`.
    """

    text: str
    comment: str
    is_sure: bool

    @property
    def found(self) -> str:
        """What YAML reads."""
        return f"{self.text!r}, for YAML takes {self.comment[:60]!r} for a comment"

    @property
    def fix(self) -> str:
        """The whole text in quotes."""
        whole = json.dumps(f"{self.text} {self.comment}".strip(), ensure_ascii=False)
        return f"Write it in quotes: {whole}. A comment goes on a line of its own."


MUST_BE_QUOTED = "must be in quotes where a # behind a blank is part of the text"


MUST_SHOW = "must not hold control or invisible characters"


def control_sign(text: str) -> tuple[str, str] | None:
    """What was found of a sign that no text needs, and the fix; None for a text without one.

    >>> control_sign("Study")
    """
    sign = CONTROL.search(text)
    if sign is None:
        return None
    found = f"U+{ord(sign[0]):04X} in {text[max(sign.start() - 20, 0) : sign.end() + 20]!a}"
    return found, "Type it again without; write ' for \" where a backslash stands between quotes."


def cut_text(document: str, text: str, end: int) -> CutText | None:
    """What of a text without quotes, which ends at `end` of the document, may be cut off.

    Comments as drafts have them, two blanks and one behind the #, are taken for comments.

    >>> cut_text("title: Study #3", "Study", 12).comment
    '#3'
    >>> cut_text("title: Study   # as in the paper", "Study", 12)
    """
    behind = _BEHIND.match(document, end)
    if behind is None:
        return None
    blanks, comment = behind[1], behind[2].rstrip()
    if comment[1:2].isspace():
        return CutText(text, comment, is_sure=False) if text and len(blanks) == 1 else None
    return None if comment.startswith("##") else CutText(text, comment, is_sure=True)


def yaml_fix(text: str, line: int | None) -> str:
    """The fix of a YAML error at a line (from 1), by the line itself and the two before it.

    >>> yaml_fix("title: COVID: a study", 1)
    'Put the text behind the first colon of line 1 in quotes.'
    >>> yaml_fix("a:\\n\\tb: 1", 2)
    'Indent line 2 with spaces: a tab is none.'
    """
    unseen = _UNSEEN_BREAK.search(text)
    if unseen is not None:
        number, sign = text.count("\n", 0, unseen.start()) + 1, ord(unseen[0])
        return f"Remove U+{sign:04X} from line {number}: it ends the line for YAML, unseen."
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
    is_open = any(row.count(one) > row.count(other) for one, other in ("[]", "{}"))
    if row != written and (is_open or ":" not in row):
        return "Put the text with # in line {line} in quotes: behind a blank it begins a comment."
    return ""
