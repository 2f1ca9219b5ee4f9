"""Ranking the coordinates of a grid by frequency: rank 0 is the smoothest one."""

from __future__ import annotations

import numpy as np


def rank(keys: np.ndarray) -> np.ndarray:
    """Rank grid coordinates by ascending `keys`, ties by (i + j, i, j) (DESIGN: equal frequencies).

    Shapes: keys (n_0, ..., n_m) -> int64 ranks of the same shape, a permutation of 0..keys.size - 1.
    """
    where = np.indices(keys.shape).reshape(keys.ndim, -1)
    significance = (keys.ravel(), where.sum(0), *where)
    ranks = np.empty(keys.size, np.int64)
    ranks[np.lexsort(significance[::-1])] = np.arange(keys.size)
    return ranks.reshape(keys.shape)


def isotropic(sizes: tuple[int, ...]) -> np.ndarray:
    """Rank DCT coordinates by the squared frequency sum_a (i_a / n_a)^2: the eigenvalue of any Gaussian blur.

    The keys are exact integers (over a common denominator), so that ties are true ties.
    """
    total = int(np.prod(sizes, dtype=object))
    key = np.zeros(sizes, dtype=object)
    for axis, n in enumerate(sizes):
        line = np.array([(i * (total // n)) ** 2 for i in range(n)], dtype=object)
        key = key + line.reshape([-1 if a == axis else 1 for a in range(len(sizes))])
    return rank(key.astype(np.int64) if total**2 * len(sizes) < 2**63 else key.astype(np.float64))


def over_event(ranks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat ranks of the trailing axes over the leading ones: a band is shared by all channels."""
    trailing = int(np.prod(shape)) // ranks.size
    return np.ascontiguousarray(np.broadcast_to(ranks.reshape(1, -1), (trailing, ranks.size)).reshape(shape))


def spatial(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes that a transform acts on: the last two axes, or the only one."""
    return shape[-2:]
