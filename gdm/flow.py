"""The generative flow and its inverse: noise to data, data to latents, and any groups given the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from gdm import backends
from gdm.arrays import A, check_event, check_finite, constant, namespace
from gdm.errors import ShapeError, ValueRangeError
from gdm.objective import Network, hide_pending
from gdm.schedule import Schedule
from gdm.solver import Prepare, Segment, Slope, Solver, Steps, Tables, get, plan, stepper, tabulate


def draw_latents(seed: int, indices: Sequence[int], shape: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
    """Draw standard normal latents on the host, each from (seed, sample index) alone.

    Sample i is the same whatever the batch, backend or device; float32 values are the float64 ones rounded.

    Shapes: -> NumPy (len(indices), *shape)
    Raises: ValueRangeError unless seed and indices are whole numbers in [0, 2^64)
    """
    latents = np.empty((len(indices), *shape), dtype)
    for row, i in enumerate(indices):
        latents[row] = generator(seed, i).standard_normal(tuple(shape))
    return latents


def generator(seed: int, index: int, stream: int = 0) -> np.random.Generator:
    """Return the random numbers of one sample: stream 0 makes its latents, others are independent of them."""
    key = np.array([_word("seed", seed), _word("index", index)], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, stream]))


def generate(
    network: Network,
    z: A,
    schedule: Schedule,
    *,
    steps: Steps = 128,
    solver: str | Solver = "euler",
    trajectory: bool = False,
    mask_pending: bool = False,
    orders: A | None = None,
) -> A:
    """Generate data from noise, group by group: solve dx = xhat dA + zhat dS from t = 1 to 0 (Eq. 9, 17).

    steps: a total, shared among the groups in proportion to their intervals, or one number per group.
    solver: "euler", "heun", "midpoint", "ab2", "rk4"; Euler and AB2 call the network once per step.
    trajectory: return the states between groups too, from the noise to the data.
    mask_pending: show the network zeros in place of groups not yet begun; orders: one order per sample.

    Shapes: z (batch, *event), orders (batch, k) -> (batch, *event), or (groups + 1, batch, *event)
    Raises: ShapeError, DTypeError, ValueRangeError (NaN latents), BudgetError, BackendError

    >>> schedule = Schedule.rows((4, 4), 2)
    >>> generate(lambda x, alpha: -x, np.ones((1, 4, 4)), schedule, steps=2).ravel()[:2]
    array([0., 0.])
    """
    return _flow(network, z, "z", schedule, steps, solver, trajectory, mask_pending, orders, reverse=False)


def encode(
    network: Network,
    x: A,
    schedule: Schedule,
    *,
    steps: Steps = 128,
    solver: str | Solver = "heun",
    trajectory: bool = False,
    mask_pending: bool = False,
    orders: A | None = None,
) -> A:
    """Return the latents that generate `x`: the same ODE from t = 0 to 1, the last group first.

    Arguments, shapes and errors as `generate`; a trajectory runs from the data to the latents.
    """
    return _flow(network, x, "x", schedule, steps, solver, trajectory, mask_pending, orders, reverse=True)


def complete(
    network: Network,
    x: A,
    known: Collection[int],
    z: A,
    schedule: Schedule,
    *,
    steps: Steps = 128,
    solver: str | Solver = "euler",
    mask_pending: bool = False,
) -> A:
    """Generate the groups of `x` that are not in `known`, given those that are.

    Known groups count as generated from the start: they are data (alpha = 1) throughout and come back exactly
    (in a basis other than pixels, their coordinates to rounding). A network trained on the order
    that has them first, or on random orders, can do this. Only the other groups' budget is spent.

    Shapes: x, z (batch, *event) -> (batch, *event); in x, the values of unknown groups do not matter
    Raises: as `generate`; ValueRangeError if `known` names a group that is not there
    """
    known = _group_numbers(known, schedule.k)
    chosen, segments = get(solver), plan(schedule, steps, known)
    keep, y = completion(x, z, known, schedule)
    if segments:
        tables, prepare = tabulate(schedule, segments, chosen, y, known=known)
        moved = run(_slope(network, schedule, mask_pending), (y,), chosen, tables, prepare)[0]
        y = moved if keep is None else namespace(y).where(keep, y, moved)
    return schedule.basis.synthesize(y)


def completion(x: A, z: A, known: Collection[int], schedule: Schedule) -> tuple[Any, A]:
    """Check what is to be completed; return which coordinates are kept (None: none) and the state y it begins from."""
    known = _group_numbers(known, schedule.k)
    xp = namespace(x, z)
    given, drawn = start(x, "x", schedule, finite=False), start(z, "z", schedule)
    if x.shape[0] != z.shape[0]:
        raise ShapeError(f"z: expected one noise per sample, {tuple(x.shape)}, got {tuple(z.shape)}")
    keep = (
        xp.asarray(np.isin(schedule.partition.labels, known)[None], device=getattr(x, "device", None))
        if known
        else None
    )
    y = drawn if keep is None else xp.where(keep, given, drawn)
    check_finite(y, "x in the known groups")
    return keep, y


def start(x: A, name: str, schedule: Schedule, finite: bool = True) -> A:
    """Check an event batch and return its coordinates, which at both ends of the flow are the solver's state y."""
    check_event(x, schedule.shape, name)
    if finite:
        check_finite(x, name)
    return schedule.basis.analyze(x)


