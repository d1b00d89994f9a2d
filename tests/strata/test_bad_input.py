"""Studies that cannot carry an answer get a reason in its place, from library and commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import pmcell as pm
from explain_inputs import GENES, counts_of, explain, write_inputs
from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.h5ad import read_h5ad
from pmcell.io.tables import read_table
from pmcell.simulate import simulate_latent
from pmcell.strata.profiles import slots
from strata_inputs import configure, profile, strata, write_atlas

if TYPE_CHECKING:
    from anndata import AnnData

N_DONORS = 24


@pytest.fixture(scope="module")
def few() -> AnnData:
    """Twenty-four donors in two clear strata and three batches."""
    return simulate_latent(
        n_donors=N_DONORS,
        n_strata=2,
        n_types=3,
        n_dims=4,
        cells_per_donor=120,
        effect=2.0,
        donor_sd=0.1,
        seed=4,
    )


@pytest.fixture(scope="module")
def clear(few: AnnData) -> AnnData:
    """The same after the existence test."""
    donors = pm.strata.profile(few)
    pm.strata.distances(donors, channels="all")
    pm.strata.cluster(donors, n_bootstraps=3)
    pm.strata.existence(donors, n_null=19)
    assert donors.uns["existence"]["decision"] == "strata"
    return donors


def of(cells: AnnData, number: int) -> np.ndarray:
    """Cells of one donor."""
    names = sorted(set(cells.obs["donor_id"].astype(str)))
    return (cells.obs["donor_id"].astype(str) == names[number]).to_numpy()


def clinical(folder: Path, **columns: object) -> None:
    """A clinical table of all visits, declared."""
    visits = read_h5ad(folder / "profiles.h5ad").obs[["donor_id", "visit"]].astype(str)
    visits.assign(**columns).to_csv(folder / "clinical.tsv", sep="\t", index=False)


def test_one_donor_gets_no_number_from_any_function(few: AnnData) -> None:
    donors = pm.strata.profile(few[of(few, 0)].copy())
    pm.strata.distances(donors)
    pm.strata.cluster(donors)
    pm.strata.existence(donors)
    pm.strata.place(donors)
    assert donors.uns["existence"]["decision"] == "too few donors"
    assert "there are no candidate strata" in pm.strata.generalise(donors)["why"]
    adjusted = pm.strata.adjusted_strata(donors, adjust_for=("n_cells",))
    assert "there are no candidate strata" in adjusted["refused"]
    assert len(pm.strata.associate(donors, n_permutations=99)) == 0
    assert set(donors.uns["not_tested"].values()) <= {
        "no column of the profiles of donors",
        "known for 1 donor, 5 are needed",
    }
    visits = donors.obs[["donor_id"]].assign(score=1.0, days=3.0, died=1)
    mixed = pm.strata.mixed_models(donors, visits=visits, outcomes=("score",), covariates=())
    times, curves = pm.strata.survival(
        donors, people=visits, time="days", event="died", covariates=()
    )
    for table in (mixed, times):
        assert (table["refused"] != "").all()
        assert table["p_value"].isna().all()
    assert len(curves) == 0
    counts = {"T cell": pd.DataFrame(5, donors.obs_names, GENES)}
    genes, facts = pm.strata.differential_expression(donors, pseudobulk=counts)
    assert len(genes) == 0
    assert facts["why_not"].item() == "no strata are published (too few donors)"


def test_one_donor_passes_all_three_commands_with_a_reason(
    few: AnnData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_atlas(tmp_path, few[of(few, 0)].copy())
    assert profile(tmp_path) == 0
    assert strata(tmp_path) == 0
    assert "No strata published (too few donors)" in capsys.readouterr().out
    donors = read_h5ad(tmp_path / "donors.h5ad")
    (tmp_path / "again").mkdir()
    folder = write_inputs(tmp_path / "again", donors)
    assert explain(folder) == 0
    said = capsys.readouterr().out
    assert "stratum: not tested: no strata are published" in said
    assert "condition: not tested: known values among the donors: 1" in said
    assert len(read_table(folder / "differential_expression.parquet")) == 0


def test_a_profile_without_pools_as_older_versions_made_it_is_refused(analysed: AnnData) -> None:
    donors = analysed.copy()
    del donors.var["state_pool"]
    for function in (pm.strata.distances, pm.strata.cluster, pm.strata.existence):
        with pytest.raises(UsageError, match="in this version, with var 'state_pool'"):
            function(donors)


def test_the_commands_say_what_a_poor_study_cannot_tell(few: AnnData, tmp_path: Path) -> None:
    """A condition a batch, a donor without a type, a constant and an unknown covariate."""
    cells = few.copy()
    batch = cells.obs["batch_id"].astype(str)
    cells.obs["condition"] = np.where(batch == "batch_1", "case", "control")
    cells.obs["sex_ontology_term_id"] = "PATO:0000383"
    gone = of(cells, 2) & (cells.obs["cell_type"] == "type_02").to_numpy()
    write_atlas(tmp_path, cells[~gone].copy())
    assert profile(tmp_path) == 0
    score = np.arange(float(N_DONORS))
    clinical(
        tmp_path, score=score, age="", weight=np.where(score < 3, score, np.nan), days=5, died=1
    )
    configure(
        tmp_path,
        f"clinical: {tmp_path / 'clinical.tsv'}, outcomes: [score], covariates: [age, sex], "
        "survival: {time: days, event: died}, adjust_for: [age]",
    )
    assert strata(tmp_path) == 0
    facts = read_json(tmp_path / "strata.json")
    assert any("Every batch holds one condition" in text for text in facts["warnings"])
    assert "cannot be told apart from the batch" in facts["not_tested"]["condition"]
    assert facts["not_tested"]["sex_ontology_term_id"] == "the same for every donor"
    assert facts["not_tested"]["weight"] == "known for 3 donors, 5 are needed"
    assert facts["adjusted"]["refused"] == "age: known for 0 donors, 5 are needed"
    assert "ari" not in facts["adjusted"]
    tested = read_table(tmp_path / "associations.parquet")
    assert not {"condition", "sex_ontology_term_id", "weight"} & set(
        tested.loc[tested["family"] == "clinical", "covariate"]
    )
    outcomes = read_table(tmp_path / "outcomes.parquet").set_index("model")
    assert "0 donors have two visits" in outcomes.loc["mixed model", "refused"]
    assert "the same time" in outcomes.loc["Cox regression", "refused"]
    assert "no event is at a time when" in outcomes.loc["log-rank test", "refused"]
    assert outcomes["p_value"].isna().all()
    donors = read_h5ad(tmp_path / "donors.h5ad")
    assert np.isnan(donors.obsm["X_state"][2]).any()
    assert donors.obs[slots.CANDIDATE].iloc[2] != ""
    counts = counts_of(donors).drop(index=donors.obs_names[2])
    (tmp_path / "again").mkdir()
    folder = write_inputs(tmp_path / "again", donors, counts)
    text = "differential_expression: {contrasts: [condition, stratum], covariates: [sex]}\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    assert explain(folder, "--config", str(folder / "config.yaml")) == 0
    compared = read_table(folder / "expression_contrasts.parquet").set_index("contrast")
    assert "cannot be told from batch" in compared.loc["condition", "why_not"]
    assert compared.loc["stratum", "why_not"] == ""
    assert compared.loc["stratum", ["n_donors_level", "n_donors_reference"]].sum() == N_DONORS - 1
    assert (
        "not adjusted for sex_ontology_term_id: the same for every donor"
        in (compared.loc["stratum", "design"])
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("nan", "must be finite in every cell; 2 of 2880 are not, the first is 'D0001_T0_00005'"),
        ("infinite", "with inf in dimension 3. Leave these cells out"),
        ("donor", "every cell must have a donor; 1 of 2880 have none in 'donor_id'"),
    ],
)
def test_cells_without_a_place_or_a_donor_stop_the_profile(
    spoil: str, message: str, few: AnnData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = few.copy()
    if spoil == "donor":
        cells.obs["donor_id"] = cells.obs["donor_id"].astype(object)
        cells.obs.loc[cells.obs_names[4], "donor_id"] = ""
    else:
        cells.obsm["X_integrated"][[4, 9], 2] = np.nan if spoil == "nan" else np.inf
    write_atlas(tmp_path, cells)
    assert profile(tmp_path) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "profiles.h5ad").exists()
    with pytest.raises(DataError):
        pm.strata.profile(cells)


@pytest.mark.parametrize("values", [np.array([["a"]] * 2880), np.zeros((2880, 0))])
def test_an_embedding_that_is_no_table_of_numbers_is_refused(
    values: np.ndarray, few: AnnData
) -> None:
    cells = few.copy()
    cells.obsm["X_integrated"] = values
    with pytest.raises(DataError, match="must hold numbers, cells × dimensions; it is"):
        pm.strata.profile(cells)


@pytest.mark.parametrize(
    ("donor", "code", "message"),
    [
        ("", 2, "every row of"),
        ("somebody:else", 3, "1 ids are not: somebody:else"),
    ],
)
def test_clinical_visits_without_a_donor_stop_the_strata(
    donor: str,
    code: int,
    message: str,
    few: AnnData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_atlas(tmp_path, few, more=f"clinical: {tmp_path / 'clinical.tsv'}, outcomes: [score]")
    assert profile(tmp_path) == 0
    clinical(tmp_path, score=1.0)
    table = pd.read_csv(tmp_path / "clinical.tsv", sep="\t")
    table.loc[3, "donor_id"] = donor
    table.to_csv(tmp_path / "clinical.tsv", sep="\t", index=False)
    assert strata(tmp_path) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "strata.json").exists()


def test_a_stratum_below_the_minimum_is_in_no_comparison(clear: AnnData) -> None:
    donors = clear.copy()
    first = donors.obs_names[donors.obs[slots.CANDIDATE] == "S2"][2:]
    donors.obs.loc[first, slots.CANDIDATE] = "S1"
    ks = [int(k) for k in donors.uns["clustering"]["ks"]]
    donors.obsm[slots.LABELS][donors.obs_names.isin(first), ks.index(2)] = 0
    visits = donors.obs[["donor_id"]].assign(score=np.arange(24.0), days=np.arange(1.0, 25), died=1)
    visits = pd.concat([visits, visits.assign(score=visits["score"] + 0.3)])
    mixed = pm.strata.mixed_models(donors, visits=visits, outcomes=("score",), covariates=())
    assert mixed["refused"].tolist() == ["S2 has 2 donors with all values, 5 are needed"]
    people = visits.drop_duplicates("donor_id")
    times, curves = pm.strata.survival(
        donors, people=people, time="days", event="died", covariates=()
    )
    assert set(times["refused"]) == {"S2 has 2 donors with all values, 5 are needed"}
    assert len(curves) == 0
    _, facts = pm.strata.differential_expression(donors, pseudobulk={"T": counts_of(donors)})
    assert facts["why_not"].str.contains("(S2 2); 3 a side are needed", regex=False).all()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("F", "~ batch_id + level; not adjusted for sex: the same for every donor"),
        ("unknown", "~ batch_id + level; not adjusted for sex: known for 0 donors, 5 are needed"),
        ("batch", "~ batch_id + level; not adjusted for sex: it follows from the batch"),
        ("half", "~ batch_id + sex + level; 10 donors without sex left out"),
        ("everyone", "~ batch_id + level; not adjusted for sex: 24 levels in 24 donors"),
    ],
)
def test_what_a_comparison_of_genes_is_not_adjusted_for_is_told(
    values: str, told: str, clear: AnnData
) -> None:
    donors = clear.copy()
    number = np.arange(donors.n_obs)
    donors.obs["sex"] = {
        "batch": donors.obs["batch_id"].astype(str),
        "half": np.where(number < 10, "unknown", np.where(number % 4 < 2, "F", "M")),
        "everyone": donors.obs["donor_id"].astype(str),
    }.get(values, values)
    _, facts = pm.strata.differential_expression(
        donors, pseudobulk={"T": counts_of(donors)}, covariates=("sex",)
    )
    assert facts["design"].item().startswith(told)
    n_donors = facts[["n_donors_level", "n_donors_reference"]].sum(axis=1).item()
    assert n_donors == (14 if values == "half" else N_DONORS)


def test_a_covariate_that_is_the_stratum_refuses_the_comparison(clear: AnnData) -> None:
    donors = clear.copy()
    donors.obs["sex"] = donors.obs[slots.CANDIDATE].astype(str)
    genes, facts = pm.strata.differential_expression(
        donors, pseudobulk={"T": counts_of(donors)}, covariates=("sex",)
    )
    assert len(genes) == 0
    assert "cannot be told from sex: its values go with the groups" in facts["why_not"].item()
