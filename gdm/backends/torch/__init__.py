"""The PyTorch backend: arrays, eager loops, automatic differentiation, the DDPM++ U-Net and its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from gdm.backends import check_choice
from gdm.backends.numpy import NumPy
from gdm.errors import BackendError, CheckpointError, UnsupportedError, nearest


class Torch:
    """PyTorch on one device."""

    name = "torch"

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.precision = check_choice("precision", precision, ("float32", "float64"))
        self._device = _find(device)
        self._dtype = getattr(torch, self.precision)
        self.device = str(self._device)

    def asarray(self, values: Any) -> torch.Tensor:
        if not isinstance(values, torch.Tensor):
            values = torch.tensor(np.asarray(values))  # copies: a tensor over read-only memory would be unsafe
        return values.to(self._device, self._dtype if values.is_floating_point() else None)

    def to_numpy(self, array: Any) -> np.ndarray:
        return array.detach().cpu().numpy()

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function)

    def inference(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

    scan = staticmethod(NumPy.scan)  # eager: a plain loop over rows

    @staticmethod
    def vjp(function: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pull = torch.func.vjp(function, x)[:2]
        return value, lambda v: pull(v)[0]

    def build(self, spec: Any, schedule: Any, *, classes: int = 0, seed: int = 0) -> torch.nn.Module:
        from gdm.backends.torch.network import GroupwiseUNet

        if spec.kind != "unet":
            raise UnsupportedError(f"network.kind: expected 'unet', got {spec.kind!r}{nearest(spec.kind, ('unet',))}")
        with torch.random.fork_rng(devices=[]):  # drawn on the host: the same on every device
            torch.manual_seed(seed)
            network = GroupwiseUNet(schedule, spec, classes=classes)
        return network.to(self._device, self._dtype).eval()

    def export_parameters(self, network: torch.nn.Module) -> dict[str, np.ndarray]:
        return {name: self.to_numpy(value).copy() for name, value in network.named_parameters()}

    @torch.no_grad()
    def import_parameters(self, network: torch.nn.Module, parameters: Mapping[str, np.ndarray]) -> None:
        own = dict(network.named_parameters())
        if odd := sorted(own.keys() ^ parameters.keys()):
            where = "is missing" if odd[0] in own else "is not one of the network's"
            raise CheckpointError(
                f"parameters: {odd[0]!r} {where} ({len(odd)} do not match); was the run made with another network?"
            )
        for name, value in parameters.items():
            if tuple(own[name].shape) != value.shape:
                raise CheckpointError(f"parameter {name!r}: expected shape {tuple(own[name].shape)}, got {value.shape}")
            own[name].copy_(torch.tensor(value))

    def trainer(self, network: Any, schedule: Any, training: Any, seed: int) -> Any:
        from gdm.backends.torch.engine import Trainer

        return Trainer(network, schedule, training, seed, self)


def _find(device: str | None) -> torch.device:
    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
