"""LOINC codes: their form, and the check digit behind the hyphen."""

from __future__ import annotations

import re

_FORM = re.compile(r"(\d{1,7})-(\d)")


def check_digit(number: str) -> int:
    """Return the check digit of a LOINC number, by the Mod 10 algorithm (Luhn).

    LOINC Users' Guide, appendix "Calculating Mod 10 check digits".

    Examples
    --------
    >>> check_digit("8480"), check_digit("59261")
    (6, 8)
    """
    doubled = [
        int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))
    ]
    return -sum(digit // 10 + digit % 10 for digit in doubled) % 10


def loinc_problem(code: str) -> str:
    """Return what is wrong with a LOINC code, in words; '' where its form and digit are right.

    Whether LOINC has given the number to something cannot be told without its table, which
    its licence keeps out of this package.

    Examples
    --------
    >>> loinc_problem("8480-6"), loinc_problem("8480-7")
    ('', 'its check digit is 7, and that of 8480 is 6')
    """
    match = _FORM.fullmatch(code)
    if match is None:
        return "it is not 1 to 7 digits, a hyphen and a check digit"
    number, given = match.groups()
    right = check_digit(number)
    return (
        ""
        if right == int(given)
        else f"its check digit is {given}, and that of {number} is {right}"
    )
