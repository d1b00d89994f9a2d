"""A simulated cohort of each chronic programme is analysed as its file says."""

from __future__ import annotations

from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest

from pmcell import strata
from pmcell.bundle import bundle_folder
from pmcell.cli import main
from pmcell.io.atomic import write_json
from pmcell.io.counts.aggregates import write_aggregate
from pmcell.io.h5ad import write_h5ad
from pmcell.io.tables import write_table
from pmcell.registry.cohorts.programmes import load_programme
from pmcell.registry.terms.genes import map_genes
from pmcell.registry.terms.ontology import terms
from pmcell.registry.terms.vocabulary import NORMAL
from pmcell.schema import FOLLOWUP, FOLLOWUP_EFFECTS, MEASUREMENTS, STRATUM_STEPS
from pmcell.simulate import simulate_latent
from pmcell.strata.followup.changes import Followed, followed_values
from pmcell.strata.followup.programme import programme_effects
from pmcell.strata.followup.sums import sample_counts, signature_values, types_under
from pmcell.tl.aggregate import aggregate
from pmcell.tl.cell_types import label_cells

CHRONIC = ("arthrosis", "cardiovascular", "kidney", "type2_diabetes")
N_DONORS, N_VISITS = 20, 2


@pytest.fixture(scope="module")
def base():
    """Twenty donors with two visits, without strata; types and diseases are given later."""
    cells = simulate_latent(
        n_donors=N_DONORS,
        n_types=3,
        cells_per_donor=120,
        n_visits=N_VISITS,
        n_batches=1,
        scenario="null",
    )
    cells.obs["visit_day"] = cells.obs["visit_day"].astype(float)
    found = strata.profile(cells)
    strata.distances(found, channels="composition")
    strata.cluster(found, n_bootstraps=9)
    strata.existence(found, n_null=19)
    return found


def cohort_of(base, name: str) -> SimpleNamespace:
    """The donors as patients and controls of a programme, with its variables and signatures."""
    programme = load_programme(bundle_folder() / "config" / "programmes" / f"{name}.yaml")
    donors = base.copy()
    wanted = [c.outcome for c in programme.contrasts.values() if ":" in c.outcome]
    wanted += [s.cell_type for s in programme.signatures.values() if s.cell_type]
    order = list(dict.fromkeys([*wanted, *programme.cell_types]))[:3]
    donors.var_names = [str(terms("CL")[term]["label"]) for term in order]
    people = sorted(set(donors.obs["donor_id"]))
    ill = set(people[::2])
    disease = programme.diseases[0]
    donors.obs["disease_ontology_term_id"] = [
        disease if person in ill else NORMAL for person in donors.obs["donor_id"]
    ]
    donors.obs["cohort_id"] = "sim_1"
    treated = {person: "treated" if at % 4 < 2 else "untreated" for at, person in enumerate(people)}
    return SimpleNamespace(
        programme=programme,
        donors=donors,
        ill=ill,
        people=pd.DataFrame({"donor_id": people, "treatment": [treated[p] for p in people]}),
        treated={person for person, arm in treated.items() if arm == "treated"},
    )


def measured(cohort, rng) -> pd.DataFrame:
    """Every variable of the programme at each visit; the contrast's falls in the treated."""
    outcome = next(c.outcome for c in cohort.programme.contrasts.values() if c.kind == "change")
    rows = []
    keys = cohort.donors.obs[["donor_id", "visit", "visit_day"]]
    for name in dict.fromkeys([outcome, *list(cohort.programme.variables)[:2]]):
        variable = cohort.programme.variables[name]
        middle, width = (variable.low + variable.high) / 2, (variable.high - variable.low) / 100
        for donor, visit, day in keys.itertuples(index=False):
            falls = name == outcome and donor in cohort.treated and day > 0
            value = middle + width * (rng.normal() - 8 * falls)
            rows.append(
                (donor, variable.loinc, len(rows), "sim_1", name, visit, day, value, variable.unit)
            )
    columns = ["donor_id", "loinc", "number", "cohort_id", "variable", "visit", "day", "value"]
    table = pd.DataFrame(rows, columns=[*columns, "unit"])
    return table.assign(
        source="clinic", comparator="", submitted_value=table["value"], submitted_unit=table["unit"]
    )


