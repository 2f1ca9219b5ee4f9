"""Laws of the exact oracle: brute-force posteriors, Proposition 3.3 by automatic differentiation, honest samples."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import gdm
from gdm.errors import BackendError, DTypeError, ShapeError, ValueRangeError
from gdm.oracle import GaussianMixture
from property_tests.problems import TINY, law, matrix, random_mixture, seeds, whole
from property_tests.support import DIFFERENTIABLE, LIBRARIES, Library, agree, arrays, refused, same_bits, schedules
from reference import mixture


def drawn_alpha(seed: int, k: int, ends: bool) -> np.ndarray:
    """Return data weights (4, k) in [0, 1], with `ends` many of them exactly 0 and 1."""
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(size=(4, k))
    return np.where(rng.uniform(size=(4, k)) < 0.6, rng.integers(0, 2, (4, k)), alpha) if ends else alpha


def diagonals(chosen: gdm.Schedule, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the diagonals of A and S, (d,), from one data weight per group."""
    a = alpha[chosen.partition.labels.ravel()]
    return a, 1 - a if chosen.path.name == "linear" else np.sqrt(1 - a**2)


@law(chosen=schedules(), seed=seeds, components=st.integers(1, 3), ends=st.booleans())
def test_the_optimal_networks_by_brute_force(
    lib: Library, chosen: gdm.Schedule, seed: int, components: int, ends: bool
) -> None:
    """E[x - z | x_t] and E[x | x_t] for any basis, path and data weights, 0 and 1 among them: conditioning a joint Gaussian."""
    oracle, known = random_mixture(seed, chosen.shape, components)
    x_t, alpha, U = arrays(seed, 4, *chosen.shape), drawn_alpha(seed, chosen.k, ends), matrix(chosen)
    pairs = [
        mixture.posterior_means(event.ravel(), known, *diagonals(chosen, a), U)
        for event, a in zip(x_t, alpha, strict=True)
    ]
    x_hat, z_hat = (np.stack(means).reshape(x_t.shape) for means in zip(*pairs, strict=True))
    denoised, direction = whole(
        lib, lambda *given: (oracle.denoiser(chosen)(*given), oracle.direction(chosen)(*given))
    )(lib.array(x_t), lib.array(alpha))
    agree(denoised, x_hat, 1e-8)
    agree(direction, x_hat - z_hat, 1e-8)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_at_the_ends_of_a_group(lib: Library) -> None:
    """What is data is returned to rounding; what is noise is expected to be the mean given the data."""
    oracle, (_, means, covariances) = random_mixture(1, (3,), components=1)
    x_t, tiny = arrays(2, 3, 3), np.finfo(np.float64).smallest_normal
    alpha = np.array([[1, 0, 0], [1, tiny, 0], [1, 1, 1]])
    got = lib.host(whole(lib, oracle.denoiser(gdm.Schedule.autoregressive((3,))))(lib.array(x_t), lib.array(alpha)))
    for event, seen, weights in zip(got, x_t, alpha, strict=True):
        data, rest = np.flatnonzero(weights == 1).tolist(), np.flatnonzero(weights < 1).tolist()
        intercept, gain, _ = mixture.conditional(means[0], covariances[0], data, rest)
        agree(event[data], seen[data])
        agree(event[rest], intercept + gain @ seen[data])


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_one_step_per_element_gives_conditional_means(lib: Library) -> None:
    """C.1 with the optimal network: x_j = E[x_j | x_0..x_{j-1}], whatever the noise; the variance is dropped."""
    oracle, (_, means, covariances) = random_mixture(4, (4,), components=1)
    expected = np.zeros(4)
    for j in range(4):
        intercept, gain, _ = mixture.conditional(means[0], covariances[0], list(range(j)), [j])
        expected[j : j + 1] = intercept + gain @ expected[:j]
    chosen = gdm.Schedule.autoregressive((4,))
    flow = whole(lib, lambda z: gdm.generate(oracle.direction(chosen), z, chosen, steps=4))
    agree(flow(lib.array(arrays(5, 2, 4))), np.tile(expected, (2, 1)))


