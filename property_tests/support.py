"""What every law needs: the array libraries under test, one comparator, and strategies for schedules.

`GDM_TEST_BACKENDS` names the libraries that must be there (default: all). One that is missing is an error,
never a skip: a law that is not tried on a library does not hold there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import gdm

NAMES = tuple(os.environ.get("GDM_TEST_BACKENDS", "numpy torch jax array_api_strict").split())


@dataclass(frozen=True)
class Library:
    """An array library: `array` makes float64 (or integer) arrays, `host` brings them back."""

    name: str
    array: Callable[[Any], Any]

    def host(self, x: Any) -> np.ndarray:
        """Return an array as NumPy's."""
        return np.asarray(x.detach() if self.name == "torch" else x)

    def __repr__(self) -> str:
        return self.name


def _library(name: str) -> Library:
    module = importlib.import_module("jax.numpy" if name == "jax" else name)
    if name == "jax":
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    make = module.tensor if name == "torch" else module.asarray
    return Library(name, lambda values: make(np.array(values)))


LIBRARIES = tuple(map(_library, NAMES))
DIFFERENTIABLE = tuple(library for library in LIBRARIES if library.name in ("torch", "jax"))


def agree(got: Any, expected: Any, tolerance: float = 1e-10, what: str = "") -> None:
    """Raise AssertionError unless shapes are equal and values agree to `tolerance` x (1 + |expected|), NaN nowhere."""
    if type(got).__module__.split(".")[0] == "torch":
        got = got.detach()
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: expected shape {expected.shape}, got {got.shape}")
    gap = np.abs(got - expected) / (1 + np.abs(expected))
    if not (gap <= tolerance).all():  # written so that NaN fails
        worst = np.unravel_index(np.argmax(np.where(np.isnan(gap), np.inf, gap)), gap.shape) if gap.shape else ()
        raise AssertionError(
            f"{what}: expected {expected[worst]!r} at {worst}, got {got[worst]!r}: {gap[worst]:.2e} > {tolerance:g}"
        )


def same_bits(got: Any, expected: Any, what: str = "") -> None:
    """Raise AssertionError unless both arrays are equal to the last bit, NaN nowhere."""
    agree(got, expected, 0.0, what)


@contextmanager
def refused(kind: type[gdm.GDMError], *words: str) -> Iterator[None]:
    """Raise AssertionError unless exactly a `kind` is raised inside, whose message has all `words`."""
    with pytest.raises(gdm.GDMError) as caught:
        yield
    if type(caught.value) is not kind:
        raise AssertionError(f"expected {kind.__name__}, got {caught.value!r}")
    if missing := [word for word in words if word not in str(caught.value)]:
        raise AssertionError(f"the message lacks {missing}: {caught.value}")


# Few shapes, each met often: JAX compiles every operation anew for every shape, some 30 ms each.
EVENTS = ((1, 4, 4), (2, 3, 5), (3, 2, 3))


def events() -> st.SearchStrategy[tuple[int, ...]]:
    """Return small image shapes (C, H, W)."""
    return st.sampled_from(EVENTS)


@st.composite
def intervals(draw: st.DrawFn, k: int) -> np.ndarray:
    """Draw k disjoint intervals in order of generation, unequal, some with gaps between them."""
    lengths = np.array(draw(st.lists(st.integers(1, 9), min_size=k, max_size=k)), float)
    gaps = np.array(draw(st.lists(st.integers(0, 2), min_size=k + 1, max_size=k + 1)), float)
    cuts = np.cumsum(np.stack([gaps[:k], lengths], axis=1).ravel())
    bounds = (cuts / (cuts[-1] + gaps[k])).reshape(k, 2)
    return np.minimum(bounds, 1.0)[::-1].copy()


@st.composite
def schedules(
    draw: st.DrawFn,
    bases: tuple[str, ...] = ("pixel", "cosine", "blur", "haar"),
    shapes: tuple[tuple[int, ...], ...] = EVENTS,
) -> gdm.Schedule:
    """Draw any schedule over a small image: arbitrary labels, unequal and gapped intervals, every basis and path."""
    shape = draw(st.sampled_from(shapes))
    size = int(np.prod(shape))
    k = draw(st.integers(1, min(4, size)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.permutation(np.concatenate([np.arange(k), rng.integers(0, k, size - k)])).reshape(shape)
    path = draw(st.sampled_from(["linear", "trigonometric"]))
    return gdm.Schedule.from_labels(labels, intervals=draw(intervals(k)), basis=draw(st.sampled_from(bases)), path=path)


def times(schedule: gdm.Schedule, batch: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Return times in [0, 1], (batch,) float64, one in three exactly a breakpoint."""
    somewhere = st.integers(0, 997).map(lambda n: n / 997)  # st.floats prefers the ends: 0, 1e-136, ...
    one = st.one_of(somewhere, somewhere, st.sampled_from(schedule.breakpoints))
    return st.lists(one, min_size=batch, max_size=batch).map(np.array)


def arrays(seed: int, *shape: int) -> np.ndarray:
    """Return standard normal float64 numbers from a seed."""
    return np.random.default_rng(seed).normal(size=shape)
