"""Memory, time and disk of each rule, from the sizes of the cohorts.

Pure Python: the Snakefile loads it without importing pmcell, and `pmcell
estimate` loads the same file, so that what is announced is what is asked for.
The coefficients lie in `workflow/resources.yaml`; `pmcell estimate --refit`
writes them anew from the records of finished runs.

A size is (million cells, million stored counts). A quantity is its
coefficients (constant, per million cells, per million stored counts) applied
to the size of the cohort, or of all cohorts together for rules without one.
"""

from __future__ import annotations

QUANTITIES = ("memory_mb", "seconds", "disk_mb")


def size_of(entry, n_bytes, unsized):
    """Size of a cohort from its header (`n_cells`, `n_stored`), else from its file's bytes.

    Without a header the file is taken to be well compressed, so that the size errs upwards.
    """
    if entry and entry.get("n_bytes") == n_bytes:
        return entry["n_cells"] / 1e6, entry["n_stored"] / 1e6
    stored = n_bytes / unsized["bytes_per_stored"]
    return stored / unsized["stored_per_cell"] / 1e6, stored / 1e6


def total(sizes):
    """The size of several cohorts together."""
    return tuple(map(sum, zip((0.0, 0.0), *sizes, strict=True)))


def predict(model, rule, quantity, size):
    """Expected `memory_mb` (peak), `seconds` (wall) or `disk_mb` (of its outputs) of a job."""
    constant, *slopes = model["rules"][rule][quantity]
    if model.get("validators", True):
        # What independent validators of a release take beside it, where they are not left out.
        constant += model["rules"][rule].get("validators", {}).get(quantity, 0)
    return constant + sum(slope * value for slope, value in zip(slopes, size, strict=True))


def with_validators(model, config):
    """The model for a study: without what validators take where its configuration names none."""
    named = (config.get("release") or {}).get("validators", ["light"])
    return {**model, "validators": named not in ("none", ["none"], [])}


def peak_mb(model, rule, size):
    """The peak that a job is promised not to pass: the expected one and the model's margin."""
    return predict(model, rule, "memory_mb", size) * model["memory_margin"]


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
