"""Numbers with error bars: means over repeats, and the jackknife for what is no mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gdm.errors import ValueRangeError


class Estimate(NamedTuple):
    """A number, or an array of them, and its standard error, of the same shape; NaN where there was one value only."""

    value: np.ndarray
    error: np.ndarray


def mean(values: np.ndarray, axis: int = 0) -> Estimate:
    """Return the mean of independent values along an axis, and its standard error, sd / sqrt(n).

    >>> mean(np.array([1.0, 3.0]))
    Estimate(value=np.float64(2.0), error=np.float64(1.0))
    """
    values = np.asarray(values, np.float64)
    n = values.shape[axis]
    centre = values.mean(axis=axis)
    return Estimate(centre, values.std(axis=axis, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(centre, np.nan))


def root_mean_square(squares: np.ndarray, axis: int = 0) -> Estimate:
    """Return the root of the mean of squares along an axis; its error is that of the mean over twice the root."""
    square, error = mean(squares, axis)
    root = np.sqrt(square)
    return Estimate(root, error / np.where(root > 0, 2 * root, 1))


def jackknife(statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray, blocks: int, seed: int) -> Estimate:
    """Return a statistic of independent rows, and its standard error, from leaving out one block of rows at a time.

    error^2 = (B - 1) / B sum_b (theta_b - mean theta)^2      (Kuensch 1989, of equal blocks of shuffled rows)

    Unlike a bootstrap, it repeats no row: a log-determinant of rows drawn with replacement is that of fewer rows.

    Shapes: values (n, ...); the statistic may return any shape
    Raises: ValueRangeError unless 2 <= blocks <= n
    """
    if not 2 <= blocks <= len(values):
        raise ValueRangeError(f"blocks: expected 2 to {len(values)}, the number of rows, got {blocks}")
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(values))
    left = [np.delete(values, part, axis=0) for part in np.array_split(order, blocks)]
    parts = np.stack([np.asarray(statistic(rows), np.float64) for rows in left])
    spread = ((parts - parts.mean(axis=0)) ** 2).sum(axis=0)
    return Estimate(np.asarray(statistic(values), np.float64), np.sqrt((blocks - 1) / blocks * spread))
