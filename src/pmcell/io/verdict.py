"""`strata.json`, read and written as the verdict that it is."""

from __future__ import annotations

from pathlib import Path

from pmcell.errors import DataError
from pmcell.io.atomic import read_json, write_json
from pmcell.schema.verdict import Verdict


def read_verdict(path: Path) -> Verdict:
    """Return the verdict in a file.

    Raises
    ------
    FileNotFoundError
        Where there is no file.
    DataError
        Where it is no JSON, or (`FaultsError`) has a key that is unknown, missing or of
        another type.
    """
    try:
        value = read_json(path)
    except ValueError as error:
        raise DataError(
            f"{path} must be JSON; reading it failed: {error}. Write it again.",
            reason="unreadable_json",
        ) from error
    return Verdict.from_json(value, file=str(path))


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Write a verdict; equal verdicts give equal bytes."""
    write_json(path, verdict.as_json())
