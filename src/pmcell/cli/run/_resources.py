"""The workflow's model of resources: load it, compare it with finished runs, fit it anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell import bundle
from pmcell.errors import UsageError
from pmcell.registry.intake.sizes import Sizes, matrix_bytes
from pmcell.step import benchmark_path, with_new_names
from pmcell.steps import BY_NAME, OLD_RULES, STEPS

if TYPE_CHECKING:
    import numpy as np

COVERED = 0.95
"""Share of the records whose peak the fitted model must cover."""

BELOW = 2.0
"""A promise must stay below this multiple of what is measured."""

HELD = 0.03
"""How much a coefficient's own value counts in a fit, as a part of one record."""

NOT_RUN, OWN = "not_run", "pmcell-verify"
"""Words of validation/summary.json: a validator that did not run, and pmcell's own check."""

_LOGGED_PEAK = re.compile(r"^# done in .* peak memory (\d+) MB$", re.MULTILINE)

Size = tuple[float, float, float, float, float]
"""Million cells, million stored counts, those of the largest sample, samples × million genes,
million genes."""


@dataclass(frozen=True)
class Record:
    """One finished job: its size, its peak in megabytes and its wall time in seconds."""

    step: str
    cohort: str
    size: Size
    memory_mb: float
    seconds: float
    validators: bool = False
    """Whether independent validators ran in it."""

    study: Mapping[str, Any] = field(default_factory=dict)
    """What its study's model says of the study as a whole."""


class Model:
    """The coefficients of `workflow/resources.yaml`, or of another file, and their formula."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises `UsageError` where the file is not such a model."""
        import yaml

        self.formula = bundle.resource_formula()
        self.study: dict[str, Any] = {}
        self.path = path or bundle.bundle_folder() / "workflow" / "resources.yaml"
        try:
            self.values: dict[str, Any] = yaml.safe_load(self.path.read_text(encoding="utf-8"))
            self.values["rules"] = with_new_names(self.values["rules"], OLD_RULES)
            self.steps: dict[str, dict[str, Any]] = {
                step.name: self.formula.row_of(self.values, step.name) for step in STEPS
            }
        except (OSError, TypeError, KeyError, ValueError, yaml.YAMLError) as error:
            raise UsageError(f"{self.path} must be a model of resources: {error}") from error

    def sizes(
        self, folders: Iterable[Path], sizes: Sizes, allowed: Mapping[str, Sequence[Path]]
    ) -> dict[str, Size]:
        """The size of each cohort, from its header or else from the bytes of its file.

        `allowed` holds, by cohort, what its file may be read from besides its own folder.
        """
        return {
            folder.name: self.formula.size_of(
                sizes.get(folder.name),
                matrix_bytes(folder, allowed.get(folder.name, ())),
                self.values["unsized"],
            )
            for folder in folders
        }

    def for_study(self, settings: Mapping[str, Any], sizes: dict[str, Size]) -> None:
        """Let the model be that of a study: its configuration, and the sizes of its cohorts."""
        self.values = self.formula.for_study(self.values, settings, list(sizes.values()))
        self.study = {key: self.values[key] for key in ("n_features", "n_components")}

    def jobs(self, sizes: dict[str, Size]) -> list[tuple[str, str, Size]]:
        """Step, cohort (empty for steps across cohorts) and size of every job of a whole run."""
        whole = self.formula.total(sizes.values())
        found = []
        for step in STEPS:
            if step.per_cohort:
                found += [(step.name, cohort, size) for cohort, size in sizes.items()]
            else:
                found.append((step.name, "", whole))
        return found


def read_records(model: Model, results: Path, sizes: dict[str, Size]) -> list[Record]:
    """The benchmark records of a finished run; jobs without one are left out."""
    records = []
    validated = _were_validators_run(results)
    for name, cohort, size in model.jobs(sizes):
        try:
            record = benchmark_path(results, BY_NAME[name], cohort)
            lines = record.read_text(encoding="utf-8").splitlines()
            row = dict(zip(lines[0].split("\t"), lines[-1].split("\t"), strict=True))
            validators = validated and "validators" in model.steps[name]
            peak, seconds = float(row["max_rss"]), float(row["s"])
            peak = max(peak, _logged_peak(results / "logs" / f"{BY_NAME[name].job(cohort)}.log"))
            records.append(Record(name, cohort, size, peak, seconds, validators, model.study))
        except (OSError, IndexError, KeyError, ValueError):
            continue
    return records


