"""The tables that a registration alone can fill: donors, visits, samples, and the gene ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell import schema
from pmcell.io.tables import write_table
from pmcell.registry.cohorts.measurements import Measurement
from pmcell.registry.intake.cells import Scope

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.registry.terms.genes import GeneMapping

_AFTER_QC = ("n_cells", "n_samples", "n_visits")


def _known_at_intake(table: schema.Table) -> schema.Table:
    """The table without the counts that only QC can give."""
    return replace(table, fields=tuple(item for item in table.fields if item.name not in _AFTER_QC))


DONORS = _known_at_intake(schema.DONORS)
VISITS = _known_at_intake(schema.VISITS)
SAMPLES = _known_at_intake(schema.SAMPLES)


def write_empty_tables(paths: Mapping[str, Path]) -> None:
    """Write every table of intake with no rows."""
    import pandas as pd

    for name, table in (
        ("donors", DONORS),
        ("visits", VISITS),
        ("samples", SAMPLES),
        ("measurements", schema.MEASUREMENTS),
        ("gene_ledger", schema.GENE_LEDGER),
    ):
        columns = table.columns
        write_table(paths[name], pd.DataFrame(columns=columns, dtype=object), table)


def write_registration_tables(
    paths: Mapping[str, Path],
    samples: pd.DataFrame,
    donors: pd.DataFrame,
    n_cells: Mapping[str, int],
    scope: Scope,
) -> None:
    """Write donors, visits and samples; `n_cells` are the submitted cells of each sample."""
    donors = donors.assign(
        donor_id=[scope("donor", name) for name in donors.index], cohort_id=scope.cohort_id
    ).reset_index(drop=True)
    write_table(paths["donors"], donors[DONORS.columns], DONORS)
    samples = samples.assign(
        n_cells_submitted=[int(n_cells.get(name, 0)) for name in samples.index],
        sample_id=[
            scope("sample", name, donor)
            for name, donor in zip(samples.index, samples["donor_id"], strict=True)
        ],
        donor_id=[scope("donor", name) for name in samples["donor_id"]],
        cohort_id=scope.cohort_id,
    ).reset_index(drop=True)
    write_table(paths["samples"], samples[SAMPLES.columns], SAMPLES)
    visits = samples.drop_duplicates(["donor_id", "visit"])
    write_table(paths["visits"], visits[VISITS.columns], VISITS)


def write_measurements(path: Path, measurements: Sequence[Measurement], scope: Scope) -> None:
    """Write the clinical values, with donors by their global ids."""
    import pandas as pd

    table = schema.MEASUREMENTS
    columns = table.columns
    frame = pd.DataFrame([asdict(item) for item in measurements])
    if frame.empty:
        write_table(path, pd.DataFrame(columns=columns, dtype=object), table)
        return
    frame["donor_id"] = [scope("donor", name) for name in frame["donor_id"]]
    frame["cohort_id"] = scope.cohort_id
    frame["visit"] = frame["visit"].replace({schema.UNKNOWN: None})
    frame["day"] = frame["day"].astype("float64")
    frame = frame.sort_values(
        ["donor_id", "loinc", "day", "visit", "source", "value"], kind="stable", na_position="last"
    )
    frame["number"] = frame.groupby(["donor_id", "loinc"]).cumcount() + 1
    write_table(path, frame[columns].reset_index(drop=True), table)


def write_gene_ledger(
    path: Path, cohort_id: str, mapping: GeneMapping, rows: np.ndarray, umis: np.ndarray
) -> None:
    """Write what became of each submitted gene; `rows` are positions in the submitted file."""
    import pandas as pd

    ledger = pd.DataFrame(
        {
            "cohort_id": cohort_id,
            "row": np.asarray(rows, dtype=np.int64),
            "source_gene": mapping.source,
            "gene_id": mapping.gene_id,
            "symbol": mapping.symbol,
            "fate": mapping.fate,
            "why": mapping.why,
            "umis": umis,
        }
    )
    write_table(path, ledger, schema.GENE_LEDGER)
