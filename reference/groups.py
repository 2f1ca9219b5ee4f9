"""Groups of elements, Sections 3.1, 4.1 and 4.3: the label of every element, one element at a time.

Spatial groups look at the last two axes (rows, columns) and ignore the others, so all channels of a pixel
share its group. Labels number the groups in order of generation: group 0 is generated first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def section(position: int, length: int, parts: int) -> int:
    """The part that holds `position` when `length` items are split as numpy.array_split does.

    The first `length % parts` parts hold one item more than the others.
    """
    end = 0
    for part in range(parts):
        end += length // parts + (1 if part < length % parts else 0)
        if position < end:
            return part
    raise ValueError(f"position {position} lies outside a sequence of length {length}")


def label_pixels(shape: tuple[int, ...], label: Callable[[int, int], int]) -> Labels:
    """Labels of an event of `shape` (..., height, width) from a function of the pixel's (row, column)."""
    labels = np.empty(shape, dtype=np.int64)
    for index in np.ndindex(*shape):
        labels[index] = label(index[-2], index[-1])
    return labels


def element_labels(shape: tuple[int, ...]) -> Labels:
    """One group per element in row-major order (k = d, the autoregressive grouping of Proposition 3.1)."""
    labels = np.empty(shape, dtype=np.int64)
    for position, index in enumerate(np.ndindex(*shape)):
        labels[index] = position
    return labels


def channel_labels(shape: tuple[int, int, int]) -> Labels:
    """One group per channel of an event of `shape` (channels, height, width)."""
    labels = np.empty(shape, dtype=np.int64)
    for index in np.ndindex(*shape):
        labels[index] = index[0]
    return labels


def row_labels(shape: tuple[int, ...], k: int) -> Labels:
    """k bundles of rows, the top bundle generated first; counts need not divide."""
    return label_pixels(shape, lambda row, column: section(row, shape[-2], k))


def column_labels(shape: tuple[int, ...], k: int) -> Labels:
    """k bundles of columns, the leftmost bundle generated first; counts need not divide."""
    return label_pixels(shape, lambda row, column: section(column, shape[-1], k))


def block_labels(shape: tuple[int, ...], grid: tuple[int, int], order: Sequence[int] | None = None) -> Labels:
    """Block-wise grouping (Figs. 1 and 5): grid = (blocks down, blocks across), numbered in row-major order.

    `order[j]` is the block that is generated j-th; None generates the blocks in row-major order.
    """
    blocks = range(grid[0] * grid[1])
    turns = list(blocks if order is None else order)

    def label(row: int, column: int) -> int:
        block = section(row, shape[-2], grid[0]) * grid[1] + section(column, shape[-1], grid[1])
        return turns.index(block)

    return label_pixels(shape, label)


def lattice_labels(shape: tuple[int, ...], factor: int = 2, stages: int = 1, inverse: bool = False) -> Labels:
    """Grouping of a cascade without low-pass filtering (Appendix C.2, Fig. 13), `stages` upsamplings deep.

    Group 0 is x[..., 0::n, 0::n] with n = factor ** stages; each later group fills the lattice that is
    `factor` times finer, and the last one fills the image. `inverse` reverses the order of generation
    (CDM-inv).
    """

    def label(row: int, column: int) -> int:
        for stage in range(stages):
            stride = factor ** (stages - stage)
            if row % stride == 0 and column % stride == 0:
                return stages - stage if inverse else stage
        return 0 if inverse else stages

    return label_pixels(shape, label)


def band_labels(shape: tuple[int, ...], ranks: NDArray[np.int64], edges: Sequence[int]) -> Labels:
    """Frequency bands (Section 4.3) over the frequency ranks (height, width) of a basis, lowest first.

    Half-open: edges (30, 100, 500) are the bands [0, 30), [30, 100), [100, 500) and [500, height * width).
    """

    def label(row: int, column: int) -> int:
        band = 0
        for edge in edges:
            if ranks[row, column] >= edge:
                band += 1
        return band

    return label_pixels(shape, label)
