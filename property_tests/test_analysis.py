"""What is measured of a model is what is known of it: a Gaussian's flow is linear, and every number has a closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

import gdm
from gdm import statistics
from gdm.analysis import bits as bits_of
from gdm.analysis.bits import bits, dequantise
from gdm.analysis.correlation import BETWEEN, DIVERGENCE, MARGINAL, TOTAL, total_correlation
from gdm.analysis.influence import influence
from gdm.analysis.variance import perceptual_variance
from gdm.errors import BudgetError, DTypeError, ShapeError, UnsupportedError, ValueRangeError
from property_tests.problems import TINY, seeds
from property_tests.runs import conditional, exact, gaussian, gaussian_data, linear, mixture
from property_tests.support import DIFFERENTIABLE, agree, arrays, refused, same_bits, schedules

ROWS = gdm.Schedule.rows((1, 2, 3), 2)
BANDS = gdm.Schedule.bands((1, 3, 3), (2, 5), order=[1, 0, 2])
FINE: Any = {"solver": "rk4", "steps": 24}  # of which 8 for each group: errors around 1e-4
NAMES = tuple(lib.name for lib in DIFFERENTIABLE)


# Error bars


@given(seeds, st.integers(2, 30))
def test_the_error_of_a_mean_is_its_jackknife(seed: int, n: int) -> None:
    """Leaving one out at a time gives a mean's sd / sqrt(n) exactly, which is also what SciPy says."""
    values = arrays(seed, n, 3)
    got, left = statistics.mean(values), statistics.jackknife(lambda rows: rows.mean(axis=0), values, n, seed)
    agree(got.error, scipy.stats.sem(values, axis=0))
    agree(left.error, got.error)
    agree(left.value, got.value)


def test_errors_are_as_large_as_the_spread() -> None:
    """Of a variance, and of a root mean square: over many sets, the mean error is the deviation of the values."""
    sets = arrays(0, 300, 60)
    for estimate in (
        lambda rows: statistics.jackknife(lambda part: np.log(part.var(axis=0, ddof=1)), rows, 20, 0),
        lambda rows: statistics.root_mean_square(rows**2),
    ):
        found = [estimate(rows) for rows in sets]
        ratio = np.mean([each.error for each in found]) / np.std([each.value for each in found], ddof=1)
        assert 0.8 < ratio < 1.25, ratio  # 300 sets: their deviation is known to 4 %


def test_a_single_value_has_no_error() -> None:
    assert np.isnan(statistics.mean(np.ones((1, 2))).error).all()
    same_bits(statistics.root_mean_square(np.zeros((4, 2))).error, np.zeros(2))
    with refused(ValueRangeError, "blocks: expected 2 to 5", "got 6"):
        statistics.jackknife(np.mean, np.ones(5), 6, 0)


# Fig. 4a


def images(schedule: gdm.Schedule, z: np.ndarray) -> np.ndarray:
    """Return the images that latents generate by the exact flow of `gaussian`, as NumPy says."""
    mean, matrix = linear(schedule)
    c = schedule.basis.analyze(z.astype(np.float64)).reshape(len(z), -1)
    return schedule.basis.synthesize((mean + c @ matrix.T).reshape(z.shape))


@settings(max_examples=8)
@given(schedules(shapes=TINY), seeds)
def test_the_linear_flow_is_that_of_the_model(chosen: gdm.Schedule, seed: int) -> None:
    """So that what follows compares with the truth."""
    z = gdm.draw_latents(seed, range(3), chosen.shape)
    made = gaussian(chosen).decode(z, solver="rk4", steps=(16,) * chosen.k)
    agree(made, images(chosen, z), 1e-3)


@pytest.mark.parametrize("by", ["groups", "elements"])
@pytest.mark.parametrize("chosen", [ROWS, BANDS], ids=["rows", "bands"])
def test_the_variance_of_a_linear_flow(chosen: gdm.Schedule, by: Any) -> None:
    """It is that of the images which the fixed and the varied latents make; nothing varies when all are fixed."""
    got = perceptual_variance(gaussian(chosen), by=by, anchors=2, variations=3, seed=5, **FINE)
    own, noise = (gdm.draw_latents(5, numbers, chosen.shape) for numbers in (range(2), range(2, 8)))
    ranks = chosen.partition.labels if by == "groups" else chosen.basis.order
    for fixed, count, values in zip(got.fixed, got.latents, got.values, strict=True):
        held = ranks < fixed
        assert count == held.sum()
        c = np.where(held, chosen.basis.analyze(own.repeat(3, axis=0)), chosen.basis.analyze(noise))
        made = images(chosen, chosen.basis.synthesize(c)).reshape(2, 3, -1)
        agree(values, made.var(axis=1, ddof=1).sum(axis=1), 3e-3, f"{fixed} {by}")
    assert got.fixed[0] == 0 and got.latents[-1] == math.prod(chosen.shape)
    agree(got.values[-1], np.zeros(2), 1e-12)


