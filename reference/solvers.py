"""Textbook one-step and two-step rules for dy/ds = f(s, y), as plain loops over the nodes s_0, s_1, ..., s_N.

Nodes may be unequally spaced and may ascend or descend; every function returns y at the last node. For the
linear path a group's ODE has this form: s is its data weight alpha_j, from 0 to 1, and f is u on the group's
elements, else 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Field = Callable[[float, Array], Array]


def euler(f: Field, y: Array, nodes: Sequence[float]) -> Array:
    """Explicit Euler, order 1: y + h f(s, y)."""
    for s, after in zip(nodes[:-1], nodes[1:], strict=True):
        y = y + (after - s) * f(s, y)
    return y


def heun(f: Field, y: Array, nodes: Sequence[float]) -> Array:
    """Heun's trapezoidal rule, order 2: the mean of both ends' slopes, the far end predicted by Euler."""
    for s, after in zip(nodes[:-1], nodes[1:], strict=True):
        h = after - s
        first = f(s, y)
        second = f(after, y + h * first)
        y = y + h * (first + second) / 2
    return y


def midpoint(f: Field, y: Array, nodes: Sequence[float]) -> Array:
    """Explicit midpoint rule, order 2: the slope halfway, where half an Euler step leads."""
    for s, after in zip(nodes[:-1], nodes[1:], strict=True):
        h = after - s
        y = y + h * f(s + h / 2, y + h / 2 * f(s, y))
    return y


def rk4(f: Field, y: Array, nodes: Sequence[float]) -> Array:
    """The classical Runge-Kutta rule, order 4."""
    for s, after in zip(nodes[:-1], nodes[1:], strict=True):
        h = after - s
        k1 = f(s, y)
        k2 = f(s + h / 2, y + h / 2 * k1)
        k3 = f(s + h / 2, y + h / 2 * k2)
        k4 = f(after, y + h * k3)
        y = y + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
    return y


def ab2(f: Field, y: Array, nodes: Sequence[float]) -> Array:
    """Adams-Bashforth, order 2: the line through the last two slopes, integrated over the step.

    The first step is Euler's. With steps h_previous and h: y + h ((1 + r) f_n - r f_{n-1}), r = h / (2
    h_previous).
    """
    previous_slope, previous_h = None, 0.0
    for s, after in zip(nodes[:-1], nodes[1:], strict=True):
        h = after - s
        slope = f(s, y)
        if previous_slope is None:
            y = y + h * slope
        else:
            r = h / (2 * previous_h)
            y = y + h * ((1 + r) * slope - r * previous_slope)
        previous_slope, previous_h = slope, h
    return y
