"""A person's own package: all that a study holds of them, and nothing of anybody else.

It is made in a private folder, scanned for other people, encrypted to the person's key and
signed. FHIR here is the least that another system can take in: the patient under the results'
id, the composition of their samples as observations, and their consent; the dossier of
`pmcell patient` says more.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.citizen.others import (
    other_ids,
    require_alone,
    require_one_person,
    require_own_cells,
)
from pmcell.citizen.page import page
from pmcell.citizen.person import Person, find_person
from pmcell.citizen.receipts import Receipts, receipts_of
from pmcell.errors import UsageError
from pmcell.io.atomic import write_json, write_text
from pmcell.io.coded_tables import plain_frame
from pmcell.io.crypt.keys import read_recipient, read_signing_key
from pmcell.io.h5ad import write_h5ad
from pmcell.io.modes import private_files
from pmcell.io.outputs import is_package
from pmcell.io.scratch import scratch_folder
from pmcell.io.tables import read_table, write_table
from pmcell.publish.atlas import Atlas, load_atlas
from pmcell.publish.content.sources import rows_of
from pmcell.publish.facts import Facts, load_facts
from pmcell.publish.folder import whole_folder
from pmcell.publish.sealed.controlled import only
from pmcell.publish.sealed.sealed import Sealer
from pmcell.schema import TABLES, Table
from pmcell.schema.disclosure import INDIVIDUAL
from pmcell.step import files_of
from pmcell.steps import STEPS
from pmcell.version import __version__

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

RECIPIENT = "person"


def export_person(
    results: Path | str,
    donor: str,
    target: Path | str,
    *,
    recipient: Path,
    consent: Mapping[str, Any] | None = None,
    is_surely_theirs: bool = False,
    progress: Callable[[str], None] = lambda part: None,
) -> list[str]:
    """Write the sealed package of one person to the folder `target`; return its files.

    Parameters
    ----------
    results
        The study's results.
    donor
        '<cohort>:<id>', see `find_person`.
    target
        Folder of the package; it is written whole or not at all.
    recipient
        Public key of the person (Crypt4GH or OpenSSH Ed25519).
    consent
        Bundle of the person's Consent resources, where a ledger is kept.
    is_surely_theirs
        Whether somebody made sure that all of the cells are the person's, where the step
        `duplicates` doubts it.
    progress
        Called with what is being made.

    Raises
    ------
    UsageError
        A key or the person is not there, or `target` exists and is no package.
    DataError
        Some of the cells may be another person's.
    FaultsError
        Another person's id was found in a file: nothing was written.
    """
    results, target = Path(results), Path(target)
    key, signing_key = read_recipient(recipient), read_signing_key()
    if target.exists() and not is_package(target):
        raise UsageError(f"--out must be a new folder or an earlier package; {target} is neither")
    person = find_person(results, donor)
    if not is_surely_theirs:
        require_one_person(results, person)
    facts = only(load_facts(results, require_published=False), person.cohort_id)
    receipts = receipts_of(results, person)
    about = {
        "cohort_id": person.cohort_id,
        "access": receipts.access,
        "pmcell": __version__,
        "what": "all that the study holds of one person",
    }
    with private_files(), scratch_folder(person.folder, ".export.") as scratch:
        _write_members(scratch, facts, person, receipts, consent, progress)
        progress("scan for other people")
        require_own_cells(scratch / "cells.h5ad", person)
        require_alone(scratch, other_ids(results, person))
        progress("encrypt")
        names = sorted(str(p.relative_to(scratch)) for p in scratch.rglob("*") if p.is_file())
        with whole_folder(target) as folder:
            sealer = Sealer(folder, {RECIPIENT: key}, signing_key, about)
            for name in names:
                sealer.add(scratch / name, name)
            sealer.close()
    return names


def _write_members(
    folder: Path,
    facts: Facts,
    person: Person,
    receipts: Receipts,
    consent: Mapping[str, Any] | None,
    progress: Callable[[str], None],
) -> None:
    atlas = load_atlas(facts.results)
    progress("cells")
    write_h5ad(folder / "cells.h5ad", _cells(person, atlas))
    progress("tables")
    frames: dict[str, pd.DataFrame] = {}
    for table in TABLES:
        if table.disclosure is not None and table.disclosure.kind == INDIVIDUAL:
            frame = _own_rows(table, facts, atlas, person)
            frames[table.name] = frame
            write_table(folder / "tables" / f"{table.name}.parquet", frame, table)
    contributions = contributions_of(facts, person)
    write_json(folder / "receipts.json", receipts.as_dict())
    write_json(folder / "contributions.json", contributions)
    write_json(folder / "fhir.json", fhir_bundle(person, frames, consent))
    write_text(folder / "README.html", page(person, frames, receipts, contributions))


def _cells(person: Person, atlas: Atlas) -> Any:
    """Counts, labels, QC and coordinates of the person's cells, in submitted order."""
    import anndata as ad
    import numpy as np

    counts = person.counts.read_rows(person.rows).astype(np.float32)
    obs = person.counts.read_obs().iloc[person.rows].copy()
    qc = read_table(person.folder / "qc.parquet")
    is_passing = qc["passes_qc"].to_numpy(bool)
    passing = is_passing[person.rows]
    # The atlas has the cells of the whole cohort that passed, in their order.
    everyone = atlas.rows_of(qc["cell_id"].to_numpy(object)[is_passing], cohort_id=person.cohort_id)
    places = everyone[np.cumsum(is_passing)[person.rows][passing] - 1]
    own_qc = qc.iloc[person.rows].set_index("cell_id")
    for name in own_qc.columns.difference(obs.columns):
        obs[name] = own_qc[name].to_numpy()
    adata = ad.AnnData(counts, obs=obs, var=person.counts.read_var()[["symbol"]])
    for name, values in sorted(atlas.coordinates.items()):
        own = np.full((len(obs), values.shape[1]), np.nan, np.float32)
        own[passing] = values[places]
        adata.obsm[name] = own
    return adata


