"""Hold predicted power against simulated studies, over designs that were drawn, not chosen.

Half of the designs compare a state, half a composition. Designs of seed 16 were for
development: with them a difference of 0.071 was seen (8 donors, a rare type), and skewed
designs are drawn since. Those of seed 17 were looked at after that, and nothing was changed.

    python tests/benchmarks/gaps/power_calibration.py --designs 20 --studies 5000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gaps.test_power import simulated_power
from pmcell.gaps.power import Composition, Effect, State, power


def draw_designs(n: int, seed: int) -> list[tuple[int, int, Effect]]:
    """Groups of 8 to 80 donors; effects from small to large."""
    rng = np.random.default_rng(seed)
    designs: list[tuple[int, int, Effect]] = []
    for number in range(n):
        n_1, n_2 = (int(item) for item in rng.integers(8, 81, 2))
        n_cells = int(rng.choice([50, 100, 200, 500, 1000, 2000]))
        if number % 2:
            share = float(rng.uniform(0.02, 0.4))
            fold = float(rng.uniform(1.2, 2.2))
            effect: Effect = Composition(
                share, share * fold, icc=float(rng.uniform(0.01, 0.1)), n_cells=n_cells
            )
        else:
            effect = State(
                float(rng.uniform(0.3, 1.3)), icc=float(rng.uniform(0.01, 0.5)), n_cells=n_cells
            )
        designs.append((n_1, n_2, effect))
    return designs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", type=int, default=20)
    parser.add_argument("--studies", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=17)
    args = parser.parse_args()
    off = []
    for number, (n_1, n_2, effect) in enumerate(draw_designs(args.designs, args.seed)):
        predicted = power(n_1, n_2, effect)
        simulated = simulated_power(n_1, n_2, effect, number, args.studies)
        half = 1.96 * np.sqrt(simulated * (1 - simulated) / args.studies)
        off.append(abs(predicted - simulated))
        print(f"{n_1:3d} {n_2:3d} {predicted:.3f} {simulated:.3f} ± {half:.3f}  {effect}")
    print(f"largest difference {max(off):.3f}, mean {np.mean(off):.3f}, over {len(off)} designs")


if __name__ == "__main__":
    main()
