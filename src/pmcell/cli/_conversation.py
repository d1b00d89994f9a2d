"""Ask a person in the terminal for what a registration leaves open, one question a decision."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.registry.draft.decisions import Decision

LATER = "later"
"""Answer by which a question is left open."""


def decide(
    folder: Path,
    given: Mapping[str, str],
    *,
    rest: str,
    is_asking: bool,
    ask: Callable[[str], str] = input,
) -> list[Decision]:
    """Write the given answers, ask for what is open if a person is there; return what stays open.

    All given answers are written together, or none where one of them is wrong. Each answer in the
    conversation is written at once, so that what was said is kept when it ends.
    """
    from pmcell.registry.draft.answers import apply_answers, match_answers
    from pmcell.registry.draft.decisions import open_decisions
    from pmcell.schema import UNKNOWN

    still = open_decisions(folder)
    if given:
        still = apply_answers(folder, match_answers(still, given))
    if is_asking and still and not rest:
        still = _ask_all(folder, still, ask)
    if rest == UNKNOWN:
        still = apply_answers(folder, {one.key: UNKNOWN for one in still if one.may_be_unknown})
    return still


def list_open(folder: Path, still: list[Decision], *, where: str) -> None:
    """Print what is open, and what to do next."""
    if still:
        print("\nOpen:")
    explained = ""
    for one in still:
        said = f" = ? in {one.seen}" if one.seen else ""
        near = one.near() if one.text and len(still) <= 20 else []
        print(f"  {one.key}{said}")
        # Values of one column are explained once.
        if one.explain() != explained:
            explained = one.explain()
            print(textwrap.fill(explained, 92, initial_indent="    ", subsequent_indent="    "))
        if near:
            print(f"    nearest: {' | '.join(near)}")
    if still:
        print(
            f"\nNext: {plural(len(still), 'decision')}. Answer in a terminal with `pmcell register "
            f"--id {folder.name}{where}`, or with --set KEY=ANSWER; --rest unknown closes what "
            "may be unknown."
        )
    else:
        print("\nNothing is open. Next: ", end="")
    places = where.replace(" --out ", " --cohorts-dir ")
    print(f"{'Then run' if still else 'run'}\n  pmcell check {folder.name}{places}")


def _ask_all(folder: Path, still: list[Decision], ask: Callable[[str], str]) -> list[Decision]:
    from pmcell.registry.draft.decisions import open_decisions

    print(
        f"\n{len(still)} decisions. Enter takes what stands in brackets; '{LATER}' leaves one open."
    )
    asked: set[str] = set()
    try:
        while True:
            # An answer may close others, or open some, as access does.
            left = [item for item in open_decisions(folder) if item.key not in asked]
            if not left:
                break
            n = len(asked) + len(left)
            asked.add(left[0].key)
            _ask(folder, left[0], len(asked), n, ask)
    except (EOFError, KeyboardInterrupt):
        print("\nStopped; what was answered is kept.")
    return open_decisions(folder)


def _ask(folder: Path, one: Decision, number: int, n: int, ask: Callable[[str], str]) -> None:
    from pmcell.errors import FaultsError, PmcellError
    from pmcell.registry.draft.answers import apply_answers, normalise_answer
    from pmcell.schema import UNKNOWN

    print(f"\n{number}/{n}  {one.key}{f' = ? in {one.seen}' if one.seen else ''}")
    print(textwrap.fill(one.explain(), 92, initial_indent="  ", subsequent_indent="  "))
    choices = list(one.choices) or one.near()
    for at, choice in enumerate(choices, 1):
        print(f"   {at}  {choice}")
    default = UNKNOWN if one.may_be_unknown else LATER
    while True:
        said = ask(f"  [{default}] ").strip() or default
        if said == LATER:
            return
        if said.isdigit() and 1 <= int(said) <= len(choices):
            said = choices[int(said) - 1]
        try:
            apply_answers(folder, {one.key: normalise_answer(one, said)})
            return
        except FaultsError as error:
            for fault in error.faults:
                print(f"  {fault.must}; got {fault.found}. {fault.fix}")
        except PmcellError as error:
            print(f"  {error}")
