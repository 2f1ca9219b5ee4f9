"""Fig. 1a: a Gaussian mixture in two dimensions, all at once (above) and one element after the other (below).

    python examples/fig01_mixture.py

The network is the exact one, so nothing is trained. Look at the middle of the lower row: at t = 0.5, x1 is where it
will stay, near one of three values, and x2 is still noise; only then does x2 move, given x1. Both ways end where the data
are: the numbers are the Frechet distance to a sample of the mixture, and mean log densities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shared

import gdm
from gdm.metrics import frechet_distance

ANGLES = np.pi / 6 * (1 + 2 * np.arange(6))
MIXTURE = gdm.oracle.GaussianMixture(
    np.full(6, 1 / 6), 2.2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1), np.full(6, 0.03)
)


def main() -> None:
    args = shared.parser(__doc__, n=1500, steps=128, seed=0).parse_args()
    z = gdm.draw_latents(args.seed, range(args.n), (2,), np.float64)
    data = MIXTURE.sample(args.seed + 1, args.n)
    ways = {"k = 1: all at once": gdm.Schedule.vanilla((2,)), "k = 2: one by one": gdm.Schedule.autoregressive((2,))}
    made, grid = shared.grid(2, 6, cell=1.75, sharex=True, sharey=True)
    numbers: dict[str, Any] = {"log_density_of_data": MIXTURE.log_density(data).mean()}
    for row, (name, schedule) in zip(grid, ways.items(), strict=True):
        states = film(schedule, z, args.steps)
        for axes, t, x in zip(row, (1, 0.75, 0.5, 0.25, 0), states, strict=False):
            dots(axes, x, f"t = {t:g}", shared.PALETTE[0])
        dots(row[-1], data, "data", shared.PALETTE[1])
        row[0].set_ylabel(f"{name}\n$x_2$")
        distance = frechet_distance(states[-1], data)
        numbers[name] = {"frechet_to_data": distance, "log_density": MIXTURE.log_density(states[-1]).mean()}
    for axes in grid[-1]:
        axes.set_xlabel("$x_1$")
    shared.save(made, args, "fig01_mixture", numbers)


def film(schedule: gdm.Schedule, z: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return the states at t = 1, 3/4, 1/2, 1/4 and 0: what the network is shown before steps, and the end."""
    network, seen = MIXTURE.direction(schedule), []

    def watched(x_t: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        seen.append(x_t)
        return network(x_t, alpha)

    end = gdm.generate(watched, z, schedule, steps=4 * (steps // 4))
    return [*seen[:: len(seen) // 4], end]


def dots(axes: Any, x: np.ndarray, title: str, colour: str) -> None:
    axes.scatter(*x.T, s=2, color=colour, linewidths=0, rasterized=True)
    axes.set_title(title, fontsize="medium")
    axes.set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6), aspect="equal", xticks=[-2, 0, 2], yticks=[-2, 0, 2])


if __name__ == "__main__":
    shared.run(main)
