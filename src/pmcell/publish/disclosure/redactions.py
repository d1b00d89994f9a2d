"""What single tables need besides their class: rules by name, called by `redact`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pmcell.core.donors.association import benjamini_hochberg
from pmcell.io.tables import read_table
from pmcell.publish.disclosure import recount
from pmcell.publish.disclosure.counted import ALL, TOTALS, USED
from pmcell.publish.disclosure.hidden import TOO_FEW_CELLS
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.disclosure.rules import totals_of_few

if TYPE_CHECKING:
    import pandas as pd

Rule = Callable[["pd.DataFrame", Policy], "pd.DataFrame"]

WITHHELD = "withheld"
"""Stands for a donor, or a text about donors, that is not shown."""

TO_STEWARD = "Shown to the cohort's steward only."


def cohorts(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Counts of cohorts that are too small to be counted are null; messages may quote an id.

    So are cells of which one or two donors have most, or that were told of other people before,
    and samples where few donors have several of them.
    """
    closed = ~frame["cohort_id"].isin(policy.open_cohorts)
    few = closed & (frame["n_donors"] < frame["cohort_id"].map(policy.rules.of))
    counts = (
        "n_cells_submitted",
        "n_cells_left_out",
        "n_cells",
        "n_donors",
        "n_samples",
        "share_umis_lost",
    )
    shown = {name: frame[name].astype(object).mask(few, None) for name in counts}
    tells = _totals_that_tell(policy)
    hidden = {
        name: frame["cohort_id"].map(lambda own, name=name: name in tells.get(own, ()))
        for name in counts
    }
    shown |= {name: shown[name].mask(is_told, None) for name, is_told in hidden.items()}
    # Whose cells were left out at registration nobody knows: they may be one person's.
    some = closed & (frame["n_cells_left_out"].fillna(0) > 0)
    shown["n_cells_left_out"] = shown["n_cells_left_out"].mask(some, None)
    return frame.assign(
        **shown,
        message=frame["message"].mask(closed & (frame["message"] != ""), TO_STEWARD),
        left_out=frame["left_out"].mask(closed, ""),
        # How many left, and why, is told of open cohorts only.
        consent=frame["consent"].mask(closed, frame["consent"].str.split(";").str[0]),
    )


def _totals_that_tell(policy: Policy) -> dict[str, set[str]]:
    """Columns of withheld cohorts whose numbers of cells and samples tell of single donors."""
    found = {}
    for cohort in policy.facts.withheld:
        samples = cohort.sample_counts
        n_samples = samples.query("n_cells > 0").groupby("donor_id", observed=True).size()
        n_several = int((n_samples > 1).sum())
        is_changed = TOTALS in policy.told.get(cohort.cohort_id, ())
        tells = totals_of_few(samples, policy.rules)
        if is_changed or "n_cells" in tells:
            tells |= {"n_cells_submitted", "n_cells_left_out", "n_cells", "share_umis_lost"}
        if is_changed or 0 < n_several < policy.rules.of(cohort.cohort_id):
            tells.add("n_samples")
        found[cohort.cohort_id] = tells
    return found


