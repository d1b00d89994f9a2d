"""Made-up tables of what strata and conditions differ in."""

from __future__ import annotations

import numpy as np
import pandas as pd

GROUPS = ("severe COVID-19", "healthy control")


def make_explanation(genes: pd.DataFrame, *, published: bool) -> dict[str, pd.DataFrame]:
    """The four tables of the explain step; strata only where they are published."""
    contrasts = [("condition", *GROUPS)] + [("stratum", "S1", "S2")] * published
    own = genes.head(6).reset_index(drop=True)
    rng = np.random.default_rng(4)
    change = rng.normal(0, 1.5, len(own))
    sides = {"n_donors_level": 20, "n_donors_reference": 15}
    facts, tests, sets = [], [], []
    for contrast, level, reference in contrasts:
        key = {"contrast": contrast, "level": level, "reference": reference}
        tested = {
            **key,
            "cell_type": "classical monocyte",
            "design": "~ batch_id + level",
            **sides,
            "n_donors_paired": 0,
            "n_donors_left_out": 1,
            "n_genes": len(own),
            "n_genes_few_counts": 3,
            "n_genes_not_measured": 1,
            "n_significant": 3,
            "n_confirmed": 2,
            "n_not_confirmed": 1,
            "held_out": "by batch_id",
            "why_not": "",
        }
        numbers = {name: 0 for name in tested if name.startswith("n_")}
        facts += [
            tested,
            {
                **tested,
                **numbers,
                "cell_type": "platelet",
                "held_out": "",
                "why_not": "too few donors",
            },
        ]
        tests.append(
            pd.DataFrame(
                {
                    **key,
                    "cell_type": "classical monocyte",
                    "gene_id": own["gene_id"],
                    "symbol": own["symbol"],
                    "log2_fold_change": change,
                    "log2_fold_change_low": change - 0.4,
                    "log2_fold_change_high": change + 0.4,
                    "mean_log2_cpm": 8.0,
                    "p_value": [1e-6, 1e-5, 1e-3, 0.2, 0.5, 0.9],
                    "q_value": [6e-6, 3e-5, 2e-3, 0.3, 0.6, 0.9],
                    "log2_fold_change_held_out": [*change[:3] * 0.9, np.nan, np.nan, np.nan],
                    "q_value_held_out": [0.001, 0.01, 0.4, np.nan, np.nan, np.nan],
                    "inference": ["confirmed"] * 2 + ["not confirmed"] + ["descriptive"] * 3,
                    **sides,
                }
            )
        )
        activity = {
            **key,
            "cell_type": "classical monocyte",
            "gene_set": "MADE_UP_INTERFERON",
            "activity_difference": 2.1,
            "activity_difference_low": 1.2,
            "activity_difference_high": 3.0,
            "p_value": 1e-4,
            "q_value": 1e-4,
            "q_value_held_out": 0.01,
            "inference": "confirmed",
            **sides,
            "n_genes": 8,
            "n_genes_found": 6,
            "why_not": "",
        }
        nothing = {name: np.nan for name in activity if "activity" in name or "value" in name}
        few = {
            "inference": "not tested",
            "n_genes_found": 2,
            "why_not": "fewer than 5 of its genes",
        }
        sets += [activity, {**activity, **nothing, **few, "gene_set": "MADE_UP_SMALL"}]
    drivers = pd.DataFrame(
        {
            "stratum": "S1",
            "other": "S2",
            "cell_type": "classical monocyte",
            "gene_id": own["gene_id"],
            "symbol": own["symbol"],
            "contribution": change**2,
            "contribution_low": change**2 - 0.5,
            "contribution_high": change**2 + 0.5,
            "share": change**2 / (change**2).sum(),
            "direction": np.where(change > 0, "higher", "lower"),
            "n_donors": 20,
            "n_donors_other": 15,
        }
    )
    return {
        "expression_contrasts": pd.DataFrame(facts),
        "differential_expression": pd.concat(tests, ignore_index=True),
        "pathways": pd.DataFrame(sets),
        "gene_drivers": drivers if published else drivers.iloc[:0],
    }
