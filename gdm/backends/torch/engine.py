"""One train step in PyTorch: loss, gradients, Adam, and the moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gdm import state
from gdm.backends.torch.augment import bicubic
from gdm.backends.torch.draws import Random, mixed
from gdm.backends.torch.sharding import fill, gathered_anew, own, shard, whole
from gdm.backends.world import share
from gdm.draws import Draws, draw, rows
from gdm.errors import ConfigError
from gdm.groupings import Groupings
from gdm.learning import batch_loss

if TYPE_CHECKING:
    from gdm.backends.torch import Torch
    from gdm.config import TrainingConfig


class Trainer:
    """The state of a training run, and the step that changes it.

    All randomness of a step is drawn from (seed, step), so there is no generator state to keep: parameters, their
    averages and Adam's moments are everything. With several processes each computes its share of the batch; the noise
    of a sample does not depend on their number (its dropout does).
    """

    def __init__(
        self, network: nn.Module, groupings: Groupings, training: TrainingConfig, seed: int, backend: Torch
    ) -> None:
        self.backend, self.groupings, self.training, self.seed = backend, groupings, training, seed
        self.world = backend.world()
        if training.batch % (self.world.size * training.accumulate):
            expected = f"a multiple of {self.world.size} processes x training.accumulate = {training.accumulate}"
            raise ConfigError(f"training.batch: expected {expected}, got {training.batch}; change one of them")
        self.network = network.train()
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        if training.shard and self.world.size > 1:
            shard(self.network)
            shard(self.average)
        self.parameters = dict(self.network.named_parameters())
        self.averages = dict(self.average.named_parameters())
        self.classes: int = network.classes  # type: ignore[assignment]
        on_gpu = backend.place.type == "cuda"
        alone = self.world.size == 1 or training.shard
        self.exchanging = None if alone else DistributedDataParallel(network, [backend.place] if on_gpu else None)
        compiling = on_gpu if training.compile == "auto" else training.compile == "on"
        called = self.exchanging or network
        self.called: Any = backend.compile(called) if compiling else called  # the network, exchanging gradients
        self.optimizer = torch.optim.Adam(self.parameters.values(), betas=(0.9, 0.999), fused=True)

    def step(self, images: np.ndarray, labels: np.ndarray | None, step: int, rate: float, decay: float) -> Tensor:
        """Take step number `step` (from 0) at this learning rate and decay of the average; return the loss, ().

        Where a gradient is not finite, weights and moments stay as they are and the loss is NaN. The loss stays on the
        device, so that a step does not wait for the one before it. It is this process's share of the mean.

        Shapes: this process's images uint8 (batch / processes, *event), labels int64 (batch / processes,) or None
        """
        loss = torch.zeros((), device=self.backend.place, dtype=self.backend.dtype)
        seeds = mixed(self.seed, step, self.world.rank)  # for dropout, which has no generator of its own
        with torch.random.fork_rng(devices=[self.backend.place] if self.backend.place.type == "cuda" else []):
            torch.manual_seed(seeds)
            self.optimizer.zero_grad()
            for part, synchronising in self._parts(images, labels, step):
                with synchronising, self.backend.products():  # of the backward pass too
                    share_of_loss = self._loss(*part) / self.training.accumulate
                    share_of_loss.backward()
                loss += share_of_loss.detach()
        norm = whole(nn.utils.clip_grad_norm_(self.parameters.values(), self.training.clip or float("inf")))
        skipped = ~norm.isfinite()
        self._descend(rate, skipped)
        averages = [own(value) for value in self.averages.values()]
        weights = [own(value.detach()) for value in self.parameters.values()]
        torch._foreach_lerp_(averages, weights, 1 - decay)  # type: ignore[attr-defined]
        return loss.masked_fill_(skipped, float("nan"))

    def _descend(self, rate: float, skipped: Tensor) -> None:
        """Take Adam's step, unless `skipped` is true on the device: the way of `torch.amp.GradScaler`."""
        optimizer: Any = self.optimizer
        optimizer.found_inf, optimizer.grad_scale = skipped.float(), None
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()

    def _parts(
        self, images: np.ndarray, labels: np.ndarray | None, step: int
    ) -> Iterator[tuple[tuple[Tensor, Tensor | None, Draws], AbstractContextManager[Any]]]:
        """Yield images, labels and random numbers for each backward pass; gradients are exchanged in the last one."""
        random = Random(self.seed, step, self.backend.place, self.backend.dtype)
        drawn = draw(random, self.training.batch, self.groupings, self.training)
        mine = rows(drawn, share(self.training.batch, self.world))
        x, told = self.backend.upload(images), None if labels is None else self.backend.upload(labels)
        parts, size = self.training.accumulate, len(images) // self.training.accumulate
        for part in range(parts):
            chosen = slice(part * size, (part + 1) * size)
            waiting = self.exchanging.no_sync() if self.exchanging and part < parts - 1 else nullcontext()
            yield (x[chosen], None if told is None else told[chosen], rows(mine, chosen)), waiting

    def _loss(self, images: Tensor, labels: Tensor | None, draws: Draws) -> Tensor:
        def network(*told: Tensor | None) -> Tensor:
            with self.backend.computing():
                return self.called(*told)

        return batch_loss(
            network,
            images,
            labels,
            draws,
            groupings=self.groupings,
            training=self.training,
            classes=self.classes,
            dtype=self.backend.dtype,
            sample=bicubic,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Return everything a step changes, by name, in host memory; every process must ask.

        On a CPU it is the very memory of the tensors, which the next step writes to: copy what is to outlive it.
        """
        taken = torch.zeros(())
        moments: dict[str, dict[str, Any]] = {"exp_avg": {}, "exp_avg_sq": {}}
        for name, value in self.parameters.items():
            own_state: Any = self.optimizer.state.get(value) or {}
            taken = own_state.get("step", taken)
            for moment, found in moments.items():
                found[name] = own_state.get(moment, torch.zeros_like(value))
        tensors = state.flat(state.State(self.parameters, self.averages, **moments, step=taken))
        return {name: self.backend.to_numpy(whole(value)) for name, value in tensors.items()}

    def load_state(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Go on from `state`. Raises: CheckpointError if a name or shape does not fit."""
        saved = state.parted(tensors, {name: tuple(value.shape) for name, value in self.parameters.items()})
        on_gpu = self.backend.place.type == "cuda"
        for name, value in self.parameters.items():
            fill(value, saved.network[name])
            fill(self.averages[name], saved.ema[name])
            taken = torch.tensor(float(saved.step), device=value.device if on_gpu else "cpu")
            moments = {"exp_avg": torch.zeros_like(value.detach()), "exp_avg_sq": torch.zeros_like(value.detach())}
            for moment, found in moments.items():
                fill(found, getattr(saved, moment)[name])
            self.optimizer.state[value] = {"step": taken, **moments}

    def ema_network(self) -> nn.Module:
        """Return the network with averaged weights, to sample from; every process must call one that is spread."""
        gathered_anew(self.average)
        return self.average
