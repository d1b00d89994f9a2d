"""Draft the part `matrix` of cohort.yaml: where the counts are, and which features are genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pmcell.io.submitted.submission import Submission
from pmcell.io.submitted.text_dialect import Dialect
from pmcell.registry.cohorts.keys import TODO
from pmcell.registry.intake.count_layers import choose_counts, describe_layer
from pmcell.registry.intake.genes import how_to_name
from pmcell.registry.terms.features import feature_kinds
from pmcell.registry.terms.genes import share_known
from pmcell.registry.terms.species import HUMAN, detect_species
from pmcell.schema.text import as_text

ENSEMBL_COLUMN_SHARE = 0.9
SAMPLED_NAMES = 2000
MAX_SHOWN = 12
"""Samples that a note lists."""


def draft_matrix(
    submission: Submission, settings: dict[str, str], comments: dict[str, str], notes: list[str]
) -> None:
    """Write what the file says of its matrix into the draft's settings, comments and notes."""
    chosen = _counts(submission, settings, comments, notes)
    var = submission.var_of(chosen) if chosen else submission.var
    names = _gene_column(var, settings)
    kinds = feature_kinds(var)
    if kinds is not None:
        settings["matrix.keep_features.column"] = kinds.column
        settings["matrix.keep_features.value"] = kinds.gene_value
        notes.append(
            f"features are told apart by column {kinds.column!r} ({kinds}): only "
            f"{kinds.gene_value!r} is taken"
        )
        names = [name for name, other in zip(names, kinds.is_other, strict=True) if not other]
    comments["matrix.sha256"] = "the sender's digest (sha256sum FILE), so that a damaged copy shows"
    if samples := submission.detail.get("samples"):
        shown = ", ".join([*samples][:MAX_SHOWN]) + (", …" if len(samples) > MAX_SHOWN else "")
        notes.append(
            f"{len(samples)} matrices were found, and each is a sample of this cohort: {shown}; "
            "move away what does not belong to it"
        )
    if "orientation" in submission.detail:
        settings["matrix.orientation"] = str(submission.detail["orientation"])
    dialect = submission.detail.get("dialect")
    if isinstance(dialect, Dialect) and dialect.delimiter not in (",", "\t"):
        notes.append(f"the table is read as {dialect}")
    species = detect_species(names)
    settings["organism_ontology_term_id"] = HUMAN if species.taxon == HUMAN else TODO
    comments["organism_ontology_term_id"] = species.evidence
    if species.taxon != HUMAN:
        notes.append(
            f"the genes do not look human ({species.evidence}); pmcell takes human cohorts. "
            f"{how_to_name(names)}"
        )


def _counts(
    submission: Submission, settings: dict[str, str], comments: dict[str, str], notes: list[str]
) -> str:
    choice = choose_counts(submission)
    settings["matrix.counts"] = choice.name or TODO
    if choice.name:
        seen = describe_layer(submission.summary_of(choice.name))
        others = [name for name in choice.candidates if name != choice.name]
        also = f"; whole numbers are also in {', '.join(others)}" if others else ""
        comments["matrix.counts"] = seen + also
    else:
        comments["matrix.counts"] = choice.why
        none = ": " if choice.candidates else " holds no raw counts: "
        why = choice.why.removeprefix("no raw counts found: ")
        notes.append(f"{submission.path.name}{none}{why}. {choice.fix}")
    return choice.name


def _gene_column(var: Any, settings: dict[str, str]) -> list[str]:
    """Choose the column of gene names, Ensembl ids before symbols; return its names."""
    settings["matrix.gene_column"] = "index"
    names: list[str] = as_text(var.index).tolist()
    if not _is_ensembl(names):
        for column in var.columns:
            if _is_ensembl(as_text(var[column]).tolist()):
                settings["matrix.gene_column"] = str(column)
                names = as_text(var[column]).tolist()
                break
        else:
            shares = {str(column): _share(var[column]) for column in var.columns}
            best = max(shares, key=lambda name: shares[name], default="")
            if best and shares[best] > _share(var.index) + 0.2:
                settings["matrix.gene_column"] = best
                names = as_text(var[best]).tolist()
    settings["matrix.gene_namespace"] = "ensembl" if _is_ensembl(names) else "auto"
    return names


def _is_ensembl(names: Sequence[str]) -> bool:
    some = list(names[:SAMPLED_NAMES])
    return bool(some) and sum(
        name.startswith("ENS") for name in some
    ) >= ENSEMBL_COLUMN_SHARE * len(some)


def _share(values: Any) -> float:
    return share_known(as_text(values).tolist()[:SAMPLED_NAMES])
