"""Each plot draws what its table says, and refuses what it cannot draw."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from pmcell import pl
from pmcell.errors import UsageError
from pmcell.pl.style import palette, shorten


def texts(figure) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_palette_is_stable_and_unknown_is_grey():
    colours = palette([*map(str, range(17)), "unknown"])
    assert len(set(colours.values())) == 18
    assert colours["unknown"] == "#c4c9cf"
    assert palette(["a", "b"]) == palette(["a", "b"])


def test_umap_of_frame_and_of_anndata_are_the_same(frames):
    cells = frames["cells"].loc[lambda frame: frame["umap_1"].notna()]
    adata = AnnData(obs=cells.set_index("cell_id")[["cell_type"]])
    adata.obsm["X_umap"] = cells[["umap_1", "umap_2"]].to_numpy()
    one = pl.to_svg(pl.umap(cells, color="cell_type"), name="u", title="u")
    assert one == pl.to_svg(pl.umap(adata, color="cell_type"), name="u", title="u")


def test_umap_labels_every_category_and_leaves_out_cells_without_place(frames):
    figure = pl.umap(frames["cells"], color="cluster", labels="on")
    shown = texts(figure)
    assert set(map(str, range(14))) <= set(shown)
    drawn = figure.axes[0].collections[0].get_offsets()
    assert len(drawn) == frames["cells"]["umap_1"].notna().sum()


def test_umap_names_the_column_that_was_meant(frames):
    with pytest.raises(UsageError, match="Did you mean 'cell_type'"):
        pl.umap(frames["cells"], color="cell_typ")


def test_umap_asks_for_coordinates():
    with pytest.raises(UsageError, match=r"X_umap.*pmcell\.tl\.umap"):
        pl.umap(AnnData(obs=pd.DataFrame({"a": ["x"]}, index=["c"])), color="a")


def test_qc_has_a_row_for_each_sample_and_says_what_is_kept(frames):
    samples = frames["qc"][frames["qc"]["cohort_id"] == "liu_b1"]
    figure = pl.qc(frames["cells"], samples)
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert sorted(labels) == sorted(name.split(":")[1] for name in samples["sample_id"])


def test_qc_of_a_cohort_without_mitochondrial_genes_leaves_that_panel_empty(frames):
    samples = frames["qc"][frames["qc"]["cohort_id"] == "liu_b2"]
    figure = pl.qc(frames["cells"][frames["cells"]["cohort_id"] == "liu_b2"], samples)
    assert figure.axes[2].get_title(loc="left") == "Mitochondrial (%)"
    assert not len(figure.axes[2].lines[0].get_xdata())


def test_composition_bars_add_up_to_one(frames):
    shares = frames["composition"].merge(
        frames["visits"][["donor_id", "visit", "condition"]], on=["donor_id", "visit"]
    )
    axes = pl.composition(shares).axes[0]
    n_bars = len(shares.drop_duplicates(["donor_id", "visit"]))
    # Each type is one path of bars, four corners and the mark that closes them.
    paths = [patch.get_path().vertices.reshape(n_bars, 5, 2) for patch in axes.patches]
    corners = np.array(paths)[:, :, :4]
    assert len(corners) == shares["cell_type"].nunique()
    heights = np.ptp(corners[..., 1], axis=2)
    assert heights.sum(axis=0) == pytest.approx(np.ones(n_bars))
    left, right = corners[0, :, :, 0].min(axis=1), corners[0, :, :, 0].max(axis=1)
    assert (np.sort(left)[1:] > np.sort(right)[:-1]).all()


def test_donor_map_joins_visits_and_fades_with_probability(frames):
    rows = frames["assignments"].copy()
    rows["stratum"] = rows["stratum"].astype(object)
    figure = pl.donor_map(rows, color="stratum")
    placed = rows.dropna(subset=["axis_1"])
    followed = (placed.groupby("donor_id").size() > 1).sum()
    lines = [line for line in figure.axes[0].lines if line.get_zorder() == 2]
    assert len(lines) == followed
    assert "not assigned" in texts(figure)
    fills = {to_hex(colour) for colour in figure.axes[0].collections[0].get_facecolors()}
    assert len(fills) > 10


def test_donor_map_without_known_probability_is_not_faded(frames):
    rows = frames["assignments"].assign(probability=np.nan, condition="x")
    fills = pl.donor_map(rows, color="condition").axes[0].collections[0].get_facecolors()
    assert len({to_hex(colour) for colour in fills}) == 1


def test_dotplot_draws_only_recorded_pairs(frames):
    markers = frames["markers"][frames["markers"]["rank"] <= 5]
    figure = pl.dotplot(markers, n_genes=2)
    axes = figure.axes[0]
    genes = {label.get_text() for label in axes.get_xticklabels()}
    drawn = len(axes.collections[0].get_offsets())
    assert drawn == markers["symbol"].isin(genes).sum()


def test_dotplot_names_missing_columns(frames):
    with pytest.raises(UsageError, match="share_in"):
        pl.dotplot(frames["markers"].drop(columns="share_in"))


def test_consensus_puts_the_strata_side_by_side():
    groups = ["S1", "S2", "S1", "S2"]
    matrix = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1.0]])
    image = pl.consensus(matrix, groups).axes[0].images[0].get_array()
    assert image.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_consensus_refuses_a_matrix_of_another_size():
    with pytest.raises(UsageError, match=r"square matrix.*\(2, 3\)"):
        pl.consensus(np.zeros((2, 3)), ["a", "b"])


def test_existence_shows_an_observation_beyond_all_draws():
    axes = pl.existence([0.0, 1.0, 2.0], 9.0).axes[0]
    assert axes.get_xlim()[1] > 9
    assert sum(bar.get_height() for bar in axes.patches) == 3


def test_selection_marks_the_chosen_number():
    frame = pd.DataFrame({"k": [2, 3], "silhouette": [0.3, 0.1], "null": [0.1, 0.1]})
    figure = pl.selection(frame, chosen=2, reference="null")
    assert len(figure.axes) == 1
    assert len(figure.axes[0].lines) == 3


def test_matrix_writes_numbers_marks_and_gaps():
    values = pd.DataFrame({"a": [0.5, np.nan]}, index=["x", "y"])
    marks = pd.DataFrame({"a": ["*", ""]}, index=["x", "y"])
    shown = texts(pl.matrix(values, marks=marks))
    assert "0.50*" in shown
    assert "–" in shown


def test_flow_prints_every_reason_and_number():
    exits = pl.Exits("3 cells excluded", ("all", "b1", "b2"), (("too few counts", (3, 1, 2)),))
    figure = pl.flow(
        [pl.Stage("Submitted", ("9 cells",), (exits,)), pl.Stage("Kept", ("6 cells",))]
    )
    assert {"Submitted", "9 cells", "3 cells excluded", "too few counts", "b2", "6 cells"} <= set(
        texts(figure)
    )


def boxes_of_texts(figure) -> list:
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return [text.get_window_extent() for text in figure.findobj(Text) if text.get_text()]


def test_flow_for_a_phone_says_all_in_words_and_sums_within_its_width():
    title = "12 visits of donors of a cohort without a profile; 2 donors left without any"
    reason = "a reason that is far too long to stand on one line of a telephone's screen"
    exits = pl.Exits(title, ("all", "b1", "b2"), ((reason, (3421, 1420, 2001)),))
    lone = pl.Exits("1 cohort quarantined", (), (("c9: no raw counts", ()),))
    stages = [pl.Stage("Submitted", ("9 cells",), (lone, exits)), pl.Stage("Kept", ("6 cells",))]
    figure = pl.flow(stages, width=350)
    shown = texts(figure)
    assert " ".join(title.split()) in " ".join(shown)
    assert reason in " ".join(text for text in shown if text != "3,421")
    assert {"Submitted", "9 cells", "6 cells", "3,421", "c9: no raw counts"} <= set(shown)
    assert not {"1,420", "b2"} & set(shown)
    boxes = boxes_of_texts(figure)
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= 350
    assert min(box.y0 for box in boxes) >= 0
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_composition_for_a_phone_names_every_type_below_the_bars(frames):
    shares = frames["composition"].merge(
        frames["visits"][["donor_id", "visit", "condition", "cohort_id"]], on=["donor_id", "visit"]
    )
    figure = pl.composition(shares, strip="cohort_id", width=350)
    assert set(shares["cell_type"]) <= set(texts(figure))
    assert max(box.x1 for box in boxes_of_texts(figure)) <= 350
    assert figure.axes[0].get_position().width > 0.8


def test_long_names_are_cut_on_one_line():
    assert shorten("a\nb  c") == "a b c"
    assert len(shorten("x" * 500, 32)) == 32


def label_boxes(axes) -> list:
    """Boxes of the labels of the x axis that are drawn, from left to right."""
    axes.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    drawn = [tick.label1 for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    return sorted((text.get_window_extent() for text in drawn), key=lambda box: box.x0)


@pytest.mark.parametrize("last", [0.1, 0.75, 1.0, 10.0])
def test_no_tick_label_of_the_donor_map_is_cut_at_the_edge(last):
    reach = last / 1.16 * 1.001  # with its margins the axis just holds the tick
    rows = pd.DataFrame(
        {"donor_id": ["a", "b"], "visit": "v", "axis_1": [-reach, reach], "axis_2": [0.0, 1.0]}
    ).assign(condition="x")
    for size in (278, 420):
        figure = pl.donor_map(rows, color="condition", size=size)
        assert label_boxes(figure.axes[0])[-1].x1 < figure.bbox.x1


@pytest.mark.parametrize("high", [2_000, 30_000, 400_000, 50_000_000])
def test_labels_of_counts_stand_apart(frames, high):
    samples = frames["qc"][frames["qc"]["cohort_id"] == "liu_b1"]
    limits = {"total_counts": (130.0, float(high)), "n_genes_detected": (100.0, high / 4)}
    figure = pl.qc(frames["cells"], samples, limits=limits)
    for axes in figure.axes[:2]:
        boxes = label_boxes(axes)
        assert len(boxes) >= 2
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
