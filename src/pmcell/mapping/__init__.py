"""Mapping of new samples onto the frozen reference of a release."""

from __future__ import annotations
