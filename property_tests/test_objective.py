"""Every loss is the paper's equation, on any schedule: in pixels or a basis, in any intervals and orders."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdm import Partition, Schedule
from gdm.errors import BackendError, DTypeError, GDMError, ShapeError, TimeRangeError, ValueRangeError
from gdm.objective import (
    autoregressive_loss,
    data_loss,
    direction_loss,
    interpolate,
    stratify,
    velocity_loss,
)
from property_tests.support import (
    DIFFERENTIABLE,
    EVENTS,
    LIBRARIES,
    Library,
    agree,
    arrays,
    refused,
    same_bits,
    schedules,
    times,
)
from reference import bases, losses
from reference import schedule as eq

libraries = pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
weightings = pytest.mark.parametrize("weighting", ["uniform", "active", "rate"])
LINES = {"pixel": np.eye, "cosine": bases.dct_matrix, "blur": bases.dst_matrix, "haar": bases.haar_matrix}
Network = Callable[[Any, Any], Any]


class Case(NamedTuple):
    """A schedule and three samples: data, noise, times and an order for each."""

    schedule: Schedule
    x: np.ndarray
    z: np.ndarray
    t: np.ndarray
    orders: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The group of each coordinate."""
        return self.schedule.partition.labels

    @property
    def U(self) -> np.ndarray:
        """The basis as a matrix, from the reference."""
        channels, height, width = self.schedule.shape
        line = LINES[self.schedule.basis.name]
        return bases.image_matrix(line(height), line(width), channels)

    def inputs(self, lib: Library) -> tuple[Any, Any, Any]:
        """Return x, z, t as arrays of a library."""
        return lib.array(self.x), lib.array(self.z), lib.array(self.t)

    def network(self, lib: Library, kind: type = np.float64) -> Network:
        """Return a network that mixes columns and looks at A, for `gdm`."""
        w = lib.array(mixing(self.schedule.shape).astype(kind))
        return lambda x_t, alpha: formula(x_t, self.schedule.spread(alpha), w)

    def literal(self) -> Network:
        """Return the same network for one sample and the diagonal of A, for the reference."""
        w = mixing(self.schedule.shape)
        return lambda x_t, a: formula(x_t, a, w)

    def a_s(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sample n's diagonals of A and S."""
        if self.schedule.path.name == "trigonometric":
            return eq.trigonometric_weights(self.t[n], self.labels, self.schedule.intervals)
        a = eq.data_weights(self.t[n], self.labels, self.schedule.intervals)
        return a, 1 - a

    def rates(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sample n's diagonals of A' and S', from the left."""
        if self.schedule.path.name == "trigonometric":
            return eq.trigonometric_rates(self.t[n], self.labels, self.schedule.intervals)
        rate = eq.data_rates(self.t[n], self.labels, self.schedule.intervals)
        return rate, -rate

    def x_t(self, n: int) -> np.ndarray:
        """Return sample n noised, Eq. (11)."""
        a, s = self.a_s(n)
        return eq.interpolate_in_basis(self.x[n], self.z[n], a, self.U, s)

    def analyze(self, x: np.ndarray) -> np.ndarray:
        """Return U^T x of one event."""
        return (self.U.T @ x.ravel()).reshape(x.shape)

    def active(self, n: int) -> np.ndarray:
        """Return which coordinates are being diffused at sample n's time."""
        start, end = self.schedule.intervals[self.labels].transpose(3, 0, 1, 2)
        return (start < self.t[n]) & (self.t[n] <= end)


def mixing(shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of the test networks."""
    return arrays(7, shape[-1], shape[-1])


def formula(x_t: Any, a: Any, w: Any) -> Any:
    """Return u(x_t, A), neither linear nor pointwise."""
    return x_t @ w + a * x_t * x_t - 0.5 * a


@st.composite
def cases(draw: st.DrawFn, bases: tuple[str, ...] = tuple(LINES), path: str | None = None) -> Case:
    """Draw a schedule and samples."""
    s = draw(schedules(bases, EVENTS[1:]))
    if path is not None:
        s = Schedule(s.partition, s.intervals, s.basis, path)
    seed, orders = draw(st.integers(0, 99)), [draw(st.permutations(range(s.k))) for _ in range(3)]
    return Case(s, arrays(seed, 3, *s.shape), arrays(seed + 100, 3, *s.shape), draw(times(s)), np.array(orders))


# x_t


@libraries
@given(cases())
def test_interpolate_is_equation_11(lib: Library, case: Case) -> None:
    """Eq. (6) in coordinates U^T x; in pixels it is Eq. (6) itself."""
    x_t = interpolate(case.schedule, *case.inputs(lib))
    agree(x_t, [case.x_t(n) for n in range(3)], 1e-12)
    if case.schedule.basis.name == "pixel":
        agree(x_t, [eq.interpolate(case.x[n], case.z[n], *case.a_s(n)) for n in range(3)], 1e-13)


@libraries
@given(cases())
def test_noise_and_data_are_the_ends(lib: Library, case: Case) -> None:
    """To the bit in pixels: A(0) = I, A(1) = 0."""
    x, z, _ = case.inputs(lib)
    check = same_bits if case.schedule.basis.name == "pixel" else agree
    check(interpolate(case.schedule, x, z, lib.array(np.zeros(3))), case.x)
    check(interpolate(case.schedule, x, z, lib.array(np.ones(3))), case.z)


@libraries
@given(st.sampled_from(EVENTS), st.integers(0, 99))
def test_one_group_is_the_usual_model(lib: Library, shape: tuple[int, ...], seed: int) -> None:
    """k = 1 is the rectified flow, Eqs. (2), (4), or on the other path Eq. (1), and data prediction Eq. (3)."""
    x, z = arrays(seed, 3, *shape), arrays(seed + 100, 3, *shape)
    t = np.random.default_rng(seed).uniform(size=3)
    inputs = [lib.array(value) for value in (x, z, t)]
    w = mixing(shape)
    for path, noised in (("linear", eq.rectified), ("vp", eq.variance_preserving)):
        s = Schedule.vanilla(shape, path=path)
        agree(interpolate(s, *inputs), [noised(*sample) for sample in zip(x, z, t, strict=True)], 1e-13)
        weights = lib.array(w)

        def network(x_t: Any, alpha: Any, s: Schedule = s, weights: Any = weights) -> Any:
            return formula(x_t, s.spread(alpha), weights)

        alpha = eq.alpha if path == "linear" else eq.trigonometric_alpha
        expected = losses.denoising_loss(
            lambda x_t, time, alpha=alpha: formula(x_t, alpha(time, 0.0, 1.0), w), x, z, t, noised
        )
        agree(data_loss(network, *inputs, s), expected, 1e-12)
        if path == "linear":
            expected = losses.velocity_loss(lambda x_t, time: formula(x_t, 1 - time, w), x, z, t)
            agree(velocity_loss(network, *inputs, s), expected, 1e-12)
            agree(direction_loss(lambda x_t, a: -network(x_t, a), *inputs, s), expected, 1e-12)


# Losses


@libraries
@given(cases(path="linear"))
def test_direction_loss_is_equations_8_14_15_and_16(lib: Library, case: Case) -> None:
    s, u, U = case.schedule, case.literal(), case.U
    got = direction_loss(case.network(lib), *case.inputs(lib), s)
    arguments = (case.x, case.z, case.t, case.labels, s.intervals)
    if s.basis.name == "pixel":
        agree(got, losses.direction_loss(u, *arguments), 1e-12, "Eq. (8)")
    agree(got, losses.pixel_loss(u, *arguments, U), 1e-11, "Eq. (16)")
    agree(got, losses.rotated_loss(u, *arguments, U), 1e-11, "Eq. (15)")

    def in_basis(x_bar: np.ndarray, a: np.ndarray) -> np.ndarray:
        return case.analyze(u((U @ x_bar.ravel()).reshape(x_bar.shape), a))

    agree(got, losses.frequency_loss(in_basis, *arguments, U), 1e-11, "Eq. (14)")


@libraries
@given(cases(bases=("pixel",), path="linear"))
def test_velocity_loss_is_equation_7(lib: Library, case: Case) -> None:
    got = velocity_loss(case.network(lib), *case.inputs(lib), case.schedule)
    arguments = (case.x, case.z, case.t, case.labels, case.schedule.intervals)
    agree(got, losses.groupwise_velocity_loss(case.literal(), *arguments), 1e-11)


@libraries
@given(cases())
def test_every_loss_by_its_definition(lib: Library, case: Case) -> None:
    """Any path and basis: targets x - z, U (A' U^T x + S' U^T z) and x against the network's output."""
    s, u, network = case.schedule, case.literal(), case.network(lib)
    direction, velocity, data = [], [], []
    for n in range(3):
        (a, _), (a_rate, s_rate) = case.a_s(n), case.rates(n)
        output = u(case.x_t(n), a)
        direction.append(np.mean((case.x[n] - case.z[n] - output) ** 2))
        v = a_rate * case.analyze(case.x[n]) + s_rate * case.analyze(case.z[n])
        velocity.append(np.mean((v - case.analyze(output)) ** 2))
        data.append(np.mean((case.x[n] - output) ** 2))
    inputs = case.inputs(lib)
    agree(direction_loss(network, *inputs, s), np.mean(direction), 1e-11)
    agree(direction_loss(network, *inputs, s, weighting="uniform"), np.mean(direction), 1e-11)
    agree(velocity_loss(network, *inputs, s), np.mean(velocity), 1e-11)
    agree(data_loss(network, *inputs, s), np.mean(data), 1e-11)


@libraries
@given(cases())
def test_rate_weighting_is_the_velocity_loss(lib: Library, case: Case) -> None:
    """Eq. (7) for the velocity v = A' xhat + S' zhat that u implies; on the linear path v = A' u."""
    u, terms = case.literal(), []
    for n in range(3):
        (a, s), (a_rate, s_rate) = case.a_s(n), case.rates(n)
        x_t, direction = case.x_t(n), case.analyze(u(case.x_t(n), a))
        x_hat = (case.analyze(x_t) + s * direction) / (a + s)
        z_hat = (case.analyze(x_t) - a * direction) / (a + s)
        v = a_rate * case.analyze(case.x[n]) + s_rate * case.analyze(case.z[n])
        terms.append(np.mean((v - a_rate * x_hat - s_rate * z_hat) ** 2))
    got = direction_loss(case.network(lib), *case.inputs(lib), case.schedule, weighting="rate")
    agree(got, np.mean(terms), 1e-10)


@libraries
@given(cases())
def test_active_weighting_is_the_mean_over_the_active_group(lib: Library, case: Case) -> None:
    """Samples at a time when no group is active do not count."""
    means = []
    for n in range(3):
        if (active := case.active(n)).any():
            error = case.analyze(case.x[n] - case.z[n] - case.literal()(case.x_t(n), case.a_s(n)[0]))
            means.append(np.mean(error[active] ** 2))
    got = direction_loss(case.network(lib), *case.inputs(lib), case.schedule, weighting="active")
    agree(got, np.mean(means) if means else 0.0, 1e-11)


@libraries
def test_active_weighting_with_overlap(lib: Library) -> None:
    """The mean over the elements of all groups that are active, not over groups."""
    labels = np.repeat([[0] * 5, [0, 1, 1, 1, 1], [2] * 5], 2, axis=0).reshape(2, 3, 5)
    s = Schedule.from_labels(labels, intervals=[(0.2, 1), (0.1, 0.9), (0, 0.1)], overlap=True)
    x, z, t = arrays(0, 3, 2, 3, 5), arrays(1, 3, 2, 3, 5), np.array([0.5, 0.95, 0.05])
    got = direction_loss(zero, *map(lib.array, (x, z, t)), s, weighting="active")
    active = (labels < 2, labels == 0, labels == 2)
    agree(got, np.mean([np.mean((x - z)[n][elements] ** 2) for n, elements in enumerate(active)]))


@libraries
@weightings
@settings(max_examples=8)
@given(cases())
def test_an_order_per_sample_is_a_reordered_schedule_per_sample(lib: Library, weighting: Any, case: Case) -> None:
    s, (x, z, t), orders = case.schedule, case.inputs(lib), lib.array(case.orders)
    each, others, x_t = [], [], []
    for n, order in enumerate(case.orders):
        alone = case._replace(schedule=s.reorder(order))
        inputs = tuple(lib.array(value[[n, n, n]]) for value in (case.x, case.z, case.t))
        network = alone.network(lib)
        x_t.append(lib.host(interpolate(alone.schedule, *inputs))[0])
        loss = direction_loss(network, *inputs, alone.schedule, weighting=weighting)
        if weighting != "active" or alone.active(n).any():
            each.append(float(loss))
        others.append([float(velocity_loss(network, *inputs, alone.schedule))])
        others[-1].append(float(data_loss(network, *inputs, alone.schedule)))
    agree(interpolate(s, x, z, t, orders=orders), x_t, 1e-12)
    network = case.network(lib)
    got = direction_loss(network, x, z, t, s, weighting=weighting, orders=orders)
    agree(got, np.mean(each) if each else 0, 1e-11)
    agree(velocity_loss(network, x, z, t, s, orders=orders), np.mean(others, axis=0)[0], 1e-11)
    agree(data_loss(network, x, z, t, s, orders=orders), np.mean(others, axis=0)[1], 1e-11)


@libraries
@weightings
@given(cases())
def test_the_exact_answer_costs_nothing(lib: Library, weighting: Any, case: Case) -> None:
    s, (x, z, t) = case.schedule, case.inputs(lib)
    agree(direction_loss(lambda x_t, a: x - z, x, z, t, s, weighting=weighting), 0)
    agree(data_loss(lambda x_t, a: x, x, z, t, s), 0)
    v = s.scale(s.alpha_rate(t), x) + s.scale(s.sigma_rate(t), z)
    agree(velocity_loss(lambda x_t, a: v, x, z, t, s), 0)


# Appendix C.1


@libraries
@given(st.integers(0, 99))
def test_the_autoregressive_loss_is_equations_22_to_26(lib: Library, seed: int) -> None:
    """k = d = 3. The paper generates element d first: l = d - group. Every (sample, l) once is the mean over both."""
    d = 3
    x, z, w = arrays(seed, 2, d), arrays(seed + 1, 2, d), arrays(seed + 2, d, d)
    s = Schedule.autoregressive((d,), order="reverse")
    pairs = [(n, ell) for n in range(2) for ell in range(1, d + 1)]
    samples = lib.array(x[[n for n, _ in pairs]]), lib.array(z[[n for n, _ in pairs]])
    group = lib.array(np.array([d - ell for _, ell in pairs]))
    weights, ells = lib.array(w), np.array([ell for _, ell in pairs])

    one_based = lib.array(ells[:, None].astype(float))

    def f(x_t: Any, ell: Any, w: Any) -> Any:
        return (x_t @ w) * (1.0 + ell) + x_t**2

    def g(x_t: np.ndarray, ell: int) -> float:
        return float(-d * f(x_t, ell, w)[ell - 1])  # Eq. (9): v_l = A'_l u_l, A'_l = -d

    def predict(x_t: np.ndarray, ell: int) -> float:
        return float(f(x_t, ell, w)[ell - 1])

    direction = autoregressive_loss(lambda x_t, alpha: f(x_t, one_based, weights), *samples, group, s)
    agree(direction, losses.loss_22(g, x, z), 1e-11, "Eq. (22)")
    predicted = autoregressive_loss(lambda x_t, alpha: f(x_t, one_based, weights) - x_t, *samples, group, s)
    for name, loss in (("23", losses.loss_23), ("24", losses.loss_24), ("25", losses.loss_25)):
        agree(predicted, loss(predict, x, z), 1e-10, f"Eq. ({name})")

    known = np.arange(d) >= ells[:, None]  # x_{>l}: what has been generated
    hidden = autoregressive_loss(
        lambda x_t, alpha: f(x_t * lib.array(known * 1.0), one_based, weights) - x_t, *samples, group, s
    )

    def predict_from_known(after: np.ndarray, ell: int) -> float:
        return float(f(np.concatenate([np.zeros(ell), after]), ell, w)[ell - 1])

    agree(hidden, losses.loss_26(predict_from_known, x), 1e-10, "Eq. (26)")


@libraries
@given(cases(path="linear"), st.booleans())
def test_the_autoregressive_loss_of_any_groups(lib: Library, case: Case, mask_pending: bool) -> None:
    """Each sample's group at its own end: A' of the group, times the error of its coordinates."""
    s = case.schedule
    group = case.orders[:, 0]
    case = case._replace(t=s.intervals[group, 1])
    total = 0.0
    for n in range(3):
        x_t, (a, _) = case.x_t(n), case.a_s(n)
        if mask_pending:
            x_t = (case.U @ np.where(case.labels < group[n], case.analyze(x_t), 0).ravel()).reshape(x_t.shape)
            x_t += (case.U @ np.where(case.labels == group[n], case.analyze(case.z[n]), 0).ravel()).reshape(x_t.shape)
        error = case.analyze(case.x[n] - case.z[n] - case.literal()(x_t, a))
        total += np.sum((case.rates(n)[0] * error)[case.labels == group[n]] ** 2)
    x, z, _ = case.inputs(lib)
    got = autoregressive_loss(case.network(lib), x, z, lib.array(group), s, mask_pending=mask_pending)
    agree(got, total / 3, 1e-10)


# What the network sees


def seen(lib: Library, case: Case, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates and alpha that the loss shows to the network."""
    shown: list[Any] = []

    def network(x_t: Any, alpha: Any) -> Any:
        shown[:] = [case.schedule.basis.analyze(x_t), alpha]
        return x_t

    direction_loss(network, *case.inputs(lib), case.schedule, **options)
    return lib.host(shown[0]), lib.host(shown[1])


@libraries
@given(cases(), st.booleans())
def test_mask_pending_hides_pending_groups_and_nothing_else(lib: Library, case: Case, per_sample: bool) -> None:
    orders = {"orders": lib.array(case.orders)} if per_sample else {}
    interval = np.argsort(case.orders, axis=1) if per_sample else np.tile(np.arange(case.schedule.k), (3, 1))
    pending = case.t[:, None] > case.schedule.intervals[interval, 1]
    x_t, alpha = seen(lib, case, **orders)
    masked, same = seen(lib, case, mask_pending=True, **orders)
    same_bits(alpha == 0, pending)
    same_bits(same, alpha)
    check = same_bits if case.schedule.basis.name == "pixel" else agree
    check(masked, np.where(pending[:, case.labels], 0, x_t))


@libraries
@given(cases(bases=("pixel",)))
def test_masked_and_active_the_loss_ignores_pending_latents(lib: Library, case: Case) -> None:
    """To the bit: the locality that `mask_pending` is for."""
    pending = (case.t[:, None] > case.schedule.intervals[:, 1])[:, case.labels]
    other = case._replace(z=np.where(pending, arrays(1, *case.z.shape), case.z))
    values = [
        direction_loss(c.network(lib), *c.inputs(lib), c.schedule, weighting="active", mask_pending=True)
        for c in (case, other)
    ]
    same_bits(values[0], lib.host(values[1]))


# Times


@libraries
@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5))
def test_stratified_times_fall_one_into_each_stratum(lib: Library, uniforms: list[float]) -> None:
    t = lib.host(stratify(lib.array(np.array(uniforms))))
    agree(t, (np.arange(5) + 1 - np.array(uniforms)) / 5, 1e-15)
    assert ((t >= np.arange(5) / 5) & (t <= np.arange(1, 6) / 5 + 1e-15)).all()


@libraries
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_times_are_never_0_and_may_be_1(lib: Library, kind: type) -> None:
    """t is drawn from (0, 1]."""
    largest = lib.array(np.full(3, np.nextafter(kind(1), kind(0))))
    t = stratify(largest)
    assert (lib.host(t) > 0).all() and t.dtype == largest.dtype
    same_bits(stratify(lib.array(np.zeros(3, kind)))[-1], 1)
    same_bits(stratify(lib.array(np.zeros(1, kind))), [1])


# Precision and gradients


@libraries
def test_float32_stays_float32(lib: Library) -> None:
    shape = EVENTS[1]
    case = Case(
        Schedule.columns(shape, 2), arrays(0, 3, *shape), arrays(1, 3, *shape), np.array([0.2, 0.5, 1.0]), np.zeros(0)
    )
    inputs = [lib.array(value.astype(np.float32)) for value in (case.x, case.z, case.t)]
    rounded = direction_loss(case.network(lib, np.float32), *inputs, case.schedule, weighting="active")
    assert rounded.dtype == inputs[0].dtype and tuple(rounded.shape) == ()
    numpy = Library("numpy", np.array)
    exact = direction_loss(case.network(numpy), *case.inputs(numpy), case.schedule, weighting="active")
    agree(rounded, exact, 1e-5)


def gradient(lib: Library, function: Callable[[Any], Any], x: np.ndarray) -> Any:
    """Return the gradient of a scalar function by automatic differentiation."""
    module = importlib.import_module("jax" if lib.name == "jax" else "torch.func")
    return module.grad(function)(lib.array(x))


def line(x_t: Any, c: Any) -> Any:
    """Return u = c0 x_t + c1, for which every loss is a parabola in c."""
    return c[0] * x_t + c[1]


LOSSES: dict[str, Callable[..., Any]] = {
    "uniform": lambda c, *inputs: direction_loss(lambda x_t, a: line(x_t, c), *inputs),
    "active": lambda c, *inputs: direction_loss(lambda x_t, a: line(x_t, c), *inputs, weighting="active"),
    "rate": lambda c, *inputs: direction_loss(lambda x_t, a: line(x_t, c), *inputs, weighting="rate"),
    "velocity": lambda c, *inputs: velocity_loss(lambda x_t, a: line(x_t, c), *inputs),
    "data": lambda c, *inputs: data_loss(lambda x_t, a: line(x_t, c), *inputs),
    "masked": lambda c, *inputs: direction_loss(lambda x_t, a: line(x_t, c), *inputs, mask_pending=True),
}


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=4)
@given(cases(bases=("pixel", "cosine")))
def test_gradients_flow(lib: Library, name: str, case: Case) -> None:
    """The slope of a parabola is its central difference, exactly."""
    c, loss = np.array([0.3, -0.2]), lambda c: LOSSES[name](c, *case.inputs(lib), case.schedule)
    central = [(float(loss(lib.array(c + e))) - float(loss(lib.array(c - e)))) / 2 for e in np.eye(2)]
    agree(gradient(lib, loss, c), central, 1e-9)


# Errors


X, T = np.zeros((2, 1, 2, 2)), np.array([0.5, 1.0])
REFUSED: list[tuple[type[GDMError], Callable[[Callable[[Any], Any]], tuple[Any, Any, Any]], tuple[str, ...]]] = [
    (DTypeError, lambda a: (a(X.astype(int)), a(X), a(T)), ("x: expected floating-point", "int64", "x / 127.5 - 1")),
    (DTypeError, lambda a: (a(X), a(X.astype(np.uint8)), a(T)), ("z: expected floating-point", "uint8")),
    (DTypeError, lambda a: (a(X), a(X), a(np.array([0, 1]))), ("t: expected floating-point", "int64")),
    (DTypeError, lambda a: (a(X), a(X), [0.5, 1.0]), ("expected an array", "got list", "np.asarray")),
    (DTypeError, lambda a: (X.tolist(), a(X), a(T)), ("expected an array", "got list", "np.asarray")),
    (
        ShapeError,
        lambda a: (a(X[0]), a(X), a(T)),
        ("x: expected (batch, 1, 2, 2)", "got (1, 2, 2)", "add a batch axis"),
    ),
    (
        ShapeError,
        lambda a: (a(X), a(X[..., :1]), a(T)),
        ("z: expected (batch, 1, 2, 2)", "got (2, 1, 2, 1)", "for this shape"),
    ),
    (
        ShapeError,
        lambda a: (a(X), a(X[:1]), a(T)),
        ("z: expected one noise per sample", "(2, 1, 2, 2)", "got (1, 1, 2, 2)"),
    ),
    (ShapeError, lambda a: (a(X), a(X), a(T[:1])), ("one time per sample, (2,)", "got (1,)", "t.reshape(-1)")),
    (ShapeError, lambda a: (a(X), a(X), a(T[:, None])), ("one time per sample, (2,)", "got (2, 1)")),
    (ShapeError, lambda a: (a(X), a(X), a(np.array(0.5))), ("one time per sample, (2,)", "got ()")),
    (TimeRangeError, lambda a: (a(X), a(X), a(T + 0.5)), ("[0, 1]", "1 to 1.5", "rescale t")),
    (TimeRangeError, lambda a: (a(X), a(X), a(T - 0.6)), ("[0, 1]", "-0.1 to 0.4")),
    (TimeRangeError, lambda a: (a(X), a(X), a(T * np.nan)), ("[0, 1]", "nan")),
]
SMALL = Schedule.rows((1, 2, 2), 2)


def zero(x_t: Any, alpha: Any) -> Any:
    """Return the output of a network that has not learned anything."""
    return 0 * x_t


@libraries
@pytest.mark.parametrize(("kind", "inputs", "words"), REFUSED)
def test_inputs_that_do_not_fit_are_refused(
    lib: Library, kind: type[GDMError], inputs: Callable[..., tuple[Any, Any, Any]], words: tuple[str, ...]
) -> None:
    arguments = inputs(lambda value: lib.array(np.array(value)))
    for act in (
        lambda x, z, t: interpolate(SMALL, x, z, t),
        lambda x, z, t: direction_loss(zero, x, z, t, SMALL),
        lambda x, z, t: velocity_loss(zero, x, z, t, SMALL),
        lambda x, z, t: data_loss(zero, x, z, t, SMALL),
    ):
        with refused(kind, *words):
            act(*arguments)


@libraries
def test_networks_and_options_that_do_not_fit_are_refused(lib: Library) -> None:
    x, t = lib.array(X), lib.array(T)
    for network, shape in ((lambda x_t, a: x_t[:, 0, :, :], "(2, 2, 2)"), (lambda x_t, a: a, "(2, 2)")):
        for loss in (direction_loss, velocity_loss, data_loss):
            with refused(ShapeError, "network: expected", "(2, 1, 2, 2)", f"got {shape}"):
                loss(network, x, x, t, SMALL)
    for output in ([0.0], None):
        for loss in (direction_loss, velocity_loss, data_loss):
            with refused(DTypeError, "expected an array", type(output).__name__):
                loss(lambda x_t, a, output=output: output, x, x, t, SMALL)
    with refused(ValueRangeError, "weighting", "'activ'", "did you mean 'active'?"):
        direction_loss(zero, x, x, t, SMALL, weighting="activ")  # type: ignore[arg-type]
    with refused(ValueRangeError, "orders", "every row"):
        direction_loss(zero, x, x, t, SMALL, orders=lib.array(np.array([[0, 0], [0, 1]])))
    with refused(ShapeError, "one group number per sample", "(2,)", "got (2, 1)"):
        autoregressive_loss(zero, x, x, lib.array(np.array([[0], [1]])), SMALL)
    with refused(ShapeError, "one group number per sample", "(2,)", "got (1,)"):
        autoregressive_loss(zero, x, x, lib.array(np.array([0])), SMALL)
    for group in ([0, 2], [-1, 0]):
        with refused(ValueRangeError, "group: expected numbers 0 to 1"):
            autoregressive_loss(zero, x, x, lib.array(np.array(group)), SMALL)
    with refused(DTypeError, "group: expected integers", "float64"):
        autoregressive_loss(zero, x, x, lib.array(np.array([0.0, 1.0])), SMALL)
    with refused(DTypeError, "uniforms: expected floating-point", "int64"):
        stratify(lib.array(np.array([0, 1])))
    with refused(ShapeError, "uniforms: expected one number per sample", "got (2, 1)"):
        stratify(lib.array(np.array([[0.0], [0.5]])))


def test_mixed_libraries_are_refused() -> None:
    for one in LIBRARIES:
        for other in LIBRARIES:
            if one is not other:
                inputs = [one.array(value) for value in (X, X, T)]
                with refused(BackendError, "expected arrays of one library", one.name, other.name):
                    direction_loss(lambda x_t, a, other=other: other.array(X), *inputs, SMALL)
                for place in range(3):
                    inputs = [one.array(value) for value in (X, X, T)]
                    inputs[place] = other.array((X, X, T)[place])
                    with refused(BackendError, "expected arrays of one library", one.name, other.name, "asarray"):
                        direction_loss(zero, *inputs, SMALL)


def test_the_loss_of_a_constant_by_hand() -> None:
    """x = 1, z = -1, u = 0: the error is 2 everywhere, A' is -2 for one row of two, 0 for the other."""
    ones, t = np.ones((1, 1, 2, 2)), np.array([0.75])
    expected = {"uniform": 4.0, "active": 4.0, "rate": (-2.0) ** 2 * 4 / 2}
    for weighting, value in expected.items():
        same_bits(direction_loss(zero, ones, -ones, t, SMALL, weighting=weighting), value)  # type: ignore[arg-type]
    same_bits(velocity_loss(zero, ones, -ones, t, SMALL), 8.0)
    same_bits(data_loss(zero, ones, -ones, t, SMALL), 1.0)
    assert math.isclose(autoregressive_loss(zero, ones, -ones, np.array([0]), SMALL), 4 * 4 * 2)
    assert SMALL.partition == Partition.rows((1, 2, 2))


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_mixed_precision_is_refused(lib: Library) -> None:
    chosen = Schedule.rows((1, 2, 2), 2)
    single = lib.array(np.zeros((3, 1, 2, 2), np.float32))
    double, t = lib.array(np.zeros((3, 1, 2, 2))), lib.array(np.full(3, 0.5))
    for x, z in ((single, single), (single, double), (double, single)):
        with refused(DTypeError, "z and t: expected x's", "float32", "float64", "convert"):
            interpolate(chosen, x, z, t)
