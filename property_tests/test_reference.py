"""The reference against something else than itself: SciPy, eigenvalues, quadrature, adaptive integration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.linalg
import scipy.ndimage
import scipy.stats

from reference import bases, groups, losses, mixture, ode, schedule, solvers

RNG = np.random.default_rng


def agree(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Raise unless both agree to `tolerance`, absolutely and relatively, and have one shape."""
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, strict=True)


def covariance(d: int, seed: int) -> np.ndarray:
    """A well-conditioned random covariance matrix."""
    factor = RNG(seed).normal(size=(d, d))
    return factor @ factor.T / d + 0.3 * np.eye(d)


def random_mixture(d: int, components: int, seed: int) -> mixture.Mixture:
    """A mixture with random weights, means and covariances."""
    rng = RNG(seed)
    weights = rng.dirichlet(np.ones(components))
    covariances = np.array([covariance(d, seed + m) for m in range(components)])
    return mixture.Mixture(weights, rng.normal(size=(components, d)), covariances)


# Groups


def test_sections_are_those_of_array_split() -> None:
    """Sizes follow numpy.array_split when counts do not divide."""
    for parts in (1, 2, 3, 7):
        expected = [part for part, piece in enumerate(np.array_split(range(7), parts)) for _ in piece]
        assert [groups.section(i, 7, parts) for i in range(7)] == expected


def test_groups_equal_slices() -> None:
    """Each grouping equals NumPy slices of the image."""
    shape = (2, 5, 6)
    agree(groups.element_labels(shape), np.arange(60).reshape(shape))
    agree(groups.channel_labels(shape)[:, 3, 4], np.arange(2))
    agree(groups.row_labels(shape, 2)[1, :, 0], np.array([0, 0, 0, 1, 1]))
    agree(groups.column_labels(shape, 4)[1, 0], np.array([0, 0, 1, 1, 2, 3]))
    blocks = groups.block_labels(shape, (2, 2), order=(3, 0, 1, 2))
    assert (blocks[:, 3:, 3:] == 0).all() and (blocks[:, :3, :3] == 1).all() and (blocks[:, 3:, :3] == 3).all()
    expected = np.full(shape, 2)
    expected[..., 0::2, 0::2] = 1
    expected[..., 0::4, 0::4] = 0
    agree(groups.lattice_labels(shape, stages=2), expected)
    agree(groups.lattice_labels(shape, stages=2, inverse=True), 2 - expected)
    bands = groups.band_labels((1, 2, 3), np.array([[0, 1, 3], [2, 4, 5]]), (1, 4))
    agree(bands, np.array([[[0, 1, 1], [1, 2, 2]]]))


# Schedule


def test_a_is_a_clipped_line() -> None:
    """Eq. (10) is a line clipped to [0, 1]; the trigonometric path is the cosine and sine of the rest."""
    labels, intervals = groups.element_labels((3,)), np.array([[0.6, 1.0], [0.1, 0.4], [0.0, 0.1]])
    for t in (0.0, 0.05, 0.1, 0.25, 0.4, 0.7, 1.0):
        line = np.clip((intervals[:, 1] - t) / (intervals[:, 1] - intervals[:, 0]), 0, 1)
        agree(schedule.data_weights(t, labels, intervals), line)
        a, s = schedule.trigonometric_weights(t, labels, intervals)
        agree(a, np.cos(math.pi / 2 * (1 - line)))
        agree(a**2 + s**2, np.ones(3))
    assert schedule.breakpoints(intervals) == [0.0, 0.1, 0.4, 0.6, 1.0]
    assert schedule.equal_intervals(2).tolist() == [[0.5, 1.0], [0.0, 0.5]]


def test_interpolations_at_a_third() -> None:
    """Eqs. (1), (2), (6) and (11) at t = 1/3, where cos(pi/6) = sqrt(3)/2 and sin(pi/6) = 1/2."""
    x, z, t, root = RNG(0).normal(size=3), RNG(1).normal(size=3), 1 / 3, math.sqrt(3) / 2
    a, s, U = np.full(3, root), np.full(3, 0.5), bases.dct_matrix(3)
    agree(schedule.rectified(x, z, t), 2 / 3 * x + 1 / 3 * z)
    for x_t in (schedule.variance_preserving(x, z, t), schedule.interpolate_in_basis(x, z, a, U, s)):
        agree(x_t, root * x + 0.5 * z)
    agree(schedule.interpolate(x, z, a), root * x + (1 - root) * z)