@pytest.mark.parametrize("chosen", [ROWS, BANDS], ids=["rows", "bands"])
def test_the_mean_variance_is_a_sum_of_squared_columns(chosen: gdm.Schedule) -> None:
    """E ||x - E x||^2 with groups below j fixed is ||M_{., >= j}||^2: within what the error bars say."""
    got = perceptual_variance(gaussian(chosen), anchors=12, variations=12, steps=48)
    _, matrix = linear(chosen)
    columns = [(matrix[:, chosen.partition.labels.ravel() >= j] ** 2).sum() for j in range(chosen.k)]
    value, error = got.mean
    assert (np.abs(value[:-1] - columns) < 4 * error[:-1] + 0.02 * value[:-1]).all()  # and the solver's error
    assert (error[:-1] < 0.2 * value[:-1]).all()


def test_phi_is_applied_to_images() -> None:
    """With phi(x) = 3 x the variance is nine times as large; a phi of one number has the variance of it."""
    model, few = gaussian(ROWS), {"anchors": 2, "variations": 4, "steps": 8, "fixed": [0, 1]}
    plain = perceptual_variance(model, **few).values
    agree(perceptual_variance(model, features=lambda x: 3 * x.reshape(len(x), -1), **few).values, 9 * plain)
    only = perceptual_variance(model, features=lambda x: x[:, 0, 0, :1], **few).values
    agree(only[1], np.zeros(2), 1e-12)  # a pixel of the first group, which is fixed
    assert (only[0] > 0.01).all() and (only < plain).all()


def test_a_phi_that_is_not_finite_is_refused() -> None:
    with refused(ValueRangeError, "features: expected finite numbers, got 4"):
        perceptual_variance(
            gaussian(ROWS), features=lambda x: np.full((len(x), 1), np.nan), anchors=2, variations=2, steps=4
        )


def test_levels_that_are_not_there_are_refused() -> None:
    model = gaussian(ROWS)
    with refused(ValueRangeError, "numbers of groups from 0 to 2", "[3]"):
        perceptual_variance(model, fixed=[3])
    with refused(ValueRangeError, "numbers of elements from 0 to 6"):
        perceptual_variance(model, by="elements", fixed=[])
    with refused(ValueRangeError, "did you mean 'elements'?"):
        perceptual_variance(model, by="element")  # type: ignore[arg-type]
    with refused(ValueRangeError, "variations >= 2"):
        perceptual_variance(model, variations=1)


# Prop. 3.3 as a matrix


@pytest.mark.parametrize("chosen", [ROWS, BANDS], ids=["rows", "bands"])
def test_the_influence_in_a_linear_flow(chosen: gdm.Schedule) -> None:
    """Drawn anew by dz_i, image group j moves by M_ji dz_i, and earlier groups do not."""
    got = influence(gaussian(chosen), n=5, seed=3, **FINE)
    _, matrix = linear(chosen)
    own, noise = (
        chosen.basis.analyze(gdm.draw_latents(3, numbers, chosen.shape).astype(float)).reshape(5, -1)
        for numbers in (range(5), range(5, 10))
    )
    labels = chosen.partition.labels.ravel()
    for i, j in np.ndindex(chosen.k, chosen.k):
        moved = (noise - own)[:, labels == i] @ matrix[np.ix_(labels == j, labels == i)].T
        agree(got.rms[i, j], np.sqrt((moved**2).mean()), 3e-3, f"{i} moves {j}")
        per_image = np.sqrt(((moved**2).mean(axis=1)).var(ddof=1) / 5)
        agree(got.error[i, j], per_image / (2 * got.rms[i, j]) if j >= i else 0, 3e-3)
    agree(np.tril(got.rms, -1), np.zeros((chosen.k, chosen.k)), 1e-6)
    assert got.leak < 1e-6


