"""The JAX backend: arrays, one program per loop, automatic differentiation, the DDPM++ U-Net as a pure function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.tree_util import register_dataclass

from gdm.backends import check_choice, unet
from gdm.backends.jax import memory, mesh, processes
from gdm.backends.jax.convolution import convolve
from gdm.backends.jax.programs import Spread, argument, perform
from gdm.backends.network import Network
from gdm.backends.plain import Plain
from gdm.backends.world import World
from gdm.errors import BackendError

register_dataclass(Network, data_fields=["parameters"], meta_fields=["architecture", "apply"])


@cache
def _forward(compute: Any) -> Callable[..., Any]:
    """Return the network as a program, the same one every time: equal networks share their programs."""
    return jax.jit(partial(unet.forward, convolve, compute=compute), static_argnums=0)


class Jax(Plain):
    """JAX on one device or several; functions of the core also run under `jax.jit`, `jax.grad` and `jax.vmap`.

    device: "cpu", "gpu" (or "cuda", "rocm", "tpu") are all devices of this process of that kind, "gpu:1" the second of
        them alone; None and "auto" are all of the kind that JAX takes by default.

    Arrays are made on the first device. A model's batches are spread over all of them, and over those of all processes
    in training: `local` and `mesh` say which. Processes join when a backend is made, before any device is touched.

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
        self._world = processes.join()
        self.devices, self._everyone = _find(device)
        self.parts, self._device = len(self.devices), self.devices[0]
        kind = self._device.platform
        number = jax.local_devices(backend=kind).index(self._device)
        self.device = f"{kind} x {self.parts}" if self.parts > 1 else f"{kind}:{number}"
        self._spread = Spread(self.local) if self.parts > 1 else None

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
        return partial(perform if self._spread is None else self._spread.perform, task)

    def computing(self) -> AbstractContextManager[Any]:
        fast = self.precision in ("tf32", "bfloat16")
        return jax.default_matmul_precision("tensorfloat32" if fast else "float32")  # of float32 products on a GPU

    @cached_property
    def local(self) -> Any:
        """The mesh of this process's devices, over which a model's batches are spread."""
        return mesh.over(self.devices)

    @cached_property
    def mesh(self) -> Any:
        """The mesh of the devices of all processes, over which the batches of training are spread."""
        return mesh.over(self._everyone)

    def trainer(self, network: Any, groupings: Any, training: Any, seed: int) -> Any:
        from gdm.backends.jax.engine import Trainer

        return Trainer(network, groupings, training, seed, self)

    def batch_for(self, network: Callable[..., Any], given: Callable[[int], tuple[Any, ...]], most: int) -> int:
        def program(count: int) -> Any:
            with self.computing():
                return _CALL.lower(argument(network), *given(count))

        return min(most, self.parts * memory.batch_for(self._device, program, -(-most // self.parts)))

    def is_out_of_memory(self, error: Exception) -> bool:
        return memory.is_lacking(error)

    def world(self) -> World:
        return self._world

    def peak_memory(self) -> int | None:
        return memory.peak(self.devices)

    def wait(self) -> None:
        for array in jax.live_arrays(self._device.platform):
            array.block_until_ready()

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        return jax.lax.scan(lambda carry, row: (body(carry, row), None), carry, tables)[0]

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pull = jax.vjp(function, x)
        return value, lambda v: pull(v)[0]


_CALL = jax.jit(lambda network, *given: network(*given))  # one function: its programs are not compiled again


def _find(device: str | None) -> tuple[list[Any], list[Any]]:
    """Return this process's devices of that name, and those of all processes."""
    kind, _, number = ("" if device in (None, "auto") else str(device)).partition(":")
    try:
        own, everyone = jax.local_devices(backend=kind or None), jax.devices(kind or None)
        if number:
            chosen = int(number) if number.isdecimal() else len(own)
            own, everyone = [own[chosen]], [each[chosen] for each in _by_process(everyone)]
    except (RuntimeError, IndexError, ValueError) as error:
        there = ", ".join(f"{d.platform}:{number}" for number, d in enumerate(jax.local_devices()))
        raise BackendError(f"device of jax: expected one of {there}, got {device!r}") from error
    return own, everyone


def _by_process(devices: list[Any]) -> list[list[Any]]:
    found: dict[int, list[Any]] = {}
    for device in devices:
        found.setdefault(device.process_index, []).append(device)
    return [*found.values()]
