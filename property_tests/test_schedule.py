"""A(t) = U diag(alpha) U^T: Eq. (10) per group, in any basis, for any intervals and orders."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdm
from gdm import Basis, Partition, Schedule
from gdm.errors import (
    BackendError,
    BasisError,
    DTypeError,
    GDMError,
    IntervalError,
    PartitionError,
    PathError,
    ShapeError,
    TimeRangeError,
    ValueRangeError,
)
from gdm.path import LINEAR, TRIGONOMETRIC
from property_tests.support import (
    DIFFERENTIABLE,
    EVENTS,
    LIBRARIES,
    Library,
    agree,
    arrays,
    intervals,
    refused,
    same_bits,
    schedules,
    times,
)
from reference import bases
from reference import schedule as eq

libraries = pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
sides = st.sampled_from(["left", "right"])
LINES = {"cosine": bases.dct_matrix, "blur": bases.dst_matrix, "haar": bases.haar_matrix}
TINY = np.finfo(np.float64).smallest_normal


class Case(NamedTuple):
    """A schedule, three times and an order per sample."""

    schedule: Schedule
    t: np.ndarray
    orders: np.ndarray


@st.composite
def cases(draw: st.DrawFn, bases: tuple[str, ...] = ("pixel",)) -> Case:
    """Draw a schedule with times and orders; in pixels, since per-group values do not depend on the basis."""
    schedule = draw(schedules(bases))
    orders = [draw(st.permutations(range(schedule.k))) for _ in range(3)]
    return Case(schedule, draw(times(schedule)), np.array(orders))


@st.composite
def overlapping(draw: st.DrawFn) -> Case:
    """Draw a schedule whose intervals overlap: ends fall, starts are anywhere before them."""
    k, shape = draw(st.integers(2, 4)), EVENTS[0]
    ends = np.sort(draw(st.lists(st.integers(1, 10), min_size=k, max_size=k)))[::-1]
    starts = [draw(st.integers(0, int(end) - 1)) for end in ends]
    path = draw(st.sampled_from(["linear", "trigonometric"]))
    bounds = np.stack([starts, ends], axis=1) / 10
    schedule = Schedule(Partition.columns(shape, k), bounds, path=path, overlap=True)
    return Case(schedule, draw(times(schedule)), np.tile(np.arange(k), (3, 1)))


def weights(schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference's diagonals of A and S."""
    labels, bounds = schedule.partition.labels, schedule.intervals
    if schedule.path.name == "linear":
        a = eq.data_weights(t, labels, bounds)
        return a, 1 - a
    return eq.trigonometric_weights(t, labels, bounds)


