"""The type of each cell: its source's label, else a transferred one, else that of its cluster.

A cell keeps its source's label. One whose source gave none may have one transferred from cells
with a label (`pmcell.mapping.transfer`), and then counts as its most probable type. Donors are
another matter: cohorts may label at different depths (one 'T cell', another 'CD8-positive,
alpha-beta T cell'), with different words, or not at all, and a donor's share of a type must mean
the same in all of them. So each cell has a second type, under which it counts in profiles:

- Where a cohort labels fewer than `MIN_COHORT_LABELLED` of its cells, that of the
  cluster, for every cell: clusters are all that the cohorts then have in common.
- Else its label. Where one cohort mostly stops at a term below which another goes on
  (`MIN_STOPS`), all labels below become that term.
- Two terms of which each cohort knows only one, and which lie in the same clusters
  (`MIN_OVERLAP`), become their closest common ancestor, if it still names a type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import DataError
from pmcell.registry.terms.cell_types import consensus, is_label, is_of_type, name_of
from pmcell.registry.terms.ontology import is_under, terms
from pmcell.schema import CELL_TYPES, TISSUE_GROUP, UNKNOWN
from pmcell.schema.steps import NEAREST_TERM, TRANSFERRED_PROBABILITY, TRANSFERRED_TERM
from pmcell.schema.text import as_text
from pmcell.tl.aggregate import SOURCE_TERM, counted_labels
from pmcell.tl.tissues import cells_by_tissue, in_tissue

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.core.counts.aggregate import TypeOfCells

MIN_COHORT_LABELLED = 0.8
"""A cohort is labelled where at least this share of its cells has a label."""

MIN_STOPS = 0.5
"""A cohort stops at a term where this share of its cells at or below the term has the term."""

MIN_OVERLAP = 0.5
"""Two terms name the same cells where their shares over the clusters overlap this much."""

MIN_CELLS = 20
"""Fewer cells of a cohort with a term say nothing of how the cohort labels."""

PER_CELL = (
    "cell_type",
    "cell_type_ontology_term_id",
    "cell_type_confidence",
    "label_method",
    "profile_cell_type",
)
"""Columns of `schema.CELL_TYPES` that each cell takes."""


def label_cells(cells: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """Give the cells of each cluster and source label their type.

    Parameters
    ----------
    cells
        One row a cell with `cluster` and, where known, `cohort_id` (else all are of one
        cohort), `tissue_group` (each looked at by itself, and named in the type under which
        cells count where there are several) and `source_cell_type_ontology_term_id`. A term
        that is obsolete or does not name a type ('leukocyte') is no label. Cells with a
        transferred label (`NEAREST_TERM`) count as its most probable type.
    clusters
        Table `schema.CLUSTERS`, with every cluster of the cells.

    Returns
    -------
    pandas.DataFrame
        Table `schema.CELL_TYPES`.

    Examples
    --------
    >>> import pandas as pd
    >>> source = ["CL:0000625", "unknown"]
    >>> cells = pd.DataFrame({"cluster": "0", "source_cell_type_ontology_term_id": source})
    >>> named = {"cell_type": "natural killer cell", "cell_type_ontology_term_id": "CL:0000623"}
    >>> clusters = pd.DataFrame({"cluster": ["0"], "cell_type_confidence": 0.9, **named})
    >>> label_cells(cells, clusters)[["cell_type", "label_method"]].values.tolist()
    [['CD8-positive, alpha-beta T cell', 'source'], ['natural killer cell', 'cluster']]
    """
    import pandas as pd

    parts = []
    for own in cells_by_tissue(cells):
        inside = cells.iloc[own]
        table = _label_tissue(inside, clusters)
        if len(own) < len(cells):
            group = pd.Series(inside[TISSUE_GROUP].iloc[0], index=table.index)
            table["profile_cell_type"] = in_tissue(table["profile_cell_type"], group)
        parts.append(table)
    whole = pd.concat(parts, ignore_index=True)
    return whole.sort_values(["cluster", SOURCE_TERM], kind="stable", ignore_index=True)


def _label_tissue(cells: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """The same for the cells of one tissue."""
    import pandas as pd

    keys = pd.DataFrame(
        {
            "cohort_id": as_text(cells["cohort_id"]).to_numpy() if "cohort_id" in cells else "",
            "cluster": as_text(cells["cluster"]).to_numpy(),
            SOURCE_TERM: counted_labels(cells),
        }
    )
    sizes = keys.value_counts().rename("n_cells").reset_index()
    sizes["term"] = [term if is_label(term) else UNKNOWN for term in sizes[SOURCE_TERM]]
    table = sizes.groupby(["cluster", SOURCE_TERM, "term"], as_index=False)["n_cells"].sum()
    named = clusters.assign(cluster=as_text(clusters["cluster"])).set_index("cluster")
    named = named.reindex(table["cluster"])
    has_label = table["term"] != UNKNOWN
    own = {
        "cell_type": [name_of(term) if term != UNKNOWN else UNKNOWN for term in table["term"]],
        "cell_type_ontology_term_id": table["term"].to_numpy(),
        "cell_type_confidence": 1.0,
    }
    for column, values in own.items():
        table[column] = np.where(has_label, values, named[column].to_numpy(object))
    table["cell_type_confidence"] = table["cell_type_confidence"].astype(float)
    table["label_method"] = np.where(has_label, "source", "cluster")
    if NEAREST_TERM in cells:
        _tell_transferred(table, cells)
    table["profile_cell_type"] = _profile_types(table, sizes, named["cell_type"].to_numpy(object))
    return table[CELL_TYPES.columns]


def _tell_transferred(table: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Say so where no cell of a cluster and type has it from its source."""
    import pandas as pd

    known = cells[cells[NEAREST_TERM].notna()]
    others = cells[cells[NEAREST_TERM].isna()]
    at = pd.MultiIndex.from_frame(table[["cluster", SOURCE_TERM]])
    own, given = (
        pd.MultiIndex.from_arrays([as_text(part["cluster"]).to_numpy(), counted_labels(part)])
        for part in (known, others)
    )
    probability = pd.Series(known[TRANSFERRED_PROBABILITY].to_numpy(float), own).groupby(
        level=[0, 1]
    )
    only = at.isin(own) & ~at.isin(given)
    table.loc[only, "label_method"] = "transfer"
    mean = probability.mean().reindex(at[only]).to_numpy()
    table.loc[only, "cell_type_confidence"] = np.round(mean, 6)


