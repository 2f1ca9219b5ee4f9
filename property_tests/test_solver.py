"""Laws of the solver: budgets are shared fairly, no step straddles a breakpoint, and each rule is its textbook's."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import gdm
from gdm import solver
from gdm.errors import BudgetError
from gdm.flow import by_segment
from gdm.solver import SOLVERS, Solver, get, plan, tabulate
from property_tests.problems import (
    PATHS,
    law,
    matrix,
    one_sample,
    per_group,
    random_mixture,
    random_network,
    seeds,
    weights,
)
from property_tests.support import LIBRARIES, Library, agree, arrays, refused, same_bits, schedules
from reference import mixture, ode, solvers

RULES = tuple(SOLVERS)
NUMPY = next(lib for lib in LIBRARIES if lib.name == "numpy")


@st.composite
def lengths_and_gaps(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Draw whole lengths of up to five intervals, in order of generation, and the gaps before each."""
    k = draw(st.integers(1, 5))
    numbers = st.lists(st.integers(0, 2), min_size=k, max_size=k)
    return draw(st.lists(st.integers(1, 12), min_size=k, max_size=k)), draw(numbers)


def line(lengths: list[int], gaps: list[int]) -> gdm.Schedule:
    """Return a schedule of one element per group, its intervals as long as given, the first one the latest."""
    total = sum(lengths) + sum(gaps)
    bounds, now = [], total
    for length, gap in zip(lengths, gaps, strict=True):
        now -= gap
        bounds.append(((now - length) / total, now / total))
        now -= length
    return gdm.Schedule.autoregressive((len(lengths),), intervals=bounds)


# Budgets


@example(drawn=([1, 1, 1, 12, 11], [0] * 5), spare=7)  # one step too many: the 11 gives it back, not the 12
@given(drawn=lengths_and_gaps(), spare=st.integers(0, 9))
def test_a_total_is_shared_as_fairly_as_whole_steps_allow(drawn: tuple[list[int], list[int]], spare: int) -> None:
    """No other shares of at least one step each are closer to proportional; that is the largest remainder."""
    lengths, gaps = drawn
    k, total = len(lengths), len(lengths) + spare

    def unfairness(shares: tuple[int, ...]) -> Fraction:
        return sum((n - Fraction(length, sum(lengths)) * total) ** 2 for n, length in zip(shares, lengths, strict=True))

    got = tuple(segment.steps for segment in plan(line(lengths, gaps), total))
    cuts = itertools.combinations(range(1, total), k - 1)
    every = [tuple(np.diff((0, *cut, total)).tolist()) for cut in cuts]
    assert got in every, f"{got} are not {k} positive shares of {total}"
    assert unfairness(got) == min(map(unfairness, every)), f"{got} of {lengths}"


@given(k=st.integers(1, 6), total=st.integers(6, 40))
def test_equal_intervals_share_as_array_split(k: int, total: int) -> None:
    """Among equals the groups generated first take the steps that do not divide."""
    shares = [segment.steps for segment in plan(gdm.Schedule.autoregressive((k,)), total)]
    assert shares == [len(part) for part in np.array_split(np.arange(total), k)]


@given(drawn=lengths_and_gaps(), seed=seeds)
def test_segments_are_the_intervals_in_order_of_generation(drawn: tuple[list[int], list[int]], seed: int) -> None:
    """Each segment is one group's interval, with its own number of steps; gaps get none."""
    chosen = line(*drawn)
    budget = tuple(np.random.default_rng(seed).integers(1, 5, chosen.k).tolist())
    segments = plan(chosen, budget)
    same_bits([(s.start, s.end) for s in segments], chosen.intervals)
    assert [s.active for s in segments] == [tuple(row) for row in np.eye(chosen.k, dtype=bool)]
    assert tuple(s.steps for s in segments) == budget


@given(drawn=lengths_and_gaps(), data=st.data())
def test_known_groups_get_no_steps(drawn: tuple[list[int], list[int]], data: st.DataObject) -> None:
    """What is known is not generated: the whole budget goes to the others."""
    chosen = line(*drawn)
    known = data.draw(st.sets(st.integers(0, chosen.k - 1)))
    others = [j for j in range(chosen.k) if j not in known]
    segments = plan(chosen, 11, known)
    assert [s.active.index(True) for s in segments] == others
    assert sum(s.steps for s in segments) == (11 if others else 0)


