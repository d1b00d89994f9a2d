"""Settings of the steps that see one cohort at a time."""

from __future__ import annotations

from pmcell.settings.model import Settings, count, seed, setting, share


class IntakeSettings(Settings):
    """Thresholds by which a submitted cohort is accepted, warned or quarantined."""

    min_cells: int = count(50, "a cohort with fewer cells is quarantined", unit="cells")
    min_genes: int = count(100, "a cohort with fewer canonical genes is quarantined", unit="genes")
    warn_share_umis_lost: float = share(
        0.1, "above this share of counts on unknown genes the cohort is warned"
    )
    max_share_umis_lost: float = share(0.5, "above this share it is quarantined")
    max_share_empty: float = share(
        0.5, "above this share of barcodes with fewer than 10 counts it is quarantined"
    )


class QcSettings(Settings):
    """Limits by which cells are marked; a MAD is scaled to a normal standard deviation."""

    n_mads: float = setting(
        5.0,
        "how far log counts, log genes and doublet score may lie from the sample's median, in "
        "MADs (median absolute deviations)",
        unit="MADs",
        gt=0,
    )
    n_mads_mitochondrial: float = setting(
        5.0, "the same for the mitochondrial share", unit="MADs", gt=0
    )
    max_share_mitochondrial: float = share(
        0.3, "the mitochondrial limit is never above this, nor below 0.05"
    )
    min_counts: int = count(
        1, "the lower limit of counts is never below this", unit="counts", at_least=0
    )
    min_genes: int = count(
        1, "the lower limit of detected genes is never below this", unit="genes", at_least=0
    )
    min_cells_for_mad: int = count(
        30, "smaller samples take the limits of the whole cohort", unit="cells", at_least=0
    )
    min_cells_for_doublets: int = count(
        100, "smaller samples have no doublet score", unit="cells", at_least=0
    )
    min_doublet_score: float = share(0.25, "no score below this excludes a cell")
    score_doublets: bool = setting(True, "whether doublets are scored at all")
    min_cells_passing: int = count(
        20, "a cohort with fewer cells after QC is quarantined", unit="cells", at_least=0
    )
    seed: int = seed("seed of the simulated doublets")
