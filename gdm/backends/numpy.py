"""The NumPy backend: arrays and plain loops, for any library that follows the array API standard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gdm.arrays import namespace
from gdm.backends import check_choice, unet
from gdm.backends.plain import Plain
from gdm.errors import UnsupportedError


def convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve with zeros around the image, as one product of matrices: each pixel's neighbours lie in a row.

    Shapes: x (batch, H, W, C), kernel (C', C, 3, 3) -> (batch, H, W, C')
    """
    batch, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = sliding_window_view(padded, (3, 3), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    product = windows.reshape(-1, 9 * channels) @ kernel.transpose(2, 3, 1, 0).reshape(9 * channels, -1)
    return product.reshape(batch, height, width, -1)


class NumPy(Plain):
    """NumPy on the host: the core in full and networks to sample with; no derivatives, so no training."""

    name = "numpy"
    forward = staticmethod(partial(unet.forward, convolve))

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.device = check_choice("device of numpy", None if device == "auto" else device, ("cpu",))
        self.precision = check_choice("precision", precision, self.precisions)

    def asarray(self, values: Any) -> np.ndarray:
        array = np.asarray(values)
        return array.astype(self.precision, copy=False) if array.dtype.kind == "f" else array

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        for row in rows(tables):
            carry = body(carry, row)
        return carry

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        raise UnsupportedError(
            "derivatives: expected torch or jax arrays, got arrays without automatic differentiation; "
            "convert them with gdm.backends.get('torch').asarray(...)"
        )


def rows(tables: Any) -> Iterator[Any]:
    """Walk the rows (first axis) of an array or a tree of (named) tuples of arrays; None stays None."""
    if tables is None:
        return repeat(None)
    if not isinstance(tables, tuple):
        return iter(namespace(tables).unstack(tables))
    walked = zip(*map(rows, tables), strict=False)  # None repeats for ever
    return map(partial(tuple.__new__, type(tables)), walked) if hasattr(tables, "_fields") else walked