def test_hidden_groups_have_no_influence_to_the_bit() -> None:
    """With mask_pending a network that would look at them cannot; without, it does."""
    chosen = gdm.Schedule.blockwise((1, 4, 4), grid=(2, 2), order="reverse")

    def nosy(x_t: Any, alpha: Any) -> Any:
        return x_t.mean(axis=(1, 2, 3), keepdims=True) - x_t

    model = exact(chosen, mask_pending=True)
    hidden, seen = (
        influence(type(model)(nosy, chosen, spec, model.backend), n=3, steps=8)
        for spec in (model.spec, exact(chosen).spec)
    )
    same_bits(np.tril(hidden.rms, -1), np.zeros((4, 4)))
    assert hidden.leak == 0 and (hidden.rms[np.triu_indices(4)] > 0.01).all()
    assert (seen.rms > 0.01).all() and seen.leak > 0.01


def test_models_with_classes_keep_each_image_in_its_class() -> None:
    """Anchors take the classes in turn; what varies them does not change the class."""
    chosen = gdm.Schedule.vanilla((1, 2, 2))
    got = perceptual_variance(conditional(chosen), anchors=2, variations=200, fixed=[0], steps=16)
    true = [np.trace(gaussian_data(chosen.shape).covariances[0])]
    agree(got.values[0, 0], true[0], 0.25)  # two hundred draws, and Euler's error
    assert influence(conditional(chosen), n=2, steps=4).rms.shape == (1, 1)
    with refused(ValueRangeError, "at least 1 image"):
        influence(conditional(chosen), n=0)


# Remark 4.1


def bias(n: int, d: int) -> float:
    """Return by how much the estimated total correlation of n Gaussian samples exceeds the true one, in expectation.

    The estimated covariance is a Wishart matrix: E log det has a closed form (Bishop, B.81), as have its diagonals.
    """
    return 0.5 * (d * digamma((n - 1) / 2) - sum(digamma((n - i) / 2) for i in range(1, d + 1)))


def of_covariance(c: np.ndarray) -> float:
    return 0.5 * (np.log(np.diag(c)).sum() - np.linalg.slogdet(c)[1])


@settings(max_examples=10)
@given(schedules(shapes=((2, 2, 1), (1, 2, 3))), seeds)
def test_the_parts_add_up(chosen: gdm.Schedule, seed: int) -> None:
    """They are those of the sample covariance, in the schedule's basis, and sum to the Gaussian divergence."""
    z = arrays(seed, 80, *chosen.shape) * (1 + np.arange(chosen.shape[-1])) + 0.3
    got = total_correlation(chosen, z, repeats=2)
    c = chosen.basis.analyze(z).reshape(80, -1)
    covariance, mean, labels = np.cov(c, rowvar=False), c.mean(axis=0), chosen.partition.labels.ravel()
    agree(got[TOTAL].value, of_covariance(covariance), 1e-8)
    within = [of_covariance(np.atleast_2d(covariance[np.ix_(labels == j, labels == j)])) for j in range(chosen.k)]
    for j, value in enumerate(within):
        agree(got[f"within group {j}"].value, value, 1e-8)
    agree(got[BETWEEN].value, got[TOTAL].value - sum(within), 1e-8)
    divergence = 0.5 * (np.trace(covariance) + mean @ mean - len(mean) - np.linalg.slogdet(covariance)[1])
    agree(got[DIVERGENCE].value, divergence, 1e-8)
    agree(got[MARGINAL].value + got[TOTAL].value, divergence, 1e-8)
    agree(got[MARGINAL].shuffled, got[MARGINAL].value, 1e-8)  # shuffling changes no marginal


def test_the_total_correlation_of_a_known_gaussian() -> None:
    """Over forty sets of samples: the true value and the known bias, and errors as large as the spread."""
    chosen, n, d = gdm.Schedule.columns((1, 2, 3), 3), 150, 6
    root = np.eye(d) + 0.4 * arrays(7, d, d)
    sets = (arrays(100 + seed, n, d) @ root.T for seed in range(40))
    found = [total_correlation(chosen, z.reshape(n, 1, 2, 3), repeats=2, seed=i)[TOTAL] for i, z in enumerate(sets)]
    values = np.array([each.value for each in found])
    spread, true = values.std(ddof=1), of_covariance(root @ root.T)
    assert abs(values.mean() - true - bias(n, d)) < 4 * spread / np.sqrt(40)
    assert abs(np.mean([each.excess for each in found]) - true) < 4 * spread / np.sqrt(40)
    assert 0.7 < np.mean([each.error for each in found]) / spread < 1.4


