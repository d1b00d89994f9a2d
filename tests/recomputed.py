"""A release recomputed from the submitted files with pandas, numpy and scipy: nothing of pmcell.

Each check takes a `Study` and raises AssertionError where a published number is not what its column
says. What only pmcell defines (embedding, clusters, strata) is taken as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy import stats

QC_LIMITS = (
    ("n_low_counts", "total_counts", "min_total_counts", -1),
    ("n_high_counts", "total_counts", "max_total_counts", 1),
    ("n_low_genes", "n_genes_detected", "min_genes_detected", -1),
    ("n_high_mitochondrial", "share_mitochondrial", "max_share_mitochondrial", 1),
    ("n_doublets", "doublet_score", "max_doublet_score", 1),
)


@dataclass
class Study:
    """A study with its release; cohorts whose barcodes and genes are the file's index."""

    folder: Path
    names: tuple[str, ...]

    def table(self, name: str) -> pd.DataFrame:
        """A published table."""
        return pd.read_parquet(self.folder / "results/release/tables" / f"{name}.parquet")

    @cached_property
    def counts(self) -> dict[str, ad.AnnData]:
        """Submitted counts of each cohort by the ids that the release gives cells and genes."""
        ledger = self.table("gene_ledger")
        found = {}
        for name in self.names:
            cohort = ad.read_h5ad(self.folder / "config/cohorts" / name / "counts.h5ad")
            own = ledger[ledger["cohort_id"] == name].sort_values("row")
            assert own["source_gene"].tolist() == cohort.var_names.tolist()
            counts = sp.csr_matrix(cohort.X).astype(np.int64)
            assert own["umis"].tolist() == counts.sum(axis=0).A1.tolist()
            kept = own[own["gene_id"].notna()]
            genes = pd.Index(sorted(kept["gene_id"].unique()))
            place = (kept["row"].to_numpy(), genes.get_indexer(kept["gene_id"]))
            to_gene = sp.csr_matrix((np.ones(len(kept), np.int64), place), (len(own), len(genes)))
            cells = pd.DataFrame(index=[f"{name}:{barcode}" for barcode in cohort.obs_names])
            found[name] = ad.AnnData(counts @ to_gene, obs=cells, var=pd.DataFrame(index=genes))
        return found

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The table `cells`, by cell."""
        return self.table("cells").set_index("cell_id")

    @cached_property
    def kept(self) -> pd.DataFrame:
        """Cells that passed QC."""
        return self.cells[self.cells["passes_qc"]]

    @cached_property
    def batches(self) -> pd.Series:
        """Batch of each donor and visit, those of several joined by +."""
        grouped = self.kept.groupby(["donor_id", "visit"])["batch_id"]
        return grouped.agg(lambda own: "+".join(sorted(set(own))))


def close(found: object, expected: object, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(expected, float), rtol=tolerance, atol=tolerance
    )


def quality_of_cells(study: Study) -> None:
    """Counts, genes, mitochondrial share, and whom the published limits exclude."""
    qc, genes = study.table("qc").set_index("sample_id"), study.table("genes")
    mitochondrial = set(genes.loc[genes["symbol"].str.upper().str.startswith("MT-"), "gene_id"])
    for name, counts in study.counts.items():
        own = study.cells.loc[counts.obs_names]
        assert (own["cohort_id"] == name).all()
        total = counts.X.sum(axis=1).A1
        assert own["total_counts"].tolist() == total.tolist()
        assert own["n_genes_detected"].tolist() == (counts.X > 0).sum(axis=1).A1.tolist()
        of_them = counts.var_names.isin(list(mitochondrial))
        if of_them.any():
            share = counts[:, of_them].X.sum(axis=1).A1 / total
            close(own["share_mitochondrial"], share)
    limits = qc.loc[study.cells["sample_id"]].set_index(study.cells.index)
    beyond = {
        counted: sign * study.cells[metric].astype(float) > sign * limits[limit].astype(float)
        for counted, metric, limit, sign in QC_LIMITS
    }
    reasons = pd.DataFrame(beyond)
    assert (study.cells["passes_qc"] == ~reasons.any(axis=1)).all()
    counted = reasons.groupby(study.cells["sample_id"]).sum()
    close(qc[counted.columns], counted.loc[qc.index])
    medians = study.cells.groupby("sample_id")[["total_counts", "n_genes_detected"]].median()
    close(qc[["median_total_counts", "median_genes_detected"]], medians.loc[qc.index])


def published_matrices(study: Study) -> None:
    """`raw.X` is what was submitted, `X` its logarithm, `expression/` the same counts."""
    for name, counts in study.counts.items():
        released = ad.read_h5ad(study.folder / f"results/release/cells/{name}.h5ad")
        raw = sp.csr_matrix(released.raw.X)
        wanted = counts[released.obs_names, released.var_names].X
        assert (raw != wanted).nnz == 0
        assert set(released.obs_names) == set(study.kept.index[study.kept["cohort_id"] == name])
        scaled = wanted.multiply(1e4 / wanted.sum(axis=1)).tocsr()
        assert abs(sp.csr_matrix(released.X) - scaled.log1p()).max() < 1e-5
        row = study.kept.loc[released.obs_names, "cell_row"]
        assert row.tolist() == list(range(released.n_obs))
        rows = pd.read_parquet(study.folder / f"results/release/expression/{name}.parquet")
        place = (rows["cell_row"].to_numpy(), released.var_names.get_indexer(rows["gene_id"]))
        again = sp.csr_matrix((rows["counts"].to_numpy(), place), released.shape)
        assert (again != raw).nnz == 0


def people_are_counted(study: Study) -> None:
    """Cells, samples, visits and donors of every table that counts them."""
    kept = study.kept
    for table, key in (("samples", ["sample_id"]), ("visits", ["donor_id", "visit"])):
        rows = study.table(table).set_index(key)["n_cells"]
        assert rows.tolist() == kept.groupby(key).size().reindex(rows.index, fill_value=0).tolist()
    donors = study.table("donors").set_index("donor_id")
    grouped = kept.groupby("donor_id")
    for column, of in (("n_visits", "visit"), ("n_samples", "sample_id")):
        assert (grouped[of].nunique().reindex(donors.index, fill_value=0) == donors[column]).all()
    cohorts = study.table("cohorts").set_index("cohort_id").loc[list(study.names)]
    for column, of in (("n_donors", "donor_id"), ("n_samples", "sample_id")):
        own = kept.groupby("cohort_id")[of].nunique()
        assert cohorts[column].tolist() == own.loc[cohorts.index].tolist()
    clusters = study.table("clusters").set_index("cluster")
    own = kept.groupby("cluster")
    assert clusters["n_cells"].tolist() == own.size().loc[clusters.index].tolist()
    assert clusters["n_donors"].tolist() == own["donor_id"].nunique().loc[clusters.index].tolist()
    whole = stats.entropy(kept["batch_id"].value_counts())
    mixed = own["batch_id"].agg(lambda ids: stats.entropy(ids.value_counts())) / whole
    close(clusters["batch_entropy"], mixed.loc[clusters.index].clip(upper=1))


def sums_over_cells(study: Study) -> None:
    """Pseudobulk, and shares of types, which sum to one in each visit."""
    parts = []
    for name, counts in study.counts.items():
        own = study.kept[study.kept["cohort_id"] == name]
        key = own["sample_id"] + "\t" + own["profile_cell_type"]
        codes, groups = pd.factorize(key)
        member = sp.csr_matrix((np.ones(len(own), np.int64), (codes, np.arange(len(own)))))
        summed = (member @ counts[own.index].X).tocoo()
        frame = pd.DataFrame({"group": groups[summed.row], "counts": summed.data})
        parts.append(frame.assign(gene_id=counts.var_names[summed.col]))
    expected = pd.concat(parts).set_index(["group", "gene_id"])["counts"]
    found = study.table("pseudobulk")
    found["group"] = found["sample_id"] + "\t" + found["cell_type"]
    found = found.set_index(["group", "gene_id"])["counts"]
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_dtype=False)
    shares = study.table("composition").set_index(["donor_id", "visit", "cell_type"])
    cells = study.kept.rename(columns={"cell_type": "label", "profile_cell_type": "cell_type"})
    cells = cells.groupby(shares.index.names).size().reindex(shares.index, fill_value=0)
    assert shares["n_cells"].tolist() == cells.tolist()
    close(shares["share"], cells / cells.groupby(["donor_id", "visit"]).transform("sum"))
    close(shares.groupby(["donor_id", "visit"])["share"].sum(), 1)


def markers_of_clusters(study: Study) -> None:
    """Welch's t, fold change, shares, rank-sum test and AUC of listed genes; one tissue."""
    shared = sorted(set.intersection(*(set(item.var_names) for item in study.counts.values())))
    counts = ad.concat([item[:, shared] for item in study.counts.values()])[study.kept.index]
    values = np.log1p(counts.X.toarray() * (1e4 / counts.X.sum(axis=1).A1)[:, None])
    cluster = study.kept["cluster"].to_numpy(object)
    listed = study.table("markers")
    for name, own in listed[listed["gene_id"].isin(shared)].groupby("cluster"):
        at = pd.Index(shared).get_indexer(own["gene_id"])
        one, rest = values[cluster == name][:, at], values[cluster != name][:, at]
        welch = stats.ttest_ind(one, rest, equal_var=False)
        # Values are rounded to 1/2048 before they are added.
        close(own["score"], welch.statistic, 5e-3)
        ratio = np.expm1(one.mean(axis=0) + 1e-12) / np.expm1(rest.mean(axis=0) + 1e-12)
        common = (one.mean(axis=0) > 0.01) & (rest.mean(axis=0) > 0.01)
        close(own["log2_fold_change"][common], np.log2(ratio[common]), 5e-3)
        close(own["share_in"], (one > 0).mean(axis=0))
        close(own["share_out"], (rest > 0).mean(axis=0))
        ranked = stats.mannwhitneyu(one, rest, method="asymptotic", use_continuity=False)
        close(own["auc"], ranked.statistic / len(one) / len(rest), 1e-3)


