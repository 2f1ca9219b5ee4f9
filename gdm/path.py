"""Scalar interpolations between data and noise, over the local time tau in [0, 1] of one group.

A path gives the weights alpha of the data and sigma of the noise, x_tau = alpha x + sigma z. gdm looks at
every path through the ratio r = alpha / (alpha + sigma): in y = x_tau / (alpha + sigma) = r x + (1 - r) z
it is the linear path, and the generative ODE is dy = u dr with u = x - z, free of poles at both ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gdm.arrays import A, namespace
from gdm.errors import PathError, nearest

Curve = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Path:
    """An interpolation: elementwise functions of an array tau in [0, 1], exact at both ends.

    alpha, sigma: weights of data and noise; alpha_rate, sigma_rate: their slopes d/dtau;
    from_ratio: r -> (alpha, sigma), the inverse of r = alpha / (alpha + sigma);
    noise_of: alpha -> sigma, for those who are given alpha alone.
    """

    name: str
    alpha: Curve
    sigma: Curve
    alpha_rate: Curve
    sigma_rate: Curve
    from_ratio: Callable[[Any], tuple[Any, Any]]
    noise_of: Curve


# Functions with names, not lambdas: a schedule that holds them can be pickled.


def _one_less(value: A) -> A:
    return 1 - value


def _itself(value: A) -> A:
    return value


def _falling(tau: A) -> A:
    return 0 * tau - 1


def _rising(tau: A) -> A:
    return 0 * tau + 1


def _ratio_to_line(r: A) -> tuple[A, A]:
    return r, 1 - r


def _sin(tau: A) -> A:
    return namespace(tau).sin(tau * (math.pi / 2))


def _cos(tau: A) -> A:
    return _sin(1 - tau)  # exact where it is 0


def _minus_sin_rate(tau: A) -> A:
    return (-math.pi / 2) * _sin(tau)


def _cos_rate(tau: A) -> A:
    return (math.pi / 2) * _cos(tau)


def _ratio_to_angle(r: A) -> tuple[A, A]:
    norm = namespace(r).sqrt(r * r + (1 - r) * (1 - r))
    return r / norm, (1 - r) / norm


def _sine_of_cosine(alpha: A) -> A:
    return namespace(alpha).sqrt((1 - alpha) * (1 + alpha))


LINEAR = Path(
    name="linear",
    alpha=_one_less,  # Eq. (2), (10)
    sigma=_itself,
    alpha_rate=_falling,
    sigma_rate=_rising,
    from_ratio=_ratio_to_line,
    noise_of=_one_less,
)

TRIGONOMETRIC = Path(
    name="trigonometric",
    alpha=_cos,  # Eq. (1): alpha^2 + sigma^2 = 1
    sigma=_sin,
    alpha_rate=_minus_sin_rate,
    sigma_rate=_cos_rate,
    from_ratio=_ratio_to_angle,
    noise_of=_sine_of_cosine,
)

_NAMES = {"linear": LINEAR, "trigonometric": TRIGONOMETRIC, "vp": TRIGONOMETRIC}


def get(path: str | Path) -> Path:
    """Return the path called "linear", "trigonometric" or "vp" (variance-preserving); a Path passes through."""
    if isinstance(path, Path):
        return path
    if path not in _NAMES:
        raise PathError(f"path: expected one of {tuple(_NAMES)} or a Path, got {path!r}{nearest(str(path), _NAMES)}")
    return _NAMES[path]


def split(x_t: A, u: A, alpha: A, sigma: A) -> tuple[A, A]:
    """Return (xhat, zhat), the data and noise that x_t = alpha xhat + sigma zhat and u = xhat - zhat imply."""
    total = alpha + sigma
    return (x_t + sigma * u) / total, (x_t - alpha * u) / total
