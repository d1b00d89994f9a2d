"""The donors of a reference, and where a new one lies among them.

The sums of the donors' cells are kept, so that what was fitted on them is fitted again in the
same way, to the last bit; a new person's sums are placed beside them and change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmcell.core.donors.arcsine import arcsine
from pmcell.core.donors.channels import GENES
from pmcell.schema.text import as_text, text_array
from pmcell.schema.verdict import STRATA
from pmcell.strata.discovery.cluster import distance_to_groups
from pmcell.strata.discovery.conformal import Calibration, Placed, place_on
from pmcell.strata.discovery.distances import fitted
from pmcell.strata.discovery.uncertainty import NOVEL, Frozen
from pmcell.strata.profiles import slots
from pmcell.strata.profiles.model import open_map

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OBS = ("donor_id", "visit", "batch_id", "n_cells")
KEPT = {
    "profile": [
        "basis",
        "by",
        "n_dims",
        "min_cells_type",
        "min_cells_donor",
        "cells_for_reliability",
        "min_share_donors",
        "n_tissues",
    ],
    "existence": ["decision", "k"],
    "placement": ["coverage"],
}
"""Of uns, what placing needs; and all of `channels`."""


@dataclass(frozen=True)
class DonorModel:
    """Donors of a reference: their sums in an AnnData, and the calibration where strata exist."""

    donors: AnnData
    frozen: Frozen | None

    @property
    def rows(self) -> Ints:
        """The row of each donor that made the strata."""
        return np.flatnonzero(self.donors.obs[slots.DISCOVERY].to_numpy()).astype(np.int64)

    @property
    def batches(self) -> frozenset[str]:
        """Batches of these donors."""
        return frozenset(as_text(self.donors.obs["batch_id"]).iloc[self.rows])

    def shares(self) -> Floats:
        """Share of each type in each of these donors (donors, types)."""
        n = np.asarray(self.donors.X, np.float64)[self.rows]
        return np.asarray(n / np.maximum(n.sum(axis=1, keepdims=True), 1.0))


@dataclass(frozen=True)
class Position:
    """Where new donors lie among the strata.

    `placed` has an entry for each number of strata that was looked at, the chosen one first;
    `towards` (new, k) is the squared distance to each stratum's mean, `probability` (new, k) that
    of each stratum.
    """

    placed: tuple[Placed, ...]
    towards: Floats
    probability: Floats


def reduce_donors(donors: AnnData, frozen: Frozen | None) -> DonorModel:
    """The model of donors after the strata step, with what placing needs and nothing else."""
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame({name: donors.obs[name].to_numpy() for name in OBS})
    obs.index = donors.obs_names
    for name in (slots.DISCOVERY, slots.ENOUGH):
        obs[name] = donors.obs[name].to_numpy(bool)
    obs[slots.CANDIDATE] = ""
    if frozen is not None:
        obs[slots.CANDIDATE] = as_text(donors.obs[slots.CANDIDATE], missing="").to_numpy()
    out = ad.AnnData(np.asarray(donors.X, np.int64), obs, donors.var[["n_cells", slots.POOL]])
    for name in slots.SUMS:
        if name in donors.obsm:
            out.obsm[name] = np.asarray(donors.obsm[name])
    out.varm[slots.WITHIN] = np.asarray(donors.varm[slots.WITHIN])
    for name, keys in KEPT.items():
        out.uns[name] = {
            key: donors.uns[name][key] for key in keys if key in donors.uns.get(name, {})
        }
    out.uns["channels"] = dict(donors.uns.get("channels", {}))
    for name in (slots.CLOUD, slots.GENES):
        if name in donors.uns:
            out.uns[name] = dict(donors.uns[name])
    return DonorModel(out, frozen)


def join(model: DonorModel, new: AnnData, known_batch: NDArray[np.bool_]) -> AnnData:
    """The reference's donors with new rows after them, which take no part in what is fitted.

    `new` is a profile like the reference's (`pmcell.strata.profile` with `like`), whose types are
    among the reference's. A batch is the reference's own where `known_batch` says so.
    """
    import anndata as ad
    import pandas as pd

    old = model.donors
    place = pd.Index(old.var_names).get_indexer(new.var_names)
    n_new, n_types = new.n_obs, old.n_vars

    def spread(name: str) -> NDArray[Any]:
        values = np.asarray(new.obsm[name]).reshape(n_new, new.n_vars, -1)
        out = np.zeros((n_new, n_types, values.shape[2]), values.dtype)
        out[:, place] = values
        return out.reshape(n_new, -1)

    x = np.zeros((n_new, n_types), np.int64)
    x[:, place] = np.asarray(new.X, np.int64)
    batch = as_text(new.obs["batch_id"]).to_numpy(object)
    obs = pd.DataFrame(
        {
            "donor_id": [f"new {row}" for row in range(n_new)],
            "visit": "new",
            "batch_id": [
                name if known else f"new {name}"
                for name, known in zip(batch, known_batch, strict=True)
            ],
            "n_cells": x.sum(axis=1),
            slots.DISCOVERY: False,
            slots.ENOUGH: x.sum(axis=1) >= int(old.uns["profile"]["min_cells_donor"]),
            slots.CANDIDATE: "",
        },
        index=[f"new {row}" for row in range(n_new)],
    )
    both = ad.AnnData(
        np.concatenate([np.asarray(old.X), x]), pd.concat([old.obs, obs]), old.var.copy()
    )
    for name in (slots.SUM, slots.SUM_SQUARES, slots.HALF_N, slots.HALF_SUM):
        both.obsm[name] = np.concatenate([np.asarray(old.obsm[name]), spread(name)])
    for name in (slots.WAVES, slots.HALF_WAVES):
        if name in old.obsm and name in new.obsm:
            both.obsm[name] = np.concatenate([old.obsm[name], new.obsm[name]])
    if slots.GENE_COUNTS in old.obsm and slots.GENE_COUNTS in new.obsm:
        # Laid out by type of the reference already.
        for name in (slots.GENE_COUNTS, slots.GENE_TOTALS):
            both.obsm[name] = np.concatenate([old.obsm[name], new.obsm[name]])
    both.varm[slots.WITHIN] = old.varm[slots.WITHIN]
    for name in old.uns:
        both.uns[name] = old.uns[name]
    return both


def measurable_sets(model: DonorModel, both: AnnData) -> list[int] | None:
    """Which of the frozen distances the new rows have; None where the fused one is not."""
    assert model.frozen is not None
    has_genes = slots.GENE_COUNTS in both.obsm
    used = {str(name) for name in both.uns["channels"]["used"]}
    if GENES in used and not has_genes:
        return None
    return [
        at for at, name in enumerate(model.frozen.sets) if has_genes or name != slots.DISTANCE_GENES
    ]


def locate(model: DonorModel, both: AnnData, sets: list[int], *, batch_unseen: bool) -> Position:
    """Place the rows of `join` that are new.

    The probability of a stratum falls with the squared distance to its mean, at the rate that
    fits the donors best who were left out; it is never surer than their number allows.
    """
    frozen = model.frozen
    assert frozen is not None
    rows = model.rows
    new = np.arange(model.donors.n_obs, both.n_obs)
    by = frozen.by_batch if batch_unseen and frozen.by_batch is not None else frozen.by_donor
    placed, first = [], np.zeros((new.size, frozen.ks[0]))
    everything = [_squared(both, frozen.sets[at]) for at in sets]
    for index, (k, labels) in enumerate(zip(frozen.ks, frozen.labels, strict=True)):
        towards = np.stack([distance_to_groups(one, rows, labels, k)[new] for one in everything])
        known = Calibration(by[index][sets], labels)
        placed.append(place_on(known, towards, batch_unseen=batch_unseen))
        first = towards[0] if index == 0 else first
    probability = _probability(by[0][0], frozen.labels[0], first)
    return Position(tuple(placed), first, probability)


def _squared(both: AnnData, name: str) -> Floats:
    if name == slots.DISTANCE:
        return fitted(both).distances()
    return open_map(both, {name.removeprefix(f"{slots.DISTANCE}_"): 1.0}).distances()


def _probability(known: Floats, labels: Ints, towards: Floats) -> Floats:
    """Softmax of minus the distance over a width, the width by the left-out donors' likelihood."""
    n, k = known.shape
    finite = np.where(
        np.isfinite(known), known, 10.0 * np.nanmax(np.where(np.isfinite(known), known, 0.0))
    )
    least = k / (n + k)

    def soft(values: Floats, width: float) -> Floats:
        value = np.exp(-(values - values.min(axis=1, keepdims=True)) / width)
        return np.asarray((1 - least) * value / value.sum(axis=1, keepdims=True) + least / k)

    widths = np.geomspace(1e-3, 1e1, 41) * max(float(np.median(finite)), 1e-9)
    own = [float(np.log(soft(finite, width)[np.arange(n), labels]).sum()) for width in widths]
    return soft(towards, float(widths[int(np.argmax(own))]))


