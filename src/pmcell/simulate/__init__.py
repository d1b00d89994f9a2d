"""Simulated patients with a known truth, for tests, benchmarks and trying things out.

`simulate` makes counts of several cohorts, `simulate_latent` makes cells in an
embedding, many patients in a blink. Both are seeded: same arguments, same bits.
"""

from __future__ import annotations

from pmcell.simulate.counts import simulate
from pmcell.simulate.latent import SCENARIOS, simulate_latent

__all__ = ["SCENARIOS", "simulate", "simulate_latent"]
