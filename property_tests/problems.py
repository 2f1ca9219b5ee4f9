"""What the laws of the flow are tried on: random networks, mixtures with a known truth, and both sides' notations.

The reference sees one sample and a diagonal of the event's shape; gdm sees a batch and one value per group.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdm
from gdm.arrays import constant, namespace
from property_tests.support import LIBRARIES, Library, arrays
from reference import bases, mixture, schedule

TINY = ((1, 2, 3), (2, 2, 1))  # event shapes for laws that solve the flow of a mixture to high accuracy
PATHS = ("linear", "trigonometric")

seeds = st.integers(0, 2**32 - 1)


def law(
    libraries: Sequence[Library] = LIBRARIES, *, share: float = 1.0, **drawn: st.SearchStrategy[Any]
) -> Callable[..., Any]:
    """Make `check(lib, **drawn)` a test on every library, with a `share` of the usual number of examples.

    JAX compiles every example for a second: it tries a twentieth, without the simplest, which Hypothesis draws first.
    array-api-strict checks each operation: it tries half.
    """

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize("lib", libraries, ids=repr)
        def test(lib: Library) -> None:
            waiting = [None] if lib.name == "jax" else []

            def holds(**values: Any) -> None:
                if waiting:
                    waiting.pop()
                else:
                    check(lib, **values)

            holds.__name__ = check.__name__  # Hypothesis draws from the name: each law has its own examples
            count = round(share * settings.default.max_examples / {"jax": 20, "array_api_strict": 2}.get(lib.name, 1))
            settings(max_examples=max(1, count) + len(waiting))(given(**drawn)(holds))()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def whole(lib: Library, function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function one program on JAX, which else compiles its operations one by one; elsewhere leave it as it is."""
    return importlib.import_module("jax").jit(function) if lib.name == "jax" else function


def random_network(seed: int, schedule: gdm.Schedule) -> Callable[[Any, Any], Any]:
    """Return a smooth network on any library: each output depends on every element and on every alpha."""
    d = math.prod(schedule.shape)
    mix, lift, shift = arrays(seed, d, d) / math.sqrt(d), arrays(seed + 1, schedule.k, d), arrays(seed + 2, 1, d)

    def network(x_t: Any, alpha: Any) -> Any:
        flat = namespace(x_t).reshape(x_t, (-1, d))
        sums = flat @ constant(mix, x_t) + alpha @ constant(lift, x_t) + constant(shift, x_t)
        return namespace(x_t).reshape(namespace(x_t).tanh(sums), x_t.shape)

    return network


def one_sample(
    network: Callable[[Any, Any], Any], labels: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a network as the reference calls it: (x_t, A), both of the event's shape."""
    return lambda x_t, a: network(x_t[None], per_group(a, labels)[None])[0]


def per_group(diagonal: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the value that the elements of each group share, (k,)."""
    return np.array([diagonal[labels == j][0] for j in range(labels.max() + 1)])


def matrix(schedule: gdm.Schedule) -> np.ndarray:
    """Return U of a schedule over images, (d, d), by the reference."""
    channels, *sizes = schedule.shape
    named = {"pixel": np.eye, "cosine": bases.dct_matrix, "blur": bases.dst_matrix, "haar": bases.haar_matrix}
    return bases.image_matrix(*(named[schedule.basis.name](n) for n in sizes), channels=channels)


def weights(chosen: gdm.Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the diagonals of A(t) and S(t) by the reference, both of the event's shape."""
    labels, intervals = chosen.partition.labels, chosen.intervals
    if chosen.path.name == "linear":
        a = schedule.data_weights(t, labels, intervals)
        return a, 1 - a
    return schedule.trigonometric_weights(t, labels, intervals)


def random_mixture(
    seed: int, shape: tuple[int, ...], components: int = 2
) -> tuple[gdm.oracle.GaussianMixture, mixture.Mixture]:
    """Return a mixture with full, well-conditioned covariances, as gdm's oracle and as the reference's."""
    d = math.prod(shape)
    rng = np.random.default_rng(seed)
    shares, means = rng.dirichlet(np.full(components, 5.0)), rng.normal(size=(components, d))
    factors = rng.normal(size=(components, d, d)) / math.sqrt(d)
    covariances = factors @ factors.transpose(0, 2, 1) + 0.4 * np.eye(d)
    ours = gdm.oracle.GaussianMixture(shares, means.reshape(components, *shape), covariances)
    return ours, mixture.Mixture(shares, means, covariances)
