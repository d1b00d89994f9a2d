"""Tell labels of cells from names of people: doublets, unassigned cells, pairs of donors.

Pools of donors are taken apart by genotype or hashtag, and the column that
names each cell's donor also holds what was not one donor. The words are those
of demuxlet and freemuxlet (SNG, DBL, AMB), souporcell, vireo, scSplit, Seurat's
HTODemux and MULTIseqDemux, hashsolo, demuxEM, GMM-Demux, Cell Ranger multi and
BD Rhapsody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from pmcell.spelling import folded

MISSING = frozenset(
    {"", "nan", "na", "n/a", "<na>", "none", "null", "nd", "n.d.", "-", "?", "unknown"}
    # What R's missing whole number is to programs that do not know of it.
    | {"-2147483648", "-2147483648.0", "-9223372036854775808"}
    | {"not available", "not applicable", "not known", "missing", "n.a.", "n. a.", "k.a.", "k. a."}
    | {"#n/a", "#value!", "#ref!", "#null!", "#name?", "#div/0!", ".", "unbekannt", "inconnu"}
    | {"inconnue", "desconocido", "desconocida", "sconosciuto", "nieznany", "nieznana", "onbekend"}
    | {
        "keine angabe",
        "nicht bekannt",
        "nicht erhoben",
        "non renseign\u00e9",
        "non pr\u00e9cis\u00e9",
    }
    | {
        "non renseign\u00e9e",
        "non pr\u00e9cis\u00e9e",
        "non recueilli",
        "non recueillie",
        "no consta",
    }
    | {"sin datos", "non noto", "non rilevato", "brak danych", "nie podano", "niet bekend"}
)
"""What stands for no value, in small letters."""

_SEVERAL = re.compile(
    r"(?<![a-z])(?:doublets?|multiplets?|triplets?|multi(?=$)|dbl|dubletten?|doublons?|dobletes?|heterotypic|homotypic)(?![a-z])"
)
_NOT_TOLD = re.compile(
    r"(?<![a-z])(?:ambiguous|amb(?= |$)|unassigned|unassignable|undetermined|unclassified|undecided"
    r"|uncertain|not ?assigned|nicht ?zugeordnet|non ?attribue|sin ?asignar|nie ?przypisan[ya]"
    r"|niet ?toegewezen|unmapped|no ?call|low ?(?:confidence|quality)|no ?match)(?![a-z])"
)
_NO_TAG = frozenset(
    {"negative", "negatives", "neg", "blank", "blanks", "empty", "no hashtag", "no tag", "untagged"}
    | {"unlabelled", "unlabeled", "background", "debris", "noise"}
)
_POOLS = frozenset({"pooled", "pooled sample", "pooled samples", "pooled donors", "mixed donors"})
"""What CELLxGENE and others write for cells of people who were never told apart."""
_NOT_A_NAME = frozenset({"singlet", "singlets", "sng", "true", "false"})
_SIGNS = re.compile(r"[\s_.-]+")
MAX_PARTS = 8
_APART = (r"\s*[,;|/+&]\s*", r"\s+(?:and|vs)\s+", "__", "--", "_", "-", r"\.", ":")


def is_missing(label: str) -> bool:
    """Whether a label stands for no value."""
    return label.strip().casefold() in MISSING


def why_no_person(label: str, others: Collection[str] = ()) -> str:
    """Why a label is not one person (or sample); '' where it may be one.

    Parameters
    ----------
    label
        A value of the column that names donors or samples.
    others
        All values of the column, so that a pair of them is told.

    Examples
    --------
    >>> why_no_person("Doublet"), why_no_person("P1,P2", ["P1", "P2"]), why_no_person("P1")
    ('several donors', 'several donors', '')
    """
    plain = _SIGNS.sub(" ", folded(label)).strip()
    if is_missing(label):
        return "no donor"
    if _SEVERAL.search(plain) or _pair(label.strip(), others):
        return "several donors"
    if _NOT_TOLD.search(plain):
        return "donor not told"
    if plain in _NO_TAG:
        return "no tag of a donor"
    if plain in _POOLS:
        return "several donors"
    return "no name of a donor" if plain in _NOT_A_NAME else ""


def not_people(labels: Iterable[str]) -> dict[str, str]:
    """Those of a column's labels that are no person, with the reason; missing ones too."""
    different = set(labels)
    told = {label: why_no_person(label, different) for label in sorted(different)}
    return {label: why for label, why in told.items() if why}


def _pair(label: str, others: Collection[str]) -> bool:
    """Whether a label is two or more different labels, joined by a sign."""
    if label.isalnum():
        return False
    for sign in _APART:
        parts = [part for part in re.split(sign, label) if part]
        if not 2 <= len(parts) <= MAX_PARTS:
            continue
        # demuxlet writes the share of the second donor behind them: P1,P2,0.50.
        names = [part for part in parts if not re.fullmatch(r"\d?\.\d+", part)]
        known = [name for name in names if name in others]
        several = len(set(names)) > 1
        if several and (
            len(known) == len(names) or (known and sign == _APART[0] and _alike(names))
        ):
            return True
    return False


def _alike(names: list[str]) -> bool:
    """Whether names differ in their numbers only, as donors of one pool do: CMO301|CMO302."""
    return len({re.sub(r"\d+", "0", name) for name in names}) == 1
