"""The dossier of one person: where they stand in a release, in words, numbers and exchange forms.

To show another number, give it a field in `model.py`, fill it in `build.py`, and print it in
the template and in `fhir.py`: page and twins are made of the model alone.
"""

from __future__ import annotations

from pmcell.dossier.build import build_dossier
from pmcell.dossier.mapped import build_mapped_dossier
from pmcell.dossier.model import Dossier, Measurement, Validation
from pmcell.dossier.validation import read_validation, sign_validation
from pmcell.dossier.write import write_dossier

__all__ = [
    "Dossier",
    "Measurement",
    "Validation",
    "build_dossier",
    "build_mapped_dossier",
    "read_validation",
    "sign_validation",
    "write_dossier",
]
