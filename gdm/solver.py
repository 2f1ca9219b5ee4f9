"""Time grids, step budgets, and the one-step rules.

Along any path, y = x_t / (alpha + sigma) moves by dy = u dr with r = alpha / (alpha + sigma) per group
(`gdm.path`). A step is therefore `y += u * (r' - r)`: no derivative A'(t), no left or right limit at a
breakpoint, no interval's length. On the linear path y is x_t and r is alpha. Every rule below
is written for y; each breakpoint of the schedule is a node, so a step never straddles two groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gdm.arrays import constant, frozen, namespace, per_sample
from gdm.errors import BudgetError, nearest
from gdm.fused import adder
from gdm.schedule import Schedule, show

Steps = int | Sequence[int]

KEPT_LIMIT = 1 << 16  # numbers per table kept for the next call; more would fill the memory, and take long anyway


@dataclass(frozen=True, slots=True)
class Solver:
    """An explicit rule: Runge-Kutta coefficients, or Euler plus one step of memory (AB2).

    nodes: where in the step, as fractions of it, the network is called;
    stages: for each call, its node and the weights of the earlier slopes that lead there;
    weights: of the slopes in the result; order: of the global error in the step length.
    """

    name: str
    order: int
    nodes: tuple[float, ...]
    stages: tuple[tuple[int, tuple[float, ...]], ...]
    weights: tuple[float, ...]
    remembers: bool = False

    @property
    def calls(self) -> int:
        """Network calls per step."""
        return len(self.stages)


EULER = Solver("euler", 1, (0.0,), ((0, ()),), (1.0,))
HEUN = Solver("heun", 2, (0.0, 1.0), ((0, ()), (1, (1.0,))), (0.5, 0.5))
MIDPOINT = Solver("midpoint", 2, (0.0, 0.5), ((0, ()), (1, (0.5,))), (0.0, 1.0))
AB2 = Solver("ab2", 2, (0.0,), ((0, ()),), (1.0,), remembers=True)
RK4 = Solver(
    "rk4",
    4,
    (0.0, 0.5, 1.0),
    ((0, ()), (1, (0.5,)), (1, (0.0, 0.5)), (2, (0.0, 0.0, 1.0))),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
SOLVERS = {solver.name: solver for solver in (EULER, HEUN, MIDPOINT, AB2, RK4)}


def get(solver: str | Solver) -> Solver:
    """Return the solver called "euler", "heun", "midpoint", "ab2" or "rk4"; a Solver passes through."""
    if isinstance(solver, Solver):
        return solver
    if solver not in SOLVERS:
        raise BudgetError(f"solver: expected one of {tuple(SOLVERS)}, got {solver!r}{nearest(str(solver), SOLVERS)}")
    return SOLVERS[solver]


@dataclass(frozen=True, slots=True)
class Segment:
    """The time between two breakpoints, while the groups `active` (k booleans) are being generated."""

    start: float
    end: float
    active: tuple[bool, ...]
    steps: int


def plan(schedule: Schedule, steps: Steps, known: Collection[int] = ()) -> tuple[Segment, ...]:
    """Share a step budget among the segments of the schedule, in order of generation.

    steps: one total, shared in proportion to the lengths by largest remainder with at least one each; or one
        number per segment, which is one per group unless intervals overlap. Gaps get none.
    known: groups that are not to be generated; a segment in which no other is active gets none.

    Raises: BudgetError if the total is smaller than the number of segments, or the numbers do not fit.
    """
    segments = _kept(_segments, schedule.k**2)(schedule, tuple(known))
    if not segments:
        return ()
    shares = _share(steps, [end - start for start, end, _ in segments])
    return tuple(Segment(start, end, active, n) for (start, end, active), n in zip(segments, shares, strict=True))


def _kept(cached: Any, size: int) -> Callable[..., Any]:
    """Return a cached function, or for a large result the function that makes it anew."""
    return cached if size <= KEPT_LIMIT else cached.__wrapped__


@lru_cache(maxsize=16)
def _segments(schedule: Schedule, known: tuple[int, ...]) -> list[tuple[float, float, tuple[bool, ...]]]:
    """Return start, end and active groups of the segments in which there is something to generate, first to last."""
    segments = []
    for start, end in zip(schedule.breakpoints[:-1], schedule.breakpoints[1:], strict=True):
        active = (schedule.intervals[:, 0] <= start) & (end <= schedule.intervals[:, 1])
        active[list(known)] = False
        if active.any():
            segments.append((start, end, tuple(active.tolist())))
    return segments[::-1]


def _share(steps: Steps, lengths: Sequence[float]) -> list[int]:
    m = len(lengths)
    if isinstance(steps, (int, np.integer)) and not isinstance(steps, bool):
        if steps < m:
            raise BudgetError(f"steps: expected at least {m}, one per group to be generated, got {steps}; raise steps")
        return _in_proportion(int(steps), tuple(lengths))
    shares: list[int] = []
    try:
        shares = [int(n) for n in steps]  # type: ignore[union-attr]
        fit = len(shares) == m and all(share == n >= 1 for share, n in zip(shares, steps, strict=True))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # no sequence, or not of finite numbers
        fit = False
    if not fit:
        raise BudgetError(
            f"steps: expected a whole number, or {m} of them, each at least 1, in order of generation; got {steps!r}"
        )
    return shares


@lru_cache(maxsize=16)
def _in_proportion(steps: int, lengths: tuple[float, ...]) -> list[int]:
    """Share a total by largest remainder, at least one each."""
    quota = np.round(np.array(lengths) * steps / (sum(lengths) or 1), 9)  # so that equal lengths tie
    counts = np.maximum(1, np.floor(quota).astype(int))
    while counts.sum() < steps:
        counts[np.argmax(quota - counts)] += 1
    while counts.sum() > steps:
        counts[np.argmax(np.where(counts > 1, counts - quota, -math.inf))] -= 1
    return counts.tolist()


class Tables(NamedTuple):
    """What the steps of a plan need, one row per step, as arrays of the state's library.

    alpha: per node of the solver, what the network is shown, (steps, batch, k);
    scale: per node, alpha + sigma, or None on the linear path, where it is 1;
    move: the weight of the step's own slopes, per component of the state: r' - r, less back;
    back: the weight of the slope that AB2 remembers, likewise, or None.
    """

    alpha: tuple[Any, ...]
    scale: tuple[Any, ...] | None
    move: tuple[Any, ...]
    back: tuple[Any, ...] | None


Prepare = Callable[[Tables], Tables] | None

AHEAD_LIMIT = 1 << 20  # numbers spread ahead of the loop; more would fill the memory, and XLA's time to compile


def tabulate(
    schedule: Schedule,
    segments: Sequence[Segment],
    solver: Solver,
    like: Any,
    *,
    reverse: bool = False,
    known: Collection[int] = (),
    orders: Any = None,
    events: Sequence[bool] = (True,),
) -> tuple[Tables, Prepare]:
    """Tabulate all steps on the host, in float64, and move the tables beside the state `like`, (batch, *event).

    reverse: from data to noise. events: which components of the state are events, to whose coordinates their
    moves are spread; the others have one number per group.

    Returns the tables and what to do to a row before its step: nothing (None) where they could be spread ahead, in
    one go; else spreading it, which takes a few microseconds a step and no memory.
    """
    tables_of = _kept(_host_tables, sum(segment.steps for segment in segments) * schedule.k)
    alpha, begun, scale, move, back = tables_of(schedule, tuple(segments), solver, reverse, tuple(known))
    xp = namespace(like) if orders is None else namespace(like, orders)
    rows = move.shape[0] * (1 if orders is None else like.shape[0])
    ahead = rows * schedule.partition.compact.size <= AHEAD_LIMIT

    def place(table: np.ndarray) -> Any:
        """Host (steps, k) -> (steps, 1, k), or (steps, batch, k) in each sample's own order."""
        if orders is None:
            return constant(table[:, None, :], like)
        per_sample(orders, like, schedule.k)
        rank = xp.argsort(orders, axis=1)
        picked = xp.take(constant(table, like), xp.reshape(rank, (-1,)), axis=1)
        return xp.reshape(picked, (table.shape[0], *rank.shape))

    def spread(table: Any) -> Any:
        """Repeat (..., b, k) over the coordinates of the groups, (..., b, *compact)."""
        flat = schedule.spread(xp.reshape(table, (-1, schedule.k)))
        return xp.reshape(flat, (*table.shape[:-1], *flat.shape[1:]))

    def spread_events(tables: Tables) -> Tables:
        def each(parts: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
            return parts and tuple(spread(part) if event else part for part, event in zip(parts, events, strict=True))

        scale = tables.scale and tuple(map(spread, tables.scale))
        return Tables(tables.alpha, scale, each(tables.move) or (), each(tables.back))

    shown = (show(place(a), place(b)) for a, b in zip(alpha, begun, strict=True))
    tables = Tables(
        alpha=tuple(xp.broadcast_to(a, (a.shape[0], like.shape[0], schedule.k)) for a in shown),
        scale=None if schedule.path.name == "linear" else tuple(map(place, scale)),
        move=tuple(place(move) for _ in events),
        back=tuple(place(back) for _ in events) if solver.remembers else None,
    )
    return (spread_events(tables), None) if ahead else (tables, spread_events)


@lru_cache(maxsize=16)
def _host_tables(
    schedule: Schedule, segments: tuple[Segment, ...], solver: Solver, reverse: bool, known: tuple[int, ...]
) -> tuple[Any, ...]:
    """Return alpha, begun, scale, each (steps, k) per node, and move, back (steps, k) of all steps, float64.

    The arrays are read-only: made once for all calls alike, on the host and by `constant` on each device.
    """
    steps = [segment.steps for segment in segments]
    grids = [np.linspace(segment.end, segment.start, segment.steps + 1) for segment in segments]
    grids = [grid[::-1] for grid in grids] if reverse else grids
    before = _ratio(schedule, np.concatenate([grid[:-1] for grid in grids]), known)
    after = _ratio(schedule, np.concatenate([grid[1:] for grid in grids]), known)
    active = np.repeat([segment.active for segment in segments], steps, axis=0)
    move = (after - before) * active
    previous = np.roll(move, 1, axis=0)
    previous[np.cumsum([0, *steps[:-1]])] = 0  # memory does not reach across a breakpoint, where slopes jump
    # AB2 on unequal steps: y + h u + (h^2 / 2h_before) (u - u_before)
    back = -0.5 * solver.remembers * move**2 / np.where(previous != 0, previous, np.inf)
    nodes = np.stack([after if f == 1 else before + f * move for f in solver.nodes])
    alpha, sigma = schedule.path.from_ratio(nodes)
    begun = ((alpha > 0) | active).astype(np.float64)
    return (*(tuple(map(frozen, table)) for table in (alpha, begun, alpha + sigma)), frozen(move - back), frozen(back))


def _ratio(schedule: Schedule, times: np.ndarray, known: Collection[int]) -> np.ndarray:
    """Return r = alpha / (alpha + sigma) of each group, (times, k), 1 for those that are known."""
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    ratio = alpha / (alpha + sigma)
    ratio[:, list(known)] = 1.0
    return ratio


Slope = Callable[[tuple[Any, ...], Any, Any], tuple[Any, ...]]


Adder = Callable[[float], Callable[[Any, Any, Any], Any]]
Carry = tuple[tuple[Any, ...], Any]


def stepper(solver: Solver, slope: Slope, adder: Adder = adder) -> Callable[[Carry, Tables], Carry]:
    """Return the solver's step: ((state, memory), row of `Tables`) -> (state, memory), the state a tuple of components.

    slope(state, alpha, scale) returns du per unit of r for each component; adder: the backend's. What AB2
    remembers is the last slope. Beside a small network these lines are the cost of a step: `map` is no whim.
    """
    stages = [(node, _terms(weights, adder)) for node, weights in solver.stages]
    result, extrapolate = _terms(solver.weights, adder), adder(1.0)

    def step(carry: Carry, row: Tables) -> Carry:
        state, memory = carry
        slopes: list[tuple[Any, ...]] = []
        for node, terms in stages:
            there = state
            for i, add in terms:
                there = tuple(map(add, there, slopes[i], row.move))
            slopes.append(slope(there, row.alpha[node], row.scale and row.scale[node]))
        for i, add in result:
            state = tuple(map(add, state, slopes[i], row.move))
        if row.back is None:
            return state, None
        return tuple(map(extrapolate, state, memory, row.back)), slopes[0]

    return step


def _terms(weights: tuple[float, ...], adder: Adder) -> list[tuple[int, Callable[[Any, Any, Any], Any]]]:
    """Return the slopes that count, by number, each with how to add it: (y, slope, move) -> y + weight move slope."""
    return [(i, adder(weight)) for i, weight in enumerate(weights) if weight]
