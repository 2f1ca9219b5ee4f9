"""The training objectives, Eqs. (3), (4), (7), (8), (12), (14)-(16), (19) and (22)-(26).

The paper's squared norms are sums over the elements; here, as in practice, every loss is a mean over elements
and batch. x and z are (batch, *event), t is (batch,) in (0, 1]; the networks see one sample at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .schedule import data_rates, data_weights, interpolate, interpolate_in_basis, rectified

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
TimeNetwork = Callable[[Array, float], Array]  # (x_t, t) -> array of the event's shape
Network = Callable[[Array, Array], Array]  # (x_t, A) -> array of the event's shape
Path = Callable[[Array, Array, float], Array]  # (x, z, t) -> x_t


def denoising_loss(denoise: TimeNetwork, x: Array, z: Array, t: Array, path: Path = rectified) -> float:
    """Eq. (3) with lambda = 1; `path(x, z, t)` is `rectified` (Eq. 2) or `variance_preserving` (Eq. 1)."""
    total = 0.0
    for n in range(len(x)):
        x_t = path(x[n], z[n], t[n])
        total += np.mean((x[n] - denoise(x_t, t[n])) ** 2)
    return total / len(x)


def velocity_loss(velocity: TimeNetwork, x: Array, z: Array, t: Array) -> float:
    """Eq. (4), the rectified flow: the target is z - x."""
    total = 0.0
    for n in range(len(x)):
        x_t = rectified(x[n], z[n], t[n])
        total += np.mean(((z[n] - x[n]) - velocity(x_t, t[n])) ** 2)
    return total / len(x)


def groupwise_velocity_loss(velocity: Network, x: Array, z: Array, t: Array, labels: Labels, intervals: Array) -> float:
    """Eq. (7), with the left derivative A'(t): the target is A'(t) (x - z)."""
    total = 0.0
    for n in range(len(x)):
        a, rate = data_weights(t[n], labels, intervals), data_rates(t[n], labels, intervals, "left")
        x_t = interpolate(x[n], z[n], a)
        total += np.mean((rate * (x[n] - z[n]) - velocity(x_t, a)) ** 2)
    return total / len(x)


def direction_loss(direction: Network, x: Array, z: Array, t: Array, labels: Labels, intervals: Array) -> float:
    """Eq. (8): the target is x - z, for every element at every time."""
    total = 0.0
    for n in range(len(x)):
        a = data_weights(t[n], labels, intervals)
        x_t = interpolate(x[n], z[n], a)
        total += np.mean(((x[n] - z[n]) - direction(x_t, a)) ** 2)
    return total / len(x)


def frequency_loss(
    direction_bar: Network, x: Array, z: Array, t: Array, labels: Labels, intervals: Array, U: Array
) -> float:
    """Eqs. (12) and (14): Eq. (8) on x_bar = U^T x and z_bar = U^T z, the network living in the basis."""
    x_bar = np.array([(U.T @ sample.ravel()).reshape(sample.shape) for sample in x])
    z_bar = np.array([(U.T @ sample.ravel()).reshape(sample.shape) for sample in z])
    return direction_loss(direction_bar, x_bar, z_bar, t, labels, intervals)


def rotated_loss(direction: Network, x: Array, z: Array, t: Array, labels: Labels, intervals: Array, U: Array) -> float:
    """Eq. (15): the residual of a network that lives in pixels, rotated by U^T before it is squared."""
    total = 0.0
    for n in range(len(x)):
        a = data_weights(t[n], labels, intervals)
        x_t = interpolate_in_basis(x[n], z[n], a, U)
        total += np.mean((U.T @ (x[n] - z[n] - direction(x_t, a)).ravel()) ** 2)
    return total / len(x)


def pixel_loss(direction: Network, x: Array, z: Array, t: Array, labels: Labels, intervals: Array, U: Array) -> float:
    """Eq. (16): noise is added in the basis, the network and its residual live in pixels."""
    total = 0.0
    for n in range(len(x)):
        a = data_weights(t[n], labels, intervals)
        x_t = interpolate_in_basis(x[n], z[n], a, U)
        total += np.mean(((x[n] - z[n]) - direction(x_t, a)) ** 2)
    return total / len(x)


# Appendix C.1: k = d, x and z are (batch, d), and l (`ell`, or i) counts from 1 as in the paper, so x_l is
# x[l - 1], x_{<l} is x[: l - 1] and x_{>l} is x[l:]. Means over l and the batch. For a velocity that is 0 but
# for its l-th element, Eq. (7) averaged over t = l/d is Eq. (22) divided by d: a mean against one element.


def noised(x: Array, z: Array, ell: int) -> Array:
    """x_t of one sample at t = l/d by Eq. (20): (x_t)_{<=l} = z_{<=l} and (x_t)_{>l} = x_{>l}; (d,)."""
    x_t = np.empty(len(x))
    for j in range(1, len(x) + 1):
        x_t[j - 1] = z[j - 1] if j <= ell else x[j - 1]
    return x_t


def _mean_over_l(term: Callable[[int, int], float], batch: int, d: int) -> float:
    """E over samples n = 0..batch-1 and l = 1..d of term(n, l)."""
    return sum(float(term(n, ell)) for n in range(batch) for ell in range(1, d + 1)) / (batch * d)


def autoregressive_loss(f: Callable[[Array, int], float], x: Array, sigma: float = 1.0) -> float:
    """Eq. (19): || x_i - f(x_{<i}, i) ||^2 / sigma^2; f sees the i - 1 earlier elements and i."""
    return _mean_over_l(lambda n, i: (x[n, i - 1] - f(x[n, : i - 1], i)) ** 2 / sigma**2, *x.shape)


def loss_22(g: Callable[[Array, int], float], x: Array, z: Array) -> float:
    """Eq. (22): || (z_l - x_l) d - g(x_t, l) ||^2, g being the l-th element of the velocity."""
    d = x.shape[1]
    return _mean_over_l(
        lambda n, ell: ((z[n, ell - 1] - x[n, ell - 1]) * d - g(noised(x[n], z[n], ell), ell)) ** 2, *x.shape
    )


def loss_23(predict: Callable[[Array, int], float], x: Array, z: Array) -> float:
    """Eq. (23): Eq. (22) with g(x_t, l) = ((x_t)_l - x_theta(x_t, l)) d; `predict` is x_theta."""
    d = x.shape[1]
    return loss_22(lambda x_t, ell: (x_t[ell - 1] - predict(x_t, ell)) * d, x, z)


def loss_24(predict: Callable[[Array, int], float], x: Array, z: Array) -> float:
    """Eq. (24): Eq. (23) after (x_t)_l = z_l."""
    d = x.shape[1]

    def term(n: int, ell: int) -> float:
        prediction = predict(noised(x[n], z[n], ell), ell)
        return ((z[n, ell - 1] - x[n, ell - 1]) * d - (z[n, ell - 1] - prediction) * d) ** 2

    return _mean_over_l(term, *x.shape)


def loss_25(predict: Callable[[Array, int], float], x: Array, z: Array) -> float:
    """Eq. (25): d^2 || x_l - x_theta(x_t, l) ||^2."""
    d = x.shape[1]
    return _mean_over_l(lambda n, ell: d**2 * (x[n, ell - 1] - predict(noised(x[n], z[n], ell), ell)) ** 2, *x.shape)


def loss_26(predict: Callable[[Array, int], float], x: Array) -> float:
    """Eq. (26): d^2 || x_l - x_theta(x_{>l}, l) ||^2; here x_theta sees the d - l known elements alone."""
    d = x.shape[1]
    return _mean_over_l(lambda n, ell: d**2 * (x[n, ell - 1] - predict(x[n, ell:], ell)) ** 2, *x.shape)