def test_the_baselines_have_the_known_bias() -> None:
    """Shuffled coordinates and normal draws are independent: what is left is the bias of so many samples."""
    z = arrays(4, 120, 8) @ (np.eye(8) + 0.4 * arrays(3, 8, 8))
    got = total_correlation(gdm.Schedule.columns((2, 4), 2), z.reshape(120, 2, 4), repeats=60)[TOTAL]
    for value, deviation in ((got.shuffled, got.shuffled_sd), (got.normal, got.normal_sd)):
        assert abs(value - bias(120, 8)) < 4 * deviation / np.sqrt(60)
        assert 0 < deviation < bias(120, 8)
    assert got.value > got.shuffled + 10 * got.shuffled_sd


def test_what_the_optimal_model_encodes_is_normal() -> None:
    """Remark 4.1: encoded data of the model's own distribution has no excess, and its marginals pass the tests."""
    model = gaussian(ROWS)
    z = model.encode(gaussian_data(ROWS.shape).sample(0, 400), **FINE)
    got, raw = (total_correlation(ROWS, x, repeats=8) for x in (z, gaussian_data(ROWS.shape).sample(0, 400)))
    for name in (TOTAL, BETWEEN, "within group 0", "within group 1"):
        part = got[name]
        assert abs(part.excess) < 4 * math.hypot(part.error, part.shuffled_sd), name
    assert raw[TOTAL].excess > 5 * raw[TOTAL].error  # the data itself is not independent
    assert got.marginals[-1].rejected <= 2 / 6 and raw.marginals[-1].rejected > 0.5
    assert abs(got.marginals[-1].sd - 1) < 0.1 and got.marginals[-1].mean < 0.15 and got.samples == 400


@given(seeds, st.integers(20, 60))
def test_normality_is_tested_as_scipy_does(seed: int, n: int) -> None:
    """A coordinate is rejected where SciPy's test of Kolmogorov and Smirnov has p < 0.05."""
    z = arrays(seed, n, 4) * [1, 1.3, 1, 1] + [0, 0, 0.3, 0.1]
    got = total_correlation(gdm.Schedule.columns((4,), 4), z, repeats=2, blocks=2)
    for j in range(4):
        assert got.marginals[j].rejected == (scipy.stats.kstest(z[:, j], "norm", method="exact").pvalue < 0.05)
        agree(got.marginals[j].kurtosis, ((z[:, j] - z[:, j].mean()) ** 4).mean() / z[:, j].var(ddof=1) ** 2 - 3)
    agree(got.marginals[-1].rejected, np.mean([each.rejected for each in got.marginals[:4]]))


def test_latents_that_have_no_total_correlation_are_refused() -> None:
    chosen, z = gdm.Schedule.columns((4,), 2), arrays(0, 60, 4)
    with refused(ShapeError, "z: expected (batch, 4)"):
        total_correlation(chosen, z[:, :3])
    with refused(ValueRangeError, "at least 7 samples of 4 coordinates, got 6"):
        total_correlation(chosen, z[:6])
    with refused(ValueRangeError, "got 1 that do not"):
        total_correlation(chosen, z * [1, 1, 1, 0])
    with refused(ValueRangeError, "linearly independent"):
        total_correlation(chosen, z[:, [0, 1, 2, 2]])
    with refused(ValueRangeError, "repeats: expected at least 2"):
        total_correlation(chosen, z, repeats=1)
    with refused(ValueRangeError, "finite"):
        total_correlation(chosen, np.where(z > 1, np.nan, z))


# Bits per dimension