def _slope(network: Network, schedule: Schedule, mask_pending: bool) -> Slope:
    """Return the direction u in the coordinates of the basis, as a function of y, called by the solver."""
    coordinates = direction_of(network, schedule, mask_pending)
    return lambda state, alpha, scale: (coordinates(state[0], alpha, scale),)


def direction_of(network: Network, schedule: Schedule, mask_pending: bool) -> Callable[[Any, Any, Any], Any]:
    """Wrap a network into u(y, alpha, scale), all in the coordinates of the schedule's basis."""
    basis = schedule.basis

    def direction(y: Any, alpha: Any, scale: Any) -> Any:
        x_t = y if scale is None else y * scale
        if mask_pending:
            x_t = hide_pending(schedule, alpha, x_t)
        u = network(basis.synthesize(x_t) if basis.factors else x_t, alpha)
        if type(u) is not type(x_t):  # an array, of the same library
            namespace(x_t, u)
        if u.shape != x_t.shape:
            raise ShapeError(f"network: expected an output of x_t's shape {tuple(x_t.shape)}, got {tuple(u.shape)}")
        return basis.analyze(u) if basis.factors else u

    return direction


def _flow(
    network: Network,
    x: Any,
    name: str,
    schedule: Schedule,
    steps: Steps,
    solver: str | Solver,
    trajectory: bool,
    mask_pending: bool,
    orders: Any,
    reverse: bool,
) -> Any:
    """Solve from one end to the other: `generate` and, in reverse, `encode`."""
    chosen, segments = get(solver), plan(schedule, steps)[:: -1 if reverse else 1]
    y = start(x, name, schedule)
    tables, prepare = tabulate(schedule, segments, chosen, y, orders=orders, reverse=reverse)
    slope = _slope(network, schedule, mask_pending)
    if not trajectory:
        return schedule.basis.synthesize(run(slope, (y,), chosen, tables, prepare)[0])
    states = [schedule.basis.synthesize(y)]
    for segment, part in zip(segments, by_segment(tables, segments), strict=True):
        (y,) = run(slope, (y,), chosen, part, prepare)
        states.append(_noised(schedule, y, segment.end if reverse else segment.start, orders))
    return namespace(y).stack(states)


def _noised(schedule: Schedule, y: Any, time: float, orders: Any) -> Any:
    """Return x_t = U (A + S) y; A + S is 1 on the linear path, and where no group is half-way."""
    if schedule.path.name != "linear":
        a, s = schedule.weights(constant(np.full(y.shape[0], time), like=y), orders)
        y = (a + s) * y
    return schedule.basis.synthesize(y)


def run(slope: Slope, state: tuple[Any, ...], solver: Solver, tables: Tables, prepare: Prepare) -> tuple[Any, ...]:
    """Take all steps of `tables`: a loop, or under JAX one scan whatever their number."""
    xp, backend = namespace(state[0]), backends.of(state[0])
    step = stepper(solver, slope, backend.adder)
    memory = tuple(xp.zeros_like(y) for y in state) if solver.remembers else None
    body = step if prepare is None else lambda carry, row: step(carry, prepare(row))
    return backend.scan(body, (state, memory), tables)[0]


def by_segment(tables: Tables, segments: Sequence[Segment]) -> list[Tables]:
    """Cut tables into those of each segment."""

    def cut(tree: Any, rows: slice) -> Any:
        if tree is None:
            return None
        return tuple(cut(part, rows) for part in tree) if isinstance(tree, tuple) else tree[rows, ...]

    stops = np.cumsum([0, *(segment.steps for segment in segments)])
    return [Tables(*cut(tuple(tables), slice(a, b))) for a, b in zip(stops[:-1], stops[1:], strict=True)]


def _group_numbers(known: Collection[int], k: int) -> list[int]:
    numbers = sorted(set(known))
    if not all(0 <= j < k and j == int(j) for j in numbers):
        raise ValueRangeError(
            f"known: expected group numbers 0 to {k - 1}, got {numbers}; groups are numbered in order of generation"
        )
    return [int(j) for j in numbers]


def _word(name: str, value: int) -> int:
    if not 0 <= value < 2**64 or int(value) != value:
        raise ValueRangeError(f"{name}: expected a whole number in [0, 2^64), got {value}")
    return int(value)
