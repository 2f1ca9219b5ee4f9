"""What a backend on one device, without networks of its own, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import numpy as np

from gdm.backends import HOST_BATCH
from gdm.backends.world import Alone, World
from gdm.errors import UnsupportedError
from gdm.fused import adder


class Plain:
    """One process, one precision, nothing to wait for; NumPy and, for the time being, JAX."""

    name: str
    out_of_memory = (MemoryError,)
    adder = staticmethod(adder)

    def inference(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def computing(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def batch_for(self, call: Callable[[int], object], most: int) -> int:
        return min(HOST_BATCH, most)

    def wait(self) -> None:
        pass

    def peak_memory(self) -> int | None:
        return None

    def world(self) -> World:
        return Alone()

    def build(self, spec: Any, schedule: Any, *, classes: int = 0, augmented: bool = False, seed: int = 0) -> Any:
        self._refuse()

    def export_parameters(self, network: Any) -> dict[str, np.ndarray]:
        self._refuse()

    def import_parameters(self, network: Any, parameters: Mapping[str, np.ndarray]) -> None:
        self._refuse()

    def trainer(self, network: Any, groupings: Any, training: Any, seed: int) -> Any:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnsupportedError(
            f"networks: expected backend 'torch', got {self.name!r}, for which gdm has none yet; use torch, or pass any "
            "function (x_t, alpha) -> u of yours to gdm.generate and the losses"
        )
