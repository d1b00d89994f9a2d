"""Tell whether a text holds a calendar date, in any form that people and programs write.

A date of sampling identifies a person, so no label that is published may hold
one: visits are days since the first visit. How much must be there before a text
counts as a date depends on what the text is: a visit '43930' is the day that a
spreadsheet stored, a donor '43930' is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from pmcell.registry.sheets.month_names import MONTH_ABBREVIATIONS, MONTH_NAMES
from pmcell.spelling import folded

VISIT, LABEL, TEXT = "visit", "label", "text"
"""How a text is read: a time point; a short label; an id, a cell type or other text."""

_EPOCH = date(1899, 12, 30)
"""Day 0 of spreadsheets."""
_SERIAL_YEARS = {VISIT: (1980, 2040), LABEL: (2005, 2035)}
"""Years in which a bare number of five digits is the day of a spreadsheet."""

_YEAR = r"(?:19|20)\d\d"
_MONTH, _DAY = r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_MM, _DD = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_SEP = r"\s?[-./_\s]\s?"
_TIME = r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?"


def _any_of(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=lambda word: (-len(word), word))) + ")"


def _patterns(*sources: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(source) for source in sources)


_LINK = r"[\s.,'’/_-]*(?:(?:de|del|di|d|of|the|anul|roku|gada|m)\b[\s.'’]*)?"
_NAME = rf"(?<![^\W\d_]){_any_of(MONTH_NAMES)}(?![^\W\d_])"
_ANY_NAME = rf"(?<![^\W\d_]){_any_of(MONTH_NAMES | MONTH_ABBREVIATIONS)}(?![^\W\d_])"
_NTH = r"(?:st|nd|rd|th|er|e|\.|º|°|ª)?"
_WEEK = (
    r"(?:kw|cw|w|wk|week|woche|kalenderwoche|semaine|sem|semana|settimana|uge|uke|vecka|viikko"
    r"|tydzien|tyden|tyzden|het|saptamana)"
)
_QUARTER = r"(?:quarter|quartal|trimestre|trimestr|kwartaal|kwartal)"
_SEASON = (
    r"(?:spring|summer|autumn|fall|winter|fruhjahr|fruhling|sommer|herbst|printemps|ete|automne"
    r"|hiver|primavera|verano|otono|invierno|estate|autunno|inverno|verao|outono|voorjaar|lente"
    r"|zomer|najaar|herfst|var|host|vinter|forar|efterar|kevat|kesa|syksy|talvi|wiosna|lato|jesien"
    r"|zima|jaro|leto|podzim)"
)

_IN_TEXT = _patterns(
    rf"(?<!\d){_YEAR}{_SEP}{_MONTH}{_SEP}{_DAY}(?!\d)",
    rf"(?<!\d)(?:{_DAY}{_SEP}{_MONTH}|{_MONTH}{_SEP}{_DAY}){_SEP}{_YEAR}(?!\d)",
    rf"(?<!\d){_YEAR}{_MM}{_DD}(?:{_TIME})?(?!\d)",
    rf"(?<!\d){_YEAR}\s?-?\s?w\d\d?(?!\d)",
    rf"(?<!\d){_YEAR}\s*[年년]\s*\d{{1,2}}\s*[月월]",
)
"""Forms with a year in full and a month."""
_WITH_YEAR = _patterns(
    rf"(?<!\d){_YEAR}\s?(?:[-./_\s]{_MM}|[./][1-9])(?!\d)",
    rf"(?<!\d){_MONTH}\s?[-./_]\s?{_YEAR}(?!\d)",
    rf"(?<!\d){_YEAR}[\s,/_-]*{_WEEK}[\s._-]*\d{{1,2}}(?!\d)",
    rf"(?<![^\W\d_]){_WEEK}[\s._-]*\d{{1,2}}[\s,/_-]*(?:of\s)?{_YEAR}(?!\d)",
    rf"(?<!\d){_YEAR}[\s,/_-]*(?:q[1-4]|h[12])(?![^\W_])",
    rf"(?<![^\W_])(?:q[1-4]|h[12]|[1-4]\s?q)[\s,/_-]*{_YEAR}(?!\d)",
    rf"(?<![^\W\d_]){_QUARTER}\s?[1-4]\D{{1,5}}{_YEAR}",
    rf"[1-4]{_NTH}\s?{_QUARTER}\D{{1,5}}{_YEAR}(?!\d)",
    rf"(?<![^\W\d_]){_SEASON}[\s,'’/_-]*(?:of\s|de\s)?{_YEAR}(?!\d)",
    rf"(?<!\d){_YEAR}[\s,/_-]*{_SEASON}(?![^\W\d_])",
)
"""Months without a name, weeks, quarters, halves and seasons of a year in full."""
_WITHOUT_YEAR = _patterns(
    # Three numbers of which one is a year in short: 4-2-20, 2.4.20, 2/4-20.
    rf"(?<![^\W_])(?<![^\W_][-./]){_DAY}(?:(?P<same>[-./]){_DAY}(?P=same)|/{_DAY}-)\d\d"
    r"(?!\d|[-./]\d)",
    r"(?<![^\W_])q[1-4]\s?['’/-]\s?\d\d(?!\d)",
)
_NAMED_WITH_YEAR = _patterns(
    rf"{_ANY_NAME}{_LINK}(?:{_DAY}{_NTH}{_LINK})?(?<!\d){_YEAR}(?!\d)",
    rf"(?<!\d){_YEAR}{_LINK}{_ANY_NAME}",
)
_NAMED = _patterns(
    rf"(?<!\d){_DAY}{_NTH}{_LINK}{_NAME}",
    rf"{_NAME}[\s.,'’/_-]*\d{{1,2}}{_NTH}(?!\d)",
)
_HAS_YEAR = re.compile(_YEAR)
_DIGIT = re.compile(r"\d")
_SIX = re.compile(r"(?:(?<=[_\s-])|^)\d{6}(?=[_\s-]|$)")
_NUMBER = re.compile(r"(\d+)(?:[.,](\d+))?")
_WORD = re.compile(r"[^\W\d_]{3,}")
_ALONE = MONTH_NAMES - {"sep"}
"""Names that are a month where nothing else is said; sep is short for sepsis, too."""
_ALL_NAMES = MONTH_NAMES | MONTH_ABBREVIATIONS
_IN_VISIT = _patterns(
    rf"(?:year |anno |jahr |annee )?{_YEAR}",
    rf"{_YEAR}[-./ ]?[0-3]\d\d",
    rf"{_DAY}\.{_MONTH}\.",
    rf"\d\d(?P<same>[-./ ]){_MM}(?P=same){_DD}",
    rf"{_DD}(?P<other> ){_MM}(?P=other)\d\d",
)
"""What is a date where it is all that a visit says, beside a month's name."""


