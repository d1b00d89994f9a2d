"""Follow-up on simulated donors with known truth: how often a planted change is found, a null not.

Five questions, each with the truth in hand and seeds that were not looked at while the methods
were written (judgement: from 10,000; development: from 0). Rates have exact binomial intervals
over simulated studies, or over studies' means where rows of a study are not independent.

1. `share`: changes of cell shares against the reference change value. Healthy donors repeat 3
   visits; ill donors have 2; log2 odds vary between visits by `tau` beyond counting 300 cells.
2. `profile`: direction of the whole profile, end to end on simulated cells.
3. `treatment`: difference in differences: level of the test, coverage, power as predicted.
4. `states`: mixed models within and between donors: level and coverage.
5. `steps`: coverage of the donor bootstrap for steps between strata.

Example (followup.tsv holds what it printed):
  python tests/benchmarks/person/followup.py --studies 30 --cells 4 --first-seed 10000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

HEALTHY, ILL = "PATO:0000461", "MONDO:0005148"
REFERENCE = ("disease_ontology_term_id", HEALTHY)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200, help="studies of each count-level row")
    parser.add_argument("--cells", type=int, default=20, help="studies that are simulated as cells")
    parser.add_argument("--first-seed", type=int, default=10_000)
    args = parser.parse_args()
    print("question\tcase\tmeasure\tvalue\tlow\thigh\tn\tunit")
    for rows in (
        share(args.studies, args.first_seed),
        treatment(args.studies, args.first_seed),
        states(args.studies, args.first_seed),
        steps(args.studies, args.first_seed),
        profile(args.cells, args.first_seed),
    ):
        for row in rows:
            print("\t".join(map(str, row)), flush=True)


def rate(question: str, case: str, measure: str, hits: int, n: int, unit: str) -> tuple[Any, ...]:
    """A row with an exact binomial interval."""
    interval = binomtest(hits, n).proportion_ci(0.95, "exact")
    return (question, case, measure, *(f"{x:.3f}" for x in (hits / n, *interval)), n, unit)


def mean_rate(
    question: str, case: str, measure: str, shares: list[float], unit: str
) -> tuple[Any, ...]:
    """A row whose interval is over studies, for the rows of a study hang together."""
    values = np.array(shares)
    error = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    mean = values.mean()
    shown = (f"{mean:.3f}", f"{max(mean - error, 0):.3f}", f"{min(mean + error, 1):.3f}")
    return (question, case, measure, *shown, values.size, unit)


def share(n_studies: int, first: int) -> Iterator[tuple[Any, ...]]:
    """Changes of cell shares: false ones, and planted ones of 1 and 2 in log2 odds."""
    for n_healthy in (6, 20):
        for tau in (0.0, 0.4):
            for planted in (0.0, 1.0, 2.0):
                found = [
                    share_study(n_healthy, tau, planted, first + at) for at in range(n_studies)
                ]
                case = f"{n_healthy} healthy x 3 visits, tau {tau:g}, change {planted:g}"
                measure = "changed" if planted else "changed (null)"
                yield mean_rate("share", case, measure, found, "studies of 10 ill donors")


def share_study(n_healthy: int, tau: float, planted: float, seed: int) -> float:
    """Share of ill donors whose planted type is called changed (all types where none is)."""
    from pmcell.strata.followup.changes import Followed, judged_changes
    from pmcell.strata.followup.reference import Reference
    from pmcell.strata.followup.values import CELL_TYPE, LOG_ODDS, log_odds

    rng = np.random.default_rng(seed)
    base = np.array([1.0, 0.5, 0.0, -0.5, -1.0]) * np.log(2)
    rows = []
    for donor in range(n_healthy + 10):
        own = base + rng.normal(0, 0.5, 5)
        healthy = donor < n_healthy
        for place in range(3 if healthy else 2):
            logits = own + rng.normal(0, tau * np.log(2), 5)
            if not healthy and place:
                logits[2] += planted * np.log(2)
            p = np.exp(logits) / np.exp(logits).sum()
            counts = rng.multinomial(300, p)[None, :].astype(float)
            x, sampling = log_odds(counts)
            for k in range(5):
                name = (f"d{donor}", f"T{place}", place, np.nan, CELL_TYPE, f"type {k}")
                rows.append(
                    (*name, "1", LOG_ODDS, counts[0, k] / 300, x[0, k], sampling[0, k], "b")
                )
    columns = ["donor_id", "visit", "place", "day", "kind", "quantity", "unit", "change_unit"]
    values = pd.DataFrame(rows, columns=[*columns, "value", "x", "sampling", "batch_id"])
    group = Reference(frozenset(f"d{i}" for i in range(n_healthy)), np.zeros(0, np.int64))
    found = pd.DataFrame(judged_changes(values, group, followed=Followed()))
    ill = found[~found["donor_id"].isin(group.donors)]
    if planted:
        ill = ill[ill["quantity"] == "type 2"]
    return float((ill["verdict"] == "changed").mean())


def treatment(n_studies: int, first: int) -> Iterator[tuple[Any, ...]]:
    """Difference in differences with a common drift, unequal spread, and no effect or one."""
    for n, n_reference, sd, effect in (
        *((20, 20, (4.0, 4.0), 0.0), (8, 30, (6.0, 3.0), 0.0)),
        *((20, 20, (4.0, 4.0), -4.0), (8, 30, (6.0, 3.0), -4.0)),
    ):
        found = [arms(n, n_reference, sd, effect, first + at) for at in range(n_studies)]
        case = f"{n} treated (sd {sd[0]:g}), {n_reference} untreated (sd {sd[1]:g}), {effect:+g}"
        significant = sum(row["p_value"] <= 0.05 for row in found)
        covered = sum(row["effect_low"] <= effect <= row["effect_high"] for row in found)
        measure = "p <= 0.05" if effect else "p <= 0.05 (null)"
        yield rate("treatment", case, measure, significant, n_studies, "studies")
        yield rate("treatment", case, "95 % interval holds it", covered, n_studies, "studies")
        if effect:
            told = [row["power"] for row in found]
            yield mean_rate("treatment", case, "power as predicted", told, "studies")


def arms(n: int, n_reference: int, sd: tuple[float, float], effect: float, seed: int) -> Any:
    """One study of treated and untreated donors."""
    from pmcell.settings.programme import Contrast
    from pmcell.strata.followup.differences import contrast_row

    rng = np.random.default_rng(seed)
    rows = []
    for at in range(n + n_reference):
        treated = at < n
        level = rng.normal(50, 8)
        change = 1.5 + effect * treated + rng.normal(0, sd[0] if treated else sd[1])
        rows += [(f"d{at}", 0, level), (f"d{at}", 1, level + change)]
    values = pd.DataFrame(rows, columns=["donor_id", "place", "x"])
    people = pd.DataFrame(
        {
            "donor_id": [f"d{at}" for at in range(n + n_reference)],
            "treatment": ["treated"] * n + ["untreated"] * n_reference,
        }
    )
    contrast = Contrast(
        question="Does it fall?",
        kind="change",
        outcome="hba1c",
        column="treatment",
        group="treated",
        reference="untreated",
    )
    values = values.assign(change_unit="difference", batch_id="b")
    return contrast_row(values, people, contrast, programme="p", name="c", minimal=4.0)


def states(n_studies: int, first: int) -> Iterator[tuple[Any, ...]]:
    """Mixed models where the value follows the state within donors, between, or not at all."""
    for n_donors, n_visits in ((16, 2), (30, 3)):
        for within, between in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0)):
            found = [
                state_study(n_donors, n_visits, within, between, first + at)
                for at in range(n_studies)
            ]
            fitted = [rows for rows in found if rows is not None]
            case = f"{n_donors} donors x {n_visits}, within {within:g}, between {between:g}"
            n = len(fitted)
            yield rate("states", case, "fitted, not refused", n, n_studies, "studies")
            for place, (name, truth) in enumerate((("within", within), ("between", between))):
                hits = sum(rows[place][0] <= 0.05 for rows in fitted)
                null = "" if truth else " (null)"
                yield rate("states", case, f"{name} p <= 0.05{null}", hits, n, "studies")
                inside = sum(rows[place][1] <= truth <= rows[place][2] for rows in fitted)
                yield rate("states", case, f"{name} interval holds it", inside, n, "studies")


def state_study(
    n_donors: int, n_visits: int, within: float, between: float, seed: int
) -> list[tuple[float, float, float]] | None:
    """p and interval (in the state's own units) of both terms; None where the fit is refused."""
    from pmcell.strata.followup.states import state_models

    rng = np.random.default_rng(seed)
    donor = np.repeat(np.arange(n_donors), n_visits)
    visit = np.tile(np.arange(n_visits), n_donors)
    x = rng.normal(0, 1, n_donors)[donor] + rng.normal(0, 1, donor.size)
    mean = (np.bincount(donor, x) / n_visits)[donor]
    y = between * mean + within * (x - mean)
    y += rng.normal(0, 1.5, n_donors)[donor] + rng.normal(0, 1, donor.size)
    keys = pd.DataFrame({"donor_id": [f"d{i}" for i in donor], "visit": [f"T{i}" for i in visit]})
    measured = keys.assign(quantity="crp", x=y, change_unit="difference")
    rows = state_models(measured, keys.assign(quantity="T cell", x=x), programme="p")
    if rows[0]["refused"]:
        return None
    scale = x.std()
    return [(r["p_value"], r["effect_low"] / scale, r["effect_high"] / scale) for r in rows]


def steps(n_studies: int, first: int) -> Iterator[tuple[Any, ...]]:
    """Intervals of the share of steps that change stratum; donors differ in how they change."""
    for n_donors, truth in ((16, 0.2), (40, 0.2), (16, 0.02)):
        hits = sum(step_study(n_donors, truth, first + at) for at in range(n_studies))
        case = f"{n_donors} donors x 1 to 3 steps, true share {truth:g}"
        yield rate("steps", case, "95 % interval holds it", hits, n_studies, "studies")


def step_study(n_donors: int, truth: float, seed: int) -> bool:
    """Whether the interval holds the true share, donors' own rates being beta distributed."""
    from pmcell.strata.followup.stratum_steps import _interval

    rng = np.random.default_rng(seed)
    own = rng.beta(4 * truth, 4 * (1 - truth), n_donors)
    total = rng.integers(1, 4, n_donors)
    hit = rng.binomial(total, own)
    drawn = rng.integers(0, n_donors, (1000, n_donors))
    weight = np.stack([np.bincount(row, minlength=n_donors) for row in drawn])
    low, high = _interval(hit, total, weight, float(hit.sum() / total.sum()), n_donors)
    return bool(low <= truth <= high)


def profile(n_studies: int, first: int) -> Iterator[tuple[Any, ...]]:
    """Direction of the whole profile, on simulated cells: no change, half way back, away."""
    for case, amount in (("null", 0.0), ("half way to the healthy", 0.5), ("as far again", -1.0)):
        found = [profile_study(amount, first + at) for at in range(n_studies)]
        right = "toward" if amount > 0 else "away"
        wrong = "away" if amount > 0 else "toward"
        if not amount:
            shares = [float((own != "").mean()) for own in found]
            yield mean_rate("profile", case, "changed (null)", shares, "studies of 10 ill donors")
            continue
        for name in (right, wrong):
            shares = [float((own == name).mean()) for own in found]
            yield mean_rate("profile", case, name, shares, "studies of 10 ill donors")


def profile_study(amount: float, seed: int) -> Any:
    """Directions of the ill donors' changes."""
    import pmcell as pm
    from pmcell.simulate import simulate_latent

    cells = simulate_latent(
        n_donors=20,
        n_strata=2,
        n_types=5,
        cells_per_donor=250,
        n_visits=2,
        n_batches=1,
        scenario="state",
        effect=2.0,
        seed=seed,
    )
    truth = cells.uns["truth"]
    label = dict(zip(truth["donor_id"], truth["stratum"], strict=True))
    first = sorted(set(label.values()))[0]
    donor = cells.obs["donor_id"].astype(str).to_numpy()
    ill = np.array([label[name] != first for name in donor])
    cells.obs["disease_ontology_term_id"] = np.where(ill, ILL, HEALTHY)
    shift = truth["state"]  # donors x types x dimensions
    place = {name: at for at, name in enumerate(truth["donor_id"])}
    code = cells.obs["cell_type"].cat.codes.to_numpy()
    visits = cells.obs["visit"].astype(str).to_numpy()
    moved = ill & (visits == sorted(set(visits))[1])
    healthy = shift[[label[name] == first for name in truth["donor_id"]]].mean(axis=0)
    at = np.array([place[name] for name in donor[moved]])
    cells.obsm["X_integrated"][moved] += amount * (healthy[code[moved]] - shift[at, code[moved]])
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors, channels="state")
    pm.strata.cluster(donors, n_bootstraps=9)
    pm.strata.existence(donors, n_null=19)
    found = pm.strata.followup(donors, reference=REFERENCE, n_draws=99)
    own = found[found["kind"] == "profile"]
    return own.loc[~own["donor_id"].map(lambda name: label[name] == first), "direction"].to_numpy()


if __name__ == "__main__":
    main()
