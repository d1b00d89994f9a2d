"""Samples whose cells are of the other sex than their donor is registered as, or than each other.

What counts as much or little is taken from the cohort itself: the registered women and men.
Where a cohort has too few of either, or the two do not differ, nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

FEMALE, MALE = "PATO:0000383", "PATO:0000384"
XIST = frozenset({"ENSG00000229807"})
Y_GENES = frozenset(
    (
        "ENSG00000129824",  # RPS4Y1
        "ENSG00000067048",  # DDX3Y
        "ENSG00000198692",  # EIF1AY
        "ENSG00000012817",  # KDM5D
        "ENSG00000183878",  # UTY
        "ENSG00000114374",  # USP9Y
        "ENSG00000067646",  # ZFY
        "ENSG00000131002",  # TXLNGY
    )
)
"""Genes of the Y chromosome that most tissues express."""
MIN_DONORS = 3
"""Donors registered as women, and as men, that a cohort must have."""
MIN_FOLD = 10.0
"""How many times as much the one sex must have of a gene, by the medians of its donors."""
MIN_EXPECTED = 10.0
"""Counts that a sample of the sex that has them should have, to miss them."""


@dataclass(frozen=True)
class SexConflict:
    """A donor with samples of the other sex than registered, or than their other samples.

    `n_conflicts` of the `n_samples` that tell; where no sex is registered the fewer of the two.
    """

    donor_id: str
    n_conflicts: int
    n_samples: int


def sex_conflicts(samples: pd.DataFrame) -> list[SexConflict]:
    """Return donors of one cohort whose samples tell another sex than is registered, or two.

    Parameters
    ----------
    samples
        One row a sample: `donor_id`, `sex` (PATO term), `total` counts, and counts `xist` and
        `y`, NaN where the cohort did not measure the genes.

    Returns
    -------
    list of SexConflict
        A hint at exchanged samples or a wrong entry, no proof: loss of Y, Klinefelter
        syndrome, chimerism after transplantation and gender look the same.
    """
    calls = np.zeros(len(samples))
    is_female = (samples["sex"] == FEMALE).to_numpy()
    is_male = (samples["sex"] == MALE).to_numpy()
    donors = samples["donor_id"].to_numpy(object)
    total = samples["total"].to_numpy(float)
    for name, have, lack, sign in (
        ("y", is_male, is_female, 1.0),
        ("xist", is_female, is_male, -1.0),
    ):
        calls += sign * _votes(samples[name].to_numpy(float), total, donors, have, lack)
    registered = np.where(is_male, 1.0, np.where(is_female, -1.0, 0.0))
    found = []
    for donor in np.unique(donors):
        own = np.sign(calls[(donors == donor) & (calls != 0)])
        said = registered[donors == donor][0]
        # Of a donor whose sex is not registered the samples are held against each other.
        n_conflicts = int((own != said).sum() if said else min((own > 0).sum(), (own < 0).sum()))
        if n_conflicts:
            found.append(SexConflict(str(donor), n_conflicts, own.size))
    return found


def _votes(
    counts: NDArray[np.float64],
    total: NDArray[np.float64],
    donors: NDArray[np.object_],
    have: NDArray[np.bool_],
    lack: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """1 where a sample has the gene as those who have it, -1 where it lacks it, 0 unclear."""
    votes = np.zeros(counts.size)
    if (
        np.isnan(counts).any()
        or min(np.unique(donors[have]).size, np.unique(donors[lack]).size) < MIN_DONORS
    ):
        return votes
    rate = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    much, little = float(np.median(rate[have])), float(np.median(rate[lack]))
    if much == 0 or much < MIN_FOLD * little:
        return votes
    expected = much * total
    # Half-way on the scale of logarithms, with one count for none.
    limit = np.sqrt(expected * np.maximum(little * total, 1.0))
    is_clear = expected >= MIN_EXPECTED
    votes[is_clear & (counts > 2 * limit)] = 1.0
    votes[is_clear & (counts < limit / 2)] = -1.0
    return votes
