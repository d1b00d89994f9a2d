"""The thresholds of the gate, and where they come from.

`min_donors`: 10 donors (not cells), as ACRO's default; DataSHIELD has 3, OMOP
networks 5, PCORnet 11. Dominance: the two largest donors hold at most 85 % of
a sum (n-k rule (2, 0.85), as sdcLog), and what the others add is at least 10 %
of the largest (p % rule). A cohort's steward may ask for more donors, never
for fewer: `disclosure.min_donors` in cohort.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pmcell.publish.facts import Cohort, Facts

if TYPE_CHECKING:
    import pandas as pd

MAX_SHARE_OF_TWO = 0.85
P_PERCENT = 10


@dataclass(frozen=True)
class Rules:
    """Thresholds: of the release, and of single cohorts where they ask for more."""

    min_donors: int
    of_cohort: dict[str, int]
    max_share_of_two: float = MAX_SHARE_OF_TWO
    p_percent: float = P_PERCENT

    def of(self, cohort_id: str) -> int:
        """The least number of donors in a shown group of a cohort."""
        return self.of_cohort.get(cohort_id, self.min_donors)

    @property
    def strictest(self) -> int:
        """The threshold of groups that donors of any withheld cohort enter."""
        return max([self.min_donors, *self.of_cohort.values()])

    def as_facts(self) -> dict[str, Any]:
        """What the report says of the thresholds."""
        return {
            "min_donors": self.min_donors,
            "min_donors_of_cohort": self.of_cohort,
            "max_share_of_two_donors": self.max_share_of_two,
            "p_percent": self.p_percent,
        }


def rules_of(facts: Facts) -> Rules:
    """The rules of a release."""
    asked = {
        cohort.cohort_id: max(min_donors_of(cohort), facts.options.min_donors)
        for cohort in facts.withheld
        if min_donors_of(cohort) > facts.options.min_donors
    }
    return Rules(facts.options.min_donors, asked)


def min_donors_of(cohort: Cohort) -> int:
    """What the steward asked for in cohort.yaml; 0 for nothing."""
    text = cohort.text("disclosure", "min_donors")
    return int(text) if text.isdigit() else 0


def totals_of_few(samples: pd.DataFrame, rules: Rules) -> set[str]:
    """Which totals of a cohort's cells tell of one or two donors: they have most of them.

    Cells that were submitted are not told either where few donors have most of those that failed
    QC: what was submitted less what passed is their number.

    Parameters
    ----------
    samples
        `donor_id`, `n_cells_submitted` and `n_cells` of each sample.
    rules
        The thresholds.
    """
    counted = samples.groupby("donor_id", observed=True)[["n_cells_submitted", "n_cells"]].sum()
    failed = counted["n_cells_submitted"] - counted["n_cells"]
    found = {
        name
        for name in ("n_cells_submitted", "n_cells")
        if is_dominated(counted.loc[counted[name] > 0, name].to_numpy(), rules)
    }
    if failed.any() and is_dominated(failed[failed > 0].to_numpy(), rules):
        found.add("n_cells_submitted")
    return found


def is_dominated(contributions: np.ndarray, rules: Rules) -> bool:
    """Whether one or two donors make up too much of a sum.

    >>> rules = Rules(10, {})
    >>> bool(is_dominated(np.array([90, 2, 2, 2, 2, 2]), rules))
    True
    >>> bool(is_dominated(np.full(12, 5), rules))
    False
    """
    largest = np.sort(np.asarray(contributions, float))[::-1]
    total = largest.sum()
    if total <= 0 or largest.size < 3:
        return True
    rest = total - largest[:2].sum()
    return bool(
        largest[:2].sum() > rules.max_share_of_two * total
        or rest < rules.p_percent / 100 * largest[0]
    )
