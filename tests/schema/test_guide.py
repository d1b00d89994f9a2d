"""The guide to the tables names tables that are there, and every table once."""

from __future__ import annotations

import re
from collections import Counter

from pmcell.schema import TABLES
from pmcell.schema.guide import FIRST, TOPICS, join_tree, topics

NAMES = [table.name for table in TABLES]


def test_six_tables_are_named_first_and_exist() -> None:
    assert len({item.table for item in FIRST}) == 6
    assert {item.table for item in FIRST} <= set(NAMES)
    assert all(item.question.endswith("?") for item in FIRST)


def test_every_table_has_one_topic() -> None:
    assert Counter(name for topic in topics() for name in topic.tables) == Counter(NAMES)
    assert {name for topic in TOPICS for name in topic.tables} <= set(NAMES)


def test_the_drawing_holds_every_reference_of_the_schema_once() -> None:
    drawn: list[tuple[str, str]] = []
    above: list[str] = []
    for line in join_tree():
        depth, _, text = re.match(r"((?:│  |   |├─ |└─ )*)()(.*)", line).groups()  # type: ignore[union-attr]
        if not text:
            continue
        del above[len(depth) // 3 :]
        name = text.split()[0]
        drawn += [(name, other) for other in above[-1:]]
        drawn += [(name, other) for other in re.findall(r"→ (\w+)", text)]
        above.append(name)
    assert len(drawn) == len(set(drawn))
    keys = {(table.name, key.table) for table in TABLES for key in table.foreign_keys}
    ancestors = {name: {other for child, other in drawn if child == name} for name in NAMES}

    def all_above(name: str) -> set[str]:
        return ancestors[name].union(*(all_above(other) for other in ancestors[name]))

    assert set(drawn) <= keys
    assert {(name, other) for name, other in keys if name != other} <= {
        (name, other) for name in NAMES for other in all_above(name)
    }


def test_a_table_is_drawn_or_named_as_joined_to_none() -> None:
    drawn = Counter(re.findall(r"^[│├└─ ]*(\w+)", "\n".join(join_tree()), re.MULTILINE))
    keys = [(table.name, key.table) for table in TABLES for key in table.foreign_keys]
    referred = {name for one, other in keys if one != other for name in (one, other)}
    assert Counter([*drawn.elements(), *(set(NAMES) - referred)]) == Counter(NAMES)
