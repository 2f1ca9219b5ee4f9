"""Laws of generate, encode and complete: the special cases of the paper, exact flows, and who can see whom."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import gdm
from gdm import solver
from gdm.arrays import constant, namespace
from gdm.errors import BackendError, BudgetError, DTypeError, ShapeError, ValueRangeError
from gdm.objective import autoregressive_loss
from property_tests.problems import TINY, law, matrix, random_mixture, random_network, seeds, whole
from property_tests.support import LIBRARIES, Library, agree, arrays, refused, same_bits, schedules
from reference import losses, mixture, ode

# The special cases: Appendix C.1 and C.2


def causal_network(
    seed: int, d: int, sigma: float = 0.0
) -> tuple[Callable[[Any, Any], Any], Callable[[np.ndarray, int], float]]:
    """Return a random AR model x_theta(x_{>l}, l) of d elements, as a direction u = x_theta + sigma x_t - x_t and itself."""
    mix, shift = arrays(seed, d, d), arrays(seed + 1, 1, d)

    def network(x_t: Any, alpha: Any) -> Any:
        xp = namespace(x_t)
        done = xp.flip(xp.astype(alpha == 1, x_t.dtype), axis=1)  # element d is generated first
        return xp.tanh((done * x_t) @ constant(mix, x_t) + constant(shift, x_t)) + (sigma - 1) * x_t

    return network, lambda known, ell: float(np.tanh(known @ mix[ell:, ell - 1] + shift[0, ell - 1]))


@law(
    share=0.5,
    seed=seeds,
    d=st.integers(1, 5),
    sigma=st.sampled_from([0.0, 0.5]),
    rule=st.sampled_from(["euler", "ab2"]),
)
def test_one_step_per_element_is_the_autoregressive_loop(
    lib: Library, seed: int, d: int, sigma: float, rule: str
) -> None:
    """C.1: x_l = x_theta(x_{>l}, l) for l = d, ..., 1; a direction that keeps sigma of the noise draws from the AR model."""
    network, predict = causal_network(seed, d, sigma)
    z = arrays(seed, 3, d)
    chosen = gdm.Schedule.autoregressive((d,), order="reverse")
    got = gdm.generate(network, lib.array(z), chosen, steps=d, solver=rule)
    agree(got, np.stack([ode.ancestral_sample(predict, sample, sigma) for sample in z]))
    if sigma == 0:
        agree(got, np.stack([ode.autoregressive_sample(predict, sample) for sample in z]))


@law(share=0.5, seed=seeds, d=st.integers(1, 5))
def test_its_loss_is_the_autoregressive_loss(lib: Library, seed: int, d: int) -> None:
    """C.1: Eq. (7) and the discrete loss at the groups' ends, averaged over l, are Eq. (26)."""
    network, predict = causal_network(seed, d)
    chosen = gdm.Schedule.autoregressive((d,), order="reverse")
    x, z = arrays(seed, 3, d), arrays(seed + 1, 3, d)
    groups, every_x, every_z = np.repeat(np.arange(d), 3), np.tile(x, (d, 1)), np.tile(z, (d, 1))
    expected = losses.loss_26(predict, x)
    pair = lib.array(every_x), lib.array(every_z)
    agree(autoregressive_loss(network, *pair, lib.array(groups), chosen), expected)
    ends = lib.array(chosen.intervals[groups, 1])
    agree(gdm.direction_loss(network, *pair, ends, chosen, weighting="rate"), expected / d)  # a mean over d elements


