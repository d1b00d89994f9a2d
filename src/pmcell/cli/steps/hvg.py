"""Accept cohorts and select highly variable genes from their exact statistics.

Example:
  pmcell hvg --cohort liu_b1 results/cohorts/liu_b1 --cohort liu_b2 results/cohorts/liu_b2 \\
    --out results/atlas/features.parquet --cohorts-out results/atlas/cohorts.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.cli._settings import step_settings
from pmcell.schema import UNKNOWN
from pmcell.settings.atlas import HvgSettings
from pmcell.spelling import plural

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from pmcell.pp.accept import AtlasSelection, Selection


def run(args: argparse.Namespace) -> int:
    """Write features.parquet and cohorts.json."""
    from dataclasses import asdict

    from pmcell.errors import DataError
    from pmcell.io.atomic import read_json, write_json
    from pmcell.io.counts.sums import read_moments
    from pmcell.io.tables import write_table
    from pmcell.pp.accept import select_by_tissue
    from pmcell.schema import GENES

    settings = step_settings(args, HvgSettings)
    verdicts: dict[str, dict[str, Any]] = {}
    symbols: dict[str, str] = {}
    cohorts = []
    for name, folder in sorted(args.cohort):
        status = read_json(Path(folder) / "status.json")
        verdicts[name] = {key: status[key] for key in ("status", "reason", "message")}
        if status["status"] == "quarantined":
            continue
        ids, names, found = read_moments(Path(folder) / "moments.npz")
        symbols.update(zip(ids.tolist(), names.tolist(), strict=True))
        cohorts.append((name, ids, found))
    if cohorts:
        selection = select_by_tissue(cohorts, **settings.model_dump(exclude={"min_cohorts"}))
        for name, why in selection.refused.items():
            verdicts[name] |= {"status": "quarantined", **asdict(why)}
        for name, why in selection.warned.items():
            if verdicts[name]["status"] == "ok":
                verdicts[name] |= {"status": "warned", **asdict(why)}
        for name, _, sums in cohorts:
            if name not in selection.refused:
                verdicts[name]["tissues"] = {tissue: selection.group_of[tissue] for tissue in sums}
    accepted = [name for name, item in verdicts.items() if item["status"] != "quarantined"]
    min_cohorts = max(settings.min_cohorts, 1)
    if len(accepted) < min_cohorts:
        reasons = "\n".join(
            f"  - {name}: {item['message']}"
            for name, item in verdicts.items()
            if item["status"] == "quarantined"
        )
        raise DataError(
            f"at least {min_cohorts} cohorts must be accepted; {len(accepted)} of "
            f"{len(verdicts)} were:\n{reasons}",
            reason="too_few_cohorts",
        )
    table = _gene_table(selection.by_tissue, symbols)
    write_table(args.out, table, GENES)
    write_json(args.cohorts_out, verdicts)
    for line in _tissue_lines(selection):
        print(line)
    print(
        f"{len(accepted)} of {len(verdicts)} cohorts accepted; "
        f"{int(table['is_highly_variable'].sum())} of {len(table)} genes selected -> {args.out}"
    )
    return 0


def _tissue_lines(selection: AtlasSelection) -> Iterator[str]:
    """What is said of each tissue: cohorts and genes, what the panels cost, tissues unknown."""
    from pmcell.pp.accept import lost_genes
    from pmcell.registry.terms.tissues import tissue_label

    for group, found in selection.by_tissue.items():
        label = tissue_label(group)
        cohorts = plural(len(found.cohorts), "cohort")
        yield f"{label}: {cohorts}, {int(found.chosen.sum())} genes selected"
        if found.n_lost:
            yield f"warning: {lost_genes(found, label)}"
    if UNKNOWN in selection.group_of:
        group = selection.group_of[UNKNOWN]
        place = "kept apart" if group == UNKNOWN else f"taken for {tissue_label(group)}"
        yield f"warning: samples of unknown tissue are {place}; name it in samples.tsv"
    if len(selection.by_tissue) > 1:
        yield (
            f"{len(selection.by_tissue)} tissues: each has its own genes, components, neighbours "
            "and clusters"
        )


def _gene_table(selections: Mapping[str, Selection], symbols: Mapping[str, str]) -> pd.DataFrame:
    """Table `schema.GENES` of all tissues together."""
    import numpy as np
    import pandas as pd

    genes = np.unique(np.concatenate([item.genes for item in selections.values()]))
    measured: dict[str, NDArray[np.bool_]] = {}
    n_detected = np.zeros(genes.size, np.int64)
    ranks = np.full(genes.size, np.nan)
    chosen_in = np.zeros((len(selections), genes.size), bool)
    for at, item in enumerate(selections.values()):
        where = np.searchsorted(genes, item.genes)
        n_detected[where] += item.detected
        ranks[where] = np.fmin(ranks[where], item.ranks)
        chosen_in[at, where] = item.chosen
        for name, own in zip(item.cohorts, item.measured, strict=True):
            measured[name] = np.zeros(genes.size, bool)
            measured[name][where] = own
    names, tissues = np.array(sorted(measured)), np.array(list(selections))
    measured_in = np.stack([measured[name] for name in names])
    return pd.DataFrame(
        {
            "gene_id": genes,
            "symbol": [symbols[gene] for gene in genes.tolist()],
            "measured_in": [names[column].tolist() for column in measured_in.T],
            "n_cells_detected": n_detected,
            "is_highly_variable": chosen_in.any(axis=0),
            "hvg_rank": ranks,
            "highly_variable_in": [tissues[column].tolist() for column in chosen_in.T],
        }
    )