def test_overlapping_intervals_have_a_segment_between_all_breakpoints() -> None:
    """Where intervals overlap, both groups are active, and a list of steps counts segments."""
    chosen = gdm.Schedule.rows((2, 1), intervals=[(0.25, 1.0), (0.0, 0.5)], overlap=True)
    segments = plan(chosen, (3, 2, 1))
    assert [(s.start, s.end, s.active, s.steps) for s in segments] == [
        (0.5, 1.0, (True, False), 3),
        (0.25, 0.5, (True, True), 2),
        (0.0, 0.25, (False, True), 1),
    ]


@pytest.mark.parametrize(
    "steps", [0, 2, -5, True, 8.0, "333", (1, 2), (1, 2, 3, 4), (2, 0, 2), (2, -1, 2), (1, 2.5, 1)]
)
def test_budgets_that_do_not_fit_are_refused(steps: Any) -> None:
    """Three groups need a whole number from 3 on, or three of them from 1 on."""
    with refused(BudgetError, "steps: expected", "3", repr(steps)):
        plan(gdm.Schedule.autoregressive((3,)), steps)


@pytest.mark.parametrize("steps", [(2, 2.5, 2, 2), (2, math.nan, 2), (2, math.inf, 2), ("2", "2", "2"), (2, None, 2)])
def test_each_number_of_a_budget_must_be_whole(steps: Any) -> None:
    """A number that is not whole is refused, not left out."""
    with refused(BudgetError, "steps: expected"):
        plan(gdm.Schedule.autoregressive((3,)), steps)


@pytest.mark.parametrize(
    ("name", "close"), [("Euler", "'euler'"), ("hein", "'heun'"), ("ab3", "'ab2'"), ("dpm", "'rk4'"), (None, "'rk4'")]
)
def test_an_unknown_solver_is_refused_with_the_nearest_name(name: Any, close: str) -> None:
    """The message lists what there is, and guesses what was meant."""
    with refused(BudgetError, "solver: expected one of", repr(name), close):
        get(name)


# Tables


@law(chosen=schedules(), data=st.data(), reverse=st.booleans())
def test_every_step_starts_on_the_grid(lib: Library, chosen: gdm.Schedule, data: st.DataObject, reverse: bool) -> None:
    """Networks are shown A(t) at equal steps within each interval, breakpoints among them, and r' - r is their change."""
    budget = tuple(data.draw(st.lists(st.integers(1, 4), min_size=chosen.k, max_size=chosen.k)))
    segments = plan(chosen, budget)[:: -1 if reverse else 1]
    tables, _ = tabulate(chosen, segments, SOLVERS["heun"], lib.array(np.zeros((2, *chosen.shape))), reverse=reverse)
    row = 0
    for segment in segments:
        times = [segment.end + (segment.start - segment.end) * n / segment.steps for n in range(segment.steps + 1)]
        nodes = [weights(chosen, t) for t in (times[::-1] if reverse else times)]
        for (a, s), (a_next, s_next) in itertools.pairwise(nodes):
            for shown, diagonal in ((tables.alpha[0], a), (tables.alpha[1], a_next)):
                agree(shown[row, ...], np.tile(per_group(diagonal, chosen.partition.labels), (2, 1)))
            moved = a_next / (a_next + s_next) - a / (a + s)
            agree(spread(lib.host(tables.move[0])[row], chosen), moved)
            if tables.scale is not None:
                agree(spread(lib.host(tables.scale[1])[row], chosen), a_next + s_next)
            row += 1
    assert (row, tables.scale is None, tables.back) == (tables.move[0].shape[0], chosen.path.name == "linear", None)


