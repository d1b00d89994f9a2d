"""What is said of a mapped person's stratum: a stratum, a set, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.mapping.donors import (
    DonorModel,
    composition_p,
    join,
    locate,
    margin_of,
    measurable_sets,
    status_of,
)
from pmcell.mapping.labels import CellLabels
from pmcell.mapping.reference import Reference
from pmcell.schema.halves import second_half
from pmcell.schema.mapped import (
    ASSIGNED,
    NO_LABEL,
    NO_STRATA,
    NOT_PLACED,
    TOO_FEW_CELLS,
    Driver,
    Residual,
    StratumAnswer,
)
from pmcell.schema.text import as_text, text_array
from pmcell.strata.discovery.uncertainty import NOVEL
from pmcell.strata.explanation.drivers import drivers
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.profile import profile
from pmcell.strata.profiles.sex_linked import SEX_LINKED

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


Key = tuple[str, str]
MIN_LABELLED = 0.5
"""Share of a visit's cells that must have a label before it is placed by its composition."""
N_DRIVERS = 5
"""Drivers that are named."""


@dataclass(frozen=True)
class Profiled:
    """Cells that passed QC: columns, integrated coordinates, labels and counts.

    `by_source` is the type under which the label of its source makes a cell count, '' where the
    reference says it.
    """

    obs: pd.DataFrame
    integrated: NDArray[np.float32]
    labels: CellLabels
    counts: Any
    gene_ids: NDArray[np.str_]
    by_source: NDArray[np.object_]

    def used(self) -> NDArray[np.bool_]:
        """Cells that count in profiles: with a source's label, or like a type of the reference."""
        return np.asarray((self.by_source != "") | ~self.labels.unlike, bool)

    def types(self, reference: Reference) -> NDArray[np.str_]:
        """Type under which each cell counts."""
        told = reference.labels.profile_types[self.labels.best]
        return text_array(np.where(self.by_source != "", self.by_source, told))

    def labelled(self, own: NDArray[np.bool_]) -> float:
        """Share of some cells that have a label."""
        has_label = (self.labels.level != NO_LABEL) | (self.by_source != "")
        return float(has_label[own].mean()) if own.any() else 0.0

    def donor_p(self, reference: Reference, own: NDArray[np.bool_]) -> float | None:
        """How unusual the composition of some cells is among the donors."""
        known = text_array(reference.donors.donors.var_names)
        types = self.types(reference)[own & self.used()]
        n = np.array([(types == name).sum() for name in known], np.float64)
        return composition_p(reference.donors, n) if n.sum() else None


def stratum_answers(reference: Reference, cells: Profiled) -> dict[Key, StratumAnswer]:
    """What is said of each person and visit."""
    model = reference.donors
    if model.frozen is None:
        decision = str(reference.facts.get("decision") or "no strata")
        why = f"the release has no strata ({decision}): see the composition beside its donors"
        return _Every(StratumAnswer(NO_STRATA, why))
    new = _profile(reference, cells)
    names = list(zip(as_text(new.obs["donor_id"]), as_text(new.obs["visit"]), strict=True))
    known = np.isin(text_array(new.obs["batch_id"]), list(model.batches))
    both = join(model, new, known)
    sets = measurable_sets(model, both)
    few = f"fewer than {int(model.donors.uns['profile']['min_cells_donor'])} cells can be used"
    answers = _Every(StratumAnswer(TOO_FEW_CELLS, few))
    if sets is None:
        why = "genes by which the strata were found were not all measured in the samples"
        return _Every(StratumAnswer(NOT_PLACED, why))
    enough = both.obs[slots.ENOUGH].to_numpy(bool)[model.donors.n_obs :]
    for unseen in (False, True):
        rows = np.flatnonzero(enough & (known != unseen))
        if not rows.size:
            continue
        if unseen and model.frozen.by_batch is None:
            why = (
                "the samples are of a batch that the reference does not know, and it has too few "
                "batches or donors to say what a new one does to a person's place"
            )
            for row in rows:
                answers[names[row]] = StratumAnswer(NOT_PLACED, why)
            continue
        found = _answers(model, both, sets, rows, batch_unseen=unseen)
        answers.update({names[row]: answer for row, answer in found.items()})
    return answers


def unless_strange(
    answer: StratumAnswer,
    labelled: float,
    donor_p: float | None,
    residual: Residual | None,
    against: str = "",
) -> StratumAnswer:
    """The answer, but for a stratum that rests on what no donor of the reference showed.

    Strata need not be told apart by composition, so that cells of one type alone may lie near
    one; and sets are calibrated by the reference's batches, which say nothing of a laboratory
    whose expression differs more than theirs does.

    Parameters
    ----------
    answer
        What the strata's model says.
    labelled
        Share of the visit's cells that have a label.
    donor_p, residual
        How unusual the composition and the expression outside the model are.
    against
        What else speaks against a stratum, in words.
    """
    if answer.status != ASSIGNED:
        return answer
    if against:
        why = against
    elif labelled < MIN_LABELLED:
        why = f"{labelled:.0%} of the cells could be labelled; {MIN_LABELLED:.0%} are needed"
    elif donor_p is not None and donor_p <= NOVEL:
        why = "no donor of the reference has a composition as unusual"
    elif residual is not None and residual.p <= NOVEL:
        why = (
            "more expression lies outside the model than in any donor of the reference, as in "
            "samples of another laboratory or chemistry"
        )
    else:
        return answer
    return replace(answer, status=NOT_PLACED, why=why, stratum=None)


