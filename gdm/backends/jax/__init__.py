"""The JAX backend: arrays, one program per loop, automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import numpy as np

from gdm.backends import HOST_BATCH, check_choice
from gdm.backends.world import Alone, World
from gdm.errors import BackendError, UnsupportedError
from gdm.fused import adder


class Jax:
    """JAX on one device; functions of the core also run under `jax.jit`, `jax.grad` and `jax.vmap`."""

    name = "jax"
    out_of_memory = (MemoryError,)

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.precision = check_choice("precision", precision, ("float32", "float64"))
        if self.precision == "float64" and not jax.config.read("jax_enable_x64"):
            raise BackendError(
                "precision: JAX makes float64 arrays after jax.config.update('jax_enable_x64', True); call it first"
            )
        self._device = _find(device)
        self.device = f"{self._device.platform}:{self._device.id}"

    def asarray(self, values: Any) -> jax.Array:
        if not isinstance(values, jax.Array):
            values = np.asarray(values)
        floating = jax.numpy.issubdtype(values.dtype, jax.numpy.floating)
        return jax.device_put(jax.numpy.asarray(values, dtype=self.precision if floating else None), self._device)

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(function)

    def inference(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def batch_for(self, call: Callable[[int], object], most: int) -> int:
        return min(HOST_BATCH, most)

    def world(self) -> World:
        return Alone()

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        return jax.lax.scan(lambda carry, row: (body(carry, row), None), carry, tables)[0]

    adder = staticmethod(adder)  # XLA makes one operation of it

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pull = jax.vjp(function, x)
        return value, lambda v: pull(v)[0]

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


def _find(device: str | None) -> Any:
    """Return the device called "cpu", "gpu", "gpu:1", ...; the default one for None and "auto"."""
    if device in (None, "auto"):
        return jax.devices()[0]
    platform, _, number = str(device).partition(":")
    try:
        return jax.devices(platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        there = ", ".join(f"{d.platform}:{d.id}" for d in jax.devices())
        raise BackendError(f"device of jax: expected one of {there}, got {device!r}") from error


def _no_networks() -> UnsupportedError:
    return UnsupportedError(
        "networks: expected backend 'torch', got 'jax', for which gdm has none yet; use torch, or pass any JAX "
        "function (x_t, alpha) -> u to gdm.generate and the losses"
    )
