"""Sound cohorts are rewritten count by count; broken ones are quarantined by name, nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts_on_disk import (
    N_CELLS,
    barcodes,
    cell_counts,
    gene_names,
    obs_columns,
    sample_of_cell,
    write_cohort,
)
from pmcell.errors import DataError, UsageError
from pmcell.io.counts.open import open_counts
from pmcell.io.submitted import sandbox
from pmcell.io.submitted.readers import iter_counts
from pmcell.io.submitted.submission import LayerSummary, Submission
from pmcell.registry.intake import totals
from pmcell.registry.intake.check import check_cohort
from pmcell.registry.intake.checksum import files_now
from pmcell.registry.intake.counts import Projection, check_counts
from pmcell.registry.intake.intake import OUTPUTS, intake_cohort
from pmcell.registry.intake.pseudonyms import KEY_VARIABLE, pseudonym
from pmcell.settings.cohort import IntakeSettings
from submissions import write_10x_h5, write_h5ad, write_mtx, write_table


@pytest.fixture
def folder(tmp_path):
    folder = write_cohort(tmp_path / "cohorts" / "c1")
    write_matrix(folder, sp.csr_matrix(cell_counts()))
    return folder


def write_matrix(folder, x, **kwargs):
    options = {"genes": gene_names(), "obs": obs_columns(), **kwargs}
    return write_h5ad(folder / "counts.h5ad", x, options.pop("barcodes", barcodes()), **options)


def take_in(folder, **kwargs):
    out = folder.parent.parent / "out"
    report = intake_cohort(folder, out, **kwargs)
    assert sorted(path.name for path in out.iterdir()) == sorted(OUTPUTS.values())
    assert json.loads((out / "intake.json").read_text()) == report
    return report, out


def kept_counts(out):
    """Counts by (cell, gene id) as later steps read them."""
    file = open_counts(out / "intake.h5ad")
    blocks = [
        sp.csr_matrix((b.data, b.indices, b.indptr), shape=(b.indptr.size - 1, file.n_genes))
        for b in file.iter_blocks()
    ]
    return pd.DataFrame(sp.vstack(blocks).toarray(), file.cell_ids, file.gene_ids)


def expected_counts(counts, ledger):
    kept = ledger.dropna(subset=["gene_id"])
    frame = pd.DataFrame(counts[:, kept["row"]], columns=kept["gene_id"].tolist())
    return frame.T.groupby(level=0).sum().T


def quarantined(folder, reason, message, **kwargs):
    report, out = take_in(folder, **kwargs)
    assert (report["status"], report["reason"]) == ("quarantined", reason), report["message"]
    assert message in report["message"]
    assert report["registration"]["title"] == "A small cohort"
    empty = ad.read_h5ad(out / "intake.h5ad")
    assert empty.shape == (0, 0)
    assert {"sample_id", "donor_id", "batch_id"} <= set(empty.obs.columns)
    for name in ("gene_ledger", "donors", "visits", "samples"):
        assert len(pd.read_parquet(out / OUTPUTS[name])) == 0
    return report


# --- sound cohorts -----------------------------------------------------------


def test_a_sound_cohort_is_rewritten_count_by_count(folder):
    report, out = take_in(folder)
    assert report["status"] == "ok", report["message"]
    ledger = pd.read_parquet(out / "gene_ledger.parquet")
    counts = cell_counts()
    np.testing.assert_array_equal(ledger["umis"], counts.sum(0))
    found = kept_counts(out)
    expected = expected_counts(counts, ledger)
    assert list(found.columns) == list(expected.columns) == sorted(expected.columns)
    np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
    assert list(found.index) == [f"c1:{name}" for name in barcodes()]
    fates = ledger.set_index("source_gene")["fate"]
    assert fates["MARCH1"] == "renamed"
    assert fates["JCHAIN"] == fates["JCHAIN-1"] == "merged"
    assert fates["NOSUCHGENE1"] == "lost"
    lost = counts[:, -1].sum() / counts.sum()
    assert report["metrics"]["share_umis_lost"] == pytest.approx(lost)
    assert report["metrics"]["n_genes"] == len(gene_names()) - 2
    assert set(report["inputs"]) == {"cohort.yaml", "donors.tsv", "samples.tsv", "counts.h5ad"}


def test_cells_carry_what_the_registration_says(folder):
    _, out = take_in(folder)
    obs = ad.read_h5ad(out / "intake.h5ad").obs
    assert obs["sample_id"].tolist() == [f"c1:{name}" for name in sample_of_cell()]
    first = obs.iloc[0]
    assert first["donor_id"] == "c1:d1"
    assert (first["visit"], first["batch_id"], first["region"]) == ("T0", "b1", "NL32")
    assert first["disease_ontology_term_id"] == "MONDO:0005148"
    assert first["assay_ontology_term_id"] == "EFO:0009922"
    assert first["age_group"] == "unknown"
    terms = dict(
        zip(obs["source_cell_type"], obs["source_cell_type_ontology_term_id"], strict=True)
    )
    assert terms == {"B": "CL:0000236", "T": "CL:0000084", "odd": "unknown"}
    assert obs["visit_day"].iloc[[0, 1]].tolist() == [0.0, 30.0]
    assert np.isnan(obs["visit_day"].iloc[2])
    samples = pd.read_parquet(out / "samples.parquet").set_index("sample_id")
    assert samples["n_cells_submitted"].to_dict() == {"c1:s1": 20, "c1:s2": 20, "c1:s3": 20}
    assert pd.read_parquet(out / "donors.parquet")["donor_id"].tolist() == ["c1:d1", "c1:d2"]
    visits = pd.read_parquet(out / "visits.parquet")
    assert visits[["donor_id", "visit"]].to_numpy().tolist() == [
        ["c1:d1", "T0"],
        ["c1:d1", "T1"],
        ["c1:d2", "T0"],
    ]


def test_intake_twice_gives_the_same_bytes(folder):
    _, out = take_in(folder)
    before = {name: (out / name).read_bytes() for name in OUTPUTS.values()}
    take_in(folder)
    assert {name: (out / name).read_bytes() for name in OUTPUTS.values()} == before


@pytest.mark.parametrize(
    ("layer", "layout"),
    [
        ("X", lambda c: sp.csr_matrix(c.astype(np.float32))),
        ("X", lambda c: c.astype(np.int64)),
        ("raw.X", lambda c: sp.csc_matrix(c.astype(np.int32))),
        ("raw.X", lambda c: sp.csr_matrix(c.astype(np.uint16))),
        ("layers/counts", lambda c: c.astype(np.float64)),
        ("layers/counts", lambda c: sp.csc_matrix(c.astype(np.float32))),
    ],
    ids=["X_csr_float", "X_dense_int", "raw_csc_int", "raw_csr_int", "layer_dense", "layer_csc"],
)
def test_every_layout_gives_the_same_file(tmp_path, layer, layout):
    counts = cell_counts()
    x, logged = layout(counts), np.log1p(counts)
    where = {"X": {}, "raw.X": {"raw": x}, "layers/counts": {"layers": {"counts": x}}}[layer]
    matrix = f"{{path: counts.h5ad, format: h5ad, counts: {layer}}}"
    folder = write_cohort(tmp_path / "cohorts" / "c1", matrix=matrix)
    write_matrix(folder, x if layer == "X" else logged, **where)
    report, out = take_in(folder)
    assert report["status"] == "ok", report["message"]
    ledger = pd.read_parquet(out / "gene_ledger.parquet")
    np.testing.assert_array_equal(kept_counts(out), expected_counts(counts, ledger))


@pytest.mark.parametrize(
    ("name", "fmt", "write"),
    [
        ("t.csv.gz", "csv", lambda p, c: write_table(p, c.T, gene_names(), named())),
        ("t.tsv", "tsv", lambda p, c: write_table(p, c, named(), gene_names())),
        ("m", "10x_mtx", lambda p, c: write_mtx(p, c, named(), packed=True, genes=gene_names())),
        ("a.h5", "10x_h5", lambda p, c: write_10x_h5(p, c, named(), genes=gene_names())),
    ],
)
def test_files_without_obs_take_samples_from_barcodes(tmp_path, name, fmt, write):
    column = "symbol" if fmt.startswith("10x") else "index"
    folder = write_cohort(
        tmp_path / "cohorts" / "c1",
        matrix=f"{{path: {name}, format: {fmt}, counts: X, gene_column: {column}}}",
        columns="{barcode: index, sample_id: 'barcode_prefix:_'}",
    )
    counts = cell_counts()
    write(folder / name, counts)
    report, out = take_in(folder)
    assert report["status"] == "ok", report["message"]
    ledger = pd.read_parquet(out / "gene_ledger.parquet")
    np.testing.assert_array_equal(kept_counts(out), expected_counts(counts, ledger))
    obs = ad.read_h5ad(out / "intake.h5ad").obs
    assert obs["sample_id"].tolist() == [f"c1:{sample}" for sample in sample_of_cell()]
    assert set(obs["source_cell_type"]) == {"unknown"}


def named():
    return [f"{sample}_{name}" for sample, name in zip(sample_of_cell(), barcodes(), strict=True)]


def test_features_that_are_no_genes_are_left_out_before_names_are_mapped(tmp_path):
    genes = gene_names()
    folder = write_cohort(
        tmp_path / "cohorts" / "c1",
        matrix="{path: counts.h5ad, format: h5ad, counts: X, "
        "keep_features: {column: kind, value: Gene Expression}}",
    )
    counts, proteins = cell_counts(), np.full((N_CELLS, 3), 0.5)
    var = pd.DataFrame(
        {"kind": ["Gene Expression"] * len(genes) + ["Antibody Capture"] * 3},
        index=genes + genes[:3],
    )
    adata = ad.AnnData(np.hstack([counts, proteins]), pd.DataFrame(obs_columns(), barcodes()), var)
    adata.write_h5ad(folder / "counts.h5ad")
    report, out = take_in(folder)
    assert report["status"] == "ok", report["message"]
    assert report["metrics"]["n_features_not_genes"] == 3
    assert report["metrics"]["n_genes_submitted"] == len(genes)
    ledger = pd.read_parquet(out / "gene_ledger.parquet")
    np.testing.assert_array_equal(kept_counts(out), expected_counts(counts, ledger))


def test_a_registered_sample_without_cells_is_a_warning(folder):
    with (folder / "samples.tsv").open("a") as stream:
        stream.write("s4\td2\tT9\t9\tb1\thealthy\n")
    report, out = take_in(folder)
    assert (report["status"], report["reason"]) == ("warned", "sample_absent")
    assert "the first 's4'" in report["message"]
    assert len(open_counts(out / "intake.h5ad").cell_ids) == N_CELLS


# --- broken cohorts ----------------------------------------------------------


def test_values_that_look_like_logarithms_are_refused_with_what_was_seen(folder):
    counts = cell_counts()
    logged = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    write_matrix(folder, sp.csr_matrix(logged))
    report = quarantined(folder, "not_counts", "they look like log1p")
    assert "100% of the values break this" in report["message"]
    assert report["metrics"]["n_cells_submitted"] == N_CELLS


def test_the_matrix_that_holds_counts_is_pointed_at(folder):
    counts = cell_counts()
    write_matrix(folder, np.log1p(counts), layers={"umi": counts})
    quarantined(folder, "not_counts", "set matrix.counts: layers/umi in cohort.yaml")


def cpm(counts):
    return counts / counts.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda counts: np.rint(cpm(counts) * 1e6), "rounded normalised values"),
        (lambda counts: np.rint(np.log1p(cpm(counts) * 1e4)), "whole numbers without a single 1"),
        (lambda counts: counts * 2, "whole numbers without a single 1"),
        (lambda counts: (counts > 0).astype(int), "ones alone"),
        (lambda counts: np.argsort(np.argsort(counts, 1), 1), "as ranks and bins have"),
    ],
)
def test_whole_numbers_that_are_no_counts_are_refused(folder, make, seen):
    write_matrix(folder, sp.csr_matrix(make(cell_counts())))
    report = quarantined(folder, "not_counts", seen)
    assert report["faults"][0]["fix"].endswith("whole numbers made of them are none.")
    checked = [fault for fault in check_cohort(folder).errors if fault.reason == "not_counts"]
    assert [asdict(fault) for fault in checked] == report["faults"]


def test_counts_beside_whole_numbers_that_are_none_are_pointed_at(folder):
    counts = cell_counts()
    write_matrix(folder, sp.csr_matrix(counts * 2), layers={"umi": counts})
    quarantined(folder, "not_counts", "Set matrix.counts: layers/umi, which looks like raw counts")


@pytest.mark.parametrize(
    "thin",
    [
        lambda counts: np.random.default_rng(1).binomial(counts, 0.3),
        lambda counts: counts * (np.arange(counts.shape[1]) < 40),
        lambda counts: np.minimum(counts, 2),
    ],
)
def test_thin_counts_and_those_of_few_genes_are_counts(folder, thin):
    write_matrix(folder, sp.csr_matrix(thin(cell_counts())))
    report, _ = take_in(folder, config=IntakeSettings(max_share_empty=1.0))
    assert report["status"] in ("ok", "warned"), report["message"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1.0, "negative_counts"),
        (np.nan, "not_finite"),
        (np.inf, "not_finite"),
        (3.0000001, "not_counts"),
        (3e9, "count_too_large"),
    ],
)
def test_one_bad_value_among_all_is_found(folder, value, reason):
    counts = cell_counts().astype(np.float64)
    counts[N_CELLS - 1, 40] = value
    write_matrix(folder, sp.csr_matrix(counts))
    quarantined(folder, reason, f"cell {N_CELLS}")


def test_mouse_genes_are_named(folder):
    genes = [f"{name[0]}{name[1:].lower()}" for name in gene_names()]
    write_matrix(folder, cell_counts(), genes=genes)
    quarantined(folder, "wrong_species", "these look like mouse")
    write_matrix(folder, cell_counts(), genes=[f"ENSMUSG{k:011d}" for k in range(len(genes))])
    quarantined(folder, "wrong_species", "Ensembl prefix")


def test_repeated_barcodes_are_named_with_the_first(folder):
    names = barcodes()
    names[33] = names[3]
    write_matrix(folder, cell_counts(), barcodes=names)
    report = quarantined(folder, "duplicate_barcodes", f"the first is {names[3]!r}, also in row 4")
    assert report["faults"][0]["row"] == 34
    names = [barcodes()[k // 3] for k in range(N_CELLS)]
    write_matrix(folder, cell_counts(), barcodes=names)
    quarantined(folder, "duplicate_barcodes", "in samples 's1' and 's2'. Make them unique")


def test_five_cells_and_no_cells_are_too_few(folder):
    obs = {name: values[:5] for name, values in obs_columns().items()}
    write_matrix(folder, cell_counts()[:5], barcodes=barcodes()[:5], obs=obs)
    quarantined(folder, "too_few_cells", "at least 50 cells (intake.min_cells); found 5")
    write_matrix(folder, cell_counts()[:0], barcodes=[], obs={"sample_id": []})
    quarantined(folder, "empty", "found 0")


def test_a_matrix_of_zeros_has_no_counts(folder):
    write_matrix(folder, sp.csr_matrix(cell_counts() * 0))
    quarantined(folder, "no_counts", "all values are zero")


def test_a_transposed_matrix_is_told(folder):
    counts = cell_counts()
    genes = gene_names()
    write_matrix(
        folder, counts.T, genes=barcodes(), barcodes=genes, obs={"sample_id": ["s1"] * len(genes)}
    )
    quarantined(folder, "transposed", "The matrix is transposed")


def test_too_few_and_too_costly_lost_genes_are_told(folder):
    genes = [*gene_names()[:60], *(f"XX{k}" for k in range(len(gene_names()) - 60))]
    write_matrix(folder, cell_counts(), genes=genes)
    quarantined(folder, "too_few_genes", "'XX0', 'XX1', 'XX2'")
    config = IntakeSettings(min_genes=10)
    quarantined(folder, "umis_lost", "at most 50% of the counts", config=config)
    config = IntakeSettings(min_genes=10, max_share_umis_lost=0.9)
    report, _ = take_in(folder, config=config)
    assert (report["status"], report["reason"]) == ("warned", "umis_lost")


def test_samples_that_are_not_registered_are_named(folder):
    obs = obs_columns()
    obs["sample_id"] = [name.replace("s3", "s03") for name in obs["sample_id"]]
    write_matrix(folder, cell_counts(), obs=obs)
    report = quarantined(folder, "unknown_sample", "'s03' of 20 cells")
    assert "Did you mean 's3'?" in report["message"]


def test_a_column_that_is_not_there_is_named_with_the_nearest(folder):
    obs = obs_columns()
    obs["Sample_ID"] = obs.pop("sample_id")
    write_matrix(folder, cell_counts(), obs=obs)
    quarantined(folder, "column_missing", "columns.sample_id must be 'index' or a column")


def test_a_faulty_registration_is_reported_fault_by_fault(folder):
    text = (folder / "samples.tsv").read_text()
    (folder / "samples.tsv").write_text(
        text.replace("s3\td2", "s3\td9").replace("s2\td1", "s1\td1")
    )
    report, _ = take_in(folder)
    assert report["status"] == "quarantined"
    assert {fault["file"] for fault in report["faults"]} >= {"samples.tsv"}
    assert len(report["faults"]) >= 2
    assert report["registration"]["region"] == "NL32"


def test_a_truncated_file_an_empty_file_and_no_file_are_named(folder):
    path = folder / "counts.h5ad"
    path.write_bytes(path.read_bytes()[:3000])
    quarantined(folder, "truncated", "must be complete")
    path.write_bytes(b"")
    quarantined(folder, "empty_file", "0 bytes")
    path.unlink()
    report, _ = take_in(folder)
    assert (report["status"], report["reason"]) == ("quarantined", "file_missing")


def test_external_links_and_bombs_are_refused(folder):
    with h5py.File(folder / "counts.h5ad", "r+") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink("/nowhere.h5", "/X")
    quarantined(folder, "external_link", "counts.h5ad:/X")
    with h5py.File(folder / "counts.h5ad", "r+") as file:
        del file["X"]
        file.create_dataset("X", (10**9, 10**4), "f4", chunks=(100, 100))
    quarantined(folder, "bomb", "counts.h5ad:/X")


# --- the sandbox at work -----------------------------------------------------


@pytest.mark.child
def test_an_index_out_of_range_is_named_and_the_parent_lives(folder):
    with h5py.File(folder / "counts.h5ad", "r+") as file:
        file["X/indices"][5] = 2**30
    quarantined(folder, "index_out_of_range", "found 1073741824")


def test_a_reader_that_dies_quarantines_the_cohort(folder, monkeypatch):
    def dead(*args, **kwargs):
        raise DataError("killed", reason="memory_limit")

    monkeypatch.setattr(sandbox, "run", dead)
    report, _ = take_in(folder)
    assert (report["status"], report["reason"]) == ("quarantined", "memory_limit")


@pytest.mark.parametrize("access", ["open", "controlled"])
def test_an_exception_that_nobody_foresaw_quarantines_and_is_in_the_log(
    tmp_path, monkeypatch, caplog, access
):
    folder = write_cohort(tmp_path / "cohorts" / "c1", access=access)

    def broken(target, arguments, **limits):
        state = {"registration": {"access": access, "title": "A small cohort"}}
        (Path(arguments["out_dir"]) / "state.json").write_text(json.dumps(state))
        raise sandbox.ReaderFailedError("TypeError", "donor Ann", ["reader.py:7 in f"])

    monkeypatch.setattr(sandbox, "run", broken)
    report = quarantined(folder, "reader_failed", "reader_failed" if access != "open" else "Ann")
    assert "reader.py:7 in f" in caplog.text
    assert ("Ann" in caplog.text) == ("Ann" in json.dumps(report)) == (access == "open")


def test_a_reader_that_fails_on_a_real_file_leaves_no_traceback(folder):
    import subprocess
    import sys

    with h5py.File(folder / "counts.h5ad", "r+") as file:
        file["raw"] = np.zeros(3)
    command = [sys.executable, "-m", "pmcell", "intake", "--cohort-dir", str(folder)]
    done = subprocess.run(
        [*command, "--out-dir", str(folder / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (folder / "out" / "intake.json").exists()


def test_a_bug_of_our_own_is_raised_and_leaves_nothing(folder, monkeypatch):
    def broken(*args, **kwargs):
        raise sandbox.SandboxBug("ours")

    monkeypatch.setattr(sandbox, "run", broken)
    out = folder.parent.parent / "out"
    with pytest.raises(sandbox.SandboxBug, match="ours"):
        intake_cohort(folder, out)
    assert list(out.iterdir()) == []


# --- cohorts that are not open -----------------------------------------------


@pytest.fixture
def closed(tmp_path, monkeypatch):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    folder = write_cohort(tmp_path / "cohorts" / "c1", access="controlled")
    write_matrix(folder, sp.csr_matrix(cell_counts()))
    return folder


def test_ids_of_a_controlled_cohort_are_keyed_pseudonyms(closed):
    report, out = take_in(closed)
    assert report["status"] == "ok", report["message"]
    obs = ad.read_h5ad(out / "intake.h5ad").obs
    assert obs.index[0] == "c1:" + pseudonym(b"k" * 32, "cell", "c1", barcodes()[0])
    assert obs["donor_id"].iloc[0] == "c1:" + pseudonym(b"k" * 32, "donor", "c1", "d1")
    donors = pd.read_parquet(out / "donors.parquet")
    assert set(obs["donor_id"]) == set(donors["donor_id"])
    everything = b"".join((out / name).read_bytes() for name in OUTPUTS.values())
    assert not [name for name in barcodes() if name.encode() in everything]


def test_reports_of_a_controlled_cohort_name_no_cell(closed):
    names = barcodes()
    names[33] = names[3]
    write_matrix(closed, cell_counts(), barcodes=names)
    report = quarantined(closed, "duplicate_barcodes", "withheld")
    assert names[3] not in json.dumps(report)
    assert report["faults"][0]["row"] == 34


@pytest.mark.parametrize("fault", ["missing column", "long column", "missing file", "none"])
def test_no_name_that_the_submission_chose_is_in_the_report_of_a_controlled_cohort(
    closed, capsys, fault
):
    import h5py

    canary = "CANARY Jane Doe"
    write_matrix(closed, cell_counts())
    file = closed / f"{canary}.h5ad"
    if fault != "missing file":
        (closed / "counts.h5ad").rename(file)
    text = (closed / "cohort.yaml").read_text()
    text = text.replace("path: counts.h5ad", f"path: '{canary}.h5ad'")
    if fault == "missing column":
        text = text.replace("sample_id: sample_id", f"sample_id: '{canary} of sample'")
    (closed / "cohort.yaml").write_text(text)
    if fault == "long column":
        with h5py.File(file, "a") as stored:
            column = stored["obs"].create_dataset(canary, data=np.zeros(3))
            column.attrs["encoding-type"], column.attrs["encoding-version"] = "array", "0.2.0"
            stored["obs"].attrs["column-order"] = [*stored["obs"].attrs["column-order"], canary]
    report, _ = take_in(closed)
    assert (report["status"] == "quarantined") == (fault != "none")
    assert "CANARY" not in json.dumps(report) + capsys.readouterr().err
    assert report["reason"] or fault == "none"
    assert report["inputs"].keys() <= {"matrix", "cohort.yaml", "donors.tsv", "samples.tsv"}


def test_a_missing_or_open_key_is_the_operators_mistake(closed, monkeypatch, tmp_path):
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(UsageError, match="readable by its owner alone"):
        take_in(closed)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(UsageError, match=KEY_VARIABLE):
        take_in(closed)


# --- kernels -----------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), min_size=1, max_size=8),
    targets=st.lists(st.sampled_from([None, "G1", "G2", "G3"]), min_size=6, max_size=6),
)
def test_projection_keeps_every_count_of_kept_genes(counts, targets):
    matrix = np.array(counts)
    projection = Projection(targets)
    found = projection.apply(sp.csr_matrix(matrix))
    assert found.has_canonical_format
    names = sorted({name for name in targets if name})
    expected = [
        [sum(row[k] for k, t in enumerate(targets) if t == name) for name in names]
        for row in counts
    ]
    np.testing.assert_array_equal(
        found.toarray().reshape(len(counts), -1), np.array(expected).reshape(len(counts), -1)
    )
    np.testing.assert_array_equal(projection.umis, matrix.sum(0))


@pytest.mark.parametrize("how", ["written over", "exchanged", "grown"])
def test_a_file_that_changes_while_it_is_read_is_not_taken_in(folder, monkeypatch, how):
    path = folder / "counts.h5ad"
    write_other = write_matrix(folder, sp.csr_matrix(cell_counts()[::-1].copy())).read_bytes()
    write_matrix(folder, sp.csr_matrix(cell_counts()))
    sound, _ = take_in(folder)

    def changed(*arguments):
        blocks = list(iter_counts(*arguments))
        if how == "exchanged":
            (folder / "new").write_bytes(write_other)
            (folder / "new").replace(path)
        else:
            path.write_bytes(write_other + bytes(how == "grown"))
        return iter(blocks)

    with monkeypatch.context() as patch:
        patch.setattr(totals, "iter_counts", changed)
        quarantined(folder, "changed", "Run again once it is copied whole")
    assert take_in(folder)[0]["metrics"]["umis"] == sound["metrics"]["umis"]


def test_what_a_desktop_writes_into_a_folder_is_no_change_of_it(tmp_path):
    (tmp_path / "data").write_text("1")
    before = files_now(tmp_path)
    (tmp_path / ".DS_Store").write_text("x")
    assert files_now(tmp_path) == before
    (tmp_path / ".zattrs").write_text("{}")
    assert files_now(tmp_path) != before


@pytest.mark.parametrize(
    "counts",
    [
        np.array([[2**30, 2**30]]),
        np.array([[2**62, 2**62]]),
        np.array([[2**63 - 1, 5]]),
        np.array([[2**64 - 1, 5]], dtype=np.uint64),
    ],
)
def test_sums_of_a_cell_must_fit_int32(tmp_path, counts):
    block = sp.csr_matrix(counts)
    summary = LayerSummary("X", "int64", (1, 2), 2, 1, 1, True, 1.0, "counts")
    submission = Submission(tmp_path / "x", "h5ad", pd.DataFrame(), pd.DataFrame(), {"X": summary})
    with pytest.raises(DataError, match=r"cell 8 holds \d{10}") as error:
        check_counts(block, 7, submission, "X")
    assert error.value.reason == "count_too_large"