def sums_of(cohort, rng):
    """Sums of one cohort: each donor's cells of each type, the signatures' genes higher in ill."""
    up, down = [], []
    for signature in cohort.programme.signatures.values():
        up += map_genes(list(signature.genes)).gene_id.tolist()
        down += map_genes(list(signature.lower_genes)).gene_id.tolist()
    genes = [*up, *down, *map_genes(["ACTB", "GAPDH", "B2M"]).gene_id]
    obs, rate = [], []
    for donor, visit in cohort.donors.obs[["donor_id", "visit"]].itertuples(index=False):
        for at, _ in enumerate(cohort.donors.var_names):
            is_ill = donor in cohort.ill
            means = [4.0 if is_ill else 1.0] * len(up) + [1.0 if is_ill else 4.0] * len(down)
            obs += [(f"{donor}-{visit}", donor, visit, str(at))] * 12
            rate += [[*means, 30.0, 30.0, 30.0]] * 12
    cells = pd.DataFrame(obs, columns=["sample_id", "donor_id", "visit", "cluster"]).astype(str)
    counts = rng.poisson(rate).astype(np.float32)
    adata = anndata.AnnData(counts, obs=cells, var=pd.DataFrame(index=genes))
    visits = dict(zip(cells["sample_id"], cells["visit"], strict=True))
    types = {str(at): str(name) for at, name in enumerate(cohort.donors.var_names)}
    return [aggregate(adata)], visits, types


@pytest.mark.parametrize("name", CHRONIC)
def test_a_simulated_cohort_of_a_programme_is_analysed_as_it_declares(base, name):
    rng = np.random.default_rng(len(name))
    cohort = cohort_of(base, name)
    aggregates, visits, types = sums_of(cohort, rng)
    followed = Followed(
        measurements=measured(cohort, rng),
        sample_counts=sample_counts(aggregates, visits, types),
        variables=cohort.programme.variables,
        signatures=signature_values(
            cohort.donors,
            cohort.programme.signatures,
            aggregates=aggregates,
            visits=visits,
            cell_types=types,
        ),
    )
    values = followed_values(cohort.donors, followed)
    assert set(values["kind"]) == {"cell type", "measurement", "signature"}
    effects = programme_effects(
        cohort.donors,
        values,
        programmes={name: cohort.programme},
        cohorts={"sim_1": name},
        people=cohort.people,
    )
    told = effects[effects["term"].isin(cohort.programme.contrasts)].set_index("term")
    assert set(told.index) == set(cohort.programme.contrasts)
    assert (told["refused"] == "").all()
    for term, contrast in cohort.programme.contrasts.items():
        row = told.loc[term]
        assert row["n_donors"] == row["n_reference"] == N_DONORS / 2
        if contrast.kind == "change":
            assert row["effect_high"] < 0, "treatment was planted"
        elif contrast.outcome in cohort.programme.signatures:
            assert row["effect_low"] > 0, "the signature was planted"
        else:
            assert row["p_value"] > 1e-4, "no difference of shares was planted"
    models = effects[effects["analysis"].str.startswith("mixed model")]
    assert set(models["outcome"]) == set(followed.measurements["variable"])


def test_a_cohort_of_no_programme_has_its_values_but_no_contrasts(base):
    rng = np.random.default_rng(0)
    cohort = cohort_of(base, "kidney")
    followed = Followed(measurements=measured(cohort, rng))
    effects = programme_effects(
        cohort.donors,
        followed_values(cohort.donors, followed),
        programmes={},
        cohorts={"sim_1": "none"},
    )
    assert set(effects["programme"]) == {"none"}
    assert effects["analysis"].str.startswith("mixed model").all()


