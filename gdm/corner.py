"""Mixtures in a frequency basis by thin products: most coordinates share one weight, the others lie in a small corner.

With r the weights of the largest group, which the coordinates outside the corner all have, and U_c the
basis vectors of the corner,

    U diag(w) U^T x  =  r x + U_c diag(w_c - r) U_c^T x,

where U_c is a product of two H x h and W x w matrices. Exact for any w, h and w far below H and W for the bands
of images: at 256 x 256 the 500 lowest frequencies lie within 26 x 26, and 10 times less is to be multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdm.arrays import constant, frozen, index, namespace
from gdm.basis import Basis
from gdm.fused import add_matmul, add_scaled
from gdm.partition import Partition


@dataclass(frozen=True, eq=False, slots=True)
class Corner:
    """The coordinates (..., :h, :w) of a basis that hold all groups but one, the `rest`.

    labels: their groups, (channels or 1, h, w), or (..., h) where the basis acts on one axis;
    factors: per axis of the basis, the first columns of its matrix, (H, h) and (W, w).
    """

    rest: int
    labels: np.ndarray
    factors: tuple[np.ndarray, ...]

    def mix(self, parts: Sequence[tuple[Any, Any]]) -> Any:
        """Return U sum_i diag(w_i) U^T x_i of pairs (w_i, x_i). Shapes: (batch, k), (batch, *event) -> (batch, *event)"""
        xp = namespace(*(array for part in parts for array in part))
        batch, *event = parts[0][1].shape
        sizes = tuple(factor.shape[0] for factor in self.factors)
        grid = (batch, math.prod(event) // math.prod(sizes), *sizes)
        whole = inside = None
        for weights, x in parts:
            x, rest = xp.reshape(x, grid), weights[:, self.rest : self.rest + 1]
            outer, inner = xp.reshape(rest, (batch,) + (1,) * (len(grid) - 1)), self._spread(weights - rest)
            whole = outer * x if whole is None else add_scaled(whole, outer, x)
            inside = inner * self._analyze(x) if inside is None else add_scaled(inside, inner, self._analyze(x))
        if self.labels.size:  # else there is one group, whose weights are all
            whole = self._add_synthesis(whole, inside)
        return xp.reshape(whole, (batch, *event))

    def _spread(self, per_group: Any) -> Any:
        """Shapes: (batch, k) -> (batch, channels or 1, h, w)"""
        xp = namespace(per_group)
        flat = xp.take(per_group, xp.reshape(index(self.labels, like=per_group), (-1,)), axis=1)
        return xp.reshape(flat, (per_group.shape[0], *self.labels.shape))

    def _analyze(self, x: Any) -> Any:
        """Return U_c^T x. Shapes: (batch, channels, H, W) -> (batch, channels, h, w)"""
        xp = namespace(x)
        c = xp.matmul(x, constant(self.factors[-1], like=x))
        return c if len(self.factors) == 1 else xp.matmul(constant(self.factors[0].T, like=x), c)

    def _add_synthesis(self, own: Any, c: Any) -> Any:
        """Return own + U_c c. Shapes: (batch, channels, H, W), (batch, channels, h, w) -> (batch, channels, H, W)"""
        xp = namespace(c)
        if len(self.factors) == 2:
            c = xp.matmul(constant(self.factors[0], like=c), c)
        return add_matmul(own, c, constant(self.factors[-1].T, like=c))


def corner_of(basis: Basis, partition: Partition) -> Corner | None:
    """Return the corner of a partition's coordinates, None if it is most of a side: a full transform is simpler then."""
    if not basis.factors:
        return None
    rest = int(np.argmax(partition.sizes))
    sizes = tuple(len(factor) for factor in basis.factors)
    labels = partition.labels.reshape(-1, *sizes)
    others = (labels != rest).any(axis=0)
    reach = [int(where.max(initial=-1)) + 1 for where in others.nonzero()]
    if any(2 * side > size for side, size in zip(reach, sizes, strict=True)):
        return None
    corner = labels[(slice(None), *map(slice, reach))]
    corner = corner[:1] if (corner == corner[:1]).all() else corner
    factors = tuple(frozen(factor[:, :side]) for factor, side in zip(basis.factors, reach, strict=True))
    return Corner(rest, frozen(corner), factors)
