"""The backends: who makes arrays, loops, differentiates, builds and trains networks.

`get` makes a backend by name, as a config asks for it; `of` finds the one an array belongs to.
No framework is imported before one of them is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import array_api_compat
import numpy as np

from gdm.backends.world import World
from gdm.errors import BackendError, nearest

HOST_BATCH = 64  # samples at once on a CPU, which more do not make faster


class Backend(Protocol):
    """What gdm needs of a framework beyond the array API standard."""

    name: str
    device: str
    precision: str
    precisions: tuple[str, ...]  # those there are
    traces: bool  # whether loops are compiled as a whole, anew for every shape
    parts: int  # devices over which `whole` spreads a batch, where their number divides it

    def __init__(self, device: str | None = None, precision: str | None = None) -> None: ...

    def asarray(self, values: Any) -> Any:
        """Return values as an array on this backend's device; floating point in its precision."""
        ...

    def to_numpy(self, array: Any) -> np.ndarray:
        """Return an array's values in host memory."""
        ...

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function compiled, or as it is where there is no compiler."""
        ...

    def whole(self, task: Callable[..., Any]) -> Callable[..., Any]:
        """Return a hashable task(network, *arrays) as one program, where `traces`; the same one for an equal task.

        A network that is a pytree of arrays is an argument of the program, any other a part of it.
        """
        ...

    def inference(self) -> AbstractContextManager[Any]:
        """Return a context in which no gradients are recorded."""
        ...

    def batch_for(self, network: Callable[..., Any], given: Callable[[int], tuple[Any, ...]], most: int) -> int:
        """Return how many samples, at most `most`, fit into memory at once; given(count): the network's arguments."""
        ...

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tell whether an error says that memory does not suffice."""
        ...

    def world(self) -> World:
        """Return the processes that share this program."""
        ...

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], carry: Any, tables: Any) -> Any:
        """Fold `carry = body(carry, row)` over the rows (first axis) of a tree of tables."""
        ...

    @staticmethod
    def adder(weight: float) -> Callable[[Any, Any, Any], Any]:
        """Return (y, u, h) -> y + weight * h * u, elementwise and broadcast, in new memory."""
        ...

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return function(x) and the map v -> v^T J of its Jacobian at x."""
        ...

    def computing(self) -> AbstractContextManager[Any]:
        """Return a context in which networks compute in this backend's precision."""
        ...

    def wait(self) -> None:
        """Wait until the device has done all that it was asked to."""
        ...

    def peak_memory(self) -> int | None:
        """Return the most bytes that this process has held on its device; None where that is the host."""
        ...

    def build(self, spec: Any, schedule: Any, *, classes: int = 0, augmented: bool = False, seed: int = 0) -> Any:
        """Return the network of a `gdm.config.NetworkConfig`, initialised from `seed`.

        augmented: it takes the labels of an augmentation, too.
        """
        ...

    def export_parameters(self, network: Any) -> dict[str, np.ndarray]:
        """Return a network's parameters by name, in host memory."""
        ...

    def import_parameters(self, network: Any, parameters: Mapping[str, np.ndarray]) -> None:
        """Set a network's parameters by name; CheckpointError names the first that does not fit."""
        ...

    def trainer(self, network: Any, groupings: Any, training: Any, seed: int) -> Any:
        """Return what computes one train step at a time; see `gdm.backends.torch.engine`, `gdm.backends.jax.engine`."""
        ...


_BACKENDS = {
    "numpy": ("gdm.backends.numpy", "NumPy"),
    "torch": ("gdm.backends.torch", "Torch"),
    "jax": ("gdm.backends.jax", "Jax"),
}


def get(name: str, device: str | None = None, precision: str | None = None) -> Backend:
    """Return the backend called "numpy", "torch" or "jax".

    device: "cpu", "cuda", "cuda:1", ...; None or "auto" takes the best there is. On JAX, which knows "gpu" and "tpu" too,
        a name without a number, and "auto", are all devices of that kind, on torch the first or `torchrun`'s.
    precision: "float32" (None) or "float64", the floating point of the arrays it makes; for torch and jax also "tf32"
        and "bfloat16": float32 arrays, and networks whose products are faster and coarser ("tf32" on a GPU alone).

    Raises: BackendError if the name is unknown, the framework is not installed or the device is not there.
    """
    return _load(name)(device, precision)


def precision_like(name: str, precision: str) -> str:
    """Return `precision` if the backend of that name has it, else "float32"; errors as `get`."""
    return precision if precision in _load(name).precisions else "float32"


def of(array: Any) -> type[Backend]:
    """Return the backend class of an array; any other standard-conforming library loops as NumPy does."""
    if array_api_compat.is_torch_array(array):
        return _load("torch")
    if array_api_compat.is_jax_array(array):
        return _load("jax")
    return _load("numpy")


def _load(name: str) -> type[Backend]:
    if name not in _BACKENDS:
        raise BackendError(f"backend: expected one of {tuple(_BACKENDS)}, got {name!r}{nearest(str(name), _BACKENDS)}")
    module, member = _BACKENDS[name]
    try:
        return getattr(importlib.import_module(module), member)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("torch", "jax", "jaxlib"):
            raise
        raise BackendError(
            f'backend {name!r} needs {error.name}, which is not installed; pip install "gdm[{name}]"'
        ) from error


def check_choice(what: str, got: str | None, choices: tuple[str, ...]) -> str:
    """Return `got`, or the first choice for None; BackendError for anything else."""
    if got is None:
        return choices[0]
    if got not in choices:
        raise BackendError(f"{what}: expected one of {choices}, got {got!r}{nearest(str(got), choices)}")
    return got