@law(
    share=0.5,
    seed=seeds,
    shape=st.sampled_from([(2, 3, 5), (1, 4, 4)]),
    steps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_a_lattice_is_the_two_stage_cascade(
    lib: Library, seed: int, shape: tuple[int, ...], steps: tuple[int, int]
) -> None:
    """C.2: the same samples from the same noise as a small image, upsampled, then filled in."""
    _, height, width = shape
    small = np.zeros(shape)[..., ::2, ::2].shape
    first_mix = arrays(seed, math.prod(small), math.prod(small)) / 2
    own, guide = arrays(seed + 1, width, width) / 2, arrays(seed + 2, width, width) / 2

    def first(xp: Any, image: Any, alpha: Any) -> Any:
        return (
            xp.reshape(xp.tanh(xp.reshape(image, (-1, math.prod(small))) @ constant(first_mix, image)), image.shape)
            + alpha
        )

    def second(xp: Any, upsampled: Any, image: Any, alpha: Any) -> Any:
        return xp.cos(upsampled @ constant(guide, image) + image @ constant(own, image)) - alpha

    def network(x_t: Any, alpha: Any) -> Any:
        xp = namespace(x_t)
        stage_1, stage_2 = (xp.reshape(alpha[:, j], (-1, 1, 1, 1)) for j in (0, 1))
        rows, columns = (lib.array(np.arange(n) // 2) for n in (height, width))
        little = x_t[..., ::2, ::2]

        def enlarge(image: Any) -> Any:
            return xp.take(xp.take(image, rows, axis=2), columns, axis=3)

        return xp.where(stage_2 > 0, second(xp, enlarge(little), x_t, stage_2), enlarge(first(xp, little, stage_1)))

    z = arrays(seed + 3, 2, *shape)
    got = gdm.generate(network, lib.array(z), gdm.Schedule.cascade(shape), steps=steps)

    def alone(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *sample: function(np, *(value[None] if np.ndim(value) else value for value in sample))[0]

    agree(got, np.stack([ode.cascade_sample(alone(first), alone(second), sample, steps) for sample in z]))


# Exact flows


@law(share=0.3, chosen=schedules(shapes=TINY), seed=seeds)
def test_the_flow_of_a_gaussian_is_the_knothe_rosenblatt_map(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """In any basis and on any path, generate converges to the block-triangular map, and encode to its inverse."""
    oracle, (_, means, covariances) = random_mixture(seed, chosen.shape, components=1)
    known = means[0], covariances[0], chosen.partition.labels, matrix(chosen)
    z = arrays(seed, 2, *chosen.shape)
    x = np.stack([mixture.gaussian_flow(sample.ravel(), *known).reshape(chosen.shape) for sample in z])
    network, steps = oracle.direction(chosen), (16,) * chosen.k
    generate, encode = (
        whole(lib, lambda state, run=run: run(network, state, chosen, steps=steps, solver="rk4"))
        for run in (gdm.generate, gdm.encode)
    )
    agree(generate(lib.array(z)), x, 5e-4)
    agree(encode(lib.array(x)), z, 5e-4)
    agree(np.stack([mixture.gaussian_flow_inverse(sample.ravel(), *known) for sample in x]), z.reshape(2, -1), 1e-9)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_one_element_at_a_time_it_is_cholesky(lib: Library) -> None:
    """k = d: x = mean + L z with L L^T the covariance."""
    oracle, (_, means, covariances) = random_mixture(5, (4,), components=1)
    z = arrays(6, 3, 4)
    chosen = gdm.Schedule.autoregressive((4,))
    got = gdm.generate(oracle.direction(chosen), lib.array(z), chosen, steps=96, solver="rk4")
    agree(got, means[0] + z @ np.linalg.cholesky(covariances[0]).T, 1e-5)


@law(share=0.5, chosen=schedules(), seed=seeds)
def test_encode_inverts_generate(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """Any network's flow runs both ways: encode(generate(z)) = z and generate(encode(x)) = x, as steps grow."""
    network, z = random_network(seed, chosen), lib.array(arrays(seed, 2, *chosen.shape))
    settings: Any = {"steps": (12,) * chosen.k, "solver": "rk4"}
    agree(gdm.encode(network, gdm.generate(network, z, chosen, **settings), chosen, **settings), z, 1e-4)
    agree(gdm.generate(network, gdm.encode(network, z, chosen, **settings), chosen, **settings), z, 1e-4)


def figure_1a() -> tuple[gdm.oracle.GaussianMixture, np.ndarray, np.ndarray]:
    """Return three Gaussians in the plane, well apart in x_0 alone and x_1 alone, their weights and means."""
    shares, means = np.array([0.5, 0.3, 0.2]), np.array([[-3.0, 1.0], [0.0, -3.0], [3.0, 3.0]])
    return gdm.oracle.GaussianMixture(shares, means, [0.1, 0.2, 0.3]), shares, means


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_figure_1a_one_element_at_a_time(lib: Library, order: tuple[int, int]) -> None:
    """From n latents, the first element alone, then both, have the mixture's weights, means and variances.

    A count of n draws with chance w strays by more than five times sqrt(n w (1 - w)) once in a million.
    """
    oracle, shares, means = figure_1a()
    n, chosen = 2000, gdm.Schedule.autoregressive((2,), order=order)
    z = lib.array(gdm.draw_latents(3, range(n), (2,), np.float64))
    noise, half, x = lib.host(
        gdm.generate(oracle.direction(chosen), z, chosen, steps=(24, 24), solver="ab2", trajectory=True)
    )
    first, second = order
    same_bits(half[:, second], noise[:, second])
    same_bits(half[:, first], x[:, first])
    by_first = np.abs(half[:, first, None] - means[:, first]).argmin(1)
    by_both = np.linalg.norm(x[:, None] - means, axis=2).argmin(1)
    for which in (by_first, by_both):
        strays = np.abs(np.bincount(which, minlength=3) - n * shares) / np.sqrt(n * shares * (1 - shares))
        assert (strays < 5).all(), f"counts {np.bincount(which)} of {n} for weights {shares}"
    assert (by_first == by_both).mean() > 0.99, "the second element must follow the first"
    for j, (share, mean, variance) in enumerate(zip(shares, means, (0.1, 0.2, 0.3), strict=True)):
        members = x[by_both == j]
        limit = 5 * math.sqrt(variance / (n * share))
        assert (np.abs(members.mean(0) - mean) < limit).all(), f"mean {members.mean(0)} of component {j}"
        assert (np.abs(members.var(0) / variance - 1) < 5 * math.sqrt(2 / (n * share))).all(), (
            f"variance {members.var(0)}"
        )


# Who can see whom


@law(chosen=schedules(), seed=seeds, rule=st.sampled_from(["euler", "ab2", "rk4"]))
def test_states_between_groups(lib: Library, chosen: gdm.Schedule, seed: int, rule: str) -> None:
    """State j has the coordinates of groups before j final and those of later ones still the noise: to the bit in pixels."""
    network, z = random_network(seed, chosen), lib.array(arrays(seed, 2, *chosen.shape))
    steps, labels = (2,) * chosen.k, chosen.partition.labels
    same = same_bits if chosen.basis.name == "pixel" else agree
    for run in (gdm.generate, gdm.encode):
        states = run(network, z, chosen, steps=steps, solver=rule, trajectory=True)
        assert tuple(states.shape) == (chosen.k + 1, *z.shape)
        agree(states[-1, ...], run(network, z, chosen, steps=steps, solver=rule), 1e-13)
        noise, *rest = (lib.host(chosen.basis.analyze(states[j, ...])) for j in range(chosen.k + 1))
        for j, state in enumerate((noise, *rest)):
            finished = labels < j if run is gdm.generate else labels >= chosen.k - j
            same(state[:, finished], rest[-1][:, finished])
            same(state[:, ~finished], noise[:, ~finished])
        same(noise, lib.host(chosen.basis.analyze(z)))


@law(chosen=schedules(), seed=seeds, data=st.data(), rule=st.sampled_from(["euler", "heun", "ab2"]))
def test_earlier_groups_never_see_later_latents(
    lib: Library, chosen: gdm.Schedule, seed: int, data: st.DataObject, rule: str
) -> None:
    """With mask_pending, for any network: other latents in later groups leave earlier groups as they are, to the bit in pixels."""
    network, z = random_network(seed, chosen), arrays(seed, 2, *chosen.shape)
    first_changed = data.draw(st.integers(0, chosen.k - 1))
    later = chosen.partition.labels >= first_changed
    other = lib.host(chosen.basis.synthesize(lib.array(np.where(later, -3 * z, z))))
    plain = lib.host(chosen.basis.synthesize(lib.array(z)))
    images = [
        lib.host(
            chosen.basis.analyze(
                gdm.generate(network, lib.array(noise), chosen, steps=(2,) * chosen.k, solver=rule, mask_pending=True)
            )
        )
        for noise in (plain, other)
    ]
    same = same_bits if chosen.basis.name == "pixel" else agree
    same(images[1][:, ~later], images[0][:, ~later])
    assert not np.array_equal(images[1], images[0]), "later groups must change"


@law(share=0.3, chosen=schedules(shapes=TINY), seed=seeds)
def test_the_optimal_network_needs_no_mask(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """Prop. 3.3: what is pending tells the optimal network nothing, so the mask changes nothing."""
    network = random_mixture(seed, chosen.shape)[0].direction(chosen)
    z = lib.array(arrays(seed, 2, *chosen.shape))
    plain, masked = (
        gdm.generate(network, z, chosen, steps=(4,) * chosen.k, mask_pending=mask) for mask in (False, True)
    )
    agree(masked, plain, 1e-10)


@law(share=0.5, chosen=schedules(), seed=seeds)
def test_the_mask_shows_zeros_for_what_is_pending(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """mask_pending is a network that sees 0 in every coordinate whose alpha is 0, and all others as they are."""
    network, U, labels = random_network(seed, chosen), matrix(chosen), chosen.partition.labels.ravel()

    def masked(x_t: Any, alpha: Any) -> Any:
        xp = namespace(x_t)
        coordinates = xp.reshape(x_t, (-1, len(U))) @ constant(U, x_t)
        begun = xp.astype(xp.take(alpha, lib.array(labels), axis=1) > 0, x_t.dtype)
        return network(xp.reshape((begun * coordinates) @ constant(U.T, x_t), x_t.shape), alpha)

    z, steps = lib.array(arrays(seed, 2, *chosen.shape)), (2,) * chosen.k
    agree(
        gdm.generate(network, z, chosen, steps=steps, solver="heun", mask_pending=True),
        lib.host(gdm.generate(masked, z, chosen, steps=steps, solver="heun")),
    )


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_the_active_group_is_shown_from_its_first_step(lib: Library) -> None:
    """A group that begins is all noise but not pending: u = 2 - x_t leads from any noise to 2 in one step."""
    z, chosen = lib.array(arrays(0, 2, 4, 4)), gdm.Schedule.rows((4, 4), 3)
    agree(gdm.generate(lambda x_t, alpha: 2 - x_t, z, chosen, steps=3, mask_pending=True), np.full((2, 4, 4), 2.0))


@law(chosen=schedules(), seed=seeds, data=st.data(), rule=st.sampled_from(["euler", "ab2"]))
def test_orders_per_sample(lib: Library, chosen: gdm.Schedule, seed: int, data: st.DataObject, rule: str) -> None:
    """Each sample of a batch takes its own order: the same as its own reordered schedule, both ways."""
    network, z = random_network(seed, chosen), arrays(seed, 3, *chosen.shape)
    orders = np.array([data.draw(st.permutations(range(chosen.k))) for _ in z])
    budget = tuple(range(1, chosen.k + 1))
    for run in (gdm.generate, gdm.encode):
        got = lib.host(run(network, lib.array(z), chosen, steps=budget, solver=rule, orders=lib.array(orders)))
        for sample, order, result in zip(z, orders, got, strict=True):

            def renumbered(x_t: np.ndarray, alpha: np.ndarray, order: np.ndarray = order) -> np.ndarray:
                return network(x_t, alpha[:, np.argsort(order)])

            agree(result[None], run(renumbered, sample[None], chosen.reorder(order), steps=budget, solver=rule))


# Kinds and errors


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_the_kind_of_array_is_kept(lib: Library) -> None:
    """What goes in comes out: library, single precision and shape, and the network is shown the same."""
    z = lib.array(arrays(0, 2, 1, 2, 3).astype(np.float32))
    chosen = gdm.Schedule.from_labels(np.array([[[0, 1, 0], [0, 1, 1]]]), basis="haar", path="trigonometric")

    def network(x_t: Any, alpha: Any) -> Any:
        assert x_t.dtype == alpha.dtype == z.dtype and x_t.shape == z.shape and tuple(alpha.shape) == (2, 2)
        return x_t * 0.5

    for x in (
        gdm.generate(network, z, chosen, steps=4, solver="ab2"),
        gdm.encode(network, z, chosen, steps=4),
        gdm.complete(network, z, [0], z, chosen, steps=4),
    ):
        assert isinstance(x, type(z)) and x.dtype == z.dtype and x.shape == z.shape


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_float32_follows_float64(lib: Library) -> None:
    """Single precision costs rounding, no more."""
    chosen = gdm.Schedule.from_labels(np.array([[[0, 1, 0], [0, 1, 1]]]), basis="cosine", path="trigonometric")
    network, z = random_network(3, chosen), arrays(4, 2, 1, 2, 3)
    single = gdm.generate(network, lib.array(z.astype(np.float32)), chosen, steps=20, solver="heun")
    agree(single, gdm.generate(network, z, chosen, steps=20, solver="heun"), 2e-6)


ROWS = gdm.Schedule.rows((4, 4), 2)


def negative(x_t: Any, alpha: Any) -> Any:
    """Return -x_t."""
    return -x_t


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize("run", [gdm.generate, gdm.encode], ids=["generate", "encode"])
def test_what_generate_and_encode_refuse(lib: Library, run: Any) -> None:
    """Shapes, dtypes, NaN, budgets, solvers, orders and networks that do not fit: expected, got, remedy."""
    z = arrays(0, 2, 4, 4)
    good, name = lib.array(z), "z" if run is gdm.generate else "x"
    with refused(ShapeError, f"{name}: expected (batch, 4, 4)", "(4, 4); add a batch axis"):
        run(negative, lib.array(z[0]), ROWS)
    with refused(ShapeError, f"{name}: expected (batch, 4, 4)", "(2, 4, 3)", "build the schedule"):
        run(negative, lib.array(z[:, :, :3]), ROWS)
    with refused(DTypeError, f"{name}: expected floating-point", "int", "x / 127.5 - 1"):
        run(negative, lib.array(np.zeros((2, 4, 4), np.int64)), ROWS)
    for bad in (math.nan, math.inf):
        with refused(ValueRangeError, f"{name}: expected finite numbers, got 1 NaN"):
            run(negative, lib.array(np.where(z == z[1, 2, 3], bad, z)), ROWS)
    with refused(BudgetError, "steps: expected at least 2", "got 1"):
        run(negative, good, ROWS, steps=1)
    with refused(BudgetError, "solver: expected one of", "'eulr'; did you mean 'euler'?"):
        run(negative, good, ROWS, solver="eulr")
    with refused(ShapeError, "network: expected an output of x_t's shape (2, 4, 4), got (2, 4)"):
        run(lambda x_t, alpha: x_t[:, 0, :], good, ROWS)
    with refused(ShapeError, "orders: expected (2, 2)", "(1, 2)"):
        run(negative, good, ROWS, orders=lib.array(np.array([[0, 1]])))
    with refused(DTypeError, "orders: expected integers"):
        run(negative, good, ROWS, orders=lib.array(np.array([[0.0, 1.0], [1.0, 0.0]])))
    with refused(ValueRangeError, "orders: expected every row to hold 0 to 1 once each"):
        run(negative, good, ROWS, orders=lib.array(np.array([[0, 1], [1, 1]])))


@pytest.mark.parametrize("lib", [lib for lib in LIBRARIES if lib.name != "numpy"], ids=repr)
def test_arrays_of_two_libraries_are_refused(lib: Library) -> None:
    """No array is converted silently: orders, noise and the network's output must be of the state's library."""
    z = arrays(0, 2, 4, 4)
    orders = np.array([[0, 1], [1, 0]])
    for state, others in ((lib.array(z), orders), (z, lib.array(orders))):
        with refused(BackendError, lib.name, "numpy", "backend.asarray"):
            gdm.generate(negative, state, ROWS, orders=others)
    with refused(BackendError, lib.name, "numpy", "backend.asarray"):
        gdm.complete(negative, lib.array(z), [0], z, ROWS)
    with refused(BackendError, lib.name, "numpy", "backend.asarray"):
        gdm.generate(lambda x_t, alpha: np.zeros((2, 4, 4)), lib.array(z), ROWS)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize("path", ["linear", "trigonometric"])
def test_spreading_ahead_or_step_by_step_is_the_same(lib: Library, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables too large to be spread before the loop are spread in it, to the same result."""
    chosen = gdm.Schedule.blockwise((2, 4, 4), (2, 2), path=path)
    z = lib.array(gdm.draw_latents(0, range(3), chosen.shape, np.float64))
    orders = lib.array(np.array([[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]]))
    results = []
    for limit in (solver.AHEAD_LIMIT, 0):
        monkeypatch.setattr(solver, "AHEAD_LIMIT", limit)
        results.append(
            [gdm.generate(lambda x, a: -x, z, chosen, steps=9, solver="ab2", orders=which) for which in (None, orders)]
        )
    for ahead, late in zip(*results, strict=True):
        agree(late, ahead, 1e-14)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize("path", ["linear", "trigonometric"])
@pytest.mark.parametrize("basis", ["pixel", "cosine"])
def test_a_trajectory_passes_through_noised_data(lib: Library, path: str, basis: str) -> None:
    """With the direction of one known pair, the states between groups are Eq. 6's x_t, also where intervals overlap."""
    labels = np.arange(8).reshape(1, 2, 4) % 3
    spans = [(0.4, 1.0), (0.2, 0.7), (0.0, 0.5)]
    chosen = gdm.Schedule.from_labels(labels, intervals=spans, basis=basis, path=path, overlap=True)
    x, z = lib.array(arrays(1, 2, 1, 2, 4)), lib.array(arrays(2, 2, 1, 2, 4))
    times = [1.0, 0.7, 0.5, 0.4, 0.2, 0.0]
    orders = lib.array(np.array([[0, 1, 2], [2, 0, 1]]))
    for which in (None, orders):
        expected = [lib.host(gdm.interpolate(chosen, x, z, lib.array(np.full(2, t)), orders=which)) for t in times]
        settings: Any = {"steps": 7, "solver": "heun", "trajectory": True, "orders": which}
        agree(gdm.generate(lambda *_: x - z, z, chosen, **settings), np.stack(expected), 1e-12)
        agree(gdm.encode(lambda *_: x - z, x, chosen, **settings), np.stack(expected[::-1]), 1e-12)
