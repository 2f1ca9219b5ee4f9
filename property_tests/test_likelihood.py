"""Laws of the likelihood: per group it is the exact conditional density, and every estimate of the trace agrees."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import gdm
from gdm.arrays import namespace
from gdm.errors import BackendError, BudgetError, DTypeError, ShapeError, UnsupportedError, ValueRangeError
from gdm.likelihood import group_sums
from property_tests.problems import TINY, law, matrix, random_mixture, random_network, seeds, whole
from property_tests.support import DIFFERENTIABLE, LIBRARIES, Library, agree, arrays, refused, schedules
from reference import mixture

UNABLE = tuple(lib for lib in LIBRARIES if lib not in DIFFERENTIABLE)


def gradient(lib: Library, function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """Return the gradient of a scalar function at x by the library's own automatic differentiation."""
    if lib.name == "jax":
        return np.asarray(whole(lib, importlib.import_module("jax").grad(function))(lib.array(x)))
    leaf = lib.array(x).requires_grad_()
    function(leaf).backward()
    return leaf.grad.numpy()


def jacobian(lib: Library, function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """Return the matrix of derivatives of a map of events at one event x (1, *event), (d, d)."""
    transform = (
        importlib.import_module("jax").jacfwd if lib.name == "jax" else importlib.import_module("torch").func.jacrev
    )
    return lib.host(whole(lib, transform(function))(lib.array(x))).reshape(x.size, x.size)


def likelihood(
    lib: Library, network: Any, x: np.ndarray, chosen: gdm.Schedule, probes: Any = None, **settings: Any
) -> np.ndarray:
    """Return gdm.log_likelihood of host events on a library, on the host."""
    given = None if probes is None else lib.array(probes)
    return lib.host(
        whole(lib, lambda x: gdm.log_likelihood(network, x, chosen, probes=given, **settings))(lib.array(x))
    )


@law(DIFFERENTIABLE, share=0.3, chosen=schedules(shapes=TINY), seed=seeds, mask=st.booleans())
def test_groups_have_their_conditional_densities(lib: Library, chosen: gdm.Schedule, seed: int, mask: bool) -> None:
    """For a mixture's optimal network, on any path and basis: log p(x_j | x_0..x_{j-1}), and the sum is log p(x).

    The mask changes nothing, since what it hides tells the optimal network nothing (Prop. 3.3).
    """
    oracle, known = random_mixture(seed, chosen.shape)
    x, labels, U = oracle.sample(seed, 2), chosen.partition.labels, matrix(chosen)
    got = likelihood(lib, oracle.direction(chosen), x, chosen, steps=(48,) * chosen.k, mask_pending=mask)
    expected = [mixture.group_log_densities(event.ravel(), known, labels, U) for event in x]
    agree(got, np.stack(expected), 3e-3)
    agree(got.sum(1), oracle.log_density(x), 3e-3)


@pytest.mark.parametrize("lib", DIFFERENTIABLE[:1], ids=repr)
def test_the_likelihood_converges(lib: Library) -> None:
    """With Heun, twice the steps leave a quarter of the error: the trace is integrated by the same rule as the flow."""
    chosen = gdm.Schedule.bands((1, 2, 3), (2,), path="trigonometric")
    oracle, known = random_mixture(3, chosen.shape)
    x = oracle.sample(4, 4)
    exact = [mixture.group_log_densities(event.ravel(), known, chosen.partition.labels, matrix(chosen)) for event in x]
    results = (likelihood(lib, oracle.direction(chosen), x, chosen, steps=(n, n)) for n in (32, 64))
    coarse, fine = (np.abs(result - exact).mean() for result in results)
    assert 1.7 < math.log2(coarse / fine) < 2.6, f"errors {coarse:.1e}, {fine:.1e}"


@law(DIFFERENTIABLE, share=0.25, chosen=schedules(shapes=TINY), seed=seeds)
def test_the_sum_is_the_change_of_variables(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """For any network, causal or not: log p(x) = log N(z; 0, I) + log |det dz/dx| with z = encode(x)."""
    network, x = random_network(seed, chosen), arrays(seed, 1, *chosen.shape)
    settings: Any = {"steps": (24,) * chosen.k, "solver": "heun"}

    def encode(x: Any) -> Any:
        return gdm.encode(network, x, chosen, **settings)

    z = lib.host(whole(lib, encode)(lib.array(x)))
    normal = -0.5 * (z**2).sum() - 0.5 * z.size * math.log(2 * math.pi)
    _, volume = np.linalg.slogdet(jacobian(lib, encode, x))
    agree(likelihood(lib, network, x, chosen, **settings).sum(), normal + volume, 1e-3)


@law(
    DIFFERENTIABLE,
    share=0.5,
    chosen=schedules(shapes=TINY),
    seed=seeds,
    rule=st.sampled_from(["euler", "heun", "ab2"]),
    every_sign=st.booleans(),
)
def test_probes_that_average_to_the_identity_give_the_exact_trace(
    lib: Library, chosen: gdm.Schedule, seed: int, rule: str, every_sign: bool
) -> None:
    """Hutchinson is unbiased: scaled unit vectors, and all sign vectors, give the exact trace to rounding."""
    network, x = random_network(seed, chosen), arrays(seed, 2, *chosen.shape)
    d = math.prod(chosen.shape)
    probes = np.array(list(itertools.product([-1.0, 1.0], repeat=d))) if every_sign else math.sqrt(d) * np.eye(d)
    settings: Any = {"steps": (2,) * chosen.k, "solver": rule}
    exact = likelihood(lib, network, x, chosen, **settings)
    agree(likelihood(lib, network, x, chosen, probes.reshape(-1, *chosen.shape), **settings), exact)


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_a_few_probes_estimate(lib: Library) -> None:
    """Other probes give other numbers, around the exact ones; each sample's value is its own."""
    chosen = gdm.Schedule.rows((1, 2, 3), 2)
    network, x, settings = random_network(1, chosen), arrays(2, 3, *chosen.shape), {"steps": 4, "solver": "euler"}
    estimate = likelihood(lib, network, x, chosen, np.sign(arrays(3, 2, *chosen.shape)), **settings)
    exact = likelihood(lib, network, x[::-1], chosen, **settings)[::-1]
    assert (1e-3 < np.abs(estimate - exact).max(1)).all() and np.abs(estimate - exact).max() < 2


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_each_sample_may_have_its_own_probes(lib: Library) -> None:
    """Then its value is what these probes, shared by all, would give it."""
    chosen = gdm.Schedule.rows((1, 2, 3), 2)
    network, x, probes = random_network(1, chosen), arrays(2, 3, *chosen.shape), arrays(3, 2, 3, *chosen.shape)
    settings: Any = {"steps": 2, "solver": "euler"}
    got = likelihood(lib, network, x, chosen, probes, **settings)
    for i in range(3):
        agree(got[i], likelihood(lib, network, x, chosen, probes[:, i], **settings)[i], what=f"sample {i}")


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_what_stands_still_adds_no_noise(lib: Library) -> None:
    """Probes look at the moving coordinates alone: where u of a group does not depend on it, any probe is exact."""
    chosen, probes = gdm.Schedule.rows((2, 3), 2), arrays(0, 1, 2, 3)
    x, settings = arrays(1, 2, 2, 3), {"steps": 4, "solver": "euler"}

    def crossed(x_t: Any, alpha: Any) -> Any:
        return namespace(x_t).flip(x_t, axis=1)  # each row's direction is the other row

    agree(likelihood(lib, crossed, x, chosen, probes, **settings), likelihood(lib, crossed, x, chosen, **settings))


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_its_gradient_is_the_score(lib: Library) -> None:
    """The log-likelihood can be differentiated: for a Gaussian its gradient is C^{-1} (mean - x)."""
    chosen = gdm.Schedule.vanilla((2,), path="trigonometric")
    oracle, (_, means, covariances) = random_mixture(7, (2,), components=1)
    x = arrays(8, 2, 2)

    def total(x: Any) -> Any:
        return gdm.log_likelihood(oracle.direction(chosen), x, chosen, steps=48).sum()

    agree(gradient(lib, total, x), (means[0] - x) @ np.linalg.inv(covariances[0]), 2e-3)


@law(chosen=schedules(), seed=seeds)
def test_sums_by_group(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """Every coordinate counts once, in its own group."""
    values, labels = arrays(seed, 2, *chosen.shape), chosen.partition.labels
    expected = [[sum(event[labels == j]) for j in range(chosen.k)] for event in values]
    agree(group_sums(chosen, lib.array(values)), expected)


@pytest.mark.parametrize("lib", UNABLE, ids=repr)
def test_without_derivatives_it_is_refused(lib: Library) -> None:
    """A library that cannot differentiate has no trace; the message names those that can."""
    with refused(UnsupportedError, "derivatives: expected torch or jax arrays", "gdm.backends.get"):
        gdm.log_likelihood(
            lambda x_t, alpha: x_t, lib.array(np.zeros((1, 2, 2))), gdm.Schedule.rows((2, 2), 2), steps=2
        )


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_a_group_too_large_for_the_exact_trace_needs_probes(lib: Library) -> None:
    """More than 256 coordinates at once are refused before any work, and served with probes."""
    chosen = gdm.Schedule.rows((1, 17, 16), 1)
    x, halve = np.zeros((1, 1, 17, 16)), lambda x_t, alpha: x_t * 0.5
    with refused(BudgetError, "at most 256 coordinates", "272", "pass probes"):
        gdm.log_likelihood(halve, lib.array(x), chosen, steps=1)
    normal = -0.5 * math.log(2 * math.pi) - 0.5  # per element, and its share of log |det dz/dx|
    agree(likelihood(lib, halve, x, chosen, np.ones((1, 1, 17, 16)), steps=1, solver="euler"), [[272 * normal]])
    fits = gdm.Schedule.rows((1, 17, 16), 2)
    agree(likelihood(lib, halve, x, fits, steps=2, solver="euler"), [[144 * normal, 128 * normal]])


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_what_the_likelihood_refuses(lib: Library) -> None:
    """Events, probes, steps and networks that do not fit."""
    chosen, x, zero = gdm.Schedule.rows((2, 2), 2), lib.array(np.zeros((1, 2, 2))), lambda x_t, alpha: x_t * 0
    with refused(ShapeError, "x: expected (batch, 2, 2)"):
        gdm.log_likelihood(zero, lib.array(np.zeros((2, 2))), chosen)
    with refused(ShapeError, "probes: expected (batch, 2, 2)"):
        gdm.log_likelihood(zero, x, chosen, probes=lib.array(np.ones((4, 3, 2))))
    with refused(DTypeError, "probes: expected floating-point"):
        gdm.log_likelihood(zero, x, chosen, probes=lib.array(np.ones((4, 2, 2), np.int64)))
    with refused(ShapeError, "probes: expected at least one"):
        gdm.log_likelihood(zero, x, chosen, probes=lib.array(np.ones((0, 2, 2))))
    with refused(ShapeError, "probes: expected (n, 1, ...)", "(4, 2, 2, 2)"):
        gdm.log_likelihood(zero, x, chosen, probes=lib.array(np.ones((4, 2, 2, 2))))
    with refused(BackendError, lib.name, "numpy"):
        gdm.log_likelihood(zero, x, chosen, probes=np.ones((4, 2, 2)))
    with refused(BudgetError, "steps: expected at least 2"):
        gdm.log_likelihood(zero, x, chosen, steps=1)
    with refused(ValueRangeError, "x: expected finite numbers"):
        gdm.log_likelihood(zero, lib.array(np.full((1, 2, 2), np.nan)), chosen)
    with refused(ShapeError, "network: expected an output"):
        gdm.log_likelihood(lambda x_t, alpha: x_t[:, 0, :], x, chosen)
