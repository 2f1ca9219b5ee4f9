"""The NumPy backend: arrays and plain loops, for any library that follows the array API standard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np

from gdm.arrays import namespace
from gdm.backends import check_choice
from gdm.backends.plain import Plain
from gdm.errors import UnsupportedError


class NumPy(Plain):
    """NumPy on the host: the core in full, no derivatives, no networks."""

    name = "numpy"

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.device = check_choice("device of numpy", None if device == "auto" else device, ("cpu",))
        self.precision = check_choice("precision", precision, ("float32", "float64"))

    def asarray(self, values: Any) -> np.ndarray:
        array = np.asarray(values)
        return array.astype(self.precision, copy=False) if array.dtype.kind == "f" else array

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

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