def status_of(model: DonorModel, position: Position, row: int) -> tuple[str, list[int], str]:
    """Set of a new row, and what `place` of the strata step says of it: status, strata, why."""
    frozen = model.frozen
    assert frozen is not None
    coverage = float(model.donors.uns["placement"]["coverage"])
    rare = 1.0 - coverage + 1e-9
    chosen = position.placed[0]
    size = np.bincount(frozen.labels[0], minlength=frozen.ks[0])
    usable = size >= 1.0 / (1.0 - coverage) - 1e-9
    inside = [int(k) for k in np.flatnonzero(chosen.stratum_p[row] > rare)]
    nearest = int(position.towards[row].argmin())
    worst = min(float(one.fit_p[row]) for one in position.placed)
    if float(chosen.fit_p[row]) <= NOVEL:
        return "novel", inside, "fits no stratum as the reference's donors do"
    if not usable.all():
        small = ", ".join(f"S{k + 1}" for k in np.flatnonzero(~usable))
        return "ambiguous", inside, f"{small} has too few donors to be ruled out"
    if not inside or worst <= rare:
        return "ambiguous", inside, "lies at the edge of every stratum"
    if inside != [nearest]:
        return "ambiguous", inside, "more than one stratum cannot be ruled out"
    if float(position.probability[row, nearest]) < 0.5:
        return "ambiguous", inside, "no stratum is more probable than the others together"
    return "assigned", inside, ""


