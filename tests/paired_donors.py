"""Donors with several visits or conditions, of whom no more is known than a contrast asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from pmcell.strata.profiles import slots

N_GENES, N_CHANGED = 120, 10
GENES = [f"ENSG{number:011d}" for number in range(N_GENES)]
CHANGED = GENES[:N_CHANGED]

Visits = list[tuple[str, str, str]]
"""Donor, visit, condition."""


def people(visits: Visits, batch: dict[str, str] | None = None) -> AnnData:
    """Donors of whom no more is known than a contrast asks for."""
    obs = pd.DataFrame(visits, columns=["donor_id", "visit", "condition"])
    obs.index = obs["donor_id"] + "|" + obs["visit"]
    obs["batch_id"] = [(batch or {}).get(name, "b") for name in obs.index]
    obs[slots.DISCOVERY] = ~obs["donor_id"].duplicated()
    obs[slots.ENOUGH] = True
    donors = AnnData(obs=obs, var=pd.DataFrame({slots.POOL: [""]}, index=["T cell"]))
    donors.obsm[slots.SUM] = np.zeros((len(obs), 1))
    donors.uns.update(profile={}, existence={"decision": "too few donors"})
    return donors


def counts_of(donors: AnnData, *, fold: float = 2.5, donor_sd: float = 0.8) -> pd.DataFrame:
    """Counts in which donors differ much, and the first genes with the condition, half up."""
    rng = np.random.default_rng(11)
    names = donors.obs["donor_id"].unique()
    own = pd.DataFrame(rng.normal(0, donor_sd, (len(names), N_GENES)), names)
    log = rng.normal(4, 0.8, N_GENES) + own.loc[donors.obs["donor_id"]].to_numpy()
    log += rng.normal(0, 0.1, log.shape)
    sign = np.where(np.arange(N_CHANGED) % 2, 1, -1)
    log[:, :N_CHANGED] += (
        np.log(fold) * sign * (donors.obs["condition"] == "stim").to_numpy()[:, None]
    )
    return pd.DataFrame(rng.poisson(np.exp(log)), donors.obs_names, GENES)


def found(genes: pd.DataFrame) -> set[str]:
    return set(genes.loc[genes["q_value"] <= 0.05, "gene_id"])
