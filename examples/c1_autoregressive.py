"""C.1: with one group per element and one step each, GDM is the autoregressive loop x_l <- E[x_l | the x before].

    python examples/c1_autoregressive.py

Digits whose law is known (a mixture of Gaussians fitted to scikit-learn's), so that the loop can be written down by
hand, from conditional means of Gaussians: gdm.generate agrees with it to rounding. Look at the rows: one step per pixel
gives the same mean image whatever the noise, as C.1 remarks; adding noise of the loop's residual makes it the Gaussian
autoregressive model; more steps per pixel make it exact, which that model with its fixed sigma is not.
"""

from __future__ import annotations

import numpy as np
import shared

import gdm
from gdm.panels import Panels

SHAPE, D = (1, 8, 8), 64


def main() -> None:
    parser = shared.parser(__doc__, n=8, seed=0)
    parser.add_argument("--components", type=int, default=10, help="Gaussians of the mixture (10)")
    parser.add_argument("--most", type=int, default=16, help="steps per pixel: 2, 4 and 16, up to this (16)")
    args = parser.parse_args()
    mixture = shared.digits_mixture(args.components)
    schedule, network = gdm.Schedule.autoregressive(SHAPE), mixture.direction(gdm.Schedule.autoregressive(SHAPE))
    z = gdm.draw_latents(args.seed, range(args.n), SHAPE, np.float64)
    noise = gdm.draw_latents(args.seed + 1, range(args.n), (D,), np.float64)
    data = mixture.sample(args.seed, args.n).reshape(-1, D)
    sigma = np.sqrt(np.mean([(data[:, i] - expected(mixture, data[:, :i])) ** 2 for i in range(D)]))
    one = gdm.generate(network, z, schedule, steps=D)
    rows = {"data": data, "loop": loop(mixture, 0 * noise), "GDM, N = 1": one}
    rows |= {"loop with noise": loop(mixture, sigma * noise)}
    rows |= {f"GDM, N = {n}": gdm.generate(network, z, schedule, steps=[n] * D) for n in (2, 4, 16) if n <= args.most}
    images = np.stack([np.reshape(row, (args.n, *SHAPE)) for row in rows.values()])
    difference = float(np.abs(images[1] - images[2]).max())
    densities = {name: mixture.log_density(row).mean() for name, row in zip(rows, images, strict=True)}
    made = Panels(images.clip(-1, 1), tuple(rows), tuple(f"no. {i}" for i in range(args.n)), "pixel by pixel")
    shared.save(
        made, args, "c1_autoregressive", {"loop_against_gdm": difference, "sigma": sigma, "log_density": densities}
    )


def loop(mixture: gdm.oracle.GaussianMixture, noise: np.ndarray) -> np.ndarray:
    """The autoregressive model: element after element, its mean given those before, plus noise. Shapes: (n, 64)"""
    x = np.empty((len(noise), 0))
    for i in range(D):
        x = np.column_stack([x, expected(mixture, x) + noise[:, i]])
    return x


def expected(mixture: gdm.oracle.GaussianMixture, before: np.ndarray) -> np.ndarray:
    """Return E[x_i | x_0, ..., x_(i-1)] under a mixture. Shapes: before (n, i) -> (n,)"""
    i = before.shape[1]
    logs, means = [], []
    for weight, mean, covariance in zip(
        mixture.weights, mixture.means.reshape(-1, D), mixture.covariances, strict=True
    ):
        away, inverse = before - mean[:i], np.linalg.inv(covariance[:i, :i])
        logs.append(np.log(weight) - 0.5 * ((away @ inverse * away).sum(1) + np.linalg.slogdet(covariance[:i, :i])[1]))
        means.append(mean[i] + away @ inverse @ covariance[:i, i])
    shares = np.exp(logs - np.max(logs, axis=0))
    return (shares * means).sum(axis=0) / shares.sum(axis=0)


if __name__ == "__main__":
    shared.run(main)