def margin_of(towards: Floats) -> float:
    """1 at the mean of the nearest stratum, 0 on the border to the next."""
    ordered = np.sqrt(np.maximum(np.sort(towards), 0.0))
    return (
        float((ordered[1] - ordered[0]) / max(float(ordered[1]), 1e-12))
        if ordered.size > 1
        else 1.0
    )


def composition_p(model: DonorModel, n: Floats) -> float | None:
    """Share of the donors whose composition is as far from the others' mean; None with too few."""
    shares = model.shares()
    if shares.shape[0] < 10:
        return None
    known = arcsine(np.asarray(model.donors.X, np.float64)[model.rows])
    total = known.sum(axis=0)
    others = (total - known) / (known.shape[0] - 1)
    far = ((known - others) ** 2).sum(axis=1)
    value = float(((arcsine(n[None]) - known.mean(axis=0)) ** 2).sum())
    return float((1 + (far >= value).sum()) / (1 + far.size))


def donor_arrays(model: DonorModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model as arrays and as plain facts."""
    donors = model.donors
    arrays: dict[str, Any] = {
        "X": np.asarray(donors.X),
        "types": text_array(donors.var_names),
        "pool": text_array(as_text(donors.var[slots.POOL], missing="")),
        "type_n_cells": donors.var["n_cells"].to_numpy(np.int64),
        "rows": text_array(donors.obs_names),
        slots.WITHIN: np.asarray(donors.varm[slots.WITHIN]),
    }
    arrays |= {f"obs_{name}": _plain(donors.obs[name].to_numpy()) for name in donors.obs.columns}
    arrays |= {f"obsm_{name}": np.asarray(donors.obsm[name]) for name in donors.obsm}
    facts: dict[str, Any] = {
        name: _json(donors.uns[name]) for name in (*KEPT, "channels") if name in donors.uns
    }
    for name in (slots.CLOUD, slots.GENES):
        for key, value in donors.uns.get(name, {}).items():
            if isinstance(value, str | float | int):
                facts.setdefault(name, {})[key] = value
            else:
                arrays[f"uns_{name}__{key}"] = _plain(np.asarray(value))
    if model.frozen is not None:
        frozen = model.frozen
        facts["frozen"] = {"ks": list(frozen.ks), "sets": list(frozen.sets)}
        for at in range(len(frozen.ks)):
            arrays[f"frozen_labels_{at}"] = frozen.labels[at]
            arrays[f"frozen_by_donor_{at}"] = frozen.by_donor[at]
            if frozen.by_batch is not None:
                arrays[f"frozen_by_batch_{at}"] = frozen.by_batch[at]
    return arrays, facts


def donors_from(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> DonorModel:
    """The model that `donor_arrays` took apart."""
    import anndata as ad
    import pandas as pd

    def starting(prefix: str) -> dict[str, NDArray[Any]]:
        return {
            name.removeprefix(prefix): value
            for name, value in arrays.items()
            if name.startswith(prefix)
        }

    obs = pd.DataFrame(
        {
            name: value.astype(object) if value.dtype.kind == "U" else value
            for name, value in starting("obs_").items()
        },
        index=pd.Index(arrays["rows"].astype(object)),
    )
    var = pd.DataFrame(
        {"n_cells": arrays["type_n_cells"], slots.POOL: arrays["pool"].astype(object)},
        index=pd.Index(arrays["types"].astype(object), name="cell_type"),
    )
    donors = ad.AnnData(arrays["X"], obs, var)
    for name, value in starting("obsm_").items():
        donors.obsm[name] = value
    donors.varm[slots.WITHIN] = arrays[slots.WITHIN]
    for name in (*KEPT, "channels"):
        donors.uns[name] = dict(facts.get(name, {}))
    for name in (slots.CLOUD, slots.GENES):
        found = {**facts.get(name, {}), **starting(f"uns_{name}__")}
        if found:
            donors.uns[name] = found
    told = facts.get("frozen")
    if told is None:
        return DonorModel(donors, None)
    at = range(len(told["ks"]))
    by_batch = None
    if "frozen_by_batch_0" in arrays:
        by_batch = tuple(arrays[f"frozen_by_batch_{one}"] for one in at)
    frozen = Frozen(
        tuple(int(k) for k in told["ks"]),
        tuple(arrays[f"frozen_labels_{one}"] for one in at),
        tuple(told["sets"]),
        tuple(arrays[f"frozen_by_donor_{one}"] for one in at),
        by_batch,
    )
    return DonorModel(donors, frozen)


def has_strata(donors: AnnData) -> bool:
    """Whether the strata step published strata."""
    return str(donors.uns.get("existence", {}).get("decision", "")) == STRATA


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    return text_array(values) if values.dtype == object else values


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_json(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