def type_of_cells(table: pd.DataFrame) -> TypeOfCells:
    """The type in profiles by cluster and source label, as `strata.pseudobulk` takes it.

    Parameters
    ----------
    table
        Table `schema.CELL_TYPES`.
    """
    keys = zip(as_text(table["cluster"]), as_text(table[SOURCE_TERM]), strict=True)
    return dict(zip(keys, as_text(table["profile_cell_type"]), strict=True))


def types_of(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return the columns `PER_CELL` of each cell, by its cluster and source label.

    Parameters
    ----------
    table
        Table `schema.CELL_TYPES`.
    cells
        One row a cell with `cluster` and, where known, `source_cell_type_ontology_term_id`.

    Raises
    ------
    DataError
        Where a cell's cluster and label are not in the table.
    """
    import pandas as pd

    known = pd.MultiIndex.from_arrays([as_text(table["cluster"]), as_text(table[SOURCE_TERM])])
    labels = counted_labels(cells)
    wanted = pd.MultiIndex.from_arrays([as_text(cells["cluster"]).to_numpy(), labels])
    rows = known.get_indexer(wanted)
    if (rows < 0).any():
        cluster, label = wanted[int(np.argmin(rows))]
        raise DataError(
            f"the cells of every cluster and source label must have a type; "
            f"{int((rows < 0).sum())} cells have none, the first of cluster {cluster!r} with "
            f"label {label!r}. Run annotate again.",
            reason="stale_intermediate",
        )
    found = table[list(PER_CELL)].iloc[rows].set_axis(cells.index)
    return _with_transferred(found, cells) if TRANSFERRED_TERM in cells else found


def _with_transferred(found: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The label itself of cells that count as the most probable type under it."""
    has_one = cells[TRANSFERRED_TERM].notna().to_numpy()
    terms_of = as_text(cells.loc[has_one, TRANSFERRED_TERM])
    values = {
        "cell_type": terms_of.map({term: name_of(term) for term in terms_of.unique()}),
        "cell_type_ontology_term_id": terms_of,
        "cell_type_confidence": cells.loc[has_one, TRANSFERRED_PROBABILITY].astype(float),
        "label_method": "transfer",
    }
    out = found.copy()
    for column, new in values.items():
        out.loc[has_one, column] = new if isinstance(new, str) else new.to_numpy()
    return out


def comparable_terms(cells: pd.DataFrame) -> dict[str, str]:
    """The term that stands for each term where cohorts are compared.

    Parameters
    ----------
    cells
        Numbers of cells, `n_cells`, by `cohort_id`, `cluster` and `term`, all of them
        Cell Ontology terms.
    """
    counts = cells.groupby(["cohort_id", "term"])["n_cells"].sum()
    votes = {str(name): own.droplevel(0) for name, own in counts.groupby(level=0)}
    levels = _levels(votes)
    lifted = {str(term): _lift(str(term), levels) for term in cells["term"].unique()}
    same = _synonyms(cells.assign(term=cells["term"].map(lifted)))
    return {term: same.get(level, level) for term, level in lifted.items()}


def _profile_types(
    table: pd.DataFrame, sizes: pd.DataFrame, of_cluster: np.ndarray
) -> list[str] | np.ndarray:
    """The type in profiles of each row of the table; `of_cluster` is that of its cluster."""
    labelled = sizes[sizes["term"] != UNKNOWN]
    n_labelled = labelled.groupby("cohort_id")["n_cells"].sum()
    n_cells = sizes.groupby("cohort_id")["n_cells"].sum()
    if (n_labelled.reindex(n_cells.index, fill_value=0) < MIN_COHORT_LABELLED * n_cells).any():
        return of_cluster
    levels = comparable_terms(labelled)
    found = []
    for term, name in zip(table["cell_type_ontology_term_id"], table["cell_type"], strict=True):
        level = counted_term(term, levels)
        found.append(name if level == term else name_of(level))
    return found


def counted_term(term: str, levels: Mapping[str, str]) -> str:
    """The term under which cells of a term count, which may be none of those compared.

    `levels` are the terms that stand for each compared term, as `comparable_terms` gives them.

    >>> counted_term("CL:0000895", {"CL:0000624": "CL:0000624"})
    'CL:0000624'
    """
    return levels.get(term) or _closest(term, set(levels.values()))


def _levels(votes: Mapping[str, pd.Series]) -> set[str]:
    """Terms at which one cohort mostly stops while another goes on below them."""
    stops: dict[str, dict[str, bool]] = {}
    for term in {str(term) for own in votes.values() for term in own.index}:
        for cohort, own in votes.items():
            inside = own[[is_under(str(name), (term,)) for name in own.index]]
            if inside.sum() >= MIN_CELLS:
                share = float(own.get(term, 0)) / float(inside.sum())
                stops.setdefault(term, {})[cohort] = share >= MIN_STOPS
    return {term for term, own in stops.items() if len(set(own.values())) > 1}


def _lift(term: str, levels: set[str]) -> str:
    """The most general of `levels` at or above the term; the term itself where there is none."""
    above = [level for level in levels if is_under(term, (level,))]
    return min(above, key=lambda level: (_depth(level), level), default=term)


def _closest(term: str, levels: set[str]) -> str:
    """The most specific of `levels` at or above a cluster's term; the term itself without one."""
    above = [level for level in levels if term != UNKNOWN and is_of_type(term, level)]
    return max(above, key=lambda level: (_depth(level), level), default=term)


def _synonyms(cells: pd.DataFrame) -> dict[str, str]:
    """Term → closest common ancestor, for terms by which different cohorts call the same cells."""
    groups: list[set[str]] = []
    for pair in _pairs_in_the_same_clusters(cells):
        if not _shared(pair):
            continue
        near = [group for group in groups if group & pair]
        groups = [group for group in groups if group not in near] + [pair.union(*near)]
    found: dict[str, str] = {}
    for group in groups:
        if shared := _shared(group):
            found |= dict.fromkeys(group, shared)
    return found


def _shared(group: set[str]) -> str:
    """The closest term above all of the group that names a type; '' where there is none."""
    found = consensus(dict.fromkeys(sorted(group), 1), majority=1.1, coverage=1.0)
    return found.term_id if found else ""


def _pairs_in_the_same_clusters(cells: pd.DataFrame) -> Iterator[set[str]]:
    """Pairs of terms, each used by one of two cohorts only, that lie in the same clusters."""
    rows = ["cohort_id", "term"]
    places = cells.pivot_table("n_cells", rows, "cluster", aggfunc="sum", fill_value=0)
    n_cells = places.sum(axis=1)
    frame = places.div(n_cells, axis=0)[n_cells >= MIN_CELLS]
    shares = dict(zip(frame.index, frame.to_numpy(), strict=True))
    known = {str(name): set(own) for name, own in cells.groupby("cohort_id")["term"]}
    for one, other in combinations(sorted(known), 2):
        for left, right in product(known[one] - known[other], known[other] - known[one]):
            here, there = shares.get((one, left)), shares.get((other, right))
            if here is None or there is None:
                continue
            if np.minimum(here, there).sum() >= MIN_OVERLAP:
                yield {str(left), str(right)}


def _depth(term: str) -> int:
    return len(terms("CL")[term].get("ancestors", {}))
