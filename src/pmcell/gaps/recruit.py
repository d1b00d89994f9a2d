"""Whom to recruit next: groups by how many people stay unseen, and what it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell.gaps.groups import COMPARED, DIMENSIONS
from pmcell.gaps.power import ALPHA, POWERED, Effect, donors_needed, power
from pmcell.gaps.prevalence import Prevalence

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "rank",
    "unseen",
    "n_people",
    "share_of_people",
    "n_donors",
    "share_of_donors",
    "representation",
    "n_other_donors",
    "power",
    "n_to_recruit",
)


def recruit_next(
    samples: pd.DataFrame,
    *,
    prevalence: Prevalence | None = None,
    effect: Effect | None = None,
    alpha: float = ALPHA,
    powered: float = POWERED,
) -> pd.DataFrame:
    """Rank the groups of people by the share of all people for whom an effect would be missed.

    Parameters
    ----------
    samples
        What `pmcell.gaps.groups.described_samples` returns.
    prevalence
        People in each group; groups without any donor are then ranked too. Without it each
        group that has donors counts alike.
    effect, alpha, powered
        The effect, and the power that is wanted for it.

    Returns
    -------
    pandas.DataFrame
        One row a group: the columns that it is grouped by, then `COLUMNS`. `unseen` is
        `share_of_people` × (1 − `power`), by which rows are ranked; `representation` is
        `share_of_donors` / `share_of_people` (1: as in the population);
        `n_to_recruit` the donors that are lacking for the wanted power, null where no
        number is enough, because those to compare with are too few.
    """
    import pandas as pd

    by = prevalence.by if prevalence else DIMENSIONS
    own = {
        key if isinstance(key, tuple) else (key,): frame
        for key, frame in samples.groupby(list(by), sort=True)
    }
    people = dict(prevalence.groups) if prevalence else dict.fromkeys(own, 1.0)
    total = sum(people.values())
    inside = [frame["donor_id"] for key, frame in own.items() if key in people]
    n_counted = pd.concat(inside).nunique() if inside else 0
    compared = [name for name in COMPARED if name in by]
    rows = []
    for key, n_people in people.items():
        place = dict(zip(by, key, strict=True))
        around = samples
        for name in compared:
            around = around[around[name] == place[name]]
        n_donors = own[key]["donor_id"].nunique() if key in own else 0
        n_others = around["donor_id"].nunique() - n_donors
        needed = (
            donors_needed(n_others, effect, alpha=alpha, powered=powered) if n_others > 1 else None
        )
        found = power(n_donors, n_others, effect, alpha=alpha)
        share, of_donors = n_people / total, n_donors / n_counted if n_counted else 0.0
        rows.append(
            {
                **place,
                "unseen": share * (1 - found),
                "n_people": n_people if prevalence else None,
                "share_of_people": share if prevalence else None,
                "n_donors": n_donors,
                "share_of_donors": of_donors,
                "representation": of_donors / share if prevalence and share else None,
                "n_other_donors": n_others,
                "power": found,
                "n_to_recruit": None if needed is None else max(0, needed - n_donors),
            }
        )
    frame = pd.DataFrame(rows, columns=[*by, *(name for name in COLUMNS if name != "rank")])
    frame["n_to_recruit"] = frame["n_to_recruit"].astype("Int64")
    frame = frame.sort_values(
        ["unseen", "n_to_recruit", *by], ascending=[False, True, *[True] * len(by)], kind="stable"
    ).reset_index(drop=True)
    frame.insert(len(by), "rank", range(1, len(frame) + 1))
    return frame
