"""Memory, time and disk of each rule, from the sizes of the cohorts.

Pure Python: the Snakefile loads it without importing pmcell, and `pmcell
estimate` loads the same file, so that what is announced is what is asked for.
The coefficients lie in `workflow/resources.yaml`; `pmcell estimate --refit`
writes them anew from the records of finished runs.

A size is (million cells, million stored counts, million stored counts of the
largest sample, samples × million genes, million genes). A quantity is its
coefficients (a constant, then one for each of these, the last ones left out
where they are zero) applied to the size of the cohort, or of all cohorts
together for rules without one.
"""

from __future__ import annotations

QUANTITIES = ("memory_mb", "seconds", "disk_mb")


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


def predict(model, rule, quantity, size):
    """Expected `memory_mb` (peak), `seconds` (wall) or `disk_mb` (of its outputs) of a job."""
    amount = _applied(model["rules"][rule][quantity], size)
    if model.get("validators", True):
        # What independent validators of a release take beside it, where they are not left out.
        amount += model["rules"][rule].get("validators", {}).get(quantity, 0)
    return amount


def for_study(model, config):
    """The model for a study's configuration: its number of features, its validators."""
    named = (config.get("release") or {}).get("validators", ["light"])
    n_top = (config.get("features") or {}).get("n_top", model["n_top"])
    return {**model, "n_top": n_top, "validators": named not in ("none", ["none"], [])}


def peak_mb(model, rule, size):
    """The peak that a job is promised not to pass: the expected one and the model's margin.

    A step that streams counts is told this limit and refuses one that may be too little for it:
    `least_mb` of its rule is what the step itself reckons (`with_memory` in its command), and
    `least_mb_of_features` what matrices of features × features, and of features, add.
    """
    needs = model["rules"][rule]
    expected = predict(model, rule, "memory_mb", size) * model["memory_margin"]
    square, single = needs.get("least_mb_of_features", (0, 0))
    n_features = min(model["n_top"], size[4] * 1e6)
    least = _applied(needs.get("least_mb", (0,)), size)
    return max(expected, least + square * n_features**2 + single * n_features)


def request(model, rule, quantity, size, attempt=1):
    """What a job asks its scheduler for, a whole number; doubled with each attempt.

    Memory (MB) includes what the scheduler's own processes around a step
    take; time is in minutes; disk in MB.
    """
    if quantity == "memory_mb":
        amount = peak_mb(model, rule, size) + model["scheduler_mb"]
    elif quantity == "seconds":
        expected = predict(model, rule, quantity, size) * model["time_margin"] / 60
        amount = max(expected, model["least_minutes"])
    else:
        amount = max(2 * predict(model, rule, quantity, size), 10)
    return int(amount * 2 ** (attempt - 1)) + 1


def _applied(coefficients, size):
    constant, *slopes = coefficients
    return constant + sum(slope * value for slope, value in zip(slopes, size, strict=False))