def multiplicity(study: Study) -> None:
    """Every q is Benjamini-Hochberg over the family that its column names."""
    for table, family in (
        ("associations", ["family"]),
        ("composition_shifts", ["contrast", "level"]),
        ("followup_effects", ["programme", "analysis"]),
        ("movement", []),
    ):
        rows = study.table(table).dropna(subset=["p_value"])
        for _, own in rows.groupby(family) if family else [("", rows)]:
            if len(own):
                close(own["q_value"], stats.false_discovery_control(own["p_value"]))
    genes = study.table("differential_expression")
    for _, own in genes.groupby(["contrast", "level", "cell_type"]):
        counted = own["q_value"] < 1
        kept = own["p_value"].to_numpy()[counted]
        choices = [stats.false_discovery_control(own["p_value"])[counted]]
        choices += [stats.false_discovery_control(kept)] if counted.any() else []
        assert any(np.allclose(own["q_value"][counted], q, atol=1e-9) for q in choices)
        outside = (own["log2_fold_change_low"] > 0) | (own["log2_fold_change_high"] < 0)
        assert (outside == (own["p_value"] < 0.05)).all()


def distances_and_axes(study: Study) -> None:
    """The table of distances is `donors.h5ad`; axes are its principal coordinates."""
    donors = ad.read_h5ad(study.folder / "results/release/donors.h5ad")
    visits = pd.MultiIndex.from_frame(donors.obs[["donor_id", "visit"]].astype(str))
    squared = np.asarray(donors.obsp["distance"])
    rows = study.table("donor_distances").query("channel == 'fused'")
    first = visits.get_indexer(pd.MultiIndex.from_frame(rows[["donor_id", "visit"]]))
    other = visits.get_indexer(pd.MultiIndex.from_frame(rows[["other_donor_id", "other_visit"]]))
    close(rows["squared_distance"], squared[first, other], 1e-6)
    places = study.table("assignments").set_index(["donor_id", "visit"]).loc[visits]
    used = (places["left_out"] == "").to_numpy()
    own = squared[np.ix_(used, used)]
    centred = own - own.mean(axis=0) - own.mean(axis=1)[:, None] + own.mean()
    value, vector = np.linalg.eigh(-centred / 2)
    expected = vector[:, -1] * np.sqrt(value[-1])
    found = places["axis_1"].to_numpy(float)[used]
    close(np.abs(found), np.abs(expected), 1e-5)


