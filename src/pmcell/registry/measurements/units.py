"""UCUM units: whether a text is one, and values in another unit, by ucumvert and pint.

Four things that look alike to a converter of units are kept apart, since they are not the same
to a clinician: annotations (`mL/min` is not `mL/min/{1.73_m2}`), ratios of different things
(48 mmol/mol of haemoglobin A1c is not 4.8 %), mass and amount of substance without a molar
mass, and temperatures, whose zero moves.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_ANNOTATION = re.compile(r"\{[^{}]*\}")
MAX_LETTERS = 60
MAX_UNITS = 500
"""Different units of one table or file: each is parsed, in a thousandth of a second or more."""


class UnitError(ValueError):
    """A unit that is none, or values that cannot be brought into another unit; says why."""


@functools.lru_cache(maxsize=1)
def _parser() -> Any:
    from ucumvert import get_ucum_parser

    return get_ucum_parser()


@functools.lru_cache(maxsize=1)
def _transformer() -> Any:
    """Return what makes quantities of parsed units, with a registry that nobody else changes."""
    from importlib import resources

    from pint import UnitRegistry
    from ucumvert import UcumToPintTransformer

    registry: Any = UnitRegistry()
    with resources.as_file(resources.files("ucumvert") / "pint_ucum_defs.txt") as path:
        registry.load_definitions(path)
    return UcumToPintTransformer(ureg=registry)


def _registry() -> Any:
    return _transformer().ureg


@functools.lru_cache(maxsize=4096)
def unit_problem(unit: str) -> str:
    """Return why a text is no UCUM unit (case-sensitive form); '' where it is one.

    Examples
    --------
    >>> unit_problem("mmol/L"), unit_problem("mmHg")
    ('', 'it cannot be read from letter 3 on')
    """
    if not unit:
        return "it is empty; a number without unit has the unit 1"
    if len(unit) > MAX_LETTERS:
        return f"it has {len(unit)} letters"
    from lark.exceptions import LarkError

    try:
        _parser().parse(unit)
    except LarkError as error:
        column = getattr(error, "column", None)
        at_end = not isinstance(column, int) or column < 1
        return "it ends too early" if at_end else f"it cannot be read from letter {column} on"
    return ""


class SeenUnits:
    """Looks at the units of one table, so that endless different ones do not take hours.

    Examples
    --------
    >>> seen = SeenUnits()
    >>> seen.problem("kg"), seen.problem("mmHg")
    ('', 'it cannot be read from letter 3 on')
    """

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def problem(self, unit: str) -> str:
        """Return `unit_problem` of a unit, or that there are too many different ones."""
        if unit not in self._problems:
            if len(self._problems) >= MAX_UNITS:
                return f"there are more than {MAX_UNITS} different units, and it was not looked at"
            self._problems[unit] = unit_problem(unit)
        return self._problems[unit]


def require_unit(unit: str) -> None:
    """Raise `UnitError` where a text is no UCUM unit."""
    problem = unit_problem(unit)
    if problem:
        raise UnitError(f"{unit!r} is no UCUM unit: {problem}")


@functools.lru_cache(maxsize=4096)
def line_between(unit: str, target: str, molar_mass: float | None = None) -> tuple[float, float]:
    """Return slope and intercept that bring values of `unit` into `target`.

    Parameters
    ----------
    unit, target
        UCUM units.
    molar_mass
        g/mol, with which mass and amount of substance become one another.

    Raises
    ------
    UnitError
        Where one is no unit, or the two are not of one kind.

    Examples
    --------
    >>> slope, intercept = line_between("mg/dL", "mmol/L", 180.156)
    >>> round(126 * slope + intercept, 2)
    6.99
    >>> [round(number, 3) for number in line_between("[degF]", "Cel")]
    [0.556, -17.778]
    """
    require_unit(unit)
    require_unit(target)
    if unit == target:
        return 1.0, 0.0
    notes = [sorted(_ANNOTATION.findall(text)) for text in (unit, target)]
    if notes[0] != notes[1]:
        one, other = (", ".join(item) or "none" for item in notes)
        raise UnitError(
            f"{unit} cannot become {target}: the annotations in braces must be the same, and are "
            f"{one} and {other}"
        )
    first, second = _quantity(unit), _quantity(target)
    if first.dimensionless and second.dimensionless and _ratio_of(first) != _ratio_of(second):
        raise UnitError(f"{unit} cannot become {target}: they are ratios of different things")
    try:
        return _line(first, second, molar_mass)
    except _pint_error() as error:
        why = "mass and amount need a molar mass" if _is_amount(first, second) else "other kinds"
        raise UnitError(f"{unit} cannot become {target}: {why}") from error


def convert(value: float, *, unit: str, target: str, molar_mass: float | None = None) -> float:
    """Return a value of `unit` in `target`; see `line_between`.

    Examples
    --------
    >>> round(convert(6.5, unit="%", target="1"), 3)
    0.065
    """
    slope, intercept = line_between(unit, target, molar_mass)
    return value * slope + intercept


def _line(first: Any, second: Any, molar_mass: float | None) -> tuple[float, float]:
    registry = _registry()
    if molar_mass is not None and _is_amount(first, second):
        mass = registry.Quantity(molar_mass, "g/mol")
        is_mass = "[mass]" in first.dimensionality
        one = first / mass if is_mass else first * mass
        return float(one.to(second.units).magnitude / second.magnitude), 0.0
    if first.magnitude == second.magnitude == 1:
        zero, ten = (registry.Quantity(x, first.units).to(second.units).magnitude for x in (0, 10))
        return float((ten - zero) / 10), float(zero)
    return float(first.to(second.units).magnitude / second.magnitude), 0.0


def _quantity(unit: str) -> Any:
    """Return the unit as a quantity: `10.mL` has a number, `mL` the number 1."""
    registry = _registry()
    try:
        found = _transformer().transform(_parser().parse(unit))
        return found if hasattr(found, "magnitude") else registry.Quantity(1, found)
    except _pint_error() as error:
        # An annotation alone, {score}, is the unit 1 with a name.
        if not _ANNOTATION.sub("", unit).strip("./"):
            return registry.Quantity(1, "")
        raise UnitError(f"{unit!r} is a UCUM unit that cannot be converted") from error


def _ratio_of(quantity: Any) -> frozenset[tuple[str, float]]:
    """Return of what a number without dimension is a ratio: mass, amount of substance, nothing."""
    registry = _registry()
    parts: dict[str, float] = {}
    for name, power in quantity.units._units.items():
        kind = str(registry.get_dimensionality(name))
        if kind != "dimensionless":
            parts[kind] = parts.get(kind, 0.0) + abs(float(power))
    return frozenset(parts.items())


def _is_amount(first: Any, second: Any) -> bool:
    kinds = [set(map(str, item.dimensionality)) for item in (first, second)]
    return ("[substance]" in kinds[0]) != ("[substance]" in kinds[1]) and (
        ("[mass]" in kinds[0]) != ("[mass]" in kinds[1])
    )


def _pint_error() -> tuple[type[Exception], ...]:
    from lark.exceptions import LarkError
    from pint.errors import PintError

    return (PintError, LarkError, AttributeError)
