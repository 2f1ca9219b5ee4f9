"""The named members of the model family: each constructor picks a partition, a basis and intervals.

`Schedule` inherits them, so they are used as `Schedule.blockwise((3, 32, 32), grid=(3, 3))`. They all take
the event shape first, and
    intervals: (k, 2) of (start, end) in order of generation, None for equal ones;
    path: "linear", "trigonometric" / "vp", or a `gdm.path.Path`;
    overlap: whether intervals may overlap;
    order, seed: the order of generation, where there is a choice; see `Partition.blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from gdm.basis import Basis
from gdm.partition import Order, Partition
from gdm.path import Path

Intervals = Sequence[Sequence[float]] | np.ndarray | None


class Families:
    """Constructors of a class made from (partition, intervals, basis, path, overlap)."""

    __slots__ = ()

    def __init__(
        self,
        partition: Partition,
        intervals: Intervals = None,
        basis: Basis | str | None = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> None:
        raise TypeError("Families only names constructors; use gdm.Schedule")

    @classmethod
    def vanilla(cls, shape: Sequence[int], *, intervals: Intervals = None, path: str | Path = "linear") -> Self:
        """One group: rectified flow (Eq. 2) or, on the trigonometric path, variance-preserving diffusion."""
        return cls(Partition.single(shape), intervals, None, path)

    @classmethod
    def blockwise(
        cls,
        shape: Sequence[int],
        grid: Sequence[int] = (3, 3),
        order: Order = None,
        seed: int | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """Blocks one after another (Fig. 1b); see `Partition.blocks` for `grid` and `order`."""
        return cls(Partition.blocks(shape, grid, order, seed), intervals, None, path, overlap)

    @classmethod
    def rows(
        cls,
        shape: Sequence[int],
        k: int | None = None,
        order: Order = None,
        seed: int | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """Bands of rows; order="bottom-to-top" is the best grouping of Table 1."""
        return cls(Partition.rows(shape, k, order, seed), intervals, None, path, overlap)

    @classmethod
    def columns(
        cls,
        shape: Sequence[int],
        k: int | None = None,
        order: Order = None,
        seed: int | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """Bands of columns; order="right-to-left" is the grouping of Table 1 and Fig. 11."""
        return cls(Partition.columns(shape, k, order, seed), intervals, None, path, overlap)

    @classmethod
    def cascade(
        cls,
        shape: Sequence[int],
        factor: int = 2,
        stages: int = 2,
        inverse: bool = False,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """A cascaded model without low-pass filtering (Prop. 3.2, C.2): coarse grid first, then the rest."""
        return cls(Partition.lattice(shape, factor, stages, inverse), intervals, None, path, overlap)

    @classmethod
    def autoregressive(
        cls,
        shape: Sequence[int],
        order: Order = None,
        seed: int | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
    ) -> Self:
        """One element after another (Prop. 3.1, C.1); with one step each it is the autoregressive loop."""
        return cls(Partition.elements(shape, order, seed), intervals, None, path)

    @classmethod
    def channels(
        cls,
        shape: Sequence[int],
        order: Order = None,
        seed: int | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """One channel after another."""
        return cls(Partition.channels(shape, order, seed), intervals, None, path, overlap)

    @classmethod
    def colour(
        cls,
        shape: Sequence[int],
        order: Sequence[int] | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """The intensity of RGB images, then their colour: a model that can colourise (`Basis.opponent`)."""
        basis = Basis.opponent(shape)
        chroma = np.arange(3).reshape(3, 1, 1) > 0
        partition = Partition(np.broadcast_to(chroma, basis.shape).astype(np.int64))
        return cls(partition if order is None else partition.reorder(order), intervals, basis, path, overlap)

    @classmethod
    def bands(
        cls,
        shape: Sequence[int],
        edges: Sequence[int],
        basis: Basis | str = "cosine",
        order: Sequence[int] | None = None,
        *,
        intervals: Intervals = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """Frequency bands, low to high: GDM-F (Sec. 3.4). Edges (30, 100) mean [0, 30) [30, 100) [100, n)."""
        basis = basis if isinstance(basis, Basis) else Basis.named(basis, shape)
        partition = Partition.bands(shape, edges, basis.order)
        return cls(partition if order is None else partition.reorder(order), intervals, basis, path, overlap)

    @classmethod
    def from_labels(
        cls,
        labels: np.ndarray,
        *,
        intervals: Intervals = None,
        basis: Basis | str | None = None,
        path: str | Path = "linear",
        overlap: bool = False,
    ) -> Self:
        """Any groups: an integer array of the event shape, numbered in order of generation."""
        return cls(Partition.from_labels(labels), intervals, basis, path, overlap)
