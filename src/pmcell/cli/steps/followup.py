"""Follow donors over their visits: change against noise, direction, steps, declared contrasts.

Each change between visits is held against the noise of repeats (reference change value) and
told toward or away from the reference group; steps between strata have an interval over donors;
what the cohorts' programmes declare is tested, with power and sample size. Research use only.

Example:
  pmcell followup --donors results/strata/donors.h5ad --cohort a results/cohorts/a \\
    --cell-types results/atlas/cell_types.parquet --out-dir results/strata \\
    --programmes config/programmes/type2_diabetes.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._job.atlas import cohort_sums
from pmcell.cli._settings import step_settings
from pmcell.settings.donors import FollowupSettings

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.settings.programme import Programme


def run(args: argparse.Namespace) -> int:
    """Write followup.parquet, stratum_steps.parquet and followup_effects.parquet."""
    from pmcell import schema, strata
    from pmcell.io.h5ad import read_h5ad
    from pmcell.io.tables import read_table, write_table
    from pmcell.strata.followup.changes import Followed, followed_values
    from pmcell.strata.followup.programme import programme_effects
    from pmcell.strata.followup.sums import sample_counts, signature_values
    from pmcell.tl.cell_types import type_of_cells

    settings = step_settings(args, FollowupSettings)
    donors = read_h5ad(args.donors)
    aggregates, visits = cohort_sums(args.cohort)
    types = type_of_cells(read_table(args.cell_types))
    programmes, cohorts = _programmes(args.programmes), _cohorts(args.cohort)
    used = [programmes[name] for name in sorted(set(cohorts.values())) if name in programmes]
    followed = Followed(
        measurements=_measurements(args.cohort),
        sample_counts=sample_counts(aggregates, visits, types),
        variables={name: item for own in used for name, item in own.variables.items()},
        signatures=signature_values(
            donors,
            {name: item for own in used for name, item in own.signatures.items()},
            aggregates=aggregates,
            visits=visits,
            cell_types=types,
        ),
    )
    changes = strata.followup(
        donors,
        followed=followed,
        reference=(settings.reference_column, settings.reference),
        window=settings.window,
        n_draws=settings.n_draws,
        seed=settings.seed,
    )
    steps = strata.stratum_steps(donors, n_bootstraps=settings.n_bootstraps, seed=settings.seed)
    effects = programme_effects(
        donors,
        followed_values(donors, followed, window=settings.window),
        programmes=programmes,
        cohorts=cohorts,
        people=_people(args.clinical_table),
    )
    for table, frame in (
        (schema.FOLLOWUP, changes),
        (schema.STRATUM_STEPS, steps),
        (schema.FOLLOWUP_EFFECTS, effects),
    ):
        write_table(args.out_dir / f"{table.name}.parquet", frame, table)
    for line in _sentences(changes, effects):
        print(line)
    return 0


def _programmes(paths: list[Path]) -> dict[str, Programme]:
    from pmcell.registry.cohorts.programmes import load_programme

    found = [load_programme(path) for path in paths]
    for at, one in enumerate(found):
        for other in found[:at]:
            _require_same(one, other)
    return {programme.id: programme for programme in found}


def _require_same(one: Programme, other: Programme) -> None:
    """Raise `UsageError` where two programmes mean different things by one name."""
    from pmcell.errors import UsageError

    for name in sorted(set(one.variables) & set(other.variables)):
        first, second = one.variables[name], other.variables[name]
        same = (first.unit, first.scale) == (second.unit, second.scale)
        if not same:
            raise UsageError(
                f"variables of one name must have one unit and scale in all programmes of a study; "
                f"{name!r} has {first.unit} ({first.scale}) in {one.id} and {second.unit} "
                f"({second.scale}) in {other.id}. Rename it in one of them."
            )
    for name in sorted(set(one.signatures) & set(other.signatures)):
        if one.signatures[name] != other.signatures[name]:
            raise UsageError(
                f"signatures of one name must be the same in all programmes of a study; {name!r} "
                f"differs between {one.id} and {other.id}. Rename it in one of them."
            )


def _cohorts(named: list[list[str]]) -> dict[str, str]:
    """The programme that each cohort names; 'none' where it is not known."""
    from pmcell.io.atomic import read_json
    from pmcell.schema import NO_PROGRAMME

    found = {}
    for name, folder in named:
        registered = read_json(Path(folder) / "intake.json").get("registration", {})
        found[name] = str(registered.get("programme", "")) or NO_PROGRAMME
    return found


def _measurements(named: list[list[str]]) -> pd.DataFrame:
    from pmcell.io.tables import join_tables, read_table
    from pmcell.schema import MEASUREMENTS

    paths = [Path(folder) / "measurements.parquet" for _, folder in sorted(named)]
    return join_tables((read_table(path) for path in paths), MEASUREMENTS)


def _people(path: Path | None) -> pd.DataFrame | None:
    """One row a donor of the study's clinical table: columns with one value for each donor."""
    from pmcell.cli._job.clinical import read_clinical

    if path is None:
        return None
    table = read_clinical(path)
    steady = table.groupby("donor_id").nunique().le(1).all()
    kept = ["donor_id", *(name for name in table if name in steady.index[steady])]
    return table[kept].groupby("donor_id", as_index=False).first()


def _sentences(changes: pd.DataFrame, effects: pd.DataFrame) -> list[str]:
    out: list[Any] = []
    for kind, own in changes.groupby("kind", sort=True):
        told = own["verdict"].value_counts()
        parts = ", ".join(f"{n} {verdict}" for verdict, n in told.items())
        out.append(f"{kind}: {len(own)} changes of {own['donor_id'].nunique()} donors: {parts}")
    if changes.empty:
        out.append("no donor has two visits")
    refused = int((effects["refused"] != "").sum())
    if len(effects):
        out.append(f"{len(effects)} comparisons, {refused} of them refused with the reason")
    return out