def test_a_contrast_without_the_studys_column_is_refused_with_the_reason(base):
    cohort = cohort_of(base, "kidney")
    effects = programme_effects(
        cohort.donors,
        followed_values(cohort.donors, Followed()),
        programmes={"kidney": cohort.programme},
        cohorts={"sim_1": "kidney"},
    ).set_index("term")
    assert "no column 'treatment'" in effects.loc["egfr_treated", "refused"]
    assert effects.loc["maladaptive_tubule_ckd", "refused"] == "no donor has a value"


def test_types_below_a_term_count_for_it():
    types = ["CD4-positive, alpha-beta memory T cell", "naive B cell", "cluster 3"]
    assert types_under("CL:0000084", types) == types[:1]


@pytest.fixture(scope="module")
def inputs(base, tmp_path_factory):
    """Files of a kidney cohort, as earlier steps leave them."""
    folder = tmp_path_factory.mktemp("followup")
    rng = np.random.default_rng(1)
    cohort = cohort_of(base, "kidney")
    (part,), visits, types = sums_of(cohort, rng)
    own = folder / "cohorts" / "sim_1"
    own.mkdir(parents=True)
    write_aggregate(own / "aggregate.npz", part)
    pd.DataFrame(visits.items(), columns=["sample_id", "visit"]).to_parquet(own / "samples.parquet")
    write_table(own / "measurements.parquet", measured(cohort, rng), MEASUREMENTS)
    write_json(own / "intake.json", {"registration": {"programme": "kidney"}})
    write_h5ad(folder / "donors.h5ad", cohort.donors)
    clusters = pd.DataFrame({"cluster": list(types), "cell_type": list(types.values())})
    clusters = clusters.assign(cell_type_ontology_term_id="unknown", cell_type_confidence=0.9)
    labelled = label_cells(pd.DataFrame({"cluster": list(types) * 5}), clusters)
    labelled.to_parquet(folder / "cell_types.parquet")
    cohort.people.to_csv(folder / "clinical.tsv", sep="\t", index=False)
    return folder


def call(inputs, out, *programmes) -> list[str]:
    return [
        *("followup", "--donors", str(inputs / "donors.h5ad")),
        *("--cohort", "sim_1", str(inputs / "cohorts" / "sim_1"), "--out-dir", str(out)),
        *("--cell-types", str(inputs / "cell_types.parquet")),
        *("--clinical", str(inputs / "clinical.tsv"), "--n-draws", "19"),
        *("--programmes", *map(str, programmes)),
    ]


KIDNEY = bundle_folder() / "config" / "programmes" / "kidney.yaml"


def test_the_step_writes_its_tables_the_same_twice(inputs, tmp_path, capsys):
    for name in ("one", "two"):
        assert main(call(inputs, tmp_path / name, KIDNEY)) == 0
    # Two contrasts, and two values of three types each, within donors and between them.
    assert "14 comparisons, 0 of them refused" in capsys.readouterr().out
    for table in (FOLLOWUP, STRATUM_STEPS, FOLLOWUP_EFFECTS):
        one, two = (tmp_path / name / f"{table.name}.parquet" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert list(pd.read_parquet(one)) == table.columns
    changes = pd.read_parquet(tmp_path / "one" / "followup.parquet")
    assert set(changes["kind"]) >= {"cell type", "measurement", "signature"}


def test_programmes_that_mean_different_things_by_one_name_are_refused(inputs, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    text = KIDNEY.read_text().replace("id: kidney", "id: other").replace("g/dL", "g/L")
    other.write_text(text)
    assert main(call(inputs, tmp_path / "out", KIDNEY, other)) == 2
    assert "'haemoglobin' has g/L (difference) in other and g/dL" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_programme_file_with_faults_stops_the_step_with_all_of_them(inputs, tmp_path, capsys):
    broken = tmp_path / "kidney.yaml"
    broken.write_text(KIDNEY.read_text().replace("loinc: 718-7", "loinc: 718-8") + "nonsense: 1\n")
    assert main(call(inputs, tmp_path / "out", broken)) == 3
    assert "must be a key of" in capsys.readouterr().err
