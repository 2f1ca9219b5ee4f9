"""Laws of draw_latents: a latent is its seed and its index, on every machine, for ever."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdm
from gdm.errors import ValueRangeError
from property_tests.support import agree, refused, same_bits


@given(seed=st.integers(0, 2**64 - 1), indices=st.lists(st.integers(0, 2**64 - 1), max_size=4))
def test_latents_depend_on_seed_and_index_alone(seed: int, indices: list[int]) -> None:
    """Each sample is the same in any batch; float32 latents are the float64 ones, rounded."""
    z = gdm.draw_latents(seed, indices, (2, 3))
    assert (z.dtype, z.shape) == (np.float32, (len(indices), 2, 3))
    for index, sample in zip(indices, z, strict=True):
        same_bits(gdm.draw_latents(seed, [index], (2, 3))[0], sample)
    same_bits(gdm.draw_latents(seed, indices, (2, 3), np.float64).astype(np.float32), z)


def test_latents_are_pinned() -> None:
    """The same seed gives the same image for ever: these numbers must not change."""
    pinned = [[1.0122937017, 0.7536967788, 0.055851458], [-0.5663621047, -0.1050465914, -0.3434394045]]
    agree(gdm.draw_latents(3, [0, 2**63], (3,), np.float64), pinned, 1e-9)


def test_latents_are_standard_normal_and_independent() -> None:
    """Over seeds and indices: mean 0, variance 1, no correlation between neighbours; bounds of five standard errors."""
    z = np.stack([gdm.draw_latents(seed, range(200), (5,), np.float64) for seed in range(20)])
    n = z.size
    assert abs(z.mean()) < 5 / math.sqrt(n) and abs(z.var() - 1) < 5 * math.sqrt(2 / n)
    for axis in range(3):
        ahead, behind = np.delete(z, 0, axis), np.delete(z, -1, axis)
        assert abs((ahead * behind).mean()) < 5 / math.sqrt(ahead.size), f"neighbours along axis {axis}"
    assert len(np.unique(z)) == n


@pytest.mark.parametrize(
    ("seed", "index"), [(-1, 0), (2**64, 0), (0.5, 0), (0, -1), (0, 2**64), (0, 1.5), (math.nan, 0), (0, math.inf)]
)
def test_seeds_and_indices_that_are_no_counters(seed: Any, index: Any) -> None:
    """Only whole numbers in [0, 2^64) name a latent."""
    with refused(ValueRangeError, "whole number in [0, 2^64)", "seed" if index == 0 else "index"):
        gdm.draw_latents(seed, [index], (2,))
