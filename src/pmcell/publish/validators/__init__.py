"""Validators that others wrote, each in its own pinned environment, and what they found."""

from pmcell.publish.validators.environments import set_up
from pmcell.publish.validators.evidence import write_evidence
from pmcell.publish.validators.run import Check, Verdict, run_validators
from pmcell.publish.validators.table import VALIDATORS, Validator

__all__ = [
    "VALIDATORS",
    "Check",
    "Validator",
    "Verdict",
    "run_validators",
    "set_up",
    "write_evidence",
]
