"""C.2: with a lattice of two groups, GDM is the cascaded model: two separate diffusion models, one after the other.

    python examples/c2_cascade.py

Digits whose law is known (a mixture of Gaussians fitted to scikit-learn's): stage one is a usual diffusion model of the
16 pixels of every second row and column; stage two another one, of the 48 others given these, which are never touched.
From the same noise both make the same images as gdm.generate with Schedule.cascade: the number is the difference.
"""

from __future__ import annotations

import numpy as np
import shared

import gdm
from gdm.oracle import GaussianMixture
from gdm.panels import Panels

SHAPE = (1, 8, 8)
COARSE = np.zeros(SHAPE, bool)
COARSE[:, ::2, ::2] = True


def main() -> None:
    parser = shared.parser(__doc__, n=6, steps=64, seed=0)
    parser.add_argument("--components", type=int, default=10, help="Gaussians of the mixture (10)")
    args = parser.parse_args()
    mixture, cascade = shared.digits_mixture(args.components), gdm.Schedule.cascade(SHAPE)
    z = gdm.draw_latents(args.seed, range(args.n), SHAPE, np.float64)
    ours = gdm.generate(mixture.direction(cascade), z, cascade, steps=2 * args.steps)

    small = diffuse(given(mixture, np.empty(0), COARSE.ravel(), ~COARSE.ravel()), z[:, COARSE], args.steps)
    theirs = np.empty_like(z)
    theirs[:, COARSE] = small
    for image, noise in zip(theirs, z, strict=True):
        fine = given(mixture, image[COARSE], ~COARSE.ravel(), COARSE.ravel())
        image[~COARSE] = diffuse(fine, noise[~COARSE][None], args.steps)[0]

    shown = np.where(COARSE, theirs, 0.55)
    images = np.stack([z, shown, theirs, ours]).clip(-1, 1)
    rows = ("noise", "stage 1", "stage 2", "GDM, k = 2")
    made = Panels(images, rows, tuple(f"no. {i}" for i in range(args.n)), "a cascade in two models, and in one")
    shared.save(made, args, "c2_cascade", {"two_models_against_gdm": float(np.abs(theirs - ours).max())})


def diffuse(mixture: GaussianMixture, z: np.ndarray, steps: int) -> np.ndarray:
    """Return samples of the usual diffusion model with the exact network. Shapes: (n, d) -> (n, d)"""
    schedule = gdm.Schedule.vanilla(z.shape[1:])
    return gdm.generate(mixture.direction(schedule), z, schedule, steps=steps)


def given(mixture: GaussianMixture, known: np.ndarray, rest: np.ndarray, where: np.ndarray) -> GaussianMixture:
    """Return the law of the elements `rest` given those at `where`; without any `known`, of these alone."""
    means, covariances = mixture.means.reshape(len(mixture.weights), -1), mixture.covariances
    if not known.size:
        return GaussianMixture(mixture.weights, means[:, rest], covariances[:, rest][:, :, rest])
    logs, centres, spreads = [], [], []
    for weight, mean, full in zip(mixture.weights, means, covariances, strict=True):
        own, away = full[np.ix_(where, where)], known - mean[where]
        gain = full[np.ix_(rest, where)] @ np.linalg.inv(own)
        logs.append(np.log(weight) - 0.5 * (away @ np.linalg.solve(own, away) + np.linalg.slogdet(own)[1]))
        centres.append(mean[rest] + gain @ away)
        spreads.append(full[np.ix_(rest, rest)] - gain @ full[np.ix_(where, rest)])
    weights = np.maximum(np.exp(logs - np.max(logs)), 1e-300)
    spreads = [(spread + spread.T) / 2 for spread in spreads]
    return GaussianMixture(weights, np.stack(centres), np.stack(spreads))


if __name__ == "__main__":
    shared.run(main)
