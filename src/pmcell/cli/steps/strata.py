"""Find strata of donors, test whether they exist, and say what they go with.

Labels are published only if the null model, without strata, is rejected and the labels
do not follow the batch; otherwise the axes are, with the reason. Research use only.

Clinical outcomes come from a table of the study (`strata.clinical` in the configuration, or
--clinical): donor_id and, for repeated values, visit, with the ids of results/cohorts/. No value
of it is written, only comparisons of strata.

Example:
  pmcell strata --profiles results/strata/profiles.h5ad --out-dir results/strata
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pmcell.cli._settings import step_settings
from pmcell.settings.donors import StrataSettings
from pmcell.spelling import plural

if TYPE_CHECKING:
    from pmcell.schema import Verdict

MIN_DONORS_OF_THREADS = 100
"""With fewer, a draw is over before another thread has begun: 43 donors took as long on two."""


def run(args: argparse.Namespace) -> int:
    """Write strata.json, eight tables, and donors.h5ad: the profiles with distances and strata."""
    import numba

    from pmcell import schema, strata
    from pmcell.cli._job.clinical import Plan
    from pmcell.io.h5ad import read_h5ad, write_h5ad
    from pmcell.io.system import keep_freed_memory
    from pmcell.io.tables import write_table
    from pmcell.io.verdict import write_verdict
    from pmcell.strata.association.clinical import clinical_visits

    keep_freed_memory()
    settings = step_settings(args, StrataSettings)
    plan = Plan.read(settings, args.clinical_table)
    donors = read_h5ad(args.profiles)
    if donors.n_obs < MIN_DONORS_OF_THREADS:
        numba.set_num_threads(1)
    visits = clinical_visits(donors, plan.table)
    plan.check(visits)
    associations = _analyse(donors, visits, plan, settings)
    outcomes, curves = _outcomes(donors, visits, plan)
    folder = args.out_dir
    write_h5ad(folder / "donors.h5ad", donors)
    write_table(folder / "strata.parquet", strata.strata_table(donors), schema.STRATA)
    write_table(folder / "assignments.parquet", strata.assignments(donors), schema.ASSIGNMENTS)
    write_table(folder / "associations.parquet", associations, schema.ASSOCIATIONS)
    write_table(folder / "drivers.parquet", strata.drivers(donors), schema.DRIVERS)
    shifts = strata.composition_shifts(donors)
    write_table(folder / "composition_shifts.parquet", shifts, schema.COMPOSITION_SHIFTS)
    steps = strata.movement(donors, seed=settings.seed)
    write_table(folder / "movement.parquet", steps, schema.MOVEMENT)
    write_table(folder / "outcomes.parquet", outcomes, schema.OUTCOMES)
    write_table(folder / "survival.parquet", curves, schema.SURVIVAL)
    options = settings.model_dump(mode="json", exclude={"seed"})
    verdict = _with_options(strata.verdict(donors), options)
    write_verdict(folder / "strata.json", verdict)
    print(_sentence(verdict) + f" -> {folder}")
    return 0


def _analyse(donors: Any, visits: Any, plan: Any, settings: StrataSettings) -> Any:
    from pmcell import strata
    from pmcell.strata.association.clinical import at_discovery

    seed = settings.seed

    def some(*names: str) -> dict[str, Any]:
        return settings.model_dump(include=set(names))

    strata.distances(donors, **some("channels", "max_batch_share", "min_reliability"))
    strata.cluster(donors, **some("n_bootstraps", "donor_share"), seed=seed)
    strata.existence(donors, **some("n_null", "alpha", "max_confounding"), seed=seed)
    strata.place(donors, **some("coverage", "n_folds"), seed=seed)
    strata.generalise(donors, by=settings.leave_out)
    if plan.adjust_for:
        known = at_discovery(donors, visits, plan.measured)
        people = donors.obs.drop(columns=known.columns, errors="ignore").join(known)
        strata.adjusted_strata(donors, adjust_for=plan.adjust_for, people=people)
    measured = at_discovery(donors, visits, plan.tested)
    return strata.associate(donors, measured=measured, **some("n_permutations"), seed=seed)


def _outcomes(donors: Any, visits: Any, plan: Any) -> tuple[Any, Any]:
    """The comparisons of clinical outcomes that were declared, and survival curves."""
    from pmcell import strata
    from pmcell.strata.association.clinical import clinical_people
    from pmcell.strata.association.outcomes import as_frame
    from pmcell.strata.association.survival import no_curves

    tables, curves = [], no_curves()
    if plan.outcomes:
        tables.append(
            strata.mixed_models(
                donors, visits=visits, outcomes=plan.outcomes, covariates=plan.covariates
            )
        )
    if plan.time:
        people = clinical_people(visits, (plan.time, plan.event))
        table, curves = strata.survival(
            donors, people=people, time=plan.time, event=plan.event, covariates=plan.covariates
        )
        tables.append(table)
    # Rows again, so that q values are over all that was tested.
    rows = [row for table in tables for row in table.to_dict("records")]
    return as_frame(rows), curves


def _with_options(verdict: Verdict, options: dict[str, Any]) -> Verdict:
    from dataclasses import replace

    from pmcell.schema.verdict import Parameters

    parameters = replace(verdict.parameters or Parameters(), strata=options)
    return replace(verdict, parameters=parameters)


def _sentence(verdict: Verdict) -> str:
    p = verdict.existence.p if verdict.existence else None
    test = "" if p is None else f", p = {p:.3g}"
    first = "".join(f"{sentence} " for sentence in verdict.limitations or ())
    used = plural(verdict.n_donors or 0, "donor")
    if verdict.n_donors_used != verdict.n_donors:
        used = f"{verdict.n_donors_used} of {used}"
    if verdict.has_strata:
        return f"{first}{plural(len(verdict.stability or ()), 'stratum', 'strata')} of {used}{test}"
    return f"{first}No strata published ({verdict.decision}{test}) of {used}: {verdict.why}"