@law(DIFFERENTIABLE, share=0.4, chosen=schedules(shapes=TINY), seed=seeds, data=st.data())
def test_pending_coordinates_have_no_gradient(
    lib: Library, chosen: gdm.Schedule, seed: int, data: st.DataObject
) -> None:
    """Prop. 3.3: the optimal denoiser does not depend on coordinates that are all noise; on the others it does."""
    alpha = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=chosen.k, max_size=chosen.k)))
    network, d = random_mixture(seed, chosen.shape)[0].denoiser(chosen), math.prod(chosen.shape)
    transform = (
        importlib.import_module("jax").jacrev if lib.name == "jax" else importlib.import_module("torch").func.jacrev
    )
    derivative = whole(lib, transform(lambda x_t: network(x_t, lib.array(alpha[None]))))
    by_pixels = derivative(lib.array(arrays(seed, 1, *chosen.shape)))
    U, pending = matrix(chosen), alpha[chosen.partition.labels.ravel()] == 0
    slopes = U.T @ lib.host(by_pixels).reshape(d, d) @ U  # both sides in coordinates of the basis
    agree(slopes[:, pending], np.zeros((d, pending.sum())))
    assert (np.abs(slopes[:, ~pending]).max(0, initial=0) > 1e-6).all()


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
@pytest.mark.parametrize("path", ["linear", "trigonometric"])
def test_the_noise_is_the_score(lib: Library, path: str) -> None:
    """Tweedie: E[z | x_t] = -sigma grad log p_t(x_t), where p_t is a mixture again."""
    oracle, _ = random_mixture(6, (3,))
    chosen = gdm.Schedule.vanilla((3,), path=path)
    a, s = (0.6, 0.4) if path == "linear" else (0.6, 0.8)
    noised = GaussianMixture(oracle.weights, a * oracle.means, a * a * oracle.covariances + s * s * np.eye(3))
    x_t, alpha = arrays(7, 2, 3), lib.array(np.full((2, 1), a))
    if lib.name == "jax":
        gradient = importlib.import_module("jax").grad(lambda x: noised.log_density(x).sum())
        score = np.asarray(whole(lib, gradient)(lib.array(x_t)))
    else:
        leaf = lib.array(x_t).requires_grad_()
        noised.log_density(leaf).sum().backward()
        score = leaf.grad.numpy()
    noise = whole(lib, lambda *given: oracle.denoiser(chosen)(*given) - oracle.direction(chosen)(*given))
    agree(noise(lib.array(x_t), alpha), -s * score)


@law(share=0.5, seed=seeds, components=st.integers(1, 3), shape=st.sampled_from(TINY))
def test_log_density(lib: Library, seed: int, components: int, shape: tuple[int, ...]) -> None:
    """log p(x) in nats, one number per event, for events far out too."""
    oracle, known = random_mixture(seed, shape, components)
    x = np.concatenate([oracle.sample(seed, 2), 50 * arrays(seed, 1, *shape)])
    agree(oracle.log_density(lib.array(x)), [mixture.log_density(event.ravel(), known) for event in x])


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_far_from_every_component(lib: Library) -> None:
    """Where every density underflows in float32, the nearest component still answers."""
    oracle = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [1e-4, 1e-4])
    x_t, alpha = (
        lib.array(np.array(values, np.float32)) for values in ([[-30.0], [40.0], [-30.0]], [[1.0], [1.0], [0.5]])
    )
    got = lib.host(whole(lib, oracle.denoiser(gdm.Schedule.vanilla((1,))))(x_t, alpha))
    agree(got, [[-30.0], [40.0], [-1 - 0.5e-4 * 29.5 / 0.250025]], 1e-5)


def test_samples_have_the_moments_of_the_mixture() -> None:
    """Means and covariances of n samples, within five standard errors (fourth moments by the samples themselves)."""
    oracle, (weights, means, covariances) = random_mixture(8, (1, 2, 2), components=3)
    n = 20000
    x = oracle.sample(3, n)
    assert (x.shape, x.dtype) == ((n, 1, 2, 2), np.float64)
    flat = x.reshape(n, 4)
    mean = weights @ means
    second = sum(w * (C + np.outer(m, m)) for w, m, C in zip(weights, means, covariances, strict=True))
    products = flat[:, :, None] * flat[:, None, :]
    assert (np.abs(flat.mean(0) - mean) < 5 * flat.std(0) / math.sqrt(n)).all()
    assert (np.abs(products.mean(0) - second) < 5 * products.std(0) / math.sqrt(n)).all()


def test_samples_choose_components_by_weight() -> None:
    """Counts of well separated components stray by less than five standard deviations; seeds and indices decide alone."""
    shares, means = np.array([0.6, 0.3, 0.1]), np.array([[0.0], [100.0], [200.0]])
    oracle = GaussianMixture(shares * 7, means, [1.0, 1.0, 1.0])
    same_bits(oracle.weights, shares * 7 / (shares * 7).sum())
    n = 5000
    x = oracle.sample(1, n)
    counts = np.bincount(np.abs(x - means.T).argmin(1), minlength=3)
    assert (np.abs(counts - n * shares) < 5 * np.sqrt(n * shares * (1 - shares))).all(), f"{counts}"
    same_bits(oracle.sample(1, 10), x[:10])
    assert not np.isin(oracle.sample(2, 10), x).any()


def test_samples_are_independent_of_the_latents_of_the_same_seed() -> None:
    """Data and noise drawn with one seed must not be the same numbers in disguise."""
    n = 2000
    x = GaussianMixture([1.0], [[0.0, 0.0]], [1.0]).sample(5, n)
    z = gdm.draw_latents(5, range(n), (2,), np.float64)
    correlation = np.abs(x.T @ z / n)
    assert (correlation < 5 / math.sqrt(n)).all(), f"correlation {correlation.max():.2f}"