def covariates_of_donors(study: Study) -> None:
    """Effects of associations with the first axis, and that no technical factor went missing."""
    rows = study.table("associations")
    places = study.table("assignments").set_index(["donor_id", "visit"])
    used = places[places["left_out"] == ""]
    cells = study.kept.groupby(["donor_id", "visit"])
    numbers = {
        "n_cells": cells.size(),
        "median_total_counts": cells["total_counts"].median(),
        "median_share_mitochondrial": cells["share_mitochondrial"].median(),
    }
    tested = rows[(rows["outcome"] == "axis_1") & rows["covariate"].isin(list(numbers))]
    assert {"n_cells", "median_total_counts"} <= set(tested["covariate"])
    for row in tested.itertuples():
        own = numbers[row.covariate].reindex(used.index)
        close(row.effect, stats.spearmanr(used["axis_1"], own).statistic ** 2, 1e-6)
        assert row.n_donors == len(used)


def power_of_groups(study: Study) -> None:
    """The chance that Welch's t-test finds the stated effect, from the counted donors."""
    for row in study.table("donor_groups").itertuples():
        if min(row.n_donors, row.n_other_donors) < 2:
            assert row.power == 0
            continue
        parts = np.array([1 / row.n_donors, 1 / row.n_other_donors])
        sizes = np.array([row.n_donors, row.n_other_donors])
        freedom = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
        limit, shift = stats.t.isf(0.025, freedom), row.effect / np.sqrt(parts.sum())
        law = stats.nct(freedom, shift)
        close(row.power, law.sf(limit) + law.cdf(-limit))


def changes_of_shares(study: Study) -> None:
    """Changes between visits are log2 odds ratios of the published shares."""
    rows = study.table("followup").query("kind == 'cell type'")
    shares = study.table("composition").set_index(["donor_id", "visit", "cell_type"])["n_cells"]
    total = shares.groupby(["donor_id", "visit"]).sum()

    def odds(visit: str) -> np.ndarray:
        own = shares.loc[pd.MultiIndex.from_frame(rows[["donor_id", visit, "quantity"]])]
        of = total.loc[pd.MultiIndex.from_frame(rows[["donor_id", visit]])].to_numpy()
        return np.log2((own.to_numpy() + 0.5) / (of - own.to_numpy() + 0.5))

    close(rows["change"], odds("visit") - odds("previous_visit"))
    judged = rows[rows["change_limit"].notna()]
    changed = judged["change"].abs() > judged["change_limit"]
    assert (changed == (judged["verdict"] == "changed")).all()


CHECKS = (
    quality_of_cells,
    published_matrices,
    people_are_counted,
    sums_over_cells,
    markers_of_clusters,
    multiplicity,
    distances_and_axes,
    covariates_of_donors,
    power_of_groups,
    changes_of_shares,
)
