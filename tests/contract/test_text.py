"""Missing values become text in one place, which says what they become."""

from __future__ import annotations

import ast

import numpy as np
import pandas as pd
import pytest

from pmcell.schema.text import as_text, text_array
from repository import SOURCE, modules

HELPER = "schema/text.py"
TEXT_TYPES = {"str", "np.str_", "'str'", "'string'", "'U'"}
CASTS = {"astype", "to_numpy", "map", "apply", "agg"}
MAKERS = {"np.asarray", "np.array", "pd.Series", "pd.Index"}
MISSING = [None, float("nan"), np.nan, pd.NA, pd.NaT]


def find_text_casts(tree: ast.AST) -> list[str]:
    """Calls that make text of a whole column or array, whatever becomes of missing values."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, getattr(node.func.value, "id", "")
        if name not in CASTS and f"{owner}.{name}" not in MAKERS:
            continue
        types = [word.value for word in node.keywords if word.arg == "dtype"]
        types += node.args[:1] if name in CASTS else node.args[1:]
        if any(ast.unparse(item) in TEXT_TYPES for item in types):
            found.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")
    return found


def test_package_makes_text_of_columns_by_the_helper_alone() -> None:
    faults = [
        f"{name}: {line} (use pmcell.schema.text.as_text or text_array)"
        for path, tree in modules()
        if (name := path.relative_to(SOURCE).as_posix()) != HELPER
        for line in find_text_casts(tree)
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "code",
    [
        "obs['sex'].astype(str)",
        "obs.astype(dtype=str)",
        "obs['sex'].astype('string')",
        "obs['sex'].to_numpy(str)",
        "obs['sex'].to_numpy(dtype=str)",
        "obs['sex'].map(str)",
        "np.asarray(values, str)",
        "np.array(values, dtype=np.str_)",
        "pd.Series(values, dtype=str)",
    ],
)
def test_gate_finds_the_cast_to_text(code: str) -> None:
    assert find_text_casts(ast.parse(code))


@pytest.mark.parametrize("code", ["x.astype(int)", "sorted(map(str, names))", "as_text(obs['a'])"])
def test_gate_lets_other_calls_pass(code: str) -> None:
    assert not find_text_casts(ast.parse(code))


COLUMNS = {
    "objects": pd.Series(["a", *MISSING], dtype=object),
    "categories": pd.Series(["a", None, "a"], dtype="category"),
    "nullable strings": pd.Series(["a", None], dtype="string"),
    "inferred strings": pd.Series(["a", None]),
    "floats": pd.Series([1.5, float("nan")]),
    "single floats": pd.Series([0.1, float("nan")], dtype=np.float32),
    "nullable integers": pd.Series([7, None], dtype="Int64"),
    "nullable booleans": pd.Series([True, None], dtype="boolean"),
    "days": pd.Series([pd.Timestamp("2020-02-03"), None]),
    "nobody": pd.Series([], dtype=object),
    "no categories": pd.Series([None, None], dtype="category"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_missing_values_of_any_type_become_the_given_word(name: str) -> None:
    column = COLUMNS[name]
    text = as_text(column, missing="?")
    assert text.dtype == object
    assert text.index.equals(column.index)
    assert all(type(value) is str for value in text)
    assert (text == "?").tolist() == column.isna().tolist()
    assert text_array(column, missing="?").tolist() == text.tolist()
    assert as_text(pd.Index(column), missing="?").tolist() == text.tolist()


def test_known_values_are_written_as_they_are_read() -> None:
    assert as_text(COLUMNS["nullable integers"]).tolist() == ["7", "unknown"]
    assert as_text(COLUMNS["nullable booleans"]).tolist() == ["True", "unknown"]
    assert as_text(COLUMNS["single floats"]).tolist() == ["0.1", "unknown"]
    assert as_text(np.array([1, 2])).tolist() == ["1", "2"]
    assert as_text(np.array([b"a"])).tolist() == ["a"]
    assert as_text(np.array(["a", None], object)).tolist() == ["a", "unknown"]


def test_values_that_compare_equal_keep_their_own_text() -> None:
    assert as_text(pd.Series([1, True, 1.0], dtype=object)).tolist() == ["1", "True", "1.0"]


def test_frame_keeps_its_labels() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["r", "s"])
    text = as_text(frame)
    assert text.to_dict("list") == {"a": ["1", "2"], "b": ["x", "unknown"]}
    assert text.index.tolist() == ["r", "s"]
    assert as_text(frame.iloc[:0]).columns.tolist() == ["a", "b"]
    assert text_array(frame).tolist() == [["1", "x"], ["2", "unknown"]]


def test_fixed_width_text_has_no_missing_value() -> None:
    assert text_array([None, "b"]).dtype.kind == "U"
    assert text_array([None, "b"]).tolist() == ["unknown", "b"]
    assert text_array([]).tolist() == []
