"""The embedded cohorts are what their registration says, and their maker is deterministic."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
COHORTS = REPOSITORY / "config" / "cohorts"
DEMO = ("liu_b1", "liu_b2", "liu_b3")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@pytest.fixture(scope="module")
def maker():
    path = REPOSITORY / "scripts" / "make_demo_cohorts.py"
    spec = importlib.util.spec_from_file_location("make_demo_cohorts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=DEMO)
def cohort(request):
    folder = COHORTS / request.param
    settings = yaml.safe_load((folder / "cohort.yaml").read_text(encoding="utf-8"))
    return folder, settings, ad.read_h5ad(folder / settings["matrix"]["path"])


def sheet(folder, name):
    return pd.read_csv(folder / name, sep="\t", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def source():
    """A tiny submitted file of the wheel's form: two modalities that share a name."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "cohort": ["batch1"] * 6 + ["batch2"] * 4 + ["batch3"] * 4,
            "sample_id": ["B1_D1_T0"] * 3 + ["B1_D1_T1"] * 3 + ["B2_D2_HC"] * 4 + ["B3_D3_T0"] * 4,
            "Donor": ["D1"] * 6 + ["D2"] * 4 + ["D3"] * 4,
            "Batch": ["B1"] * 6 + ["B2"] * 4 + ["B3"] * 4,
            "cond_group": ["Severe"] * 6 + ["HC"] * 4 + ["Severe"] * 4,
            "Age_interval": ["<60"] * 10 + [">=60"] * 4,
            "mergedcelltype": ["NK", "pDC"] * 7,
        },
        index=[str(number) for number in range(14)],
    )
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression"] * 3 + ["Antibody Capture"]},
        index=["CD14", "NKG7", "LYZ", "CD14"],
    )
    with pytest.warns(UserWarning, match="not unique"):
        return ad.AnnData(rng.poisson(2.0, (14, 4)).astype(np.float32), obs=obs, var=var)


def test_all_data_in_the_repository_stay_small():
    assert sum(file.stat().st_size for file in COHORTS.rglob("*") if file.is_file()) < 8_000_000


def test_cohorts_hold_raw_counts_of_at_most_250_cells_a_sample(cohort):
    _, _, adata = cohort
    assert adata.n_vars == 1000
    assert adata.var_names.is_unique
    assert adata.obs_names.is_unique
    assert adata.X.dtype == np.uint16
    assert adata.X.data.min() >= 1
    assert adata.X.has_sorted_indices
    assert adata.obs["sample_id"].value_counts().max() <= 250


def test_cells_keep_the_submitted_order(cohort):
    rows = cohort[2].obs_names.astype(int)
    assert (np.diff(rows) > 0).all()


def test_tables_name_exactly_the_samples_and_donors_of_the_file(cohort):
    folder, settings, adata = cohort
    samples, donors = sheet(folder, "samples.tsv"), sheet(folder, "donors.tsv")
    assert settings["id"] == folder.name
    assert samples["sample_id"].is_unique
    assert donors["donor_id"].is_unique
    assert set(samples["sample_id"]) == set(adata.obs["sample_id"])
    assert set(samples["donor_id"]) == set(donors["donor_id"])
    told = samples.set_index("sample_id").loc[adata.obs["sample_id"].astype(str)]
    assert (told["donor_id"].to_numpy() == adata.obs["Donor"].astype(str).to_numpy()).all()
    assert (told["batch_id"].to_numpy() == adata.obs["Batch"].astype(str).to_numpy()).all()
    for identifier in [*samples["sample_id"], *donors["donor_id"], *samples["visit"]]:
        assert ID.fullmatch(identifier)


def test_condition_and_disease_say_the_same(cohort):
    folder, _, _ = cohort
    both = sheet(folder, "samples.tsv").merge(sheet(folder, "donors.tsv"), on="donor_id")
    pairs = set(zip(both["condition"], both["disease_ontology_term_id"], strict=True))
    assert pairs == {("severe COVID-19", "MONDO:0100096"), ("healthy control", "PATO:0000461")}
    assert set(both.loc[both["condition"] == "healthy control", "visit"]) == {"HC"}


def test_terms_exist_and_are_current(cohort):
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

    folder, settings, adata = cohort
    parser = OntologyParser()
    mapping = settings["values"]["cell_type"]
    assert set(mapping) == set(adata.obs["mergedcelltype"])
    terms = {*mapping.values(), *(sheet(folder, "donors.tsv")["disease_ontology_term_id"])}
    terms |= set(sheet(folder, "donors.tsv")["development_stage_ontology_term_id"])
    terms |= {value for value in settings["defaults"].values() if ":" in value}
    for term in terms:
        assert not parser.is_term_deprecated(term), term


def test_no_donor_is_in_two_cohorts():
    donors = [donor for name in DEMO for donor in sheet(COHORTS / name, "donors.tsv")["donor_id"]]
    assert len(donors) == len(set(donors)) == 43
    assert sum(len(sheet(COHORTS / name, "samples.tsv")) for name in DEMO) == 63


def test_a_draw_is_part_of_a_larger_draw_and_keeps_order(maker):
    samples = ["a"] * 40 + ["b"] * 5
    cells = [str(number) for number in range(45)]
    few = maker.draw(samples, cells, n_cells=10, seed=0)
    many = maker.draw(samples, cells, n_cells=20, seed=0)
    assert set(few) < set(many)
    assert few == sorted(few)
    assert sum(place >= 40 for place in few) == 5
    assert few != maker.draw(samples, cells, n_cells=10, seed=1)


def test_a_draw_is_uniform_within_a_sample(maker):
    times_drawn = np.zeros(20)
    for seed in range(400):
        times_drawn[maker.draw(["a"] * 20, [str(n) for n in range(20)], n_cells=5, seed=seed)] += 1
    assert times_drawn.sum() == 2000
    # 400 draws with chance 1/4: mean 100, sd 8.7.
    assert np.abs(times_drawn - 100).max() < 40


def test_rerunning_the_maker_gives_identical_bytes(maker, source, tmp_path):
    for name in ("one", "two"):
        maker.make_cohorts(source, tmp_path / name, n_cells=2, seed=0)
    files = sorted(file for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert len(files) == 12
    for file in files:
        other = tmp_path / "two" / file.relative_to(tmp_path / "one")
        assert file.read_bytes() == other.read_bytes()


def test_the_maker_keeps_genes_only_and_every_cell_when_asked(maker, source, tmp_path):
    folders = maker.make_cohorts(source, tmp_path, n_cells=None, seed=0)
    first = ad.read_h5ad(folders[0] / "counts.h5ad")
    assert list(first.var_names) == ["CD14", "NKG7", "LYZ"]
    assert np.array_equal(first.X.toarray(), source.X[:6, :3])
    assert list(sheet(folders[0], "samples.tsv")["visit"]) == ["T0", "T1"]


def test_the_maker_refuses_another_wheel(maker, tmp_path, capsys):
    wheel = tmp_path / maker.WHEEL
    wheel.write_bytes(b"not the wheel")
    assert maker.main(["--wheel", str(wheel), "--out", str(tmp_path / "out")]) == 3
    assert "must have SHA-256 65b189f2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_full_cohorts_stay_out_of_the_repository(maker, capsys):
    with pytest.raises(SystemExit, match="2"):
        maker.main(["--full"])
    assert "--full must be given with --out" in capsys.readouterr().err
