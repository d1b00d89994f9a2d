"""Whether visits of one person get the same answer: each visit mapped by itself onto its release.

python tests/benchmarks/person/visits.py --release RELEASE

RELEASE is that of the demo (embedded Liu cohorts). Each visit of a donor with several is mapped as
a sample of its own, in its batch and as one of a batch that the release does not know. The first
visits made the strata, so that it is the later ones that tell something; pairs of different people
of the same batch, both with several visits, stand beside pairs of one person. Intervals draw
donors anew.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import pmcell as pm
from pmcell.mapping.reference import Reference

KNOWN, NEW = "its batch", "a new batch"
N_DRAWS = 2_000


@dataclass(frozen=True)
class Visit:
    """A visit that was mapped: stratum ('' for none), and shares of labelled types."""

    donor: str
    batch: str
    number: int
    status: str
    stratum: str
    answered: float
    shares: pd.Series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True)
    args = parser.parse_args()
    reference = pm.open_reference(args.release)
    cells = followed(args.release)
    for told in (KNOWN, NEW):
        visits = [map_visit(own, told, reference) for own in of_visits(cells)]
        show(told, visits)


def followed(release: Path) -> ad.AnnData:
    """Raw counts of the donors with several visits."""
    parts = []
    for path in sorted((release / "cells").glob("*.h5ad")):
        made = ad.read_h5ad(path)
        obs = made.obs[["donor_id", "sample_id", "visit", "batch_id"]].astype(str)
        var = pd.DataFrame(index=made.raw.var_names)
        parts.append(ad.AnnData(sparse.csr_matrix(made.raw.X, dtype=np.int64), obs, var))
    whole = ad.concat(parts)
    n_visits = whole.obs.groupby("donor_id")["visit"].transform("nunique")
    return whole[(n_visits > 1).to_numpy()]


def of_visits(cells: ad.AnnData) -> list[ad.AnnData]:
    keys = sorted(set(zip(cells.obs["donor_id"], cells.obs["visit"], strict=True)))
    donor, visit = (cells.obs[name].to_numpy() for name in ("donor_id", "visit"))
    return [cells[(donor == key[0]) & (visit == key[1])].copy() for key in keys]


def map_visit(cells: ad.AnnData, told: str, reference: Reference) -> Visit:
    donor, batch, name = (str(cells.obs[key].iloc[0]) for key in ("donor_id", "batch_id", "visit"))
    if told == NEW:
        cells.obs["batch_id"] = "a batch of its own"
    found = pm.map(cells, reference)
    (visit,) = found.visits
    used = found.cells[found.cells["passes_qc"]]
    answer = visit.stratum
    stratum = answer.stratum or ""
    answered = float((used["cell_type"] != "unknown").mean())
    shares = used["nearest_cell_type"].value_counts(normalize=True)
    return Visit(donor, batch, int(name[1:]), answer.status, stratum, answered, shares)


def show(told: str, visits: list[Visit]) -> None:
    """Print what visits were called, and how alike pairs of them are."""
    status, n = np.unique([visit.status for visit in visits], return_counts=True)
    later = [visit for visit in visits if visit.number > first_of(visits, visit)]
    same = [visit for visit in later if visit.stratum == stratum_of_first(visits, visit) != ""]
    print(f"{told}: {len(visits)} visits; {dict(zip(status.tolist(), n.tolist(), strict=True))}")
    print(f"  strata: {pd.Series([visit.stratum for visit in visits]).value_counts().to_dict()}")
    print(f"  later visits with the stratum of the first: {len(same)} of {len(later)}")
    pairs = [pair for pair in combinations(visits, 2) if pair[0].batch == pair[1].batch]
    for name, is_one in (("one person", True), ("two people", False)):
        own = [pair for pair in pairs if (pair[0].donor == pair[1].donor) == is_one]
        placed = [float(a.stratum == b.stratum) for a, b in own if a.stratum and b.stratum]
        apart = [0.5 * float(a.shares.sub(b.shares, fill_value=0).abs().sum()) for a, b in own]
        answered = [abs(a.answered - b.answered) for a, b in own]
        print(
            f"  pairs of {name}: {len(own)}; same stratum {sum(placed):.0f} of {len(placed)} "
            f"where both have one; shares apart {mean_of_donors(own, apart)}; "
            f"share answered apart {mean_of_donors(own, answered)}"
        )


def first_of(visits: list[Visit], own: Visit) -> int:
    return min(visit.number for visit in visits if visit.donor == own.donor)


def stratum_of_first(visits: list[Visit], own: Visit) -> str:
    return next(
        visit.stratum
        for visit in visits
        if visit.donor == own.donor and visit.number == first_of(visits, own)
    )


def mean_of_donors(pairs: list[tuple[Visit, Visit]], values: list[float]) -> str:
    """Mean over pairs, and its 95 % interval: a pair weighs as often as both its donors are drawn.

    Of a person's pair that is how often the one donor is drawn.
    """
    names = sorted({visit.donor for pair in pairs for visit in pair})
    place = {name: at for at, name in enumerate(names)}
    ends = np.array([[place[visit.donor] for visit in pair] for pair in pairs])
    value = np.array(values)
    drawn = np.random.default_rng(0).multinomial(
        len(names), np.full(len(names), 1 / len(names)), N_DRAWS
    )
    weight = drawn[:, ends[:, 0]] * np.where(ends[:, 0] == ends[:, 1], 1, drawn[:, ends[:, 1]])
    means = (weight @ value) / weight.sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{value.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
