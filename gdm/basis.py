"""The orthogonal matrix U of A(t) = U diag(alpha) U^T: the coordinates in which groups are diffused.

U acts on the last two axes of an event (the only one of a one-dimensional event), the same for
every channel, as a product of one small matrix per axis: O(r^3) for an r x r image, never r^2 x r^2.
The opponent basis acts on the channels instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdm import frequency
from gdm.arrays import A, check_event, constant, namespace
from gdm.errors import BasisError, nearest


@dataclass(frozen=True, eq=False, slots=True)
class Basis:
    """An orthonormal basis of events, frozen and hashable; its vectors are the columns of U.

    Build one with `pixel`, `cosine`, `blur`, `haar`, `opponent` or `from_matrix`. `order` (int, event shape) is the
    frequency rank of each coordinate within its channel, 0 the smoothest; `factors` are the matrices U of the last
    axes, one each, none for pixels.

    >>> basis = Basis.cosine((1, 8, 8))
    >>> x = np.random.default_rng(0).normal(size=(5, 1, 8, 8))
    >>> bool(np.allclose(basis.synthesize(basis.analyze(x)), x))
    True
    """

    name: str
    shape: tuple[int, ...]
    factors: tuple[np.ndarray, ...]
    order: np.ndarray
    _key: tuple[object, ...] = field(init=False)
    _turned: tuple[bool, ...] = field(init=False)  # which of the factors are not the identity

    def __post_init__(self) -> None:
        for array in (*self.factors, self.order):
            array.setflags(write=False)
        content = (*(f.tobytes() for f in self.factors), self.order.tobytes())
        object.__setattr__(self, "_key", (self.name, self.shape, *content))
        turned = (not np.array_equal(factor, np.eye(len(factor))) for factor in self.factors)
        object.__setattr__(self, "_turned", tuple(turned))

    @property
    def coordinates(self) -> str:
        """What the coordinates are, in words: "pixels", "cosine frequencies", "opponent colours"."""
        words = {"pixel": "pixels", "opponent": "opponent colours"}
        return words.get(self.name, f"{self.name} frequencies")

    def analyze(self, x: A) -> A:
        """Return the coordinates U^T x. Shapes: (batch, *event) -> (batch, *event)."""
        return self._apply(x, "x", lambda matrix: matrix)

    def synthesize(self, c: A) -> A:
        """Return the event U c of coordinates c. Shapes: (batch, *event) -> (batch, *event)."""
        return self._apply(c, "c", lambda matrix: matrix.T)

    def _apply(self, x: A, name: str, side: Callable[[np.ndarray], np.ndarray]) -> A:
        """Multiply the last axis by side(U) from the right and those before it, if any, likewise."""
        check_event(x, self.shape, name)
        if not any(self._turned):
            return x
        xp = namespace(x)
        sizes = tuple(len(f) for f in self.factors)
        lead = math.prod(self.shape) // math.prod(sizes)
        y = xp.reshape(x, (x.shape[0] * lead, *sizes))
        if self._turned[-1]:
            y = xp.matmul(y, constant(side(self.factors[-1]), like=x))
        for axis in reversed(range(len(sizes) - 1)):
            if self._turned[axis]:
                after = math.prod(sizes[axis + 1 :])
                y = xp.reshape(y, (-1, sizes[axis], after))
                y = xp.matmul(constant(side(self.factors[axis]).T, like=x), y)
        return xp.reshape(y, x.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Basis) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts: arrays come back writable, these must not."""
        return Basis, (self.name, self.shape, self.factors, self.order)

    def __repr__(self) -> str:
        return f"Basis.{self.name}({self.shape})"

    @classmethod
    def named(cls, name: str, shape: Sequence[int]) -> Basis:
        """Return the basis called "pixel", "cosine", "blur" or "haar" with its default settings."""
        known = {"pixel": cls.pixel, "cosine": cls.cosine, "blur": cls.blur, "haar": cls.haar}
        if name not in known:
            raise BasisError(f"basis: expected one of {tuple(known)}, got {name!r}{nearest(name, known)}")
        return known[name](shape)

    @classmethod
    def pixel(cls, shape: Sequence[int]) -> Basis:
        """Return U = I: groups are sets of pixels. `order` is the raster order."""
        shape = _event(shape)
        raster = np.arange(math.prod(frequency.spatial(shape)))
        return cls("pixel", shape, (), frequency.over_event(raster, shape))

    @classmethod
    def cosine(cls, shape: Sequence[int]) -> Basis:
        """Return the DCT-II basis: the eigenvectors of a blur of any width with reflecting borders.

        `order` is by rising squared frequency (i / H)^2 + (j / W)^2, the falling eigenvalue of a Gaussian blur.
        """
        shape = _event(shape)
        sizes = frequency.spatial(shape)
        return cls(
            "cosine",
            shape,
            tuple(map(_cosine, sizes)),
            frequency.over_event(frequency.isotropic(sizes), shape),
        )

    @classmethod
    def blur(cls, shape: Sequence[int], sigma: float = 0.4) -> Basis:
        """Return the eigenvectors of a zero-padded Gaussian blur of width `sigma` pixels, cut at radius 1.

        That blur is tridiagonal per axis, so its eigenvectors are exactly the sine transform DST-I, with
        eigenvalues a0 + 2 a1 cos(pi (i + 1) / (r + 1)). `order` is by falling eigenvalue (Fig. 12, A.4).

        Raises: BasisError if an eigenvalue is not positive: such a blur loses information and has no order.
        """
        shape = _event(shape)
        sizes = frequency.spatial(shape)
        if not sigma > 0:
            raise BasisError(f"blur: expected sigma > 0 in pixels, got {sigma}")
        side = math.exp(-1 / (2 * sigma**2))
        lines = [(1 + 2 * side * np.cos(math.pi * np.arange(1, r + 1) / (r + 1))) / (1 + 2 * side) for r in sizes]
        if min(line.min() for line in lines) <= 0:
            raise BasisError(
                f"blur: sigma = {sigma} cut at radius 1 has eigenvalues <= 0; use sigma < 0.84, or Basis.cosine"
            )
        eigenvalues = np.round(np.multiply.outer(lines[0], lines[1]) if len(lines) == 2 else lines[0], 12)
        return cls("blur", shape, tuple(map(_sine, sizes)), frequency.over_event(frequency.rank(-eigenvalues), shape))

    @classmethod
    def opponent(cls, shape: Sequence[int]) -> Basis:
        """Return the opponent colours of RGB: channel 0 becomes the intensity (R + G + B) / sqrt(3), 1 and 2 colour.

        The others are (R - G) / sqrt(2) and (R + G - 2 B) / sqrt(6), 0 for grey. `order` is the raster order.

        Raises: BasisError for images without three channels
        """
        shape = _event(shape)
        if len(shape) != 3 or shape[0] != 3:
            raise BasisError(f"opponent: expected an RGB image's shape (3, H, W), got {shape}; set data.channels=3")
        columns = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]).T
        matrix = columns / np.sqrt((columns**2).sum(axis=0))
        order = frequency.over_event(np.arange(math.prod(shape[1:])), shape)
        return cls("opponent", shape, (matrix, np.eye(shape[1]), np.eye(shape[2])), order)

    @classmethod
    def haar(cls, shape: Sequence[int]) -> Basis:
        """Return the Haar wavelets of each axis, multiplied; sizes other than powers of two are unbalanced Haar.

        `order` is by rising sum of squared scales (1 / support)^2, the support in pixels; a constant's scale is 0.
        """
        shape = _event(shape)
        matrices, scales = zip(*map(_haar, frequency.spatial(shape)), strict=True)
        key = np.add.outer(scales[0], scales[1]) if len(scales) == 2 else scales[0]
        return cls("haar", shape, matrices, frequency.over_event(frequency.rank(np.round(key, 12)), shape))

    @classmethod
    def from_matrix(cls, shape: Sequence[int], matrix: np.ndarray, order: Sequence[int] | None = None) -> Basis:
        """Take an orthogonal n x n `matrix` (columns are basis vectors), n the size of the trailing axes it acts on.

        order: frequency rank of each column (None: the columns' own order).

        Raises: BasisError if the matrix does not fit the shape or U^T U differs from I by more than 1e-6.
        """
        shape = _event(shape)
        matrix = np.array(matrix, np.float64)
        tails = [math.prod(shape[axis:]) for axis in range(len(shape))]
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) not in tails:
            raise BasisError(f"matrix: expected n x n with n one of {tails} for shape {shape}, got {matrix.shape}")
        worst = float(np.abs(matrix.T @ matrix - np.eye(len(matrix))).max())
        if not worst <= 1e-6:
            raise BasisError(
                f"matrix: U^T U differs from the identity by {worst:.1e}; orthogonalise it, e.g. np.linalg.qr(U)[0]"
            )
        ranks = np.arange(len(matrix)) if order is None else np.asarray(order)
        if sorted(ranks.tolist()) != list(range(len(matrix))):
            raise BasisError(f"order: expected each rank 0 to {len(matrix) - 1} once, got {order}")
        return cls("matrix", shape, (matrix,), frequency.over_event(ranks.astype(np.int64), shape))


