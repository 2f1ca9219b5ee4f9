"""How far generated images are from real ones: the Frechet and the kernel distance between features of both.

The features come from a network of the caller's choice, which has to be named with every number: distances by
different features, or of different numbers of images, are not comparable.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gdm.errors import ShapeError, ValueRangeError
from gdm.wording import counted


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """What the Frechet distance needs of a set of features.

    mean: float64 (d,); covariance: float64 (d, d), divided by count - 1; count: how many features
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int


def moments(batches: Iterable[Any]) -> Moments:
    """Return mean and covariance of features that arrive in batches, in float64, holding one batch at a time.

    Means and sums of squares about them are merged batch by batch (Chan, Golub and LeVeque 1979), so that a mean
    far from zero costs no digits, as it would in E[x x^T] - E[x] E[x]^T.

    Shapes: batches of (any, d) -> (d,) and (d, d)
    Raises: ShapeError for batches that are no matrices of one width; ValueRangeError for NaN, infinity, or less than
        two features in all

    >>> moments([[[0.0], [1.0]], [[5.0]]])
    Moments(mean=array([2.]), covariance=array([[7.]]), count=3)
    """
    count, mean, scatter = 0, np.zeros(0), np.zeros((0, 0))
    for batch in batches:
        features = _checked(batch, mean.size if count else None)
        own = len(features)
        if not own:
            continue
        if not count:
            mean, scatter = np.zeros(features.shape[1]), np.zeros((features.shape[1],) * 2)
        centre = features.mean(axis=0)
        away, shift = features - centre, centre - mean
        scatter += away.T @ away + np.outer(shift, shift) * (count * own / (count + own))
        mean += shift * (own / (count + own))
        count += own
    if count < 2:
        raise ValueRangeError(f"features: expected at least 2, for a covariance, got {count}; give more images")
    return Moments(mean, scatter / (count - 1), count)


def frechet_distance(first: Any, second: Any) -> float:
    """Return the squared Frechet (2-Wasserstein) distance of the Gaussians that have the features' moments.

    ||m1 - m2||^2 + Tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)      (Heusel et al. 2017)

    first, second: features (n, d), or their `Moments`

    The trace of the root is the sum of the singular values of C1^1/2 C2^1/2, which are found without squaring
    them. Warns if there are not more features than dimensions: the covariance then misses directions, and the
    distance says more about the number of images than about the images.

    Raises: ShapeError for features of different widths; ValueRangeError as `moments`

    >>> frechet_distance([[0.0], [1.0]], [[3.0], [4.0]])
    9.0
    """
    first, second = (side if isinstance(side, Moments) else moments([side]) for side in (first, second))
    width = first.mean.size
    if second.mean.size != width:
        remedy = "take both from the same network"
        raise ShapeError(f"features: expected {width} dimensions on both sides, got {second.mean.size}; {remedy}")
    warn_of_bias(min(first.count, second.count), width)
    shift = first.mean - second.mean
    overlap = np.linalg.svd(_root(first.covariance) @ _root(second.covariance), compute_uv=False).sum()
    distance = shift @ shift + np.trace(first.covariance) + np.trace(second.covariance) - 2 * overlap
    return max(0.0, float(distance))  # rounding alone makes it negative


def warn_of_bias(least: int, width: int) -> None:
    """Warn if `least` features are too few for the Frechet distance in `width` dimensions; once for the same numbers."""
    if least <= width:
        message = (
            f"the Frechet distance of {counted(least, 'feature')} in {width} dimensions is biased; give more images"
        )
        warnings.warn(message, stacklevel=1)


class KernelDistance(NamedTuple):
    """The kernel distance of two sets of features: mean and deviation over so many pairs of subsets of one size."""

    mean: float
    deviation: float
    subsets: int
    size: int


def kernel_distance(
    first: Any, second: Any, *, subsets: int = 100, size: int | None = None, seed: int = 0
) -> KernelDistance:
    """Return the squared kernel distance of features, KID by Inception's: unbiased, so of use with few images too.

    The mean of `unbiased_mmd2` over random subsets of both sets, and its standard deviation over them (Binkowski et
    al. 2018). size: of a subset; None is 1000, or half of the smaller set if that is less, since subsets that hold
    nearly all of a set hardly differ

    Shapes: (n, d) and (m, d)
    Raises: ShapeError for features that do not fit; ValueRangeError for NaN, infinity, less than 2 subsets, or subsets
        of less than 2 features or of more than there are
    """
    x = _checked(first, None)
    y = _checked(second, x.shape[1])
    least = min(len(x), len(y))
    size = max(2, min(1000, least // 2)) if size is None else size
    if subsets < 2 or not 2 <= size <= least:
        got = f"{subsets} of {size}"
        raise ValueRangeError(f"kernel distance: expected 2 or more subsets of 2 to {least} features, got {got}")
    random = np.random.Generator(np.random.Philox(key=seed))
    values = [
        unbiased_mmd2(x[random.permutation(len(x))[:size]], y[random.permutation(len(y))[:size]])
        for _ in range(subsets)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values, ddof=1)), subsets, size)


def unbiased_mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased estimate of the squared maximum mean discrepancy, with the kernel k(a, b) = (a.b / d + 1)^3.

    mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)     (Gretton et al. 2012, Eq. 3)

    Shapes: (n, d) and (m, d), n and m at least 2

    >>> unbiased_mmd2(np.array([[0.0], [1.0]]), np.array([[2.0], [2.0]]))
    98.0
    """
    within = 0.0
    for side in (x, y):
        kernel, n = _cubic(side, side), len(side)
        within += (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(within - 2 * _cubic(x, y).mean())


def _cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric square root; eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _checked(batch: Any, width: int | None) -> np.ndarray:
    """Return a batch of features as finite float64, (any, width)."""
    features = np.asarray(batch, dtype=np.float64)
    if (
        features.ndim != 2
        or not features.shape[1]
        or features.shape[1] != (features.shape[1] if width is None else width)
    ):
        expected = "(n, d), d >= 1" if width is None else f"(n, {width})"
        raise ShapeError(f"features: expected {expected}, got {features.shape}; flatten what a network returns")
    if wrong := int((~np.isfinite(features)).sum()):
        raise ValueRangeError(f"features: expected finite numbers, got {wrong} that are not; look for their origin")
    return features