@pytest.mark.parametrize(("side", "sign"), [("left", -1), ("right", 1)])
def test_rates_are_one_sided_differences(side: schedule.Side, sign: int) -> None:
    """Each A'(t), S'(t) is the limit of differences from its side, at breakpoints too."""
    labels, intervals = groups.element_labels((3,)), np.array([[0.6, 1.0], [0.25, 0.5], [0.125, 0.25]])
    for t in (0.125, 0.2, 0.25, 0.5, 0.6, 0.8):
        near = t + sign * 1e-7
        linear = [schedule.data_weights(time, labels, intervals) for time in (t, near)]
        curved = [np.stack(schedule.trigonometric_weights(time, labels, intervals)) for time in (t, near)]
        agree(schedule.data_rates(t, labels, intervals, side), (linear[1] - linear[0]) / (near - t), 1e-5)
        slopes = np.stack(schedule.trigonometric_rates(t, labels, intervals, side))
        agree(slopes, (curved[1] - curved[0]) / (near - t), 1e-5)


def test_autoregressive_schedule_is_equations_20_and_21() -> None:
    """A(l/d) and its left derivative are the matrices that Appendix C.1 prints."""
    d = 7
    labels, intervals = groups.element_labels((d,)), schedule.paper_intervals(d)
    for ell in range(1, d + 1):
        agree(schedule.data_weights(ell / d, labels, intervals), (np.arange(1, d + 1) > ell).astype(float))
        agree(schedule.data_rates(ell / d, labels, intervals), np.where(np.arange(1, d + 1) == ell, -1.0 * d, 0))


# Bases


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_transforms_equal_scipy(size: int) -> None:
    """U^T x is SciPy's orthonormal DCT-II and DST-I; the Haar basis is orthonormal."""
    x = RNG(size).normal(size=size)
    agree(bases.dct_matrix(size).T @ x, scipy.fft.dct(x, norm="ortho"))
    agree(bases.dst_matrix(size).T @ x, scipy.fft.dst(x, type=1, norm="ortho"))
    agree(bases.haar_matrix(size).T @ bases.haar_matrix(size), np.eye(size))
    images = RNG(size).normal(size=(2, size, 3))
    U = bases.image_matrix(bases.dct_matrix(size), bases.dct_matrix(3), channels=2)
    transformed: Any = scipy.fft.dctn(images, axes=(1, 2), norm="ortho")
    agree(U.T @ images.ravel(), transformed.ravel())


def test_haar_of_four() -> None:
    """The classical matrix, written out."""
    r = math.sqrt(2)
    rows = [[1, 1, 1, 1], [1, 1, -1, -1], [r, -r, 0, 0], [0, 0, r, -r]]
    agree(bases.haar_matrix(4), np.array(rows).T / 2)


def test_sine_transform_diagonalises_the_blur() -> None:
    """W = U D U^T for the zero-padded blur of lines and images; eigh finds the same eigenvalues."""
    height, width = 5, 7
    down, across = bases.blur_eigenvalues(height), bases.blur_eigenvalues(width)
    agree(bases.eigenbasis(bases.blur_matrix(width))[0], np.array(across))
    U = bases.image_matrix(bases.dst_matrix(height), bases.dst_matrix(width))
    products = np.outer(down, across).ravel()
    W = bases.blur_matrix_2d(height, width)
    agree(U @ np.diag(products) @ U.T, W)
    agree(bases.eigenbasis(W)[0], np.sort(products)[::-1])
    image = RNG(0).normal(size=(height, width))
    a0, a1 = bases.gaussian_taps()
    agree([a1, a0, a1], scipy.ndimage.gaussian_filter1d(np.eye(1, 99, 49)[0], 0.4, truncate=50)[48:51])
    blurred = scipy.ndimage.convolve(image, np.outer([a1, a0, a1], [a1, a0, a1]), mode="constant")
    agree(W @ image.ravel(), blurred.ravel())
    ranks = bases.blur_ranks(height, width).ravel()
    assert sorted(ranks) == list(range(height * width))
    assert (np.diff(products[np.argsort(ranks)]) < 1e-11).all()


