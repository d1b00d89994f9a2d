"""JSON of others: what is wrong with it is one kind of error, whatever it is."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""How half of a sign is written that takes two numbers; alone it is no text."""


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        It is no JSON or no UTF-8, its brackets nest without end, or a text in it is no Unicode,
        so that no file and no terminal could hold it.

    Examples
    --------
    >>> parse_json('{"a": [1]}')
    {'a': [1]}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: brackets nest without end
    """
    plain = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        value = json.loads(plain)
        if _HALF.search(plain):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("brackets nest without end") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"a text holds half of a sign: {error.object[error.start]!a}") from None
    return value