def _event(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the event shape as integers."""
    sizes = tuple(int(n) for n in shape)
    if not sizes or min(sizes) < 1:
        raise BasisError(f"shape: expected an event shape such as (3, 32, 32), without the batch axis, got {sizes}")
    return sizes


def _cosine(r: int) -> np.ndarray:
    """DCT-II: U[n, i] = c_i cos(pi (2n + 1) i / 2r)."""
    n, i = np.indices((r, r))
    matrix = math.sqrt(2 / r) * np.cos(math.pi * ((2 * n + 1) * i % (4 * r)) / (2 * r))
    matrix[:, 0] = math.sqrt(1 / r)
    return matrix


def _sine(r: int) -> np.ndarray:
    """DST-I: U[n, i] = sqrt(2 / (r + 1)) sin(pi (n + 1)(i + 1) / (r + 1))."""
    n, i = np.indices((r, r)) + 1
    return math.sqrt(2 / (r + 1)) * np.sin(math.pi * (n * i % (2 * (r + 1))) / (r + 1))


def _haar(r: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unbalanced Haar vectors (columns, coarse to fine) and their squared scales.

    Each vector is positive on one cell, negative on its neighbour, and orthogonal to constants on both.
    """
    columns, scales = [np.full(r, 1 / math.sqrt(r))], [0.0]
    cells = [(0, r)]
    while cells:  # breadth first, so that columns run from coarse to fine
        start, stop = cells.pop(0)
        left, right = (stop - start + 1) // 2, (stop - start) // 2
        if not right:
            continue
        column = np.zeros(r)
        column[start : start + left] = math.sqrt(right / (left * (left + right)))
        column[start + left : stop] = -math.sqrt(left / (right * (left + right)))
        columns.append(column)
        scales.append(1 / (stop - start) ** 2)
        cells += [(start, start + left), (start + left, stop)]
    return np.stack(columns, axis=1), np.array(scales)
