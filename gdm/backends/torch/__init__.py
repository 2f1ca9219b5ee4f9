"""The PyTorch backend: arrays, eager loops, automatic differentiation, the DDPM++ U-Net and its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from gdm import parameters as named
from gdm.backends import HOST_BATCH, check_choice
from gdm.backends.numpy import NumPy
from gdm.backends.torch import memory, processes
from gdm.backends.world import World
from gdm.errors import BackendError


class Torch:
    """PyTorch on one device."""

    name = "torch"
    precisions = ("float32", "tf32", "bfloat16", "float64")
    traces = False
    parts = 1

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.precision = check_choice("precision", precision, self.precisions)
        self.place = _find(device)
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.device = str(self.place)

    def asarray(self, values: Any) -> torch.Tensor:
        if not isinstance(values, torch.Tensor):
            values = torch.tensor(np.asarray(values))  # copies: a tensor over read-only memory would be unsafe
        return values.to(self.place, self.dtype if values.is_floating_point() else None)

    def upload(self, values: np.ndarray) -> torch.Tensor:
        """Return an array's values on the device, without waiting for them to get there."""
        host = torch.from_numpy(values)
        return host.pin_memory().to(self.place, non_blocking=True) if self.place.type == "cuda" else host

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute networks in this backend's precision: "float32" is float32 on a GPU too; in "bfloat16" products are so."""
        with ExitStack() as stack:
            stack.enter_context(self.products())
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(self.place.type, torch.bfloat16))
            yield

    @contextmanager
    def products(self) -> Iterator[None]:
        """Let a GPU's float32 products be tf32 where the precision allows it, and never else: backward passes too."""
        on_gpu, fast = self.place.type == "cuda", self.precision in ("tf32", "bfloat16")
        with ExitStack() as stack:
            if on_gpu:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=fast))
            if on_gpu and fast != torch.backends.cuda.matmul.allow_tf32:
                stack.callback(setattr, torch.backends.cuda.matmul, "allow_tf32", not fast)
                torch.backends.cuda.matmul.allow_tf32 = fast
            yield

    def to_numpy(self, array: Any) -> np.ndarray:
        return array.detach().cpu().numpy()

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=False)

    def whole(self, task: Callable[..., Any]) -> Callable[..., Any]:
        return task

    def inference(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

    def batch_for(self, network: Callable[..., Any], given: Callable[[int], tuple[Any, ...]], most: int) -> int:
        if self.place.type != "cuda":
            return min(HOST_BATCH, most)

        def call(count: int) -> None:
            with self.inference(), self.computing():
                network(*given(count))

        return memory.batch_for(self.place, call, most)

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError | torch.OutOfMemoryError)

    scan = staticmethod(NumPy.scan)  # eager: a plain loop over rows

    @staticmethod
    def adder(weight: float) -> Callable[[Any, Any, Any], Any]:
        # eager steps of small events cost nothing but calls, of which this is one
        return torch.addcmul if weight == 1 else partial(torch.addcmul, value=weight)

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pull = torch.func.vjp(function, x)[:2]
        return value, lambda v: pull(v)[0]

    def world(self) -> World:
        return processes.join()

    def peak_memory(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.place) if self.place.type == "cuda" else None

    def wait(self) -> None:
        if self.place.type == "cuda":
            torch.cuda.synchronize(self.place)

    def build(
        self, spec: Any, schedule: Any, *, classes: int = 0, augmented: bool = False, seed: int = 0
    ) -> torch.nn.Module:
        from gdm.backends.torch.network import GroupwiseUNet

        with torch.random.fork_rng(devices=[]):  # PyTorch's layers draw when they are made
            network = GroupwiseUNet(schedule, spec, classes=classes, augmented=augmented, seed=seed)
        if self.place.type == "cuda":  # channels last: what its convolutions compute in
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(self.place, self.dtype).eval()

    def export_parameters(self, network: torch.nn.Module) -> dict[str, np.ndarray]:
        from gdm.backends.torch.sharding import whole

        return {name: self.to_numpy(whole(value)).copy() for name, value in network.named_parameters()}

    def import_parameters(self, network: torch.nn.Module, parameters: Mapping[str, np.ndarray]) -> None:
        from gdm.backends.torch.sharding import fill

        own = dict(network.named_parameters())
        named.check({name: tuple(value.shape) for name, value in own.items()}, parameters)
        for name, value in parameters.items():
            fill(own[name], value)

    def trainer(self, network: Any, groupings: Any, training: Any, seed: int) -> Any:
        from gdm.backends.torch.engine import Trainer

        return Trainer(network, groupings, training, seed, self)


def _find(device: str | None) -> torch.device:
    if device in (None, "auto", "cuda") and torch.cuda.is_available():
        found = torch.device("cuda", processes.local_rank())
        torch.cuda.set_device(found)
        return found
    if device in (None, "auto"):
        return torch.device("cpu")
    try:
        found = torch.device(str(device))
        torch.empty(0, device=found)
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # what PyTorch raises for a name or a card that is not there
        raise BackendError(
            f"device of torch: expected 'cpu' or a device that is there, got {device!r} ({error})"
        ) from error
    return found
