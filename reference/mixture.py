"""Gaussian mixtures, for which the optimal networks of Eqs. (3), (4), (8) and the flow of Eq. (9) are exact.

Vectors are flat, (d,). A and S are diagonals, (d,), in the orthogonal basis U (d, d); U = None is the
identity.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


class Mixture(NamedTuple):
    """sum_m weights[m] N(means[m], covariances[m]): (m,), (m, d), (m, d, d), covariances not singular."""

    weights: Array
    means: Array
    covariances: Array


def normal_log_density(x: Array, mean: Array, covariance: Array) -> float:
    """log N(x; mean, covariance) in nats, by its formula."""
    residual = x - mean
    _, log_determinant = np.linalg.slogdet(covariance)
    distance = residual @ np.linalg.solve(covariance, residual)
    return -0.5 * (len(x) * math.log(2 * math.pi) + float(log_determinant) + float(distance))


def log_density(x: Array, mixture: Mixture) -> float:
    """log p(x) of the mixture in nats."""
    logs = [math.log(w) + normal_log_density(x, m, C) for w, m, C in zip(*mixture, strict=True)]
    highest = max(logs)
    return highest + math.log(sum(math.exp(value - highest) for value in logs))


def posterior_means(x_t: Array, mixture: Mixture, a: Array, s: Array, U: Array | None = None) -> tuple[Array, Array]:
    """(E[x | x_t], E[z | x_t]) where x_t = U A U^T x + U S U^T z, x from the mixture and z from N(0, I).

    Within a component (x, z, x_t) = L (x, z) is jointly Gaussian: its covariance is L diag(C, I) L^T, and the
    conditional mean is read off its blocks. Components are averaged by their responsibility for x_t.
    """
    d = len(x_t)
    U = np.eye(d) if U is None else U
    eye, zero = np.eye(d), np.zeros((d, d))
    L = np.block([[eye, zero], [zero, eye], [U @ np.diag(a) @ U.T, U @ np.diag(s) @ U.T]])
    hidden, seen = slice(0, 2 * d), slice(2 * d, 3 * d)

    conditional_means, logs = [], []
    for weight, mean, covariance in zip(*mixture, strict=True):
        joint_mean = L @ np.concatenate([mean, np.zeros(d)])
        joint = L @ np.block([[covariance, zero], [zero, eye]]) @ L.T
        residual = np.linalg.solve(joint[seen, seen], x_t - joint_mean[seen])
        conditional_means.append(joint_mean[hidden] + joint[hidden, seen] @ residual)
        logs.append(math.log(weight) + normal_log_density(x_t, joint_mean[seen], joint[seen, seen]))

    responsibilities = [math.exp(value - max(logs)) for value in logs]
    total = sum(responsibilities)
    average = np.zeros(2 * d)
    for responsibility, conditional_mean in zip(responsibilities, conditional_means, strict=True):
        average += responsibility / total * conditional_mean
    return average[:d], average[d:]


def optimal_direction(x_t: Array, mixture: Mixture, a: Array, s: Array, U: Array | None = None) -> Array:
    """u*(x_t, A) = E[x - z | x_t], the minimiser of Eq. (8) and (16); (d,), in pixels."""
    x, z = posterior_means(x_t, mixture, a, s, U)
    return x - z


def in_basis(mixture: Mixture, U: Array) -> Mixture:
    """The distribution of U^T x for x from the mixture; densities do not change, since U is orthogonal."""
    means = np.array([U.T @ mean for mean in mixture.means])
    return Mixture(mixture.weights, means, np.array([U.T @ C @ U for C in mixture.covariances]))


def marginal(mixture: Mixture, indices: list[int]) -> Mixture:
    """The distribution of x[indices] for x from the mixture."""
    covariances = np.array([C[np.ix_(indices, indices)] for C in mixture.covariances])
    return Mixture(mixture.weights, mixture.means[:, indices], covariances)


def group_log_densities(x: Array, mixture: Mixture, labels: Labels, U: Array | None = None) -> Array:
    """log p(x_j | x_0, ..., x_{j-1}) in nats for the groups j = 0..k-1 of U^T x; (k,), with sum log p(x)."""
    if U is not None:
        x, mixture = U.T @ x, in_basis(mixture, U)
    totals = [0.0]  # log p(x_0, ..., x_j) after group j; log 1 before any group
    for known, wanted in blocks_in_order(labels):
        totals.append(log_density(x[known + wanted], marginal(mixture, known + wanted)))
    return np.diff(np.array(totals))


def conditional(
    mean: Array, covariance: Array, known: list[int], wanted: list[int]
) -> tuple[Array, NDArray[np.floating], Array]:
    """(intercept, gain, block) of a Gaussian: x[wanted] | x[known] is N(intercept + gain x[known], block)."""
    cross = covariance[np.ix_(wanted, known)]
    gain = np.linalg.solve(covariance[np.ix_(known, known)], cross.T).T
    block = covariance[np.ix_(wanted, wanted)] - gain @ cross.T
    return mean[wanted] - gain @ mean[known], gain, block


def blocks_in_order(labels: Labels) -> list[tuple[list[int], list[int]]]:
    """For each group j in order: the flat indices of the groups before j, and those of group j."""
    flat = np.ravel(labels).tolist()
    pairs = []
    for j in range(max(flat) + 1):
        known = [i for i, label in enumerate(flat) if label < j]
        wanted = [i for i, label in enumerate(flat) if label == j]
        pairs.append((known, wanted))
    return pairs


def symmetric_root(C: Array) -> Array:
    """The symmetric positive R with R R = C."""
    values, vectors = np.linalg.eigh(C)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


# Why the symmetric root. While group j is active, earlier groups are data and later ones are noise that is
# independent of everything, so its flow is that of its conditional Gaussian N(m, C). With x_t = a x + s z and
# V = a^2 C + s^2 I, the optimal velocity is
#
#     E[a' x + s' z | x_t] = a' m + (a a' C + s s' I) V^{-1} (x_t - a m).
#
# All matrices are functions of C, so they commute, and a a' C + s s' I = V'/2: hence y = x_t - a m obeys
# y' = (V'/2) V^{-1} y, and V^{-1/2} y is constant. It is z at the noise end, where V = I, and it is
# C^{-1/2} (x - m) at the data end, where V = C. So x = m + C^{1/2} z, with the eigenvectors of C and positive
# eigenvalues, whatever the path (a, s). When k = d the blocks are positive numbers: the map is Cholesky's.


def gaussian_flow(z: Array, mean: Array, covariance: Array, labels: Labels, U: Array | None = None) -> Array:
    """The exact end of Eqs. (9), (17) for data N(mean, covariance): z -> x, a Knothe-Rosenblatt map; (d,).

    Group by group, x_j = E[x_j | x_{<j}] + Cov[x_j | x_{<j}]^{1/2} z_j with the symmetric root, in
    coordinates U^T x.
    """
    U = np.eye(len(z)) if U is None else U
    mean, covariance, z = U.T @ mean, U.T @ covariance @ U, U.T @ z
    x = np.zeros(len(z))
    for known, wanted in blocks_in_order(labels):
        intercept, gain, block = conditional(mean, covariance, known, wanted)
        x[wanted] = intercept + gain @ x[known] + symmetric_root(block) @ z[wanted]
    return U @ x


def gaussian_flow_inverse(x: Array, mean: Array, covariance: Array, labels: Labels, U: Array | None = None) -> Array:
    """Exact encoding, inverse of `gaussian_flow`: z_j = Cov[x_j | x_{<j}]^{-1/2} (x_j - E[x_j | x_{<j}])."""
    U = np.eye(len(x)) if U is None else U
    mean, covariance, x = U.T @ mean, U.T @ covariance @ U, U.T @ x
    z = np.zeros(len(x))
    for known, wanted in blocks_in_order(labels):
        intercept, gain, block = conditional(mean, covariance, known, wanted)
        z[wanted] = np.linalg.solve(symmetric_root(block), x[wanted] - intercept - gain @ x[known])
    return U @ z
