"""The JAX backend: arrays, one program per loop, automatic differentiation, the DDPM++ U-Net as a pure function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial, register_dataclass

from gdm.backends import check_choice, unet
from gdm.backends.jax.convolution import convolve
from gdm.backends.network import Network
from gdm.backends.plain import Plain
from gdm.errors import BackendError

register_dataclass(Network, data_fields=["parameters"], meta_fields=["architecture", "apply"])


@cache
def _forward(compute: Any) -> Callable[..., Any]:
    """Return the network as a program, the same one every time: equal networks share their programs."""
    return jax.jit(partial(unet.forward, convolve, compute=compute), static_argnums=0)


class Jax(Plain):
    """JAX on one device; functions of the core also run under `jax.jit`, `jax.grad` and `jax.vmap`.

    precision: arrays are float64 in "float64", else float32. Networks compute in the same, but in "tf32" a GPU rounds
        what it multiplies to 11 bits (a CPU does not), and in "bfloat16" every device does, to 8 bits.
    """

    name = "jax"
    precisions = ("float32", "tf32", "bfloat16", "float64")
    traces = True

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.precision = check_choice("precision", precision, self.precisions)
        if self.precision == "float64" and not jax.config.read("jax_enable_x64"):
            raise BackendError(
                "precision: JAX makes float64 arrays after jax.config.update('jax_enable_x64', True); call it first, "
                "or set the environment variable JAX_ENABLE_X64=1"
            )
        self.dtype = jax.numpy.float64 if self.precision == "float64" else jax.numpy.float32
        self.compute = jax.numpy.bfloat16 if self.precision == "bfloat16" else None  # the type of a network's products
        self.forward = _forward(self.compute)
        self._device = _find(device)
        self.device = f"{self._device.platform}:{self._device.id}"

    def asarray(self, values: Any) -> jax.Array:
        if not isinstance(values, jax.Array):
            values = np.asarray(values)
        floating = jax.numpy.issubdtype(values.dtype, jax.numpy.floating)
        return jax.device_put(jax.numpy.asarray(values, dtype=self.dtype if floating else None), self._device)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, Network):  # compiled as it is, with its parameters as arguments
            return function
        return jax.jit(function)

    def whole(self, task: Callable[..., Any]) -> Callable[..., Any]:
        return partial(_perform, task)

    def computing(self) -> AbstractContextManager[Any]:
        fast = self.precision in ("tf32", "bfloat16")
        return jax.default_matmul_precision("tensorfloat32" if fast else "float32")  # of float32 products on a GPU

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        return jax.lax.scan(lambda carry, row: (body(carry, row), None), carry, tables)[0]

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pull = jax.vjp(function, x)
        return value, lambda v: pull(v)[0]


def _perform(task: Callable[..., Any], network: Any, *arrays: Any) -> Any:
    is_tree = all(isinstance(leaf, jax.Array) for leaf in jax.tree_util.tree_leaves(network))
    return _PROGRAM(task, network if is_tree else Partial(network.__call__), *arrays)


_PROGRAM = jax.jit(lambda task, network, *arrays: task(network, *arrays), static_argnums=0)


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