def test_cosine_transform_diagonalises_the_reflecting_blur() -> None:
    """U^T W U is diagonal for a symmetric kernel wider than the line; W is SciPy's reflecting convolution."""
    kernel = np.exp(-0.5 * (np.arange(-9, 10) / 2.0) ** 2)
    W = bases.reflecting_matrix(6, (kernel / kernel.sum()).tolist())
    x, U = RNG(1).normal(size=6), bases.dct_matrix(6)
    agree(W @ x, scipy.ndimage.convolve1d(x, kernel / kernel.sum(), mode="reflect"))
    D = U.T @ W @ U
    agree(D, np.diag(np.diag(D)))
    assert (np.diff(np.diag(D)) < 0).all()


def test_frequency_ranks_of_small_images() -> None:
    """Small orders are found by hand; 0^2 + 5^2 = 3^2 + 4^2 is a tie, broken by (i + j, i, j)."""
    agree(bases.cosine_ranks(2, 2), np.array([[0, 1], [2, 3]]))
    agree(bases.cosine_ranks(2, 3), np.array([[0, 1, 4], [2, 3, 5]]))
    agree(bases.blur_ranks(2, 2), np.array([[0, 1], [2, 3]]))
    ranks = bases.cosine_ranks(6, 6)
    agree(np.array([ranks[5, 0], ranks[3, 4], ranks[4, 3]]) - ranks[0, 5], np.array([1, 2, 3]))
    indices = np.argsort(ranks.ravel())
    assert (np.diff((indices // 6) ** 2 + (indices % 6) ** 2) >= 0).all()


# Losses


def test_frequency_and_pixel_losses_are_equal() -> None:
    """Eqs. (14), (15) and (16) agree for u = U u_bar(U^T x_t, A), and equal Eq. (8) in the pixel basis."""
    shape, rng = (3, 4), RNG(2)
    x, z, t = rng.normal(size=(5, *shape)), rng.normal(size=(5, *shape)), rng.uniform(size=5)
    labels = groups.band_labels(shape, bases.cosine_ranks(*shape), (2, 7))
    intervals = schedule.equal_intervals(3)
    U = bases.image_matrix(bases.dct_matrix(3), bases.dct_matrix(4))

    def pixels(x_t: np.ndarray, a: np.ndarray) -> np.ndarray:
        return np.tanh(x_t) + a.sum()

    def frequencies(x_bar: np.ndarray, a: np.ndarray) -> np.ndarray:
        return (U.T @ pixels((U @ x_bar.ravel()).reshape(shape), a).ravel()).reshape(shape)

    expected = losses.pixel_loss(pixels, x, z, t, labels, intervals, U)
    agree(losses.rotated_loss(pixels, x, z, t, labels, intervals, U), expected)
    agree(losses.frequency_loss(frequencies, x, z, t, labels, intervals, U), expected)
    identity = losses.pixel_loss(pixels, x, z, t, labels, intervals, np.eye(12))
    agree(losses.direction_loss(pixels, x, z, t, labels, intervals), identity)


def test_one_group_is_the_rectified_flow() -> None:
    """With k = 1 Eqs. (7) and (8) are Eq. (4), whose minimum over constants is a variance."""
    rng = RNG(3)
    x, z, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), rng.uniform(size=6)
    labels, intervals = np.zeros(4, dtype=np.int64), np.array([[0.0, 1.0]])
    expected = losses.velocity_loss(lambda x_t, time: np.sin(x_t) * time, x, z, t)
    seventh = losses.groupwise_velocity_loss(lambda x_t, a: np.sin(x_t) * (1 - a), x, z, t, labels, intervals)
    eighth = losses.direction_loss(lambda x_t, a: np.sin(x_t) * (a - 1), x, z, t, labels, intervals)
    agree(seventh, expected)
    agree(eighth, expected)
    constant = (z - x).mean(axis=0)
    agree(losses.velocity_loss(lambda x_t, time: constant, x, z, t), (z - x).var(axis=0).mean())
    for path in (schedule.rectified, schedule.variance_preserving):
        agree(losses.denoising_loss(lambda x_t, time: 0 * x_t, x, z, t, path), np.mean(x**2))


def test_autoregressive_losses_form_the_chain_of_appendix_c1() -> None:
    """Eqs. (22)-(26) agree, and equal d times Eq. (7) at t = l/d and d^2 times Eq. (19), read backward."""
    d, rng = 5, RNG(4)
    x, z = rng.normal(size=(6, d)), rng.normal(size=(6, d))

    def known(rest: np.ndarray, ell: int) -> float:
        return math.sin(rest.sum()) + ell

    def seen(x_t: np.ndarray, ell: int) -> float:
        return known(x_t[ell:], ell)

    def velocity(x_t: np.ndarray, a: np.ndarray) -> np.ndarray:
        ell = d - int(a.sum())
        return np.where(np.arange(1, d + 1) == ell, (x_t - seen(x_t, ell)) * d, 0.0)

    expected = losses.loss_26(known, x)
    agree(
        losses.loss_22(lambda x_t, ell: velocity(x_t, (np.arange(d) >= ell).astype(float))[ell - 1], x, z),
        expected,
    )
    for loss in (losses.loss_23, losses.loss_24, losses.loss_25):
        agree(loss(seen, x, z), expected)
    times = [np.full(6, ell / d) for ell in range(1, d + 1)]
    schedules = groups.element_labels((d,)), schedule.paper_intervals(d)
    sevenths = [losses.groupwise_velocity_loss(velocity, x, z, t, *schedules) for t in times]
    agree(d * np.mean(sevenths), np.asarray(expected))
    nineteenth = losses.autoregressive_loss(lambda rest, i: known(rest, d + 1 - i), x[:, ::-1], sigma=1 / d)
    agree(nineteenth, expected)


# Mixtures


def test_densities_equal_scipy() -> None:
    """log p(x) is SciPy's; it is the sum over groups, in any basis."""
    model, x = random_mixture(4, 3, seed=5), RNG(5).normal(size=4)
    parts = [scipy.stats.multivariate_normal(m, C).pdf(x) for m, C in zip(model.means, model.covariances, strict=True)]
    agree(mixture.log_density(x, model), math.log(np.dot(model.weights, parts)))
    for U in (None, bases.dct_matrix(4)):
        conditionals = mixture.group_log_densities(x, model, np.array([1, 0, 2, 1]), U)
        agree(conditionals.sum(), np.asarray(mixture.log_density(x, model)))


def test_conditional_densities_integrate_to_one() -> None:
    """p(x_1 | x_0) is a density in x_1, by quadrature."""
    model, labels = random_mixture(2, 2, seed=6), np.array([0, 1])

    def density(value: float) -> float:
        return math.exp(mixture.group_log_densities(np.array([0.4, value]), model, labels)[1])

    agree(scipy.integrate.quad(density, -12, 12, points=[-1, 1])[0], 1.0, 1e-8)


def test_posterior_means_by_quadrature() -> None:
    """E[x | x_t] and E[z | x_t] in one dimension are ratios of integrals."""
    model, a, s, x_t = random_mixture(1, 3, seed=7), 0.6, 0.3, 0.5

    def weight(x: float) -> float:
        return math.exp(mixture.log_density(np.array([x]), model) - ((x_t - a * x) / s) ** 2 / 2)

    integral = scipy.integrate.quad(weight, -8, 8, limit=200)[0]
    mean = scipy.integrate.quad(lambda x: x * weight(x), -8, 8, limit=200)[0] / integral
    x, z = mixture.posterior_means(np.array([x_t]), model, np.array([a]), np.array([s]))
    agree(x, np.array([mean]), 1e-8)
    agree(z, np.array([(x_t - a * mean) / s]), 1e-8)


def test_posterior_means_by_tweedie() -> None:
    """A E[x] + S E[z] = x_t, and the score of p(x_t) is -S^{-1} E[z | x_t], in any basis."""
    model, rng = random_mixture(3, 2, seed=8), RNG(8)
    a, s, x_t, U = (
        np.array([0.9, 0.5, 0.2]),
        np.array([0.3, 0.5, 0.9]),
        rng.normal(size=3),
        bases.dct_matrix(3),
    )
    A, S = U @ np.diag(a) @ U.T, U @ np.diag(s) @ U.T
    x, z = mixture.posterior_means(x_t, model, a, s, U)
    agree(A @ x + S @ z, x_t)
    agree(mixture.optimal_direction(x_t, model, a, s, U), x - z)
    noised = [
        scipy.stats.multivariate_normal(A @ m, A @ C @ A + S @ S)
        for m, C in zip(model.means, model.covariances, strict=True)
    ]

    def log_p(point: np.ndarray) -> float:
        return math.log(sum(w * part.pdf(point) for w, part in zip(model.weights, noised, strict=True)))

    score = [(log_p(x_t + h) - log_p(x_t - h)) / 2e-5 for h in 1e-5 * np.eye(3)]
    agree(np.linalg.solve(S, z), -np.array(score), 1e-7)


def test_pending_elements_carry_no_information() -> None:
    """Proposition 3.3: E[x | x_t] does not depend on elements whose data weight is 0."""
    model, x_t = random_mixture(3, 2, seed=9), RNG(9).normal(size=3)
    a, s = np.array([0.7, 0.0, 1.0]), np.array([0.3, 1.0, 0.0])
    moved = x_t + np.array([0, 5.0, 0])
    agree(mixture.posterior_means(moved, model, a, s)[0], mixture.posterior_means(x_t, model, a, s)[0])


# The generative ODE


def flow_by_integration(z: np.ndarray, model: mixture.Mixture, labels: np.ndarray, U: np.ndarray) -> np.ndarray:
    """Eq. (17) by SciPy, group by group; within a group the ODE is written in alpha_j, from 0 to 1."""
    for j in range(labels.max() + 1):
        active, done = (labels == j).astype(float), (labels < j).astype(float)

        def slope(alpha: float, y: np.ndarray, active: np.ndarray = active, done: np.ndarray = done) -> np.ndarray:
            a = done + alpha * active
            return U @ (active * (U.T @ mixture.optimal_direction(y, model, a, 1 - a, U)))

        z = scipy.integrate.solve_ivp(slope, (0, 1), z, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    return z


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [1, 0, 0, 1], [2, 0, 3, 1]])
def test_gaussian_flow_is_the_integrated_ode(labels: list[int]) -> None:
    """The Knothe-Rosenblatt map with symmetric roots is the flow, and its inverse encodes."""
    mean, C, z, groups_of = (
        RNG(10).normal(size=4),
        covariance(4, 10),
        RNG(11).normal(size=4),
        np.array(labels),
    )
    model = mixture.Mixture(np.ones(1), mean[None], C[None])
    for U in (np.eye(4), bases.dct_matrix(4)):
        x = mixture.gaussian_flow(z, mean, C, groups_of, U)
        agree(x, flow_by_integration(z, model, groups_of, U), 1e-8)
        agree(mixture.gaussian_flow_inverse(x, mean, C, groups_of, U), z, 1e-10)
        noise = mixture.gaussian_flow_inverse(x, mean, C, groups_of, U)
        constant = -2 * math.log(2 * math.pi) - 0.5 * np.linalg.slogdet(C)[1]
        agree(-0.5 * (noise @ noise) + constant, np.asarray(mixture.log_density(x, model)), 1e-10)


def test_gaussian_flow_is_cholesky_or_the_symmetric_root() -> None:
    """k = d in order gives mean + Cholesky factor z; k = 1 gives mean + symmetric root z."""
    mean, C, z = RNG(12).normal(size=4), covariance(4, 12), RNG(13).normal(size=4)
    agree(mixture.gaussian_flow(z, mean, C, np.arange(4)), mean + np.linalg.cholesky(C) @ z)
    root = scipy.linalg.sqrtm(C)
    agree(mixture.gaussian_flow(z, mean, C, np.zeros(4, dtype=np.int64)), mean + root @ z)


def test_euler_converges_to_the_flow() -> None:
    """Euler on Eqs. (13) and (17) gives the same numbers, which approach the exact flow at order 1."""
    mean, C, z = RNG(14).normal(size=4), covariance(4, 14), RNG(15).normal(size=4)
    model, labels, U = (
        mixture.Mixture(np.ones(1), mean[None], C[None]),
        np.array([1, 0, 1, 2]),
        bases.dct_matrix(4),
    )
    bar, intervals = mixture.in_basis(model, U), np.array([[0.5, 1.0], [0.2, 0.5], [0.0, 0.2]])
    errors = []
    for steps in (20, 40):
        times = ode.time_grid(intervals, (steps, steps, steps))
        assert len(times) == 3 * steps + 1 and times[0] == 1 and times[-1] == 0
        x = ode.frequency_euler(
            lambda y, a: mixture.optimal_direction(y, model, a, 1 - a, U), z, times, labels, intervals, U
        )
        x_bar = ode.groupwise_euler(
            lambda y, a: mixture.optimal_direction(y, bar, a, 1 - a), U.T @ z, times, labels, intervals
        )
        agree(x, U @ x_bar)
        errors.append(np.linalg.norm(x - mixture.gaussian_flow(z, mean, C, labels, U)))
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_one_group_is_rectified_euler() -> None:
    """With k = 1 Eq. (9) is Eq. (5) for v = -u."""
    z, times = RNG(16).normal(size=(2, 3)), [1.0, 0.7, 0.2, 0.0]
    expected = ode.rectified_euler(lambda y, t: -np.sin(y) * (1 - t), z, times)
    labels, intervals = np.zeros((2, 3), dtype=np.int64), np.array([[0.0, 1.0]])
    agree(ode.groupwise_euler(lambda y, a: np.sin(y) * a, z, times, labels, intervals), expected)


def test_one_step_per_element_is_the_autoregressive_loop() -> None:
    """Appendix C.1: k = d and one step per group generate by x_l <- x_theta(x_{>l}, l), from any noise."""
    d, z = 6, RNG(17).normal(size=6)

    def predict(rest: np.ndarray, ell: int) -> float:
        return math.cos(rest.sum()) + ell / d

    def direction(x_t: np.ndarray, a: np.ndarray) -> np.ndarray:
        ell = d - int(a.sum())
        return np.where(np.arange(1, d + 1) == ell, predict(x_t[ell:], ell) - x_t, 7.0)

    labels, intervals = groups.element_labels((d,)), schedule.paper_intervals(d)
    times = ode.time_grid(intervals, [1] * d)
    x = ode.autoregressive_sample(predict, z)
    agree(ode.groupwise_euler(direction, z, times, labels, intervals), x)
    agree(ode.autoregressive_sample(predict, -z), x)
    agree(ode.ancestral_sample(predict, z, 0.0), x)


def test_lattice_is_the_two_stage_cascade() -> None:
    """Appendix C.2: groupwise sampling on the lattice partition is the cascade of the same two networks."""
    shape, z = (2, 5, 4), RNG(18).normal(size=(2, 5, 4))
    labels, intervals = groups.lattice_labels(shape), np.array([[0.25, 1.0], [0.0, 0.25]])

    def first(small: np.ndarray, alpha: float) -> np.ndarray:
        return np.sin(small + alpha) - small.mean()

    def second(upsampled: np.ndarray, image: np.ndarray, alpha: float) -> np.ndarray:
        return np.cos(upsampled) - alpha * image

    def direction(x_t: np.ndarray, a: np.ndarray) -> np.ndarray:
        if a[0, 0, 0] < 1:
            return ode.upsample(first(x_t[..., 0::2, 0::2], a[0, 0, 0]), shape)
        return second(ode.upsample(x_t[..., 0::2, 0::2], shape), x_t, a[0, 0, 1])

    small = z[..., 0::2, 0::2]
    agree(ode.upsample(small, shape), small.repeat(2, axis=-2).repeat(2, axis=-1)[:, :5])
    times = ode.time_grid(intervals, (6, 3))
    x = ode.groupwise_euler(direction, z, times, labels, intervals)
    agree(x, ode.cascade_sample(first, second, z, (6, 3)))


# Solvers


def test_solvers_have_their_order() -> None:
    """On y' = -s y^2, y(0) = 1 (y = 2 / (2 + s^2)) halved uneven steps divide the error by 2^order."""
    orders = {solvers.euler: 1, solvers.heun: 2, solvers.midpoint: 2, solvers.ab2: 2, solvers.rk4: 4}
    for solve, order in orders.items():
        errors = []
        for steps in (64, 128):
            nodes = np.linspace(0, 1, steps + 1) ** 1.5  # uneven, which AB2 must account for
            y = solve(lambda s, y: -s * y**2, np.ones(1), nodes.tolist())
            errors.append(abs(y[0] - 2 / 3))
        assert order - 0.35 < math.log2(errors[0] / errors[1]) < order + 0.6


def test_rules_of_order_two_integrate_lines_exactly() -> None:
    """dy/ds = s is solved exactly on uneven nodes; AB2 keeps the error of its first step, by Euler."""
    nodes = [-0.1, 0.1, 0.5, 0.7, 1.6]
    expected = np.array([(nodes[-1] ** 2 - nodes[0] ** 2) / 2])
    for solve in (solvers.heun, solvers.midpoint, solvers.rk4):
        agree(solve(lambda s, y: np.array([s]), np.zeros(1), nodes), expected)
    missed_by_euler = np.array([-0.1 * 0.2])  # over [-0.1, 0.1] Euler moves by -0.1 * 0.2, the truth by 0
    agree(solvers.ab2(lambda s, y: np.array([s]), np.zeros(1), nodes), expected + missed_by_euler)
