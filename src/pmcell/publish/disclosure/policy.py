"""Who may be shown in a release: the one place that decides, asked by all that is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pmcell.publish.atlas import Atlas
from pmcell.publish.disclosure.again import told_again
from pmcell.publish.disclosure.hidden import Hidden, hidden_donors
from pmcell.publish.disclosure.rules import Rules, rules_of
from pmcell.publish.facts import Facts

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Policy:
    """Decisions on a release; `atlas` is needed for tables that are counted again from cells."""

    facts: Facts
    atlas: Atlas | None = None

    @property
    def is_mixed(self) -> bool:
        """Whether an accepted cohort is withheld: its donors are in what all cohorts shaped."""
        return bool(self.facts.withheld)

    @property
    def has_closed(self) -> bool:
        """Whether any registered cohort, a quarantined one too, has no open access."""
        return bool(self._closed_prefixes)

    @property
    def has_strata(self) -> bool:
        """Whether stratum labels may be published."""
        return self.facts.has_strata

    @cached_property
    def rules(self) -> Rules:
        """The thresholds."""
        return rules_of(self.facts)

    @cached_property
    def hidden(self) -> Hidden:
        """Withheld donors and where they enter."""
        return hidden_donors(self.facts)

    @cached_property
    def told(self) -> dict[str, frozenset[str]]:
        """What may not be told again of a cohort beside earlier releases, see `again.py`."""
        return told_again(self.facts, self.hidden)

    @property
    def few_took_part(self) -> bool:
        """Whether a few withheld donors, and not enough, are among those placed on strata."""
        return self.hidden.is_few(len(self.hidden.placed))

    @cached_property
    def open_cohorts(self) -> frozenset[str]:
        """Cohorts with open access, whether or not they were accepted."""
        return frozenset(cohort.cohort_id for cohort in self.facts.cohorts if cohort.is_open)

    @cached_property
    def published_cohorts(self) -> frozenset[str]:
        """Cohorts whose donors and cells are in the release."""
        return frozenset(cohort.cohort_id for cohort in self.facts.published)

    def names_closed(self, text: str) -> bool:
        """Whether a text is an id of a cohort without open access."""
        return text.startswith(self._closed_prefixes)

    def is_shown(self, global_id: str) -> bool:
        """Whether a donor, sample or cell is of a published cohort; no unknown id is."""
        return global_id.startswith(self._published_prefixes)

    def shown(self, ids: Sequence[object]) -> np.ndarray:
        """Which of the ids are of published cohorts."""
        import pandas as pd

        codes, values = pd.factorize(np.asarray(ids, object))
        is_shown = np.array([*(self.is_shown(str(value)) for value in values), False], bool)
        # A missing id has code -1, the last: nobody is shown for want of an id.
        return np.asarray(is_shown[codes], bool)

    def shown_rows(self, frame: pd.DataFrame, ids: Sequence[str]) -> np.ndarray:
        """Which rows name published donors, samples or cells only, in the columns `ids`."""
        rows = np.ones(len(frame), bool)
        for name in ids:
            rows &= self.shown(frame[name].to_numpy(object))
        return rows

    @cached_property
    def _closed_prefixes(self) -> tuple[str, ...]:
        return tuple(cohort.prefix for cohort in self.facts.cohorts if not cohort.is_open)

    @cached_property
    def _published_prefixes(self) -> tuple[str, ...]:
        return tuple(cohort.prefix for cohort in self.facts.published)