def test_three_ways_to_write_covariances() -> None:
    """One variance, variances of elements, and full matrices are the same mixture."""
    means = arrays(0, 2, 1, 2, 2)
    variances = np.array([0.5, 2.0])
    elements = np.broadcast_to(variances.reshape(2, 1, 1, 1), means.shape)
    full = variances[:, None, None] * np.eye(4)
    for covariances in (variances, elements, full, variances.tolist()):
        same_bits(GaussianMixture([1, 3], means, covariances).covariances, full)
    same_bits(GaussianMixture([1.0], means[:1], arrays(1, 1, 1, 2, 2) ** 2).covariances[0], np.diag(arrays(1, 4) ** 2))


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_float32_is_sound(lib: Library) -> None:
    """In single precision the optimal direction is right to rounding, and stays single."""
    chosen = gdm.Schedule.bands((1, 2, 3), (2,), path="trigonometric")
    oracle, _ = random_mixture(9, chosen.shape)
    x_t, alpha = arrays(10, 3, 1, 2, 3), np.array([[1.0, 0.0], [0.5, 0.0], [1.0, 0.25]])
    got = whole(lib, oracle.direction(chosen))(lib.array(x_t.astype(np.float32)), lib.array(alpha.astype(np.float32)))
    assert str(got.dtype).endswith("float32")
    agree(got, oracle.direction(chosen)(x_t, alpha), 1e-4)
    agree(oracle.log_density(lib.array(x_t.astype(np.float32))), oracle.log_density(x_t), 1e-5)


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (([1.0], [0.0, 0.0], [1.0]), ShapeError, ("weights (m,) and means (m, *event)", "(1,) and (2,)")),
        (([1.0, 1.0], [[0.0, 0.0]], [1.0]), ShapeError, ("weights (m,)", "(2,) and (1, 2)")),
        (([[1.0]], [[0.0, 0.0]], [1.0]), ShapeError, ("weights (m,)", "(1, 1)")),
        (([], np.zeros((0, 2)), []), ShapeError, ("at least one",)),
        (([0.0], [[0.0, 0.0]], [1.0]), ValueRangeError, ("weights: expected positive", "[0.0]")),
        (([-1.0], [[0.0, 0.0]], [1.0]), ValueRangeError, ("weights: expected positive",)),
        (([math.inf], [[0.0, 0.0]], [1.0]), ValueRangeError, ("weights: expected positive",)),
        (([math.nan], [[0.0, 0.0]], [1.0]), ValueRangeError, ("weights: expected positive",)),
        (([1.0], [[0.0, math.nan]], [1.0]), ValueRangeError, ("means: expected finite",)),
        (([1.0], [[0.0, 0.0]], [1.0, 1.0]), ShapeError, ("covariances: expected (1, 2, 2), (1, 2) or (1,)", "(2,)")),
        (([1.0], [[0.0, 0.0]], [0.0]), ValueRangeError, ("symmetric positive definite",)),
        (([1.0], [[0.0, 0.0]], [[1.0, -1.0]]), ValueRangeError, ("symmetric positive definite",)),
        (
            ([1.0], [[0.0, 0.0]], (EYE + np.triu(np.full((2, 2), 0.1), 1))[None]),
            ValueRangeError,
            ("symmetric positive definite",),
        ),
        (([1.0], [[0.0, 0.0]], (2 - EYE)[None]), ValueRangeError, ("symmetric positive definite",)),
        (([1.0], [[0.0, 0.0]], [math.nan]), ValueRangeError, ("symmetric positive definite",)),
    ],
)
def test_mixtures_that_are_none(arguments: Any, kind: Any, words: tuple[str, ...]) -> None:
    """Shapes that do not fit, weights and covariances that are not positive."""
    with refused(kind, *words):
        GaussianMixture(*arguments)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_what_the_oracle_refuses(lib: Library) -> None:
    """Another event shape, another number of groups, integers, two libraries."""
    oracle, chosen = GaussianMixture([1.0], [[0.0, 0.0]], [1.0]), gdm.Schedule.autoregressive((2,))
    with refused(ShapeError, "schedule: expected the mixture's event shape (2,)", "(3,)"):
        oracle.direction(gdm.Schedule.vanilla((3,)))
    network, x_t, alpha = oracle.direction(chosen), lib.array(np.zeros((1, 2))), lib.array(np.ones((1, 2)))
    with refused(ShapeError, "expected (batch, 2)", "(1, 3)"):
        network(lib.array(np.zeros((1, 3))), alpha)
    with refused(ShapeError, "per_group: expected (batch, 2)", "(1, 3)"):
        network(x_t, lib.array(np.ones((1, 3))))
    with refused(ShapeError, "x: expected (batch, 2)", "(2, 3)"):
        oracle.log_density(lib.array(np.zeros((2, 3))))
    with refused(DTypeError, "x: expected floating-point"):
        oracle.log_density(lib.array(np.zeros((2, 2), np.int64)))
    if lib.name != "numpy":
        with refused(BackendError, lib.name, "numpy"):
            network(x_t, np.ones((1, 2)))
