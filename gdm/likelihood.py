"""The likelihood of data under the generative flow, group by group.

Encoding moves y by dy = u dr, so log p changes by the trace of du/dy over the coordinates that move. With
groups generated one after another the Jacobian is block-triangular, and the sum splits by group:
log p(x) = sum_j log p(x_j | x_0..x_{j-1}), exactly where earlier groups ignore later latents (Prop. 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gdm import backends
from gdm.arrays import A, check_event, constant, frozen, index, namespace
from gdm.errors import BudgetError, ShapeError
from gdm.flow import by_segment, direction_of, generator, run, start
from gdm.objective import Network
from gdm.partition import Partition
from gdm.schedule import Schedule
from gdm.solver import Segment, Slope, Solver, Steps, get, plan, tabulate

EXACT_LIMIT = 256  # coordinates that move at once; beyond, the exact trace costs more than it tells


def log_likelihood(
    network: Network,
    x: A,
    schedule: Schedule,
    *,
    steps: Steps = 128,
    solver: str | Solver = "heun",
    probes: A | None = None,
    mask_pending: bool = False,
) -> A:
    """Return log p(x_j | earlier groups) in nats for each group j; their sum over j is log p(x).

    The density is that of `x` as given (in any basis: U is orthogonal).

    probes: None takes the exact trace, one vector-Jacobian product per moving coordinate, for at most 256;
        (n, *event) random signs or normals give Hutchinson's unbiased estimate with n products, of the same probes
        for all samples; (n, batch, *event) gives each sample its own, so that errors average out over samples.

    Shapes: x (batch, *event) -> (batch, k)
    Raises: as `gdm.encode`; BudgetError if a group is too large for the exact trace; UnsupportedError for
        arrays of a library without automatic differentiation
    """
    chosen, segments = get(solver), plan(schedule, steps)[::-1]
    y = start(x, "x", schedule)
    if probes is not None:
        probes = _checked_probes(probes, x, schedule)
    tables, prepare = tabulate(schedule, segments, chosen, y, reverse=True, events=(True, False))
    direction = direction_of(network, schedule, mask_pending)
    state: tuple[Any, ...] = (y, constant(np.zeros((x.shape[0], schedule.k)), like=y))
    for segment, part in zip(segments, by_segment(tables, segments), strict=True):
        state = run(_slope(direction, schedule, _moving(schedule, segment, probes, y)), state, chosen, part, prepare)
    z, change = state
    return group_sums(schedule, -0.5 * z * z - 0.5 * math.log(2 * math.pi)) + change


def draw_probes(seed: int, indices: Sequence[int], count: int, shape: Sequence[int]) -> np.ndarray:
    """Draw random signs on the host for the samples that have these numbers, each from (seed, number) alone.

    Shapes: -> float32 (len(indices), count, *shape); `log_likelihood` takes them with the first two axes swapped
    """
    draws = (generator(seed, i, stream=3).integers(0, 2, (count, *shape)) for i in indices)
    return np.stack([(2 * draw - 1).astype(np.float32) for draw in draws])


def _checked_probes(probes: Any, x: Any, schedule: Schedule) -> Any:
    """Return probes as (n, batch or 1, *event)."""
    xp, own = namespace(x, probes), len(probes.shape) == len(schedule.shape) + 2
    flat = xp.reshape(probes, (-1, *probes.shape[2:])) if own else probes
    check_event(flat, schedule.shape, "probes")
    if not flat.shape[0]:
        raise ShapeError("probes: expected at least one, got none; pass None for the exact trace")
    if own and probes.shape[1] != x.shape[0]:
        raise ShapeError(f"probes: expected (n, {x.shape[0]}, ...), n for each sample, got {tuple(probes.shape)}")
    return probes if own else probes[:, None, ...]


def group_sums(schedule: Schedule, values: A) -> A:
    """Sum coordinates by group. Shapes: (batch, *event) -> (batch, k)"""
    xp = namespace(values)
    flat = xp.reshape(values, (values.shape[0], -1))
    members = (index(group, like=flat) for group in _members(schedule.partition))
    return xp.stack([xp.sum(xp.take(flat, group, axis=1), axis=1) for group in members], axis=1)


@lru_cache(maxsize=8)
def _members(partition: Partition) -> tuple[np.ndarray, ...]:
    """Return the coordinates of each group, read-only: found once, on the host and by `index` on each device."""
    return tuple(frozen(partition.indices(j)) for j in range(partition.k))


def _slope(direction: Callable[[Any, Any, Any], Any], schedule: Schedule, probes: Any) -> Slope:
    """Return (u, sum_p v_p * (v_p^T du/dy) by group) as a function of the state (y, log density)."""

    def slope(state: tuple[Any, ...], alpha: Any, scale: Any) -> tuple[Any, ...]:
        y = state[0]
        xp, backend = namespace(y), backends.of(y)
        u, pull = backend.vjp(lambda y: direction(y, alpha, scale), y)

        def add(total: Any, probe: Any) -> Any:
            v = xp.broadcast_to(probe, y.shape)
            return total + v * pull(v)

        return u, group_sums(schedule, backend.scan(add, xp.zeros_like(y), probes))

    return slope


def _moving(schedule: Schedule, segment: Segment, probes: Any, like: Any) -> Any:
    """Return the probe vectors of a segment, (n, batch or 1, *event): zero where nothing moves, their squares averaging 1."""
    moving = np.isin(schedule.partition.labels, np.flatnonzero(segment.active))
    if probes is not None:
        return probes * constant(moving, like) / math.sqrt(probes.shape[0])
    where = np.flatnonzero(moving)
    if len(where) > EXACT_LIMIT:
        raise BudgetError(
            f"trace: expected at most {EXACT_LIMIT} coordinates to move at once, got {len(where)}; pass probes, e.g. "
            "random signs of shape (8, *event), for Hutchinson's estimate"
        )
    units = np.zeros((len(where), schedule.partition.labels.size))
    units[np.arange(len(where)), where] = 1
    return constant(units.reshape(len(where), 1, *schedule.shape), like)
