"""Laws of the distances between features: SciPy's matrix root, closed forms, rotations, double loops; moments in batches."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from gdm.errors import ShapeError, ValueRangeError
from gdm.metrics import Moments, frechet_distance, kernel_distance, moments, unbiased_mmd2
from property_tests.problems import seeds
from property_tests.support import agree, arrays, refused

widths = st.integers(1, 12)


def features(seed: int, count: int, width: int) -> np.ndarray:
    """Return correlated features, whose scales differ by up to a thousand and whose mean is far from zero."""
    mix = arrays(seed, width, width) * np.logspace(0, -3, width)[:, None]
    return arrays(seed + 1, count, width) @ mix + 3 * arrays(seed + 2, width)


def by_sqrtm(first: np.ndarray, second: np.ndarray) -> float:
    """||m1 - m2||^2 + Tr(C1 + C2 - 2 (C1 C2)^1/2), by SciPy's Schur method and NumPy's covariance."""
    c1, c2 = (np.atleast_2d(np.cov(side, rowvar=False)) for side in (first, second))
    shift = first.mean(axis=0) - second.mean(axis=0)
    return float(shift @ shift + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real))


@given(seeds, widths, st.integers(0, 40))
def test_scipy_agrees(seed: int, width: int, more: int) -> None:
    first, second = features(seed, 60, width), features(seed + 3, 60 + more, width)
    expected = by_sqrtm(first, second)
    agree(frechet_distance(first, second) / expected, 1.0, 1e-6)
    agree(frechet_distance(second, first) / expected, 1.0, 1e-6)


def test_scipy_agrees_where_dimensions_are_many() -> None:
    """In 200 dimensions, of scales from 1 to a thousandth, as pytorch-fid computes it from the same features."""
    first, second = features(0, 400, 200), 1.1 * features(3, 300, 200)
    agree(frechet_distance(first, second) / by_sqrtm(first, second), 1.0, 1e-6)


@given(seeds, widths)
def test_diagonal_gaussians(seed: int, width: int) -> None:
    """Independent dimensions: the sum of (m1 - m2)^2 + (s1 - s2)^2; a scale of zero is allowed."""
    (m1, m2), (s1, s2) = arrays(seed, 2, width), np.abs(arrays(seed + 1, 2, width))
    s1[0] = 0.0
    first, second = (Moments(m, np.diag(s**2), 1000) for m, s in ((m1, s1), (m2, s2)))
    agree(frechet_distance(first, second), np.sum((m1 - m2) ** 2 + (s1 - s2) ** 2))


@given(seeds, widths)
def test_rotations_and_shifts_change_nothing(seed: int, width: int) -> None:
    first, second = features(seed, 50, width), features(seed + 3, 50, width)
    turn, shift = np.linalg.qr(arrays(seed + 4, width, width))[0], arrays(seed + 5, width)
    agree(frechet_distance(first @ turn + shift, second @ turn + shift), frechet_distance(first, second), 1e-8)


@given(seeds, st.integers(2, 30))
def test_equal_sets_are_at_zero(seed: int, count: int) -> None:
    """In any order, also where the covariance lacks rank; and a shift alone is its square."""
    own = features(seed, count, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(frechet_distance(own, own[::-1]), 0.0, 1e-10)
        agree(frechet_distance(own, own + 2.0), 12 * 4.0, 1e-10)


@given(seeds, widths, st.lists(st.integers(0, 9), max_size=5))
def test_batches_are_one_set(seed: int, width: int, cuts: list[int]) -> None:
    """However they are cut, empty batches included; a mean of a million costs no digits."""
    own = features(seed, 10, width) + 1e6
    got = moments(np.split(own.astype(np.float64), sorted(cuts)))
    exact = own - own[0]
    assert got.count == 10
    agree(got.mean, own.mean(axis=0), 1e-12)
    agree(got.covariance, np.cov(exact, rowvar=False).reshape(width, width), 1e-8)
    agree(got.covariance, got.covariance.T, 0.0)


def test_float32_features_are_summed_in_float64() -> None:
    own = (features(0, 5000, 3) + 100).astype(np.float32)
    agree(moments([own]).covariance, np.cov(own.astype(np.float64), rowvar=False), 1e-12)


@pytest.mark.parametrize(("count", "warned"), [(4, True), (5, True), (6, False)])
def test_too_few_features_are_told(count: int, warned: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frechet_distance(features(0, 50, 5), features(1, count, 5))
    assert [f"{count} features in 5 dimensions" in str(entry.message) for entry in caught] == [True] * warned


# The kernel distance


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean k(x_i, y_j), a pair at a time."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z: np.ndarray) -> float:
        pairs = [kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


@given(seeds, widths, st.integers(2, 9), st.integers(2, 9))
def test_a_double_loop_agrees(seed: int, width: int, n: int, m: int) -> None:
    x, y = arrays(seed, n, width), arrays(seed + 1, m, width) + 1
    expected = by_loops(x, y)
    agree(unbiased_mmd2(x, y), expected, 1e-9)
    got = kernel_distance(x, y[:1].repeat(m, axis=0), subsets=2, size=2)  # all of y are equal: x alone varies
    assert got.size == 2 and got.subsets == 2


def test_subsets_are_unbiased() -> None:
    """The mean over all pairs of subsets is the estimate of the whole; so it is, nearly, over many random ones."""
    x, y = arrays(0, 6, 3), arrays(1, 6, 3) + 0.5
    pairs = [[*pair] for pair in itertools.combinations(range(6), 3)]
    agree(np.mean([unbiased_mmd2(x[a], y[b]) for a in pairs for b in pairs]), unbiased_mmd2(x, y), 1e-9)
    got = kernel_distance(x, y, subsets=2000, size=3)
    assert abs(got.mean - unbiased_mmd2(x, y)) < 5 * got.deviation / np.sqrt(2000)
    assert kernel_distance(x, y, subsets=9, seed=1) == kernel_distance(x, y, subsets=9, seed=1)
    assert kernel_distance(x, y, subsets=9, seed=1) != kernel_distance(x, y, subsets=9, seed=2)
    assert kernel_distance(x, y).size == 3  # half of the smaller set


def test_kernel_distances_tell_equal_from_different() -> None:
    """Of sets from one distribution it is near zero, on both sides; of others it is above."""
    one = [kernel_distance(features(s, 200, 4), features(s, 200, 4)[::-1], subsets=20).mean for s in range(9)]
    assert min(one) < 0 or max(one) < 1
    same = kernel_distance(arrays(0, 400, 4), arrays(1, 400, 4), subsets=50)
    away = kernel_distance(arrays(0, 400, 4), arrays(1, 400, 4) + 1, subsets=50)
    assert abs(same.mean) < 5 * same.deviation and away.mean > 5 * away.deviation


def test_what_kernel_distances_refuse() -> None:
    own = arrays(0, 9, 3)
    for options in ({"subsets": 1}, {"size": 10}, {"size": 1}):
        with refused(ValueRangeError, "2 to 9"):
            kernel_distance(own, own, **options)
    with refused(ShapeError, "(n, 3)", "(9, 2)"):
        kernel_distance(own, own[:, :2])
    with refused(ValueRangeError, "2 to 1"):
        kernel_distance(own[:1], own)


def test_what_is_refused() -> None:
    own = features(0, 9, 3)
    with refused(ShapeError, "(n, d)", "(9, 3, 1)"):
        frechet_distance(own[..., None], own)
    with refused(ShapeError, "expected 3 dimensions", "got 2"):
        frechet_distance(own, own[:, :2])
    with refused(ShapeError, "(n, 3)", "(9, 2)"):
        moments([own, own[:, :2]])
    with refused(ValueRangeError, "at least 2", "got 1"):
        moments([own[:1]])
    with refused(ValueRangeError, "at least 2", "got 0"):
        moments([])
    for wrong in (np.nan, np.inf):
        with refused(ValueRangeError, "finite", "got 1"):
            moments([np.where(own == own[4, 1], wrong, own)])
