"""Cells of patients straight in an embedding: fast, for testing the stratification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import UsageError
from pmcell.schema import X_INTEGRATED
from pmcell.simulate import people as who

if TYPE_CHECKING:
    import anndata as ad

SCENARIOS = ("null", "continuum", "both", "state", "composition", "batch")

STATE_SD = 0.35
"""Strata's shift of a type's mean at effect 1, in units of the spread within a type."""
COMPOSITION_SD = 0.6
"""Strata's shift of a type's logit at effect 1."""
DONOR_COMPOSITION_SD = 0.3
BATCH_SD = 0.6
TYPE_SD = 3.0


def simulate_latent(
    *,
    n_donors: int = 40,
    n_strata: int = 3,
    n_types: int = 12,
    n_dims: int = 20,
    cells_per_donor: int = 500,
    scenario: str = "both",
    effect: float = 1.0,
    donor_sd: float = 0.25,
    n_batches: int = 3,
    confounding: float = 0.0,
    n_visits: int = 1,
    seed: int = 0,
) -> ad.AnnData:
    """Simulate cells × dimensions of donors whose strata, if any, are known.

    A cell lies at its type's mean, moved by its donor (`donor_sd`), the visit
    (half of it), the stratum and the batch, with standard normal noise. `scenario`:

    - `null`: no strata; the labels mean nothing.
    - `continuum`: donors lie evenly on a line, in state and in composition.
    - `state`, `composition`, `both`: strata differ in the types' means, in the
      types' proportions, or in both.
    - `batch`: as `both`, and every batch moves all types, which no other scenario does.

    `effect` scales the strata's (or the line's) shifts. `confounding` is the
    share of donors whose stratum follows from their batch. `cells_per_donor`
    are those of one visit.

    Returns cells × 0 genes with `obsm["X_integrated"]` (float32); `obs` as of
    `simulate`; `uns["truth"]` with donor_id, stratum and position of donors,
    types' proportions, strata's state shifts (donors × types × dimensions).

    >>> adata = simulate_latent(n_donors=6, cells_per_donor=50, scenario="state", seed=1)
    >>> adata.obsm["X_integrated"].shape
    (300, 20)
    """
    import anndata as ad
    import pandas as pd

    if scenario not in SCENARIOS:
        raise UsageError(f"scenario must be one of {', '.join(SCENARIOS)}, got {scenario!r}")
    who.check_counts(
        n_donors=n_donors,
        n_strata=n_strata,
        n_types=n_types,
        n_dims=n_dims,
        cells_per_donor=cells_per_donor,
        n_batches=n_batches,
        n_visits=n_visits,
    )
    who.check_sizes(effect=effect, donor_sd=donor_sd)
    who.check_share(confounding=confounding)

    rng = np.random.default_rng(seed)
    continuum = scenario == "continuum"
    people = who.recruit(
        rng,
        n_donors=n_donors,
        n_groups=n_batches,
        n_strata=n_strata,
        confounding=confounding,
        continuum=continuum,
    )
    means = TYPE_SD * rng.standard_normal((n_types, n_dims))
    state = who.strata_shifts(rng, people, (n_types, n_dims), continuum=continuum)
    state *= STATE_SD * effect * (scenario not in ("null", "composition"))
    shift = who.strata_shifts(rng, people, (n_types,), continuum=continuum)
    shift *= COMPOSITION_SD * effect * (scenario not in ("null", "state"))
    logits = np.linspace(1, -1, n_types) + shift
    logits += DONOR_COMPOSITION_SD * rng.standard_normal(logits.shape)
    batch = BATCH_SD * (scenario == "batch") * rng.standard_normal((n_batches, n_dims))
    donor = donor_sd * rng.standard_normal((n_donors, n_types, n_dims))

    samples = who.samples_frame(
        people,
        cohort_ids=["sim_1"],
        batch_ids=[f"batch_{number + 1}" for number in range(n_batches)],
        n_visits=n_visits,
    )
    x = rng.standard_normal((len(samples) * cells_per_donor, n_dims), dtype=np.float32)
    type_of_cell = np.empty(len(x), dtype=np.int64)
    for number, person in enumerate(samples["donor"]):
        rows = slice(number * cells_per_donor, (number + 1) * cells_per_donor)
        visit = 0.5 * donor_sd * rng.standard_normal((n_types, n_dims))
        centres = means + state[person] + donor[person] + visit + batch[people.group[person]]
        type_of_cell[rows] = who.draw_types(rng, logits[person], cells_per_donor)
        x[rows] += centres[type_of_cell[rows]]
    obs = who.cells_frame(samples, cells_per_donor)
    names = pd.Index([f"type_{number + 1:02d}" for number in range(n_types)], dtype=object)
    obs["cell_type"] = pd.Categorical.from_codes(type_of_cell, names)
    proportions = np.exp(logits)
    adata = ad.AnnData(obs=obs, obsm={X_INTEGRATED: x})
    adata.uns["truth"] = {
        "donor_id": samples["donor_id"].drop_duplicates().to_numpy(dtype=object),
        "stratum": people.stratum,
        "position": people.position,
        "proportions": proportions / proportions.sum(axis=1, keepdims=True),
        "state": state,
    }
    return adata
