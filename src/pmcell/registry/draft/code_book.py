"""Read a code book, which says what values stand for (sex 1 = male), and put words for codes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pmcell.errors import DataError, Fault, FaultsError, UsageError
from pmcell.io.submitted.submission import Submission
from pmcell.registry.draft.column_names import is_named, plain_name
from pmcell.registry.draft.columns import is_empty, text
from pmcell.registry.draft.people_table import read_table_of_people
from pmcell.spelling import as_seen

CodeBook = Mapping[str, Mapping[str, str]]
"""What each value of a column stands for; names of columns and values as they are compared."""

COLUMN, VALUE, MEANING, CHOICES = (
    frozenset(names.split())
    for names in (
        "column variable variablename field fieldname variablefieldname item name spalte merkmal "
        "feld colonne champ columna campo colonna kolumna zmienna kolom variabele variavel",
        "value code valueinthefile level wert kode valeur valor valore codice codigo wartosc kod "
        "waarde",
        "meaning means label valuelabel description bedeutung bezeichnung beschreibung "
        "signification libelle significado etiqueta significato etichetta znaczenie etykieta "
        "opis betekenis omschrijving",
        "choices choicescalculationsorsliderlabels categories values codes",
    )
)
"""Names of a code book's columns; `CHOICES` holds all values of one: `1, male | 2, female`."""
IDS = ("donor_id", "sample_id", "batch_id")
"""Meanings of columns whose values are names, which no code book changes."""
MAX_SHOWN = 6


def read_code_book(path: Path) -> CodeBook:
    """The meanings that a CSV, TSV or Excel table gives, a line for each value or each column.

    An empty cell below the name of a column repeats it. `DataError` where the table has other
    columns; `FaultsError` where one value has two meanings.
    """
    known = COLUMN | VALUE | MEANING | CHOICES
    table = read_table_of_people(path, lambda cell: plain_name(cell) in known)
    named, value, meaning, choices = (
        next((name for name in table[0] if plain_name(name) in names), None)
        for names in (COLUMN, VALUE, MEANING, CHOICES)
    )
    if named is None or (choices is None and (value is None or meaning is None)):
        raise DataError(
            f"{path.name}: a code book must have the columns column, value and meaning, or column "
            f"and choices ('1, male | 2, female'); found {', '.join(table[0])}. Name them so.",
            reason="column_missing",
        )
    book: dict[str, dict[str, str]] = {}
    faults, column = [], ""
    for row in table:
        column = plain_name(row[named]) or column
        told = [(row[value], row[meaning])] if value and meaning else []
        told += _pairs(row[choices]) if choices else []
        for code, means in told:
            if not code or not means:
                continue
            first = book.setdefault(column, {}).setdefault(_as_compared(code), means)
            if first != means:
                found = f"{code!r} is {first!r} and {means!r}"
                must = "a value must have one meaning"
                faults.append(
                    Fault(path.name, must, found, "Delete the wrong line.", column=column)
                )
    if faults:
        raise FaultsError(faults)
    return book


def decode(
    submission: Submission, book: CodeBook, given: Mapping[str, str], but: Collection[str]
) -> tuple[Submission, list[str]]:
    """The submission with words for codes, and a note for each column that was read so.

    Columns of ids, by their names or as `given`, and those in `but` keep their values; what
    stands for a missing value becomes empty.
    """
    names = {given[role] for role in IDS if role in given} | set(but)
    obs, notes = submission.obs.copy(), []
    for column in map(str, submission.obs.columns):
        meanings = book.get(plain_name(column))
        if not meanings or column in names or any(is_named(column, role) for role in IDS):
            continue
        values = text(obs, column)
        words = {value: word_of(value, meanings) for value in dict.fromkeys(values.tolist())}
        changed = [
            f"{value} = {word or 'missing'}" for value, word in words.items() if value != word
        ]
        if changed:
            obs[column] = np.array([words[value] for value in values.tolist()], dtype=object)
            more = f" and {len(changed) - MAX_SHOWN} more" if len(changed) > MAX_SHOWN else ""
            said = ", ".join(sorted(changed)[:MAX_SHOWN])
            notes.append(f"column {column!r} is read by the code book: {said}{more}")
    if book and not notes:
        raise UsageError(
            f"--code-book must name columns of the file or of the tables beside it, and values "
            f"that they have; it names {', '.join(book)}. There are "
            f"{', '.join(map(str, obs.columns)) or 'none'}."
        )
    return replace(submission, obs=obs), notes


def word_of(value: str, meanings: Mapping[str, str]) -> str:
    """What a value stands for: the value itself where the code book does not say.

    >>> word_of("1.0", {"1": "male"}), word_of("3", {"1": "male"}), word_of("9", {"9": "unknown"})
    ('male', '3', '')
    """
    word = meanings.get(_as_compared(value))
    if word is None:
        return value
    return "" if is_empty(word) else word


def _as_compared(value: str) -> str:
    """A value without what a spreadsheet changes: 1, 1.0 and 01 are one code."""
    plain = as_seen(value).removeprefix("'").casefold()
    return f"{float(plain):g}" if re.fullmatch(r"-?\d{1,9}(\.0+)?", plain) else plain


def _pairs(choices: str) -> Iterator[tuple[str, str]]:
    """Values and meanings of a list of choices.

    >>> list(_pairs("1, male | 2, female")), list(_pairs("1=male, 2=female"))
    ([('1', 'male'), ('2', 'female')], [('1', 'male'), ('2', 'female')])
    """
    between = r"[|;]" if re.search(r"[|;]", choices) else r",(?=[^,=:]*[=:])"
    for part in re.split(between, choices):
        found = re.fullmatch(r"\s*([^,=:]+?)\s*[,=:]\s*(.+?)\s*", part)
        if found:
            yield found[1], found[2]
