"""What backends have in common whose networks are pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from gdm import architecture
from gdm import parameters as named
from gdm.architecture import Architecture
from gdm.backends import HOST_BATCH
from gdm.backends.network import Network
from gdm.backends.world import Alone, World
from gdm.errors import UnsupportedError
from gdm.fused import adder


class Plain:
    """One process, nothing to wait for, networks that are not trained: what NumPy is, and JAX goes on from."""

    name: str
    precision: str
    precisions: tuple[str, ...] = ("float32", "float64")
    traces = False
    parts = 1
    adder = staticmethod(adder)
    asarray: Callable[..., Any]
    forward: Callable[..., Any]  # (architecture, parameters, x_t, alpha, labels, warps) -> u

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def whole(self, task: Callable[..., Any]) -> Callable[..., Any]:
        return task

    def inference(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def computing(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def batch_for(self, network: Callable[..., Any], given: Callable[[int], tuple[Any, ...]], most: int) -> int:
        return min(HOST_BATCH, most)

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)

    def wait(self) -> None:
        pass

    def peak_memory(self) -> int | None:
        return None

    def world(self) -> World:
        return Alone()

    def build(self, spec: Any, schedule: Any, *, classes: int = 0, augmented: bool = False, seed: int = 0) -> Network:
        made = architecture.of(spec, schedule, classes=classes, augmented=augmented)
        return self.network(made, named.initial(made, seed))

    def network(self, made: Architecture, parameters: Mapping[str, Any]) -> Network:
        """Return the network of an architecture with these parameters."""
        return Network(made, {name: self.asarray(value) for name, value in parameters.items()}, self.forward)

    def export_parameters(self, network: Network) -> dict[str, np.ndarray]:
        return {name: np.array(self.to_numpy(value)) for name, value in network.parameters.items()}

    def import_parameters(self, network: Network, parameters: Mapping[str, np.ndarray]) -> None:
        own = {name: start.shape for name, start in named.starts(network.architecture).items()}
        named.check(own, parameters)
        network.parameters.update({name: self.asarray(value) for name, value in parameters.items()})

    def trainer(self, network: Any, groupings: Any, training: Any, seed: int) -> Any:
        remedy = 'set backend = "torch" or "jax"; a trained network is sampled with any backend'
        raise UnsupportedError(f"training: expected backend 'torch' or 'jax', got {self.name!r}; {remedy}")
