"""Count the network calls that Euler, AB2, Heun, midpoint and RK4 need for the same trajectory error.

    python benchmarks/ab2_against_euler.py

The network is exact: the optimal direction of a random mixture of three Gaussians in 16 dimensions, as images
(1, 4, 4) in four blocks, one after another (k = 4). The error of a trajectory is the root mean square, over
latents, coordinates and the four states at the ends of the groups, of its distance from a fine RK4 solution,
whose own error (its distance from the solution with half as many steps) is printed.

Euler and AB2 call the network once per step, Heun and midpoint twice, RK4 four times. The first table has the
errors; the second the calls that Euler and AB2 need to reach some errors, interpolated between budgets on
logarithmic scales, and their ratio. Expected: a quarter. Brackets are quartiles over the mixtures.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import measure
import numpy as np

import gdm
from gdm import solver

SHAPE, GRID = (1, 4, 4), (2, 2)
CALLS = (16, 32, 64, 128, 256, 512, 1024)
SOLVERS = ("euler", "ab2", "heun", "midpoint", "rk4")
LEVELS = (0.1, 0.05, 0.02, 0.01, 0.005)  # errors; the data's standard deviation is about 1
FINE = 1024  # steps of the RK4 solution that counts as exact
Errors = dict[tuple[str, int], float]  # by solver and network calls


def mixture(seed: int) -> gdm.oracle.GaussianMixture:
    """Draw a mixture of three correlated Gaussians, scaled to variance 1 on average over coordinates."""
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.full(3, 4.0))
    means = random.normal(size=(3, *SHAPE))
    factors = random.normal(size=(3, 16, 16)) / 4  # covariances F F^T: variance 1 per coordinate, condition ~ 1e3
    covariances = 0.3 * factors @ factors.transpose(0, 2, 1) + 0.01 * np.eye(16)
    total = (weights * (means.reshape(3, -1).var(axis=1) + covariances.trace(axis1=1, axis2=2) / 16)).sum()
    return gdm.oracle.GaussianMixture(weights, means / np.sqrt(total), covariances / total)


def errors(seed: int, latents: int) -> tuple[Errors, float]:
    """Return the trajectory error of every solver and budget for one mixture, and that of the fine solution."""
    schedule = gdm.Schedule.blockwise(SHAPE, GRID)
    network = mixture(seed).direction(schedule)
    z = gdm.draw_latents(seed, range(latents), SHAPE, np.float64)

    def states(name: str, steps: int) -> np.ndarray:
        return gdm.generate(network, z, schedule, steps=steps, solver=name, trajectory=True)[1:]

    fine = states("rk4", FINE)
    budgets = {(name, calls): calls // solver.get(name).calls for name, calls in itertools.product(SOLVERS, CALLS)}
    found = {case: rms(states(case[0], steps) - fine) for case, steps in budgets.items() if steps >= schedule.k}
    return found, rms(states("rk4", FINE // 2) - fine)


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def calls_for(level: float, name: str, found: Errors) -> float:
    """Return the calls at which a solver's error falls to `level`, NaN if that is outside the budgets tried."""
    curve = [(calls, error) for (solver_name, calls), error in found.items() if solver_name == name]
    for (few, worse), (many, better) in itertools.pairwise(curve):
        if better <= level <= worse:
            share = np.log(worse / level) / np.log(worse / better)
            return float(np.exp(np.log(few) + share * np.log(many / few)))
    return float("nan")


def error_rows(results: Sequence[Errors]) -> list[dict[str, Any]]:
    """One row per number of calls, one column per solver."""
    return [
        {"calls": calls}
        | {
            name: measure.spread(r[name, calls] for r in results) if (name, calls) in results[0] else None
            for name in SOLVERS
        }
        for calls in CALLS
    ]


def call_rows(results: Sequence[Errors]) -> list[dict[str, Any]]:
    """One row per error level: the calls of Euler and AB2, and AB2's share of Euler's."""
    rows = []
    for level in LEVELS:
        euler, ab2 = (np.array([calls_for(level, name, r) for r in results]) for name in ("euler", "ab2"))
        reached = np.isfinite(euler) & np.isfinite(ab2)
        if reached.sum() >= 2:
            sides = {"euler calls": euler, "ab2 calls": ab2, "ab2 / euler": ab2 / euler}
            spreads = {name: measure.spread(values[reached]) for name, values in sides.items()}
            rows.append({"error": level, "mixtures": int(reached.sum()), **spreads})
    return rows


def main() -> None:
    parser = measure.parser(__doc__, rounds=5, help="mixtures")
    parser.add_argument("--latents", type=int, default=16, help="trajectories per mixture (default 16)")
    options = parser.parse_args()
    results, own = zip(*(errors(seed, options.latents) for seed in range(options.rounds)), strict=True)
    where = measure.environment(
        ("numpy",), threads="numpy's own", dtype="float64", event=SHAPE, blocks=GRID,
        mixtures=options.rounds, latents=options.latents, fine=f"RK4, {FINE} steps, own error below {max(own):.1e}",
    )  # fmt: skip
    tables = {"errors": error_rows(results), "calls": call_rows(results)}
    measure.show(where, *tables.values())
    measure.save(options.json, where, [{"table": name, **row} for name, rows in tables.items() for row in rows])


if __name__ == "__main__":
    main()
