"""Made-up tables of donors: assignments, strata, associations, drivers, gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from made_cells import TYPES


def make_assignments(
    rng: np.random.Generator, visits: pd.DataFrame, published: bool
) -> pd.DataFrame:
    ill = (visits["condition"] == "severe COVID-19").to_numpy()
    shift = np.where(ill, 1.0, -1.4)
    candidate = np.where(ill, "S1", "S2").astype(object)
    probability = rng.uniform(0.55, 1.0, len(visits))
    status = np.where(probability < 0.6, "ambiguous", "assigned" if published else "withheld")
    frame = pd.DataFrame(
        {
            "donor_id": visits["donor_id"],
            "visit": visits["visit"],
            "stratum": np.where((status == "assigned") & published, candidate, None),
            "candidate_stratum": candidate,
            "status": status.astype(object),
            "probability": probability,
            "conformal_set": np.where(probability < 0.6, "S1;S2", candidate) if published else None,
            "ood_p": rng.uniform(0.06, 1.0, len(visits)) if published else np.nan,
            "margin": probability - 0.5 if published else np.nan,
            "n_cells": visits["n_cells"],
            "axis_1": shift + rng.normal(0, 0.5, len(visits)),
            "axis_2": rng.normal(0, 0.6, len(visits)),
            "axis_3": rng.normal(0, 0.4, len(visits)),
        }
    )
    again = visits["donor_id"].duplicated().to_numpy()
    frame["left_out"] = np.where(again, "another visit of the donor is used", "").astype(object)
    few = frame.index[:2]
    frame.loc[few, "left_out"] = "7 cells, 100 are needed"
    frame.loc[few, ["candidate_stratum", "stratum", "conformal_set"]] = None
    frame.loc[few, "status"] = "too_few_cells"
    frame.loc[few, ["probability", "ood_p", "margin", "axis_1", "axis_2", "axis_3"]] = np.nan
    return frame


def make_strata_rows(assignments: pd.DataFrame, published: bool) -> pd.DataFrame:
    columns = ["stratum", "n_donors", "stability", "medoid_donor_id", "description"]
    if not published:
        return pd.DataFrame(columns=columns).astype({"n_donors": "int64", "stability": "float64"})
    rows = []
    for name, own in assignments.dropna(subset=["stratum"]).groupby("stratum"):
        text = "high interferon state in classical monocytes"
        rows.append((name, own["donor_id"].nunique(), 0.93, own["donor_id"].iloc[0], text))
    return pd.DataFrame(rows, columns=columns)


def make_associations(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for outcome in ("axis_1", "axis_2", "axis_3", "stratum"):
        for covariate, family in (
            ("cohort_id", "technical"),
            ("batch_id", "technical"),
            ("n_cells", "technical"),
            ("condition", "clinical"),
            ("sex_ontology_term_id", "clinical"),
            ("age_group", "clinical"),
        ):
            strong = covariate == "condition" and outcome in ("axis_1", "stratum")
            effect = 0.71 if strong else float(rng.uniform(0.01, 0.2))
            p = 0.001 if strong else float(rng.uniform(0.05, 1))
            rows.append(
                {
                    "outcome": outcome,
                    "covariate": covariate,
                    "family": family,
                    "test": "permutation of Cramer's V"
                    if outcome == "stratum"
                    else "Kruskal permutation",
                    "effect": effect,
                    "effect_name": "cramers_v" if outcome == "stratum" else "epsilon_squared",
                    "effect_low": max(effect - 0.1, 0.0),
                    "effect_high": min(effect + 0.1, 1.0),
                    "p_value": p,
                    "q_value": min(1.0, p * 2),
                    "n_donors": 58,
                }
            )
    return pd.DataFrame(rows)


def make_outcomes(published: bool) -> pd.DataFrame:
    """Comparisons of a score and of a time to an event; one of each is refused without strata."""
    from pmcell.strata.association.outcomes import COX, LOG_RANK, MIXED, as_frame, refused_row, row

    whole, term = ("strata", "S2 against S1") if published else ("axes", "axis_1")
    score = {"outcome": "das28", "model": MIXED, "n_donors": 58, "n_visits": 91}
    rows = [
        row(term=whole, p_value=0.004, adjusted_for=("age_group",), **score),
        row(
            term=term,
            p_value=0.004,
            interval=(1.31, 0.44, 2.18),
            effect_name="difference",
            adjusted_for=("age_group",),
            note="not adjusted for sex_ontology_term_id: known for 0 donors, 5 are needed",
            **score,
        ),
        refused_row("relapse", COX, whole, "12 events for 3 parameters, 30 are needed"),
    ]
    if published:
        rows.append(
            row(
                outcome="relapse",
                model=LOG_RANK,
                term=whole,
                p_value=0.03,
                n_donors=58,
                n_events=12,
            )
        )
    return as_frame(rows)


def make_survival(rng: np.random.Generator, published: bool) -> pd.DataFrame:
    from pmcell.strata.association.survival import CURVE, kaplan_meier, no_curves

    if not published:
        return no_curves()
    parts = []
    for name, scale in (("S1", 40.0), ("S2", 12.0)):
        times = np.ceil(rng.exponential(scale, 29))
        curve = kaplan_meier(np.minimum(times, 24.0), (times <= 24).astype(float))
        parts.append(pd.DataFrame(curve).assign(stratum=name)[list(CURVE)])
    return pd.concat(parts, ignore_index=True).astype(CURVE)


def make_drivers(
    rng: np.random.Generator, assignments: pd.DataFrame, published: bool
) -> pd.DataFrame:
    rows = []
    for _, own in assignments.dropna(subset=["candidate_stratum"]).iterrows():
        for channel in ("composition", "state"):
            for index, (name, _) in enumerate(TYPES):
                if name == "unknown":
                    continue
                base = 0.2 if (channel == "state" and index == 2) else 0.03
                rows.append(
                    (
                        own["donor_id"],
                        own["visit"],
                        channel,
                        name,
                        base + rng.normal(0, 0.02),
                        False,
                    )
                )
    columns = ["donor_id", "visit", "channel", "cell_type", "contribution", "flips_without"]
    return pd.DataFrame(rows if published else [], columns=columns).astype({"contribution": float})


def make_gaps(donors: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for cohort, own in donors.groupby("cohort_id"):
        n = len(own)
        for column, missing, why in (
            (
                "self_reported_ethnicity_ontology_term_id",
                n,
                "fairness across ancestries cannot be checked",
            ),
            ("development_stage_ontology_term_id", n, "age cannot be adjusted for"),
            ("sex_ontology_term_id", n // 3 if cohort == "liu_b2" else 0, "sex cannot be adjusted"),
        ):
            if missing:
                rows.append((cohort, "donors", column, missing, n, why))
    columns = ["cohort_id", "table", "column", "n_missing", "n_rows", "why_it_matters"]
    return pd.DataFrame(rows, columns=columns)
