"""The generative ODE by explicit Euler, backward in time: Eqs. (5), (9), (13), (17), Appendices C.1 and C.2.

Events have any shape; a network `(z_t, A) -> u` sees one sample at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .schedule import breakpoints, data_rates, data_weights

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Network = Callable[[Array, Array], Array]


def time_grid(intervals: Array, steps: Sequence[int]) -> list[float]:
    """Times from 1 down to 0: `steps[j]` equal steps within the interval of group j, and every breakpoint."""
    times = set(breakpoints(intervals))
    for (start, end), count in zip(intervals, steps, strict=True):
        for n in range(1, count):
            times.add(float(end + (start - end) * n / count))
    return sorted(times, reverse=True)


def rectified_euler(velocity: Callable[[Array, float], Array], z: Array, times: Sequence[float]) -> Array:
    """Eq. (5) along descending `times`: z_{t'} = z_t + v(z_t, t) (t' - t)."""
    for t, after in zip(times[:-1], times[1:], strict=True):
        z = z + velocity(z, t) * (after - t)
    return z


def groupwise_euler(direction: Network, z: Array, times: Sequence[float], labels: Labels, intervals: Array) -> Array:
    """Eq. (9) along descending `times`: z_{t'} = z_t + A'(t) u(z_t, A(t)) (t' - t).

    A'(t) is the left derivative, the slope of the interval that the step enters when it goes backward.
    `times` must contain the breakpoints, or a step leaves its group's interval and misses. Given coordinates
    in a basis and a network that lives there, this is Eq. (13).
    """
    for t, after in zip(times[:-1], times[1:], strict=True):
        a, rate = data_weights(t, labels, intervals), data_rates(t, labels, intervals, "left")
        z = z + rate * direction(z, a) * (after - t)
    return z


def frequency_euler(
    direction: Network, z: Array, times: Sequence[float], labels: Labels, intervals: Array, U: Array
) -> Array:
    """Eq. (17) along descending `times`: z_{t'} = z_t + U A'(t) U^T u(z_t, A(t)) (t' - t); U is (d, d)."""
    for t, after in zip(times[:-1], times[1:], strict=True):
        a, rate = data_weights(t, labels, intervals), data_rates(t, labels, intervals, "left")
        velocity = U @ (rate.ravel() * (U.T @ direction(z, a).ravel()))
        z = z + velocity.reshape(z.shape) * (after - t)
    return z


def autoregressive_sample(predict: Callable[[Array, int], float], z: Array) -> Array:
    """The sampling procedure of Appendix C.1: for l in d, ..., 1, x_l <- x_theta(x_{>l}, l); z is (d,).

    l counts from 1, so x_{>l} is x[l:]. The start z does not affect the result.
    """
    x = z.copy()
    for ell in range(len(z), 0, -1):
        x[ell - 1] = predict(x[ell:], ell)
    return x


def ancestral_sample(predict: Callable[[Array, int], float], noise: Array, sigma: float) -> Array:
    """A draw from the AR model of Prop. 3.1: x_l = x_theta(x_{>l}, l) + sigma noise_l for l in d, ..., 1."""
    x = np.zeros(len(noise))
    for ell in range(len(noise), 0, -1):
        x[ell - 1] = predict(x[ell:], ell) + sigma * noise[ell - 1]
    return x


def upsample(small: Array, shape: tuple[int, ...]) -> Array:
    """Nearest-neighbour doubling of the last two axes to `shape`: pixel (i, j) copies (i // 2, j // 2)."""
    image = np.empty(shape)
    for index in np.ndindex(*shape):
        image[index] = small[(*index[:-2], index[-2] // 2, index[-1] // 2)]
    return image


def cascade_sample(
    first: Callable[[Array, float], Array],
    second: Callable[[Array, Array, float], Array],
    z: Array,
    steps: tuple[int, int],
) -> Array:
    """The two-stage cascade of Appendix C.2, scale factor 2, no low-pass filter; z is (..., height, width).

    Stage 1 is an ordinary rectified flow on the small image: `first(small_t, alpha)` is its direction x - z.
    Stage 2 upsamples the small image and generates the other pixels without changing the first ones:
    `second(upsampled, image_t, alpha)` is the direction of the full image, of which only those pixels are
    used. alpha = 1 - t is the data weight within a stage, from 0 up.
    """
    small = z[..., 0::2, 0::2].copy()
    for n in range(steps[0]):
        small = small + first(small, n / steps[0]) / steps[0]  # dz = v dt with v = -u and dt = -1/N

    upsampled = upsample(small, z.shape)
    image = z.copy()
    image[..., 0::2, 0::2] = upsampled[..., 0::2, 0::2]
    for n in range(steps[1]):
        direction = second(upsampled, image, n / steps[1])
        for index in np.ndindex(*z.shape):
            if index[-2] % 2 != 0 or index[-1] % 2 != 0:
                image[index] += direction[index] / steps[1]
    return image
