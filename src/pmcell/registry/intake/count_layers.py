"""Which matrix of a submission holds all raw counts, and what to do where none does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from pmcell.core.counts.decode import MAX_COUNT
from pmcell.errors import Fault
from pmcell.io.submitted.readers import iter_counts
from pmcell.io.submitted.submission import MAX_NOISE, LayerSummary, Submission
from pmcell.registry.cohorts.keys import COHORT_FILE, TODO

_WHOLE = [
    "counts",
    "rawcounts",
    "raw",
    "count",
    "rawcount",
    "countsraw",
    "umi",
    "umis",
    "umicounts",
    "umicount",
    "matrix",
    "total",
    "totalcounts",
    "originalcounts",
    "rawdata",
    "cellranger",
]
"""Names of layers that hold all counts, letters only, likelier ones first."""
_PARTS = frozenset(
    [
        "ambiguous",
        "spliced",
        "unspliced",
        "nascent",
        "mature",
        "spanning",
        "exonic",
        "intronic",
        "exon",
        "intron",
        "exons",
        "introns",
        "premrna",
        "mrna",
        "new",
        "old",
        "labeled",
        "unlabeled",
        "labelled",
        "unlabelled",
        "sn",
        "un",
        "sl",
        "ul",
        "uu",
        "su",
        "us",
        "forward",
        "reverse",
        "sense",
        "antisense",
        "splicedcounts",
        "unsplicedcounts",
    ]
)
"""Names of layers that velocity and labelling tools split the counts into."""
_CHANGED = re.compile(
    r"sct\w*|\w*(?:downsampled|subsampled|imputed|denoised|smoothed|magic|binari[sz]ed|residuals?)\w*"
)
"""Names of layers, letters only, in which a tool wrote other whole numbers than were counted."""
_SPLICING = ("spliced", "unspliced", "ambiguous", "mature", "nascent")
"""Parts that make all counts together, as velocyto, alevin-fry and kb count name them."""
_OF_A_SAMPLE = re.compile(r"layers/(?:raw_?)?counts\.", re.IGNORECASE)
"""Layers of Seurat 5 where each sample has its own: counts.S1, counts.S2, …"""
COMPARED_VALUES = 200_000

MAX_ADDED = 8
"""Layers that the line which adds them up names one by one."""
FRACTIONS_HELP = (
    "Take the uncorrected counts, or whole ones from the tool: SoupX adjustCounts(…, roundToInt = "
    "TRUE), STARsolo without --soloMultiMappers EM, alevin-fry with -r cr-like, decontX rounded at "
    "its source."
)
CHANGED_HELP = (
    "Write the counts beside it where the file came from (of Seurat: assay RNA, layer counts, not "
    "SCT), and write it again."
)
WHOLE_BUT_NO_COUNTS = ("rounded", "multiplied", "presence", "binned")
"""What whole numbers look like that no counting gives; no value alone shows it."""
LOGARITHM_HELP = "Get the file with the counts from the source; pmcell does not undo logarithms."
_HELP = {
    "noisy": (
        "Round them where the file came from, adata.X.data = numpy.rint(adata.X.data) (dense: "
        "adata.X = numpy.rint(adata.X)), and write it again."
    ),
    "fractions": FRACTIONS_HELP,
    "not_finite": (
        "Get the file with the counts from the source: where a value is missing, nobody knows "
        "whether it was 0."
    ),
    **dict.fromkeys(
        WHOLE_BUT_NO_COUNTS,
        "Get the file with the counts from the source; whole numbers made of them are none.",
    ),
    "negative": "Get the counts from before anything was subtracted, or stored in 8 or 16 bits, in "
    "which large numbers wrap around.",
    "too_large": "Get the file with the counts from the source; such sums wrapped around, or were "
    "multiplied.",
}
"""What helps, by what a matrix of the file looks like; the likeliest to lead to counts first."""


@dataclass(frozen=True)
class CountsChoice:
    """The matrix with all raw counts, or '' where a person must decide, and `why`."""

    name: str
    why: str = ""
    candidates: tuple[str, ...] = ()
    fix: str = field(default="")


def choose_counts(submission: Submission) -> CountsChoice:
    """The matrix that holds all raw counts.

    X is taken unless it is one part of them (as velocity tools leave it) or differs from a
    matrix that is named as the counts. A part alone is never taken.
    """
    counts = [name for name, layer in submission.layers.items() if layer.looks_like == "counts"]
    parts = [name for name in counts if is_part(name)]
    split = [name for name in counts if _OF_A_SAMPLE.match(name)]
    parts += split if len(split) > 1 else []
    changed = [name for name in counts if is_changed(name)]
    whole = [name for name in counts if name not in (*parts, *changed)]
    totals: dict[str, np.ndarray] = {}
    if len(counts) > 1:
        totals = {name: _first_totals(submission, name) for name in counts}
    copies = [name for name in whole if _is_copy_of_part(name, parts, totals)]
    changed += [name for name in whole if any(_same(totals[name], totals[one]) for one in changed)]
    whole = [name for name in whole if name not in (*copies, *changed)]
    named = sorted((name for name in whole if _rank(name) < len(_WHOLE)), key=_rank)
    if "raw.X" in whole:
        named.insert(0, "raw.X")
    if "X" in whole and all(_same(totals["X"], totals[name]) for name in named):
        return CountsChoice("X", candidates=tuple(counts))
    if named:
        return CountsChoice(named[0], candidates=tuple(counts))
    if len(whole) == 1:
        return CountsChoice(whole[0], candidates=tuple(counts))
    if whole:
        listed = ", ".join(whole)
        why = f"several matrices hold whole numbers: {listed}"
        return CountsChoice("", why, tuple(whole), f"Choose the one with all counts of {listed}.")
    if changed:
        why = f"a tool changed the counts of {', '.join(changed)}, by the name"
        return CountsChoice("", why, tuple(changed), CHANGED_HELP)
    if counts:
        pieces = [*copies, *parts]
        why = f"the counts are split: {', '.join(pieces)} each hold a part of them"
        return CountsChoice("", why, tuple(pieces), _how_to_add(submission, parts))
    seen = "; ".join(f"{name} is {describe_layer(one)}" for name, one in submission.layers.items())
    return CountsChoice("", f"no raw counts found: {seen}", (), without_counts_help(submission))


def counts_fault(submission: Submission, layer: str) -> Fault | None:
    """What is wrong with taking `layer` for the raw counts, by its name and a sample of its values.

    An error unless it looks like counts, a warning where it is named as a part of them.
    """
    seen = f"no matrix {layer!r}"
    severity = "error"
    if layer in submission.layers:
        summary = submission.summary_of(layer)
        seen = describe_layer(summary)
        if summary.looks_like == "counts":
            if not is_part(layer) and not is_changed(layer):
                return None
            what = "a part of the counts" if is_part(layer) else "what a tool made of the counts"
            seen, severity = f"{what}, by its name", "warning"
    found = f"{layer} of {submission.path.name}: {seen}"
    if layer.startswith(TODO):
        found = "none is chosen yet"
    return Fault(
        COHORT_FILE,
        "must name a matrix of raw counts, all of them",
        found,
        _fix_of_counts(submission, layer),
        column="matrix.counts",
        severity=severity,
        reason="not_counts",
    )


def whole_but_no_counts(submission: Submission, layer: str) -> Fault | None:
    """The fault of `counts_fault` where values are whole, so that no value alone shows it."""
    is_kind = submission.summary_of(layer).looks_like in WHOLE_BUT_NO_COUNTS
    return counts_fault(submission, layer) if is_kind else None


def is_part(name: str) -> bool:
    """Whether the name of a layer says that it holds a part of the counts.

    >>> is_part("layers/spliced"), is_part("layers/matrix")
    (True, False)
    """
    return _letters(name) in _PARTS


def is_changed(name: str) -> bool:
    """Whether the name of a layer says that a tool changed its counts.

    >>> [is_changed(f"layers/{name}") for name in ("SCT_counts", "downsampled", "scaled", "X")]
    [True, True, False, False]
    """
    return name.startswith("layers/") and _CHANGED.fullmatch(_letters(name)) is not None


def without_counts_help(submission: Submission) -> str:
    """What a steward can do when no matrix of the file looks like raw counts."""
    kinds = {layer.looks_like for layer in submission.layers.values()}
    return next((help_ for kind, help_ in _HELP.items() if kind in kinds), LOGARITHM_HELP)


def describe_layer(summary: LayerSummary) -> str:
    """What a matrix looks like, in words: kind, whole or not, largest sampled value."""
    kinds = {
        "counts": "raw counts",
        "log1p": "ln(CPM+1)-like",
        "log2": "log2(CPM+1)-like",
        "scaled": "scaled (centred) values",
        "normalised": "normalised values",
        "fractions": "counts with fractions, as after the removal of ambient RNA or from EM",
        "noisy": f"counts that arithmetic moved by less than {MAX_NOISE:g}",
        "rounded": "rounded normalised values, which add up to the same in each cell",
        "multiplied": "whole numbers without a single 1, as after a multiplication",
        "presence": "ones alone: whether a gene was seen, not how often",
        "binned": "whole numbers with the same largest one in each cell, as ranks and bins have",
        "too_large": f"not counts: a cell may hold {MAX_COUNT} in all",
        "negative": "not counts",
        "not_finite": "not counts: some are missing or infinite (NaN, inf)",
        "empty": "all zero" if all(summary.shape) else "without values",
    }
    if summary.looks_like == "no_numbers":
        return f"not counts: values of type {summary.dtype}"
    whole = "whole numbers" if summary.is_integer else f"{1 - summary.share_integer:.0%} not whole"
    span = f"from {summary.sampled_min:.4g} to {summary.sampled_max:.4g} in the sample"
    return f"{kinds[summary.looks_like]}: {whole}, {span}"


def _fix_of_counts(submission: Submission, layer: str) -> str:
    choice = choose_counts(submission)
    if choice.name:
        return f"Set matrix.counts: {choice.name}, which looks like raw counts."
    if choice.candidates:
        return f"{choice.why[0].upper()}{choice.why[1:]}. {choice.fix}"
    rest = [
        f"{name} is {describe_layer(other)}"
        for name, other in submission.layers.items()
        if name != layer
    ]
    shown = f" ({'; '.join(rest)})" if rest else ""
    return f"No matrix of this file looks like raw counts{shown}. {choice.fix}"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.rpartition("/")[2].lower())


def _rank(name: str) -> int:
    letters = _letters(name)
    known = name.startswith("layers/") and letters in _WHOLE
    return _WHOLE.index(letters) if known else len(_WHOLE)


def _first_totals(submission: Submission, name: str) -> np.ndarray:
    """Counts of the first cells, so that two matrices of the same cells can be compared."""
    blocks = islice(iter_counts(submission, name, max_values=COMPARED_VALUES), 1)
    return np.concatenate([np.asarray(block.sum(axis=1), float).ravel() for _, block in blocks])


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    n_cells = min(one.size, other.size)
    return np.array_equal(one[:n_cells], other[:n_cells])


def _is_copy_of_part(name: str, parts: list[str], totals: Mapping[str, np.ndarray]) -> bool:
    """Whether a matrix equals one part while another part holds counts too."""
    return any(
        _same(totals[name], totals[part])
        and any(totals[other].any() for other in parts if other != part)
        for part in parts
    )


def _how_to_add(submission: Submission, parts: list[str]) -> str:
    split = [name for name in parts if _letters(name) in _SPLICING]
    names = [name.removeprefix("layers/") for name in (split or parts)]
    added = " + ".join(f"adata.layers[{name!r}]" for name in names)
    if len(names) > MAX_ADDED:
        added = "sum(adata.layers[name] for name in adata.layers if name.startswith('counts.'))"
    return (
        f"Add them up where the file came from: adata.layers['counts'] = {added}; "
        "then write it again."
    )
