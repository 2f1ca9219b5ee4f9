"""Exact optimal networks for Gaussians and Gaussian mixtures, for any schedule, basis and path.

With data from a mixture, the minimiser of the direction loss is known in closed form, so samplers, losses,
likelihoods and edits can be checked, and ideas tried, without training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdm.arrays import A, check_event, constant, namespace
from gdm.basis import Basis
from gdm.errors import ShapeError, ValueRangeError
from gdm.flow import generator
from gdm.objective import Network
from gdm.schedule import Schedule


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of m Gaussians over events, given on the host (float64).

    weights: (m,), positive; they are normalised.
    means: (m, *event).
    covariances: (m, d, d) over the flattened event (C order), d its size; or (m, *event), variances of
        independent elements; or (m,), one variance for all. Positive definite.

    One standard Gaussian in two dimensions: `GaussianMixture([1.0], [[0.0, 0.0]], [1.0])`.

    Raises: ShapeError; ValueRangeError for a weight or covariance that is not positive (definite)
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        weights, means = np.asarray(self.weights, np.float64), np.asarray(self.means, np.float64)
        if weights.ndim != 1 or means.ndim < 2 or len(means) != len(weights) or not means.size:
            raise ShapeError(
                f"mixture: expected weights (m,) and means (m, *event), at least one, got {weights.shape} and {means.shape}"
            )
        if not np.isfinite(means).all():
            raise ValueRangeError(
                f"means: expected finite numbers, got {means.tolist()}; centre each component somewhere"
            )
        if not ((weights > 0) & np.isfinite(weights)).all():
            raise ValueRangeError(
                f"weights: expected positive numbers, got {weights.tolist()}; leave empty components out"
            )
        object.__setattr__(self, "shape", means.shape[1:])
        object.__setattr__(self, "weights", weights / weights.sum())
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "covariances", self._full(np.asarray(self.covariances, np.float64)))

    def _full(self, given: np.ndarray) -> np.ndarray:
        """Return covariances as (m, d, d), checked."""
        m, d = len(self.weights), math.prod(self.shape)
        if given.shape == (m,):
            full = given[:, None, None] * np.eye(d)
        elif given.shape == (m, *self.shape):
            full = given.reshape(m, d, 1) * np.eye(d)
        elif given.shape == (m, d, d):
            full = given
        else:
            raise ShapeError(f"covariances: expected ({m}, {d}, {d}), {(m, *self.shape)} or ({m},), got {given.shape}")
        if (
            np.abs(full - full.transpose(0, 2, 1)).max() > 1e-9 * np.abs(full).max()
            or not (np.linalg.eigvalsh(full) > 0).all()
        ):
            raise ValueRangeError(
                "covariances: expected symmetric positive definite matrices; add a small multiple of the identity?"
            )
        return full

    def direction(self, schedule: Schedule) -> Network:
        """Return the optimal network u(x_t, alpha) = E[x - z | x_t]: batched, on any backend, differentiable."""
        posterior = self._posterior(schedule)
        return lambda x_t, alpha: posterior(x_t, alpha)[2]

    def denoiser(self, schedule: Schedule) -> Network:
        """Return the optimal denoiser E[x | x_t], the minimiser of Eq. (3)."""
        posterior = self._posterior(schedule)
        return lambda x_t, alpha: posterior(x_t, alpha)[0]

    def sample(self, seed: int, n: int) -> np.ndarray:
        """Draw n events, NumPy float64 (n, *event), event i from (seed, i) alone."""
        events, roots = np.empty((n, *self.shape)), np.linalg.cholesky(self.covariances)
        for i in range(n):
            rng = generator(seed, i, stream=1)  # not the latents of the same seed: data and noise are independent
            j = rng.choice(len(self.weights), p=self.weights)
            events[i] = self.means[j] + (roots[j] @ rng.standard_normal(len(roots[j]))).reshape(self.shape)
        return events

    def log_density(self, x: A) -> A:
        """Return log p(x) in nats. Shapes: (batch, *event) -> (batch,)"""
        check_event(x, self.shape, "x")
        xp = namespace(x)
        d = math.prod(self.shape)
        centred = xp.reshape(x, (-1, 1, d)) - constant(self.means.reshape(-1, d), like=x)
        covariance = constant(self.covariances, like=x)
        solved = xp.sum(constant(np.linalg.inv(self.covariances), like=x) * centred[..., None, :], axis=-1)
        return _log_sum(_log_normal(centred, solved, covariance) + constant(np.log(self.weights), like=x))

    def _posterior(self, schedule: Schedule) -> Callable[[Any, Any], tuple[Any, Any, Any]]:
        """Return the function (x_t, alpha) -> (E[x | x_t], E[z | x_t], E[x - z | x_t])."""
        if schedule.shape != self.shape:
            raise ShapeError(f"schedule: expected the mixture's event shape {self.shape}, got {schedule.shape}")
        d = math.prod(self.shape)
        basis = schedule.basis
        means = basis.analyze(self.means).reshape(-1, d)
        covariances = _in_basis(self.covariances, basis)

        def posterior(x_t: Any, alpha: Any) -> tuple[Any, Any, Any]:
            """Condition each component on x_t = A x + S z, in coordinates; average by responsibility."""
            xp = namespace(x_t, alpha)
            a = xp.reshape(schedule.expand(alpha), (-1, 1, d))
            s = schedule.path.noise_of(a)
            mean, covariance = constant(means, like=x_t), constant(covariances, like=x_t)
            centred = xp.reshape(basis.analyze(x_t), (-1, 1, d)) - a * mean  # (batch, m, d)
            diagonal = constant(np.eye(d), like=x_t) * (s * s)[..., None]
            total = a[..., :, None] * covariance * a[..., None, :] + diagonal  # Cov[x_t], (batch, m, d, d)
            solved = xp.linalg.solve(total, centred[..., None])
            x_hat = mean + xp.matmul(covariance, a[..., None] * solved)[..., 0]
            z_hat = s * solved[..., 0]
            evidence = _log_normal(centred, solved[..., 0], total) + constant(np.log(self.weights), like=x_t)
            weights = xp.exp(evidence - _log_sum(evidence)[:, None])[..., None]
            means_of = (xp.sum(weights * value, axis=1) for value in (x_hat, z_hat, x_hat - z_hat))
            x_mean, z_mean, u_mean = (basis.synthesize(xp.reshape(value, x_t.shape)) for value in means_of)
            return x_mean, z_mean, u_mean

        return posterior


def _in_basis(covariances: np.ndarray, basis: Basis) -> np.ndarray:
    """Return U^T Sigma U for each (d, d) matrix: U^T applied to columns, then to rows."""
    m, d, _ = covariances.shape
    for _ in range(2):
        covariances = basis.analyze(covariances.reshape(m * d, *basis.shape)).reshape(m, d, d).transpose(0, 2, 1)
    return covariances


def _log_normal(centred: A, solved: A, covariance: A) -> A:
    """Return log N(centred; 0, covariance), (...), given solved = covariance^-1 centred, (..., d)."""
    xp = namespace(centred, covariance)
    log_volume = xp.linalg.slogdet(covariance)[1]
    return -0.5 * (xp.sum(centred * solved, axis=-1) + log_volume + math.log(2 * math.pi) * centred.shape[-1])


def _log_sum(terms: A) -> A:
    """Return log sum exp over the last axis."""
    xp = namespace(terms)
    top = xp.max(terms, axis=-1, keepdims=True)
    return top[..., 0] + xp.log(xp.sum(xp.exp(terms - top), axis=-1))
