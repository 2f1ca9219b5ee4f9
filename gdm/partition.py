"""Which coordinate belongs to which group.

A `Partition` gives every coordinate of an event (an image without its batch axis) the number of its
group; groups are numbered in order of generation, so group 0 is generated first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdm import frequency
from gdm.errors import PartitionError, nearest

Order = Sequence[int] | str | None


@dataclass(frozen=True, eq=False, slots=True)
class Partition:
    """A split of an event's coordinates into k groups, frozen and hashable.

    `labels` is an integer array of the event shape; label j marks group j, generated j-th.
    `compact` holds the same labels with axes of size 1 wherever they do not change along an axis,
    so that a value per group broadcasts over, say, channels instead of being copied.

    >>> Partition.rows((4, 2), 2).labels.tolist()
    [[0, 0], [0, 0], [1, 1], [1, 1]]

    Raises: PartitionError if labels are not the integers 0..k-1, each used at least once.
    """

    labels: np.ndarray
    k: int = field(init=False)
    sizes: tuple[int, ...] = field(init=False)
    compact: np.ndarray = field(init=False)
    _key: tuple[tuple[int, ...], bytes] = field(init=False)

    def __post_init__(self) -> None:
        labels = np.array(self.labels)
        if labels.ndim == 0 or labels.size == 0:
            raise PartitionError(
                f"labels: expected an array of the event shape, got shape {labels.shape}; pass one label per element"
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise PartitionError(f"labels: expected integers, got {labels.dtype}; number the groups 0, 1, 2, ...")
        if labels.min() < 0:
            raise PartitionError(
                f"labels: {int((labels < 0).sum())} elements have no group (label {labels.min()}); give each one"
            )
        sizes = np.bincount(labels.ravel())
        if not sizes.all():
            raise PartitionError(
                f"labels: group {int(np.argmin(sizes))} of {len(sizes)} is empty; number the groups without holes"
            )
        labels = labels.astype(np.int64)
        labels.setflags(write=False)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "k", len(sizes))
        object.__setattr__(self, "sizes", tuple(int(n) for n in sizes))
        object.__setattr__(self, "compact", _compact(labels))
        object.__setattr__(self, "_key", (labels.shape, labels.tobytes()))

    @property
    def shape(self) -> tuple[int, ...]:
        """The event shape."""
        return self.labels.shape

    def indices(self, j: int) -> np.ndarray:
        """Return the flat (C-order) indices of group `j`'s coordinates."""
        if not 0 <= j < self.k:
            raise PartitionError(
                f"group: expected 0 to {self.k - 1}, got {j}; groups are numbered in order of generation"
            )
        return np.flatnonzero(self.labels == j)

    def reorder(self, order: Sequence[int]) -> Partition:
        """Renumber the groups so that today's group `order[j]` is generated j-th."""
        return Partition(np.argsort(_permutation(order, self.k))[self.labels])

    def parents(self, fine: Partition) -> np.ndarray:
        """Return, for each group of a refinement `fine`, the group of this partition that contains it, (fine.k,).

        A value per group of this partition, indexed by it, is the same value per group of `fine`.
        """
        parents = np.full(fine.k, -1)
        parents[fine.labels] = self.labels if fine.shape == self.shape else -1
        if fine.shape != self.shape or (parents[fine.labels] != self.labels).any():
            raise PartitionError("fine: expected a refinement of this partition; build it with Partition.refine(...)")
        return parents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partition) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the labels alone: arrays come back writable, these must not."""
        return Partition, (self.labels,)

    def __repr__(self) -> str:
        return f"Partition(k={self.k}, shape={self.shape}, sizes={_shorten(self.sizes)})"

    @classmethod
    def from_labels(cls, labels: np.ndarray) -> Partition:
        """Take the labels as they are; the same as `Partition(labels)`."""
        return cls(np.asarray(labels))

    @classmethod
    def from_groups(cls, shape: Sequence[int], groups: Sequence[Sequence[int]]) -> Partition:
        """Build from the flat indices of each group, in order of generation."""
        shape = _shape(shape)
        labels = np.full(int(np.prod(shape)), -1)
        for j, members in enumerate(groups):
            members = np.asarray(members, dtype=np.int64)
            if members.size and not 0 <= members.min() <= members.max() < labels.size:
                raise PartitionError(
                    f"group {j}: expected indices 0 to {labels.size - 1}, got {members.min()} to {members.max()}"
                )
            if (labels[members] >= 0).any():
                i = int(members[np.argmax(labels[members] >= 0)])
                raise PartitionError(
                    f"groups {labels[i]} and {j} overlap at index {i}; each index belongs to one group"
                )
            labels[members] = j
        return cls(labels.reshape(shape))

    @classmethod
    def single(cls, shape: Sequence[int]) -> Partition:
        """Put everything into one group: the vanilla diffusion model."""
        return cls(np.zeros(_shape(shape), np.int64))

    @classmethod
    def elements(cls, shape: Sequence[int], order: Order = None, seed: int | None = None) -> Partition:
        """Make each element a group: the autoregressive model (Prop. 3.1)."""
        shape = _shape(shape)
        return _grid(shape, shape, order, seed)

    @classmethod
    def blocks(
        cls, shape: Sequence[int], grid: Sequence[int] = (3, 3), order: Order = None, seed: int | None = None
    ) -> Partition:
        """Cut the last axes into a grid of blocks (Fig. 1b), sizes as `numpy.array_split`.

        order: block numbers (raster numbering) in order of generation; or "raster", "reverse", "snake",
        "spiral" (from the centre outwards), "random" (drawn from `seed`). A seed alone means "random".
        """
        return _grid(_shape(shape), tuple(grid), order, seed)

    @classmethod
    def rows(
        cls, shape: Sequence[int], k: int | None = None, order: Order = None, seed: int | None = None
    ) -> Partition:
        """Cut the second last axis into `k` bands of rows (None: each row), top first; "bottom-to-top" reverses."""
        shape = _shape(shape)
        if len(shape) < 2:
            raise PartitionError(f"rows: expected an event with at least two axes, got {shape}; use columns")
        return _grid(
            shape,
            (shape[-2] if k is None else k, 1),
            _direction(order, "top-to-bottom", "bottom-to-top"),
            seed,
        )

    @classmethod
    def columns(
        cls, shape: Sequence[int], k: int | None = None, order: Order = None, seed: int | None = None
    ) -> Partition:
        """Cut the last axis into `k` bands of columns (None: each column), left first; "right-to-left" reverses."""
        shape = _shape(shape)
        return _grid(shape, (shape[-1] if k is None else k,), _direction(order, "left-to-right", "right-to-left"), seed)

    @classmethod
    def lattice(cls, shape: Sequence[int], factor: int = 2, stages: int = 2, inverse: bool = False) -> Partition:
        """Nest subsampled grids: group 0 is x[..., ::s, ::s] with s = factor^(stages-1), later ones fill in (C.2).

        inverse: the same groups in the inverse order (CDM-inv of Table 1).
        """
        shape = _shape(shape)
        if factor < 2 or stages < 1:
            raise PartitionError(f"lattice: expected factor >= 2 and stages >= 1, got {factor} and {stages}")
        labels = np.full(shape, stages - 1)
        for j in reversed(range(stages - 1)):
            step = slice(None, None, factor ** (stages - 1 - j))
            labels[(..., *(step for _ in frequency.spatial(shape)))] = j
        return cls(stages - 1 - labels if inverse else labels)

    @classmethod
    def channels(cls, shape: Sequence[int], order: Order = None, seed: int | None = None) -> Partition:
        """Make each channel (index of the first axis) a group."""
        shape = _shape(shape)
        line = _grid((shape[0],), (shape[0],), order, seed).labels
        return cls(np.broadcast_to(line.reshape(-1, *(1 for _ in shape[1:])), shape))

    @classmethod
    def bands(cls, shape: Sequence[int], edges: Sequence[int], rank: np.ndarray | None = None) -> Partition:
        """Cut the frequencies of each channel at `edges`, half-open: (30, 100) means [0, 30), [30, 100), [100, n).

        rank: frequency rank of each coordinate, as `Basis.order` (None: the cosine basis's).
        """
        shape = _shape(shape)
        if rank is None:
            rank = frequency.over_event(frequency.isotropic(frequency.spatial(shape)), shape)
        if rank.shape != shape:
            raise PartitionError(
                f"rank: expected one per coordinate, {shape}, got {rank.shape}; take it from a basis of this shape"
            )
        bounds = np.asarray(edges)
        count = int(rank.max()) + 1
        if bounds.ndim != 1 or not np.issubdtype(bounds.dtype, np.integer) or (np.diff([0, *bounds, count]) <= 0).any():
            raise PartitionError(
                f"edges: expected integers rising within 1 to {count - 1}, got {edges}; [a, b) is a band"
            )
        return cls(np.searchsorted(bounds, rank, side="right").reshape(shape))

    @classmethod
    def refine(cls, *partitions: Partition) -> Partition:
        """Return the coarsest partition that refines all of `partitions`, numbered by the first, then the next."""
        if not partitions or any(p.shape != partitions[0].shape for p in partitions):
            raise PartitionError(f"refine: expected partitions of one shape, got {[p.shape for p in partitions]}")
        stacked = np.stack([p.labels.ravel() for p in partitions], axis=1)
        _, labels = np.unique(stacked, axis=0, return_inverse=True)
        return cls(labels.reshape(partitions[0].shape))


def _grid(shape: tuple[int, ...], grid: tuple[int, ...], order: Order, seed: int | None) -> Partition:
    """Cut the last axes into `grid` cells and number them in the order given."""
    if not 0 < len(grid) <= len(shape):
        raise PartitionError(f"grid: expected 1 to {len(shape)} numbers for shape {shape}, got {grid}")
    labels = np.zeros((1,) * len(shape), np.int64)
    for axis, cells in enumerate(grid, start=len(shape) - len(grid)):
        if not 1 <= cells <= shape[axis]:
            raise PartitionError(
                f"grid: expected 1 to {shape[axis]} parts of axis {axis} (size {shape[axis]}), got {cells}"
            )
        parts = np.array_split(np.arange(shape[axis]), cells)
        cell = np.repeat(np.arange(cells), [len(p) for p in parts])
        labels = labels * cells + cell.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    rank = np.argsort(_resolve(order, seed, grid))
    return Partition(rank[np.broadcast_to(labels, shape)])


def _resolve(order: Order, seed: int | None, grid: tuple[int, ...]) -> np.ndarray:
    """Turn an order's name, seed or numbers into the cells in order of generation."""
    k = int(np.prod(grid))
    if order is not None and not isinstance(order, str):
        return _permutation(order, k)
    name = order or ("raster" if seed is None else "random")
    cells = np.indices(grid).reshape(len(grid), k)
    if name == "raster":
        return np.arange(k)
    if name == "reverse":
        return np.arange(k)[::-1]
    if name == "snake":  # as raster, every second line backwards
        line = np.arange(k) // grid[-1]
        flipped = np.where(line % 2 == 0, cells[-1], grid[-1] - 1 - cells[-1])
        return np.lexsort((flipped, *cells[:-1][::-1]))
    if name == "spiral":  # rings around the centre, each walked by its angle
        away = cells - (np.array(grid)[:, None] - 1) / 2
        angle = np.arctan2(away[0], away[-1])
        return np.lexsort((angle, np.abs(away).max(0)))
    if name == "random":
        if seed is None:
            raise PartitionError("order: 'random' needs a seed; pass seed=0, say")
        if not 0 <= seed < 2**128:
            raise PartitionError(f"seed: expected a whole number from 0 to 2^128 - 1, got {seed}")
        return np.random.Generator(np.random.Philox(key=seed)).permutation(k)
    known = ("raster", "reverse", "snake", "spiral", "random")
    raise PartitionError(f"order: expected a permutation or one of {known}, got {name!r}{nearest(name, known)}")


def _direction(order: Order, forwards: str, backwards: str) -> Order:
    return {forwards: "raster", backwards: "reverse"}.get(order, order) if isinstance(order, str) else order


def _permutation(order: Sequence[int], k: int) -> np.ndarray:
    numbers = np.asarray(order)
    if numbers.shape != (k,) or sorted(numbers.tolist()) != list(range(k)):
        raise PartitionError(
            f"order: expected each of 0 to {k - 1} once, got {_shorten(tuple(numbers.ravel().tolist()))}"
        )
    return numbers.astype(np.int64)


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(n) for n in shape)
    if not sizes or min(sizes) < 1:
        raise PartitionError(
            f"shape: expected an event shape such as (3, 32, 32), without the batch axis, got {tuple(shape)}"
        )
    return sizes


def _compact(labels: np.ndarray) -> np.ndarray:
    for axis in range(labels.ndim):
        first = labels[(slice(None),) * axis + (slice(0, 1),)]
        if (labels == first).all():
            labels = first
    return labels


def _shorten(values: tuple[int, ...], most: int = 9) -> str:
    return str(values) if len(values) <= most else f"({', '.join(map(str, values[:most]))}, ... {len(values)} in all)"
