"""Run validators on a release, each in its own environment, side by side and offline."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmcell.errors import PmcellError
from pmcell.io.atomic import sha256_file
from pmcell.publish.validators import shapes
from pmcell.publish.validators.environments import (
    environment,
    how_to_set_up,
    interpreter,
    is_ready,
)
from pmcell.publish.validators.table import DRIVERS, MAX_BYTES, Validator

PASS, FAIL, NOT_RUN = "pass", "fail", "not_run"
RUN_DRIVER = DRIVERS / "run_driver.py"
LONGEST_SECONDS = 3600
# A validator that reaches for the network is refused at once instead of hanging.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Check:
    """What one validator says of one target at one level."""

    target: str
    level: str
    status: str
    reason: str = ""
    findings: tuple[dict[str, str], ...] = ()

    @property
    def is_binding(self) -> bool:
        """Whether a failure means that the standard is broken, not a recommendation of it."""
        return not self.level.endswith("RECOMMENDED")


@dataclass(frozen=True)
class Verdict:
    """What one validator says of a release."""

    name: str
    version: str
    checks: tuple[Check, ...]
    exit_code: int | None = None
    raw: Any = None
    input_sha256: dict[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Check, ...]:
        """Binding checks that failed."""
        return tuple(item for item in self.checks if item.status == FAIL and item.is_binding)


def run_validators(
    release: Path,
    validators: Sequence[Validator],
    *,
    extra_shapes: Path | None = None,
    all_rows: bool = False,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Verdict]:
    """The verdict of each validator, in the given order; one that cannot run says why.

    `extra_shapes` is a folder of SHACL shapes beside those that ship;
    `all_rows` makes the checks of rows read whole tables, however large.
    """
    release = release.resolve()

    def one(validator: Validator) -> Verdict:
        verdict = _run_one(release, validator, extra_shapes, all_rows)
        progress(validator.name)
        return verdict

    with ThreadPoolExecutor(max(len(os.sched_getaffinity(0)), 1)) as pool:
        return list(pool.map(one, validators))


def _run_one(
    release: Path, validator: Validator, extra_shapes: Path | None, all_rows: bool
) -> Verdict:
    targets = validator.targets_in(release)
    if not targets:
        why = validator.on_request or f"the release has no {validator.targets[0]}"
        return not_run(validator, list(validator.targets), why)
    if not is_ready(validator):
        return not_run(validator, targets, f"not set up: {how_to_set_up([validator])}")
    with tempfile.TemporaryDirectory() as scratch:
        options = {**validator.options, "targets": targets}
        if all_rows and "rows" in options:
            options["rows"] = 0
        if "values" in options:
            most = math.inf if all_rows else options.pop("values")
            shapes_of = _shapes_of_tables(release)
            options["not_opened"] = [
                *(name for name, (rows, columns) in shapes_of.items() if rows * columns > most),
                *([] if all_rows else _large_cells(release)),
            ]
            options["no_rows"] = [name for name, (rows, _) in shapes_of.items() if not rows]
        try:
            if shapes.RECORD in targets:
                options |= shapes.prepare(release, Path(scratch), extra=extra_shapes)
        except PmcellError as error:
            return _failed(validator, targets, release, str(error), exit_code=None)
        options["environment"] = str(environment(validator))
        try:
            done = subprocess.run(
                _command(validator, release, options),
                cwd=release,
                env=_variables(Path(scratch)),
                capture_output=True,
                text=True,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return _failed(validator, targets, release, f"it did not end: {error}", exit_code=None)
    return _read(validator, targets, release, done)


def _shapes_of_tables(release: Path) -> dict[str, tuple[int, int]]:
    """Rows and columns of each table, by path inside the release; of none that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = {}
    for path in sorted([*release.glob("tables/*.parquet"), *release.glob("expression/*.parquet")]):
        with contextlib.suppress(pa.ArrowException, OSError):
            shape = pq.read_metadata(path)
            name = path.relative_to(release).as_posix()
            found[name] = (int(shape.num_rows), int(shape.num_columns))
    return found


def _large_cells(release: Path) -> list[str]:
    """Files of cells of which a validator would do no more than digest the bytes, for long."""
    large = (path for path in release.glob("cells/*.h5ad") if path.stat().st_size > MAX_BYTES)
    return sorted(path.relative_to(release).as_posix() for path in large)


def _command(validator: Validator, release: Path, options: dict[str, Any]) -> list[str]:
    call = [*interpreter(validator)]
    call += [] if validator.needs_node else [str(RUN_DRIVER)]
    return [*call, str(validator.driver), str(release), json.dumps(options)]


def _variables(scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    # One thread each: they run side by side.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return {**kept, **proxies, **threads, "HOME": str(scratch), "TMPDIR": str(scratch)}


def _read(
    validator: Validator,
    targets: list[str],
    release: Path,
    done: subprocess.CompletedProcess[str],
) -> Verdict:
    try:
        said = json.loads(done.stdout.replace(shapes.BASE, ""))
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        said = {"error": f"it broke down and said: {last}"}
    if said.get("error"):
        return _failed(validator, targets, release, said["error"], exit_code=done.returncode)
    checks = tuple(
        Check(
            target=item["target"],
            level=item["level"],
            status=FAIL if item["findings"] else PASS,
            reason=_first(item["findings"]),
            findings=tuple(item["findings"]),
        )
        for item in said["checks"]
    )
    failed = any(check.status == FAIL and check.is_binding for check in checks)
    return Verdict(
        validator.name,
        validator.version,
        checks,
        int(failed),
        said["raw"],
        _inputs(release, targets),
    )


def _first(findings: list[dict[str, str]]) -> str:
    if not findings:
        return ""
    rest = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0]['where']}: {findings[0]['message']}{rest}".removeprefix(": ")


def _failed(
    validator: Validator, targets: list[str], release: Path, why: str, *, exit_code: int | None
) -> Verdict:
    findings = ({"message": why, "where": ", ".join(targets)},)
    check = Check(", ".join(targets), "", FAIL, why, findings)
    return Verdict(
        validator.name, validator.version, (check,), exit_code, None, _inputs(release, targets)
    )


def not_run(validator: Validator, targets: Sequence[str], why: str) -> Verdict:
    """The verdict of a validator that did not run, and why."""
    checks = tuple(Check(target, "", NOT_RUN, why) for target in targets)
    return Verdict(validator.name, validator.version, checks)


def _inputs(release: Path, targets: list[str]) -> dict[str, str]:
    return {name: sha256_file(release / name) for name in targets}
