"""Open a release with other people's programs and say which version could do what.

    python scripts/try_clients.py results/release

Each client runs in the Python that runs this script: one that is not installed there is said to
be absent, and one that fails is named with its error; the exit code is 1 where one failed. What a
client reads is compared with the tables. `--vitessce FOLDER` writes what the viewer Vitessce needs:
the first file of cells as zarr, which browsers read in parts, and a configuration beside it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

Client = Callable[[Path], str]


def main() -> int:
    """Try every client, one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path, help="folder of a release")
    parser.add_argument("--vitessce", type=Path, help="write the viewer's files to this folder")
    args = parser.parse_args()
    if not any((args.release / "cells").glob("*.h5ad")):
        parser.error(f"{args.release} must be a release with cells/*.h5ad; there is none")
    failed = False
    for package, client in CLIENTS.items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"{package:<12} absent: not tried")
            continue
        try:
            said = client(args.release)
        except Exception as error:  # Any error of a client is what is looked for.
            failed = True
            said = f"FAILED: {type(error).__name__}: {error}"
        print(f"{package:<12} {version:<10} {said}", flush=True)
    if args.vitessce:
        write_vitessce(args.release, args.vitessce)
    return int(failed)


def expected_cells(release: Path) -> int:
    """Cells of the first file, as the table of cells has them."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(release / "tables" / "cells.parquet", columns=["cohort_id", "passes_qc"])
    own = pc.equal(table["cohort_id"], first_file(release).stem)
    return int(pc.sum(pc.and_(own, table["passes_qc"])).as_py())


def first_file(release: Path) -> Path:
    """The first file of cells."""
    return min((release / "cells").glob("*.h5ad"))


def same(found: int, expected: int, what: str) -> str:
    """Say the number; ValueError where it is another one."""
    if found != expected:
        raise ValueError(f"{found} {what}, the tables have {expected}")
    return f"{found} {what}, as the tables have"


def by_anndata(release: Path) -> str:
    """Backed, so that the matrix is not read."""
    import anndata

    cells = anndata.read_h5ad(first_file(release), backed="r")
    return same(cells.n_obs, expected_cells(release), "cells")


def by_scanpy(release: Path) -> str:
    """Read, and test genes of clusters by symbol."""
    import scanpy as sc

    cells = sc.read_h5ad(first_file(release))
    told = same(cells.n_obs, expected_cells(release), "cells")
    sc.tl.rank_genes_groups(cells, "cluster", n_genes=5, use_raw=False)
    sc.get.obs_df(cells, keys=[cells.var["symbol"].iloc[0]], gene_symbols="symbol")
    return f"{told}; ranked genes, found a gene by symbol"


def by_duckdb(release: Path) -> str:
    """Join cells with donors and labels, and expression with genes."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW cells AS FROM '{release}/tables/cells.parquet'")
    count = connection.execute(
        "SELECT count(*) FROM cells WHERE passes_qc AND cohort_id = ?", [first_file(release).stem]
    ).fetchone()
    labels = connection.execute(
        f"SELECT count(*) FROM '{release}/tables/donors.parquet' d JOIN "
        f"'{release}/tables/terms.parquet' t ON t.term_id = d.disease_ontology_term_id"
    ).fetchone()
    assert count is not None and labels is not None  # noqa: PT018
    return f"{same(count[0], expected_cells(release), 'cells')}; {labels[0]} donors with a label"


def by_polars(release: Path) -> str:
    """Scan lazily."""
    import polars as pl

    cells = pl.scan_parquet(release / "tables" / "cells.parquet")
    chosen = cells.filter(pl.col("passes_qc"), pl.col("cohort_id") == first_file(release).stem)
    n_cells = chosen.select(pl.len()).collect().item()
    return same(n_cells, expected_cells(release), "cells")


def by_mudata(release: Path) -> str:
    """As the modality `rna`, written and read again."""
    import anndata
    import mudata

    cells = anndata.read_h5ad(first_file(release))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5mu"
        mudata.MuData({"rna": cells}).write(path)
        again = mudata.read(path)
    return same(again.mod["rna"].n_obs, expected_cells(release), "cells") + "; h5mu and back"


def by_tiledbsoma(release: Path) -> str:
    """Ingest as a SOMA experiment and count what it holds."""
    import tiledbsoma
    import tiledbsoma.io

    with tempfile.TemporaryDirectory() as folder:
        uri = str(Path(folder) / "soma")
        tiledbsoma.io.from_h5ad(uri, str(first_file(release)), measurement_name="RNA")
        with tiledbsoma.Experiment.open(uri) as experiment:
            n_cells = experiment.obs.count
    return same(n_cells, expected_cells(release), "cells") + " in SOMA"


def write_vitessce(release: Path, folder: Path) -> int:
    """Write cells.zarr and vitessce.json: the map, types and diseases, genes by symbol."""
    import anndata
    from vitessce import AnnDataWrapper, VitessceConfig
    from vitessce import Component as View

    path = first_file(release)
    folder.mkdir(parents=True, exist_ok=True)
    anndata.read_h5ad(path).write_zarr(folder / "cells.zarr")
    config = VitessceConfig(schema_version="1.0.17", name=path.stem)
    cells = AnnDataWrapper(
        adata_url="cells.zarr",
        obs_embedding_paths=["obsm/X_umap"],
        obs_embedding_names=["UMAP"],
        obs_set_paths=["obs/atlas_cell_type", "obs/cluster", "obs/disease_label"],
        obs_set_names=["Cell type", "Cluster", "Disease"],
        obs_feature_matrix_path="X",
        feature_labels_path="var/symbol",
    )
    dataset = config.add_dataset(name=path.stem).add_object(cells)
    scatter = config.add_view(View.SCATTERPLOT, dataset=dataset, mapping="UMAP")
    sets = config.add_view(View.OBS_SETS, dataset=dataset)
    config.layout(scatter | (sets / config.add_view(View.FEATURE_LIST, dataset=dataset)))
    text = json.dumps(config.to_dict(), indent=1)
    (folder / "vitessce.json").write_text(text + "\n", encoding="utf-8")
    return len(config.to_dict()["layout"])


def by_vitessce(release: Path) -> str:
    """Make the viewer's configuration; drawing it takes a browser and the viewer's script."""
    with tempfile.TemporaryDirectory() as folder:
        n_views = write_vitessce(release, Path(folder))
    return f"configuration of {n_views} views beside the cells as zarr; not drawn here"


CLIENTS: dict[str, Client] = {
    "anndata": by_anndata,
    "scanpy": by_scanpy,
    "duckdb": by_duckdb,
    "polars": by_polars,
    "mudata": by_mudata,
    "tiledbsoma": by_tiledbsoma,
    "vitessce": by_vitessce,
}


if __name__ == "__main__":
    sys.exit(main())
