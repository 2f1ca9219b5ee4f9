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


def _sin(tau: A) -> A:
    return namespace(tau).sin(tau * (math.pi / 2))


def _ratio_to_angle(r: A) -> tuple[A, A]:
    norm = namespace(r).sqrt(r * r + (1 - r) * (1 - r))
    return r / norm, (1 - r) / norm


LINEAR = Path(
    name="linear",
    alpha=lambda tau: 1 - tau,  # Eq. (2), (10)
    sigma=lambda tau: tau,
    alpha_rate=lambda tau: 0 * tau - 1,
    sigma_rate=lambda tau: 0 * tau + 1,
    from_ratio=lambda r: (r, 1 - r),
    noise_of=lambda alpha: 1 - alpha,
)

TRIGONOMETRIC = Path(
    name="trigonometric",
    alpha=lambda tau: _sin(1 - tau),  # Eq. (1): alpha^2 + sigma^2 = 1; sin, not cos, is exact where alpha is 0
    sigma=lambda tau: _sin(tau),
    alpha_rate=lambda tau: (-math.pi / 2) * _sin(tau),
    sigma_rate=lambda tau: (math.pi / 2) * _sin(1 - tau),
    from_ratio=_ratio_to_angle,
    noise_of=lambda alpha: namespace(alpha).sqrt((1 - alpha) * (1 + alpha)),
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
