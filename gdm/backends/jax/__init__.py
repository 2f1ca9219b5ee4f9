"""The JAX backend: arrays, one program per loop, automatic differentiation, the DDPM++ U-Net as a pure function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial, register_dataclass

from gdm.backends import check_choice, unet
from gdm.backends.network import Network
from gdm.backends.plain import Plain
from gdm.errors import BackendError


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve with zeros around the image. Shapes: x (batch, H, W, C), kernel (C', C, 3, 3) -> (batch, H, W, C')"""
    kernel = kernel.transpose(2, 3, 1, 0)  # of "OIHW" inside a scan, XLA on a CPU makes plain loops, 28 times slower
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


register_dataclass(Network, data_fields=["parameters"], meta_fields=["architecture", "apply"])
_FORWARD = jax.jit(partial(unet.forward, convolve), static_argnums=0)


class Jax(Plain):
    """JAX on one device; functions of the core also run under `jax.jit`, `jax.grad` and `jax.vmap`."""

    name = "jax"
    traces = True
    forward = staticmethod(_FORWARD)

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.precision = check_choice("precision", precision, self.precisions)
        if self.precision == "float64" and not jax.config.read("jax_enable_x64"):
            raise BackendError(
                "precision: JAX makes float64 arrays after jax.config.update('jax_enable_x64', True); call it first, "
                "or set the environment variable JAX_ENABLE_X64=1"
            )
        self._device = _find(device)
        self.device = f"{self._device.platform}:{self._device.id}"

    def asarray(self, values: Any) -> jax.Array:
        if not isinstance(values, jax.Array):
            values = np.asarray(values)
        floating = jax.numpy.issubdtype(values.dtype, jax.numpy.floating)
        return jax.device_put(jax.numpy.asarray(values, dtype=self.precision if floating else None), self._device)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, Network):  # compiled as it is, with its parameters as arguments
            return function
        return jax.jit(function)

    def whole(self, task: Callable[..., Any]) -> Callable[..., Any]:
        return partial(_perform, task)

    def computing(self) -> AbstractContextManager[Any]:
        return jax.default_matmul_precision("float32")  # on a GPU too; JAX's own default is coarser there

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
