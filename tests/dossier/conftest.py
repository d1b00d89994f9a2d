"""One made-up release for all tests of dossiers, and the dossier of one of its people."""

from __future__ import annotations

from pathlib import Path

import pytest

from dossier.made_people import PERSON, make_people
from pmcell.dossier import Dossier, build_dossier


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with 130 healthy women and 20 men in the thirties; nobody may change it."""
    return make_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="session")
def dossier(people: Path) -> Dossier:
    """The dossier of the ill woman at her second visit."""
    return build_dossier(people, PERSON, date="2026-11-30")
