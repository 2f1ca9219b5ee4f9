"""Frequency bases, Appendix A.4: blur matrices W = U D U^T, their eigenvectors, and the order of frequencies.

Every basis is an orthogonal matrix whose columns are the basis vectors, so coordinates are x_bar = U^T x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ranks = NDArray[np.int64]


def gaussian_taps(sigma: float = 0.4) -> tuple[float, float]:
    """(a0, a1): centre and neighbour tap of exp(-x^2 / (2 sigma^2)), normalised over the whole kernel.

    Cutting the kernel at radius 1 drops taps under 4e-6 for sigma = 0.4 (in pixels).
    """
    radius = math.ceil(40 * sigma)  # exp(-40^2 / 2) is 0 in float64
    total = sum(math.exp(-(x**2) / (2 * sigma**2)) for x in range(-radius, radius + 1))
    return 1.0 / total, math.exp(-1 / (2 * sigma**2)) / total


def blur_matrix(size: int, sigma: float = 0.4) -> Array:
    """The zero-padded Gaussian blur of a line, cut at radius 1: W x = (blurred x); (size, size)."""
    taps = gaussian_taps(sigma)
    W = np.zeros((size, size))
    for i in range(size):
        for neighbour in (i - 1, i, i + 1):
            if 0 <= neighbour < size:
                W[i, neighbour] = taps[abs(i - neighbour)]
    return W


def blur_matrix_2d(height: int, width: int, sigma: float = 0.4) -> Array:
    """The same blur of an image flattened in row-major order; (height * width, height * width)."""
    taps = gaussian_taps(sigma)
    W = np.zeros((height * width, height * width))
    for i, j in np.ndindex(height, width):
        for row in (i - 1, i, i + 1):
            for column in (j - 1, j, j + 1):
                if 0 <= row < height and 0 <= column < width:
                    W[i * width + j, row * width + column] = taps[abs(i - row)] * taps[abs(j - column)]
    return W


def reflecting_matrix(size: int, kernel: Sequence[float]) -> Array:
    """Blur of a line by a centred kernel of odd length, reflected half a sample past the ends; (size, size).

    x_{-1} = x_0, x_{-2} = x_1, ... and x_size = x_{size-1}, ..., as often as the kernel needs.
    """
    radius = len(kernel) // 2
    W = np.zeros((size, size))
    for i in range(size):
        for offset in range(-radius, radius + 1):
            position = i + offset
            while not 0 <= position < size:
                position = -1 - position if position < 0 else 2 * size - 1 - position
            W[i, position] += kernel[radius + offset]
    return W


def eigenbasis(W: Array) -> tuple[Array, Array]:
    """(D, U) with W = U diag(D) U^T for a symmetric blur, eigenvalues descending (low frequencies first)."""
    values, vectors = np.linalg.eigh(W)
    return values[::-1], vectors[:, ::-1]


def dct_matrix(size: int) -> Array:
    """DCT-II: U[x, i] = c_i cos(pi (x + 1/2) i / size), c_0 = sqrt(1 / size), else c_i = sqrt(2 / size)."""
    U = np.empty((size, size))
    for x in range(size):
        for i in range(size):
            U[x, i] = math.sqrt((1 if i == 0 else 2) / size) * math.cos(math.pi * (x + 0.5) * i / size)
    return U


def dst_matrix(size: int) -> Array:
    """DST-I: U[x, i] = sqrt(2 / (size + 1)) sin(pi (x + 1) (i + 1) / (size + 1))."""
    U = np.empty((size, size))
    for x in range(size):
        for i in range(size):
            U[x, i] = math.sqrt(2 / (size + 1)) * math.sin(math.pi * (x + 1) * (i + 1) / (size + 1))
    return U


def haar_matrix(size: int) -> Array:
    """Haar basis: the constant, then one step per split of a segment, coarse to fine, left to right.

    A segment of n = left + right elements (left = right, or right + 1 if n is odd) gives the vector that is
    sqrt(right / (left n)) on its left part, -sqrt(left / (right n)) on its right part: mean zero, norm one.
    For powers of two this is the classical Haar matrix; for other sizes it is the unbalanced one.
    """
    U = np.zeros((size, size))
    U[:, 0] = 1 / math.sqrt(size)
    segments = [(0, size)]
    column = 1
    while segments:
        start, end = segments.pop(0)
        n = end - start
        if n < 2:
            continue
        left = (n + 1) // 2
        right = n - left
        U[start : start + left, column] = math.sqrt(right / (left * n))
        U[start + left : end, column] = -math.sqrt(left / (right * n))
        segments += [(start, start + left), (start + left, end)]
        column += 1
    return U


def image_matrix(U_rows: Array, U_columns: Array, channels: int = 1) -> Array:
    """Separable basis of an event: U[(c, i, j), (c, p, q)] = U_rows[i, p] U_columns[j, q], else 0; (d, d).

    U_rows (height, height) mixes the rows of an image, U_columns (width, width) its columns.
    """
    height, width = len(U_rows), len(U_columns)
    U = np.zeros((channels, height, width, channels, height, width))
    for c in range(channels):
        for i in range(height):
            for p in range(height):
                U[c, i, :, c, p, :] = U_rows[i, p] * U_columns
    return U.reshape(channels * height * width, channels * height * width)


def blur_eigenvalues(size: int, sigma: float = 0.4) -> list[float]:
    """Eigenvalues of `blur_matrix`, one per DST-I vector i: a0 + 2 a1 cos(pi (i + 1) / (size + 1))."""
    a0, a1 = gaussian_taps(sigma)
    return [a0 + 2 * a1 * math.cos(math.pi * ((i + 1) / (size + 1))) for i in range(size)]


def blur_ranks(height: int, width: int, sigma: float = 0.4) -> Ranks:
    """Frequency rank of each DST-I coordinate (i, j) of an image, 0 the lowest; (height, width).

    By descending eigenvalue of the blur, ties by (i + j, i, j). Eigenvalues are compared after rounding to 12
    digits, so that floating-point noise does not split a tie.
    """
    down, across = blur_eigenvalues(height, sigma), blur_eigenvalues(width, sigma)
    indices = list(np.ndindex(height, width))
    indices.sort(key=lambda ij: (-round(down[ij[0]] * across[ij[1]], 12), ij[0] + ij[1], ij[0], ij[1]))
    return _ranks(indices, height, width)


def cosine_ranks(height: int, width: int) -> Ranks:
    """Frequency rank of each DCT-II coordinate (i, j) of an image, 0 the lowest; (height, width).

    By ascending (i / height)^2 + (j / width)^2, ties by (i + j, i, j). The key is multiplied by (height *
    width)^2, which makes it an integer and a tie exact.
    """
    indices = list(np.ndindex(height, width))
    indices.sort(key=lambda ij: ((ij[0] * width) ** 2 + (ij[1] * height) ** 2, ij[0] + ij[1], ij[0], ij[1]))
    return _ranks(indices, height, width)


def _ranks(indices: list[tuple[int, ...]], height: int, width: int) -> Ranks:
    """Position of each coordinate in a sorted list of all coordinates."""
    ranks = np.empty((height, width), dtype=np.int64)
    for rank, index in enumerate(indices):
        ranks[index] = rank
    return ranks
