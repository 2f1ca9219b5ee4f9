"""The JAX backend: arrays, one program per loop, automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gdm.backends import check_choice
from gdm.backends.plain import Plain
from gdm.errors import BackendError


class Jax(Plain):
    """JAX on one device; functions of the core also run under `jax.jit`, `jax.grad` and `jax.vmap`."""

    name = "jax"

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

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        return jax.lax.scan(lambda carry, row: (body(carry, row), None), carry, tables)[0]

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pull = jax.vjp(function, x)
        return value, lambda v: pull(v)[0]


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
