"""Does the study itself keep conditions apart from batches, regions and assays?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmcell.schema.text import as_text
from pmcell.strata.statistics.covariates import Variable, read

if TYPE_CHECKING:
    import pandas as pd

DESIGN = "design"
"""Family of the rows that compare covariates with one another."""
CONDITIONS = ("condition", "disease_ontology_term_id")
FACTORS = ("batch_id", "cohort_id", "region", "assay_ontology_term_id")


def pairs(obs: pd.DataFrame) -> list[tuple[Variable, Variable]]:
    """Each condition with each technical factor, where both can be tested."""
    found = {name: read(obs[name], name) for name in (*CONDITIONS, *FACTORS) if name in obs}
    usable = {name: item for name, item in found.items() if not isinstance(item, str)}
    return [
        (usable[first], usable[second])
        for first in CONDITIONS
        for second in FACTORS
        if first in usable and second in usable
    ]


def is_fixed(covariate: Variable, block: NDArray[np.int64]) -> bool:
    """Whether the covariate has one value in every block, and several blocks are there."""
    blocks, values = block[covariate.known], covariate.values[covariate.known]
    names = np.unique(blocks)
    return names.size > 1 and all(np.ptp(values[blocks == name]) == 0 for name in names)


def notes(obs: pd.DataFrame) -> list[str]:
    """Sentences on conditions that the design does not keep apart from the batch."""
    if "batch_id" not in obs:
        return []
    batch = np.unique(as_text(obs["batch_id"]).to_numpy(), return_inverse=True)[1]
    return [
        f"Every batch holds one {name.removesuffix('_ontology_term_id')}: what it does cannot be "
        "told apart from the batch."
        for name in CONDITIONS
        if name in obs
        and not isinstance(variable := read(obs[name], name), str)
        and is_fixed(variable, np.asarray(batch, np.int64))
    ]
