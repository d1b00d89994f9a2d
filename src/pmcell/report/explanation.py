"""What strata, conditions or visits differ in: genes, gene sets, what held-out donors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmcell import pl
from pmcell.report.parts import (
    Cell,
    Column,
    Figure,
    Grid,
    Picture,
    decimal,
    number_cell,
    p_text,
    picture,
    plain_name,
    text_cell,
)
from pmcell.spelling import plural

if TYPE_CHECKING:
    import pandas as pd

    from pmcell.release.report_tables import Release

CONTRASTS, GENES = "expression_contrasts", "differential_expression"
MAX_TYPES, MAX_GENES, MAX_PICTURES = 6, 5, 6
MAX_ROWS = 60
ALL_TYPES = "all"
"""The cell type of a contrast of which nothing was compared."""
TOO_FEW_TO_SHIFT = (
    "too few donors of each group have enough cells, or the groups cannot be told from batch"
)
TONES = {"confirmed": "ok", "not confirmed": "warn"}

MEANING = (
    "Each cell type's counts are added up per donor and group, and the donors are compared, "
    "adjusted for batch: strata at the one visit of each donor that made them, other groups over "
    "all visits. Donors who are in several groups are compared with themselves where most donors "
    "are, so that what makes people differ drops out; among many donors in one group each, their "
    "samples count as correlated. Confirmed: found in a part of the donors and found again, in the "
    "same direction, in donors who had no part in it; strata are found anew in the first part, and "
    "the others are placed on them, for each gene by other genes and the composition alone. It "
    "does not exclude that strata are slices of a continuum along which the gene changes, nor a "
    "technical cause that many genes share. Not confirmed: found in the first part only. "
    "Descriptive: held-out donors were not asked, "
    "because there are too few donors or the first part did not show it; strata were learned from "
    "the same cells, so such a gene describes them and proves nothing."
)


def explanation_text(release: Release) -> str:
    """What was compared, how donors were held out and what came of it; '' where nothing was."""
    rows = release[CONTRASTS]
    if rows.empty:
        return ""
    told = release.verdict.design if release.verdict else None
    parts = [told] if told else []
    strata_first = sorted(rows["contrast"].unique(), key=lambda name: (name != "stratum", name))
    for name in strata_first:
        own = rows[rows["contrast"] == name]
        tested = own[own["why_not"] == ""]
        what = "Strata" if name == "stratum" else plain_name(str(name)).capitalize()
        if tested.empty:
            parts.append(f"{what}: not compared, {own['why_not'].iloc[0]}.")
            continue
        held = tested["held_out"].str.startswith("none")
        how = ", ".join(sorted(set(tested["held_out"][~held]))).replace("_id", "")
        why = ", ".join(sorted(set(tested["held_out"][held]))).removeprefix("none: ")
        split = f" Donors held out {how}." if how else ""
        n_none = tested.loc[held, "cell_type"].nunique()
        split += f" None could be in {plural(n_none, 'cell type')}: {why}." if n_none else ""
        parts.append(
            f"{what}: {plural(tested['cell_type'].nunique(), 'cell type')} compared, "
            f"{int(tested['n_significant'].sum()):,} of {int(tested['n_genes'].sum()):,} tests of "
            f"genes with q ≤ 0.05, {int(tested['n_confirmed'].sum()):,} confirmed and "
            f"{int(tested['n_not_confirmed'].sum()):,} not confirmed in held-out donors."
            f"{_design(tested)}{split}"
        )
    return " ".join(parts)


def _design(tested: pd.DataFrame) -> str:
    """How donors were compared, where some are in several groups or left out."""
    n_paired, n_lost = (
        int(tested[name].max()) for name in ("n_donors_paired", "n_donors_left_out")
    )
    paired = tested[tested["n_donors_paired"] > 0]
    how = " and ".join(sorted(set(paired["design"].str.split("; ").str[0])))
    said = f" Up to {n_paired} donors are in several groups (model {how})." if n_paired else ""
    return said + (f" Up to {plural(n_lost, 'donor')} could not be compared." if n_lost else "")


def shifts_note(release: Release) -> str:
    """Why cell types were not compared between conditions, or visits; '' where they were."""
    if (release["composition_shifts"]["contrast"] != "stratum").any():
        return ""
    rows = release[CONTRASTS]
    whole = rows[(rows["cell_type"] == ALL_TYPES) & (rows["why_not"] != "")]
    why = whole.groupby("contrast")["why_not"].first()
    # Visits are compared where no condition differs.
    what = "visit" if "condition" in why and (rows["contrast"] == "visit").any() else "condition"
    return (
        f"Shares of cell types were not compared between {what}s: "
        f"{why.get(what, TOO_FEW_TO_SHIFT)}."
    )


def effect_figure(release: Release) -> Figure | None:
    """The strongest genes of the cell types that differ most, with intervals."""
    rows = release[GENES]
    pictures: list[Picture] = []
    for (contrast, level, reference), own in rows.groupby(
        ["contrast", "level", "reference"], sort=True
    ):
        if len(pictures) == MAX_PICTURES:
            break
        title = f"{plain_name(str(contrast))}: {level} against {reference}"
        drawn = pl.effects(
            _strongest(own), label="log2 fold change, 95 % interval", title=pl_short(title)
        )
        name = f"effects{len(pictures)}"
        pictures.append(picture(drawn, name=name, title=title, least=320))
    if not pictures:
        return None
    return Figure(
        "effects",
        "Genes that differ",
        f"The up to {MAX_GENES} genes with the least q in each of the up to {MAX_TYPES} cell types "
        "with the most genes at q ≤ 0.05 (Benjamini-Hochberg over the genes of a cell type and "
        "contrast): "
        "difference over all donors with its 95 % interval, coloured by what held-out donors "
        f"say. Unit: the donor (n up to {_n_donors(rows):,}).",
        (GENES,),
        tuple(pictures),
    )


def contrast_grid(release: Release) -> Grid | None:
    """What was compared in each cell type, or why not."""
    rows = release[CONTRASTS]
    if rows.empty:
        return None
    cells = tuple(
        (
            text_cell(plain_name(str(row.contrast))),
            text_cell(f"{row.level} against {row.reference}" if row.reference else row.level),
            text_cell(row.cell_type),
            text_cell(
                f"{row.n_donors_level} / {row.n_donors_reference}" if not row.why_not else ""
            ),
            number_cell(row.n_donors_paired if not row.why_not else None),
            number_cell(row.n_genes if not row.why_not else None),
            number_cell(row.n_significant if not row.why_not else None),
            number_cell(row.n_confirmed if not row.why_not else None),
            number_cell(row.n_not_confirmed if not row.why_not else None),
            text_cell(row.why_not or row.held_out, tone="muted" if row.why_not else ""),
        )
        for row in rows.itertuples()
    )
    columns = (
        Column("Contrast"),
        Column("Groups"),
        Column("Cell type"),
        Column("Donors", help="Donors of the group / of the reference"),
        Column("Paired", True, "Donors in both, compared with themselves"),
        Column("Genes tested", True),
        Column("q ≤ 0.05", True, "Over all donors"),
        Column("Confirmed", True, "Found again in held-out donors"),
        Column("Not confirmed", True, "Not found again in held-out donors"),
        Column("Held out, or why not tested"),
    )
    return Grid("What was compared", columns, cells, (CONTRASTS,), fold=12)


def gene_grid(release: Release) -> Grid | None:
    """The genes with the least q, confirmed ones first."""
    rows = release[GENES]
    if rows.empty:
        return None
    order = rows.assign(later=rows["inference"] != "confirmed")
    order = order.sort_values(["later", "q_value", "cell_type", "gene_id"]).head(MAX_ROWS)
    cells = tuple(
        (
            text_cell(row.symbol, note=str(row.gene_id)),
            text_cell(row.cell_type),
            text_cell(f"{row.level} against {row.reference}"),
            number_cell(
                row.log2_fold_change,
                f"{row.log2_fold_change:.2f} [{row.log2_fold_change_low:.2f}, "
                f"{row.log2_fold_change_high:.2f}]",
            ),
            number_cell(row.q_value, p_text(row.q_value)),
            number_cell(row.log2_fold_change_held_out, decimal(row.log2_fold_change_held_out)),
            _inference(row.inference),
        )
        for row in order.itertuples()
    )
    columns = (
        Column("Gene"),
        Column("Cell type"),
        Column("Groups"),
        Column("log2 fold change", True, "With its 95 % interval, all donors"),
        Column("q", True, "Benjamini-Hochberg over the genes of the cell type and contrast"),
        Column("Held-out donors", True, "log2 fold change in the held-out donors"),
        Column("Inference"),
    )
    title = f"Genes with the least q, confirmed first ({len(cells)} of {len(rows):,} with q ≤ 0.05)"
    return Grid(title, columns, cells, (GENES,), fold=10)


def pathway_grid(release: Release) -> Grid | None:
    """The gene sets with the least q; sets that were not tested are counted."""
    rows = release["pathways"]
    if rows.empty:
        return None
    tested = rows[rows["p_value"].notna()].sort_values(["q_value", "cell_type", "gene_set"])
    cells = tuple(
        (
            text_cell(row.gene_set),
            text_cell(row.cell_type),
            text_cell(f"{row.level} against {row.reference}"),
            number_cell(
                row.activity_difference,
                f"{row.activity_difference:.2f} [{row.activity_difference_low:.2f}, "
                f"{row.activity_difference_high:.2f}]",
            ),
            number_cell(row.q_value, p_text(row.q_value)),
            text_cell(f"{row.n_genes_found} of {row.n_genes}"),
            _inference(row.inference),
        )
        for row in tested.head(MAX_ROWS).itertuples()
    )
    columns = (
        Column("Gene set"),
        Column("Cell type"),
        Column("Groups"),
        Column("Difference in activity", True, "With its 95 % interval, all donors"),
        Column("q", True, "Benjamini-Hochberg over the sets of the cell type and contrast"),
        Column("Genes found", help="Genes of the set among the tested ones"),
        Column("Inference"),
    )
    n_left = len(rows) - len(tested)
    left = f"; {n_left:,} tests not made, too few genes of the set found" if n_left else ""
    title = f"Gene sets with the least q ({len(cells)} of {len(tested):,}{left})"
    return Grid(title, columns, cells, ("pathways",), fold=10)


def gene_driver_grid(release: Release) -> Grid | None:
    """The genes that add most to the distance of each stratum from the nearest other."""
    rows = release["gene_drivers"]
    if rows.empty:
        return None
    rows = rows[rows["contribution_low"] > 0].sort_values(
        ["stratum", "contribution", "cell_type", "gene_id"], ascending=[True, False, True, True]
    )
    shown = rows.groupby("stratum", sort=True).head(12)
    cells = tuple(
        (
            text_cell(f"{row.stratum} against {row.other}"),
            text_cell(row.cell_type),
            text_cell(row.symbol, note=str(row.gene_id)),
            text_cell(row.direction),
            number_cell(
                row.contribution,
                f"{row.contribution:.2f} [{row.contribution_low:.2f}, {row.contribution_high:.2f}]",
            ),
            number_cell(row.share, f"{100 * row.share:.1f} %", bar=True),
            text_cell(f"{row.n_donors} / {row.n_donors_other}"),
        )
        for row in shown.itertuples()
    )
    columns = (
        Column("Stratum"),
        Column("Cell type"),
        Column("Gene"),
        Column("In the stratum"),
        Column("Contribution", True, "Part of the squared distance, with its 95 % interval"),
        Column("Share", True, "Of all genes of the cell type"),
        Column("Donors", help="Of the stratum / of the other"),
    )
    return Grid("Genes that separate the strata", columns, cells, ("gene_drivers",), fold=12)


def pl_short(text: str, most: int = 70) -> str:
    """A title that fits on the figure."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _strongest(rows: pd.DataFrame) -> pd.DataFrame:
    types = rows.groupby("cell_type").size().sort_values(ascending=False, kind="stable")
    own = rows[rows["cell_type"].isin(types.index[:MAX_TYPES])]
    own = own.sort_values(["cell_type", "q_value", "gene_id"]).groupby("cell_type").head(MAX_GENES)
    return own.rename(
        columns={
            "cell_type": "group",
            "symbol": "name",
            "log2_fold_change": "effect",
            "log2_fold_change_low": "low",
            "log2_fold_change_high": "high",
        }
    )


def _n_donors(rows: pd.DataFrame) -> int:
    return int((rows["n_donors_level"] + rows["n_donors_reference"]).max())


def _inference(value: object) -> Cell:
    return Cell(str(value), tone=TONES.get(str(value), "muted"))
