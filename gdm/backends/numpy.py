"""The NumPy backend: arrays and plain loops, for any library that follows the array API standard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np

from gdm.arrays import namespace
from gdm.backends import HOST_BATCH, check_choice
from gdm.backends.world import Alone, World
from gdm.errors import UnsupportedError
from gdm.fused import adder


class NumPy:
    """NumPy on the host: the core in full, no derivatives, no networks."""

    name = "numpy"
    out_of_memory = (MemoryError,)

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

    def inference(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def batch_for(self, call: Callable[[int], object], most: int) -> int:
        return min(HOST_BATCH, most)

    def world(self) -> World:
        return Alone()

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        for row in rows(tables):
            carry = body(carry, row)
        return carry

    adder = staticmethod(adder)

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        raise UnsupportedError(
            "derivatives: expected torch or jax arrays, got arrays without automatic differentiation; "
            "convert them with gdm.backends.get('torch').asarray(...)"
        )

    def computing(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def wait(self) -> None:
        pass

    def peak_memory(self) -> int | None:
        return None

    def build(self, spec: Any, schedule: Any, *, classes: int = 0, augmented: bool = False, seed: int = 0) -> Any:
        raise _no_networks()

    def export_parameters(self, network: Any) -> dict[str, np.ndarray]:
        raise _no_networks()

    def import_parameters(self, network: Any, parameters: Mapping[str, np.ndarray]) -> None:
        raise _no_networks()

    def trainer(self, network: Any, groupings: Any, training: Any, seed: int) -> Any:
        raise _no_networks()


def rows(tables: Any) -> Iterator[Any]:
    """Walk the rows (first axis) of an array or a tree of (named) tuples of arrays; None stays None."""
    if tables is None:
        return repeat(None)
    if not isinstance(tables, tuple):
        return iter(namespace(tables).unstack(tables))
    walked = zip(*map(rows, tables), strict=False)  # None repeats for ever
    return map(partial(tuple.__new__, type(tables)), walked) if hasattr(tables, "_fields") else walked


def _no_networks() -> UnsupportedError:
    return UnsupportedError(
        "networks: expected backend 'torch', got 'numpy', which has no networks; use gdm.backends.get('torch')"
    )