def spread(row: np.ndarray, chosen: gdm.Schedule) -> np.ndarray:
    """Broadcast one row of a table, (1, *compact), to the event."""
    return np.broadcast_to(row[0], chosen.shape)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_alpha_means_pending_and_nothing_else(lib: Library, dtype: str) -> None:
    """A group is shown exactly 0 before it begins, the smallest normal number as it begins, and exactly 1 when done."""
    like = lib.array(np.zeros((1, 2), dtype))
    for path in PATHS:
        chosen = gdm.Schedule.autoregressive((2,), path=path)
        for reverse in (False, True):
            segments = plan(chosen, 2)[:: -1 if reverse else 1]
            tables, _ = tabulate(chosen, segments, SOLVERS["heun"], like, reverse=reverse)
            tiny = float(np.finfo(dtype).smallest_normal)
            first, second = [[tiny, 0], [1, tiny]], [[1, 0], [1, 1]]
            if reverse:
                first, second = second[::-1], first[::-1]
            for node, expected in zip(tables.alpha, (first, second), strict=True):
                same_bits(lib.host(node)[:, 0], expected)
            assert str(tables.alpha[0].dtype).endswith(dtype)


@law(chosen=schedules(), per_group_steps=st.integers(1, 4))
def test_moves_telescope_and_ab2_forgets_at_breakpoints(
    lib: Library, chosen: gdm.Schedule, per_group_steps: int
) -> None:
    """Each element goes from r = 0 to 1 and moves in its own group's segment alone; there AB2 starts as Euler."""
    segments = plan(chosen, (per_group_steps,) * chosen.k)
    tables, _ = tabulate(chosen, segments, SOLVERS["ab2"], lib.array(np.zeros((1, *chosen.shape))))
    for j, part in enumerate(by_segment(tables, segments)):
        expected = chosen.partition.labels == j
        assert part.back is not None
        agree(spread((lib.host(part.move[0]) + lib.host(part.back[0])).sum(0), chosen), expected)
        first, *later = (spread(row, chosen) for row in lib.host(part.back[0]))
        same_bits(first, np.zeros(chosen.shape))
        assert all(((row != 0) == expected).all() for row in later)