def refit(model: Model, records: Sequence[Record]) -> dict[str, Any]:
    """The model's values with coefficients fitted to the records, step by step.

    Least squares of the relative error, no coefficient below zero. Where the
    sizes of a step's records lie within a factor of three, slopes cannot be
    told from the constant: the coefficients that are there are scaled. Else each is held towards
    what it was as by a small part of a record, since few studies do not tell cells from genes; a
    slope that is zero stays so: the step has no reason for it. The
    margin is then the smallest, from 1.15, that covers 95 % of all peaks.
    """
    import numpy as np

    values = {**model.values, "rules": {name: dict(item) for name, item in model.steps.items()}}
    for name, item in values["rules"].items():
        mine = [record for record in records if record.step == name]
        if not mine:
            continue
        for quantity in ("memory_mb", "seconds"):
            beside = item.get("validators", {}).get(quantity, 0)
            found = [getattr(record, quantity) - beside * record.validators for record in mine]
            item[quantity] = _fit(
                np.array([(1.0, *record.size) for record in mine]),
                np.maximum(found, 1e-3),
                np.array(item[quantity], dtype=float),
            )
    ratios = [
        record.memory_mb
        / model.formula.predict(of_run(values, record), record.step, "memory_mb", record.size)
        for record in records
    ]
    margin = float(np.quantile(ratios, COVERED, method="higher")) if ratios else 0.0
    values["memory_margin"] = max(1.15, round(margin + 0.005, 2))
    return values


def of_run(values: dict[str, Any], record: Record) -> dict[str, Any]:
    """The model for the run that a record is of: its study, with validators or without."""
    return {**values, **record.study, "validators": record.validators}


def compare(model: Model, values: dict[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """How the promised peaks relate to the measured ones: share covered, and ratios."""
    import numpy as np

    ratios: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    for record in records:
        promised = model.formula.peak_mb(of_run(values, record), record.step, record.size)
        ratios.setdefault(record.step, []).append(promised / record.memory_mb)
        peaks[record.step] = max(peaks.get(record.step, 0.0), record.memory_mb)
    every = np.concatenate([np.array(part) for part in ratios.values()])
    return {
        "n_records": len(records),
        "covered": float(np.mean(every >= 1)),
        "below_twice": float(np.mean(every < BELOW)),
        "median": float(np.median(every)),
        "highest": float(every.max()),
        "rules": {
            name: {"n": len(part), "peak_mb": peaks[name], "least": min(part), "most": max(part)}
            for name, part in ratios.items()
        },
    }


def _logged_peak(log: Path) -> float:
    """Peak (MB of 2**20 bytes) that a step wrote at the end of its log; 0 where there is none.

    Snakemake looks at a job every few seconds, and misses the peak of a short one.
    """
    try:
        found = _LOGGED_PEAK.findall(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return 0.0
    return float(found[-1]) * 1e6 / 2**20 if found else 0.0


def _were_validators_run(results: Path) -> bool:
    try:
        text = (results / "release" / "validation" / "summary.json").read_text(encoding="utf-8")
        found = json.loads(text)["validators"]
        return any(item["status"] != NOT_RUN and item["name"] != OWN for item in found)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def as_yaml(values: dict[str, Any], head: str) -> str:
    """The model as `workflow/resources.yaml` is written: one line a step, after the comment."""
    import yaml

    plain = {key: value for key, value in values.items() if key != "rules"}
    lines = [head + yaml.safe_dump(plain, sort_keys=False) + "rules:"]
    for name, item in values["rules"].items():
        text = yaml.safe_dump(item, default_flow_style=True, sort_keys=False, width=10_000)
        lines.append(f"  {name}: {text.strip()}")
    return "\n".join(lines) + "\n"


def _fit(design: np.ndarray, found: np.ndarray, before: np.ndarray) -> list[float]:
    import numpy as np
    from scipy.optimize import nnls

    used = np.flatnonzero([True, *(before[1:] != 0)])
    design = design[:, used]
    spread = design[:, 1:].max(axis=0) / np.maximum(design[:, 1:].min(axis=0), 1e-9)
    fitted = before * np.median(found / (design @ before[used]))
    if spread.max(initial=1) >= 3:
        held = np.diag(np.sqrt(HELD) / before[used])
        rows = np.concatenate([design / found[:, None], held])
        targets = np.concatenate([np.ones(len(found)), np.full(used.size, np.sqrt(HELD))])
        fitted[used], _ = nnls(rows, targets)
    return [float(f"{value:.4g}") for value in fitted]