class _Every(dict[Key, StratumAnswer]):
    """One answer for every visit that has none of its own."""

    def __init__(self, answer: StratumAnswer) -> None:
        super().__init__()
        self._answer = answer

    def __missing__(self, key: Key) -> StratumAnswer:
        return self._answer


def _answers(
    model: DonorModel,
    both: AnnData,
    sets: list[int],
    rows: NDArray[np.intp],
    *,
    batch_unseen: bool,
) -> dict[int, StratumAnswer]:
    position = locate(model, both, sets, batch_unseen=batch_unseen)
    frozen = model.frozen
    assert frozen is not None
    names = [f"S{k + 1}" for k in range(frozen.ks[0])]
    nearest = position.towards.argmin(axis=1)
    parts = _drivers(model, both, [names[k] for k in nearest])
    out = {}
    for row in map(int, rows):
        status, inside, why = status_of(model, position, row)
        out[row] = StratumAnswer(
            status,
            why,
            stratum=names[nearest[row]] if status == "assigned" else None,
            nearest=names[nearest[row]],
            probability={
                name: round(float(value), 6)
                for name, value in zip(names, position.probability[row], strict=True)
            },
            conformal_set=tuple(names[k] for k in inside),
            coverage=float(model.donors.uns["placement"]["coverage"]),
            calibrated_on="batches" if batch_unseen else "donors",
            ood_p=round(float(position.placed[0].fit_p[row]), 6),
            margin=round(margin_of(position.towards[row]), 6),
            drivers=parts[row],
        )
    return out


def _drivers(model: DonorModel, both: AnnData, nearest: list[str]) -> list[tuple[Driver, ...]]:
    """The largest parts of the difference to the second stratum, of each new row."""
    n_old = model.donors.n_obs
    explained = both.copy()
    label = as_text(both.obs[slots.CANDIDATE], missing="").to_numpy(object)
    label[n_old:] = nearest
    explained.obs[slots.CANDIDATE] = label
    table = drivers(explained, candidates=True)
    out = []
    for row in range(len(nearest)):
        own = table[as_text(table["donor_id"]) == f"new {row}"]
        order = np.argsort(-np.abs(own["contribution"].to_numpy(float)), kind="stable")
        out.append(
            tuple(
                Driver(str(part.channel), str(part.cell_type), round(float(part.contribution), 6))
                for part in own.iloc[order[:N_DRIVERS]].itertuples()
            )
        )
    return out


def _profile(reference: Reference, cells: Profiled) -> AnnData:
    """Profile of the new visits like the reference's, with counts of its genes where measured."""
    import anndata as ad

    used = cells.used()
    query = ad.AnnData(
        obs=cells.obs.loc[used, ["donor_id", "visit", "batch_id"]].copy(),
        obsm={reference.donors.donors.uns["profile"]["basis"]: cells.integrated[used]},
    )
    query.obs["cell_type"] = cells.types(reference)[used]
    known = set(reference.donors.donors.var_names)
    query = query[[name in known for name in query.obs["cell_type"]]].copy()
    new = profile(query, like=reference.donors.donors)
    _add_genes(reference, cells, new)
    return new


def _add_genes(reference: Reference, cells: Profiled, new: AnnData) -> None:
    """Counts of the genes of each type by half, as `strata.add_genes` leaves them."""
    old = reference.donors.donors
    if slots.GENE_COUNTS not in old.obsm:
        return
    genes = text_array(old.uns[slots.GENES]["gene_ids"])
    place = {name: at for at, name in enumerate(cells.gene_ids.tolist())}
    totals = [name for name in reference.space.gene_ids.tolist() if name not in SEX_LINKED]
    if any(name not in place for name in (*genes.tolist(), *totals)):
        return
    used = cells.used()
    counts = cells.counts[used]
    obs = cells.obs[used]
    row_of = {
        key: row
        for row, key in enumerate(
            zip(as_text(new.obs["donor_id"]), as_text(new.obs["visit"]), strict=True)
        )
    }
    row = np.array(
        [row_of.get(key, -1) for key in zip(obs["donor_id"], obs["visit"], strict=True)], np.int64
    )
    kind_of = {str(name): at for at, name in enumerate(old.var_names)}
    kind = np.array([kind_of.get(str(name), -1) for name in cells.types(reference)[used]], np.int64)
    half = second_half(obs.index).astype(np.int64)
    of_type = np.asarray(old.uns[slots.GENES]["gene"], np.int64)
    out = np.zeros((new.n_obs, 2, old.n_vars, of_type.shape[1]), np.int32)
    total = np.zeros((new.n_obs, 2, old.n_vars), np.int64)
    chosen = counts[:, [place[name] for name in genes.tolist()]].toarray()
    whole = np.asarray(counts[:, [place[name] for name in totals]].sum(axis=1)).ravel()
    known = (row >= 0) & (kind >= 0)
    np.add.at(total, (row[known], half[known], kind[known]), whole[known])
    for at in range(old.n_vars):
        own = np.flatnonzero(known & (kind == at))
        columns = np.flatnonzero(of_type[at] >= 0)
        if own.size and columns.size:
            values = chosen[own][:, of_type[at][columns]]
            sums = np.zeros((new.n_obs, 2, columns.size), np.int64)
            np.add.at(sums, (row[own], half[own]), values)
            out[:, :, at, : columns.size] = sums
    new.obsm[slots.GENE_COUNTS] = out.reshape(new.n_obs, -1)
    new.obsm[slots.GENE_TOTALS] = total.reshape(new.n_obs, -1)
