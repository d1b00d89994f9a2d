"""Write a person's answers into a drafted registration, once they hold; all else stays as it is."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.atomic import write_text, write_texts
from pmcell.registry.cohorts.catalogue import NO_BODY
from pmcell.registry.cohorts.cohort import find_faults, programmes_folder
from pmcell.registry.cohorts.keys import (
    COHORT_FILE,
    COHORT_KEYS,
    DONOR_COLUMNS,
    DONORS_FILE,
    SAMPLE_COLUMNS,
    SAMPLES_FILE,
    TODO,
    Column,
    key,
)
from pmcell.registry.cohorts.sheets import read_sheet
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.registry.draft.decisions import (
    EACH,
    Decision,
    open_decisions,
    short_name,
    source_text,
)
from pmcell.registry.draft.text import scalar, sheet
from pmcell.registry.terms.ontology import resolve
from pmcell.registry.terms.regions import region_of
from pmcell.registry.terms.rules import SEPARATOR, TERM_RULES, term_of
from pmcell.registry.terms.vocabulary import DUO, DUO_CODES, region_problem
from pmcell.schema import UNKNOWN
from pmcell.spelling import did_you_mean

_TODO_LINE = re.compile(rf'(\s*.*?): \[?"?{TODO}')
_LINE = re.compile(r"(\s*[a-z_]+):(?: .*)?")
LISTS = tuple(item.path for item in COHORT_KEYS if item.kind == "list")
_ID = re.compile(r"[A-Za-z]+:\d+")


def match_answers(decisions: list[Decision], given: Mapping[str, str]) -> dict[str, str]:
    """The answers as they will be written, by key; `FaultsError` for keys that there are not."""
    known = {decision.key: decision for decision in decisions}
    open_keys = list(known)
    for item in COHORT_KEYS:
        # What was taken from the file, or answered before, is answered anew when a person says so.
        if item.kind in ("text", "list") and item.path not in ("id", "schema_version"):
            known.setdefault(
                item.path, Decision(item.path, COHORT_FILE, item.path, "", choices=item.choices)
            )
    by_folded = _short_keys(known) | {name.casefold(): name for name in known}
    faults, answers = [], {}
    for name, text in given.items():
        found = by_folded.get(name.casefold())
        if found is None:
            must = "must be a decision that is open, or a key of cohort.yaml"
            still = f"Open are: {', '.join(open_keys) or 'none'}."
            fix = f"{did_you_mean(name, known)} {still}".strip()
            faults.append(Fault("--set", must, repr(name), fix))
            continue
        answers[found] = normalise_answer(known[found], text)
    if faults:
        raise FaultsError(faults)
    return answers


def _short_keys(known: Iterable[str]) -> dict[str, str]:
    """Keys by their last part, where one key alone has it: tissue, assay, doi.

    >>> _short_keys(["defaults.tissue_ontology_term_id", "source.doi", "hdab.name", "steward.name"])
    {'tissue': 'defaults.tissue_ontology_term_id', 'doi': 'source.doi'}
    """
    found: dict[str, list[str]] = {}
    for name in known:
        if "[" not in name:
            found.setdefault(short_name(name.rpartition(".")[2]), []).append(name)
    return {short: names[0] for short, names in found.items() if len(names) == 1}


def split_answer(argument: str) -> tuple[str, str]:
    """KEY and ANSWER of 'KEY=ANSWER', where KEY may hold '=' in its brackets.

    >>> split_answer("cell_type[a=b]=B cell")
    ('cell_type[a=b]', 'B cell')
    """
    bracket = re.fullmatch(r"([\w.]+\[.*?\])\s*=(.*)", argument, re.DOTALL)
    name, sign, text = bracket.group(1, 0, 2) if bracket else argument.partition("=")
    if not sign or not name.strip() or not text.strip():
        raise UsageError(f"--set must be KEY=ANSWER, such as access=open; got {argument!r}")
    return name.strip(), text.strip()


def normalise_answer(decision: Decision, text: str) -> str:
    """An answer as it is written: a name becomes its term, the short form of a use its code."""
    text = " ".join(text.split())
    if text.casefold() in (UNKNOWN, "?"):
        return UNKNOWN
    if decision.column:
        parts = re.split(r"\s*\|\|\s*|\s*;\s*", text)
        return SEPARATOR.join(sorted({_term(part, decision.column) for part in parts}))
    if decision.path == "data_use":
        uses = [use.strip() for use in re.split(r"[,;]", text.strip("[]")) if use.strip()]
        return ", ".join(_use(use) for use in uses)
    if decision.path in LISTS:
        return text.strip("[]")
    if decision.path == "region" and region_problem(text):
        return region_of(text) or text
    if decision.choices and decision.path not in LISTS:
        same = [choice for choice in decision.choices if choice.casefold() == text.casefold()]
        return same[0] if same else text
    return text


def apply_answers(folder: Path, answers: Mapping[str, str]) -> list[Decision]:
    """Write answers into a cohort's folder; return what is still open.

    `answers` are those of `match_answers`. They are written into a copy first, and what is wrong
    with what was answered, by the rules of `pmcell check`, is raised as `FaultsError`: then
    nothing of the folder has changed.
    """
    decisions = {decision.key: decision for decision in open_decisions(folder)}
    known = {item.path for item in COHORT_KEYS}
    for name in answers:
        if name in known and name not in decisions:
            decisions[name] = Decision(name, COHORT_FILE, name, "")
    chosen = {name: text for name, text in answers.items() if name in decisions}
    if not chosen:
        return open_decisions(folder)
    with tempfile.TemporaryDirectory(prefix="pmcell-answers-") as scratch:
        trial = Path(scratch) / folder.name
        trial.mkdir()
        for name in (COHORT_FILE, DONORS_FILE, SAMPLES_FILE):
            if (folder / name).is_file():
                write_text(trial / name, (folder / name).read_text(encoding="utf-8"))
        _write(trial, {decisions[name]: text for name, text in chosen.items()})
        faults = _faults_of(trial, programmes_folder(folder), [decisions[name] for name in chosen])
        if faults:
            raise FaultsError(faults)
        answered = {path.name: path.read_text(encoding="utf-8") for path in sorted(trial.iterdir())}
        write_texts(folder, answered, last=COHORT_FILE)
    return open_decisions(folder)


def _faults_of(folder: Path, programmes: Path, answered: list[Decision]) -> list[Fault]:
    """Errors in what was answered, each with the key of its decision."""
    by_place = {(one.file, one.path): one.key for one in answered}
    found: dict[Fault, None] = {}
    for fault in find_faults(folder, programmes_dir=programmes):
        path = re.sub(r"\[\d+\]$", "", fault.column or "")
        name = by_place.get((fault.file, path))
        if name is None or fault.severity != "error" or fault.reason in ("todo", "empty"):
            continue
        if fault.found.startswith((f"'{TODO}", TODO)):
            continue
        found[replace(fault, file="--set", row=None, column=name)] = None
    return list(found)


def _write(folder: Path, answers: Mapping[Decision, str]) -> None:
    cohort = {one.path: text for one, text in answers.items() if one.file == COHORT_FILE}
    is_open = any(one.path == "hdab.name" for one in open_decisions(folder))
    if cohort.get("access") == "open" and "hdab.name" not in cohort and is_open:
        cohort["hdab.name"] = NO_BODY
    _write_cohort(folder / COHORT_FILE, cohort)
    for decision, text in answers.items():
        if decision.path == "donor_id":
            _write_donors(folder, text)
    _write_table(folder / DONORS_FILE, DONOR_COLUMNS, answers)
    _write_table(folder / SAMPLES_FILE, SAMPLE_COLUMNS, answers)


def _write_cohort(path: Path, answers: Mapping[str, str]) -> None:
    """Replace open values of cohort.yaml, each on its own line."""
    lines = path.read_text(encoding="utf-8").split("\n")
    places = read_yaml(path, []).lines
    for dotted, text in answers.items():
        leaf = dotted.split(".")[-1]
        found = None
        if dotted in places:
            at = places[dotted] - 1
            pattern = _TODO_LINE if dotted.startswith("values.") else _LINE
            found = pattern.match(lines[at])
        if found is None:
            raise UsageError(
                f"{COHORT_FILE}: {dotted} must stand on a line of its own as `{leaf}: …`; it does "
                "not. Write the answer there."
            )
        is_list = not dotted.startswith("values.") and key(dotted).kind == "list"
        parts = [part.strip() for part in text.split(",")] if is_list else [text]
        shown = ", ".join(scalar(part) for part in parts)
        label = resolve(text) if _ID.fullmatch(text) else ""
        comment = f"   # {label}" if isinstance(label, str) and label else ""
        lines[at] = f"{found[1]}: {f'[{shown}]' if is_list else shown}{comment}"
    write_text(path, "\n".join(lines))


def _write_donors(folder: Path, text: str) -> None:
    """Write who the samples are of into samples.tsv, and a row for each new person."""
    samples = read_sheet(folder / SAMPLES_FILE, SAMPLE_COLUMNS, [])
    pairs = dict(part.split("=", 1) for part in re.split(r"\s*,\s*", text) if "=" in part)
    is_pairs = "=" in text
    known = {row.get("sample_id") for row in samples}
    wrong = [name for name in pairs if name.strip() not in known]
    if wrong:
        raise UsageError(
            f"donor_id: SAMPLE=PERSON must name samples of the file; there is no sample "
            f"{wrong[0]!r}. {did_you_mean(wrong[0], known)}".strip()
        )
    owner = {name.strip(): person.strip() for name, person in pairs.items()}
    rows = []
    for row in samples:
        sample = row.get("sample_id")
        if row.get("donor_id").startswith(TODO):
            person = owner.get(sample, TODO) if is_pairs else sample if text == EACH else text
            row.cells["donor_id"] = person
        rows.append(row.cells)
    write_text(folder / SAMPLES_FILE, sheet(rows))
    donors = [row.cells for row in read_sheet(folder / DONORS_FILE, DONOR_COLUMNS, [])]
    blank = next((row for row in donors if row["donor_id"].startswith(TODO)), None)
    if blank is None:
        return
    kept = [row for row in donors if row is not blank]
    there = {row["donor_id"] for row in kept}
    for person in dict.fromkeys(row["donor_id"] for row in rows):
        if person not in there:
            kept.append({**blank, "donor_id": person})
    write_text(folder / DONORS_FILE, sheet(kept))


def _write_table(path: Path, columns: tuple[Column, ...], answers: Mapping[Decision, str]) -> None:
    """Replace every open cell whose value was decided."""
    chosen = {
        (one.path, one.text): text
        for one, text in answers.items()
        if one.file == path.name and one.path != "donor_id"
    }
    if not chosen:
        return
    rows = [row.cells for row in read_sheet(path, columns, [])]
    for row in rows:
        for column, value in row.items():
            if value.startswith(TODO) and (column, source_text(value)) in chosen:
                row[column] = chosen[column, source_text(value)]
    write_text(path, sheet(rows))


def _term(text: str, column: str) -> str:
    """The id of a term given as id, 'id label' or name; the text itself where it is none."""
    found = _ID.match(text)
    if found:
        return found.group()
    if text.casefold() in (UNKNOWN, "?"):
        return UNKNOWN
    assert column in TERM_RULES
    return term_of(text, column) or text


def _use(text: str) -> str:
    """A permitted use, by term or by name, as its DUO term; a disease behind it stays.

    >>> _use("general research use"), _use("Disease specific research MONDO:0005148")
    ('DUO:0000042', 'DUO:0000007 MONDO:0005148')
    """
    for code, label in DUO.items():
        if text.casefold().startswith(label.casefold()):
            return f"{code} {text[len(label) :].strip()}".strip()
    first, _, rest = text.partition(" ")
    code = DUO_CODES.get(first.upper(), first)
    return code if rest.casefold() == DUO.get(code, "").casefold() else f"{code} {rest}".strip()
