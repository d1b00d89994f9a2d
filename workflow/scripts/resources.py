"""Memory, time and disk of each step, from the sizes of the cohorts.

Pure Python: the Snakefile loads it without importing pmcell, and `pmcell
estimate` and the steps that stream counts load the same file, so that what is
announced is what is asked for, and what is asked for is what a step insists on.
The coefficients lie in `workflow/resources.yaml`; `pmcell estimate --refit`
writes them anew from the records of finished runs.

A size is (million cells, million stored counts, million stored counts of the
largest sample, samples × million genes, million genes). A quantity is its
coefficients (a constant, then one for each of these, the last ones left out
where they are zero) applied to the size of the cohort, or of all cohorts
together for steps across cohorts.
"""

from __future__ import annotations

QUANTITIES = ("memory_mb", "seconds", "disk_mb")

PROCESS_BYTES = 420 * 2**20
"""Python with numba, pandas and the compiled kernels, before any data."""

MIN_VALUES = 131_072
"""No block is asked to be smaller than a chunk of the file."""

BYTES_A_VALUE = {"qc": 20, "gene_stats": 24, "covariance": 24, "pca_scores": 20, "aggregate": 40}
"""What a step that streams counts needs for each stored value of a block."""

KEPT_VALUES, BYTES_A_KEPT_VALUE = 8_000_000, 24
"""Counts of variable genes that `qc` keeps at a time, and what it needs for each."""

UNMEASURED = {
    "threads": 1,
    "memory_mb": (450, 3000, 0, 0, 1000),
    "seconds": (5, 240, 0.1),
    "disk_mb": (20, 300, 0),
}
"""Row of a step that has none: as much as the most demanding steps take, until it is measured."""

N_COMPONENTS = 50
"""Principal components of a study whose configuration does not say."""


def least_bytes(step, *, n_cells, n_genes, longest, **sizes):
    """Bytes that a step which streams counts insists on, with the smallest blocks.

    `longest` is the number of stored values of the cell that has most of them,
    `sizes` what `table_bytes` of the step asks for.
    """
    own = 3 * 8 * n_cells + 250 * (n_cells + n_genes)
    block = max(longest, MIN_VALUES) * BYTES_A_VALUE[step]
    return (
        PROCESS_BYTES + own + block + table_bytes(step, n_cells=n_cells, n_genes=n_genes, **sizes)
    )


def table_bytes(
    step,
    *,
    n_cells,
    n_genes,
    largest=0,
    n_stored=0,
    n_samples=0,
    n_batches=0,
    n_features=0,
    n_components=0,
    n_groups=0,
):
    """Bytes of what a step keeps beside a block of counts."""
    if step == "qc":
        # The sums of each sample, and the counts of its variable genes, of a pass or a sample.
        kept = max(largest, min(n_stored, KEPT_VALUES))
        return 72 * n_samples * n_genes + BYTES_A_KEPT_VALUE * kept
    if step == "gene_stats":
        # The table of sums, and its histogram with the copies that sorting takes.
        return 4 * 64 * n_batches * n_genes
    if step == "covariance":
        # Sums in float64 and int64 with their transposes, and what a tile of cells takes.
        return 5 * 8 * n_features**2 + 3 * 8 * 2048 * n_features
    if step == "pca_scores":
        return 8 * n_cells * n_components
    # The sums and, while they are written, their columns.
    return 72 * n_groups * n_genes


def size_of(entry, n_bytes, unsized):
    """Size of a cohort from its header (results/sizes.json), else from its file's bytes.

    Without a header the file is taken to be well compressed, so that the size errs upwards.
    """
    if entry and entry.get("n_bytes") == n_bytes:
        cells, stored = entry["n_cells"] / 1e6, entry["n_stored"] / 1e6
        largest = stored * entry["n_largest"] / max(entry["n_cells"], 1)
        genes = entry["n_genes"] / 1e6
        return cells, stored, largest, entry["n_samples"] * genes, genes
    stored = n_bytes / unsized["bytes_per_stored"] / 1e6
    cells = stored / unsized["stored_per_cell"]
    samples = 1 + cells * 1e6 / unsized["cells_per_sample"]
    genes = unsized["genes"] / 1e6
    return cells, stored, stored, samples * genes, genes