def _own_rows(table: Table, facts: Facts, atlas: Atlas, person: Person) -> pd.DataFrame:
    """Rows of a table that name the person, their samples or cells, and nobody else."""
    import pandas as pd

    assert table.disclosure is not None
    ids = list(table.disclosure.ids)

    def own(rows: pd.DataFrame | pa.Table) -> pd.DataFrame:
        frame = rows if isinstance(rows, pd.DataFrame) else plain_frame(rows)
        return frame[frame[ids].isin(person.ids).all(axis=1)]

    rows = rows_of(table, facts, atlas)
    if isinstance(rows, Iterator):
        parts = [part for part in map(own, rows) if len(part)]
        names = table.columns
        return pd.concat(parts) if parts else pd.DataFrame(columns=names)
    return own(rows)


def contributions_of(facts: Facts, person: Person) -> list[dict[str, Any]]:
    """Every result that was made with the person's counts, by the table of steps, in its order."""
    source = f"cohorts/{person.cohort_id}/intake.h5ad"
    reached, found = {source}, []
    for step in STEPS:
        inputs = set(files_of(step.inputs, [person.cohort_id]))
        if not inputs & reached and step.name != "intake":
            continue
        outputs = list(files_of(step.outputs, [person.cohort_id]))
        reached |= set(outputs)
        here = [name for name in outputs if (facts.results / name).exists()]
        if here:
            found.append({"step": step.name, "what": step.summary, "files": here})
    return found


def fhir_bundle(
    person: Person, frames: Mapping[str, pd.DataFrame], consent: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a Bundle (FHIR R4) of the patient, the share of each cell type, and their consent."""
    patient = _uuid(person.donor_id)
    resources: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": patient,
            "identifier": [{"system": "urn:pmcell:donor", "value": person.donor_id}],
        }
    ]
    for row in frames["composition"].to_dict("records"):
        label = f"{row['donor_id']} {row['visit']} {row['cell_type']}"
        resources.append(
            {
                "resourceType": "Observation",
                "id": _uuid(label),
                "status": "final",
                "code": {"text": f"Share of {row['cell_type']} among cells, visit {row['visit']}"},
                "subject": {"reference": f"urn:uuid:{patient}"},
                "valueQuantity": {
                    "value": round(float(row["share"]), 6),
                    "unit": "1",
                    "system": "http://unitsofmeasure.org",
                    "code": "1",
                },
                "note": [{"text": "Research use only; no diagnosis."}],
            }
        )
    entries = [{"fullUrl": f"urn:uuid:{item['id']}", "resource": item} for item in resources]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": entries + list((consent or {}).get("entry", [])),
    }


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:pmcell:{json.dumps(text)}"))
