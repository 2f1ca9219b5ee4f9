"""The noise schedule A(t) = U diag(alpha_group(i)(t)) U^T: a basis, a partition, and a time interval per group.

Every model of the family is this one object with other parts: one group is the usual diffusion model,
one group per element an autoregressive model, a lattice a cascade, a basis other than pixels GDM-F.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal, NamedTuple

import numpy as np

from gdm import path as paths
from gdm.arrays import A, check_event, check_time, constant, frozen, index, namespace, per_sample
from gdm.basis import Basis
from gdm.corner import Corner, corner_of
from gdm.errors import IntervalError, PartitionError, ShapeError, ValueRangeError
from gdm.families import Families, Intervals
from gdm.partition import Partition
from gdm.path import Path

Side = Literal["left", "right"]


class Spans(NamedTuple):
    """The interval of each group of each sample: (start, end), both (batch, k).

    An order per sample is one way to write them; they also say which of several groupings a sample follows
    (`gdm.groupings`). Wherever a schedule takes `orders`, it takes these as well.
    """

    start: Any
    end: Any


@dataclass(frozen=True, eq=False, init=False, slots=True)
class Schedule(Families):
    """Groups, the coordinates they live in, and the time interval in which each is diffused.

    intervals: (k, 2) of (start, end) in order of generation, 0 <= start < end <= 1; None for k equal ones.
        t = 0 is data and t = 1 noise, so group 0, generated first, has the latest interval.
    basis: a Basis, or its name; None for pixels.
    path: "linear" (Eq. 2), "trigonometric" / "vp" (Eq. 1), or a `gdm.path.Path`.
    overlap: allow intervals to overlap (several groups active at once).

    Frozen and hashable: a static argument of `jax.jit`, a constant of `torch.compile`.

    >>> schedule = Schedule.rows((4, 4), 2)
    >>> schedule.alpha(np.array([0.25, 0.75]))
    array([[1. , 0.5],
           [0.5, 0. ]])

    Raises: IntervalError, ShapeError (a basis of another shape), PathError, BasisError.
    """

    partition: Partition
    intervals: np.ndarray
    basis: Basis
    path: Path
    overlap: bool
    corner: Corner | None  # of the basis's coordinates, if one holds all groups but one
    _ends: tuple[np.ndarray, np.ndarray]  # start and end of each coordinate's interval, shaped as partition.compact

    def __init__(
        self,
        partition: Partition,
        intervals: Intervals = None,
        basis: Basis | str | None = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> None:
        if not isinstance(partition, Partition):
            raise PartitionError(
                f"partition: expected a gdm.Partition, got {type(partition).__name__}; see Schedule.from_labels"
            )
        basis = Basis.named(basis or "pixel", partition.shape) if not isinstance(basis, Basis) else basis
        if basis.shape != partition.shape:
            raise ShapeError(
                f"basis: expected the partition's shape {partition.shape}, got {basis.shape}; build both for one shape"
            )
        object.__setattr__(self, "partition", partition)
        object.__setattr__(self, "intervals", _check_intervals(intervals, partition.k, overlap))
        object.__setattr__(self, "basis", basis)
        object.__setattr__(self, "path", paths.get(path))
        object.__setattr__(self, "overlap", overlap)
        object.__setattr__(self, "corner", corner_of(basis, partition))
        object.__setattr__(self, "_ends", tuple(frozen(self.intervals[:, c][partition.compact]) for c in (0, 1)))

    @property
    def k(self) -> int:
        """The number of groups."""
        return self.partition.k

    @property
    def shape(self) -> tuple[int, ...]:
        """The event shape."""
        return self.partition.shape

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """The times at which a group starts or ends, with 0 and 1, rising."""
        return tuple(sorted({0.0, 1.0, *self.intervals.ravel().tolist()}))

    def alpha(self, t: A, orders: Any = None) -> A:
        """Return the data weight of each group, Eq. (10): 1 before its interval, 0 after.

        orders: group numbers in order of generation, one row per sample (None: 0, 1, ..., k-1 for all); or `Spans`.

        Shapes: t (batch,) in [0, 1], orders (batch, k) integers -> (batch, k) in [0, 1]
        Raises: TimeRangeError if a concrete t leaves [0, 1]; ShapeError; DTypeError
        """
        check_time(t)
        return self.path.alpha(self._local_time(t, orders))

    def sigma(self, t: A, orders: Any = None) -> A:
        """Return the noise weight of each group, 1 - alpha on the linear path; shapes and errors as `alpha`."""
        check_time(t)
        return self.path.sigma(self._local_time(t, orders))

    def weights(self, t: A, orders: Any = None) -> tuple[A, A]:
        """Return alpha and sigma of each coordinate, the diagonals in A(t) and S(t), in the shape of `spread`.

        Shapes: t (batch,) in [0, 1], not checked again, orders (batch, k) or Spans -> twice (batch, *compact)
        """
        if orders is not None:
            tau = self.spread(self._local_time(t, orders))
        else:  # ends spread beforehand, on the host: a compiler would repeat a gather, formula and all, at every use
            start, end = (constant(ends[None], like=t) for ends in self._ends)
            tau = _within(start, end, t)
        return self.path.alpha(tau), self.path.sigma(tau)

    def alpha_rate(self, t: A, side: Side = "left", orders: Any = None) -> A:
        """Return the slope A'(t) of the data weight, per unit of time, from the left (Eq. 21) or the right.

        At a group's end the left slope is its own and the right slope is 0; at its start the reverse.
        Shapes and errors as `alpha`.
        """
        return self._rate(t, side, orders, self.path.alpha_rate)

    def sigma_rate(self, t: A, side: Side = "left", orders: Any = None) -> A:
        """Return the slope of the noise weight; as `alpha_rate`."""
        return self._rate(t, side, orders, self.path.sigma_rate)

    def shown_alpha(self, t: A, orders: Any = None) -> A:
        """Return alpha as a network is shown it: 0 means pending, so a group that has begun is never 0.

        The active group's first value, exactly 0 at the end of its interval, is the smallest normal number.
        Shapes and errors as `alpha`.
        """
        check_time(t)
        begun = namespace(t).astype(t[:, None] <= self.spans(t, orders).end, t.dtype)
        return show(self.path.alpha(self._local_time(t, orders)), begun)

    def active(self, t: A, side: Side = "left", orders: Any = None) -> A:
        """Return 1 for the groups that are being diffused at t and 0 for the others, in t's dtype, (batch, k)."""
        if side not in ("left", "right"):
            raise ValueRangeError(f"side: expected 'left' or 'right', got {side!r}")
        check_time(t)
        start, end = self.spans(t, orders)
        s = t[:, None]
        inside = (start < s) & (s <= end) if side == "left" else (start <= s) & (s < end)
        return namespace(t).astype(inside, t.dtype)

    def spans(self, t: Any, orders: Any = None) -> Spans:
        """Return when each group of each sample is diffused, like `t`: its interval is that of its place in the order.

        Shapes: t (batch,), orders (batch, k) integers -> Spans of (batch, k)
        Raises: as `alpha`
        """
        if isinstance(orders, Spans):
            if any(tuple(ends.shape) != (t.shape[0], self.k) for ends in orders):
                got = " and ".join(str(tuple(ends.shape)) for ends in orders)
                raise ShapeError(f"orders: expected spans of ({t.shape[0]}, {self.k}), got {got}; one row per sample")
            return orders
        ends = (constant(self.intervals[:, c], like=t) for c in (0, 1))
        if orders is None:
            return Spans(*(namespace(t).broadcast_to(end, (t.shape[0], self.k)) for end in ends))
        xp = namespace(t, orders)
        per_sample(orders, t, self.k)
        place = xp.reshape(xp.argsort(orders, axis=1), (-1,))
        return Spans(*(xp.reshape(xp.take(end, place), tuple(orders.shape)) for end in ends))

    def expand(self, per_group: A) -> A:
        """Repeat a value per group over the group's coordinates. Shapes: (batch, k) -> (batch, *event)."""
        xp = namespace(per_group)
        compact = self.spread(per_group)
        return xp.broadcast_to(compact, (per_group.shape[0], *self.shape))

    def spread(self, per_group: A) -> A:
        """As `expand`, with size 1 along the axes where labels do not change: it broadcasts against events."""
        xp = namespace(per_group)
        if len(per_group.shape) != 2 or per_group.shape[1] != self.k:
            raise ShapeError(
                f"per_group: expected (batch, {self.k}), one value per group, got {tuple(per_group.shape)}"
            )
        labels = self.partition.compact
        if self.k == 1:
            flat = per_group
        else:
            flat = xp.take(per_group, xp.reshape(index(labels, like=per_group), (-1,)), axis=1)
        return xp.reshape(flat, (per_group.shape[0], *labels.shape))

    def scale(self, per_group: A, x: A) -> A:
        """Return U diag(per_group) U^T x. Shapes: (batch, k), (batch, *event) -> (batch, *event)."""
        return self.mix(((per_group, x),))

    def mix(self, parts: Sequence[tuple[A, A]]) -> A:
        """Return the sum of `scale(per_group, x)` over pairs (per_group, x), at the cost of one."""
        for per_group, x in parts:
            namespace(per_group, x)
            check_event(x, self.shape, "x")
        if self.corner is not None:
            return self.corner.mix(parts)
        terms = [self.spread(per_group) * self.basis.analyze(x) for per_group, x in parts]
        return self.basis.synthesize(reduce(add, terms))

    def reorder(self, order: Sequence[int]) -> Schedule:
        """Generate today's group `order[j]` j-th; interval j stays the j-th one."""
        return Schedule(self.partition.reorder(order), self.intervals, self.basis, self.path, self.overlap)

    def with_intervals(self, intervals: Intervals) -> Schedule:
        """Return the same groups in other intervals: one network serves them all (Table 2)."""
        return Schedule(self.partition, intervals, self.basis, self.path, self.overlap)

    def _local_time(self, t: A, orders: Any = None) -> A:
        """Return the local time tau of each group, (batch, k)."""
        return _within(*self.spans(t, orders), t)

    def _rate(self, t: A, side: Side, orders: Any, curve: paths.Curve) -> A:
        check_time(t)
        start, end = self.spans(t, orders)
        return curve(_within(start, end, t)) / (end - start) * self.active(t, side, orders)

    def _key(self) -> tuple[Any, ...]:
        return self.partition, self.intervals.tobytes(), self.basis, self.path, self.overlap

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts, so that what is read back is checked and frozen as well."""
        return Schedule, (self.partition, self.intervals, self.basis, self.path, self.overlap)

    def __repr__(self) -> str:
        intervals = ", ".join(f"({start:.3g}, {end:.3g})" for start, end in self.intervals[:4])
        more = f", ... {self.k} in all" if self.k > 4 else ""
        parts = f"{self.partition!r}, intervals=[{intervals}{more}], basis={self.basis!r}, path={self.path.name!r}"
        return f"Schedule({parts})"


def show(alpha: A, begun: A) -> A:
    """Lift zeros of `alpha` to the smallest normal number where `begun` is 1, not 0: shown to a network, 0 is pending."""
    xp = namespace(alpha, begun)
    return xp.maximum(alpha, begun * float(xp.finfo(alpha.dtype).smallest_normal))


def _within(start: A, end: A, t: A) -> A:
    """Return the local time tau, 0 up to an interval's start, 1 from its end.

    Shapes: start, end (batch or 1, *n), t (batch,) -> (batch, *n)
    """
    xp = namespace(t)
    t = xp.reshape(t, (-1,) + (1,) * (len(start.shape) - 1))
    tau = xp.clip((t - start) / (end - start), 0.0, 1.0)
    return xp.where(t >= end, 1.0, tau)  # XLA may multiply by the reciprocal of the length, which can miss 1


def _check_intervals(intervals: Intervals, k: int, overlap: bool) -> np.ndarray:
    """Return (k, 2) checked, read-only intervals; equal ones share their ends to the bit."""
    ends = np.arange(k, -1, -1) / k
    checked = np.stack([ends[1:], ends[:-1]], axis=1) if intervals is None else np.array(intervals, np.float64)
    if checked.shape != (k, 2):
        raise IntervalError(
            f"intervals: expected ({k}, 2), a (start, end) per group in order of generation, got {checked.shape}"
        )
    for j, (start, end) in enumerate(checked):
        if not (0 <= start and end <= 1):
            raise IntervalError(
                f"group {j}: expected an interval within [0, 1], got ({start:g}, {end:g}); 0 is data, 1 is noise"
            )
        if not start < end:
            raise IntervalError(f"group {j}: expected start < end, got {start:g} >= {end:g}; swap them?")
    spans = [f"({start:g}, {end:g})" for start, end in checked]
    for j in range(k - 1):
        if (checked[j, 1] < checked[j + 1, 1]) if overlap else (checked[j, 1] <= checked[j + 1, 0]):
            raise IntervalError(
                f"groups {j} and {j + 1}: expected falling intervals: group 0 is generated first, and t = 1 is noise; "
                f"got {spans[j]} then {spans[j + 1]}; reverse the list?"
            )
        if not overlap and checked[j, 0] < checked[j + 1, 1]:
            raise IntervalError(
                f"groups {j} and {j + 1}: expected intervals that do not overlap, got {spans[j]} and {spans[j + 1]}; "
                "separate them, or pass overlap=True"
            )
    checked.setflags(write=False)
    return checked