def total(sizes):
    """The size of several cohorts together; of samples and numbers of genes, the largest."""
    cells, stored, largest, sums, genes = zip((0.0,) * 5, *sizes, strict=True)
    return sum(cells), sum(stored), max(largest), sum(sums), max(genes)


def row_of(model, step):
    """The row of a step: its threads, and the coefficients of each quantity."""
    return model["rules"].get(step, UNMEASURED)


def predict(model, step, quantity, size):
    """Expected `memory_mb` (peak), `seconds` (wall) or `disk_mb` (of its outputs) of a job."""
    row = row_of(model, step)
    amount = _applied(row[quantity], size)
    if model.get("validators", True):
        # What independent validators of a release take beside it, where they are not left out.
        amount += row.get("validators", {}).get(quantity, 0)
    return amount


def for_study(model, config, sizes):
    """The model for a study: its validators, its numbers of components and of selected genes.

    Genes are selected from those of all cohorts together, whatever one cohort measured: of small
    panels at most as many as they have.
    """
    named = (config.get("release") or {}).get("validators", ["light"])
    n_top = (config.get("hvg") or {}).get("n_top", model["n_top"])
    n_components = (config.get("pca") or {}).get("n_components", N_COMPONENTS)
    return {
        **model,
        "n_features": min(n_top, round(sum(size[4] for size in sizes) * 1e6)),
        "n_components": n_components,
        "validators": named not in ("none", ["none"], []),
    }


def peak_mb(model, step, size):
    """The peak that a job is promised not to pass.

    The expected one and the model's margin, and never less than what the step insists on.
    """
    needs = row_of(model, step)
    expected = predict(model, step, "memory_mb", size) * model["memory_margin"]
    square, single = needs.get("least_mb_of_features", (0, 0))
    n_features = model.get("n_features", model["n_top"])
    least = _applied(needs.get("least_mb", (0,)), size)
    least += square * n_features**2 + single * n_features
    return max(expected, least, least_mb(model, step, size))


def least_mb(model, step, size):
    """What a step that streams counts will insist on, as far as sizes tell; 0 for others.

    Not for `aggregate`, whose groups are known only when it runs: it is told no limit.
    """
    if step not in BYTES_A_VALUE or step == "aggregate":
        return 0
    cells, stored, largest, sums, genes = size
    n_genes = round(genes * 1e6)
    needed = least_bytes(
        step,
        n_cells=round(cells * 1e6),
        n_genes=n_genes,
        longest=n_genes,
        largest=largest * 1e6,
        n_stored=stored * 1e6,
        n_samples=sums / genes if genes else 0,
        n_batches=sums / genes if genes else 0,
        n_features=model.get("n_features", model["n_top"]),
        n_components=model.get("n_components", N_COMPONENTS),
    )
    return needed / 2**20 + 1


def request(model, step, quantity, size, attempt=1):
    """What a job asks its scheduler for, a whole number; doubled with each attempt.

    Memory (MB) includes what the scheduler's own processes around a step
    take; time is in minutes; disk in MB.
    """
    if quantity == "memory_mb":
        amount = peak_mb(model, step, size) + model["scheduler_mb"]
    elif quantity == "seconds":
        expected = predict(model, step, quantity, size) * model["time_margin"] / 60
        amount = max(expected, model["least_minutes"])
    else:
        amount = max(2 * predict(model, step, quantity, size), 10)
    return int(amount * 2 ** (attempt - 1)) + 1


def _applied(coefficients, size):
    constant, *slopes = coefficients
    return constant + sum(slope * value for slope, value in zip(slopes, size, strict=False))