def rates(schedule: Schedule, t: float, side: Literal["left", "right"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference's diagonals of A' and S'."""
    labels, bounds = schedule.partition.labels, schedule.intervals
    if schedule.path.name == "linear":
        rate = eq.data_rates(t, labels, bounds, side)
        return rate, -rate
    return eq.trigonometric_rates(t, labels, bounds, side)


def over_elements(lib: Library, schedule: Schedule, per_group: Any) -> np.ndarray:
    """Return values per group as values per element; `expand` has a law of its own."""
    return lib.host(per_group)[:, schedule.partition.labels]


# Eq. (10)


@libraries
@given(cases() | overlapping())
def test_alpha_and_sigma_are_equations_1_and_10(lib: Library, case: Case) -> None:
    s, t = case.schedule, lib.array(case.t)
    a, b = zip(*(weights(s, time) for time in case.t), strict=True)
    agree(over_elements(lib, s, s.alpha(t)), a, 1e-13, "alpha")
    agree(over_elements(lib, s, s.sigma(t)), b, 1e-13, "sigma")


@libraries
@given(cases() | overlapping(), sides)
def test_rates_are_one_sided_slopes(lib: Library, case: Case, side: Literal["left", "right"]) -> None:
    s, t = case.schedule, lib.array(case.t)
    a, b = zip(*(rates(s, time, side) for time in case.t), strict=True)
    agree(over_elements(lib, s, s.alpha_rate(t, side)), a, 1e-11, "alpha_rate")
    agree(over_elements(lib, s, s.sigma_rate(t, side)), b, 1e-11, "sigma_rate")
    if side == "left":
        same_bits(s.alpha_rate(t), lib.host(s.alpha_rate(t, "left")))
        same_bits(s.sigma_rate(t), lib.host(s.sigma_rate(t, "left")))


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
@settings(max_examples=5)
@given(cases())
def test_rates_are_what_autodiff_says(lib: Library, case: Case) -> None:
    """Away from the breakpoints."""
    s, t = case.schedule, case.t
    near = np.abs(t[:, None] - np.array(s.breakpoints)).min(axis=1)
    t = lib.array(np.where(near > 1e-9, t, (s.intervals[0].sum()) / 2))
    for value, rate in ((s.alpha, s.alpha_rate), (s.sigma, s.sigma_rate)):
        expected = slopes(lib, value, t)
        agree(rate(t), expected, 1e-12)
        agree(rate(t, "right"), expected, 1e-12)


def slopes(lib: Library, function: Callable[[Any], Any], t: Any) -> np.ndarray:
    """Return d function(t)[n, j] / d t[n] by automatic differentiation, (batch, k)."""
    module = importlib.import_module("jax" if lib.name == "jax" else "torch.func")
    value, pull = module.vjp(function, t)
    columns = np.eye(value.shape[1])[:, None, :] * np.ones((value.shape[0], 1))
    return np.stack([lib.host(pull(lib.array(column))[0]) for column in columns], axis=1)


@libraries
@given(cases())
def test_rates_are_finite_differences(lib: Library, case: Case) -> None:
    s, h = case.schedule, 1e-6
    shortest = (s.intervals[:, 1] - s.intervals[:, 0]).min()
    for side, step in (("left", -h), ("right", h)):
        there = case.t + step
        crosses = [any(min(a, b) < p < max(a, b) for p in s.breakpoints) for a, b in zip(case.t, there, strict=True)]
        keep = ~np.array(crosses) & (there >= 0) & (there <= 1)
        there = np.clip(there, 0, 1)
        for value, rate in ((s.alpha, s.alpha_rate), (s.sigma, s.sigma_rate)):
            difference = (lib.host(value(lib.array(there))) - lib.host(value(lib.array(case.t)))) / step
            at = lib.host(rate(lib.array(case.t), side))
            agree(at[keep], difference[keep], 2 * h / shortest**2, side)  # the curve bends by 2.5 / length^2


@libraries
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@settings(max_examples=8)
@given(cases())
def test_the_ends_are_exact(lib: Library, kind: type, case: Case) -> None:
    """A(0) = I and A(1) = 0 to the bit."""
    s, t = case.schedule, lib.array(np.array([0, 1, 0], kind))
    same_bits(s.alpha(t), np.repeat([[1], [0], [1]], s.k, axis=1))
    same_bits(s.sigma(t), np.repeat([[0], [1], [0]], s.k, axis=1))
    assert s.alpha(t).dtype == s.sigma(t).dtype == t.dtype


@libraries
@pytest.mark.parametrize("path", ["linear", "trigonometric"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_every_group_is_exact_at_both_ends_of_its_interval(lib: Library, kind: type, path: str) -> None:
    """Of any length: where XLA divides by multiplying with a reciprocal, one x / x in six is not 1."""
    cuts = np.sort(np.random.default_rng(0).uniform(size=127))
    s = Schedule.columns((64,), intervals=np.concatenate([cuts, [1]]).reshape(64, 2)[::-1], path=path)
    for column, value in ((0, 1), (1, 0)):
        at = lib.array(s.intervals[:, column].astype(kind))
        same_bits(np.diag(lib.host(s.alpha(at))), np.full(64, value))
        same_bits(np.diag(lib.host(s.sigma(at))), np.full(64, 1 - value))
    after = np.nextafter(s.intervals[1:, 1].astype(kind), kind(2))  # pending, by the least there is
    same_bits(np.diag(lib.host(s.shown_alpha(lib.array(after))), 1), np.zeros(63))


@libraries
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_an_interval_shorter_than_the_precision_is_a_step(lib: Library) -> None:
    s = Schedule(Partition.single((2,)), intervals=[(0.5, 0.5 + 1e-12)])
    t = lib.array(np.array([0.25, 0.5, 0.75], np.float32))
    same_bits(s.alpha(t), [[1], [0], [0]])
    same_bits(s.sigma(t), [[0], [1], [1]])


@libraries
@given(cases() | overlapping())
def test_data_fades_and_noise_grows(lib: Library, case: Case) -> None:
    t, rounding = lib.array(np.sort(case.t)), 1e-15
    a, b = lib.host(case.schedule.alpha(t)), lib.host(case.schedule.sigma(t))
    assert (np.diff(a, axis=0) <= rounding).all() and (np.diff(b, axis=0) >= -rounding).all()
    for value in (a, b):
        assert (value >= 0).all() and (value <= 1).all()
    total = a + b if case.schedule.path is LINEAR else a**2 + b**2
    agree(total, np.ones_like(total), 1e-15)


@libraries
@given(cases(), sides)
def test_one_group_at_a_time(lib: Library, case: Case, side: str) -> None:
    """At most one group is active; those before it are data, those after it noise."""
    s, t = case.schedule, lib.array(case.t)
    active, alpha = lib.host(s.active(t, side)), lib.host(s.alpha(t))
    start, end = s.intervals.T
    at = case.t[:, None]
    inside = (start < at) & (at <= end) if side == "left" else (start <= at) & (at < end)
    same_bits(active, inside)
    assert (active.sum(axis=1) <= 1).all()
    between = (alpha > 0) & (alpha < 1)
    assert (active[between] == 1).all()
    assert (np.diff(alpha, axis=1) <= 0).all()  # groups fade from the last to the first
    assert s.active(t, side).dtype == t.dtype


@libraries
@given(overlapping(), sides)
def test_overlapping_groups_are_active_together(lib: Library, case: Case, side: str) -> None:
    s, at = case.schedule, case.t[:, None]
    start, end = s.intervals.T
    inside = (start < at) & (at <= end) if side == "left" else (start <= at) & (at < end)
    same_bits(s.active(lib.array(case.t), side), inside)


# What a network is shown


@libraries
@given(cases() | overlapping())
def test_a_network_is_shown_zero_for_pending_groups_alone(lib: Library, case: Case) -> None:
    s, t = case.schedule, lib.array(case.t)
    shown, alpha = lib.host(s.shown_alpha(t)), lib.host(s.alpha(t))
    pending = case.t[:, None] > s.intervals[:, 1]
    same_bits(shown == 0, pending)
    same_bits(shown[shown != TINY], alpha[shown != TINY])
    assert (alpha[shown == TINY] == 0).all()
    assert (shown >= 0).all()


@libraries
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_first_value_of_the_active_group_is_the_smallest_normal_number(lib: Library, kind: type) -> None:
    s = Schedule.rows((1, 4, 4), 4)
    t = lib.array(np.array([1, 0.75, 0.5, 0.25, 0], kind))
    tiny = np.finfo(kind).smallest_normal
    same_bits(s.shown_alpha(t), [[tiny, 0, 0, 0], [1, tiny, 0, 0], [1, 1, tiny, 0], [1, 1, 1, tiny], [1, 1, 1, 1]])
    assert s.shown_alpha(t).dtype == t.dtype


# Orders per sample


@libraries
@given(cases(), sides)
def test_an_order_per_sample_is_a_reordered_schedule_per_sample(lib: Library, case: Case, side: str) -> None:
    s, t, orders = case.schedule, lib.array(case.t), lib.array(case.orders)
    made: dict[str, Callable[[Schedule, Any, Any], Any]] = {
        "alpha": lambda s, t, orders: s.alpha(t, orders),
        "sigma": lambda s, t, orders: s.sigma(t, orders),
        "alpha_rate": lambda s, t, orders: s.alpha_rate(t, side, orders),
        "sigma_rate": lambda s, t, orders: s.sigma_rate(t, side, orders),
        "shown_alpha": lambda s, t, orders: s.shown_alpha(t, orders),
        "active": lambda s, t, orders: s.active(t, side, orders),
    }
    for name, value in made.items():
        together = over_elements(lib, s, value(s, t, orders))
        for n, order in enumerate(case.orders):
            reordered = s.reorder(order)
            same_bits(together[n], over_elements(lib, reordered, value(reordered, t, None))[n], name)


@libraries
def test_orders_of_any_integer_type(lib: Library) -> None:
    s, t = Schedule.columns((3,)), lib.array(np.array([0.5]))
    for kind in (np.int8, np.uint8, np.int32, np.int64):
        agree(s.alpha(t, lib.array(np.array([[2, 0, 1]], kind))), [[0.5, 0, 1]])


# Values per group as a matrix


@libraries
@given(cases(("pixel", *LINES)), st.integers(0, 99))
def test_scale_is_a_matrix(lib: Library, case: Case, seed: int) -> None:
    """scale(values, x) = U diag(values) U^T x."""
    s = case.schedule
    channels, height, width = s.shape
    line = LINES.get(s.basis.name, np.eye)
    U = bases.image_matrix(line(height), line(width), channels)
    values, x = arrays(seed, 3, s.k), arrays(seed + 1, 3, *s.shape)
    expanded = values[:, s.partition.labels]
    same_bits(s.expand(lib.array(values)), expanded)
    same_bits(np.broadcast_to(lib.host(s.spread(lib.array(values))), expanded.shape), expanded)
    dense = np.stack([U @ np.diag(v.ravel()) @ U.T @ sample.ravel() for v, sample in zip(expanded, x, strict=True)])
    agree(s.scale(lib.array(values), lib.array(x)), dense.reshape(x.shape), 1e-12)


@libraries
@given(cases(), st.booleans())
def test_weights_are_alpha_and_sigma_of_each_coordinate(lib: Library, case: Case, per_sample: bool) -> None:
    s, t, orders = case.schedule, lib.array(case.t), lib.array(case.orders) if per_sample else None
    for got, per_group in zip(s.weights(t, orders), (s.alpha(t, orders), s.sigma(t, orders)), strict=True):
        assert tuple(got.shape) == (3, *s.partition.compact.shape)
        agree(np.broadcast_to(lib.host(got), (3, *s.shape)), over_elements(lib, s, per_group), 1e-15)


@libraries
def test_values_that_channels_share_are_not_copied(lib: Library) -> None:
    values = lib.array(arrays(0, 2, 2))
    assert tuple(Schedule.rows((3, 4, 5), 2).spread(values).shape) == (2, 1, 4, 1)
    assert tuple(Schedule.columns((3, 4, 5), 2).spread(values).shape) == (2, 1, 1, 5)
    assert tuple(Schedule.channels((2, 4, 5)).spread(values).shape) == (2, 2, 1, 1)
    assert tuple(Schedule.vanilla((3, 4, 5)).spread(values[:, :1]).shape) == (2, 1, 1, 1)


# Constructors


@given(st.data())
def test_named_schedules_are_their_parts(data: st.DataObject) -> None:
    shape = (3, 4, 5)
    seed, path = data.draw(st.integers(0, 99)), data.draw(st.sampled_from(["linear", "trigonometric"]))
    order = data.draw(st.permutations(range(4)))
    other = np.random.default_rng(seed).integers(0, 2, shape) * 2 % 3
    labels = np.unique(other, return_inverse=True)[1].reshape(shape)
    made: list[tuple[Callable[..., Schedule], tuple[Any, ...], Partition, str]] = [
        (Schedule.vanilla, (shape,), Partition.single(shape), "pixel"),
        (Schedule.blockwise, (shape, (2, 2), order), Partition.blocks(shape, (2, 2), order), "pixel"),
        (Schedule.blockwise, (shape, (2, 2), None, seed), Partition.blocks(shape, (2, 2), None, seed), "pixel"),
        (Schedule.rows, (shape, 4, order), Partition.rows(shape, 4, order), "pixel"),
        (Schedule.rows, (shape, 3, None, seed), Partition.rows(shape, 3, None, seed), "pixel"),
        (Schedule.columns, (shape, 4, order), Partition.columns(shape, 4, order), "pixel"),
        (Schedule.columns, (shape, 3, None, seed), Partition.columns(shape, 3, None, seed), "pixel"),
        (Schedule.cascade, (shape,), Partition.lattice(shape, 2, 2), "pixel"),
        (Schedule.cascade, (shape, 2, 3, True), Partition.lattice(shape, 2, 3, True), "pixel"),
        (Schedule.autoregressive, (shape, "snake"), Partition.elements(shape, "snake"), "pixel"),
        (Schedule.autoregressive, (shape, None, seed), Partition.elements(shape, None, seed), "pixel"),
        (Schedule.channels, (shape, "reverse"), Partition.channels(shape, "reverse"), "pixel"),
        (Schedule.channels, (shape, None, seed), Partition.channels(shape, None, seed), "pixel"),
        (Schedule.bands, (shape, (2, 5)), Partition.bands(shape, (2, 5)), "cosine"),
        (Schedule.bands, (shape, (2, 5), "blur"), Partition.bands(shape, (2, 5), Basis.blur(shape).order), "blur"),
        (
            Schedule.bands,
            (shape, (2, 5, 9), "cosine", order),
            Partition.bands(shape, (2, 5, 9)).reorder(order),
            "cosine",
        ),
        (Schedule.from_labels, (labels,), Partition(labels), "pixel"),
    ]
    for make, arguments, partition, basis in made:
        bounds = data.draw(intervals(min(partition.k, 4))) if partition.k <= 4 else None
        got = make(*arguments, intervals=bounds, path=path)
        expected = Schedule(partition, bounds, Basis.named(basis, shape), path)
        assert got == expected and hash(got) == hash(expected), repr(got)
        assert (got.shape, got.k, got.overlap) == (shape, partition.k, False)


def test_bands_follow_the_order_of_their_basis() -> None:
    upside_down = Basis.from_matrix((2, 2, 3), np.eye(6), range(6)[::-1])
    s = Schedule.bands((2, 2, 3), (1, 3), upside_down)
    same_bits(s.partition.labels, [[[2, 2, 2], [1, 1, 0]]] * 2)
    assert s.basis == upside_down


def test_named_schedules_may_overlap() -> None:
    shape, both = (2, 4, 4), [(0.0, 1.0), (0.0, 1.0)]
    for make in (
        lambda **options: Schedule.blockwise(shape, (2, 1), **options),
        lambda **options: Schedule.rows(shape, 2, **options),
        lambda **options: Schedule.columns(shape, 2, **options),
        lambda **options: Schedule.cascade(shape, **options),
        lambda **options: Schedule.channels(shape, **options),
        lambda **options: Schedule.bands(shape, (3,), **options),
        lambda **options: Schedule.from_labels(Partition.rows(shape, 2).labels, **options),
    ):
        same_bits(make(intervals=both, overlap=True).intervals, both)
        assert make(intervals=both, overlap=True).overlap
        with refused(IntervalError, "do not overlap, got (", "overlap=True"):
            make(intervals=both)
    labels = Partition.rows(shape, 2).labels
    assert Schedule.from_labels(labels, basis="haar").basis == Basis.haar(shape)


@given(st.integers(1, 60))
def test_intervals_are_equal_by_default(k: int) -> None:
    s = Schedule.columns((k,))
    same_bits(s.intervals, eq.equal_intervals(k))
    same_bits(s.intervals[1:, 1], s.intervals[:-1, 0])
    same_bits(s.breakpoints, eq.breakpoints(s.intervals))
    assert len(s.breakpoints) == k + 1


@given(schedules(("pixel", "cosine")), st.data())
def test_other_intervals_and_orders_leave_the_rest(schedule: Schedule, data: st.DataObject) -> None:
    same_bits(schedule.breakpoints, eq.breakpoints(schedule.intervals))
    bounds = data.draw(intervals(schedule.k))
    changed = schedule.with_intervals(bounds)
    same_bits(changed.intervals, bounds)
    assert changed.with_intervals(schedule.intervals) == schedule
    order = data.draw(st.permutations(range(schedule.k)))
    assert schedule.reorder(order) == Schedule(
        schedule.partition.reorder(order), schedule.intervals, schedule.basis, schedule.path
    )
    assert schedule.reorder(order).reorder(np.argsort(order)) == schedule


def test_overlap_survives() -> None:
    s = Schedule.rows((2, 2), intervals=[(0.2, 1), (0, 0.9)], overlap=True)
    assert s.with_intervals([(0, 1), (0, 1)]).overlap and s.reorder((1, 0)).overlap
    assert s.reorder((1, 0)).path is LINEAR
    assert Schedule.rows((2, 2), path="vp").with_intervals(None).path is TRIGONOMETRIC


# Values: frozen, hashable, static


def test_schedules_are_equal_when_their_parts_are() -> None:
    shape = EVENTS[0]
    variants = [
        Schedule.rows(shape, 2),
        Schedule.rows(shape, 2, (1, 0)),
        Schedule.rows(shape, 2, intervals=[(0.4, 1), (0, 0.4)]),
        Schedule.rows(shape, 2, path="vp"),
        Schedule.rows(shape, 2, overlap=True),
        Schedule.from_labels(Partition.rows(shape, 2).labels, basis="cosine"),
    ]
    assert len(set(variants)) == len(variants)
    for n, a in enumerate(variants):
        for m, b in enumerate(variants):
            assert (a == b) == (n == m)
    assert Schedule.rows(list(shape), 2, intervals=np.array([[0.5, 1], [0, 0.5]])) == variants[0]
    assert variants[0] != variants[0].partition
    assert "Partition(k=2" in repr(variants[0]) and "(0.5, 1), (0, 0.5)" in repr(variants[0])
    assert "16 in all" in repr(Schedule.autoregressive(shape))


def test_schedules_are_frozen() -> None:
    bounds = np.array([[0.5, 1], [0, 0.5]])
    s = Schedule.rows((2, 2), intervals=bounds)
    bounds[0, 0] = 0.7
    same_bits(s.intervals, [[0.5, 1], [0, 0.5]])
    with pytest.raises(ValueError, match="read-only"):
        s.intervals[0, 0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        s.overlap = True  # type: ignore[misc]


@given(schedules())
def test_a_copy_is_the_same_schedule(schedule: Schedule) -> None:
    """Pickled too, as a worker process or a saved network does."""
    for other in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert other == schedule and hash(other) == hash(schedule)
        assert not other.intervals.flags.writeable


@pytest.mark.parametrize("lib", [lib for lib in LIBRARIES if lib.name == "jax"], ids=repr)
def test_equal_schedules_are_one_static_argument(lib: Library) -> None:
    traced: list[Schedule] = []

    def alpha(s: Schedule, t: Any) -> Any:
        traced.append(s)
        return s.alpha(t)

    compiled = importlib.import_module("jax").jit(alpha, static_argnums=0)
    t = np.array([0.25, 0.75])
    for _ in range(2):  # made anew each time
        for path in ("linear", "vp"):
            s = Schedule.rows((4, 4), 2, path=path)
            agree(compiled(s, lib.array(t)), s.alpha(t))
    assert len(traced) == 2


# Errors


ROWS = Partition.rows((2, 2))
REFUSED: list[tuple[type[GDMError], Callable[[], Any], tuple[str, ...]]] = [
    (PartitionError, lambda: Schedule(ROWS.labels), ("expected a gdm.Partition", "ndarray", "from_labels")),  # type: ignore[arg-type]
    (
        ShapeError,
        lambda: Schedule(ROWS, basis=Basis.pixel((2, 3))),
        ("the partition's shape (2, 2)", "got (2, 3)", "one shape"),
    ),
    (BasisError, lambda: Schedule(ROWS, basis="cosinus"), ("'cosinus'", "did you mean 'cosine'?")),
    (PathError, lambda: Schedule(ROWS, path="linaer"), ("'linaer'", "did you mean 'linear'?")),
    (PathError, lambda: Schedule(ROWS, path=3), ("expected one of", "got 3")),  # type: ignore[arg-type]
    (IntervalError, lambda: Schedule(ROWS, [(0, 1)]), ("expected (2, 2)", "got (1, 2)", "order of generation")),
    (IntervalError, lambda: Schedule(ROWS, [0, 1]), ("expected (2, 2)", "got (2,)")),  # type: ignore[list-item]
    (IntervalError, lambda: Schedule(ROWS, [(0.5, 1.1), (0, 0.5)]), ("group 0", "within [0, 1]", "(0.5, 1.1)")),
    (IntervalError, lambda: Schedule(ROWS, [(0.5, 1), (-0.1, 0.5)]), ("group 1", "within [0, 1]", "(-0.1, 0.5)")),
    (IntervalError, lambda: Schedule(ROWS, [(0.5, np.nan), (0, 0.5)]), ("group 0", "within [0, 1]", "nan")),
    (IntervalError, lambda: Schedule(ROWS, [(np.nan, 1), (0, 0.5)]), ("group 0", "within [0, 1]", "nan")),
    (IntervalError, lambda: Schedule(ROWS, [(1, 0.5), (0, 0.5)]), ("group 0", "start < end", "1 >= 0.5", "swap")),
    (IntervalError, lambda: Schedule(ROWS, [(0.5, 1), (0.2, 0.2)]), ("group 1", "start < end", "0.2 >= 0.2")),
    (IntervalError, lambda: Schedule(ROWS, [(0, 0.5), (0.5, 1)]), ("groups 0 and 1", "falling", "reverse the list?")),
    (IntervalError, lambda: Schedule(ROWS, [(0.4, 1), (0, 0.5)]), ("groups 0 and 1", "overlap", "overlap=True")),
    (IntervalError, lambda: Schedule(ROWS, [(0, 0.5), (0, 1)], overlap=True), ("groups 0 and 1", "falling")),
]


@pytest.mark.parametrize(("kind", "call", "words"), REFUSED)
def test_a_schedule_that_cannot_be_is_refused(
    kind: type[GDMError], call: Callable[[], Any], words: tuple[str, ...]
) -> None:
    with refused(kind, *words):
        call()


@libraries
def test_times_that_cannot_be_are_refused(lib: Library) -> None:
    s = Schedule.rows((4, 4), 2)
    values = (s.alpha, s.sigma, s.alpha_rate, s.sigma_rate, s.shown_alpha, s.active)
    bad: list[tuple[type[GDMError], Any, tuple[str, ...]]] = [
        (TimeRangeError, [0.5, 1.5], ("in [0, 1]", "0.5 to 1.5", "rescale t")),
        (TimeRangeError, [-0.5, 0.5], ("in [0, 1]", "-0.5 to 0.5")),
        (TimeRangeError, [0.5, np.nan], ("in [0, 1]", "nan")),
        (ShapeError, [[0.5]], ("one time per sample", "got (1, 1)", "t.reshape(-1)")),
        (ShapeError, 0.5, ("one time per sample", "got ()")),
        (DTypeError, [0, 1], ("expected floating-point", "int64")),
    ]
    for value in values:
        for kind, t, words in bad:
            with refused(kind, *words):
                value(lib.array(np.array(t)))
        with refused(DTypeError, "expected an array", "got list"):
            value([0.5])  # type: ignore[type-var]
    for rate in (s.alpha_rate, s.sigma_rate, s.active):
        with refused(ValueRangeError, "'left' or 'right'", "'rigth'"):
            rate(lib.array(np.array([0.5])), "rigth")  # type: ignore[arg-type]


@libraries
def test_orders_that_cannot_be_are_refused(lib: Library) -> None:
    s, t = Schedule.rows((4, 4), 2), lib.array(np.array([0.5, 0.5]))
    bad: list[tuple[type[GDMError], np.ndarray, tuple[str, ...]]] = [
        (ValueRangeError, np.array([[0, 1], [1, 1]]), ("every row", "0 to 1 once each")),
        (ValueRangeError, np.array([[0, 1], [1, 2]]), ("every row", "0 to 1 once each")),
        (ShapeError, np.array([[0, 1]]), ("expected (2, 2)", "got (1, 2)")),
        (ShapeError, np.array([0, 1]), ("expected (2, 2)", "got (2,)")),
        (ShapeError, np.array([[0, 1, 2], [2, 1, 0]]), ("expected (2, 2)", "got (2, 3)")),
        (DTypeError, np.array([[0.0, 1.0], [0.0, 1.0]]), ("expected integers", "float64", "0 to 1")),
    ]
    for value in (s.alpha, s.sigma, s.shown_alpha):
        for kind, orders, words in bad:
            with refused(kind, *words):
                value(t, lib.array(orders))
    for rate in (s.alpha_rate, s.sigma_rate, s.active):
        for kind, orders, words in bad:
            with refused(kind, *words):
                rate(t, "left", lib.array(orders))


@libraries
def test_values_that_do_not_fit_are_refused(lib: Library) -> None:
    s, x = Schedule.rows((4, 4), 2), lib.array(np.zeros((3, 4, 4)))
    for values in (np.zeros((3, 3)), np.zeros(2), np.zeros((3, 2, 1))):
        for act in (s.expand, s.spread, lambda v: s.scale(v, x)):
            with refused(ShapeError, "per_group: expected (batch, 2)", f"got {values.shape}"):
                act(lib.array(values))
    ones = lib.array(np.ones((3, 2)))
    with refused(ShapeError, "x: expected (batch, 4, 4)", "got (3, 4, 5)"):
        s.scale(ones, lib.array(np.zeros((3, 4, 5))))
    with refused(DTypeError, "x: expected floating-point numbers"):
        s.scale(ones, lib.array(np.zeros((3, 4, 4), np.int64)))
    with refused(DTypeError, "expected an array"):
        s.expand([[1.0, 2.0]])  # type: ignore[type-var]


def test_mixed_libraries_are_refused() -> None:
    s = Schedule.rows((4, 4), 2)
    for one in LIBRARIES:
        for other in LIBRARIES:
            if one is other:
                continue
            with refused(BackendError, "expected arrays of one library", one.name, other.name, "asarray"):
                s.scale(one.array(np.ones((1, 2))), other.array(np.ones((1, 4, 4))))
            with refused(BackendError, "expected arrays of one library"):
                s.alpha(one.array(np.array([0.5])), other.array(np.array([[0, 1]])))


def test_the_package_error_is_also_the_builtin() -> None:
    assert issubclass(IntervalError, gdm.GDMError) and issubclass(IntervalError, ValueError)
    assert issubclass(DTypeError, TypeError) and issubclass(BackendError, RuntimeError)