def bytes_of(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_the_exact_density(name: str) -> None:
    """Of a mixture: -log2 p of the dequantised bytes, 127.5 times as dense as on the network's scale, for every byte."""
    data = bytes_of(0.3 * arrays(2, 4, *ROWS.shape))
    exact_bits = [
        6 * math.log2(127.5)
        - mixture(ROWS.shape).log_density(dequantise(data, 3, repeat * bits_of.REPEAT).astype(float)) / math.log(2)
        for repeat in (0, 1)
    ]
    got = bits(exact(ROWS, name), data, solver="rk4", steps=24, repeats=2, seed=3)
    agree(got.values.sum(axis=1), np.mean(exact_bits, axis=0), 2e-4)  # what is left is the solver's error
    agree(got.repeats, np.mean(exact_bits, axis=1) / 6, 2e-4)
    agree(got.total.value, np.mean(exact_bits) / 6, 2e-4)
    agree(got.total.error, scipy.stats.sem(np.mean(exact_bits, axis=0)) / 6, 2e-4)
    agree(got.groups.value.mean(), got.total.value)  # the groups are of one size
    assert got.probes is None


def test_an_image_s_bits_are_its_own() -> None:
    """They are the same among other images, in every repeat."""
    model, data = exact(ROWS, NAMES[0]), bytes_of(0.3 * arrays(2, 4, *ROWS.shape))
    many, few = (bits(model, part, steps=4, repeats=2, probes=1).values for part in (data, data[:2]))
    agree(few, many[:2], 1e-9)
    assert bits_of.halved(9) == 4 and bits_of.halved((9, 1)) == [4, 1]


def test_a_gaussian_costs_what_its_bins_weigh() -> None:
    """One pixel, N(0.1, 0.3^2): the bits of a byte are -log2 of its bin's probability, counted in whole bytes."""
    model, values = _one_pixel(0.1, 0.3), np.array([60, 90, 140, 155, 200], np.uint8)
    edges = (np.stack([values - 0.5, values + 0.5]) / 127.5 - 1.1) / 0.3
    weights = np.diff(scipy.stats.norm.cdf(edges), axis=0)[0]
    got = bits(model, values.repeat(60).reshape(-1, 1, 1, 1), steps=32, batch=300)
    agree(got.values.reshape(5, 60).mean(axis=1), -np.log2(weights), 3e-3)  # the density varies by 8 % across a bin


def _one_pixel(mean: float, deviation: float) -> Any:
    chosen = gdm.Schedule.vanilla((1, 1, 1))
    base = gaussian(chosen, NAMES[0])
    network = gdm.oracle.GaussianMixture([1.0], np.full((1, 1, 1, 1), mean), [deviation**2]).direction(chosen)
    return type(base)(network, chosen, base.spec, base.backend)


@given(seeds, st.integers(0, 9))
def test_dequantised_bytes_stay_in_their_bins(seed: int, first: int) -> None:
    data = np.array([0, 1, 127, 255], np.uint8).reshape(2, 1, 1, 2).repeat(50, axis=1)
    x = dequantise(data, seed, first)
    inside = (x + 1) * 127.5 - data
    assert x.dtype == np.float32 and np.abs(inside).max() <= 0.5 + 1e-4 and inside.std() > 0.2
    same_bits(dequantise(data[1:], seed, first + 1), x[1:])


@pytest.mark.parametrize("name", NAMES)
def test_probes_are_each_image_s_own(name: str) -> None:
    """The noise of an image depends on (seed, number) alone, not on its batch, and is there."""
    model, x = exact(ROWS, name), 0.3 * arrays(1, 4, *ROWS.shape)
    few: Any = {"steps": 4, "solver": "midpoint", "batch": 2}
    whole = model.backend.to_numpy(model.log_likelihood(x, probes=2, seed=3, **few))
    part = model.backend.to_numpy(model.log_likelihood(x[2:], probes=2, seed=3, first=2, **few))
    agree(part, whole[2:], 1e-9)
    again = model.backend.to_numpy(model.log_likelihood(np.repeat(x[:1], 4, axis=0), probes=2, seed=3, **few))
    assert (np.abs(np.diff(again.sum(axis=1))) > 1e-4).all()


def test_large_groups_are_probed_unless_told_otherwise() -> None:
    chosen = gdm.Schedule.rows((1, 6, 6), 1)
    model, data = gaussian(chosen, NAMES[0], scale=0.3), bytes_of(arrays(0, 2, 1, 6, 6) * 0.3)
    assert bits(model, data, steps=1, solver="euler").probes == bits_of.PROBES
    assert bits(model, data, steps=1, solver="euler", exact=True).probes is None
    assert bits(model, data, steps=1, solver="euler", probes=3).probes == 3
    wide = gdm.Schedule.rows((1, 17, 16), 1)
    with refused(BudgetError, "at most 256 coordinates"):
        type(model)(lambda x, a: x, wide, model.spec, model.backend).log_likelihood(np.zeros((1, 1, 17, 16)), steps=1)


def test_what_has_no_bits_is_refused() -> None:
    data = np.zeros((2, 1, 2, 3), np.uint8)
    with refused(UnsupportedError, "torch or jax, got numpy", "--backend torch"):
        bits(exact(ROWS), data)
    with refused(DTypeError, "expected uint8, got float64"):
        bits(exact(ROWS), data / 255)
    with refused(ValueRangeError, "probes >= 1"):
        bits(exact(ROWS), data, probes=0)
    with refused(ValueRangeError, "repeats >= 1"):
        bits(exact(ROWS), data, repeats=0)