def cohort_counts(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """No group below its cohort's threshold, whatever the suppression before left."""
    least = frame["cohort_id"].map(policy.rules.of)
    return frame[~(frame["n_donors"] < least).fillna(False).astype(bool)]


def gaps(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """What is known of a cohort as a whole, and of donors, samples and cells of published ones."""
    published = frame["cohort_id"].isin(policy.published_cohorts)
    return frame[published | (frame["table"] == "cohorts")]


def donor_groups(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Counted over published cohorts, where it is made: nothing more to take out."""
    return frame


def runtime(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """No job of a cohort without open access: time and memory follow from its cells.

    Where there is one, jobs across cohorts keep their time, but not the bytes they moved.
    """
    across = frame["cohort_id"].isna()
    shown = frame[across | frame["cohort_id"].isin(policy.open_cohorts)]
    if not policy.has_closed:
        return shown
    moved = ("disk_read_mb", "disk_written_mb")
    return shown.assign(**{name: shown[name].mask(across, None) for name in moved})


def strata(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Donors counted over published cohorts; no withheld medoid, nor what a few donors are like."""
    if not policy.is_mixed or frame.empty:
        return frame
    placed = _assignments(policy, ["donor_id", "stratum"]).dropna(subset=["stratum"])
    placed = placed[policy.shown_rows(placed, ("donor_id",))]
    donors = placed.groupby("stratum", observed=True)["donor_id"].nunique()
    hidden = policy.hidden
    few = [hidden.is_few(len(hidden.strata.get(str(name), ()))) for name in frame["stratum"]]
    shown = policy.shown_rows(frame, ("medoid_donor_id",))
    frame = frame.assign(
        n_donors=donors.reindex(frame["stratum"], fill_value=0).to_numpy("int64"),
        medoid_donor_id=frame["medoid_donor_id"].where(shown, WITHHELD),
        description=frame["description"].mask(few, WITHHELD),
        stability=frame["stability"].round(2).mask(few),
    )
    return frame[frame["n_donors"] > 0]


def assignments(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """No status that tells how a donor lies to strata that are withheld."""
    if policy.has_strata:
        return frame
    few = frame["status"] == TOO_FEW_CELLS
    return frame.assign(status=frame["status"].where(few, WITHHELD))


def movement(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """q over the rows that are shown: from p and q over all it would follow how many are not."""
    if not policy.is_mixed:
        return frame
    tested = frame["p_value"].notna()
    frame = frame.copy()
    frame.loc[tested, "q_value"] = benjamini_hochberg(frame.loc[tested, "p_value"].to_numpy())
    return frame


def associations(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Tests whose number of donors does not tell of a few withheld ones, in them or left out."""
    if not policy.is_mixed or frame.empty:
        return frame
    if _few_used_or_left_out(policy):
        return frame.iloc[:0]
    hidden, told = policy.hidden, policy.told.get(ALL, frozenset())
    n_used, n_all = len(hidden.used), frame["n_donors"].max()
    shown = []
    columns = (frame["outcome"], frame["covariate"], frame["n_donors"])
    for outcome, covariate, n_donors in zip(*columns, strict=True):
        # How many withheld donors have several visits that differ is not known to be large.
        is_within = outcome == "map_within_donors"
        known = None if is_within else hidden.known(str(covariate))
        if (USED if known is None else covariate) in told:
            # Of those who were tested before some are not now, or the other way round.
            shown.append(False)
        elif known is None:
            shown.append(n_donors == n_all)
        else:
            n_known = len(known)
            shown.append(not (hidden.is_few(n_known) or hidden.is_few(n_used - n_known)))
    return frame[shown]


def outcomes(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Comparisons of clinical outcomes; with withheld donors only those that all donors are in.

    Who has a value is known to the study alone: a comparison that leaves some
    donors out could tell that of a few.
    """
    if not policy.is_mixed or frame.empty:
        return frame
    if _few_used_or_left_out(policy) or USED in policy.told.get(ALL, ()):
        return frame.iloc[:0]
    placed = _assignments(policy, ["donor_id", "status"])
    used = placed[placed["status"] != TOO_FEW_CELLS]
    kept = frame[frame["n_donors"] == used["donor_id"].nunique()]
    # Numbers of visits and events of withheld donors are not known to be large.
    notes = kept["note"].map(_without_numbers)
    return kept.assign(n_visits=None, n_events=None, refused="", note=notes)


def contrasts(frame: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """What groups of donors differ in; no rows where donors of any cohort are withheld.

    Effects in thousands of genes tell whether a person was among the donors, at
    any number of donors that a cohort has, so no threshold on donors would do. Rows that
    name strata need published strata; that strata were not compared, and why, names none.
    """
    if policy.is_mixed:
        return frame.iloc[:0]
    if policy.has_strata:
        return frame
    return frame[(frame["contrast"] != "stratum") | (frame["level"] == "all")]


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        assignments,
        associations,
        recount.clusters,
        cohort_counts,
        cohorts,
        contrasts,
        donor_groups,
        gaps,
        recount.genes,
        recount.markers,
        movement,
        outcomes,
        runtime,
        strata,
    )
}
"""Every rule by the name by which a table of the schema asks for it."""

OF_ROWS = (contrasts.__name__,)
"""Rules that leave out rows by what stands in them alone, and change nothing of the others."""


def _few_used_or_left_out(policy: Policy) -> bool:
    hidden = policy.hidden
    n_used = len(hidden.used)
    return any(hidden.is_few(number) for number in (n_used, len(hidden.donors) - n_used))


def _assignments(policy: Policy, columns: list[str]) -> pd.DataFrame:
    """The strata step's own assignments, of all donors."""
    return read_table(policy.facts.results / "strata" / "assignments.parquet", columns)


def _without_numbers(note: str) -> str:
    """The parts of a note that count nobody."""
    return "; ".join(part for part in note.split("; ") if not any(c.isdigit() for c in part))
