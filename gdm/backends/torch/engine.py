"""One train step in PyTorch: loss, gradients, Adam, and the moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from gdm.errors import CheckpointError
from gdm.objective import direction_loss, stratify
from gdm.schedule import Schedule

if TYPE_CHECKING:
    from gdm.backends.torch import Torch
    from gdm.config import TrainingConfig


class Trainer:
    """The state of a training run, and the step that changes it.

    All randomness of a step (times, noise, dropout) is drawn from (seed, step), so there is no generator
    state to keep: parameters, their averages and Adam's moments are everything.
    """

    def __init__(
        self, network: nn.Module, schedule: Schedule, training: TrainingConfig, seed: int, backend: Torch
    ) -> None:
        self.backend, self.schedule, self.training, self.seed = backend, schedule, training, seed
        self.network = network.train()
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.parameters = dict(self.network.named_parameters())
        self.averages = dict(self.average.named_parameters())
        self.optimizer = torch.optim.Adam(self.parameters.values(), betas=(0.9, 0.999), fused=True)

    def step(self, images: np.ndarray, labels: np.ndarray | None, step: int, rate: float, decay: float) -> Tensor:
        """Take step number `step` (from 0) at this learning rate and decay of the average; return the loss, ().

        Shapes: images float32 (batch, *event) in [-1, 1], labels int64 (batch,) or None
        The loss stays on the device, so that a step does not wait for the one before it.
        """
        x = self.backend.asarray(images)
        told = None if labels is None else self.backend.asarray(labels)
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(_mixed(self.seed, step))
            loss = self._loss(x, told)
            self.optimizer.zero_grad()
            loss.backward()
        if self.training.clip:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.training.clip)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        averages: list[Tensor] = [*self.averages.values()]
        weights: list[Tensor] = [*self.parameters.values()]
        torch._foreach_lerp_(averages, weights, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]  # one kernel
        return loss.detach()

    def _loss(self, x: Tensor, labels: Tensor | None) -> Tensor:
        uniforms = torch.rand(x.shape[0], dtype=x.dtype, device=x.device)
        t = stratify(uniforms) if self.training.times == "stratified" else 1 - uniforms  # in (0, 1]
        return direction_loss(
            lambda x_t, alpha: self.network(x_t, alpha, labels),
            x,
            torch.randn_like(x),
            t,
            self.schedule,
            weighting=self.training.weighting,
            mask_pending=self.training.mask_pending,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Return everything a step changes, by name, in host memory."""
        tensors = {f"network.{name}": value for name, value in self.parameters.items()}
        tensors |= {f"ema.{name}": value for name, value in self.averages.items()}
        for name, value in self.parameters.items():
            moments = self.optimizer.state.get(value) or {
                "exp_avg": torch.zeros_like(value),
                "exp_avg_sq": torch.zeros_like(value),
            }
            tensors |= {f"optimizer.{moment}.{name}": moments[moment] for moment in ("exp_avg", "exp_avg_sq")}
        return {name: self.backend.to_numpy(value) for name, value in tensors.items()}

    def load_state(self, tensors: Mapping[str, np.ndarray], step: int) -> None:
        """Go on from `state` after `step` steps. Raises: CheckpointError if a name or shape does not fit."""
        self.backend.import_parameters(self.network, _part(tensors, "network."))
        self.backend.import_parameters(self.average, _part(tensors, "ema."))
        for name, value in self.parameters.items():
            moments: dict[str, Any] = {
                "step": torch.tensor(float(step), device=value.device if value.is_cuda else "cpu")
            }
            for moment in ("exp_avg", "exp_avg_sq"):
                stored = tensors.get(f"optimizer.{moment}.{name}")
                shape, got = tuple(value.shape), getattr(stored, "shape", None)
                if stored is None or got != shape:
                    raise CheckpointError(f"optimizer.{moment}.{name}: expected shape {shape}, got {got}")
                moments[moment] = self.backend.asarray(stored).clone()
            self.optimizer.state[value] = moments

    def ema_network(self) -> nn.Module:
        """Return the network with averaged weights, ready to sample from."""
        return self.average


def _part(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _mixed(seed: int, step: int) -> int:
    """Hash (seed, step) into a generator's seed."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0])
