"""Write simulated cohorts in registration form, as a steward would hand them in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import UsageError
from pmcell.io.atomic import write_text
from pmcell.io.h5ad import write_h5ad
from pmcell.schema import UNKNOWN
from pmcell.schema.fields import DONOR_FACTS
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

OBS_COLUMNS = (
    "cohort_id",
    "donor_id",
    "sample_id",
    "visit",
    "visit_day",
    "batch_id",
    "region",
    "condition",
    "cell_type",
)
"""What `write_cohort_folders` asks of `obs`, as `pmcell.simulate.simulate` makes it."""

_DONOR_COLUMNS = ("donor_id", *DONOR_FACTS)
_SAMPLE_COLUMNS = ("sample_id", "donor_id", "visit", "visit_day", "batch_id", "condition")


def write_cohort_folders(
    adata: ad.AnnData,
    root: Path | str,
    *,
    programme: str = "covid19",
    disease: str = "MONDO:0100096",
    access: str = "open",
) -> list[Path]:
    """Write one cohort folder `root/<cohort_id>` for each cohort of `adata`; return the folders.

    Each holds cohort.yaml, donors.tsv, samples.tsv and counts.h5ad, and passes
    `pmcell check` when the genes are real (`simulate(real_genes=True)`).
    `disease` is the MONDO term of donors whose condition is ever `case`; the
    others are healthy. Raises `UsageError` when `obs` lacks a column.

    >>> import tempfile
    >>> import pmcell as pm
    >>> adata = pm.simulate.simulate(n_cohorts=2, n_donors=4, cells_per_sample=20, n_genes=80)
    >>> with tempfile.TemporaryDirectory() as root:
    ...     [folder.name for folder in write_cohort_folders(adata, root)]
    ['sim_1', 'sim_2']
    """
    missing = [name for name in OBS_COLUMNS if name not in adata.obs]
    if missing:
        raise UsageError(
            f"obs must have the columns {', '.join(OBS_COLUMNS)}; missing {', '.join(missing)}. "
            "Make the cohorts with pmcell.simulate.simulate"
        )
    folders = []
    for cohort_id in sorted(set(as_text(adata.obs["cohort_id"]))):
        cohort = adata[(adata.obs["cohort_id"] == cohort_id).to_numpy()]
        folder = Path(root) / cohort_id
        _write_counts(folder / "counts.h5ad", cohort)
        write_text(folder / "donors.tsv", _tsv(_DONOR_COLUMNS, _donors(cohort.obs, disease)))
        write_text(folder / "samples.tsv", _tsv(_SAMPLE_COLUMNS, _samples(cohort.obs)))
        settings = _cohort_settings(cohort_id, cohort.obs, programme=programme, access=access)
        write_text(folder / "cohort.yaml", _yaml(settings))
        folders.append(folder)
    return folders


def _write_counts(path: Path, cohort: ad.AnnData) -> None:
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame(
        {name: pd.Categorical(as_text(cohort.obs[name])) for name in ("sample_id", "cell_type")},
        index=cohort.obs_names.astype(object),
    )
    var = pd.DataFrame(index=cohort.var_names.astype(object))
    write_h5ad(path, ad.AnnData(X=cohort.X.copy(), obs=obs, var=var))


def _donors(obs: pd.DataFrame, disease: str) -> list[tuple[str, ...]]:
    people = as_text(obs[["donor_id", "condition"]]).drop_duplicates()
    ill = set(people.loc[people["condition"] == "case", "donor_id"])
    return [
        (donor, UNKNOWN, UNKNOWN, UNKNOWN, disease if donor in ill else "PATO:0000461", UNKNOWN)
        for donor in sorted(set(people["donor_id"]))
    ]


def _samples(obs: pd.DataFrame) -> list[tuple[str, ...]]:
    samples = obs[list(_SAMPLE_COLUMNS)].astype({"visit_day": float}).drop_duplicates()
    return sorted(
        (*(str(value) for value in row[:3]), f"{row[3]:g}", *(str(value) for value in row[4:]))
        for row in samples.itertuples(index=False, name=None)
    )


def _cohort_settings(
    cohort_id: str, obs: pd.DataFrame, *, programme: str, access: str
) -> dict[str, Any]:
    return {
        "schema_version": "1",
        "id": cohort_id,
        "title": f"Simulated cohort {cohort_id}",
        "description": "Simulated counts with a known truth; nobody's data.",
        "source": {"doi": UNKNOWN, "accession": UNKNOWN, "url": UNKNOWN},
        "steward": {"name": "Simulation", "email": UNKNOWN, "organisation": UNKNOWN},
        "publisher": {"name": UNKNOWN, "url": UNKNOWN},
        "license": "CC0-1.0",
        "region": str(obs["region"].iloc[0]),
        "programme": programme,
        "organism_ontology_term_id": "NCBITaxon:9606",
        "access": access,
        "data_use": ["DUO:0000042"],
        "legal_basis": UNKNOWN,
        "purpose": "Tests and benchmarks.",
        "retention": UNKNOWN,
        "withdrawal_policy": UNKNOWN,
        "dataset_type": "SYNTHETIC_DATA",
        "keywords": ["simulated"],
        "provenance": "Drawn by pmcell.simulate from a known truth; no donor behind it.",
        "matrix": {
            "path": "counts.h5ad",
            "format": "h5ad",
            "counts": "X",
            "gene_column": "index",
            "gene_namespace": "ensembl",
        },
        "columns": {"barcode": "index", "sample_id": "sample_id", "cell_type": "cell_type"},
        "values": {"cell_type": dict.fromkeys(sorted(set(obs["cell_type"])), UNKNOWN)},
        "defaults": {
            "assay_ontology_term_id": "EFO:0009922",
            "tissue_ontology_term_id": "UBERON:0000178",
            "tissue_type": "tissue",
            "suspension_type": "cell",
        },
    }


def _yaml(settings: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _tsv(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in [header, *rows])