@pytest.mark.parametrize("rule", RULES)
def test_calls_and_stages(rule: str) -> None:
    """A solver calls the network as often as it says."""
    calls = []

    def network(x_t: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        calls.append(alpha.shape)
        return x_t

    gdm.generate(network, np.ones((5, 4, 4)), gdm.Schedule.rows((4, 4), 2), steps=7, solver=rule)
    assert calls == [(5, 2)] * (7 * {"euler": 1, "heun": 2, "midpoint": 2, "ab2": 1, "rk4": 4}[rule])
    assert get(rule).calls * 7 == len(calls)


# Rules


@law(chosen=schedules(), seed=seeds, data=st.data())
def test_euler_is_equations_9_and_17(lib: Library, chosen: gdm.Schedule, seed: int, data: st.DataObject) -> None:
    """On the linear path, for any network: z_t' = z_t + U A'(t) U^T u (t' - t), step by step, to rounding."""
    chosen = gdm.Schedule(chosen.partition, chosen.intervals, chosen.basis)
    steps = data.draw(st.lists(st.integers(1, 3), min_size=chosen.k, max_size=chosen.k))
    network, z = random_network(seed, chosen), arrays(seed, 2, *chosen.shape)
    labels, times = chosen.partition.labels, ode.time_grid(chosen.intervals, steps)
    u, U = one_sample(network, labels), matrix(chosen)
    got = gdm.generate(network, lib.array(z), chosen, steps=steps)
    expected = [ode.frequency_euler(u, sample, times, labels, chosen.intervals, U) for sample in z]
    agree(got, np.stack(expected))
    if chosen.basis.name == "pixel":
        agree(got, np.stack([ode.groupwise_euler(u, sample, times, labels, chosen.intervals) for sample in z]))


@law(chosen=schedules(), seed=seeds)
def test_euler_steps_in_a_space(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """On any path a step is x += xhat (A(t') - A(t)) + zhat (S(t') - S(t)) in the basis, the form free of derivatives."""
    network, z = random_network(seed, chosen), arrays(seed, 1, *chosen.shape)
    u, U = one_sample(network, chosen.partition.labels), matrix(chosen)
    x = U.T @ z.ravel()
    for start, end in chosen.intervals:
        for t, after in itertools.pairwise(np.linspace(end, start, 3)):
            (a, s), (a_next, s_next) = ([w.ravel() for w in weights(chosen, time)] for time in (t, after))
            direction = U.T @ u((U @ x).reshape(chosen.shape), a.reshape(chosen.shape)).ravel()
            x_hat, z_hat = np.linalg.solve(
                [[[p, q], [1, -1]] for p, q in zip(a, s, strict=True)], np.stack([x, direction], 1)[..., None]
            )[..., 0].T
            x = x + x_hat * (a_next - a) + z_hat * (s_next - s)
    agree(gdm.generate(network, lib.array(z), chosen, steps=(2,) * chosen.k), (U @ x).reshape(z.shape))


@law(share=0.5, chosen=schedules(), seed=seeds)
def test_rules_equal_their_textbooks(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """Group by group, each rule is the textbook's for dy/dr = u; AB2 has unequal steps on the trigonometric path."""
    network, z = random_network(seed, chosen), arrays(seed, 1, *chosen.shape)
    u = one_sample(network, chosen.partition.labels)
    for rule in RULES:
        got = gdm.generate(network, lib.array(z), chosen, steps=(3,) * chosen.k, solver=rule)
        agree(got, by_textbook(rule, chosen, lambda x_t, a, s: u(x_t, a), z[0], 3)[None], what=rule)


def by_textbook(rule: str, chosen: gdm.Schedule, u: Callable[..., np.ndarray], z: np.ndarray, steps: int) -> np.ndarray:
    """Solve dy/dr = u(x_t, A, S) for one group's coordinates after another, from r = 0 to 1, by a rule of the reference."""
    U, labels = matrix(chosen), chosen.partition.labels.ravel()
    y = U.T @ z.ravel()
    for j, (start, end) in enumerate(chosen.intervals):

        def slope(r: float, y: np.ndarray, j: int = j) -> np.ndarray:
            norm = 1.0 if chosen.path.name == "linear" else math.hypot(r, 1 - r)
            a = np.select([labels < j, labels == j], [1.0, r / norm], 0.0)
            s = np.select([labels < j, labels == j], [0.0, (1 - r) / norm], 1.0)
            x_t = (U @ ((a + s) * y)).reshape(chosen.shape)
            direction = u(x_t, a.reshape(chosen.shape), s.reshape(chosen.shape))
            return np.where(labels == j, U.T @ direction.ravel(), 0.0)

        chosen_weights = [weights(chosen, t) for t in np.linspace(end, start, steps + 1)]
        nodes = [(a / (a + s)).ravel()[labels == j][0] for a, s in chosen_weights]
        y = getattr(solvers, rule)(slope, y, nodes)
    return (U @ y).reshape(z.shape)


@law(share=0.5, chosen=schedules(bases=("pixel", "cosine")), seed=seeds)
def test_one_ab2_step_per_group_is_euler(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """AB2 restarts at each group: with one step per group it remembers nothing, to the bit."""
    network, z = random_network(seed, chosen), lib.array(arrays(seed, 2, *chosen.shape))
    euler, ab2 = (gdm.generate(network, z, chosen, steps=chosen.k, solver=rule) for rule in ("euler", "ab2"))
    agree(ab2, euler, 1e-14) if lib.name == "jax" else same_bits(ab2, euler)  # XLA may fuse a multiply and an add


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_overlapping_groups_follow_equation_9(lib: Library) -> None:
    """With overlap both groups move at once, each by its own A'(t); AB2 forgets at each breakpoint, where slopes jump."""
    chosen = gdm.Schedule.rows((1, 2, 3), 2, intervals=[(0.25, 1.0), (0.0, 0.5)], overlap=True)
    network, z = random_network(5, chosen), arrays(6, 2, 1, 2, 3)
    u, labels = one_sample(network, chosen.partition.labels), chosen.partition.labels
    for rule, times in (("euler", [1.0, 0.75, 0.5, 0.375, 0.25, 0.125, 0.0]), ("ab2", [1.0, 0.5, 0.25, 0.0])):
        got = gdm.generate(network, lib.array(z), chosen, steps=(len(times) // 3,) * 3, solver=rule)
        agree(got, np.stack([ode.groupwise_euler(u, sample, times, labels, chosen.intervals) for sample in z]))


# Orders

SIZES = {"euler": (32, 64), "heun": (64, 128), "midpoint": (16, 32), "ab2": (32, 64), "rk4": (16, 32)}


@functools.cache
def problem(path: str, basis: str) -> tuple[gdm.Schedule, Any, np.ndarray, np.ndarray]:
    """Return a schedule, the optimal network of a mixture, noise, and its exact data: the textbook's RK4, 64 steps a group.

    A mixture, since on a single Gaussian the midpoint rule is of order 3.
    """
    chosen = gdm.Schedule.from_labels(
        np.array([[[0, 1, 1], [1, 0, 0]]]), intervals=[(0.4, 1.0), (0.0, 0.4)], basis=basis, path=path
    )
    oracle, known = random_mixture(3, chosen.shape)
    U, z = matrix(chosen), arrays(4, 2, *chosen.shape)

    def u(x_t: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
        return mixture.optimal_direction(x_t.ravel(), known, a.ravel(), s.ravel(), U).reshape(x_t.shape)

    return chosen, oracle.direction(chosen), z, np.stack([by_textbook("rk4", chosen, u, sample, 64) for sample in z])


def measured_order(lib: Library, rule: str | Solver, path: str, basis: str, sizes: tuple[int, int]) -> float:
    """Return log2 of how the error shrinks when the steps double."""
    chosen, network, z, exact = problem(path, basis)
    results = (gdm.generate(network, lib.array(z), chosen, steps=(n, n), solver=rule) for n in sizes)
    coarse, fine = (np.abs(lib.host(x) - exact).mean() for x in results)
    return math.log2(coarse / fine)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("basis", ["pixel", "cosine"])
@pytest.mark.parametrize("path", PATHS)
def test_measured_order(path: str, basis: str, rule: str) -> None:
    """The error falls as the step length to the power of the solver's order, and no faster."""
    order = measured_order(NUMPY, rule, path, basis, SIZES[rule])
    assert abs(order - get(rule).order) < 0.3, f"measured order {order:.2f}"
    assert get(rule).order == {"euler": 1, "heun": 2, "midpoint": 2, "ab2": 2, "rk4": 4}[rule]


@pytest.mark.parametrize("lib", [lib for lib in LIBRARIES if lib is not NUMPY], ids=repr)
def test_measured_order_on_other_libraries(lib: Library) -> None:
    """The same order on every library, for the rule that has a memory."""
    order = measured_order(lib, "ab2", "trigonometric", "cosine", SIZES["ab2"])
    assert abs(order - 2) < 0.3, f"measured order {order:.2f}"


def test_a_rule_of_ones_own() -> None:
    """Any explicit Runge-Kutta rule is a `Solver`: Ralston's has order 2, Kutta's 3."""
    ralston = Solver("ralston", 2, (0.0, 2 / 3), ((0, ()), (1, (2 / 3,))), (0.25, 0.75))
    kutta = Solver("kutta", 3, (0.0, 0.5, 1.0), ((0, ()), (1, (0.5,)), (2, (-1.0, 2.0))), (1 / 6, 2 / 3, 1 / 6))
    for rule in (ralston, kutta):
        order = measured_order(NUMPY, rule, "linear", "pixel", (16, 32))
        assert abs(order - rule.order) < 0.25, f"{rule.name}: measured order {order:.2f}"


def test_small_tables_are_kept_and_large_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers to the bit, made anew or not; what would fill the memory is gone after the call."""
    chosen, z, results, kept = gdm.Schedule.rows((1, 4, 4), 4, path="vp"), arrays(0, 2, 1, 4, 4), [], []
    for limit in (-1, 1 << 16, 1 << 16):
        monkeypatch.setattr(solver, "KEPT_LIMIT", limit)
        before = solver._host_tables.cache_info()
        results.append(gdm.generate(lambda x_t, alpha: x_t, z, chosen, steps=11, solver="ab2"))
        after = solver._host_tables.cache_info()
        kept.append((after.misses - before.misses, after.hits - before.hits))
    assert kept == [(0, 0), (1, 0), (0, 1)]
    same_bits(results[1], results[0])
    same_bits(results[2], results[0])
