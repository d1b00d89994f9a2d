"""Find what to write: ontology terms, permitted uses, licences, regions and health categories.

Searches labels, synonyms and abbreviations of what pmcell ships, offline, and shows the best
first with its definition. Ethnicity is never found by likeness of spelling. The name of a
vocabulary (DUO, NUTS, EFO, HANCESTRO, HDAB, …) is explained in a sentence.

Example:
    pmcell terms "memory B"
    pmcell terms "type 2 diabetes" --in MONDO
    pmcell terms "east netherlands" --in region
    pmcell terms DUO
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

MAX_DEFINITION = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pmcell terms`."""
    parser.add_argument("text", metavar="TEXT", nargs="+", help="name, synonym, abbreviation, code")
    parser.add_argument(
        "--in",
        dest="kind",
        metavar="VOCABULARY",
        help="CL, EFO, MONDO, UBERON, HANCESTRO, HsapDv, PATO, DUO, SPDX, region or health",
    )
    parser.add_argument("-n", type=int, default=8, help="how many at most (default 8)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    """Search and print; 0 when something was found, else 1."""
    from pmcell.registry.terms.meanings import meaning_of
    from pmcell.registry.terms.search import search_terms

    text = " ".join(args.text)
    meaning = meaning_of(text)
    found = search_terms(text, n=args.n, kind=args.kind)
    if meaning:
        found = [one for one in found if one.score == 1.0]
    if args.json:
        answer = {"text": text, "meaning": meaning, "found": [asdict(one) for one in found]}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return 0 if found or meaning else 1
    if meaning:
        print(meaning)
    for one in found:
        also = f'  (by "{one.matched}")' if one.matched not in (one.label, one.code) else ""
        print(f"{one.code}  {one.label}{also}\n    for {one.used_in}")
        if one.definition:
            shown = one.definition[:MAX_DEFINITION]
            cut = "…" if len(one.definition) > MAX_DEFINITION else ""
            print(f"    {shown}{cut}")
    if not found and not meaning:
        print(
            f"Nothing that pmcell ships is called {text!r}, or nearly so. Try the English name, or "
            "fewer words; where nothing fits, 'unknown' is an answer."
        )
        return 1
    return 0
