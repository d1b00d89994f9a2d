"""Do ranges of a dossier hold what they say? On people drawn from known populations.

For groups of several sizes: the share of new people inside what "9 of 10" have and inside the
reference interval; the share who are told to be outside for sure; and how often the 90 %
confidence interval of a reference limit holds the true limit, beside a peer, Harrell and
Davis's estimator with a percentile bootstrap. The method was chosen on --seed 1; the figures of
RESULTS.md are of --seed 2026.

  python tests/benchmarks/dossier/ranges.py --seed 2026
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import beta, binomtest

from pmcell.dossier.model import Interval
from pmcell.dossier.ranges import is_sure, limit_interval, limits_of, position

SIZES = (40, 119, 120, 240, 500)
N_POPULATION = 1_000_000
N_BOOTSTRAPS = 400
POPULATIONS = {
    "12 % of 2,000 cells": (-2.0, 0.6, 2_000),
    "12 % of 230 cells": (-2.0, 0.6, 230),
    "0.7 % of 2,000 cells": (-5.0, 0.8, 2_000),
    "0.7 % of 230 cells": (-5.0, 0.8, 230),
}
"""Mean and standard deviation of the logit of the true share, and cells counted."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=500, help="groups of each kind and size")
    args = parser.parse_args()
    print("| population | n | 9 of 10 | surely outside | reference | limits, ranks | limits, HD |")
    print("|---|---|---|---|---|---|---|")
    for number, (name, population) in enumerate(POPULATIONS.items()):
        rng = np.random.default_rng([args.seed, number])
        everyone = np.sort(draw(rng, N_POPULATION, *population))
        for n in SIZES:
            print(row(name, n, population, everyone, rng, args.draws), flush=True)


def draw(
    rng: np.random.Generator, n: int, centre: float, spread: float, n_cells: int
) -> np.ndarray:
    """Shares of people: a true share each, and cells counted from it."""
    true = 1 / (1 + np.exp(-rng.normal(centre, spread, n)))
    return rng.binomial(n_cells, true) / n_cells


def row(
    name: str,
    n: int,
    population: tuple[float, float, int],
    everyone: np.ndarray,
    rng: np.random.Generator,
    n_draws: int,
) -> str:
    """One line of the table."""
    truth = [float(np.quantile(everyone, p)) for p in (0.025, 0.975)]
    nine, sure, reference = [], [], []
    held, held_peer = 0, 0
    for _ in range(n_draws):
        group = np.sort(draw(rng, n, *population))
        limits = limits_of(group)
        nine.append(content(everyone, limits.nine_of_ten))
        sure.append(surely_outside(rng, population, limits.nine_of_ten))
        if limits.reference is None:
            continue
        reference.append(content(everyone, limits.reference))
        for limit, p in zip(truth, (0.025, 0.975), strict=True):
            interval = limit_interval(group, p)
            held += interval.low <= limit <= interval.high
            held_peer += bootstrap_holds(rng, group, p, limit)
    shown = [name, str(n), spread_of(nine), f"{np.mean(sure):.3f}"]
    if reference:
        shown += [spread_of(reference), rate(held, 2 * n_draws), rate(held_peer, 2 * n_draws)]
    else:
        shown += ["not given"] * 3
    return f"| {' | '.join(shown)} |"


def content(everyone: np.ndarray, limits: Interval | None) -> float:
    """Share of the population within the limits."""
    assert limits is not None
    first = np.searchsorted(everyone, limits.low, "left")
    last = np.searchsorted(everyone, limits.high, "right")
    return float(last - first) / everyone.size


def surely_outside(
    rng: np.random.Generator, population: tuple[float, float, int], limits: Interval | None
) -> float:
    """Share of 50 new people who stand outside by more than counting makes."""
    from statsmodels.stats.proportion import proportion_confint

    n_cells = population[2]
    shares = draw(rng, 50, *population)
    low, high = proportion_confint(shares * n_cells, n_cells, method="wilson")
    outside = [
        position(share, limits) != "within" and is_sure(Interval(a, b), limits)
        for share, a, b in zip(shares, low, high, strict=True)
    ]
    return float(np.mean(outside))


def bootstrap_holds(rng: np.random.Generator, group: np.ndarray, p: float, limit: float) -> bool:
    """Whether the bootstrapped 90 % interval of Harrell and Davis's quantile holds the limit."""
    n = group.size
    edges = beta.cdf(np.arange(n + 1) / n, (n + 1) * p, (n + 1) * (1 - p))
    drawn = np.sort(group[rng.integers(0, n, (N_BOOTSTRAPS, n))], axis=1) @ np.diff(edges)
    low, high = np.quantile(drawn, [0.05, 0.95])
    return bool(low <= limit <= high)


def spread_of(values: list[float]) -> str:
    """Mean, and what 90 of 100 groups have."""
    low, high = np.quantile(values, [0.05, 0.95])
    return f"{np.mean(values):.3f} ({low:.2f}–{high:.2f})"


def rate(n: int, total: int) -> str:
    """A rate with its 95 % interval."""
    low, high = binomtest(n, total).proportion_ci(method="wilson")
    return f"{n / total:.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main()