def find_date(text: str, kind: str = LABEL) -> str:
    """How `text` holds a date, in words; '' where it holds none.

    Parameters
    ----------
    text
        A value of a table, a label or an id.
    kind
        What the text is: `VISIT`, `LABEL` or `TEXT`. A bare number or a month's
        name is a date in a visit only, a month and a year in a label, and in
        other text only what has a month and a year of four digits.

    Returns
    -------
    str
        'a date', or which day a bare number stands for.

    Examples
    --------
    >>> find_date("2 April 2020"), find_date("43930", VISIT), find_date("day 7", VISIT)
    ('a date', '2020-04-09 as spreadsheets store it', '')
    """
    plain = folded(text).strip()
    if kind == VISIT and (
        plain.removesuffix(".") in _ALONE or any(pattern.fullmatch(plain) for pattern in _IN_VISIT)
    ):
        return "a date"
    if not _DIGIT.search(plain):
        return ""
    # The names are many: they are looked for where a word of the text is one.
    named = not _ALL_NAMES.isdisjoint(_WORD.findall(plain))
    tried: tuple[re.Pattern[str], ...] = () if kind == TEXT else _WITHOUT_YEAR
    if named and kind != TEXT:
        tried += _NAMED
    if _HAS_YEAR.search(plain):
        tried += _IN_TEXT if kind == TEXT else (*_IN_TEXT, *_WITH_YEAR)
        tried += _NAMED_WITH_YEAR if named else ()
    if any(pattern.search(plain) for pattern in tried):
        return "a date"
    return "" if kind == TEXT else _in_numbers(plain, kind)


def _in_numbers(plain: str, kind: str) -> str:
    """The day that digits stand for: of a spreadsheet, of a sequencer's run, of a clock."""
    for part in _SIX.findall(plain):
        # Runs of sequencers begin with the day: 200402_A00123_0045_AHXXXX.
        if _is_day(part, "%y%m%d"):
            return "a date (year, month, day)"
    number = _NUMBER.fullmatch(plain)
    if not number:
        return ""
    digits = number[1]
    forms = {8: ("%d%m%Y", "%m%d%Y"), 6: ("%d%m%y", "%m%d%y")}.get(len(digits), ())
    if any(_is_day(digits, form) for form in forms) or _is_month(digits):
        return "a date without separators"
    if len(digits) == 5:
        day = _EPOCH + timedelta(days=int(digits))
        first, last = _SERIAL_YEARS[kind]
        return f"{day} as spreadsheets store it" if first <= day.year <= last else ""
    if len(digits) in (10, 13) and digits.startswith(("1", "20")):
        day = datetime.fromtimestamp(int(digits[:10]), UTC).date()
        return f"{day} as clocks of computers store it"
    return ""


def _is_month(digits: str) -> bool:
    return bool(re.fullmatch(rf"{_YEAR}{_MM}", digits)) and 1980 <= int(digits[:4]) <= 2040


def _is_day(digits: str, form: str) -> bool:
    try:
        day = datetime.strptime(digits, form).replace(tzinfo=UTC)
    except ValueError:
        return False
    return 1980 <= day.year <= 2040
