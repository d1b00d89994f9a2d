"""An object in JSON of which a few members are wanted: each is read alone, where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

ENOUGH = 32
"""Members that are looked for one by one; then the whole text is read."""


class OneByOne(Mapping[str, Any]):
    """The members of a JSON object whose values are objects, by key.

    Parameters
    ----------
    text
        The object, without spaces between its parts. No object within a member has the key of one.

    Examples
    --------
    >>> members = OneByOne('{"a":{"label":"one"},"b":{"label":"two"}}')
    >>> members["b"], "c" in members, list(members)
    ({'label': 'two'}, False, ['a', 'b'])
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._found:
            written = f"{json.dumps(key)}:"
            start = self._text.find(written + "{") if len(self._found) < ENOUGH else -1
            if start < 0:
                return self._all[key]
            value_at = start + len(written)
            self._found[key], _ = json.JSONDecoder().raw_decode(self._text, value_at)
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @cached_property
    def _all(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._text)
        self._found = found
        return found
