"""What all settings have in common: strict, frozen models whose fields carry their own prose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict

from pmcell.spelling import repeated

MAX_COUNT = 2**31 - 1
"""No count is larger: kernels index with 32 bits, and generators take such a seed."""


class Settings(BaseModel):
    """One section of the configuration: unknown keys, wrong types and nan are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        defer_build=True,
    )

    as_written: ClassVar[tuple[str, ...]] = ()
    """Keys whose number or day is taken as it stands in the file: 1.10 is not 1.1."""


def setting(default: Any, prose: str, *, unit: str = "", **limits: Any) -> Any:
    """Return a field with its default, one sentence, a unit where it has one, and limits.

    Parameters
    ----------
    default
        What holds where the configuration says nothing.
    prose
        What the setting does, as it stands in `--help` and in config/README.md.
    unit
        What a number counts or measures, empty for a share or a choice.
    **limits
        pydantic's own: `ge`, `gt`, `le`, `lt`, `min_length`, `pattern`, `examples`.
    """
    return Field(default, description=prose, json_schema_extra={"unit": unit}, **limits)


def count(default: int, prose: str, *, unit: str = "", at_least: int = 1) -> Any:
    """Return a field for a whole number from `at_least`."""
    return setting(default, prose, unit=unit, ge=at_least, le=MAX_COUNT)


def share(default: float, prose: str, **limits: Any) -> Any:
    """Return a field for a number from 0 to 1, or within narrower limits."""
    low: dict[str, Any] = {} if {"ge", "gt"} & set(limits) else {"ge": 0}
    high: dict[str, Any] = {} if {"le", "lt"} & set(limits) else {"le": 1}
    return setting(default, prose, **{**low, **high, **limits})


def seed(prose: str) -> Any:
    """Return a field for the seed of what a step draws."""
    return count(0, prose, at_least=0)


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Raise `ValueError` for a value that is listed twice."""
    for value, n in repeated(values).items():
        raise ValueError(f"must name each once, and names {value!r} {n} times")
    return values


def one_of(values: Sequence[str]) -> str:
    """Return the values as a person lists them: 'a, b or c'."""
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


Text = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""

ONCE = (AfterValidator(_each_once), Field(json_schema_extra={"uniqueItems": True}))
"""What a list is annotated with whose values must differ."""

Names = Annotated[tuple[Text, ...], Strict(False), *ONCE]
"""A list of names, each once; a tuple in the model."""

SomeNames = Annotated[tuple[Text, ...], Strict(False), Field(min_length=1), *ONCE]
"""A list of at least one name."""
