"""The gate of a release: which validators run, and whose rejection stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pmcell.errors import Fault, FaultsError
from pmcell.publish.facts import Facts
from pmcell.publish.profiles.cellxgene import sources_reasons
from pmcell.publish.validators.environments import how_to_set_up
from pmcell.publish.validators.evidence import failures_as_faults, write_evidence
from pmcell.publish.validators.run import NOT_RUN, Verdict, not_run, run_validators
from pmcell.publish.validators.table import VALIDATORS, Validator, find, light, names
from pmcell.settings.release import ReleaseSettings


@contextmanager
def begun_validators(
    facts: Facts,
    folder: Path,
    *,
    progress: Callable[[str], None] = lambda part: None,
) -> Iterator[Callable[[], list[Verdict]]]:
    """Let the validators that the configuration names run beside the rest of a release.

    What they read must be there and stay as it is. The function that is yielded waits for them,
    writes `validation/` and returns the verdicts.

    A validator that is not set up is no fault unless it is required. One that ran and rejects the
    release raises `FaultsError` with all findings of all validators, unless
    `release.tolerate_validators` names it with a reason. A file of cells is no fault either where
    `validation/cellxgene.json` tells what its source lacks.
    """
    chosen = chosen_names(facts.options)
    asked = [validator for validator in VALIDATORS if validator.name in chosen]

    def run() -> list[Verdict]:
        return run_validators(
            folder, asked, progress=lambda name: progress(f"validators: {name} is done")
        )

    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(run)
        yield lambda: _gather(facts, folder, running.result())


def _gather(facts: Facts, folder: Path, ran: list[Verdict]) -> list[Verdict]:
    """Write `validation/` from the verdicts of those that ran; `FaultsError` if one rejects."""
    options = facts.options
    chosen = chosen_names(options)
    verdicts = [*ran, *(_left_out(item, folder) for item in VALIDATORS if item.name not in chosen)]
    verdicts.sort(key=lambda verdict: names().index(verdict.name))
    tolerated: dict[str, str] = dict(options.tolerate_validators.items())
    known_reasons = sources_reasons(folder)
    write_evidence(folder, verdicts, tolerated=tolerated, known_reasons=known_reasons)
    faults = _missing(options, verdicts)
    faults += failures_as_faults(verdicts, tolerated=tolerated, known_reasons=known_reasons)
    if faults:
        raise FaultsError(faults)
    return verdicts


def chosen_names(options: ReleaseSettings) -> set[str]:
    """Names of the validators that run; the required ones always do."""
    words: dict[str, list[str]] = {"light": light(), "all": names(), "none": []}
    chosen = {name for word in options.validators for name in words.get(word, [word])}
    return {find(name).name for name in chosen | set(required_names(options))}


def required_names(options: ReleaseSettings) -> list[str]:
    """Names of the validators without whose verdict there is no release."""
    if "all" in options.require_validators:
        return [validator.name for validator in VALIDATORS if not validator.on_request]
    return [find(name).name for name in options.require_validators]


def _left_out(validator: Validator, folder: Path) -> Verdict:
    targets = validator.targets_in(folder) or list(validator.targets)
    why = validator.on_request or (
        f"left out by release.validators: pmcell validate RELEASE --only {validator.name}"
    )
    return not_run(validator, targets, why)


def _missing(options: ReleaseSettings, verdicts: list[Verdict]) -> list[Fault]:
    required = required_names(options)
    return [
        Fault(
            file=check.target,
            must=f"{verdict.name} must judge it (release.require_validators)",
            found=f"that it did not run: {check.reason}",
            fix=f"Set it up with {how_to_set_up([find(verdict.name)])}, or require it no longer.",
            reason="validator",
        )
        for verdict in verdicts
        if verdict.name in required
        for check in verdict.checks
        if check.status == NOT_RUN
    ]
