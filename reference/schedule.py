"""The noise schedule: Eqs. (1), (2), (6), (10), (11), (20) and (21).

The scalar functions give the diagonal entry of one element from its group's interval; `diagonal` loops over
elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Side = Literal["left", "right"]


@njit
def alpha(t: float, start: float, end: float) -> float:
    """A(t)_ii of an element whose group is diffused during [start, end]: the three cases of Eq. (10)."""
    if t <= start:
        return 1.0
    if t <= end:
        return 1.0 / (start - end) * t - 1.0 / (start - end) * end
    return 0.0


@njit
def left_rate(t: float, start: float, end: float) -> float:
    """Left derivative of Eq. (10) per unit of time: at t = end it is the slope, as Eq. (21) implies."""
    if start < t <= end:
        return 1.0 / (start - end)
    return 0.0


@njit
def right_rate(t: float, start: float, end: float) -> float:
    """Right derivative of Eq. (10) per unit of time: at t = start it is the slope, at t = end it is 0."""
    if start <= t < end:
        return 1.0 / (start - end)
    return 0.0


@njit
def trigonometric_alpha(t: float, start: float, end: float) -> float:
    """alpha of Eq. (1), per group: cos(pi/2 tau), tau being the fraction of the interval that has passed."""
    if t <= start:
        return 1.0
    if t < end:
        return math.cos(math.pi / 2 * (t - start) / (end - start))
    return 0.0


@njit
def trigonometric_sigma(t: float, start: float, end: float) -> float:
    """sqrt(1 - alpha^2) of Eq. (1), written sin(pi/2 tau), which keeps its digits where alpha is near 1."""
    if t <= start:
        return 0.0
    if t < end:
        return math.sin(math.pi / 2 * (t - start) / (end - start))
    return 1.0


@njit
def _diagonal(entry: Callable[[float, float, float], float], t: float, labels: Labels, intervals: Array) -> Array:
    """The loop of `diagonal` over flat labels."""
    values = np.empty(labels.size)
    for i in range(labels.size):
        j = labels[i]
        values[i] = entry(t, intervals[j, 0], intervals[j, 1])
    return values


def diagonal(entry: Callable[[float, float, float], float], t: float, labels: Labels, intervals: Array) -> Array:
    """The diagonal matrix of entry(t, t_start_j, t_end_j) for i in S_j, as an array of the event's shape."""
    flat = np.ascontiguousarray(labels, dtype=np.int64).reshape(-1)
    table = np.ascontiguousarray(intervals, dtype=np.float64)
    return _diagonal(entry, float(t), flat, table).reshape(np.shape(labels))


def data_weights(t: float, labels: Labels, intervals: Array) -> Array:
    """A(t) of Eq. (10), in [0, 1]; shape of `labels`. S(t) = I - A(t) on this (linear) path."""
    return diagonal(alpha, t, labels, intervals)


def data_rates(t: float, labels: Labels, intervals: Array, side: Side = "left") -> Array:
    """A'(t) of Eq. (10) from the chosen side, per unit of time; shape of `labels`."""
    return diagonal(left_rate if side == "left" else right_rate, t, labels, intervals)


def trigonometric_weights(t: float, labels: Labels, intervals: Array) -> tuple[Array, Array]:
    """(A(t), S(t)) when every group follows Eq. (1), S = sqrt(I - A^2); shapes of `labels`."""
    return diagonal(trigonometric_alpha, t, labels, intervals), diagonal(trigonometric_sigma, t, labels, intervals)


def trigonometric_rates(t: float, labels: Labels, intervals: Array, side: Side = "left") -> tuple[Array, Array]:
    """(A'(t), S'(t)) of `trigonometric_weights` from the chosen side, per unit of time; shapes of `labels`.

    Chain rule through tau = 1 - (the linear A of Eq. (10)): cos' = -sin, sin' = cos, tau' = -(the linear A').
    """
    tau = 1.0 - data_weights(t, labels, intervals)
    tau_rate = -data_rates(t, labels, intervals, side)
    return -math.pi / 2 * np.sin(math.pi / 2 * tau) * tau_rate, math.pi / 2 * np.cos(math.pi / 2 * tau) * tau_rate


def equal_intervals(k: int) -> Array:
    """k equal intervals for groups in order of generation: group 0 has the latest one; (k, 2), in [0, 1]."""
    return np.array([[(k - 1 - j) / k, (k - j) / k] for j in range(k)])


def paper_intervals(d: int) -> Array:
    """Appendix C.1: t_start_j = (j - 1) / d, t_end_j = j / d for j = 1..d; element d is generated first."""
    return np.array([[(j - 1) / d, j / d] for j in range(1, d + 1)])


def breakpoints(intervals: Array) -> list[float]:
    """Times in [0, 1] where the slope of some entry of A may jump, with 0 and 1, ascending and distinct."""
    times = {0.0, 1.0}
    for start, end in intervals:
        times.add(float(start))
        times.add(float(end))
    return sorted(times)


def variance_preserving(x: Array, z: Array, t: float) -> Array:
    """Eq. (1) with alpha(t) = cos(pi/2 t): x_t = alpha x + sqrt(1 - alpha^2) z; shape of x."""
    return trigonometric_alpha(float(t), 0.0, 1.0) * x + trigonometric_sigma(float(t), 0.0, 1.0) * z


def rectified(x: Array, z: Array, t: float) -> Array:
    """Eq. (2): x_t = (1 - t) x + t z; shape of x."""
    return (1 - t) * x + t * z


def interpolate(x: Array, z: Array, a: Array, s: Array | None = None) -> Array:
    """Eq. (6): x_t = A x + (I - A) z; with `s`, x_t = A x + S z for another path. All of the event's shape.

    Given coordinates U^T x and U^T z in a basis it is Eq. (11).
    """
    return a * x + (1 - a if s is None else s) * z


def interpolate_in_basis(x: Array, z: Array, a: Array, U: Array, s: Array | None = None) -> Array:
    """Eq. (11) seen in pixels: U x_bar_t, from U^T x and U^T z; a, s are diagonals in the basis U (d, d)."""
    frequencies = interpolate(U.T @ x.ravel(), U.T @ z.ravel(), a.ravel(), None if s is None else s.ravel())
    return (U @ frequencies).reshape(x.shape)
